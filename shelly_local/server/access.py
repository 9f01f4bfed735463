"""Who may ask: IBM's ways to show a key, and tokens for those who ask for one first.

Tokens are JSON Web Tokens signed with HMAC-SHA-256 (RFC 7519 and 7515), which IBM's SDKs read
``iat`` and ``exp`` from. Forty lines of the standard library do; no package is needed for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

#: Lifetime of a token in seconds, as IBM's.
TOKEN_SECONDS = 3600
#: Lifetime of what renews one. Clients of 2018 trust theirs for a week before they show the
#: key again.
REFRESH_SECONDS = 30 * 24 * 3600
GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"
REFRESH_GRANT_TYPE = "refresh_token"
#: The user name that goes with a key in basic authentication.
USER = "apikey"
#: Separates the signing key from the key itself, so that a token tells nothing about it.
_PURPOSE = b"shelly identity token"
_HEADER = {"alg": "HS256", "typ": "JWT"}
#: What a token is for: one that only renews others lets nobody in.
_ACCESS, _REFRESH = "access", "refresh"


class Access:
    """Checks keys and tokens. Servers with the same key take each other's tokens.

    Args:
        key: the key that is asked for; None lets everybody in.
    """

    def __init__(self, key: str | None = None) -> None:
        self._key = key
        secret = key.encode() if key else secrets.token_bytes(32)
        self._signing_key = hmac.new(secret, _PURPOSE, hashlib.sha256).digest()

    @property
    def open(self) -> bool:
        """Whether no key is asked for."""
        return self._key is None

    def allows(self, header: Callable[[str, str], str], query: Mapping[str, str]) -> bool:
        """Whether a request shows the key, or a token made with it.

        Args:
            header: gives the value of a header, or its second argument: of ``Authorization``
                with ``Basic`` or ``Bearer``, or of ``X-Watson-Authorization-Token``.
            query: ``api_key``, or ``apikey``, as the first clients sent it.
        """
        if self.open:
            return True
        scheme, _, credentials = header("Authorization", "").partition(" ")
        credentials = credentials.strip()
        if scheme.lower() == "basic" and self._is_basic(credentials):
            return True
        if scheme.lower() == "bearer" and self._is_token(credentials):
            return True
        if self._is_token(header("X-Watson-Authorization-Token", "")):
            return True
        return any(self.is_key(query[name]) for name in ("api_key", "apikey") if name in query)

    def is_key(self, text: str) -> bool:
        """Whether a text is the key, in constant time; any text is if none is asked for."""
        return self._key is None or hmac.compare_digest(text.encode(), self._key.encode())

    def renews(self, text: str) -> bool:
        """Whether a text is a refresh token that is still good; any is if no key is asked for."""
        return self.open or self._is_token(text, _REFRESH)

    def token(self) -> dict[str, Any]:
        """A new token, as IBM's identity service gives it."""
        now = int(time.time())
        return {
            "access_token": self._signed(_ACCESS, now, TOKEN_SECONDS),
            "refresh_token": self._signed(_REFRESH, now, REFRESH_SECONDS),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "expiration": now + TOKEN_SECONDS,
        }

    def _is_basic(self, credentials: str) -> bool:
        try:
            decoded = base64.b64decode(credentials, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return False
        user, found, key = decoded.partition(":")
        return bool(found) and user == USER and self.is_key(key)

    def _signed(self, use: str, now: int, seconds: int) -> str:
        claims = {"iss": "shelly", "sub": USER, "use": use, "iat": now, "exp": now + seconds}
        content = f"{_encoded(_HEADER)}.{_encoded(claims)}"
        return f"{content}.{self._signature(content)}"

    def _is_token(self, text: str, use: str = _ACCESS) -> bool:
        content, _, signature = text.rpartition(".")
        # compare_digest() takes text only if it is ASCII.
        expected = self._signature(content).encode()
        if not content or not hmac.compare_digest(signature.encode(), expected):
            return False
        # Whatever bears our signature is what we made.
        encoded = content.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        return bool(claims.get("use") == use and claims["exp"] > time.time())

    def _signature(self, content: str) -> str:
        digest = hmac.new(self._signing_key, content.encode(), hashlib.sha256).digest()
        return _base64url(digest)


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

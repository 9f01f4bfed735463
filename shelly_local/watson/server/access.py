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
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from shelly_local.errors import ShellyError

#: Lifetime of a token in seconds, as IBM's.
TOKEN_SECONDS = 3600
#: Lifetime of what renews one. Clients of 2018 trust theirs for a week before they show the
#: key again.
REFRESH_SECONDS = 30 * 24 * 3600
GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"
REFRESH_GRANT_TYPE = "refresh_token"
#: Wrong keys that an address may show at once, and how many more a second after that.
FREE_GUESSES, GUESSES_PER_SECOND = 20, 1.0
#: Addresses whose guesses are remembered.
MAX_ADDRESSES = 1_000
#: The user name that goes with a key in basic authentication.
USER = "apikey"
_KEY_NAMES = ("api_key", "apikey")
#: Separates the signing key from the key itself, so that a token tells nothing about it.
_PURPOSE = b"shelly identity token"
_HEADER = {"alg": "HS256", "typ": "JWT"}
#: What a token is for: one that only renews others lets nobody in.
_ACCESS, _REFRESH = "access", "refresh"


class Access:
    """Checks keys and tokens. Servers with the same key take each other's tokens.

    Args:
        key: the key that is asked for; None lets everybody in.

    Raises:
        ShellyError: the key is no UTF-8 text.
    """

    def __init__(self, key: str | None = None) -> None:
        self._key = key
        try:
            secret = key.encode() if key else secrets.token_bytes(32)
        except UnicodeEncodeError as error:
            raise ShellyError("SHELLY_APIKEY must be UTF-8 text; its bytes are none.") from error
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
        return any(self.is_key(query[name]) for name in _KEY_NAMES if name in query)

    def shows_key(self, header: Callable[[str, str], str], query: Mapping[str, str]) -> bool:
        """Whether a request shows a key that is asked for, right or wrong: what one can guess.

        Args:
            header: see :meth:`allows`.
            query: see :meth:`allows`.
        """
        basic = header("Authorization", "").partition(" ")[0].lower() == "basic"
        return not self.open and (basic or any(name in query for name in _KEY_NAMES))

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
        return bool(found) and user.lower() == USER and self.is_key(key)

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


class GuessedTooOftenError(ShellyError):
    """Wrong keys came from one address faster than people make mistakes."""

    code = 429
    error_id = "too_many_guesses"

    def __init__(self) -> None:
        super().__init__("Too many wrong keys from your address; try again in a second.")


class Guesses:
    """Slows the guessing of keys: so many wrong ones from an address, then few a second.

    An address pays for its own guesses only, and tokens, which nobody guesses, are never slowed.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # What is left of each address, and when that was so; the address seen last comes last.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Say no to an address that has no guess left.

        Raises:
            GuessedTooOftenError: it has none.
        """
        with self._lock:
            if self._now_left(address or "")[0] < 1:
                raise GuessedTooOftenError

    def count(self, address: str | None) -> None:
        """Count a wrong key."""
        name = address or ""
        with self._lock:
            left, now = self._now_left(name)
            self._left[name] = left - 1, now
            self._left.move_to_end(name)
            if len(self._left) > MAX_ADDRESSES:
                self._left.popitem(last=False)

    def _now_left(self, name: str) -> tuple[float, float]:
        now = time.monotonic()
        left, then = self._left.get(name, (float(FREE_GUESSES), now))
        return min(left + (now - then) * GUESSES_PER_SECOND, FREE_GUESSES), now


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

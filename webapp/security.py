"""Who may talk to Shelly, and what the browser may do with her answers."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request

from .problems import Problem

#: The names under which a browser reaches a server on its own machine.
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

#: Content Security Policy Level 3: everything from here, nothing inline; the preview of a
#: photo is a blob: URL.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


def register(app: Flask) -> None:
    """Check every request and complete every answer of the application."""
    app.before_request(_refuse_foreign_host)
    app.before_request(_refuse_foreign_origin)
    app.after_request(_add_headers)


def requested_host() -> str:
    """The host name the browser asked for, without port, in lower case."""
    return re.sub(r":\d*$", "", request.host).lower()


def _refuse_foreign_host() -> None:
    """Stop DNS rebinding: a foreign name that resolves to this machine."""
    allowed: tuple[str, ...] | None = current_app.config["ALLOWED_HOSTS"]
    host = requested_host()
    if allowed is not None and host not in allowed:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "foreign-host",
            f"Shelly answers only to {', '.join(allowed)}, not to {host[:80]!r}.",
        )


def _refuse_foreign_origin() -> None:
    """Stop other web sites from posting; browsers send Origin with every POST (Fetch, 3.2)."""
    origin = request.headers.get("Origin")
    if request.method != "POST" or origin is None:
        return
    if _authority(origin) != request.host.lower():
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "foreign-origin",
            "Shelly takes photos only from her own page, not from another web site.",
        )


def _authority(origin: str) -> str:
    """``host[:port]`` of an origin; empty for ``null`` and for nonsense."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as "http://[", an unfinished IPv6 address
        return ""


def _add_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    if request.path == "/advice":
        response.headers["Cache-Control"] = "no-store"
    return response

"""Who may talk to Shelly, and what the browser may do with her answers."""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, Response, current_app, request

from shelly_local.http.hosts import host_name, is_another_site

from .problems import Problem

#: Content Security Policy Level 3: everything from here, nothing inline; the preview of a
#: photo is a blob: URL, a face as the model saw it a data: URL.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self'; "
    "manifest-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
#: Permissions Policy: the camera for this page alone, autoplay because its picture is a video,
#: and none of what else a browser could give away.
PERMISSIONS_POLICY = ", ".join(
    [
        "camera=(self)",
        "autoplay=(self)",
        *(
            f"{feature}=()"
            for feature in (
                *("accelerometer", "browsing-topics"),
                *("display-capture", "encrypted-media", "fullscreen", "gamepad", "geolocation"),
                *("gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi"),
                *("payment", "picture-in-picture", "publickey-credentials-get"),
                *("screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
            )
        ),
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": PERMISSIONS_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Answers that hold what was seen, or change with the server; a cache must not keep them.
NEVER_CACHED = ("/advice", "/backends", "/health", "/ready")
#: Methods that change nothing and cost nothing (RFC 9110, section 9.2.1).
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def register(app: Flask) -> None:
    """Check every request and complete every answer of the application."""
    app.before_request(_refuse_foreign_host)
    app.before_request(_refuse_foreign_origin)
    app.after_request(_add_headers)


def requested_host() -> str:
    """The host name the browser asked for, without port, in lower case."""
    return host_name(request.host)


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
    """Stop other web sites from posting."""
    if request.method in _SAFE_METHODS:
        return
    if is_another_site(request.headers, request.host):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "foreign-origin",
            "Shelly takes photos only from her own page, not from another web site.",
        )


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    if request.path in NEVER_CACHED:
        response.headers["Cache-Control"] = "no-store"
    return response

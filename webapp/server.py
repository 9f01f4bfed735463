"""Serve the page with Waitress, a production WSGI server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask

from shelly_local.http import serving
from shelly_local.http.hosts import LOOPBACK_HOSTS, allowed_hosts, is_loopback
from shelly_local.http.serving import addresses
from shelly_local.watson.server.paths import body_limit, is_api_path

if TYPE_CHECKING:
    from shelly_local.http.gate import Gate

__all__ = ["addresses", "create_server", "is_loopback", "serve"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4000


def create_server(app: Flask, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> Any:
    """Bind the application to an address, without answering yet.

    On a loopback address only loopback names may be asked for; on any other the server
    cannot know its names, so any is allowed, unless the application was configured with
    its own ``ALLOWED_HOSTS``.

    Args:
        app: from `create_app`.
        host: name or address to listen on.
        port: 0 to 65535; 0 takes a free one.

    Returns:
        A Waitress server: ``run()`` answers until ``close()``.

    Raises:
        ShellyError: the address cannot be listened on, or a number is out of range.
    """
    if app.config["ALLOWED_HOSTS"] is LOOPBACK_HOSTS:
        app.config["ALLOWED_HOSTS"] = allowed_hosts(host)
        if api := app.extensions.get("api"):
            api.config["ALLOWED_HOSTS"] = app.config["ALLOWED_HOSTS"]
    gate: Gate = app.extensions["gate"]
    # Up to twice the limit the application explains itself in its own words.
    page_bytes = 2 * int(app.config["MAX_CONTENT_LENGTH"])
    has_api = "api" in app.extensions

    def limit(method: str, path: str) -> int:
        return body_limit(method, path) if has_api and is_api_path(path) else page_bytes

    return serving.bind(app, host, port, threads=gate.active + gate.waiting, body_limit=limit)


def serve(app: Flask, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then return.

    Requests under way get their answers, for which Waitress leaves five seconds. Args and
    errors are those of `create_server`. Prints the address to open.
    """
    server = create_server(app, host, port)
    serving.serve(server, lambda url: f"Shelly is at {url} (stop her with Ctrl-C)")

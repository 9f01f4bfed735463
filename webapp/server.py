"""Serve the application with Waitress, a production WSGI server."""

from __future__ import annotations

import ipaddress
import logging
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

import waitress
from flask import Flask

from shelly_local.errors import ShellyError

from .security import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from .gate import Gate

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4000
#: Threads beyond those that classify or wait for their turn: for pages, health checks, and
#: for saying that Shelly is busy.
SPARE_THREADS = 2
#: Connections at once. Each may hold one body in memory.
MAX_CONNECTIONS = 64
#: Seconds after which a connection that sends nothing is closed.
IDLE_TIMEOUT = 30
#: Largest answer kept in memory, in bytes: far more than any; beyond it Waitress would
#: write it to a temporary file.
MAX_ANSWER_BYTES = 256 * 2**20


def is_loopback(host: str) -> bool:
    """Whether a host name or address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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
    if not 0 <= port <= 65535:
        raise ShellyError(f"the port must lie in 0..65535, got {port}")
    if app.config["ALLOWED_HOSTS"] is LOOPBACK_HOSTS:
        name = f"[{host.strip('[]')}]" if ":" in host else host.lower()
        app.config["ALLOWED_HOSTS"] = (*LOOPBACK_HOSTS, name) if is_loopback(host) else None

    # A warning for each request that has to wait a moment helps nobody.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    gate: Gate = app.extensions["gate"]
    # Waitress refuses larger bodies in plain text before reading them; up to twice the
    # limit it lets the application explain itself in JSON.
    body_bytes = 2 * int(app.config["MAX_CONTENT_LENGTH"])
    try:
        return waitress.create_server(
            app,
            host=host,
            port=port,
            threads=gate.active + gate.waiting + SPARE_THREADS,
            connection_limit=MAX_CONNECTIONS,
            channel_timeout=IDLE_TIMEOUT,
            max_request_body_size=body_bytes,
            # Beyond these sizes Waitress writes a body to a temporary file; a photo must
            # never reach the disk.
            inbuf_overflow=body_bytes,
            outbuf_overflow=MAX_ANSWER_BYTES,
            ident=None,
        )
    except (OSError, ValueError) as error:
        raise ShellyError(f"cannot listen on {host}, port {port}: {error}") from error


def serve(app: Flask, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then return.

    Requests under way get their answers, for which Waitress leaves five seconds. Args and
    errors are those of `create_server`. Prints the address to open.
    """
    server = create_server(app, host, port)
    previous = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGTERM, _stop)
    try:
        for address, actual_port in addresses(server):
            print(
                f"Shelly is at http://{address}:{actual_port}/ (stop her with Ctrl-C)", flush=True
            )
        # Waitress ends run() on SystemExit and KeyboardInterrupt, after letting the
        # requests under way finish.
        server.run()
    finally:
        server.close()
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def addresses(server: Any) -> list[tuple[str, int]]:
    """The ``(host, port)`` pairs a server of `create_server` listens on."""
    listeners = getattr(server, "effective_listen", None) or [
        (server.effective_host, server.effective_port)
    ]
    return [(f"[{host}]" if ":" in host else host, int(port)) for host, port in listeners]


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)

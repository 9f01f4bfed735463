"""Serve an application with Waitress, a production WSGI server."""

from __future__ import annotations

import ipaddress
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import waitress

from shelly_local.errors import ShellyError
from shelly_local.server.bodies import Budget, bounded_channel

#: Threads beyond those that classify or wait for their turn: for pages, health checks, and
#: for saying that Shelly is busy.
SPARE_THREADS = 2
#: Connections at once.
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


def bind(app: Any, host: str, port: int, *, threads: int, max_body_bytes: int) -> Any:
    """Bind an application to an address, without answering yet.

    Args:
        app: a WSGI application.
        host: name or address to listen on.
        port: 0 to 65535; 0 takes a free one.
        threads: requests answered at once; ``SPARE_THREADS`` come on top.
        max_body_bytes: limit of one request's body.

    Returns:
        A Waitress server: ``run()`` answers until ``close()``.

    Raises:
        ShellyError: the address cannot be listened on, or a number is out of range.
    """
    if not 0 <= port <= 65535:
        raise ShellyError(f"the port must lie in 0..65535, got {port}")
    # A warning for each request that has to wait a moment helps nobody.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    sockets: dict[int, Any] = {}
    try:
        server = waitress.create_server(
            app,
            map=sockets,
            host=host,
            port=port,
            threads=threads + SPARE_THREADS,
            connection_limit=MAX_CONNECTIONS,
            channel_timeout=IDLE_TIMEOUT,
            max_request_body_size=max_body_bytes + 1,
            # Beyond these sizes Waitress writes a body to a temporary file; a photo must
            # never reach the disk.
            inbuf_overflow=max_body_bytes + 1,
            outbuf_overflow=MAX_ANSWER_BYTES,
            ident=None,
        )
    except (OSError, ValueError) as error:
        raise ShellyError(f"cannot listen on {host}, port {port}: {error}") from error
    channel = bounded_channel(Budget())
    for listener in sockets.values():
        if hasattr(listener, "channel_class"):
            listener.channel_class = channel
    return server


def serve(server: Any, announce: Callable[[str], str]) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then return.

    Requests under way get their answers, for which Waitress leaves five seconds.

    Args:
        server: from :func:`bind`.
        announce: the line to print for an address such as ``http://127.0.0.1:4000/``.
    """
    previous = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGTERM, _stop)
    try:
        for address, port in addresses(server):
            print(announce(f"http://{address}:{port}/"), flush=True)
        # Waitress ends run() on SystemExit and KeyboardInterrupt, after letting the
        # requests under way finish.
        server.run()
    finally:
        server.close()
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def addresses(server: Any) -> list[tuple[str, int]]:
    """The ``(host, port)`` pairs a server of :func:`bind` listens on."""
    listeners = getattr(server, "effective_listen", None) or [
        (server.effective_host, server.effective_port)
    ]
    return [(f"[{host}]" if ":" in host else host, int(port)) for host, port in listeners]


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)

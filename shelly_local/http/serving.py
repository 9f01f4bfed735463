"""Serve an application with Waitress, a production WSGI server."""

from __future__ import annotations

import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import waitress

from shelly_local.errors import ShellyError
from shelly_local.http.bodies import BodyLimit, Budget
from shelly_local.http.connections import MAX_CONNECTIONS, bounded_channel

#: Threads beyond those that classify or wait for their turn: for pages, health checks, and
#: for saying that Shelly is busy.
SPARE_THREADS = 2
#: Files that a server has open beside its connections, at most.
OTHER_FILES = 200
#: Beyond those at once, while one is closed to make room for another; Waitress counts its own
#: sockets, too.
SPARE_CONNECTIONS = 24
#: Most bytes taken from a connection at once. With Waitress's own 8 KiB a photo comes in seventy
#: pieces, each of which waits for Python's lock, and eight clients get a tenth fewer answers.
RECEIVED_BYTES = 1024 * 1024
#: Largest answer kept in memory, in bytes: far more than any; beyond it Waitress would
#: write it to a temporary file.
MAX_ANSWER_BYTES = 256 * 2**20


def bind(
    app: Any,
    host: str,
    port: int,
    *,
    threads: int,
    body_limit: BodyLimit,
) -> Any:
    """Bind an application to an address, without answering yet.

    Args:
        app: a WSGI application.
        host: name or address to listen on.
        port: 0 to 65535; 0 takes a free one.
        threads: requests answered at once; ``SPARE_THREADS`` come on top.
        body_limit: limit of a request's body in bytes, by its method and path.

    Returns:
        A Waitress server: ``run()`` answers until ``close()``.

    Raises:
        ShellyError: the address cannot be listened on, or a number is out of range.
    """
    _check_port(port)
    _allow_files(MAX_CONNECTIONS + OTHER_FILES)
    listeners: dict[int, Any] = {}
    try:
        server = waitress.create_server(
            app,
            map=listeners,
            host=host,
            port=port,
            threads=threads + SPARE_THREADS,
            backlog=MAX_CONNECTIONS,
            connection_limit=MAX_CONNECTIONS + SPARE_CONNECTIONS,
            # select() takes no file whose number is 1,024 or more; Windows has it alone.
            asyncore_use_poll=hasattr(select, "poll"),
            # Bodies have limits and buffers of their own, see ``bodies``.
            max_request_body_size=sys.maxsize,
            # Beyond this size Waitress writes an answer to a temporary file; a photo must never
            # reach the disk.
            outbuf_overflow=MAX_ANSWER_BYTES,
            recv_bytes=RECEIVED_BYTES,
            # A client that goes away is nothing to tell.
            log_socket_errors=False,
            ident=None,
        )
    except (OSError, ValueError) as error:
        raise _cannot_listen(host, port, error) from error
    channel = bounded_channel(Budget(), body_limit)
    for listener in listeners.values():
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


def _allow_files(count: int) -> None:
    """Let this process open as many files, if it may: macOS allows 256 unless asked."""
    if sys.platform == "win32":
        return
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < count:
        wanted = count if most == resource.RLIM_INFINITY else min(count, most)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise ShellyError(f"the port must lie in 0..65535, got {port}")


def _cannot_listen(host: str, port: int, error: Exception) -> ShellyError:
    return ShellyError(f"cannot listen on {host}, port {port}: {error}")


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)

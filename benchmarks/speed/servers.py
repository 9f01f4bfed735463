"""``shelly serve`` and ``shelly web`` in processes of their own, and clients that ask them."""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shelly_local.errors import ShellyError

from .. import children
from ..timing import percentiles

VERSION = "version=2018-03-19"
CLASSIFY, CLASSIFIERS = f"/v3/classify?{VERSION}", f"/v3/classifiers?{VERSION}"
EMOTION = f"{CLASSIFY}&classifier_ids=emotion"
_BOUNDARY = "shelly-benchmark-9f0c1b"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
#: Ends a multipart form.
END = f"\r\n--{_BOUNDARY}--\r\n".encode()
#: Seconds for any one answer, and for a server to stop.
TIMEOUT = 120.0


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: its address.
        pid: the number of its process.
    """

    url: str
    pid: int

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT)


@contextmanager
def running(kind: str = "serve") -> Iterator[Server]:
    """``shelly serve`` or ``web`` on a free port, with an empty data folder and without a key.

    Raises:
        ShellyError: it does not start.
    """
    environment = {k: v for k, v in children.environment().items() if not k.startswith("SHELLY_")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "shelly_local", kind, "--port", "0", "--data-dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            url = next((word for word in words if word.startswith("http://")), None)
            if url is None:
                raise ShellyError(f"shelly {kind} does not start")
            yield Server(url.rstrip("/"), process.pid)
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def part(name: str, filename: str = "") -> bytes:
    """The head of a part of a multipart form."""
    file = f'; filename="{filename}"' if filename else ""
    return f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()


def form(parts: Mapping[str, bytes]) -> bytes:
    """The body of a multipart form."""
    return b"\r\n".join(part(name) + content for name, content in parts.items()) + END


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = MULTIPART,
) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    connection.request(method, path, body, headers if body is not None else {})
    response = connection.getresponse()
    return response.status, response.read()


def load(
    server: Server,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    clients: int,
    seconds: float,
    warm_up: int = 0,
) -> dict[str, Any]:
    """Let so many clients post the same for so long, each one request after the other.

    Args:
        server: who is asked.
        path, body, headers: of each request.
        clients: how many ask at the same time.
        seconds: how long.
        warm_up: requests of each client that are not counted, over the one connection that it
            keeps; 0 for a connection for every request, as IBM's SDKs do.

    Returns:
        ``clients``; ``answers`` and how many ``per_second``; percentiles of the time from
        connecting or sending until the whole answer; ``refused``: answers other than 200.
    """
    times: list[float] = []
    refused = 0
    guard = threading.Lock()
    ready = threading.Barrier(clients + 1, timeout=TIMEOUT)

    def client() -> None:
        nonlocal refused
        connection = server.connect()
        for _ in range(warm_up):
            ask(connection, "POST", path, body, headers)
        ready.wait()
        end = time.perf_counter() + seconds
        while (before := time.perf_counter()) < end:
            status, _ = ask(connection, "POST", path, body, headers)
            with guard:
                if status == 200:
                    times.append(time.perf_counter() - before)
                else:
                    refused += 1
            if not warm_up:
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return {
        "clients": clients,
        "answers": len(times),
        "refused": refused,
        "per_second": round(len(times) / (time.perf_counter() - start), 1),
        **percentiles([1000 * each for each in times]),
    }

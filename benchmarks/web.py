"""What the page's server does in a second: ``POST /advice`` by 1 and by 4 clients.

    python -m benchmarks.web photo.jpg --seconds 10

Prints JSON. The server is the real one, on a free port of this machine, in this process's child.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

CLIENTS = (1, 4)
SECONDS = 10.0
#: Answers of each client that are not counted: connections are made, caches fill.
WARM_UP = 3
#: Seconds to wait for an answer, and for the server to start and stop.
TIMEOUT = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when every answer was 200."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("photo", type=Path, help="a photo with a face")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument("--crops", action="store_true", help="ask for what the model saw, too")
    arguments = parser.parse_args(argv)
    if not arguments.photo.is_file():
        parser.error(f"no such file: {arguments.photo}")
    if not arguments.seconds > 0:
        parser.error(f"--seconds must be more than 0, got {arguments.seconds}")

    image = base64.b64encode(arguments.photo.read_bytes()).decode()
    body = json.dumps({"image": f"data:image/*;base64,{image}", "crops": arguments.crops}).encode()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SHELLY_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "shelly_local", "web", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        address = urlsplit(line.split()[3])
        levels = [
            measure(
                str(address.hostname), int(address.port or 80), body, clients, arguments.seconds
            )
            for clients in CLIENTS
        ]
    finally:
        server.terminate()
        server.wait(TIMEOUT)
    result = {
        "photo": {"name": arguments.photo.name, "bytes": arguments.photo.stat().st_size},
        "crops": arguments.crops,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "levels": levels,
    }
    print(json.dumps(result, indent=2))
    return int(any(level["failed"] for level in levels))


def measure(host: str, port: int, body: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """One level of concurrency.

    Args:
        host, port: of the server.
        body: of every request.
        clients: how many ask at the same time, each over one connection.
        seconds: how long they ask, after the warm-up.

    Returns:
        ``clients``, ``requests``, ``failed``, ``per_second``, and ``p50_ms`` and ``p95_ms``
        from the first byte sent to the last one received.
    """
    times: list[float] = []
    failed = 0
    lock = threading.Lock()
    started = threading.Barrier(clients + 1)

    def ask() -> None:
        nonlocal failed
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        for _ in range(WARM_UP):
            _post(connection, body)
        started.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            status = _post(connection, body)
            took = time.perf_counter() - start
            with lock:
                times.append(took)
                failed += status != 200
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    started.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    p50, p95 = np.percentile(1000 * np.asarray(times), (50, 95))
    return {
        "clients": clients,
        "requests": len(times),
        "failed": failed,
        "per_second": round(len(times) / (time.perf_counter() - start), 2),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
    }


def _post(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/advice", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status


if __name__ == "__main__":
    sys.exit(main())

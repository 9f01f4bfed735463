"""What the page's server does in a second: ``POST /advice`` by 1 and by 4 clients.

    python -m benchmarks.speed.web photo.jpg --seconds 10

Prints JSON. The server is the real one, on a free port of this machine; each client keeps one
connection.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from ..timing import WARM_UP
from .servers import load, running

CLIENTS = (1, 4)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when every answer was 200."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.web", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("photo", type=Path, help="a photo with a face")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument("--crops", action="store_true", help="ask for what the model saw, too")
    arguments = parser.parse_args(argv)
    if not arguments.photo.is_file():
        parser.error(f"no such file: {arguments.photo}")
    if not arguments.seconds > 0:
        parser.error(f"--seconds must be more than 0, got {arguments.seconds}")

    image = base64.b64encode(arguments.photo.read_bytes()).decode()
    body = json.dumps({"image": f"data:image/*;base64,{image}", "crops": arguments.crops}).encode()
    headers, seconds = {"Content-Type": "application/json"}, arguments.seconds
    with running("web") as server:
        levels = [
            load(server, "/advice", body, headers, clients=n, seconds=seconds, warm_up=WARM_UP)
            for n in CLIENTS
        ]
    result = {
        "photo": {"name": arguments.photo.name, "bytes": arguments.photo.stat().st_size},
        "crops": arguments.crops,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "levels": levels,
    }
    print(json.dumps(result, indent=2))
    return int(any(level["refused"] for level in levels))


if __name__ == "__main__":
    sys.exit(main())

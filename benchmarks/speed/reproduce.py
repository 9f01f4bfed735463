"""Every result of this folder with one command, on an otherwise idle machine.

    python -m benchmarks.speed.reproduce --london DIR --fer2013 DIR

The backend ``ibm`` asks a ``shelly serve`` that is started for it on this machine: it stands for
what HTTP costs, not for IBM's model. Per-picture rows stay in ``--work``; what is committed are
figures only. The tables of docs/results.md and benchmarks/README.md are rewritten at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from shelly_local.errors import ShellyError

from .. import results
from . import tables
from .servers import running

ROOT = tables.ROOT
PHOTOS = ("tests/pictures/smiling.jpg", "tests/pictures/astronaut.jpg")
#: Peers, and the package without which each is left out.
PEERS = {"peer:facenet-mobilenet": "facenet_pytorch", "peer:fer": "fer"}
#: Of these no accuracy is known, because their weights are random.
TIME_ONLY = ("peer:facenet-mobilenet",)
NAMES = ("accuracy-london", "accuracy-fer2013", "latency")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, copy the results, rewrite the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.reproduce",
        description="Measure everything in benchmarks/results again and rewrite the tables.",
    )
    parser.add_argument(
        "--london",
        type=Path,
        metavar="DIR",
        help="the Face Research Lab London Set as folders neutral and happiness",
    )
    parser.add_argument("--fer2013", type=Path, metavar="DIR", help="FER2013 with its FER+ votes")
    parser.add_argument("--limit", metavar="N", help="only N pictures of each set, for a trial")
    parser.add_argument(
        "--only", choices=NAMES, action="append", help="only this result; repeatable"
    )
    installed = [name for name, package in PEERS.items() if find_spec(package)]
    parser.add_argument(
        "--peers",
        type=lambda text: [name for name in text.split(",") if name],
        default=installed,
        metavar="LIST",
        help=f"peers to measure (default: what is installed: {', '.join(installed) or 'none'})",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "runs/benchmarks",
        metavar="DIR",
        help="where runs are kept while they are under way (default: runs/benchmarks)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "benchmarks/results",
        metavar="DIR",
        help="where results go (default: benchmarks/results)",
    )
    arguments = parser.parse_args(argv)
    plan = _plan(arguments)
    if not plan:
        parser.error(
            "nothing to measure: give --london or --fer2013 with the data that --only needs"
        )
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        with running() as server:
            codes = {
                name: _measure(name, words, arguments, server.url) for name, words in plan.items()
            }
        # Only now: a result notes whether files of the checkout were changed.
        for name in (name for name, code in codes.items() if code == 0):
            file = f"{name}.json"
            results.write(results.load(arguments.work / file), arguments.out / file)
        if arguments.out == ROOT / "benchmarks/results":
            for text in tables.update():
                print(f"{text.relative_to(ROOT)}: rewritten")
    except ShellyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return max(codes.values())


def _plan(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Arguments of ``shelly benchmark`` by the name of the result."""
    peers = arguments.peers
    scored = [name for name in peers if name not in TIME_ONLY]
    limit = ["--limit", arguments.limit] if arguments.limit else []
    plan = {}
    if arguments.london:
        backends = ",".join(["local", "ibm", *scored])
        plan["accuracy-london"] = ["accuracy", "--data", str(arguments.london.resolve()), *limit]
        plan["accuracy-london"] += ["--backends", backends, "--allow-cloud"]
    if arguments.fer2013:
        backends = ",".join(["local", *scored])
        plan["accuracy-fer2013"] = ["accuracy", "--data", str(arguments.fer2013.resolve()), *limit]
        plan["accuracy-fer2013"] += ["--backends", backends]
    plan["latency"] = ["latency", *PHOTOS, "--backends", ",".join(["local", "ibm", *peers])]
    plan["latency"] += ["--cold-runs", "3", "--concurrency", "1,2,4", "--allow-cloud"]
    return {name: plan[name] for name in arguments.only or NAMES if name in plan}


def _measure(name: str, words: Sequence[str], arguments: argparse.Namespace, url: str) -> int:
    """One run in a process of its own; its exit code."""
    output = (arguments.work / f"{name}.json").resolve()
    command = [sys.executable, "-m", "shelly_local", "benchmark", *words]
    command += ["--json", str(output), "--restart"]  # the model may be another one by now
    settings = {"VISUAL_RECOGNITION_URL": url, "VISUAL_RECOGNITION_AUTH_TYPE": "noauth"}
    return subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())

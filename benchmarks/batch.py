"""Photos a second of a job of ``shelly classify``, by engine and number of workers.

    python -m benchmarks.batch FOLDER [--engine local ray] [--workers 1 2] [--repeat N]

Each job is a process of its own, as a user starts it, once over the photos of the folder and
once over a single one: the difference is the time of the photos without that of the start.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tqdm import tqdm

from shelly_local import __version__
from shelly_local.batch.inputs import find_photos
from shelly_local.batch.run import ENGINES
from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError

from .results import processor, write

#: Photos of a batch: few, so that all workers have something to do until the end.
BATCH = 10


def job_seconds(photos: Sequence[str], engine: str, workers: int) -> float:
    """Wall-clock seconds of a job, from the start of its process to the end.

    Raises:
        ShellyError: it failed; some photos may.
    """
    with tempfile.TemporaryDirectory() as name:
        names = Path(name) / "photos.txt"
        names.write_bytes(b"".join(os.fsencode(photo) + b"\n" for photo in photos))
        output = Path(name) / "moods.jsonl"
        options = ["--engine", engine, "--workers", str(workers), "--output", str(output)]
        options += ["--batch", str(BATCH)]
        command = [sys.executable, "-m", "shelly_local", "classify", "--list", str(names)]
        start = time.perf_counter()
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if not output.exists() or len(output.read_bytes().splitlines()) != len(photos):
            raise ShellyError(f"{engine} with {workers} workers failed: {done.stderr[-500:]}")
    return seconds


def measure(photos: Sequence[str], engines: Sequence[str], workers: Sequence[int]) -> list[Any]:
    """A row per engine and number of workers; one that fails has none."""
    rows = []
    for engine, count in tqdm([(e, w) for e in engines for w in workers], disable=None):
        try:
            start = job_seconds(photos[:1], engine, count)
            whole = job_seconds(photos, engine, count)
        except ShellyError as error:
            complain(error.description)
            continue
        rows.append(
            {
                "engine": engine,
                "workers": count,
                "start_s": round(start, 2),
                "whole_s": round(whole, 2),
                "photos_per_second": round((len(photos) - 1) / max(whole - start, 1e-9), 2),
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| engine | workers | photos a second | a job of one photo |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['engine']} | {row['workers']} | {row['photos_per_second']} | {row['start_s']} s |"
        for row in rows
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", metavar="FOLDER", help="photos")
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=["local"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeat", type=int, default=1, help="how often each photo is given")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args(argv)
    photos = [photo.name for photo in find_photos([arguments.folder])] * arguments.repeat
    rows = measure(photos, arguments.engine, arguments.workers)
    result = {
        "date": date.today().isoformat(),
        "shelly": __version__,
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "photos": len(photos),
        "rows": rows,
    }
    if arguments.json:
        write(result, arguments.json)
    print(f"{result['date']}, {result['machine']}, {len(photos)} photos\n\n{table(rows)}")
    return 0 if len(rows) == len(arguments.engine) * len(arguments.workers) else 1


if __name__ == "__main__":
    sys.exit(main())

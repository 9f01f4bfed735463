"""The few figures of README: start-up, time per photo, memory and size of the installation.

    python -m benchmarks.quick PHOTO... [--json FILE]

Runs in an environment with the base installation and nothing else, on an otherwise idle
machine. Times are medians over rounds in which every measurement takes its turn, so that
a slow moment of the machine hits all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import time
from datetime import date
from pathlib import Path
from typing import Any

from shelly_local import EmotionClassifier, __version__

from .results import processor

#: Rounds of the start-up measurement; the first is discarded (cold file cache).
PROCESS_ROUNDS = 7
#: Classifications of each photo; the first ones are discarded.
PHOTO_ROUNDS, WARM_UP = 30, 3
#: What any program that decodes a photo and runs a network must import.
FLOOR = "import numpy, PIL.Image, onnxruntime"


def seconds_of(command: list[str]) -> float:
    """Wall-clock seconds of a whole process.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def start_up(photo: Path) -> dict[str, float]:
    """Median seconds of ``shelly classify PHOTO`` and of the bare imports, interleaved."""
    commands = {
        "classify_one_photo_s": [sys.executable, "-m", "shelly_local", "classify", str(photo)],
        "imports_only_s": [sys.executable, "-c", FLOOR],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(PROCESS_ROUNDS):
        for name, command in commands.items():
            times[name].append(seconds_of(command))
    return {name: round(statistics.median(values[1:]), 3) for name, values in times.items()}


def per_photo(photos: list[Path]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of milliseconds from file bytes to answer, warm."""
    classifier = EmotionClassifier()
    contents = {photo.name: photo.read_bytes() for photo in photos}
    times: dict[str, list[float]] = {name: [] for name in contents}
    for _ in range(PHOTO_ROUNDS):
        for name, content in contents.items():
            start = time.perf_counter()
            classifier.classify(content)
            times[name].append(1000 * (time.perf_counter() - start))
    return {
        name: {
            "p50_ms": round(statistics.median(values[WARM_UP:]), 1),
            "p95_ms": round(statistics.quantiles(values[WARM_UP:], n=20)[-1], 1),
        }
        for name, values in times.items()
    }


def installed_megabytes() -> float:
    """Size of this environment's library folder without pip, in units of 10^6 bytes."""
    root = Path(sysconfig.get_paths()["purelib"])
    skipped = ("pip", "setuptools")
    total = 0
    for folder, _, files in os.walk(root):
        if Path(folder).relative_to(root).parts[:1] and Path(folder).relative_to(root).parts[
            0
        ].startswith(skipped):
            continue
        total += sum((Path(folder) / file).lstat().st_size for file in files)
    return round(total / 1e6, 1)


def machine() -> str:
    """Processor and cores in a few words."""
    return f"{processor()}, {os.cpu_count()} cores"


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quick", description="Start-up, time per photo, memory, size."
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": {"shelly-local": __version__, "python": platform.python_version()},
        "installed_mb": installed_megabytes(),
        **start_up(arguments.photos[0]),
        "photos": per_photo(arguments.photos),
    }
    results["peak_memory_mb"] = round(
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000, 1
    )
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

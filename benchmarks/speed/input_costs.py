"""What the costliest inputs that are accepted take, as the table of budgets in SECURITY.md.

    python -m benchmarks.speed.input_costs

Each is classified in a process of its own, alone and four at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .costly_pictures import ACCEPTED, FACE

#: Most that one picture may take: megabytes above rest, seconds of processor time on one core.
MEGABYTES, SECONDS = 300, 4.0
#: Megabytes above rest for four of the same at once.
MEGABYTES_OF_FOUR = 800


@dataclass(frozen=True)
class Cost:
    """Megabytes above rest at the peak, and seconds of processor time."""

    megabytes: float
    seconds: float


def measured(run: Callable[[], object]) -> Cost:
    """What a call takes in this process (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    rest, start = _status("VmRSS"), time.process_time()
    run()
    return Cost(_status("VmHWM") - rest, time.process_time() - start)


def picture_cost(picture: bytes, *, at_once: int = 1) -> Cost:
    """What classifying a picture takes, ``at_once`` times at the same time, in a new process."""
    command = [sys.executable, "-m", "benchmarks.speed.input_costs", str(at_once)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    answer = subprocess.run(
        command, input=picture, stdout=subprocess.PIPE, check=True, env=environment
    )
    return Cost(*json.loads(answer.stdout))


def table(pictures: Sequence[tuple[str, Callable[[], bytes]]]) -> str:
    """The Markdown table of what pictures take."""
    lines = [
        f"| picture | MB above rest (at most {MEGABYTES}) | seconds (at most {SECONDS:g})"
        f" | four at once, MB (at most {MEGABYTES_OF_FOUR}) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, make in pictures:
        picture = make()
        one, four = picture_cost(picture), picture_cost(picture, at_once=4)
        lines.append(
            f"| {name}, {len(picture) / 1e6:.1f} MB | {one.megabytes:.0f} | {one.seconds:.1f}"
            f" | {four.megabytes:.0f} |"
        )
    return "\n".join(lines)


#: Parts of the section, each with what makes it.
PARTS: tuple[tuple[str, Callable[[], str]], ...] = (("Pictures", lambda: table(ACCEPTED)),)


def _status(name: str) -> float:
    """A size of this process in megabytes, such as ``VmHWM``, its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1000


def _classify(at_once: int) -> Cost:
    """Classify the picture at standard input."""
    from shelly_local import EmotionClassifier

    picture = sys.stdin.buffer.read()
    classifier = EmotionClassifier(threads=1)
    classifier.classify(FACE)  # the networks have run once
    with ThreadPoolExecutor(at_once) as pool:
        return measured(lambda: list(pool.map(classifier.classify, [picture] * at_once)))


def main() -> None:
    """Print the section, or one measurement for ``picture_cost``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.input_costs", description=__doc__
    )
    parser.add_argument(
        "at_once",
        metavar="N",
        nargs="?",
        type=int,
        help="measure one picture from standard input, N at once (default: print all tables)",
    )
    arguments = parser.parse_args()
    if arguments.at_once is not None:
        cost = _classify(arguments.at_once)
        print(json.dumps([cost.megabytes, cost.seconds]))
        return
    for name, make in PARTS:
        print(f"### {name}\n\n{make()}\n")


if __name__ == "__main__":
    main()

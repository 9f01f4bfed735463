"""How fast a photo is answered, as ratios from one interleaved run.

    python -m benchmarks.speed PHOTO... [--rounds N] [--no-peer] [--json FILE]
    python -m benchmarks.speed PHOTO... --http [--json FILE]
    python -m benchmarks.speed PHOTO... --growth 20000 [--json FILE]
    python -m benchmarks.speed --same-answers FOLDER [--json FILE]

Ours, the plain pipeline (facenet-pytorch's MTCNN on the whole picture and a MobileNetV3-small)
and our own floor take turns at every photo; then the stages of ours, whole processes, memory and
size. Ratios hold on a machine at work, too; milliseconds only on an idle one.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shelly_local import EmotionClassifier, __version__
from shelly_local.batch.inputs import named_photo
from shelly_local.batch.processes import lines_side_by_side
from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError

from ..peers import open_peer
from ..results import processor, write
from ..timing import measure, turns
from . import endurance, footprint
from .same_answers import compare_folder
from .stages import STAGES, Floor, profile

PEER = "peer:facenet-mobilenet"
#: Jobs over many photos, of which the median counts.
JOBS = 5
#: Rows of a job per process that are not counted at the beginning, while processes start and
#: what is handed over ahead piles up; that are counted; during which there must be more to do.
SETTLING, COUNTED, AHEAD = 24, 100, 16


def figures(
    contenders: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of each contender, taking turns.

    Returns:
        For each ``p50_ms`` and ``p95_ms`` of wall-clock, and ``cpu_ms``, the median processor
        time of all threads.
    """
    results = {}
    for name, samples in measure(contenders, rounds).items():
        wall, cpu = np.array(samples).T
        p50, p95 = np.quantile(wall, (0.5, 0.95))
        results[name] = {
            "p50_ms": _rounded(p50),
            "p95_ms": _rounded(p95),
            "cpu_ms": _rounded(np.median(cpu)),
        }
    return results


def job_ms(photo: Path, processes: int) -> float:
    """Wall-clock per photo in the middle of a ``shelly classify`` over copies of a photo."""
    photos = (named_photo(str(photo)) for _ in range(processes * (SETTLING + COUNTED + AHEAD)))
    with closing(lines_side_by_side(photos, processes)) as lines:
        for _ in islice(lines, processes * SETTLING):
            pass
        start = time.perf_counter()
        for _ in islice(lines, processes * COUNTED):
            pass
        return 1000.0 * (time.perf_counter() - start) / (processes * COUNTED)


def photos(paths: Sequence[Path], rounds: int, peer: bool) -> dict[str, Any]:
    """Every photo by every contender; ratios of wall-clock medians and of processor time."""
    ours, single = EmotionClassifier(), EmotionClassifier(threads=1)
    plain = open_peer(PEER) if peer else None
    cores = os.cpu_count() or 1
    results: dict[str, Any] = {}
    for path in tqdm(paths, desc="photos", disable=None):
        content = path.read_bytes()
        classify = partial(ours.classify, content)
        contenders: dict[str, Callable[[], object]] = {"ours": classify}
        contenders["floor"] = Floor(ours, content).run
        if plain is not None:
            contenders["plain"] = partial(plain.classify, content)
        times = figures(contenders, rounds)
        # By itself, as the job is: in turns, the plain pipeline's threads are in a photo's way.
        # And in turns with jobs: a machine's speed changes from minute to minute.
        singles, jobs = [], []
        for _ in range(JOBS):
            singles.append(figures({"ours": classify}, rounds)["ours"]["p50_ms"])
            jobs.append(job_ms(path, cores))
        alone, many = _rounded(np.median(singles)), float(np.median(jobs))
        ratios = {
            **_ratios("ours", "floor", times),
            # Photos a second.
            "many_to_one": _rounded(alone / many),
            "many_to_one_per_core": _rounded(alone / many / cores),
        }
        if plain is not None:
            ratios |= _ratios("plain", "ours", times)
        samples = profile(single, content, rounds)
        results[path.name] = {
            "times": times,
            "alone_ms": alone,
            "many_ms": _rounded(many),
            "ratios": ratios,
            "stages_ms": {stage: _rounded(np.median(samples[stage])) for stage in STAGES},
        }
    return results


def processes(photo: Path, rounds: int) -> dict[str, Any]:
    """``shelly classify PHOTO`` against the imports alone, interleaved, medians."""
    commands = {
        "classify": footprint.classify_command(photo),
        "imports": footprint.imports_command(),
    }
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for number, names in turns(list(commands), rounds, warm_up=1):  # which fills the file cache
        for name in names:
            sample = footprint.run(commands[name])
            if number >= 0:
                samples[name].append(sample)
    results: dict[str, Any] = {}
    for name, values in samples.items():
        wall, cpu, memory = np.median(np.array(values), axis=0)
        results[name] = {
            "wall_s": round(float(wall), 3),
            "cpu_s": round(float(cpu), 3),
            "peak_memory_mb": round(float(memory), 1),
        }
    for key in ("wall_s", "cpu_s"):
        results[f"ratio_{key}"] = _rounded(results["classify"][key] / results["imports"][key])
    return results


def tables(results: Mapping[str, Any]) -> str:
    """What was measured, for people: Markdown."""
    times, ratios, stages = [], [], []
    for name, photo in results["photos"].items():
        times += [(name, who, *own.values()) for who, own in photo["times"].items()]
        times.append((name, "ours, by itself", photo["alone_ms"], "", ""))
        times.append((name, "many, each", photo["many_ms"], "", ""))
        ratios += [(name, key, value) for key, value in photo["ratios"].items()]
        whole = sum(photo["stages_ms"].values()) or 1.0
        for stage, value in photo["stages_ms"].items():
            stages.append((name, stage, value, f"{100 * value / whole:.0f} %"))
    runs = results["processes"]
    ours, imports = runs["classify"], runs["imports"]
    wall, cpu = (f"{ours[k]} / {imports[k]} = {runs[f'ratio_{k}']}" for k in ("wall_s", "cpu_s"))
    rest = [
        ("`shelly classify` / imports alone, s", wall),
        ("the same, processor time, s", cpu),
        ("peak memory, MB", ours["peak_memory_mb"]),
        ("installed, MB", results["installed_mb"]),
    ]
    return "\n\n".join(
        [
            _table(("photo", "who", "p50 ms", "p95 ms", "CPU ms"), times),
            _table(("photo", "ratio", "value"), ratios),
            _table(("photo", "stage", "CPU ms, one thread", "share"), stages),
            _table(("figure", "value"), rest),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked.

    Returns:
        0; 1 where the fast path answers differently, or something is missing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Time per photo against the plain pipeline and our own floor; stages; "
        "start-up, memory, size. With --same-answers: is the fast path as good?",
        epilog="example: python -m benchmarks.speed tests/pictures/smiling.jpg",
    )
    add = parser.add_argument
    add("photos", nargs="*", type=Path, metavar="PHOTO")
    add("--rounds", type=int, default=30, help="counted rounds (default: 30)")
    add("--no-peer", action="store_true",
        help="leave the plain pipeline out, which needs the extra train")  # fmt: skip
    add("--same-answers", type=Path, metavar="FOLDER", help="compare answers, time nothing")
    add("--http", action="store_true",
        help="photos a second of shelly serve against this process, nothing else")  # fmt: skip
    add("--growth", type=int, metavar="N",
        help="memory over N small copies of the photos, more than "
        f"{endurance.SETTLED:,}, nothing else")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    if bool(arguments.photos) == bool(arguments.same_answers):
        parser.error("give photos to time, or --same-answers with a folder")
    if arguments.growth is not None and arguments.growth <= endurance.SETTLED:
        parser.error(f"--growth must be above {endurance.SETTLED}, got {arguments.growth}")
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {arguments.rounds}")
    try:
        found = _measured(arguments)
        if arguments.json:
            about = {
                "date": date.today().isoformat(),
                "machine": f"{processor()}, {os.cpu_count()} cores",
                "versions": {"shelly-local": __version__, "python": platform.python_version()},
            }
            write(about | found, arguments.json)
    except (ShellyError, OSError) as error:
        complain(getattr(error, "description", None) or str(error))
        return 1
    return int(bool(found.get("differing")))


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, which is printed, too."""
    results: dict[str, Any] = {}
    if arguments.same_answers:
        results = compare_folder(arguments.same_answers)
    elif arguments.http or arguments.growth:
        contents = {path.name: path.read_bytes() for path in arguments.photos}
        if arguments.http:
            results["http"] = {k: endurance.http_ratio(v) for k, v in contents.items()}
        if arguments.growth:
            growth = endurance.memory_growth(list(contents.values()), arguments.growth)
            results["memory"] = growth
    else:
        packages = footprint.installed_megabytes()
        results = {
            "rounds": arguments.rounds,
            "photos": photos(arguments.photos, arguments.rounds, not arguments.no_peer),
            "processes": processes(arguments.photos[0], min(arguments.rounds, 10)),
            "installed_mb": round(sum(packages.values()), 1),
            "packages_mb": packages,
        }
        print(tables(results))
        return results
    for key, value in results.items():
        if key != "differing":
            print(f"{key}: {value}")
    for row in results.get("differing", ()):
        print(row)
    return results


def _ratios(one: str, other: str, times: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {
        f"{one}_to_{other}{end}": _rounded(times[one][key] / times[other][key])
        for end, key in (("", "p50_ms"), ("_cpu", "cpu_ms"))
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _rounded(value: Any) -> float:
    return round(float(value), 2)


if __name__ == "__main__":
    raise SystemExit(main())

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
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shelly_local import EmotionClassifier, __version__
from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError

from . import endurance, folder_job, footprint, same_answers
from .peers import open_peer
from .results import processor, write
from .stages import STAGES, Floor, profile

PEER = "peer:facenet-mobilenet"
#: Rounds that are not counted: caches fill, clocks rise.
WARM_UP = 3
#: Seconds of rest before each measurement: the threads of another library may still spin.
REST_S = 0.02
#: Jobs over many photos, of which the median counts.
JOBS = 5
_MS = 1000.0

Times = dict[str, list[float]]


def measure_photo(
    photo: bytes, contenders: Mapping[str, Callable[[bytes], Any]], rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of each contender on a photo, taking turns, another one first each round.

    Returns:
        For each contender ``p50_ms`` and ``p95_ms`` of wall-clock, and ``cpu_ms``, the median
        processor time of all threads.
    """
    wall: Times = defaultdict(list)
    cpu: Times = defaultdict(list)
    names = list(contenders)
    for number in range(-WARM_UP, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(REST_S)
            start, start_cpu = time.perf_counter(), time.process_time()
            contenders[name](photo)
            spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if number >= 0:
                wall[name].append(_MS * spent)
                cpu[name].append(_MS * spent_cpu)
    return {
        name: {
            "p50_ms": _rounded(np.median(wall[name])),
            "p95_ms": _rounded(np.quantile(wall[name], 0.95)),
            "cpu_ms": _rounded(np.median(cpu[name])),
        }
        for name in names
    }


def photos(paths: Sequence[Path], rounds: int, peer: bool) -> dict[str, Any]:
    """Every photo by every contender; ratios of wall-clock medians and of processor time."""
    ours, single = EmotionClassifier(), EmotionClassifier(threads=1)
    plain = open_peer(PEER) if peer else None
    cores = os.cpu_count() or 1
    results: dict[str, Any] = {}
    for path in tqdm(paths, desc="photos", disable=None):
        name, content = path.name, path.read_bytes()
        contenders: dict[str, Callable[[bytes], Any]] = {"ours": ours.classify}
        contenders["floor"] = _of_any_photo(Floor(ours, content).run)
        if plain is not None:
            contenders["plain"] = plain.classify
        times = measure_photo(content, contenders, rounds)
        warm = times["ours"]
        # By itself, as the job is: in turns, the plain pipeline's threads are in a photo's way.
        # And in turns with jobs: a machine's speed changes from minute to minute.
        singles, jobs = [], []
        for _ in range(JOBS):
            singles.append(measure_photo(content, {"ours": ours.classify}, rounds)["ours"])
            jobs.append(folder_job.milliseconds(path, cores))
        alone = _rounded(np.median([times_alone["p50_ms"] for times_alone in singles]))
        many = float(np.median(jobs))
        ratios = {
            "ours_to_floor": _rounded(warm["p50_ms"] / times["floor"]["p50_ms"]),
            "ours_to_floor_cpu": _rounded(warm["cpu_ms"] / times["floor"]["cpu_ms"]),
            # Photos a second.
            "many_to_one": _rounded(alone / many),
            "many_to_one_per_core": _rounded(alone / many / cores),
        }
        if plain is not None:
            ratios["plain_to_ours"] = _rounded(times["plain"]["p50_ms"] / warm["p50_ms"])
            ratios["plain_to_ours_cpu"] = _rounded(times["plain"]["cpu_ms"] / warm["cpu_ms"])
        samples = profile(single, content, rounds)
        stages = {stage: _rounded(np.median(samples[stage])) for stage in STAGES}
        results[name] = {
            "times": times,
            "alone_ms": alone,
            "many_ms": _rounded(many),
            "ratios": ratios,
            "stages_ms": stages,
        }
    return results


def processes(photo: Path, rounds: int) -> dict[str, Any]:
    """``shelly classify PHOTO`` against the imports alone, interleaved, medians."""
    commands = {
        "classify": footprint.classify_command(photo),
        "imports": footprint.imports_command(),
    }
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            sample = footprint.run(command)
            if number:  # the first one fills the file cache
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
    lines = ["| photo | who | p50 ms | p95 ms | CPU ms |", "| --- | --- | --- | --- | --- |"]
    for name, photo in results["photos"].items():
        for who, times in photo["times"].items():
            lines.append(
                f"| {name} | {who} | {times['p50_ms']} | {times['p95_ms']} | {times['cpu_ms']} |"
            )
        lines.append(f"| {name} | ours, by itself | {photo['alone_ms']} | | |")
        lines.append(f"| {name} | many, each | {photo['many_ms']} | | |")
    lines += ["", "| photo | ratio | value |", "| --- | --- | --- |"]
    for name, photo in results["photos"].items():
        lines += [f"| {name} | {key} | {value} |" for key, value in photo["ratios"].items()]
    lines += ["", "| photo | stage | CPU ms, one thread | share |", "| --- | --- | --- | --- |"]
    for name, photo in results["photos"].items():
        whole = sum(photo["stages_ms"].values()) or 1.0
        for stage, value in photo["stages_ms"].items():
            lines.append(f"| {name} | {stage} | {value} | {100 * value / whole:.0f} % |")
    whole_process, imports = results["processes"]["classify"], results["processes"]["imports"]
    lines += [
        "",
        "| figure | value |",
        "| --- | --- |",
        f"| `shelly classify` / imports alone, s | {whole_process['wall_s']} / "
        f"{imports['wall_s']} = {results['processes']['ratio_wall_s']} |",
        f"| the same, processor time, s | {whole_process['cpu_s']} / "
        f"{imports['cpu_s']} = {results['processes']['ratio_cpu_s']} |",
        f"| peak memory, MB | {whole_process['peak_memory_mb']} |",
        f"| installed, MB | {results['installed_mb']} |",
    ]
    return "\n".join(lines)


def compare_folder(folder: Path) -> dict[str, Any]:
    """Fast path against reference path on every picture of a folder, with a row for each
    that differs.
    """
    fast, reference = EmotionClassifier(), EmotionClassifier(detection="thorough")
    rows = []
    for picture in tqdm(same_answers.find_pictures(folder), desc="pictures", disable=None):
        row = same_answers.compare(picture, fast, reference)
        if row is not None:
            rows.append(row)
    results: dict[str, Any] = {"folder": folder.name, **same_answers.summary(rows)}
    results["differing"] = [
        asdict(row) | {"photo": row.photo.name, "difference": round(row.difference, 4)}
        for row in rows
        if not row.largest_found
        or not row.same_mood
        or row.missed
        or row.difference > same_answers.TOLERANCE
    ]
    return results


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
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--rounds", type=int, default=30, help="counted rounds (default: 30)")
    parser.add_argument(
        "--no-peer",
        action="store_true",
        help="leave the plain pipeline out, which needs the extra train",
    )
    parser.add_argument(
        "--same-answers", type=Path, metavar="FOLDER", help="compare answers, time nothing"
    )
    parser.add_argument(
        "--http",
        action="store_true",
        help="photos a second of shelly serve against those of this process, nothing else",
    )
    parser.add_argument(
        "--growth",
        type=int,
        metavar="N",
        help="memory over N small copies of the photos, more than "
        f"{endurance.SETTLED:,}, nothing else",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    if bool(arguments.photos) == bool(arguments.same_answers):
        parser.error("give photos to time, or --same-answers with a folder")
    if arguments.growth is not None and arguments.growth <= endurance.SETTLED:
        parser.error(f"--growth must be above {endurance.SETTLED}, got {arguments.growth}")
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {arguments.rounds}")
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "versions": {"shelly-local": __version__, "python": platform.python_version()},
    }
    try:
        if arguments.same_answers:
            results |= compare_folder(arguments.same_answers)
            exit_code = int(bool(results["differing"]))
            for key, value in results.items():
                if key != "differing":
                    print(f"{key}: {value}")
            for row in results["differing"]:
                print(row)
        elif arguments.http or arguments.growth:
            contents = {path.name: path.read_bytes() for path in arguments.photos}
            if arguments.http:
                results["http"] = {k: endurance.http_ratio(v) for k, v in contents.items()}
            if arguments.growth:
                results["memory"] = endurance.memory_growth(
                    list(contents.values()), arguments.growth
                )
            exit_code = 0
            for key in ("http", "memory"):
                if key in results:
                    print(f"{key}: {results[key]}")
        else:
            results |= _measure(arguments.photos, arguments.rounds, not arguments.no_peer)
            exit_code = 0
            print(tables(results))
        if arguments.json:
            write(results, arguments.json)
    except (ShellyError, OSError) as error:
        complain(getattr(error, "description", None) or str(error))
        return 1
    return exit_code


def _measure(paths: Sequence[Path], rounds: int, peer: bool) -> dict[str, Any]:
    packages = footprint.installed_megabytes()
    return {
        "rounds": rounds,
        "photos": photos(paths, rounds, peer),
        "processes": processes(paths[0], min(rounds, 10)),
        "installed_mb": round(sum(packages.values()), 1),
        "packages_mb": packages,
    }


def _of_any_photo(run: Callable[[], None]) -> Callable[[bytes], None]:
    """A contender that has its photo already."""
    return lambda _: run()


def _rounded(value: Any) -> float:
    return round(float(value), 2)


if __name__ == "__main__":
    raise SystemExit(main())

"""Bytes of a file in, answer out: time per picture, and pictures a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from shelly_local.errors import ImageUnreadableError, ShellyError
from shelly_local.vision.images import decode

from . import processes
from .accuracy import CHECK_SIDE, Report, message_counts
from .contenders import Budget, Entry
from .journal import Journal, Row
from .processes import Photo
from .timing import DECIMALS, REST_S, WARM_UP, percentiles, turns

#: Pictures of a level of concurrency: at least so many, and so many for each thread.
LEVEL_PICTURES, PICTURES_PER_THREAD = 16, 4


def read_photos(paths: Sequence[Path], report: Report) -> tuple[list[Photo], int]:
    """The pictures that can be decoded, and how many cannot, which are reported.

    Files of the same name are told apart by their folders.
    """
    paths = list(dict.fromkeys(paths))
    names = [path.name for path in paths]
    photos: list[Photo] = []
    for path in paths:
        name = path.name if names.count(path.name) == 1 else path.as_posix()
        try:
            content = path.read_bytes()
            decoded = decode(content, max_side=CHECK_SIDE)
        except OSError as error:
            problem: ShellyError = ImageUnreadableError(f"cannot be read: {error.strerror}")
        except ShellyError as error:
            problem = error
        else:
            photos.append(Photo(name, path, content, decoded.width, decoded.height))
            continue
        report.problem(f"{path}: {problem.description}")
    return photos, len(paths) - len(photos)


def measure_warm(
    entries: Sequence[Entry],
    photos: Sequence[Photo],
    runs: int,
    journal: Journal,
    budget: Budget,
    report: Report,
) -> None:
    """Time every backend on every photo ``runs`` times, after ``WARM_UP`` discarded rounds.

    Backends take turns at each photo, another one first in each round, so that a slow moment
    of the machine hits all alike.
    """
    done = {
        (row["backend"], row["photo"], row["run"])
        for row in journal.rows
        if row["stage"] == "warm" and "error" not in row
    }
    for run, photo, entry in _plan(entries, photos, runs):
        if run < 0:
            wanted = any((entry.name, photo.name, number) not in done for number in range(runs))
        else:
            wanted = (entry.name, photo.name, run) not in done
        if wanted and entry.usable and budget.take(entry):
            row: Row = {"stage": "warm", "backend": entry.name, "photo": photo.name, "run": run}
            row["calls"] = 1
            try:
                with entry.stopwatch:
                    time.sleep(REST_S)
                    start = time.perf_counter()
                    _, phases = entry.classify(photo.content)
                    row["ms"] = round(1000 * (time.perf_counter() - start), 3)
                row |= {"phases": phases} if phases else {}
            except ShellyError as error:
                row["error"] = error.as_dict()
                _tell(entry, photo.name, error, report)
            journal.append(row)
        report.advance()


def measure_throughput(
    entries: Sequence[Entry],
    photos: Sequence[Photo],
    levels: Sequence[int],
    journal: Journal,
    budget: Budget,
    report: Report,
) -> None:
    """Pictures a second with several threads asking at the same time, photo after photo."""
    done = {
        (row["backend"], row["concurrency"])
        for row in journal.rows
        if row["stage"] == "throughput" and "error" not in row
    }
    for threads in levels:
        for entry in entries:
            count = max(LEVEL_PICTURES, PICTURES_PER_THREAD * threads)
            row: Row = {"stage": "throughput", "backend": entry.name, "concurrency": threads}
            if (
                (entry.name, threads) not in done
                and entry.usable
                and (threads == 1 or entry.thread_safe)
                and budget.take(entry, count)
            ):
                row["calls"] = row["pictures"] = count
                try:
                    row["seconds"] = round(_seconds(entry, photos, count, threads), 6)
                except ShellyError as error:
                    row["error"] = error.as_dict()
                    _tell(entry, f"{threads} at a time", error, report)
                journal.append(row)
            report.advance()


def steps(entries: Sequence[Entry], photos: Sequence[Photo], runs: int, levels: int) -> int:
    """How often ``measure_warm`` and ``measure_throughput`` advance."""
    return len(entries) * (len(photos) * (WARM_UP + runs) + levels)


def summarise(
    rows: Sequence[Row], entries: Sequence[Entry], photos: Sequence[Photo]
) -> dict[str, Any]:
    """Figures of each backend under ``backends``, and the photos themselves."""
    return {
        "photos": {
            photo.name: {
                "bytes": len(photo.content),
                "width": photo.width,
                "height": photo.height,
            }
            for photo in photos
        },
        "backends": {entry.name: _backend(rows, entry, photos) for entry in entries},
    }


def _backend(rows: Sequence[Row], entry: Entry, photos: Sequence[Photo]) -> dict[str, Any]:
    own = [row for row in rows if row["backend"] == entry.name]
    warm = [row for row in own if row["stage"] == "warm" and row["run"] >= 0 and "error" not in row]
    times = {
        photo.name: [row["ms"] for row in warm if row["photo"] == photo.name] for photo in photos
    }
    process = processes.summarise(own, entry.name)
    by_photo = process.pop("processes")
    errors = message_counts(own)
    if entry.error is not None:
        errors.setdefault(entry.error.description, 1)
    return {
        **entry.describe(),
        "n": len(warm),
        **percentiles([row["ms"] for row in warm]),
        "photos": {
            name: {
                "n": len(values),
                **percentiles(values),
                **by_photo.get(name, {}),
                "samples_ms": [round(value, DECIMALS) for value in values],
            }
            for name, values in times.items()
        },
        **process,
        "pictures_per_second": {
            str(row["concurrency"]): round(row["pictures"] / row["seconds"], 2)
            for row in own
            if row["stage"] == "throughput" and "error" not in row
        },
        "phases": _phases(warm),
        "errors": errors,
    }


def _phases(warm: Sequence[Row]) -> dict[str, float]:
    """Median of each part of the calls to a cloud, in milliseconds."""
    parts = [row["phases"] for row in warm if "phases" in row]
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: round(float(np.median([part[name] for part in parts if name in part])), DECIMALS)
        for name in names
    }


def _plan(
    entries: Sequence[Entry], photos: Sequence[Photo], runs: int
) -> Iterator[tuple[int, Photo, Entry]]:
    for run, order in turns(entries, runs):
        for photo in photos:
            for entry in order:
                yield run, photo, entry


def _seconds(entry: Entry, photos: Sequence[Photo], count: int, threads: int) -> float:
    contents = [photos[number % len(photos)].content for number in range(count)]
    pool = ThreadPoolExecutor(threads)
    try:
        start = time.perf_counter()
        for _ in pool.map(entry.classify, contents):
            pass
        return time.perf_counter() - start
    finally:
        pool.shutdown(cancel_futures=True)


def _tell(entry: Entry, what: str, error: ShellyError, report: Report) -> None:
    report.problem(f"{entry.name}: {what}: {error.description}")
    if entry.error is not None:
        report.problem(f"{entry.name} is not asked any more: {entry.error.description}")

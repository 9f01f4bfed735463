"""What a backend costs as a process of its own: cold start, processor time, memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelly_local.errors import ShellyError

from . import children
from .accuracy import Report
from .contenders import Budget, Entry
from .journal import Journal, Row
from .timing import turns

STAGES = ("cold", "steady")
#: Answers after the first one over which processor time is averaged.
STEADY_ROUNDS = 5
#: Seconds after which a child process is taken for hung.
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Photo:
    """A picture file to time.

    Attributes:
        name: key in results.
        path: where it is.
        content: its bytes.
        width, height: of the upright picture, in pixels.
    """

    name: str
    path: Path
    content: bytes
    width: int
    height: int


def measure(
    entries: Sequence[Entry],
    photos: Sequence[Photo],
    cold_runs: int,
    journal: Journal,
    budget: Budget,
    report: Report,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Fresh processes, interleaved between backends; rows of what is missing in the journal.

    Stage ``cold``: one answer to the first photo, ``cold_runs`` times after one that warms
    the file cache and is discarded. Stage ``steady``: every photo in a process of its own,
    the first answer and ``STEADY_ROUNDS`` more.
    """
    done = {
        (row["stage"], row["backend"], row["photo"], row["run"])
        for row in journal.rows
        if row["stage"] in STAGES and "error" not in row
    }
    for stage, entry, photo, run in _plan(entries, photos, cold_runs):
        if run < 0:
            wanted = any(
                ("cold", entry.name, photo.name, number) not in done for number in range(cold_runs)
            )
        else:
            wanted = (stage, entry.name, photo.name, run) not in done
        calls = 1 + (STEADY_ROUNDS if stage == "steady" else 0)
        if wanted and entry.usable and budget.take(entry, calls):
            row: Row = {"stage": stage, "backend": entry.name, "photo": photo.name, "run": run}
            row["calls"] = calls
            try:
                row |= run_child(entry.name, photo.path, calls - 1, (options or {}).get(entry.name))
            except ShellyError as error:
                row["error"] = error.as_dict()
                entry.failed(error)
                report.problem(f"{entry.name}: in a process of its own: {error.description}")
            journal.append(row)
        report.advance()


def steps(entries: Sequence[Entry], photos: Sequence[Photo], cold_runs: int) -> int:
    """How often ``measure`` advances."""
    return sum(1 for _ in _plan(entries, photos, cold_runs))


def run_child(
    name: str, photo: Path, rounds: int, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One process that opens a backend and asks it.

    Returns:
        ``process_s`` from start to exit, ``first_answer_s`` from start to the first answer,
        ``phases`` of the first answer, ``cpu_s`` per later answer (user and system, all
        threads; None without rounds), ``peak_memory_mb``.

    Raises:
        ShellyError: the process failed or did not end.
    """
    command = [sys.executable, "-m", f"{__package__}.worker", name, str(photo.resolve())]
    command += ["--rounds", str(rounds), "--options", json.dumps(dict(options or {}))]
    with tempfile.TemporaryFile() as messages:
        start = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=children.environment(),
            text=True,
        )
        watchdog = threading.Timer(TIMEOUT_S, child.kill)
        watchdog.start()
        try:
            assert child.stdout is not None
            first = child.stdout.readline()
            first_answer = time.perf_counter() - start
            rest = child.stdout.read()
            child.wait()
            process = time.perf_counter() - start
        finally:
            watchdog.cancel()
            child.kill()  # no effect on one that has ended
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        values = _parsed(first) | _parsed(rest)
        if "error" in values:
            error = ShellyError(str(values["error"]["description"]))
            error.code = int(values["error"]["code"])
            raise error
        if child.returncode or "peak_memory_mb" not in values:
            messages.seek(0)
            lines = messages.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {child.returncode}"
            if process >= TIMEOUT_S:
                reason = f"no end after {TIMEOUT_S:.0f} s"
            raise ShellyError(f"the process failed: {reason}")
    return {
        "process_s": round(process, 4),
        "first_answer_s": round(first_answer, 4),
        **values,
    }


def summarise(rows: Iterable[Row], name: str) -> dict[str, Any]:
    """Figures of one backend.

    Returns:
        ``cold`` with the medians ``process_s`` and ``first_answer_s`` and ``runs``;
        ``processes`` by photo with ``cpu_s`` per picture and ``peak_memory_mb``, which also
        stand at the top: the mean, and the maximum. None where nothing was measured.
    """
    own = [
        row
        for row in rows
        if row["backend"] == name and row["stage"] in STAGES and "error" not in row
    ]
    cold = [row for row in own if row["stage"] == "cold" and row["run"] >= 0]
    steady = {row["photo"]: row for row in own if row["stage"] == "steady"}
    times = [row["cpu_s"] for row in steady.values()]
    peaks = [row["peak_memory_mb"] for row in steady.values() if row["peak_memory_mb"]]
    return {
        "cold": {
            "runs": len(cold),
            "process_s": round(statistics.median(row["process_s"] for row in cold), 3),
            "first_answer_s": round(statistics.median(row["first_answer_s"] for row in cold), 3),
            "phases": cold[0]["phases"],
        }
        if cold
        else None,
        "cpu_s": round(statistics.fmean(times), 4) if times else None,
        "peak_memory_mb": max(peaks, default=None),
        "processes": {
            photo: {"cpu_s": round(row["cpu_s"], 4), "peak_memory_mb": row["peak_memory_mb"]}
            for photo, row in steady.items()
        },
    }


def _plan(
    entries: Sequence[Entry], photos: Sequence[Photo], cold_runs: int
) -> Iterable[tuple[str, Entry, Photo, int]]:
    for run, order in turns(entries, cold_runs, min(cold_runs, 1)):
        for entry in order:
            yield "cold", entry, photos[0], run
    for photo in photos:
        for entry in entries:
            yield "steady", entry, photo, 0


def _parsed(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text)) if text.strip() else {}
    except ValueError:
        return {}

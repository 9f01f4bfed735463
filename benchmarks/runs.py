"""The runs behind ``shelly benchmark accuracy`` and ``latency``, from arguments to exit code."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from shelly_local.batch.writers import complain
from shelly_local.errors import DataError

from . import accuracy as accuracies
from . import contents, data_sets, processes, results
from . import latency as latencies
from .accuracy import Report
from .contenders import Budget, ContenderError, Entry, open_all, parse_names
from .data import parse_mapping, parse_subjects
from .journal import Journal, Row, partial_file, rows_file
from .metrics import FAILED, UNREADABLE

HSEMOTION = "peer:hsemotion-onnx"


def accuracy(arguments: argparse.Namespace) -> int:
    """Score backends on labelled pictures.

    Returns:
        0, or 1 when a picture could not be read or a backend failed.

    Raises:
        ShellyError: nothing can be scored.
        SystemExit: wrong usage.
    """
    _check(arguments)
    data = data_sets.load(
        arguments.data,
        arguments.kind,
        mapping=parse_mapping(arguments.map),
        subjects=parse_subjects(arguments.subjects) if arguments.subjects else None,
        part=arguments.part,
        labels=arguments.labels,
        frames=arguments.frames,
    )
    for reason, number in data.left_out.items():
        complain(f"left out: {reason} ({number})")
    pictures = accuracies.chosen(data.pictures, arguments.limit, arguments.seed)
    header = {
        "kind": "accuracy",
        "data": accuracies.fingerprint(data.pictures),
        "limit": arguments.limit,
        "seed": arguments.seed,
    }
    with (
        _entries(arguments, scored=True) as entries,
        _journal(arguments, header, entries) as journal,
        _reporting(len(pictures) * len(entries), arguments.quiet) as report,
    ):
        budget = _budget(arguments, entries, journal)
        rows = accuracies.ask_all(pictures, entries, journal, budget, report)
        content = {
            "kind": "accuracy",
            **results.environment(arguments.command, arguments.seed),
            "data": data.as_dict() | {"asked_about": len(pictures)},
            **accuracies.summarise(rows, entries, data, arguments.seed),
        }
        failed = any(row["status"] == FAILED for row in rows)
        _finish(arguments, content, journal, rows, failed=failed, spent=budget.refused)
    print(contents.accuracy_title(content))
    print(contents.plain(contents.accuracy_table(content)))
    if content["comparisons"]:
        print(contents.plain(contents.comparison_table(content)))
    return int(failed or any(row["status"] == UNREADABLE for row in rows))


def latency(arguments: argparse.Namespace) -> int:
    """Time backends on photos.

    Returns:
        0, or 1 when a photo could not be read or a backend failed.

    Raises:
        ShellyError: nothing can be timed.
        SystemExit: wrong usage.
    """
    _check(arguments)
    photos, unreadable = latencies.read_photos(arguments.photos, Report(problem=complain))
    if not photos:
        raise DataError("none of the photos can be read")
    header = {
        "kind": "latency",
        "photos": {p.name: hashlib.sha256(p.content).hexdigest() for p in photos},
        "runs": arguments.runs,
        "cold_runs": arguments.cold_runs,
        "concurrency": list(arguments.concurrency),
    }
    options = _options(arguments)
    levels = arguments.concurrency
    with (
        _entries(arguments, scored=False) as entries,
        _journal(arguments, header, entries) as journal,
    ):
        total = processes.steps(entries, photos, arguments.cold_runs)
        total += latencies.steps(entries, photos, arguments.runs, len(levels))
        budget = _budget(arguments, entries, journal)
        with _reporting(total, arguments.quiet) as report:
            for entry in entries:
                if entry.error is not None:
                    report.problem(f"{entry.name}: {entry.error.description}")
            processes.measure(
                entries, photos, arguments.cold_runs, journal, budget, report, options
            )
            latencies.measure_warm(entries, photos, arguments.runs, journal, budget, report)
            latencies.measure_throughput(entries, photos, levels, journal, budget, report)
        content = {
            "kind": "latency",
            **results.environment(arguments.command, arguments.seed),
            **latencies.summarise(journal.rows, entries, photos),
        }
        failed = any(entry.error is not None for entry in entries) or any(
            values["n"] < arguments.runs * len(photos) and values["errors"]
            for values in content["backends"].values()
        )
        _finish(arguments, content, journal, journal.rows, failed=failed, spent=budget.refused)
    print(contents.latency_title(content))
    print(contents.plain(contents.latency_table(content)))
    return int(failed or unreadable > 0)


def _check(arguments: argparse.Namespace) -> None:
    """What can be told before anything is loaded."""
    if arguments.json:
        results.check_writable(arguments.json)


@contextmanager
def _entries(arguments: argparse.Namespace, *, scored: bool) -> Iterator[list[Entry]]:
    """The backends, opened, and closed at the end."""
    try:
        entries = open_all(
            parse_names(arguments.backends),
            allow_cloud=arguments.allow_cloud,
            scored=scored,
            options=_options(arguments),
        )
    except ContenderError as error:
        arguments.usage_error(error.description)
        raise  # usage_error has ended the program
    try:
        yield entries
    finally:
        for entry in entries:
            entry.close()


def _options(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    weights = arguments.hsemotion_weights
    return {HSEMOTION: {"weights": str(weights)}} if weights else {}


def _journal(
    arguments: argparse.Namespace, header: Mapping[str, Any], entries: Sequence[Entry]
) -> Journal:
    """What a stopped run measured, without what another model than the present one gave."""
    file = partial_file(arguments.json) if arguments.json else None
    journal = Journal(file, header, restart=arguments.restart)
    models = {entry.name: entry.model for entry in entries}
    if stale := journal.expect({name: model for name, model in models.items() if model}):
        complain(f"{stale} rows in {file} are of another model and are measured again")
    if journal.rows:
        complain(f"going on from {len(journal.rows)} rows in {file}")
    return journal


def _budget(arguments: argparse.Namespace, entries: Sequence[Entry], journal: Journal) -> Budget:
    """What is left of ``--max-calls`` after the earlier part of the run."""
    clouds = {entry.name for entry in entries if not entry.is_local}
    spent = sum(row.get("calls", 1) for row in journal.rows if row["backend"] in clouds)
    return Budget(arguments.max_calls, spent)


@contextmanager
def _reporting(total: int, quiet: bool) -> Iterator[Report]:
    """A progress bar on a terminal, and problems as lines above it."""
    from tqdm import tqdm

    with tqdm(total=total, disable=True if quiet else None, leave=False) as bar:

        def problem(text: str) -> None:
            with bar.external_write_mode():
                complain(text)

        advance: Callable[[], None] = bar.update
        yield Report(problem, advance)


def _finish(
    arguments: argparse.Namespace,
    content: Mapping[str, Any],
    journal: Journal,
    rows: Sequence[Row],
    *,
    failed: bool,
    spent: bool,
) -> None:
    """Write results and rows; what a run left open stays where the same command finds it."""
    if spent:
        complain(
            f"--max-calls {arguments.max_calls} is spent; the same command with a larger one asks "
            "about the rest"
        )
    if not arguments.json:
        return
    results.write(content, arguments.json)
    journal.write(rows, rows_file(arguments.json))
    if failed:
        complain(
            "some answers are missing; the same command asks for them again and keeps the rest "
            f"({partial_file(arguments.json)})"
        )
    if not failed and not spent:
        journal.remove()

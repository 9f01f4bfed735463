"""Labelled pictures through every backend, and what follows from their answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from shelly_local.errors import ImageError, ShellyError
from shelly_local.results import CLASSES, PhotoEmotions
from shelly_local.vision.images import decode

from .contenders import Budget, Entry
from .data import LabelledData, Picture
from .journal import Journal, Row
from .metrics import (
    ANSWERED,
    COUNTED,
    FAILED,
    NO_FACE,
    NOT_ASKED,
    REFUSED,
    UNREADABLE,
    UNSURE,
    evaluate,
    is_right,
)
from .significance import compare, interval
from .timing import percentiles

#: Longer side, in pixels, to which a refused picture is decoded to see whether anybody can.
CHECK_SIDE = 64


@dataclass(frozen=True)
class Report:
    """How a run tells what happens.

    Attributes:
        problem: called with a sentence for standard error.
        advance: called after each row.
    """

    problem: Callable[[str], None] = lambda text: None
    advance: Callable[[], None] = lambda: None


def chosen(pictures: Sequence[Picture], limit: int | None, seed: int) -> list[Picture]:
    """The pictures in the order of asking, drawn at random.

    A run that ends early, by a budget or by Ctrl-C, so leaves a fair sample, not one class.

    Args:
        pictures: sorted by name.
        limit: at most so many; None for all.
        seed: of the order.
    """
    order = list(pictures)
    Random(seed).shuffle(order)
    return order[:limit]


def fingerprint(pictures: Sequence[Picture]) -> str:
    """SHA-256 of names, labels and subjects: a resumed run must ask about the same ones."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.name}\0{picture.label}\0{picture.subject}\n".encode())
    return digest.hexdigest()


def ask_all(
    pictures: Sequence[Picture],
    entries: Sequence[Entry],
    journal: Journal,
    budget: Budget,
    report: Report,
) -> list[Row]:
    """Ask every backend about every picture that it was not asked about before.

    What came back goes to the journal at once. A later run asks again only about pictures at
    which the service failed, and those beyond the budget.

    Returns:
        A row per backend and picture: ``backend``, ``picture``, ``label``, ``subject``,
        ``status``, and as far as known ``scores``, ``faces``, ``ms``, ``error``.
    """
    known = {(row["backend"], row["picture"]): row for row in journal.rows if "picture" in row}
    rows: list[Row] = []
    for entry in entries:
        if entry.error is not None:
            report.problem(f"{entry.name}: {entry.error.description}")
    for picture in pictures:
        content: bytes | ShellyError | None = None
        for entry in entries:
            row = known.get((entry.name, picture.name))
            if row is None or row["status"] == FAILED:
                if content is None:
                    content = _read(picture, report)
                row = _ask(entry, picture, content, budget, journal, report)
            rows.append(row)
            report.advance()
    return rows


def summarise(
    rows: Sequence[Row], entries: Sequence[Entry], data: LabelledData, seed: int
) -> dict[str, Any]:
    """Figures of each backend under ``backends``, and ``comparisons`` between them."""
    subjects = {picture.name: picture.subject for picture in data.pictures}
    backends: dict[str, Any] = {}
    right: dict[str, dict[str, bool]] = {}
    for entry in entries:
        own = [row for row in rows if row["backend"] == entry.name]
        counted = [row for row in own if row["status"] in COUNTED]
        right[entry.name] = {row["picture"]: is_right(row) for row in counted}
        hits = [float(value) for value in right[entry.name].values()]
        people = [subjects[name] for name in right[entry.name]]
        times = percentiles([row["ms"] for row in counted if "ms" in row])
        backends[entry.name] = {
            **entry.describe(),
            **evaluate(own),
            "accuracy_ci95": interval(hits, people, seed),
            "subjects": len(set(people)),
            **times,
            "errors": message_counts(own),
        }
    return {"backends": backends, "comparisons": compare(right, subjects, seed)}


def message_counts(rows: Sequence[Row]) -> dict[str, int]:
    """How often each error message came."""
    counts: dict[str, int] = {}
    for row in rows:
        if "error" in row:
            text = str(row["error"]["description"])
            counts[text] = counts.get(text, 0) + 1
    return counts


def _ask(
    entry: Entry,
    picture: Picture,
    content: bytes | ShellyError,
    budget: Budget,
    journal: Journal,
    report: Report,
) -> Row:
    row: Row = {
        "backend": entry.name,
        "picture": picture.name,
        "label": picture.label,
        "subject": picture.subject,
    }
    if isinstance(content, ShellyError):
        return row | {"status": UNREADABLE, "error": content.as_dict()}
    if not entry.usable:
        error = entry.error or ShellyError("not open")
        return row | {"status": FAILED, "error": error.as_dict()}
    if not budget.take(entry):
        return row | {"status": NOT_ASKED}
    start = time.perf_counter()
    try:
        answer, _ = entry.classify(content)
        row |= {"ms": round(1000 * (time.perf_counter() - start), 2)} | _outcome(answer)
    except ImageError as error:
        row |= {"status": _blame(content), "error": error.as_dict()}
    except ShellyError as error:
        row |= {"status": FAILED, "error": error.as_dict()}
    if "error" in row:
        report.problem(f"{entry.name}: {picture.name}: {row['error']['description']}")
        if entry.error is not None:
            report.problem(f"{entry.name} is not asked any more: {entry.error.description}")
    journal.append(row)
    return row


def _outcome(answer: PhotoEmotions) -> Row:
    face = answer.largest
    if face is None:
        return {"status": NO_FACE, "faces": 0}
    sure = bool(getattr(face, "answered", True))
    scores = [round(float(face.scores.get(name, 0.0)), 6) for name in CLASSES]
    return {
        "status": ANSWERED if sure else UNSURE,
        "faces": len(answer.faces),
        "scores": scores,
    }


def _blame(content: bytes) -> str:
    """Whether nobody can read the picture, or only the backend that refused it."""
    try:
        decode(content, max_side=CHECK_SIDE)
    except ImageError:
        return UNREADABLE
    return REFUSED


def _read(picture: Picture, report: Report) -> bytes | ShellyError:
    try:
        return picture.read()
    except ShellyError as error:
        report.problem(f"{picture.name}: {error.description}")
        return error

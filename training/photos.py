"""Photos in class folders through the whole pipeline: scores, pairs, groups of people."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shelly_local.errors import DataError, ShellyError
from shelly_local.results import CLASSES
from shelly_local.vision.classifier import EmotionClassifier

from .metrics import Scores, interval_by_subject, score

#: Upper ends of the bands into which numbers such as ages are put, in the unit of the column.
BANDS = (24.0, 34.0, 44.0)


@dataclass(frozen=True)
class Outcome:
    """What became of one readable photo.

    Attributes:
        label: its class folder.
        subject: its file name without suffix; the same name in another folder is the
            same person.
        scores: probabilities of the largest face in ``CLASSES`` order; None without a face.
    """

    label: str
    subject: str
    scores: tuple[float, ...] | None

    @property
    def right(self) -> bool:
        """Whether the most probable class is the folder's; without a face it is not."""
        return self.scores is not None and CLASSES[int(np.argmax(self.scores))] == self.label


def find_photos(tree: Path) -> dict[str, list[Path]]:
    """The photos of each class folder.

    Raises:
        DataError: no class folder, or an empty one.
    """
    if not tree.is_dir():
        raise DataError(f"{tree} is not a folder; give one with a folder per class.")
    photos = {
        name: sorted(p for p in (tree / name).iterdir() if p.is_file() and p.name[0] != ".")
        for name in CLASSES
        if (tree / name).is_dir()
    }
    if not photos:
        raise DataError(f"{tree} has no folder named after a class: {', '.join(CLASSES)}.")
    for name, files in photos.items():
        if not files:
            raise DataError(f"the class folder {tree / name} holds no photo.")
    return photos


def classify_photos(
    classifier: EmotionClassifier, photos: dict[str, list[Path]]
) -> tuple[list[Outcome], list[str]]:
    """Outcomes of all readable photos, and the names of the others."""
    outcomes, unreadable = [], []
    files = [(label, file) for label, names in photos.items() for file in names]
    for label, file in tqdm(files, desc="photos", disable=None):
        try:
            face = classifier.classify(file).largest
        except ShellyError as error:
            print(f"{file}: {error}", file=sys.stderr)
            unreadable.append(str(file))
            continue
        scores = None if face is None else tuple(face.scores[name] for name in CLASSES)
        outcomes.append(Outcome(label, file.stem, scores))
    return outcomes, unreadable


def score_outcomes(outcomes: Sequence[Outcome]) -> Scores:
    """Scores over all photos; one without a face is wrong, and in no column of the confusion."""
    found = [outcome for outcome in outcomes if outcome.scores is not None]
    rows = np.array([outcome.scores for outcome in found], dtype=float).reshape(-1, len(CLASSES))
    return score(
        np.log(np.maximum(rows, 1e-12)),
        [CLASSES.index(outcome.label) for outcome in found],
        missing=[CLASSES.index(o.label) for o in outcomes if o.scores is None],
    )


def pairs(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """How often a class is more probable on its own photo than on the same person's other.

    Returns:
        For each class with such pairs ``n`` and ``higher``, the share.
    """
    by_photo = {(o.label, o.subject): o.scores for o in outcomes if o.scores is not None}
    result = {}
    for label, index in ((label, CLASSES.index(label)) for label in {o.label for o in outcomes}):
        higher = [
            own[index] > other[index]
            for (own_label, subject), own in by_photo.items()
            for (other_label, other_subject), other in by_photo.items()
            if own_label == label and other_label != label and other_subject == subject
        ]
        if higher:
            result[label] = {"n": len(higher), "higher": float(np.mean(higher))}
    return dict(sorted(result.items()))


def read_groups(file: Path) -> dict[str, dict[str, str]]:
    """Groups of people from a CSV file: subject in the first column, groups in the others.

    Columns of numbers, such as ages, are put into bands.

    Returns:
        For each column, subject to group.

    Raises:
        DataError: missing, or without a column of groups.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    if len(header) < 2:
        raise DataError(f"{file} needs a column of subjects and one of groups or more.")
    return {
        name: {row[0]: _group(row[column]) for row in rows if len(row) == len(header)}
        for column, name in enumerate(header)
        if column > 0
    }


def _group(value: str) -> str:
    """The value itself, or the band of a number."""
    try:
        number = float(value)
    except ValueError:
        return value
    below = 0.0
    for top in BANDS:
        if number <= top:
            return f"{below:.0f}-{top:.0f}"
        below = top + 1
    return f"{below:.0f} and over"


def by_group(
    outcomes: Sequence[Outcome], groups: dict[str, dict[str, str]]
) -> dict[str, dict[str, Any]]:
    """Accuracy and recall of each group, with 95 % intervals by bootstrap over people.

    Returns:
        ``{column: {group: {"subjects", "n", "accuracy", "accuracy_ci95", "recall"}}}``.
    """
    result: dict[str, dict[str, Any]] = {}
    for column, group_of in groups.items():
        result[column] = {}
        for group in sorted(set(group_of.values())):
            members = [o for o in outcomes if group_of.get(o.subject) == group]
            if not members:
                continue
            scores = score_outcomes(members)
            result[column][group] = {
                "subjects": len({o.subject for o in members}),
                "n": scores.n,
                "accuracy": scores.accuracy,
                "accuracy_ci95": interval_by_subject(
                    [o.right for o in members], [o.subject for o in members]
                ),
                "recall": scores.recall,
            }
    return result

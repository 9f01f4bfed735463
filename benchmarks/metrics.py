"""Figures of one backend from its answers: accuracy, F1, confusion, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.commands.beside import beside
from shelly_local.results import CLASSES

Row = Mapping[str, Any]

#: What can become of a picture. The backend answered with a class; it found no face; no class
#: beat the rest; it refused a picture that can be decoded. These count.
ANSWERED, NO_FACE, UNSURE, REFUSED = "answered", "no_face", "unsure", "refused"
COUNTED = (ANSWERED, NO_FACE, UNSURE, REFUSED)
#: These do not count: nobody can read the picture; the service failed; it was not asked.
UNREADABLE, FAILED, NOT_ASKED = "unreadable", "failed", "not_asked"
STATUSES = (*COUNTED, UNREADABLE, FAILED, NOT_ASKED)
#: Decimals of shares in results; more would be noise.
DECIMALS = 5


def is_right(row: Row) -> bool:
    """Whether the answer is the label; no answer is not."""
    return bool(row["status"] == ANSWERED and answer_of(row) == row["label"])


def answer_of(row: Row) -> str | None:
    """The class answered, or None."""
    if row["status"] != ANSWERED:
        return None
    return CLASSES[int(np.argmax(row["scores"]))]


def evaluate(rows: Sequence[Row]) -> dict[str, Any]:
    """All figures of one backend.

    Args:
        rows: one per picture: ``status`` of ``STATUSES``, ``label``, and where a face was
            found ``scores``, in the order of ``CLASSES``, non-negative, of sum 1 at most.

    Returns:
        Ready for JSON. Shares are 0 to 1, or None where there is nothing to take a share of.
        ``confusion`` is 7 x 8: rows the label, columns the answer, the last one no answer.
    """
    counted = [row for row in rows if row["status"] in COUNTED]
    answered = [row for row in counted if row["status"] == ANSWERED]
    confusion = confusion_matrix(counted)
    right = int(np.trace(confusion))
    classes = per_class(confusion)
    f1s = [values["f1"] for values in classes.values()]
    return {
        "n": len(counted),
        "statuses": {s: n for s in STATUSES if (n := sum(row["status"] == s for row in rows))},
        "accuracy": _share(right, len(counted)),
        "accuracy_answered": _share(right, len(answered)),
        "faces_found": _share(sum(row.get("faces", 0) > 0 for row in counted), len(counted)),
        "macro_f1": round(float(np.mean(f1s)), DECIMALS) if f1s else None,
        "classes": classes,
        "confusion": confusion.tolist(),
        "calibration": calibration(answered),
    }


def confusion_matrix(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Counts, int64 (7, 8): rows the label, columns the answer, the last one no answer."""
    counts = np.zeros((len(CLASSES), len(CLASSES) + 1), dtype=np.int64)
    for row in rows:
        answer = answer_of(row)
        column = len(CLASSES) if answer is None else CLASSES.index(answer)
        counts[CLASSES.index(row["label"]), column] += 1
    return counts


def per_class(confusion: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    """``n``, precision, recall and F1 of each class with a picture.

    Precision is 0 where the class was never answered, as is usual.
    """
    totals, answers = confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        name: {
            "n": int(totals[i]),
            "precision": round(float(confusion[i, i] / max(answers[i], 1)), DECIMALS),
            "recall": round(float(confusion[i, i] / totals[i]), DECIMALS),
            "f1": round(float(2 * confusion[i, i] / (totals[i] + answers[i])), DECIMALS),
        }
        for i, name in enumerate(CLASSES)
        if totals[i]
    }


def calibration(answered: Sequence[Row]) -> dict[str, Any] | None:
    """How far scores can be taken for probabilities, over the pictures answered.

    ``ece`` is the expected calibration error with 15 bins of equal width (Guo et al. 2017,
    "On Calibration of Modern Neural Networks"). ``brier`` is the sum over the classes of the
    squared difference to the truth, on average (Brier 1950), 0 to 2; what the scores lack to
    1 counts as a class of its own that is never true.

    Returns:
        ``ece``, ``brier`` and ``bins`` with ``n``, ``confidence`` and ``accuracy``; None
        without an answer.
    """
    if not answered:
        return None
    scores = np.array([row["scores"] for row in answered], dtype=np.float64)
    truth = np.array([CLASSES.index(row["label"]) for row in answered])
    rest = np.maximum(1.0 - scores.sum(axis=1), 0.0)
    wanted = np.eye(len(CLASSES))[truth]
    brier = ((scores - wanted) ** 2).sum(axis=1) + rest**2
    metrics = beside("training.metrics")
    bins = metrics.reliability_bins(scores, truth)
    return {
        "ece": round(metrics.expected_calibration_error(scores, truth), DECIMALS),
        "brier": round(float(brier.mean()), DECIMALS),
        "bins": [{name: round(value, DECIMALS) for name, value in b.items()} for b in bins],
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, DECIMALS) if whole else None

"""Scores of a classifier: accuracy, recall, calibration. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shelly_local.results import CLASSES

#: Bins of the expected calibration error, as Guo et al. 2017 use.
CALIBRATION_BINS = 15
#: Draws of the bootstrap over people; enough for two digits of a 95 % interval.
BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Scores:
    """What a classifier did on labelled faces.

    Attributes:
        n: number of faces.
        accuracy: share answered rightly.
        macro_recall: mean of the classes' recalls, classes without a face left out.
        recall: recall of each class with at least one face.
        precision, f1: of the same classes; 0 where the class was never answered.
        ece: expected calibration error, 15 bins of equal width.
        reliability: faces by confidence, see ``reliability_bins``.
        confusion: counts, rows the truth, columns the answer, both in ``CLASSES`` order.
    """

    n: int
    accuracy: float
    macro_recall: float
    recall: dict[str, float]
    precision: dict[str, float]
    f1: dict[str, float]
    ece: float
    reliability: list[dict[str, float]]
    confusion: list[list[int]]

    @property
    def macro_f1(self) -> float:
        """Mean of the classes' F1, classes without a face left out."""
        return float(np.mean(list(self.f1.values()))) if self.f1 else 0.0


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Row-wise softmax of (N, C) logits, in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def score(
    logits: ArrayLike, truth: ArrayLike, temperature: float = 1.0, *, missing: ArrayLike = ()
) -> Scores:
    """Score logits (N, 7), or logarithms of probabilities, against class indices (N,).

    Args:
        logits: (N, 7).
        truth: (N,) indices into ``CLASSES``.
        temperature: divides the logits.
        missing: classes of pictures without an answer, such as those without a face: they
            count as wrong everywhere but in calibration and confusion.
    """
    logits = np.asarray(logits, dtype=np.float64).reshape(-1, len(CLASSES))
    truth = np.asarray(truth, dtype=np.int64)
    probabilities = softmax(logits / temperature)
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(CLASSES), len(CLASSES)), dtype=int)
    np.add.at(confusion, (truth, answers), 1)
    unanswered = np.bincount(np.asarray(missing, dtype=np.int64), minlength=len(CLASSES))
    totals = confusion.sum(axis=1) + unanswered
    answered = confusion.sum(axis=0)
    recall = {c: float(confusion[i, i] / totals[i]) for i, c in _present(totals)}
    precision = {c: float(confusion[i, i] / max(answered[i], 1)) for i, c in _present(totals)}
    f1 = {c: float(2 * confusion[i, i] / (totals[i] + answered[i])) for i, c in _present(totals)}
    return Scores(
        n=int(totals.sum()),
        accuracy=float(np.trace(confusion) / max(totals.sum(), 1)),
        macro_recall=float(np.mean(list(recall.values()))) if recall else 0.0,
        recall=recall,
        precision=precision,
        f1=f1,
        ece=expected_calibration_error(probabilities, truth),
        reliability=reliability_bins(probabilities, truth),
        confusion=confusion.tolist(),
    )


def _present(totals: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Index and name of the classes that have a face."""
    return [(index, name) for index, name in enumerate(CLASSES) if totals[index]]


def expected_calibration_error(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy over bins of confidence (Guo et al. 2017)."""
    filled = reliability_bins(probabilities, truth, bins)
    gaps = [abs(b["accuracy"] - b["confidence"]) * b["n"] for b in filled]
    return float(sum(gaps) / max(len(truth), 1))


def reliability_bins(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], bins: int = CALIBRATION_BINS
) -> list[dict[str, float]]:
    """Faces by confidence, in bins of equal width.

    Returns:
        For each bin ``n``, mean ``confidence`` and ``accuracy`` (both 0 where n is 0).
    """
    confidence = probabilities.max(axis=1, initial=0.0)
    right = probabilities.argmax(axis=1) == truth
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    result = []
    for number in range(bins):
        chosen = index == number
        result.append(
            {
                "n": int(chosen.sum()),
                "confidence": float(confidence[chosen].mean()) if chosen.any() else 0.0,
                "accuracy": float(right[chosen].mean()) if chosen.any() else 0.0,
            }
        )
    return result


def interval_by_subject(right: ArrayLike, subjects: Sequence[str]) -> list[float]:
    """95 % interval of the accuracy by bootstrap over people, each with all their pictures.

    Pictures of one person are alike; drawing pictures instead would give an interval that
    is too narrow.

    Args:
        right: (N,), whether each picture was answered rightly.
        subjects: (N,), who is on it.
    """
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    hits = np.bincount(index, weights=np.asarray(right, dtype=float), minlength=len(names))
    totals = np.bincount(index, minlength=len(names))
    draws = np.random.default_rng(0).integers(0, len(names), (BOOTSTRAP_DRAWS, len(names)))
    accuracies = hits[draws].sum(axis=1) / totals[draws].sum(axis=1)
    low, high = np.percentile(accuracies, [2.5, 97.5])
    return [float(low), float(high)]


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017).

    Golden-section search over 0.1 to 10 on a logarithmic scale: the likelihood has one
    peak there.
    """

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits / np.exp(log_temperature))
        return float(-np.log(probabilities[np.arange(len(truth)), truth] + 1e-12).mean())

    golden = (np.sqrt(5.0) - 1) / 2
    low, high = np.log(0.1), np.log(10.0)
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))

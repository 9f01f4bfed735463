"""Scores of a classifier: accuracy, recall, calibration. NumPy only."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shelly_local.results import CLASSES

#: Bins of the expected calibration error, as Guo et al. 2017 use.
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Scores:
    """What a classifier did on labelled faces.

    Attributes:
        n: number of faces.
        accuracy: share answered rightly.
        macro_recall: mean of the classes' recalls, classes without a face left out.
        recall: recall of each class with at least one face.
        ece: expected calibration error, 15 bins of equal width.
        confusion: counts, rows the truth, columns the answer, both in ``CLASSES`` order.
    """

    n: int
    accuracy: float
    macro_recall: float
    recall: dict[str, float]
    ece: float
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return asdict(self)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Row-wise softmax of (N, C) logits, in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def score(logits: ArrayLike, truth: ArrayLike, temperature: float = 1.0) -> Scores:
    """Score logits (N, 7), or logarithms of probabilities, against class indices (N,)."""
    logits = np.asarray(logits)
    truth = np.asarray(truth)
    probabilities = softmax(logits / temperature)
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(CLASSES), len(CLASSES)), dtype=int)
    np.add.at(confusion, (truth, answers), 1)
    totals = confusion.sum(axis=1)
    recall = {
        name: float(confusion[index, index] / totals[index])
        for index, name in enumerate(CLASSES)
        if totals[index]
    }
    return Scores(
        n=len(truth),
        accuracy=float((answers == truth).mean()) if len(truth) else 0.0,
        macro_recall=float(np.mean(list(recall.values()))) if recall else 0.0,
        recall=recall,
        ece=expected_calibration_error(probabilities, truth),
        confusion=confusion.tolist(),
    )


def expected_calibration_error(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy over bins of confidence (Guo et al. 2017)."""
    if not len(truth):
        return 0.0
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    gap = np.bincount(index, weights=right, minlength=bins) - np.bincount(
        index, weights=confidence, minlength=bins
    )
    return float(np.abs(gap).sum() / count.sum())


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

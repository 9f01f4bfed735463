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
    recall = {c: float(confusion[i, i] / totals[i]) for i, c in _present(totals)}
    answered = confusion.sum(axis=0)
    precision = {c: float(confusion[i, i] / max(answered[i], 1)) for i, c in _present(totals)}
    f1 = {c: float(2 * confusion[i, i] / (totals[i] + answered[i])) for i, c in _present(totals)}
    return Scores(
        n=len(truth),
        accuracy=float((answers == truth).mean()) if len(truth) else 0.0,
        macro_recall=float(np.mean(list(recall.values()))) if recall else 0.0,
        recall=recall,
        precision=precision,
        f1=f1,
        reliability=reliability_bins(probabilities, truth),
        ece=expected_calibration_error(probabilities, truth),
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

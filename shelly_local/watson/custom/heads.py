"""One-versus-rest heads of a custom classifier: logistic regression with calibrated scores.

Every class has a linear head on the standardised embedding, L2-regularised; how strongly is
chosen by cross-validation. A head's output is turned into a score by Platt scaling (Platt
1999, "Probabilistic outputs for support vector machines", with the targets of Lin, Lin &
Weng 2007, doi:10.1007/s10994-007-5018-6) on the cross-validated outputs. All of it is
deterministic, and the result is one matrix and one vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.watson.custom.minimise import minimise

Floats = NDArray[np.float64]

#: Parts of the cross-validation.
FOLDS = 5
#: Strengths of the regularisation that are tried, strongest first. A head at 10 is nearly the
#: difference of two means, which is the best that ten pictures of a class permit.
STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001)
#: A weaker regularisation must lower the cross-validated loss by this share to be preferred.
LEAST_GAIN = 0.01
#: Share of the mean variance that is added to the variance of each feature: a feature that
#: hardly varies in a few pictures would count most otherwise.
VARIANCE_FLOOR = 0.1
#: How the two sides of a class are weighted, as a power: 1 gives both sides the same weight, 0
#: gives each picture the same. Heads are fitted with 1. Scores are calibrated with 0.5: with
#: 1 a classifier of many classes shows two of them for most faces, with 0 it shows none.
FIT_BALANCE, CALIBRATION_BALANCE = 1.0, 0.5
#: Steps of Newton's method in Platt scaling, which takes about ten.
_NEWTON_STEPS = 100


#: What heads are computed from; see ``learning.inputs``.
KINDS = ("faces", "pictures", "both")


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Linear heads with their calibration multiplied in.

    Attributes:
        weights: float64 (C, D).
        biases: float64 (C,).
        kind: one of ``KINDS``.
        loss: mean cross-validated log loss of a class, both sides weighing the same; ``log(2)`` is
            chance.
    """

    weights: Floats
    biases: Floats
    kind: str = "faces"
    loss: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}")
        if self.weights.ndim != 2 or self.biases.shape != self.weights.shape[:1]:
            raise ValueError(
                "weights must be (C, D) and biases (C,), "
                f"got {self.weights.shape} and {self.biases.shape}"
            )

    def scores(self, embeddings: NDArray[Any]) -> Floats:
        """Scores of N faces or pictures.

        Args:
            embeddings: (N, D), as ``learning.inputs`` gives them.

        Returns:
            float64 (N, C), 0 to 1; the rows do not sum to 1.
        """
        return _sigmoid(embeddings.astype(np.float64) @ self.weights.T + self.biases)


def train_heads(
    embeddings: NDArray[Any], positive: NDArray[np.bool_], kind: str = "faces"
) -> Heads:
    """Fit one head per class.

    Args:
        embeddings: (N, D), finite.
        positive: (N, C), whether the face shows the class. A row without any is a negative
            example of all classes. Every column needs faces of both kinds. Neighbouring
            rows should be neighbours in the upload: cross-validation holds out runs of
            rows, so that the frames of one take are not on both sides.
        kind: what the embeddings are of.

    Raises:
        ValueError: the shapes do not fit, or a class has faces of one kind only.
    """
    features = np.asarray(embeddings, dtype=np.float64)
    if features.ndim != 2 or positive.ndim != 2 or len(features) != len(positive):
        raise ValueError(
            f"need embeddings (N, D) and positive (N, C), got {features.shape}, {positive.shape}"
        )
    if not (positive.any(axis=0) & ~positive.all(axis=0)).all():
        raise ValueError("every class needs faces that show it and faces that do not")
    fold = _folds(positive)
    outputs = np.zeros((len(STRENGTHS), *positive.shape))
    for part in range(FOLDS):
        held_out = fold == part
        if held_out.any():
            outputs[:, held_out] = _path(features[~held_out], positive[~held_out]).outputs(
                features[held_out]
            )
    slopes, offsets, strength, loss = _choose(outputs, positive)
    path = _path(features, positive, STRENGTHS[: strength + 1])
    coefficients = path.coefficients[-1]
    weights = coefficients[:-1].T / path.scale
    biases = coefficients[-1] - weights @ path.mean
    return Heads(
        weights * slopes[:, None], biases * slopes + offsets, kind, loss / positive.shape[1]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """Heads for several strengths: coefficients (S, D + 1, C) on (x - mean) / scale."""

    coefficients: Floats
    mean: Floats
    scale: Floats

    def outputs(self, features: Floats) -> Floats:
        """Outputs (S, N, C) before calibration."""
        return np.asarray(_with_one((features - self.mean) / self.scale) @ self.coefficients)


def _path(
    features: Floats, positive: NDArray[np.bool_], strengths: tuple[float, ...] = STRENGTHS
) -> _Path:
    mean, variance = features.mean(axis=0), features.var(axis=0)
    floor = max(VARIANCE_FLOOR * float(variance.mean()), 1e-12)
    # The root of D makes strengths mean the same whatever the length of the embedding.
    scale = np.sqrt((variance + floor) * features.shape[1])
    design = _with_one((features - mean) / scale)
    signs = np.where(positive, 1.0, -1.0)
    weights = _weights(positive, FIT_BALANCE)
    start = np.zeros((design.shape[1], positive.shape[1]))
    coefficients = []
    for strength in strengths:
        penalty = np.full((design.shape[1], 1), strength)
        penalty[-1] = 1e-6  # next to nothing: the offset is no part of the regularisation

        def loss(values: Floats, penalty: Floats = penalty) -> tuple[float, Floats]:
            margins = signs * (design @ values)
            lost = weights * np.logaddexp(0.0, -margins)
            slope = design.T @ (-signs * weights * _sigmoid(-margins)) + penalty * values
            return float(lost.sum() + 0.5 * (penalty * values * values).sum()), slope

        start = minimise(loss, start)
        coefficients.append(start)
    return _Path(np.stack(coefficients), mean, scale)


def _choose(outputs: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats, int, float]:
    """Slopes (C,), offsets (C,), index of the strength, and its loss, from held-out outputs."""
    signs, weights = np.where(positive, 1.0, -1.0), _weights(positive, FIT_BALANCE)
    best_loss, best = np.inf, None
    for index, output in enumerate(outputs):
        slopes, offsets = _calibrate(output, positive)
        margins = signs * (output * slopes + offsets)
        loss = float((weights * np.logaddexp(0.0, -margins)).sum())
        if best is None or loss < best_loss * (1.0 - LEAST_GAIN):
            best_loss, best = loss, (slopes, offsets, index, loss)
    assert best is not None
    return best


def _calibrate(output: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Platt scaling of each class: score = sigmoid(slope * output + offset)."""
    pairs = [
        _platt(output[:, column], positive[:, column], weights)
        for column, weights in enumerate(_weights(positive, CALIBRATION_BALANCE).T)
    ]
    slopes, offsets = np.array(pairs).T
    return slopes, offsets


def _platt(output: Floats, shows: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    count = int(shows.sum())
    high, low = (count + 1) / (count + 2), 1 / (len(shows) - count + 2)
    targets = np.where(shows, high, low)
    weights = weights * len(shows)
    design = np.stack([output, np.ones_like(output)], axis=1)
    values = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        scores = _sigmoid(design @ values)
        slope = design.T @ (weights * (scores - targets))
        curvature = (design.T * (weights * scores * (1 - scores))) @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        # A whole step may overshoot where the scores are all but certain.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        values = values - step
        if float(np.abs(step).max()) < 1e-8:
            break
    # Outputs that are worse than chance must not turn the head round.
    if values[0] < 0.0:
        mean = float((weights * targets).sum() / weights.sum())
        return 0.0, float(np.log(mean / (1.0 - mean)))
    return float(values[0]), float(values[1])


def _weights(positive: NDArray[np.bool_], balance: float) -> Floats:
    """Weights (N, C) of the faces, summing to 1 for each class."""
    counts = np.maximum(positive.sum(axis=0), 1)
    others = np.maximum((~positive).sum(axis=0), 1)
    weights = np.where(positive, counts**-balance, others**-balance)
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float64)


def _folds(positive: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The part (N,) of the cross-validation: faces with the same classes are cut into runs."""
    _, kind = np.unique(positive, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    fold = np.zeros(len(positive), dtype=np.intp)
    for number in range(int(kind.max()) + 1):
        rows = np.flatnonzero(kind == number)
        # Small kinds begin at different parts, so that no part gets them all.
        offset = number if len(rows) < FOLDS else 0
        fold[rows] = (np.arange(len(rows)) * FOLDS // len(rows) + offset) % FOLDS
    return fold


def _with_one(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=np.float64)

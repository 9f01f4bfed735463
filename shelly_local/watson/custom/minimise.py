"""L-BFGS (Liu & Nocedal 1989, doi:10.1007/BF01589116), small and deterministic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Pairs of steps remembered, and iterations at most.
MEMORY, ITERATIONS = 10, 100
#: The search ends when no slope is larger, or when a step gains less than this share.
LEAST_SLOPE, LEAST_SHARE = 1e-5, 1e-9
#: Armijo's condition: the share of the promised gain that a step must bring.
ARMIJO = 1e-4


def minimise(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """The values at which a smooth convex function is least.

    Args:
        loss: value and gradient; the gradient has the shape of the values.
        start: where to begin, any shape.
    """
    values = start
    level, slope = loss(values)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=MEMORY)
    for _ in range(ITERATIONS):
        if float(np.abs(slope).max()) < LEAST_SLOPE:
            break
        direction = -_times_inverse_hessian(slope, pairs)
        promised = float((slope * direction).sum())
        length = 1.0
        while True:
            step = length * direction
            new_level, new_slope = loss(values + step)
            if new_level <= level + ARMIJO * length * promised:
                break
            length /= 2
            if length < 1e-10:  # rounding errors hide any further gain
                return values
        change = new_slope - slope
        curvature = float((step * change).sum())
        if curvature > 1e-14:
            pairs.append((step, change, 1.0 / curvature))
        gained = level - new_level
        values, level, slope = values + step, new_level, new_slope
        if gained < LEAST_SHARE * max(abs(level), 1.0):
            break
    return values


def _times_inverse_hessian(slope: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """The two-loop recursion."""
    result = slope.copy()
    shares = []
    for step, change, factor in reversed(pairs):
        share = factor * float((step * result).sum())
        shares.append(share)
        result -= share * change
    if pairs:
        _, change, factor = pairs[-1]
        result /= factor * float((change * change).sum())
    for (step, change, factor), share in zip(pairs, reversed(shares), strict=True):
        result += step * (share - factor * float((change * result).sum()))
    return np.asarray(result)

"""Boxes on their way through MTCNN's cascade: overlap, regression, squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def regressed(boxes: Floats, regression: Floats) -> Floats:
    """Move box edges by the network's answer, given as shares of the sides."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return np.asarray(boxes + regression * np.tile(sides, 2), dtype=np.float32)


def squared(boxes: Floats) -> Floats:
    """Grow each box to a square around its centre."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    first = boxes[:, :2] + sides * 0.5 - longest * 0.5
    return np.concatenate([first, first + longest], axis=1)


def suppress(
    boxes: Floats, scores: Floats, threshold: float, *, of_smaller: bool = False
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices that stay, best first.

    Args:
        boxes: (N, 4); scores: (N,).
        threshold: overlap above which the weaker box goes.
        of_smaller: measure overlap against the smaller box (MTCNN's last step) instead of
            the union; boxes then count their last pixel, as in the original.
    """
    extra = 1.0 if of_smaller else 0.0
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2] + extra, 0)
    areas = sides[:, 0] * sides[:, 1]
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        first = np.maximum(boxes[best, :2], boxes[rest, :2])
        last = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = np.prod(np.maximum(last - first + extra, 0), axis=1)
        if of_smaller:
            whole = np.minimum(areas[best], areas[rest])
        else:
            whole = areas[best] + areas[rest] - common
        order = rest[common <= threshold * whole]
    return np.array(kept, dtype=np.intp)

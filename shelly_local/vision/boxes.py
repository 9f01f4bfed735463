"""Boxes on their way through MTCNN's cascade: overlap, regression, squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: Boxes compared with each other at once in the suppression of overlapping ones.
BLOCK = 128


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
    if len(scores) < 2:  # as in most levels of a pyramid: nothing to compare
        return np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    kept = []
    # Block by block: within one, a box at a time; what overlaps with it, all at once.
    while order.size:
        block, order = order[:BLOCK], order[BLOCK:]
        clashes = _overlapping(boxes[block], boxes[block], threshold, of_smaller)
        stays = np.ones(len(block), dtype=bool)
        for index in np.flatnonzero(clashes.sum(axis=1) > 1):  # others clash with themselves only
            if stays[index]:
                stays[index + 1 :] &= ~clashes[index, index + 1 :]
        block = block[stays]
        kept.append(block)
        if order.size:
            clashes = _overlapping(boxes[block], boxes[order], threshold, of_smaller)
            order = order[~clashes.any(axis=0)]
    return np.concatenate(kept)


def _overlapping(
    boxes: Floats, others: Floats, threshold: float, of_smaller: bool
) -> NDArray[np.bool_]:
    """Which of N boxes overlaps with which of M others by more than the threshold: (N, M)."""
    extra = np.float32(1.0 if of_smaller else 0.0)
    corners, other_corners = boxes.T[:, :, None], others.T[:, None, :]
    width = np.minimum(corners[2], other_corners[2]) - np.maximum(corners[0], other_corners[0])
    height = np.minimum(corners[3], other_corners[3]) - np.maximum(corners[1], other_corners[1])
    common = np.maximum(width + extra, 0) * np.maximum(height + extra, 0)
    areas, other_areas = (
        np.maximum(c[2] - c[0] + extra, 0) * np.maximum(c[3] - c[1] + extra, 0)
        for c in (corners, other_corners)
    )
    whole = np.minimum(areas, other_areas) if of_smaller else areas + other_areas - common
    return np.asarray(common > threshold * whole)

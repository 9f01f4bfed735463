"""The cascade of MTCNN: P-Net proposes windows, R-Net refines them, O-Net decides.

Multi-task cascaded convolutional networks (Zhang et al. 2016, doi:10.1109/LSP.2016.2603342)
with the weights of facenet-pytorch. Thresholds, pyramid and rounding are those of
facenet-pytorch's ``MTCNN``, so that both find the same faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.results import Face
from shelly_local.vision.boxes import Floats, regressed, squared, suppress
from shelly_local.vision.onnx import load_weights, read_description, start_session
from shelly_local.vision.sampling import Sampler

#: Side of P-Net's window and distance of its answers, in pixels of a pyramid level.
CELL, STRIDE = 12, 2
#: Windows handed from P-Net to R-Net at most, best first: bounds time on textured pictures.
MAX_CANDIDATES = 1500
#: Windows of a level that are compared with each other at most, best first: some textures let
#: P-Net answer nearly everywhere.
MAX_LEVEL_WINDOWS = 10_000
#: Windows of one run, by their side: those of R-Net take 0.1 MB each while it runs, O-Net's 0.4.
BATCHES = {24: 128, 48: 32}


@dataclass(frozen=True)
class Search:
    """How strictly a cascade looks; the defaults are those of facenet-pytorch.

    Attributes:
        thresholds: least probability of a face after P-, R- and O-Net.
        overlaps: overlap above which the weaker window goes: within a level (1 keeps all for the
            next step), between levels, after R-Net, after O-Net (there as share of the smaller
            box).
        pyramid_factor: side of each level of the pyramid, as a share of the one before.
    """

    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    overlaps: tuple[float, float, float, float] = (0.5, 0.7, 0.7, 0.7)
    pyramid_factor: float = 0.709


@dataclass
class _Candidates:
    """Windows on their way through the cascade: (N, 4) boxes and (N,) probabilities."""

    boxes: Floats
    scores: Floats

    def pick(self, index: NDArray[Any]) -> _Candidates:
        return _Candidates(self.boxes[index], self.scores[index])


class Cascade:
    """The three networks. Thread-safe.

    Args:
        folder: model directory with ``mtcnn.json``.
        threads: threads of one run; None for one per core.
        device: see ``onnx.DEVICES``.

    Raises:
        ModelError: the model directory is missing or damaged.
    """

    def __init__(self, folder: Path, *, threads: int | None = None, device: str = "cpu") -> None:
        description = read_description(folder / "mtcnn.json")
        self.pnet, self.rnet, self.onet = (
            start_session(
                load_weights(folder, description, name),
                threads=threads,
                fixed_shape=False,
                device=device,
            )
            for name in ("pnet", "rnet", "onet")
        )

    def find(self, picture: Sampler, min_face: float, search: Search) -> list[Face]:
        """Faces from ``min_face`` pixels on, most probable first."""
        candidates = self._propose(picture, max(min_face, CELL), search)
        if not len(candidates.boxes):
            return []
        candidates = self._refine(picture, candidates, search)
        if not len(candidates.boxes):
            return []
        return self._decide(picture, candidates, search)

    def _propose(self, picture: Sampler, min_face: float, search: Search) -> _Candidates:
        """P-Net on every level of the pyramid."""
        width, height = picture.width, picture.height
        scale = CELL / min_face
        boxes, scores, moves = [], [], []
        while min(width, height) * scale >= CELL:
            size = int(width * scale + 1), int(height * scale + 1)
            level = _network_input(picture.resized(*size))
            regression, probability = self.pnet.run(None, {"pictures": level})
            rows, columns = np.nonzero(probability[0, 0] >= search.thresholds[0])
            if len(rows) > MAX_LEVEL_WINDOWS:
                order = np.argsort(-probability[0, 0, rows, columns], kind="stable")
                best = np.sort(order[:MAX_LEVEL_WINDOWS])
                rows, columns = rows[best], columns[best]
            if len(rows):
                candidates = _windows(probability[0, 0], rows, columns, scale)
                move = regression[0, :, rows, columns]
                if search.overlaps[0] < 1:
                    keep = suppress(candidates.boxes, candidates.scores, search.overlaps[0])
                    candidates, move = candidates.pick(keep), move[keep]
                boxes.append(candidates.boxes)
                scores.append(candidates.scores)
                moves.append(move)
            scale *= search.pyramid_factor
        if not boxes:
            return _Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
        keep = suppress(all_boxes, all_scores, search.overlaps[1])[:MAX_CANDIDATES]
        sides = all_boxes[keep, 2:] - all_boxes[keep, :2]
        moved = all_boxes[keep] + np.concatenate(moves)[keep] * np.tile(sides, 2)
        return _Candidates(squared(moved), all_scores[keep])

    def _refine(self, picture: Sampler, candidates: _Candidates, search: Search) -> _Candidates:
        """R-Net on the proposed windows."""
        candidates, crops = _cut_out(picture, candidates, 24)
        if not len(crops):
            return candidates
        regression, probability = _answers(self.rnet, crops)
        scores = probability[:, 0]
        passed = np.flatnonzero(scores > search.thresholds[1])
        keep = passed[suppress(candidates.boxes[passed], scores[passed], search.overlaps[2])]
        boxes = regressed(candidates.boxes[keep], regression[keep])
        return _Candidates(squared(boxes), scores[keep])

    def _decide(self, picture: Sampler, candidates: _Candidates, search: Search) -> list[Face]:
        """O-Net: final boxes, probabilities and landmarks."""
        candidates, crops = _cut_out(picture, candidates, 48)
        if not len(crops):
            return []
        regression, points, probability = _answers(self.onet, crops)
        scores = probability[:, 0]
        passed = np.flatnonzero(scores > search.thresholds[2])
        boxes = candidates.boxes[passed]
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        # Five x, then five y, as shares of the window.
        shares = points[passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = boxes[:, None, :2] + shares * sides[:, None, :] - 1
        boxes = regressed(boxes, regression[passed])
        keep = suppress(boxes, scores[passed], search.overlaps[3], of_smaller=True)
        return [
            Face(
                box=_box(boxes[index]),
                landmarks=tuple((float(x), float(y)) for x, y in landmarks[index]),
                confidence=min(float(scores[passed[index]]), 1.0),
            )
            for index in keep
            if boxes[index, 0] < boxes[index, 2] and boxes[index, 1] < boxes[index, 3]
        ]


def _network_input(pictures: Floats) -> Floats:
    """RGB (N, H, W, 3) to (N, 3, H, W), both 0..255."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _windows(
    probability: Floats, rows: NDArray[Any], columns: NDArray[Any], scale: float
) -> _Candidates:
    """The windows in the picture of some cells of P-Net's answer."""
    corner = np.stack([columns, rows], axis=1) * STRIDE
    first = np.floor((corner + 1) / scale)
    last = np.floor((corner + CELL) / scale)
    boxes = np.concatenate([first, last], axis=1).astype(np.float32)
    return _Candidates(boxes, probability[rows, columns])


def _cut_out(picture: Sampler, candidates: _Candidates, side: int) -> tuple[_Candidates, Floats]:
    """The windows' pixels at R- or O-Net's input size; windows outside the picture go."""
    edges = np.trunc(candidates.boxes).astype(np.intp)
    edges[:, :2] = np.maximum(edges[:, :2], 1) - 1  # MTCNN counts pixels from 1
    edges[:, 2] = np.minimum(edges[:, 2], picture.width)
    edges[:, 3] = np.minimum(edges[:, 3], picture.height)
    keep = np.flatnonzero((edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1]))
    return candidates.pick(keep), picture.windows(edges[keep], side, side)


def _answers(session: Any, crops: Floats) -> list[Floats]:
    """What R- or O-Net answers to one or more crops, some of them at a time."""
    size = BATCHES[crops.shape[1]]
    runs = [
        session.run(None, {"pictures": _network_input(crops[first : first + size])})
        for first in range(0, len(crops), size)
    ]
    if len(runs) == 1:
        return list(runs[0])
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def _box(values: NDArray[Any]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1

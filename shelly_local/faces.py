"""Faces in a picture: MTCNN on ONNX Runtime.

Multi-task cascaded convolutional networks (Zhang et al. 2016, doi:10.1109/LSP.2016.2603342)
with the weights of facenet-pytorch: P-Net proposes windows on an image pyramid, R-Net
refines them, O-Net decides and places five landmarks. Thresholds, pyramid and rounding are
those of facenet-pytorch's ``MTCNN``, so that both find the same faces.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shelly_local.area import AreaSampler
from shelly_local.boxes import Floats, regressed, squared, suppress
from shelly_local.results import Face
from shelly_local.runtime import bundled_model, load_weights, read_description, start_session

#: Smallest face that is looked for: in pixels, and as a share of the picture's longer side.
MIN_FACE_PIXELS = 20.0
MIN_FACE_SHARE = 0.025
#: Least probability of a face after P-, R- and O-Net.
THRESHOLDS = (0.6, 0.7, 0.7)
#: Each level of the pyramid has half the pixels of the one before.
PYRAMID_FACTOR = 0.709
#: Side of P-Net's window and distance of its answers, in pixels of a pyramid level.
CELL, STRIDE = 12, 2
#: Overlap above which the weaker window goes: within a level, between levels, after R-Net,
#: after O-Net (there as share of the smaller box).
OVERLAPS = (0.5, 0.7, 0.7, 0.7)
#: Windows handed from P-Net to R-Net at most, best first: bounds time on textured pictures.
MAX_CANDIDATES = 1500


@dataclass(frozen=True)
class _Look:
    """A second look at a picture in which nothing was found: MTCNN wants surroundings.

    Attributes:
        border: what surrounds the picture, "grey" or a mode of ``numpy.pad``.
        share: width of the border as a share of the picture's shorter side.
        thresholds: of P-, R- and O-Net: a face that fills the picture is likelier than
            elsewhere.
        cover: share of the picture that the face must cover in return.
        side: longer side of the picture in this look, in pixels.
    """

    border: str
    share: float
    thresholds: tuple[float, float, float]
    cover: float = 0.4
    side: int = 200


#: Taken one after the other until one finds a face that fills the picture, half its box at
#: least inside. Measured on 600 faces of FER2013's public part, enlarged to 200 pixels: the
#: first look finds 80 %, the next two bring it to 95 %.
SECOND_LOOKS = (
    _Look("symmetric", 1.0, (0.4, 0.3, 0.6), cover=0.2),
    _Look("grey", 0.25, (0.4, 0.3, 0.6), cover=0.2),
)
#: Further looks at pictures that are nearly square, as crops around a face are: 97 % in all.
#: None of them found a face in 117 pieces of fur, hair, cloth and background.
LAST_LOOKS = (
    _Look("symmetric", 0.5, (0.4, 0.3, 0.4)),
    _Look("edge", 0.5, (0.4, 0.3, 0.4)),
    _Look("edge", 0.35, (0.4, 0.3, 0.4)),
    _Look("symmetric", 1.0, (0.3, 0.2, 0.3)),
    _Look("edge", 0.5, (0.4, 0.3, 0.4), side=80),
    _Look("symmetric", 0.75, (0.4, 0.3, 0.4)),
    _Look("edge", 0.75, (0.4, 0.3, 0.4)),
)
#: Width of the largest face, as a share of the longer side, from which on it is what the
#: photo is about; narrower ones than the second share are then passers-by.
PROMINENT_SHARE, PASSER_BY_SHARE = 0.2, 0.125
#: Longest side over shortest up to which a picture may be such a crop.
CROP_RATIO = 1.25


@dataclass
class _Candidates:
    """Windows on their way through the cascade: (N, 4) boxes and (N,) probabilities."""

    boxes: Floats
    scores: Floats

    def pick(self, index: NDArray[Any]) -> _Candidates:
        return _Candidates(self.boxes[index], self.scores[index])


class FaceDetector:
    """Finds faces and their landmarks. Thread-safe; load once and share.

    Args:
        folder: model directory with ``mtcnn.json``; the bundled one by default.
        threads: threads of one detection; None for one per core.

    Raises:
        ModelError: the model directory is missing or damaged.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, *, threads: int | None = None
    ) -> None:
        path = Path(folder) if folder is not None else bundled_model("mtcnn")
        description = read_description(path / "mtcnn.json")
        self._pnet, self._rnet, self._onet = (
            start_session(load_weights(path, description, name), threads=threads, fixed_shape=False)
            for name in ("pnet", "rnet", "onet")
        )

    def detect(self, pixels: NDArray[np.uint8], *, min_face: float | None = None) -> list[Face]:
        """Every face, largest first; an empty list is an ordinary answer.

        A picture in which nothing is found is looked at once more with a border around it:
        MTCNN misses faces that fill the whole picture.

        Args:
            pixels: uint8 (H, W, 3), RGB, upright, of any size.
            min_face: smallest face to look for, in pixels; by default 20 or 2.5 % of the
                longer side, whichever is more.

        Raises:
            ValueError: not a uint8 RGB array, or ``min_face`` below 12.
        """
        _check(pixels)
        if min_face is None:
            min_face = _smallest_face(max(pixels.shape[:2]))
        if min_face < CELL:
            raise ValueError(f"min_face must be at least {CELL} pixels, got {min_face}")
        faces = self._cascade(AreaSampler(pixels), min_face, THRESHOLDS)
        return _largest_first(faces or self._second_look(pixels))

    def detect_prominent(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """The large faces of a picture that is about them, at a tenth of ``detect``'s cost.

        The finest levels of the pyramid, which cost most, are left out.

        Args:
            pixels: as for :meth:`detect`.

        Returns:
            Faces from about an eighth of the longer side on, largest first; none where no
            face has at least a fifth of it, and :meth:`detect` must be asked.

        Raises:
            ValueError: not a uint8 RGB array.
        """
        _check(pixels)
        longer = max(pixels.shape[:2])
        min_face = _smallest_face(longer)
        while min_face / PYRAMID_FACTOR <= PASSER_BY_SHARE * longer:
            min_face /= PYRAMID_FACTOR
        faces = _largest_first(self._cascade(AreaSampler(pixels), min_face, THRESHOLDS))
        widest = max((face.box[2] - face.box[0] for face in faces), default=0.0)
        return faces if widest >= PROMINENT_SHARE * longer else []

    def _second_look(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Look for one face that fills the picture: with a border, at a size that suits."""
        height, width = pixels.shape[:2]
        shorter, longer = sorted((height, width))
        may_be_crop = shorter >= MIN_FACE_PIXELS and longer <= CROP_RATIO * shorter
        for look in (*SECOND_LOOKS, *(LAST_LOOKS if may_be_crop else ())):
            scale = look.side / max(height, width)
            size = max(round(width * scale), 1), max(round(height * scale), 1)
            image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
            border = round(look.share * min(size))
            padding = ((border, border), (border, border), (0, 0))
            if look.border == "grey":
                padded = np.pad(np.asarray(image), padding, constant_values=127)
            else:
                padded = np.pad(np.asarray(image), padding, mode=look.border)
            found = self._cascade(AreaSampler(padded), min(size) / 3, look.thresholds)
            moved = [_moved(face, border, width / size[0], height / size[1]) for face in found]
            filling = [face for face in moved if _cover(face, width, height) >= look.cover]
            if filling:
                return [max(filling, key=lambda face: _cover(face, width, height))]
        return []

    def _cascade(
        self, picture: AreaSampler, min_face: float, thresholds: tuple[float, float, float]
    ) -> list[Face]:
        candidates = self._propose(picture, max(min_face, CELL), thresholds[0])
        if not len(candidates.boxes):
            return []
        candidates = self._refine(picture, candidates, thresholds[1])
        if not len(candidates.boxes):
            return []
        return self._decide(picture, candidates, thresholds[2])

    def _propose(self, picture: AreaSampler, min_face: float, threshold: float) -> _Candidates:
        """P-Net on every level of the pyramid."""
        width, height = picture.width, picture.height
        scale = CELL / min_face
        boxes, scores, moves = [], [], []
        while min(width, height) * scale >= CELL:
            size = int(width * scale + 1), int(height * scale + 1)
            level = _network_input(picture.resized(*size))
            regression, probability = self._pnet.run(None, {"pictures": level})
            rows, columns, candidates = _windows(probability[0, 0], scale, threshold)
            keep = suppress(candidates.boxes, candidates.scores, OVERLAPS[0])
            boxes.append(candidates.boxes[keep])
            scores.append(candidates.scores[keep])
            moves.append(regression[0, :, rows[keep], columns[keep]])
            scale *= PYRAMID_FACTOR
        if not boxes:
            return _Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
        keep = suppress(all_boxes, all_scores, OVERLAPS[1])[:MAX_CANDIDATES]
        sides = all_boxes[keep, 2:] - all_boxes[keep, :2]
        moved = all_boxes[keep] + np.concatenate(moves)[keep] * np.tile(sides, 2)
        return _Candidates(squared(moved), all_scores[keep])

    def _refine(
        self, picture: AreaSampler, candidates: _Candidates, threshold: float
    ) -> _Candidates:
        """R-Net on the proposed windows."""
        candidates, crops = _cut_out(picture, candidates, 24)
        if not len(crops):
            return candidates
        regression, probability = self._rnet.run(None, {"pictures": _network_input(crops)})
        scores = probability[:, 0]
        passed = np.flatnonzero(scores > threshold)
        keep = passed[suppress(candidates.boxes[passed], scores[passed], OVERLAPS[2])]
        boxes = regressed(candidates.boxes[keep], regression[keep])
        return _Candidates(squared(boxes), scores[keep])

    def _decide(
        self, picture: AreaSampler, candidates: _Candidates, threshold: float
    ) -> list[Face]:
        """O-Net: final boxes, probabilities and landmarks."""
        candidates, crops = _cut_out(picture, candidates, 48)
        if not len(crops):
            return []
        regression, points, probability = self._onet.run(None, {"pictures": _network_input(crops)})
        scores = probability[:, 0]
        passed = np.flatnonzero(scores > threshold)
        boxes = candidates.boxes[passed]
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        # Five x, then five y, as shares of the window.
        shares = points[passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = boxes[:, None, :2] + shares * sides[:, None, :] - 1
        boxes = regressed(boxes, regression[passed])
        keep = suppress(boxes, scores[passed], OVERLAPS[3], of_smaller=True)
        return [
            Face(
                box=_box(boxes[index]),
                landmarks=tuple((float(x), float(y)) for x, y in landmarks[index]),
                confidence=min(float(scores[passed[index]]), 1.0),
            )
            for index in keep
            if boxes[index, 0] < boxes[index, 2] and boxes[index, 1] < boxes[index, 3]
        ]


def _check(pixels: NDArray[np.uint8]) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")


def _largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: face.area, reverse=True)


def _smallest_face(longer: int) -> float:
    """Smallest face looked for by default, in pixels, by the picture's longer side."""
    return max(MIN_FACE_PIXELS, MIN_FACE_SHARE * longer)


def _network_input(pictures: Floats) -> Floats:
    """RGB (N, H, W, 3) to (N, 3, H, W), both 0..255."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _windows(
    probability: Floats, scale: float, threshold: float
) -> tuple[NDArray[Any], NDArray[Any], _Candidates]:
    """Cells of P-Net's answer above the threshold, and their windows in the picture."""
    rows, columns = np.nonzero(probability >= threshold)
    corner = np.stack([columns, rows], axis=1) * STRIDE
    first = np.floor((corner + 1) / scale)
    last = np.floor((corner + CELL) / scale)
    boxes = np.concatenate([first, last], axis=1).astype(np.float32)
    return rows, columns, _Candidates(boxes, probability[rows, columns])


def _cut_out(
    picture: AreaSampler, candidates: _Candidates, side: int
) -> tuple[_Candidates, Floats]:
    """The windows' pixels at R- or O-Net's input size; windows outside the picture go."""
    edges = np.trunc(candidates.boxes).astype(np.intp)
    edges[:, :2] = np.maximum(edges[:, :2], 1) - 1  # MTCNN counts pixels from 1
    edges[:, 2] = np.minimum(edges[:, 2], picture.width)
    edges[:, 3] = np.minimum(edges[:, 3], picture.height)
    keep = np.flatnonzero((edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1]))
    return candidates.pick(keep), picture.windows(edges[keep], side, side)


def _box(values: NDArray[Any]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _moved(face: Face, border: float, x_scale: float, y_scale: float) -> Face:
    """A face of the bordered, scaled picture in pixels of the picture itself."""
    x0, y0, x1, y1 = face.box
    return Face(
        box=(
            (x0 - border) * x_scale,
            (y0 - border) * y_scale,
            (x1 - border) * x_scale,
            (y1 - border) * y_scale,
        ),
        landmarks=tuple(
            ((x - border) * x_scale, (y - border) * y_scale) for x, y in face.landmarks
        ),
        confidence=face.confidence,
    )


def _cover(face: Face, width: int, height: int) -> float:
    """Share of the picture that the box covers; 0 where most of the box lies outside."""
    x0, y0, x1, y1 = face.box
    inside = max(min(x1, width) - max(x0, 0), 0) * max(min(y1, height) - max(y0, 0), 0)
    return inside / (width * height) if inside >= 0.5 * face.area else 0.0

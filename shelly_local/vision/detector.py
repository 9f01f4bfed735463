"""Faces in a picture: where MTCNN's cascade looks for them, and what it is asked again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shelly_local.results import Face
from shelly_local.vision.landmarks import steady
from shelly_local.vision.mtcnn import CELL, Cascade, Search
from shelly_local.vision.onnx import bundled_model, read_description
from shelly_local.vision.sampling import AreaSampler, BoxSampler

#: A face with steadied landmarks, and O-Net's probability there; see ``landmarks.steady``.
Seen = tuple[Face, float]

#: To be raised when faces or landmarks change while the weights stay.
METHOD = b"mtcnn, landmarks steadied 2"
#: Smallest face that is looked for: in pixels, and as a share of the picture's longer side.
MIN_FACE_PIXELS = 20.0
MIN_FACE_SHARE = 0.025
#: Faces of a picture at most, the largest: each takes some milliseconds, and a picture made of
#: small portraits holds thousands.
MAX_FACES = 200


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
PROMINENT_SHARE, PASSER_BY_SHARE = 1 / 6, 1 / 8
#: Longer side, in pixels, that is enough to find such faces: passers-by have 40 pixels there.
PROMINENT_SIDE = 320
#: Large faces leave many windows that overlap; steadied landmarks need neither the best of them nor
#: sizes as close to each other, nor a suppression within each level first. In 300 made-up pictures
#: 296 are answered so, with facenet-pytorch's overlaps and factor
#: 298, but in more time.
PROMINENT = Search(thresholds=(0.7, 0.7, 0.7), overlaps=(1.0, 0.4, 0.3, 0.7), pyramid_factor=0.55)
#: Longest side over shortest up to which a picture may be such a crop.
CROP_RATIO = 1.25


class Detector(Protocol):
    """What finds faces for ``EmotionClassifier``. Thread-safe.

    Attributes:
        identity: names all that decides where it finds faces and landmarks, in a text that is
            another one when answers are; caches and jobs keep to it.
    """

    identity: str

    def detect(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Every face of uint8 (H, W, 3) RGB, upright, largest first."""

    def detect_prominent(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Large faces only, in less time, largest first; none leaves it to ``detect``."""

    def examined(self, pixels: NDArray[np.uint8], faces: list[Face]) -> list[Seen]:
        """The same faces with final landmarks, each with the probability that it is upright."""


class FaceDetector:
    """MTCNN: finds faces and their landmarks. Thread-safe; load once and share.

    Args:
        folder: model directory with ``mtcnn.json``; the bundled one by default.
        threads: threads of one detection; None for one per core.
        device: see ``onnx.DEVICES``.

    Raises:
        ModelError: the model directory is missing or damaged.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        path = Path(folder) if folder is not None else bundled_model("mtcnn")
        self.identity = identity_of(path)
        self._cascade = Cascade(path, threads=threads, device=device)

    def detect(self, pixels: NDArray[np.uint8], *, min_face: float | None = None) -> list[Face]:
        """Every face, largest first, ``MAX_FACES`` at most; an empty list is an ordinary answer.

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
        faces = self._cascade.find(AreaSampler(pixels), min_face, Search())
        return _largest_first(faces or self._second_look(pixels))

    def detect_prominent(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """The large faces of a picture that is about them, at a tenth of ``detect``'s cost.

        Args:
            pixels: as for :meth:`detect`.

        Returns:
            Faces from about an eighth of the longer side on, largest first; none where no
            face has at least a sixth of it, and :meth:`detect` must be asked.

        Raises:
            ValueError: not a uint8 RGB array.
        """
        _check(pixels)
        pixels, factor = reduced(pixels)
        longer = max(pixels.shape[:2])
        faces = _largest_first(
            self._cascade.find(BoxSampler(pixels), PASSER_BY_SHARE * longer, PROMINENT)
        )
        if not is_prominent(faces, longer):
            return []
        return [_moved(face, 0, factor, factor) for face in faces]

    def steadied(self, pixels: NDArray[np.uint8], faces: list[Face]) -> list[Face]:
        """The same faces with landmarks that hardly depend on the photo's reduction.

        Args:
            pixels: as for :meth:`detect`.
            faces: found in them.
        """
        return [face for face, _ in self.examined(pixels, faces)]

    def examined(self, pixels: NDArray[np.uint8], faces: list[Face]) -> list[Seen]:
        """What ``steadied`` answers, each face with O-Net's probability that it is one there."""
        return [steady(self._cascade.onet, pixels, face) for face in faces]

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
            found = self._cascade.find(
                AreaSampler(padded), min(size) / 3, Search(thresholds=look.thresholds)
            )
            moved = [_moved(face, border, width / size[0], height / size[1]) for face in found]
            filling = [face for face in moved if _cover(face, width, height) >= look.cover]
            if filling:
                return [max(filling, key=lambda face: _cover(face, width, height))]
        return []


def reduced(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """A picture at the size at which large faces are looked for, and by how much it is smaller.

    Args:
        pixels: uint8 (H, W, 3), RGB.
    """
    factor = max(max(pixels.shape[:2]) // PROMINENT_SIDE, 1)
    if factor > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(factor))
    return pixels, factor


def identity_of(folder: Path | None = None) -> str:
    """``FaceDetector.identity`` of a model directory, without loading its networks.

    Args:
        folder: the directory; None for the bundled one.

    Raises:
        ModelError: it holds no description.
    """
    file = (folder or bundled_model("mtcnn")) / "mtcnn.json"
    read_description(file)  # which names the SHA-256 of all weights
    return hashlib.sha256(file.read_bytes() + METHOD).hexdigest()


def is_prominent(faces: list[Face], longer: float) -> bool:
    """Whether a picture is about its faces: the largest has a sixth of the longer side.

    Args:
        faces: in pixels of the picture.
        longer: its longer side, in pixels.
    """
    widest = max((face.box[2] - face.box[0] for face in faces), default=0.0)
    return widest >= PROMINENT_SHARE * longer


def _check(pixels: NDArray[np.uint8]) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")


def _largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: face.area, reverse=True)[:MAX_FACES]


def _smallest_face(longer: int) -> float:
    """Smallest face looked for by default, in pixels, by the picture's longer side."""
    return max(MIN_FACE_PIXELS, MIN_FACE_SHARE * longer)


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

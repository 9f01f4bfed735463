"""A photo in, the expression of every face in it out."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shelly_local.results import Face, FaceEmotion, PhotoEmotions
from shelly_local.vision.alignment import align
from shelly_local.vision.detector import PROMINENT_SIDE, Detector, FaceDetector, Seen, is_prominent
from shelly_local.vision.images import Photo, decode, read
from shelly_local.vision.model import EmotionModel
from shelly_local.vision.turned import is_better, likely_turn, turned, turned_back

#: Longer side, in pixels, to which photos are reduced for the search for faces. A face of
#: 2.5 % of it has 32 pixels there, enough for its expression; more would only cost time.
DETECTION_SIDE = 1280
#: Width of a face, in pixels, from which on a finer decoding hardly changes the answer: 1.7 for
#: each pixel of its crop. Of 102 portraits with faces of 54 pixels eleven had a probability more
#: than 0.02 from that at ``DETECTION_SIDE``, of 70 five, of 87 three, of 108 and 216 two.
LEAST_FACE = 80
#: How faces are looked for: "fast", large ones first, in a JPEG that its decoder reduces as far
#: as these allow, and smaller ones where there is no large one; "thorough", all in every photo.
DETECTIONS = ("fast", "thorough")


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The expressions in a photo, and what custom classifiers are computed from.

    Attributes:
        photo: every face with its scores, largest face first.
        embeddings: float32 (N, D), one row per face in the same order.
        pixels: uint8 (h, w, 3), RGB, the photo as it was decoded to look for faces.
    """

    photo: PhotoEmotions
    embeddings: NDArray[np.float32]
    pixels: NDArray[np.uint8]


class EmotionClassifier:
    """Finds the faces in a photo and reads their expressions.

    Thread-safe: one instance, loaded once, serves all threads::

        classifier = EmotionClassifier()
        for face in classifier.classify("photo.jpg").faces:
            print(face.emotion, face.scores[face.emotion])

    Args:
        model: model directory; the bundled model by default.
        threads: threads of one network run, 1 to 1024; None for one per core.
        detection: "fast" leaves out faces below an eighth of the longer side in a photo
            that has one above a sixth; "thorough" finds all from 2.5 % on, in every photo.
        device: where the networks run: "cpu", "cuda", "coreml" or "openvino".
        detector: finds the faces, instead of MTCNN.

    Raises:
        ModelError: a model is missing or damaged, or the installed ONNX Runtime lacks the device.
        ValueError: ``detection`` or ``device`` is none of these, or there is no such number of
            threads.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        detection: str = "fast",
        device: str = "cpu",
        detector: Detector | None = None,
    ) -> None:
        if detection not in DETECTIONS:
            raise ValueError(f"detection must be one of {DETECTIONS}, got {detection!r}")
        self._large_first = detection == "fast"
        # ONNX Runtime loads outside Python's lock: both networks at the same time.
        with ThreadPoolExecutor(1) as pool:

            def find_detector() -> Detector:
                return detector or FaceDetector(threads=threads, device=device)

            loading = pool.submit(find_detector)
            self.model = EmotionModel(model, threads=threads, device=device)
            self.detector = loading.result()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the scores."""
        return self.model.classes

    def classify(self, photo: bytes | str | os.PathLike[str] | BinaryIO) -> PhotoEmotions:
        """Every face of a photo with its seven probabilities, largest face first.

        Args:
            photo: the bytes of a picture file, a path to one, or a binary file object.

        Returns:
            Boxes and landmarks in pixels of the photo as its EXIF turns it, also where its
            faces lie on their side or upside down. A photo without a face has an empty tuple
            of faces; that is no error.

        Raises:
            ImageError: the picture cannot be read or is outside the limits of ``images``.
        """
        return self.analyse(photo).photo

    def analyse(self, photo: bytes | str | os.PathLike[str] | BinaryIO) -> Analysis:
        """What :meth:`classify` answers, with the model's embedding of every face.

        Args:
            photo: see :meth:`classify`.

        Raises:
            ImageError: see :meth:`classify`.
        """
        decoded, faces = find_faces(self.detector, photo, large_first=self._large_first)
        crops = aligned_crops(
            decoded.pixels, faces, size=self.model.size, template=self.model.template
        )
        prediction = self.model.predict(crops)
        emotions = PhotoEmotions(
            width=decoded.width,
            height=decoded.height,
            faces=tuple(
                FaceEmotion(_in_photo(face, decoded), _scores(self.classes, row))
                for face, row in zip(faces, prediction.probabilities, strict=True)
            ),
        )
        return Analysis(emotions, prediction.embedding, decoded.pixels)

    def decoded(self, photo: bytes | str | os.PathLike[str] | BinaryIO) -> Photo:
        """A photo as :meth:`analyse` first sees it, without looking for faces.

        Args:
            photo: see :meth:`classify`.

        Raises:
            ImageError: see :meth:`classify`.
        """
        side = PROMINENT_SIDE if self._large_first else None
        return decode(photo, max_side=DETECTION_SIDE, rough_side=side)

    def crops(
        self, photo: bytes | str | os.PathLike[str] | BinaryIO, emotions: PhotoEmotions
    ) -> NDArray[np.uint8]:
        """The faces as the model saw them, to show them to people.

        Args:
            photo: what :meth:`classify` was asked about.
            emotions: what it answered.

        Returns:
            uint8 (N, size, size), grey, in the order of the faces.

        Raises:
            ImageError: see :meth:`classify`.
        """
        faces = [each.face for each in emotions.faces]
        longer = max(emotions.width, emotions.height)
        large = self._large_first and bool(faces) and is_prominent(faces, longer)
        side = max(PROMINENT_SIDE, _side_for(faces, longer)) if large else None
        decoded = decode(photo, max_side=DETECTION_SIDE, rough_side=side)
        across, down = decoded.scale
        here = [_scaled(face, 1 / across, 1 / down) for face in faces]
        model = self.model
        return aligned_crops(decoded.pixels, here, size=model.size, template=model.template)


def find_faces(
    detector: Detector,
    photo: bytes | str | os.PathLike[str] | BinaryIO,
    *,
    large_first: bool = True,
) -> tuple[Photo, list[Face]]:
    """A photo, decoded as finely as its faces need, and the faces in it, largest first.

    Where most faces are in doubt or there is none, they are looked for in the other quarter
    turns of the photo as well.

    Args:
        detector: which finds them.
        photo: see ``EmotionClassifier.classify``.
        large_first: detection "fast" of ``EmotionClassifier``, otherwise "thorough".

    Returns:
        The photo and its faces, in pixels of ``Photo.pixels``, their landmarks steadied.

    Raises:
        ImageError: see ``EmotionClassifier.classify``.
    """
    if not isinstance(photo, str | os.PathLike):
        photo = read(photo)  # a stream can be read only once
    rough_side = PROMINENT_SIDE if large_first else None
    decoded = decode(photo, max_side=DETECTION_SIDE, rough_side=rough_side)
    decoded, seen = _search(detector, photo, decoded, large_first=large_first)
    turns = likely_turn(detector, decoded.pixels, seen)
    if turns:
        other, seen_turned = _search(detector, photo, decoded, large_first=large_first, turns=turns)
        if is_better(seen_turned, seen):
            height, width = other.pixels.shape[:2]
            return other, [turned_back(face, turns, width, height) for face, _ in seen_turned]
    return decoded, [face for face, _ in seen]


def _search(
    detector: Detector,
    photo: bytes | str | os.PathLike[str],
    decoded: Photo,
    *,
    large_first: bool,
    turns: int = 0,
) -> tuple[Photo, list[Seen]]:
    """The faces of a photo in one of its turns, in pixels of the turned ``Photo.pixels``.

    Args:
        decoded: the photo, decoded again if its faces need more pixels.
        turns: see ``turned``.
    """
    pixels = turned(decoded.pixels, turns)
    faces = detector.detect_prominent(pixels) if large_first else []
    longer = max(pixels.shape[:2])
    side = _side_for(faces, longer) if faces else DETECTION_SIDE
    if decoded.rough and side > longer:
        across, down = _turned_scale(decoded, turns)
        decoded = decode(photo, max_side=DETECTION_SIDE, rough_side=side)
        pixels = turned(decoded.pixels, turns)
        finer_across, finer_down = _turned_scale(decoded, turns)
        faces = [_scaled(face, across / finer_across, down / finer_down) for face in faces]
    if not faces:
        faces = detector.detect(pixels)
    return decoded, detector.examined(pixels, faces)


def aligned_crops(
    pixels: NDArray[np.uint8], faces: Sequence[Face], *, size: int, template: ArrayLike
) -> NDArray[np.uint8]:
    """The faces of a picture as the model sees them, in use and in training.

    Args:
        pixels: uint8 (H, W, 3), RGB, upright.
        faces: N faces, in pixels of ``pixels``.
        size: side of a crop in pixels.
        template: (5, 2), where the landmarks go, in units of that side.

    Returns:
        Aligned grey crops, uint8 (N, size, size).
    """
    crops = np.zeros((len(faces), size, size), dtype=np.uint8)
    for index, face in enumerate(faces):
        crops[index] = align(pixels, face.landmarks, size=size, template=template, grey=True)
    return crops


def _scores(classes: tuple[str, ...], row: NDArray[Any]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(classes, row, strict=True)}


def _side_for(faces: Sequence[Face], longer: float) -> int:
    """Longer side of the picture, in pixels, at which the narrowest face has ``LEAST_FACE``.

    Args:
        faces: one or more, in pixels of a picture.
        longer: that picture's longer side.
    """
    return math.ceil(LEAST_FACE * longer / min(face.box[2] - face.box[0] for face in faces))


def _turned_scale(photo: Photo, turns: int) -> tuple[float, float]:
    """``Photo.scale`` of the photo turned by quarters."""
    across, down = photo.scale
    return (down, across) if turns % 2 else (across, down)


def _in_photo(face: Face, photo: Photo) -> Face:
    """A face in pixels of the photo, from pixels of its reduced decoding."""
    return _scaled(face, *photo.scale)


def _scaled(face: Face, across: float, down: float) -> Face:
    """A face of the same picture at another size."""
    x0, y0, x1, y1 = face.box
    return Face(
        box=(x0 * across, y0 * down, x1 * across, y1 * down),
        landmarks=tuple((x * across, y * down) for x, y in face.landmarks),
        confidence=face.confidence,
    )

"""Photos shown on their side or upside down, without a word of it in their EXIF.

MTCNN knows upright faces only. Of a face that stands on its head it makes another one, with a
mouth for eyes: too narrow for its box, and O-Net, asked again, doubts it. Where no face is beyond
doubt, the photo is looked at once more in each quarter turn; only a face beyond doubt there
makes it a turned photo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shelly_local.faces import FaceDetector, Seen, reduced
from shelly_local.results import Face, Point

#: A face is beyond doubt from these on: O-Net's probability in the windows of its steadied
#: landmarks, the distance of its eyes as a share of the box's width, and up to this angle to the
#: vertical, in degrees, from which on a quarter turn brings it nearer.
SURE_PROBABILITY, SURE_EYES, SURE_DEGREES = 0.9, 0.4, 60.0
#: Side of the square around a small doubtful face that is looked at in each turn, in sides of its
#: box: what MTCNN takes for a face may be a part of one, or twice as large.
SURROUNDINGS = 3.0


def is_sure(seen: Seen) -> bool:
    """Whether a face is beyond doubt the right side up."""
    face, probability = seen
    left_eye, right_eye, _, left_mouth, right_mouth = (complex(*p) for p in face.landmarks)
    eyes = abs(right_eye - left_eye) / (face.box[2] - face.box[0])
    down = (left_mouth + right_mouth) - (left_eye + right_eye)
    degrees = math.degrees(math.atan2(abs(down.real), down.imag))
    return probability >= SURE_PROBABILITY and eyes >= SURE_EYES and degrees <= SURE_DEGREES


def count_sure(faces: Sequence[Seen]) -> int:
    """How many of the faces are beyond doubt the right side up."""
    return sum(map(is_sure, faces))


def likely_turn(detector: FaceDetector, pixels: NDArray[np.uint8], faces: Sequence[Seen]) -> int:
    """How a photo may have to be turned to be the right side up.

    Costs nothing where half of the faces are beyond doubt; otherwise a few searches for large
    faces in a reduced picture.

    Args:
        detector: which found them.
        pixels: uint8 (H, W, 3), RGB.
        faces: found in them, with O-Net's probabilities, largest first.

    Returns:
        Quarter turns anticlockwise, 1 to 3; 0 if the photo is to stay as it is.
    """
    doubted = [face for face, _ in (seen for seen in faces if not is_sure(seen))]
    if faces and 2 * len(doubted) <= len(faces):
        return 0
    best, probability = 0, 0.0
    for part in _parts(pixels, doubted):
        small, _ = reduced(part)
        for turns in (1, 2, 3):
            view = turned(small, turns)
            for seen in detector.examined(view, detector.detect_prominent(view)):
                if is_sure(seen) and seen[1] > probability:
                    best, probability = turns, seen[1]
        if best:
            break
    return best


def turned(pixels: NDArray[np.uint8], turns: int) -> NDArray[np.uint8]:
    """A picture turned anticlockwise by quarters.

    Args:
        pixels: uint8 (H, W, 3).
        turns: 0 to 3.

    Returns:
        uint8 (H, W, 3) or (W, H, 3), C-contiguous; ``pixels`` itself, not copied, for 0.
    """
    return np.ascontiguousarray(np.rot90(pixels, turns))


def turned_back(face: Face, turns: int, width: int, height: int) -> Face:
    """A face found in a turned picture, in pixels of the picture as it is.

    Args:
        face: in pixels of ``turned(pixels, turns)``. Its left eye remains the one at the left of
            the face seen upright.
        turns: 0 to 3.
        width, height: size of ``pixels``.
    """

    def back(x: float, y: float) -> Point:
        return ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[turns]

    (xa, ya), (xb, yb) = back(*face.box[:2]), back(*face.box[2:])
    return replace(
        face,
        box=(min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)),
        landmarks=tuple(back(x, y) for x, y in face.landmarks),
    )


def _parts(pixels: NDArray[np.uint8], doubted: Sequence[Face]) -> list[NDArray[np.uint8]]:
    """What is looked at in each turn: the whole picture, then what surrounds a doubtful face."""
    height, width = pixels.shape[:2]
    if not doubted:
        return [pixels]
    x0, y0, x1, y1 = doubted[0].box
    half = SURROUNDINGS / 2 * max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, right = max(int(x - half), 0), min(int(x + half), width)
    top, bottom = max(int(y - half), 0), min(int(y + half), height)
    return [pixels, pixels[top:bottom, left:right]]

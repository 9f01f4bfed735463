"""Photos shown on their side or upside down, without a word of it in their EXIF.

MTCNN knows upright faces only. Of a face that stands on its head it makes another one, with a
mouth for eyes: narrow for its box, askew, and doubted by O-Net when asked again. Where most faces
are in doubt, and where there is none, the photo is looked at once more in each quarter turn. What
remains in doubt there as well is answered as the photo is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shelly_local.results import Face, Point
from shelly_local.vision.detector import Detector, Seen, reduced

#: O-Net's probability, in the windows of its steadied landmarks, from which on a face is beyond
#: doubt as the photo is shown, and from which on one is believed in another turn.
BEYOND_DOUBT, BELIEVED = 0.98, 0.9
#: Least distance of the eyes, as a share of the box's width, and largest angle to the vertical, in
#: degrees, of such a face.
LEAST_EYES, MOST_DEGREES = 0.42, 25.0
#: Side of the square around a small doubtful face that is looked at in each turn, in sides of its
#: box: what MTCNN takes for a face may be a part of one, or twice as large.
SURROUNDINGS = 3.0


def likely_turn(detector: Detector, pixels: NDArray[np.uint8], faces: Sequence[Seen]) -> int:
    """How a photo may have to be turned to be the right side up.

    Costs nothing where half of the faces are beyond doubt; otherwise a few searches for large
    faces in reduced pictures.

    Args:
        detector: which found them.
        pixels: uint8 (H, W, 3), RGB.
        faces: found in them, with O-Net's probabilities, largest first.

    Returns:
        Quarter turns anticlockwise, 1 to 3; 0 if the photo is to stay as it is.
    """
    doubted = [seen[0] for seen in faces if not _is_upright(seen, BEYOND_DOUBT)]
    if faces and 2 * len(doubted) <= len(faces):
        return 0
    best = 0
    highest = max((seen[1] for seen in faces if _is_upright(seen, BELIEVED)), default=0.0)
    for part in _parts(pixels, doubted):
        small, _ = reduced(part)
        for turns in (1, 2, 3):
            view = turned(small, turns)
            for seen in detector.examined(view, detector.detect_prominent(view)):
                if seen[1] > highest and _is_upright(seen, BELIEVED):
                    best, highest = turns, seen[1]
        if best:
            break
    return best


def is_better(found: Sequence[Seen], shown: Sequence[Seen]) -> bool:
    """Whether the faces found in another turn say that it is the right one.

    Args:
        found: in that turn of the whole photo.
        shown: found in the photo as it is shown.
    """
    believed = sum(_is_upright(seen, BELIEVED) for seen in found)
    return believed > sum(_is_upright(seen, BEYOND_DOUBT) for seen in shown)


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


def _is_upright(seen: Seen, least: float) -> bool:
    """Whether a face is the right side up, by O-Net's probability and by its landmarks."""
    face, probability = seen
    left_eye, right_eye, _, left_mouth, right_mouth = (complex(*p) for p in face.landmarks)
    eyes = abs(right_eye - left_eye) / (face.box[2] - face.box[0])
    down = left_mouth + right_mouth - left_eye - right_eye
    degrees = math.degrees(math.atan2(abs(down.real), down.imag))
    return probability >= least and eyes >= LEAST_EYES and degrees <= MOST_DEGREES


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

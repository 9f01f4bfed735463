"""IBM's general classifiers: what a picture shows, in the words and the shape of ``default``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from shelly_local.results import PhotoEmotions
from shelly_local.vision.encoder import Encoding, PictureClass
from shelly_local.watson.contract.types import SCORE_DECIMALS, ClassScore

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Classes of things in an answer, and leaves that they come from.
MAX_CLASSES, MAX_LEAVES = 10, 3
#: A colour is named if it covers this share of a picture; its score is above 0.5 by half of its
#: share, so that programs with IBM's threshold of 0.5 see it, as they did.
LEAST_COLOUR, COLOUR_BASE, MAX_COLOURS = 0.2, 0.5, 2
#: Least confidence of the detector, and least width in the picture, of a face that counts here.
#: Of 102 portraits the least sure face has 0.989; things that look like faces have less.
FACE_CONFIDENCE, FACE_WIDTH = 0.98, 0.1
#: Names of colours and where they lie in sRGB.
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "coal black": (25, 25, 25),
    "ash grey": (130, 130, 130),
    "white": (245, 245, 245),
    "beige": (222, 205, 170),
    "chocolate brown": (100, 60, 35),
    "red": (200, 30, 35),
    "orange": (240, 130, 30),
    "yellow": (245, 215, 50),
    "olive green": (95, 105, 45),
    "green": (60, 150, 60),
    "sky blue": (130, 185, 230),
    "blue": (35, 75, 170),
    "purple": (120, 50, 140),
    "pink": (235, 150, 180),
}
_NAMES = tuple(COLOURS)
_PALETTE = np.array(list(COLOURS.values()), dtype=np.float32)
#: Side in pixels of the picture that colours are counted in.
_COLOUR_SIDE = 32


def general_classes(
    pixels: NDArray[np.uint8],
    encoding: Encoding,
    classes: Sequence[PictureClass],
    photo: PhotoEmotions,
) -> list[ClassScore]:
    """What ``default`` says: things, wider classes with the sum of their scores, colours, faces.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        encoding: of the picture.
        classes: of the encoder.
        photo: the faces in the picture.

    Returns:
        Things and faces, best first, then colours, whatever their score.
    """
    things = _things(encoding.probabilities, classes)
    return [*_ranked([*things, *_face(photo)]), *_colours(pixels)]


def food_classes(encoding: Encoding, classes: Sequence[PictureClass]) -> list[ClassScore]:
    """What ``food`` says: dishes and what they are made of, or ``non-food``.

    Args:
        encoding: of the picture.
        classes: of the encoder.
    """
    food = np.array([each.food for each in classes])
    total = float(encoding.probabilities[food].sum())
    if total < 0.5:
        return _ranked([_scored("non-food", 1.0 - total)])
    things = _things(np.where(food, encoding.probabilities, 0.0), classes)
    return _ranked([*things, _scored("food", total)])


def _things(
    probabilities: NDArray[np.float32], classes: Sequence[PictureClass]
) -> list[ClassScore]:
    best = [classes[index] for index in np.argsort(-probabilities)[:MAX_LEAVES]]
    sums: dict[str, float] = {}
    for each, probability in zip(classes, probabilities.tolist(), strict=True):
        for name in {*each.parents, each.name}:
            sums[name] = sums.get(name, 0.0) + probability
    found: dict[str, ClassScore] = {}
    for leaf in best:
        for depth, name in enumerate((*leaf.parents, leaf.name)):
            found.setdefault(name, _scored(name, sums[name], leaf.parents[:depth]))
    leading = best[0].name
    others = [each for name, each in found.items() if name != leading]
    return [found[leading], *_ranked(others)[: MAX_CLASSES - 1]]


def _face(photo: PhotoEmotions) -> list[ClassScore]:
    """Person, face and mood, where there is a large and sure face."""
    largest = photo.largest
    if largest is None or not is_sure_face(photo):
        return []
    sure = largest.face.confidence
    return [
        _scored("person", sure),
        _scored("face", sure, ("person",)),
        *(_scored(name, score, ("person", "face")) for name, score in largest.scores.items()),
    ]


def is_sure_face(photo: PhotoEmotions) -> bool:
    """Whether a photo's largest face is one that a mood may be said of beside things."""
    largest = photo.largest
    if largest is None:
        return False
    width = (largest.face.box[2] - largest.face.box[0]) / max(photo.width, photo.height)
    return largest.face.confidence >= FACE_CONFIDENCE and width >= FACE_WIDTH


def _colours(pixels: NDArray[np.uint8]) -> list[ClassScore]:
    small = Image.fromarray(pixels).resize(
        (_COLOUR_SIDE, _COLOUR_SIDE), Image.Resampling.BOX, reducing_gap=2.0
    )
    colours = np.asarray(small, dtype=np.float32).reshape(-1, 1, 3)
    difference = colours - _PALETTE
    # A distance near to what eyes see (T. Riemersma, "Colour metric", compuphase.com/cmetric.htm).
    red = (colours[..., 0] + _PALETTE[:, 0]) / 2 / 256
    weights = np.stack([2 + red, np.full_like(red, 4), 3 - red], axis=-1)
    nearest = (weights * difference**2).sum(-1).argmin(1)
    shares = np.bincount(nearest, minlength=len(_NAMES)) / len(nearest)
    order = np.argsort(-shares)[:MAX_COLOURS]
    named = [index for index in order if shares[index] >= LEAST_COLOUR] or [order[0]]
    return [
        _scored(f"{_NAMES[index]} color", COLOUR_BASE + float(shares[index]) / 2) for index in named
    ]


def _scored(name: str, score: float, parents: Sequence[str] = ()) -> ClassScore:
    entry: ClassScore = {"class": name, "score": round(min(1.0, score), SCORE_DECIMALS)}
    if parents:
        entry["type_hierarchy"] = "/" + "/".join((*parents, name))
    return entry


def _ranked(entries: Iterable[ClassScore]) -> list[ClassScore]:
    return sorted(entries, key=lambda entry: -entry["score"])

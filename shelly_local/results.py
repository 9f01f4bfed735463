"""What a classification answers: small immutable values that check themselves.

All of them can be compared, hashed, copied and pickled, so they pass between processes, and
``json.dumps(dataclasses.asdict(photo))`` works.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

#: The seven classes, in the order of every probability vector in this project.
CLASSES: tuple[str, ...] = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
)

Point = tuple[float, float]
Box = tuple[float, float, float, float]
#: What scores may sum to at most; float32 probabilities miss 1 by a little.
MAX_SCORE_SUM = 1.001


class Scores(dict[str, float]):
    """Probabilities by class: a dict that cannot be changed, and so can be hashed."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("scores cannot be changed; dict(scores) makes a copy that can")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Scores, (dict(self),)


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face, in pixels of the photo as it is shown, which its EXIF turns.

    Attributes:
        box: ``(x0, y0, x1, y1)``; may reach past the edge of the photo.
        landmarks: five ``(x, y)``: left eye, right eye, nose, left and right mouth
            corner, left and right as the viewer sees them once the face is the right side
            up; or none, from a cloud that gives none.
        confidence: the detector's probability that this is a face, 0 to 1.

    Raises:
        ValueError: a number is not finite or out of its range, or a box is empty.
    """

    box: Box
    landmarks: tuple[Point, ...]
    confidence: float

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "box", _numbers("box", self.box, 4))
        landmarks = tuple(_numbers("landmarks", point, 2) for point in self.landmarks)
        set_field(self, "landmarks", landmarks)
        (confidence,) = _numbers("confidence", (self.confidence,), 1)
        set_field(self, "confidence", confidence)
        x0, y0, x1, y1 = self.box
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"box must have x0 < x1 and y0 < y1, got {self.box}")
        if len(self.landmarks) not in (0, 5):
            raise ValueError(f"landmarks must be five points or none, got {len(self.landmarks)}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must lie in 0..1, got {self.confidence}")

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


@dataclass(frozen=True, slots=True)
class FaceEmotion:
    """A face and what its expression looks like to the model.

    Attributes:
        face: where the face is.
        scores: probability of each class, in the order of ``CLASSES``; they sum to 1.
            A cloud's may sum to less: the rest is none of the classes. Any mapping is taken
            and kept as a read-only one; a class that it lacks has 0.

    Raises:
        ValueError: there is no score, one is no number of 0 or more, or they sum to more than 1.
    """

    face: Face
    scores: Mapping[str, float]

    def __post_init__(self) -> None:
        values = _numbers("scores", self.scores.values(), len(self.scores))
        if not values or sum(values) > MAX_SCORE_SUM or min(values) < 0:
            raise ValueError(
                f"scores must be 0 or more and sum to 1 at most, got {dict(self.scores)}"
            )
        given = dict(zip(self.scores, values, strict=True))
        object.__setattr__(self, "scores", Scores(dict.fromkeys(CLASSES, 0.0) | given))

    @property
    def emotion(self) -> str:
        """The class with the highest probability."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def answered(self) -> bool:
        """Whether the best class beats "none of these"; always so for the model here."""
        return max(self.scores.values()) > max(1.0 - sum(self.scores.values()), 0.0)

    def as_dict(self) -> dict[str, object]:
        """The JSON object of one face, as ``shelly classify --json`` prints it."""
        return {
            "box": [round(value, 2) for value in self.face.box],
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in self.face.landmarks],
            "confidence": round(self.face.confidence, 4),
            "emotion": self.emotion if self.answered else None,
            "scores": {name: round(score, 4) for name, score in self.scores.items()},
        }


@dataclass(frozen=True, slots=True)
class PhotoEmotions:
    """Every face of one photo, largest first; none is an ordinary answer.

    Attributes:
        width, height: size of the upright photo in pixels, before any reduction.
        faces: the faces found, largest box first.

    Raises:
        ValueError: a side is no whole number of 1 or more.
    """

    width: int
    height: int
    faces: tuple[FaceEmotion, ...]

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            (length,) = _numbers(name, (side,), 1)
            if length < 1 or length != int(length):
                raise ValueError(f"{name} must be a whole number of 1 or more, got {side!r}")
            object.__setattr__(self, name, int(length))
        object.__setattr__(self, "faces", tuple(self.faces))

    @property
    def largest(self) -> FaceEmotion | None:
        """The face with the largest box, or None when there is no face."""
        return self.faces[0] if self.faces else None

    def as_dict(self) -> dict[str, object]:
        """``{"width", "height", "faces"}``, ready for JSON."""
        return {
            "width": self.width,
            "height": self.height,
            "faces": [face.as_dict() for face in self.faces],
        }


def _numbers(what: str, values: Iterable[Any], count: int) -> tuple[Any, ...]:
    """The values as ``float``; what is no finite number fails here, as no comparison fails NaN."""
    given = tuple(values)
    try:
        if len(given) == count and all(map(math.isfinite, given)):
            return tuple(map(float, given))
    except (OverflowError, TypeError):  # an int beyond any float; a text
        pass
    wanted = "a finite number" if count == 1 else f"{count} finite numbers"
    raise ValueError(f"{what} must be {wanted}, got {given}")


def percentage(probability: float) -> str:
    """``0.934`` as ``"93 %"``."""
    return f"{probability * 100:.0f} %"

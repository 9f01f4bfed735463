"""What a classification answers: small immutable values that check themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face, in pixels of the photo as it is shown, which its EXIF turns.

    Attributes:
        box: ``(x0, y0, x1, y1)``; may reach past the edge of the photo.
        landmarks: five ``(x, y)``: left eye, right eye, nose, left and right mouth
            corner, left and right as the viewer sees them once the face is the right side
            up; or none, from a cloud that gives none.
        confidence: the detector's probability that this is a face, 0 to 1.
    """

    box: Box
    landmarks: tuple[Point, ...]
    confidence: float

    def __post_init__(self) -> None:
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
        scores: probability of each class, in the order of the model's classes; they
            sum to 1. A cloud's may sum to less: the rest is none of the classes. A
            read-only mapping.
    """

    face: Face
    scores: Mapping[str, float]

    def __post_init__(self) -> None:
        total = sum(self.scores.values())
        if not self.scores or total > 1.001 or min(self.scores.values()) < 0:
            raise ValueError(
                f"scores must be 0 or more and sum to 1 at most, got {dict(self.scores)}"
            )
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))

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
    """

    width: int
    height: int
    faces: tuple[FaceEmotion, ...]

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

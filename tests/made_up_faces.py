"""Made-up people showing made-up expressions, for tests.

The faces come from six people's neutral and smiling portraits (tests/pictures/people, credits
beside them). More people are made from these by changing geometry, tone and light. Happiness
is a morph from neutral to smiling; the other expressions are warps of the neutral face. They
look clear and alike from person to person: good for testing a training from end to end, and
no measure of how well a model reads real faces.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from shelly_local.vision.detector import FaceDetector
from tests.made_up_expressions import EXPRESSIONS, Expression

Floats = NDArray[np.float32]

PEOPLE = Path(__file__).parent / "pictures" / "people"
PORTRAITS = ("026", "030", "061", "064", "129", "132")


@dataclass(frozen=True)
class Person:
    """Two pictures of somebody and where their face lies.

    Attributes:
        neutral, smiling: float32 (size, size, 3), 0..255.
        landmarks, smiling_landmarks: (5, 2) in pixels; left and right as the viewer sees them.
        seam: how far the line between the lips sags below the corners, in pixels.
    """

    neutral: Floats
    smiling: Floats
    landmarks: Floats
    smiling_landmarks: Floats
    seam: float

    @property
    def unit(self) -> float:
        """Distance of the eyes in pixels."""
        return float(np.hypot(*(self.landmarks[1] - self.landmarks[0])))

    def anchors(self, name: str) -> list[tuple[int, Floats]]:
        """Side (-1, 1, or 0 in the middle) and place of an anchor."""
        marks = self.landmarks
        if name == "eye":
            return [(-1, marks[0]), (1, marks[1])]
        if name == "corner":
            return [(-1, marks[3]), (1, marks[4])]
        if name == "nose":
            return [(0, marks[2])]
        return [(0, (marks[3] + marks[4]) / 2 + np.array([0, self.seam], np.float32))]


@lru_cache(maxsize=len(PORTRAITS))
def _portrait(name: str, size: int) -> Person:
    """One of the people, as photographed."""
    detector = FaceDetector(threads=1)
    pictures, marks = [], []
    for kind in ("neutral", "smiling"):
        with Image.open(PEOPLE / f"{name}-{kind}.jpg") as image:
            scale = size / image.width
            face = detector.detect(np.asarray(image), min_face=100)[0]
            small = image.resize((size, size), Image.Resampling.BICUBIC)
        pictures.append(np.asarray(small, dtype=np.float32))
        # Pixel centres, so that a scaled picture keeps its landmarks in place.
        marks.append(((np.array(face.landmarks) + 0.5) * scale - 0.5).astype(np.float32))
    return Person(pictures[0], pictures[1], marks[0], marks[1], _seam(pictures[0], marks[0]))


def _seam(picture: Floats, marks: Floats) -> float:
    """Where the lips meet: the darkest row near the mouth's middle, below the corners' line."""
    centre, unit = (marks[3] + marks[4]) / 2, float(marks[1, 0] - marks[0, 0])
    rows = np.arange(round(centre[1] - 0.12 * unit), round(centre[1] + 0.14 * unit))
    columns = np.arange(round(centre[0] - 0.12 * unit), round(centre[0] + 0.12 * unit) + 1)
    return float(rows[picture[rows][:, columns].mean(axis=(1, 2)).argmin()] - centre[1])


def make_person(number: int, size: int, seed: int) -> Person:
    """The first people are as photographed; the others are made from them."""
    person = _portrait(PORTRAITS[number % len(PORTRAITS)], size)
    generation = number // len(PORTRAITS)
    if generation == 0:
        return person
    rng = np.random.default_rng([seed, number])
    pictures = [person.neutral, person.smiling]
    marks = [person.landmarks, person.smiling_landmarks]
    if generation % 2:
        pictures = [picture[:, ::-1] for picture in pictures]
        order = [1, 0, 2, 4, 3]
        marks = [(mark * [-1, 1] + [size - 1, 0])[order].astype(np.float32) for mark in marks]
    # Wide smooth bumps over the face: longer or shorter, wider or narrower features.
    unit = person.unit
    middle = marks[0].mean(axis=0)
    # Nearly alike on both sides, as faces are.
    offsets = rng.uniform((0, -1.1), (1.1, 1.1), (5, 2))
    sides = np.array([[[-1, 1]], [[1, 1]]])
    centres = (middle + sides * offsets * unit).reshape(-1, 2)
    moves = sides * np.clip(rng.normal(0, 0.055, (5, 2)), -0.09, 0.09)
    moves = (moves + rng.normal(0, 0.01, moves.shape)).reshape(-1, 2) * unit
    stretch = 1 + rng.uniform(-0.08, 0.08, 2)

    def warp(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        u, v = middle[0] + (x - middle[0]) * stretch[0], middle[1] + (y - middle[1]) * stretch[1]
        for (cx, cy), (dx, dy) in zip(centres, moves, strict=True):
            weight = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (0.6 * unit) ** 2))
            u, v = u + weight * dx, v + weight * dy
        return u.astype(np.float32), v.astype(np.float32)

    y, x = np.indices((size, size), dtype=np.float32)
    u, v = warp(x, y)
    # Landmarks go the other way: find where each one now lies, by repeated substitution.
    moved = []
    for mark in marks:
        place = mark.copy()
        for _ in range(10):
            place += mark - np.stack(warp(place[:, 0], place[:, 1]), axis=1)
        moved.append(place)
    gamma, gains = rng.uniform(0.75, 1.3), rng.uniform(0.96, 1.04, 3)
    slope = rng.uniform(-0.2, 0.2) * (x / size - 0.5)
    blur = float(rng.uniform(0.0, 0.7)) * size / 224
    made = []
    for picture in pictures:
        toned = 255 * (_sample(picture, u, v) / 255) ** gamma * gains * (1 + slope[:, :, None])
        image = Image.fromarray(np.clip(toned, 0, 255).astype(np.uint8))
        made.append(np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32))
    return Person(made[0], made[1], moved[0], moved[1], _seam(made[0], moved[0]))


def record(
    person: Person, emotion: str, frames: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[bytes]]:
    """The strength of the expression in each frame of a take, about 0 to 1, and the JPEG files."""
    # Where in the person's picture each pixel of the take lies: the pose of the head.
    angle, zoom = np.radians(rng.uniform(-6, 6)), rng.uniform(0.88, 1.06)
    shift = rng.uniform(-0.04, 0.04, 2) * size
    y, x = np.indices((size, size), dtype=np.float32) - (size - 1) / 2
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    x, y = (
        (cosine * x - sine * y + (size - 1) / 2 + shift[0]).astype(np.float32),
        (sine * x + cosine * y + (size - 1) / 2 + shift[1]).astype(np.float32),
    )
    brightness, noise = rng.uniform(0.85, 1.12), rng.uniform(1.0, 4.0)
    drift = np.cumsum(rng.normal(0, 0.0006, (frames, 2)), axis=0) * size

    time = np.linspace(0, 1, frames) + rng.uniform(-0.04, 0.04)
    strength = np.clip(np.minimum((time - 0.12) / 0.28, (0.92 - time) / 0.28), 0, 1)
    strength = strength**2 * (3 - 2 * strength) * rng.uniform(0.85, 1.05)
    if emotion == "neutral":
        strength[:] = 0
    if emotion == "happiness":
        strength = np.minimum(strength, 1)  # a morph has an end
    bumps = _smile(person) if emotion == "happiness" else _bumps(person, emotion)
    dx, dy, shade = _field(x, y, bumps)
    pictures = []
    for amount, (move_x, move_y) in zip(strength, drift, strict=True):
        u, v = x - amount * dx + move_x, y - amount * dy + move_y
        if emotion == "happiness":
            back = 1 - amount
            smile = _sample(person.smiling, x + back * dx + move_x, y + back * dy + move_y)
            picture = back * _sample(person.neutral, u, v) + amount * smile
        elif emotion == "neutral":
            picture = _sample(person.neutral, u, v)
        else:
            picture = _open_mouth(person, EXPRESSIONS[emotion], amount, u, v)
            picture *= (1 - amount * shade)[:, :, None]
        picture = picture * brightness
        picture += rng.standard_normal(picture.shape, dtype=np.float32) * noise
        file = io.BytesIO()
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
        pictures.append(file.getvalue())
    return strength, pictures


#: A bump in pixels: centre, spread, displacement, shade.
Placed = tuple[Floats, Floats, Floats, float]


def _bumps(person: Person, emotion: str) -> list[Placed]:
    """The expression's bumps on this face."""
    unit = person.unit
    placed = []
    for bump in EXPRESSIONS[emotion].bumps if emotion in EXPRESSIONS else ():  # not in neutral
        for side, anchor in person.anchors(bump.anchor):
            outwards = np.array([side, 1], np.float32) * unit
            placed.append(
                (
                    anchor + outwards * np.array(bump.at, np.float32),
                    unit * np.array(bump.spread, np.float32),
                    outwards * np.array(bump.move, np.float32),
                    bump.shade,
                )
            )
    return placed


def _smile(person: Person) -> list[Placed]:
    """From the neutral to the smiling mouth: what its corners do."""
    spread = np.full(2, 0.3 * person.unit, np.float32)
    moves = person.smiling_landmarks - person.landmarks
    return [(person.landmarks[mark], spread, moves[mark], 0.0) for mark in (3, 4)]


def _field(x: Floats, y: Floats, bumps: list[Placed]) -> tuple[Floats, Floats, Floats]:
    """Sum of the bumps at each pixel: displacement in x and y, and shade."""
    dx, dy, shade = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for centre, spread, move, dark in bumps:
        # Backwards from where the skin has moved to.
        across, down = centre + move
        weight = np.exp(-0.5 * (((x - across) / spread[0]) ** 2 + ((y - down) / spread[1]) ** 2))
        dx += weight * move[0]
        dy += weight * move[1]
        shade = 1 - (1 - shade) * (1 - dark * weight)
    return dx, dy, shade


def _open_mouth(
    person: Person, expression: Expression, amount: float, u: Floats, v: Floats
) -> Floats:
    """The neutral face at (u, v), its lips parted; between them it is dark, with some teeth."""
    unit, (left, right) = person.unit, person.landmarks[3:]
    half = expression.width * float(right[0] - left[0]) / 2
    across = (u - (left[0] + right[0]) / 2) / half
    lens = np.clip(1 - across**2, 0, 1)
    slope = (right[1] - left[1]) / (right[0] - left[0])
    down = v - (left[1] + slope * (u - left[0]) + person.seam * lens)  # below the seam
    rise, fall = (amount * unit * part * lens for part in expression.mouth)
    if not any(expression.mouth):
        return _sample(person.neutral, u, v)
    above, below = -rise - down, down - fall  # outside the opening, from its edges
    # Skin near the edge follows the lip; farther off it stays. The upper lip gives way within
    # the space below the nose, the lower one takes the chin along.
    follow_up = np.exp(-0.5 * (np.maximum(above, 0) / (0.28 * unit)) ** 2)
    follow_down = np.exp(-0.5 * (np.maximum(below, 0) / (0.55 * unit)) ** 2)
    middle = (fall - rise) / 2
    shifted = np.where(down < middle, rise * follow_up, -fall * follow_down)
    picture = _sample(person.neutral, u, v + shifted)
    # Inside the opening: soft edge of about a pixel.
    depth = np.minimum(-above, -below)
    inside = np.clip(depth / (0.02 * unit), 0, 1) * (lens > 0)
    teeth = np.clip(expression.teeth * (rise + fall) - (down + rise), 0, 0.03 * unit)
    teeth = (teeth / (0.03 * unit))[:, :, None] * (0.6 + 0.4 * lens[:, :, None])
    light = person.neutral[int(person.landmarks[2, 1]), int(person.landmarks[2, 0])].mean() / 200
    dark, white = np.array([48, 18, 18], np.float32), np.array([205, 198, 185], np.float32)
    filling = (dark + teeth * (white - dark)) * float(np.clip(light, 0.55, 1.0))
    result: Floats = picture + inside[:, :, None] * (filling - picture)
    return result


def _sample(picture: Floats, x: Floats, y: Floats) -> Floats:
    """Bilinear; outside the picture its border repeats."""
    height, width, channels = picture.shape
    x, y = np.clip(x, 0, width - 1.001), np.clip(y, 0, height - 1.001)
    column, row = x.astype(np.intp), y.astype(np.intp)
    right, down = (x - column)[:, :, None], (y - row)[:, :, None]
    flat = np.ascontiguousarray(picture).reshape(-1, channels)
    corner = row * width + column
    top = flat[corner] * (1 - right) + flat[corner + 1] * right
    bottom = flat[corner + width] * (1 - right) + flat[corner + width + 1] * right
    return np.asarray(top * (1 - down) + bottom * down, dtype=np.float32)

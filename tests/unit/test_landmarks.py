"""Landmarks belong to the face, not to the way it was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shelly_local.results import Face
from shelly_local.vision.detector import FaceDetector
from shelly_local.vision.images import decode


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def largest(detector: FaceDetector, pixels: NDArray[np.uint8]) -> Face:
    return detector.steadied(pixels, detector.detect(pixels)[:1])[0]


def distance(first: Face, second: Face) -> float:
    """Mean distance of the landmarks, as a share of the eyes' distance."""
    a, b = np.array(first.landmarks), np.array(second.landmarks)
    return float(np.linalg.norm(a - b, axis=1).mean() / np.linalg.norm(a[1] - a[0]))


def scaled(face: Face, factor: float) -> Face:
    return replace(face, landmarks=tuple((x * factor, y * factor) for x, y in face.landmarks))


def test_a_reduced_photo_has_the_same_landmarks(
    portrait_photos: list[Path], detector: FaceDetector
) -> None:
    """As found they move by up to 5 % of the eyes' distance."""
    moved = []
    for photo in portrait_photos:
        pixels = decode(photo).pixels
        half = Image.fromarray(pixels).reduce(2)
        reduced = largest(detector, np.asarray(half))
        moved.append(distance(largest(detector, pixels), scaled(reduced, 2.0)))
    assert np.median(moved) < 0.006
    assert max(moved) < 0.02


@pytest.mark.parametrize("shift", [(0.06, 0.0), (-0.06, 0.0), (0.0, 0.06), (0.0, -0.06)])
def test_where_the_search_began_is_forgotten(
    smiling_photo: Path, detector: FaceDetector, shift: tuple[float, float]
) -> None:
    pixels = decode(smiling_photo, max_side=675).pixels
    face = largest(detector, pixels)
    eyes = face.landmarks[1][0] - face.landmarks[0][0]
    elsewhere = tuple((x + shift[0] * eyes, y + shift[1] * eyes) for x, y in face.landmarks)
    found = detector.steadied(pixels, [replace(face, landmarks=elsewhere)])[0]
    assert distance(face, found) < 0.015


def test_steadied_landmarks_lie_where_the_cascade_saw_them(
    portrait_photos: list[Path], detector: FaceDetector
) -> None:
    for photo in portrait_photos:
        pixels = decode(photo, max_side=675).pixels
        face = detector.detect(pixels)[0]
        steady = detector.steadied(pixels, [face])[0]
        assert steady.box == face.box
        assert distance(face, steady) < 0.1


def test_a_face_at_the_edge_of_the_photo(smiling_photo: Path, detector: FaceDetector) -> None:
    """Windows may reach past the picture; its border repeats there."""
    pixels = decode(smiling_photo, max_side=675).pixels
    face = largest(detector, pixels)
    left = int(face.landmarks[0][0]) - 20
    cut = np.ascontiguousarray(pixels[:, left:])
    moved = replace(face, landmarks=tuple((x - left, y) for x, y in face.landmarks))
    assert distance(moved, detector.steadied(cut, [moved])[0]) < 0.1


@pytest.mark.parametrize("degrees", [-25, 15, 30])
def test_a_turned_face_has_the_same_landmarks(
    smiling_photo: Path, detector: FaceDetector, degrees: int
) -> None:
    image = Image.fromarray(decode(smiling_photo, max_side=675).pixels)
    face = largest(detector, np.asarray(image))
    turned = np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC))
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = np.array(image.size) / 2
    points = (np.array(face.landmarks) - middle) @ np.array([[cos, -sin], [sin, cos]]) + middle
    there = replace(face, landmarks=tuple((float(x), float(y)) for x, y in points))
    assert distance(there, detector.steadied(turned, [there])[0]) < 0.015


def test_landmarks_without_a_face_stay_as_they_are(detector: FaceDetector) -> None:
    """A mistake of the cascade must not make O-Net wander off."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    points = ((80.0, 90.0), (120.0, 90.0), (100.0, 110.0), (85.0, 130.0), (115.0, 130.0))
    for pixels in (noise, np.zeros_like(noise)):
        face = Face(box=(60.0, 60.0, 140.0, 150.0), landmarks=points, confidence=0.8)
        assert distance(face, detector.steadied(pixels, [face])[0]) <= 0.5


def test_no_face_is_no_face(detector: FaceDetector) -> None:
    assert detector.steadied(np.zeros((64, 64, 3), dtype=np.uint8), []) == []

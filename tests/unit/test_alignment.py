"""The similarity transform and the aligned crop, on patterns whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shelly_local.vision.alignment import (
    FER2013_TEMPLATE,
    align,
    similarity_transform,
    upright_square,
)

Points = NDArray[np.float64]


def moved(points: Points, degrees: float, scale: float, shift: tuple[float, float]) -> Points:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ rotation.T * scale + shift)


def picture_with_dots(landmarks: Points, side: int, radius: float) -> NDArray[np.uint8]:
    """A grey picture with a bright dot on each landmark, placed to an eighth of a pixel."""
    image = Image.new("RGB", (side * 8, side * 8), (90, 90, 90))
    draw = ImageDraw.Draw(image)
    for x, y in landmarks * 8:
        draw.ellipse((x - radius * 8, y - radius * 8, x + radius * 8, y + radius * 8), fill="white")
    return np.asarray(image.reduce(8))


def brightest(crop: NDArray[np.uint8], near: Points, reach: float) -> Points:
    """Centre of the bright pixels around a point."""
    grey = crop.mean(axis=2) - 90
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    close = np.hypot(columns + 0.5 - near[0], rows + 0.5 - near[1]) < reach
    weight = np.where(close, np.maximum(grey, 0), 0)
    centre = [(weight * (columns + 0.5)).sum(), (weight * (rows + 0.5)).sum()]
    return np.asarray(np.array(centre) / weight.sum(), dtype=np.float64)


@pytest.mark.parametrize("degrees", [0, 25, -90, 170])
@pytest.mark.parametrize("scale", [0.1, 1.0, 7.5])
def test_a_similarity_is_recovered(degrees: float, scale: float) -> None:
    target = moved(FER2013_TEMPLATE, degrees, scale, (3.0, -40.0))
    matrix = similarity_transform(FER2013_TEMPLATE, target)
    assert np.allclose(FER2013_TEMPLATE @ matrix[:, :2].T + matrix[:, 2], target)


def test_a_mirror_image_is_not_followed() -> None:
    matrix = similarity_transform(FER2013_TEMPLATE, FER2013_TEMPLATE * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_result_is_the_least_squares_one() -> None:
    generator = np.random.default_rng(0)
    target = FER2013_TEMPLATE * 100 + generator.normal(0, 5, (5, 2))
    matrix = similarity_transform(FER2013_TEMPLATE, target)

    def error(candidate: NDArray[np.float64]) -> float:
        found = FER2013_TEMPLATE @ candidate[:, :2].T + candidate[:, 2]
        return float(((found - target) ** 2).sum())

    best = error(matrix)
    for _ in range(200):
        a, b = matrix[0, 0] + generator.normal(0, 1), matrix[1, 0] + generator.normal(0, 1)
        shift = matrix[:, 2] + generator.normal(0, 1, 2)
        assert error(np.array([[a, -b, shift[0]], [b, a, shift[1]]])) >= best


def test_points_that_coincide_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)), FER2013_TEMPLATE)


@pytest.mark.parametrize("face_side", [30, 100, 400, 900])
@pytest.mark.parametrize("degrees", [0, 20, -35])
def test_landmarks_meet_the_template(face_side: int, degrees: float) -> None:
    """Small faces are enlarged, large ones reduced; the dots land where the template says."""
    size = 96
    side = face_side * 2
    centred = (FER2013_TEMPLATE - 0.5) * face_side
    landmarks = moved(centred, degrees, 1.0, (side / 2, side / 2))
    pixels = picture_with_dots(landmarks, side, radius=face_side * 0.04)
    crop = align(pixels, landmarks, size=size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    for point in FER2013_TEMPLATE * size:
        assert np.linalg.norm(brightest(crop, point, reach=10) - point) < 0.5


def test_large_faces_are_averaged_not_sampled() -> None:
    """A checkerboard finer than the crop's pixels becomes even grey."""
    rows, columns = np.mgrid[:960, :960]
    board = (((rows // 2 + columns // 2) % 2) * 255).astype(np.uint8)
    crop = align(board, FER2013_TEMPLATE * 960, size=48)
    assert crop.shape == (48, 48)
    assert abs(crop.astype(int) - 127).max() < 20


@pytest.mark.parametrize("face_side", [30, 400, 900])
@pytest.mark.parametrize("degrees", [0, 20, -45, 170])
def test_an_upright_square_holds_the_turned_one(face_side: int, degrees: float) -> None:
    size, side = 96, face_side * 2
    landmarks = moved((FER2013_TEMPLATE - 0.5) * face_side, degrees, 1.0, (side / 2, side / 2))
    pixels = picture_with_dots(landmarks, side, radius=face_side * 0.04)
    transform = similarity_transform(landmarks, FER2013_TEMPLATE * size)
    square, matrix = upright_square(pixels, transform, size=size)
    assert square.shape[0] == square.shape[1] <= size * 1.42
    assert matrix[0, 1] == matrix[1, 0] == 0, "it is not turned"
    for x, y in landmarks @ matrix[:, :2].T + matrix[:, 2]:
        near = np.array([x, y])
        assert np.linalg.norm(brightest(square[..., None], near, reach=10) - near) < 0.5
    corners = (np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * size - transform[:, 2]) @ np.linalg.inv(
        transform[:, :2]
    ).T
    inside = corners @ matrix[:, :2].T + matrix[:, 2]
    assert inside.min() > -1e-6
    assert inside.max() < len(square) + 1e-6


@pytest.mark.parametrize("shift", [(-300.0, 0.0), (50.0, 50.0), (1000.0, 900.0)])
def test_outside_the_picture_the_border_repeats(shift: tuple[float, float]) -> None:
    pixels = np.full((60, 80, 3), 77, dtype=np.uint8)
    crop = align(pixels, FER2013_TEMPLATE * 60 + shift, size=48)
    assert (crop == 77).all()
    transform = similarity_transform(FER2013_TEMPLATE * 60 + shift, FER2013_TEMPLATE * 48)
    assert (upright_square(pixels, transform, size=48)[0] == 77).all()


def test_a_crop_hardly_depends_on_how_far_the_photo_was_reduced(smiling_photo: Path) -> None:
    """Every pixel is a mean over its area: halving the photo first changes next to nothing."""
    photo = Image.open(smiling_photo).convert("RGB")
    landmarks = FER2013_TEMPLATE * 560 + [420, 450]
    whole = align(np.asarray(photo), landmarks, size=48, grey=True).astype(float)
    half = align(np.asarray(photo.reduce(2)), landmarks / 2, size=48, grey=True).astype(float)
    assert np.abs(whole - half).mean() < 0.1  # with one sample a pixel 1.6

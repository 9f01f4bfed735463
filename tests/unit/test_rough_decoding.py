"""JPEGs that the decoder reduces: where it does, and that no small face is lost by it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from shelly_local.vision.classifier import EmotionClassifier, find_faces
from shelly_local.vision.detector import FaceDetector
from shelly_local.vision.images import decode


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=92, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "kind", "decoded", "rough"),
    [
        ((1350, 1350), "JPEG", 338, True),
        ((1600, 1066), "JPEG", 400, True),
        ((1066, 1600), "JPEG", 400, True),
        ((5000, 3000), "JPEG", 625, True),
        ((1279, 700), "JPEG", 640, True),  # a quarter of it would be less than 320
        ((600, 400), "JPEG", 600, False),
        ((1350, 1350), "PNG", 1280, False),
    ],
)
def test_as_long_as_the_rough_side_is_left(
    size: tuple[int, int], kind: str, decoded: int, rough: bool
) -> None:
    content = encoded(Image.new("RGB", size, "teal"), kind)
    photo = decode(content, max_side=1280, rough_side=320)
    assert max(photo.pixels.shape) == decoded
    assert photo.rough == rough
    assert (photo.width, photo.height) == size
    exact = decode(content, max_side=1280)
    assert not exact.rough
    assert max(exact.pixels.shape) == min(1280, max(size))


@pytest.mark.parametrize("orientation", [1, 6])
def test_positions_are_exact_where_the_last_pixel_is_not_filled(orientation: int) -> None:
    """A quarter of 1350 pixels is 337.5 and takes 338."""
    image = Image.new("RGB", (1350, 1351), "black")
    image.paste("white", (1200, 1280, 1240, 1320))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = orientation
    photo = decode(encoded(image, exif=turned), max_side=1280, rough_side=320)
    assert photo.pixels.shape == (338, 338, 3)
    assert photo.scale == (4.0, 4.0)
    expected = (1200, 1280) if orientation == 1 else (1351 - 1320, 1200)
    rows, columns = np.nonzero(photo.pixels[..., 0] > 127)
    # Turned, the pixel that is not filled is the first one: up to 3 pixels of the photo.
    found = columns.min() * photo.scale[0], rows.min() * photo.scale[1]
    np.testing.assert_allclose(found, expected, atol=0 if orientation == 1 else 4)


def test_a_photo_with_a_large_face_is_decoded_roughly(smiling_photo: Path) -> None:
    photo, faces = find_faces(FaceDetector(), smiling_photo)
    assert photo.rough
    assert len(faces) == 1
    thorough, same = find_faces(FaceDetector(), smiling_photo, large_first=False)
    assert not thorough.rough
    # In pixels of the photo both see the same eyes.
    eyes = [
        np.array(face.landmarks[:2]) * each.scale
        for each, (face, *_) in ((photo, faces), (thorough, same))
    ]
    assert np.abs(eyes[0] - eyes[1]).max() < 0.02 * np.linalg.norm(eyes[1][1] - eyes[1][0])


def test_a_face_is_decoded_as_finely_as_its_crop_needs(smiling_photo: Path) -> None:
    """It is found in a quarter of the photo, where it has 60 pixels: too few."""
    with Image.open(smiling_photo) as image:
        person = image.convert("RGB").resize((740, 740))
    wide = Image.new("RGB", (1300, 800), "white")
    wide.paste(person, (500, 30))
    photo, faces = find_faces(FaceDetector(), encoded(wide))
    assert photo.rough
    assert max(photo.pixels.shape) == 650
    assert faces[0].box[2] - faces[0].box[0] >= 80


@pytest.mark.parametrize("detection", ["fast", "thorough"])
def test_crops_to_show_are_those_of_the_answer(
    portrait_photos: list[Path], crowd_photo: Path, detection: str
) -> None:
    classifier = EmotionClassifier(detection=detection)
    for photo in (portrait_photos[0], crowd_photo):
        answer = classifier.classify(photo)
        crops = classifier.crops(photo, answer)
        again = classifier.model.predict(crops).probabilities
        given = [list(face.scores.values()) for face in answer.faces]
        assert again == pytest.approx(np.array(given), abs=1e-3)


def test_small_faces_are_looked_for_in_the_finer_photo(smiling_photo: Path) -> None:
    """80 pixels of 2,560: too few where the decoder makes the photo 640 wide."""
    with Image.open(smiling_photo) as image:
        person = image.convert("RGB").resize((250, 250))
    wide = Image.new("RGB", (2560, 1600), "white")
    for index in range(3):
        wide.paste(person, (300 + 700 * index, 600))
    content = encoded(wide)
    fast, thorough = EmotionClassifier(), EmotionClassifier(detection="thorough")
    found, expected = fast.classify(content).faces, thorough.classify(content).faces
    assert len(found) == len(expected) == 3
    for face, same in zip(found, expected, strict=True):
        assert face.face.box == same.face.box


def test_a_stream_is_read_once(smiling_photo: Path, crowd_photo: Path) -> None:
    classifier = EmotionClassifier()
    for photo in (smiling_photo, crowd_photo):
        with photo.open("rb") as stream:
            assert classifier.classify(stream) == classifier.classify(photo)

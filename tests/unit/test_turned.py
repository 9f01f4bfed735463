"""Photos that lie on their side or on their head, without EXIF that says so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed import turned as benchmark
from shelly_local import EmotionClassifier
from shelly_local.results import Face, PhotoEmotions
from shelly_local.vision.annotate import annotate
from shelly_local.vision.images import decode
from shelly_local.vision.turned import turned, turned_back
from tests.conftest import PICTURES, crowd

PEOPLE = sorted((PICTURES / "people").glob("*.jpg"))
QUARTERS = pytest.mark.parametrize("turns", [1, 2, 3], ids=["left", "upside-down", "right"])


def encoded(image: Image.Image, turns: int = 0, name: str = "JPEG", **options: Any) -> bytes:
    """A photo turned anticlockwise by quarters, without EXIF."""
    buffer = io.BytesIO()
    image.rotate(90 * turns, expand=True).save(buffer, name, **options)
    return buffer.getvalue()


def opened(photo: Path, side: int = 700) -> Image.Image:
    return Image.fromarray(decode(photo, max_side=side).pixels)


def assert_same_face(found: PhotoEmotions, expected: PhotoEmotions, turns: int) -> None:
    """The only face is where it was, with the same mood, the right side up."""
    size = (expected.width, expected.height)
    assert (found.width, found.height) == (size[::-1] if turns % 2 else size)
    (face,), (known,) = found.faces, expected.faces
    assert face.emotion == known.emotion
    assert face.scores == pytest.approx(known.scores, abs=0.1)
    back = turned_back(face.face, turns, *size)
    width = known.face.box[2] - known.face.box[0]
    assert np.abs(np.array(back.box) - known.face.box).max() < 0.1 * width
    assert np.abs(np.array(back.landmarks) - known.face.landmarks).max() < 0.05 * width


@QUARTERS
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_a_portrait_is_answered_as_the_right_side_up(
    classifier: EmotionClassifier, portrait_photos: list[Path], turns: int, name: str
) -> None:
    for photo in portrait_photos:
        image = opened(photo)
        upright = classifier.classify(encoded(image, name=name))
        assert_same_face(classifier.classify(encoded(image, turns, name)), upright, turns)


@pytest.mark.parametrize("detection", ["fast", "thorough"])
def test_no_smile_on_its_head_becomes_another_mood(detection: str) -> None:
    classifier = EmotionClassifier(detection=detection)
    for photo in (file for file in PEOPLE if "smiling" in file.name):
        image = opened(photo, 400)
        upright, found = (classifier.classify(encoded(image, turns)) for turns in (0, 2))
        assert_same_face(found, upright, 2)


@QUARTERS
def test_the_crop_is_shown_the_right_side_up(
    classifier: EmotionClassifier, smiling_photo: Path, turns: int
) -> None:
    image = opened(smiling_photo)
    upright, photo = encoded(image), encoded(image, turns)
    expected = classifier.crops(upright, classifier.classify(upright)).astype(float)
    crop = classifier.crops(photo, classifier.classify(photo)).astype(float)
    assert np.abs(crop - expected).mean() < 6


@QUARTERS
def test_a_small_face_in_a_large_photo(classifier: EmotionClassifier, turns: int) -> None:
    photo = Image.new("RGB", (1200, 800), "grey")
    photo.paste(opened(PICTURES / "people" / "026-smiling.jpg", 300), (500, 200))
    upright = classifier.classify(encoded(photo))
    assert_same_face(classifier.classify(encoded(photo, turns)), upright, turns)


@QUARTERS
def test_every_face_of_a_turned_group(classifier: EmotionClassifier, turns: int) -> None:
    group = crowd(2, 2, 300)
    upright = classifier.classify(encoded(group))
    found = classifier.classify(encoded(group, turns))
    moods = [sorted(face.emotion for face in result.faces) for result in (upright, found)]
    assert len(moods[0]) == 4
    assert moods[1] == moods[0]


def test_someone_lying_beside_someone_standing_changes_nothing(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    """As long as half of the faces are the right side up, so is the photo."""
    person = opened(smiling_photo, 500)
    photo = Image.new("RGB", (1000, 500))
    photo.paste(person, (0, 0))
    photo.paste(person.rotate(180), (500, 0))
    standing = classifier.classify(encoded(person)).faces[0]
    found = min(classifier.classify(encoded(photo)).faces, key=lambda face: face.face.box[0])
    assert found.emotion == standing.emotion
    assert np.abs(np.array(found.face.box) - standing.face.box).max() < 20


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_still_turns_a_photo(
    classifier: EmotionClassifier, smiling_photo: Path, orientation: int
) -> None:
    image = opened(smiling_photo)
    exif = Image.Exif()
    exif[274] = orientation
    stored = encoded(image, {3: 2, 6: 1, 8: 3}[orientation], exif=exif.tobytes())
    assert_same_face(classifier.classify(stored), classifier.classify(encoded(image)), 0)


@QUARTERS
def test_a_photo_without_a_face_stays_so(
    classifier: EmotionClassifier, no_face_photo: Path, turns: int
) -> None:
    assert classifier.classify(encoded(opened(no_face_photo), turns)).faces == ()


def test_boxes_are_drawn_around_the_turned_face(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    photo = encoded(opened(smiling_photo), 1)
    result = classifier.classify(photo)
    assert result.largest is not None
    x0, y0, x1, y1 = result.largest.face.box
    assert x1 - x0 > y1 - y0, "a face on its side is wider than high"
    for x, y in result.largest.face.landmarks:
        assert x0 < x < x1
        assert y0 < y < y1
    assert annotate(decode(photo).pixels, result).size == (700, 700)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_points_are_turned_back_as_pixels_are(turns: int) -> None:
    pixels = np.zeros((4, 7, 3), dtype=np.uint8)
    pixels[1, 5] = 255
    view = turned(pixels, turns)
    y, x = np.argwhere(view[:, :, 0])[0].tolist()
    face = Face((x, y, x + 1, y + 1), ((x + 0.5, y + 0.5),) * 5, 1.0)
    back = turned_back(face, turns, 7, 4)
    assert back.box == (5, 1, 6, 2)
    assert back.landmarks == ((5.5, 1.5),) * 5


def test_the_benchmark_counts_who_is_the_right_side_up(
    tmp_path: Path, smiling_photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(smiling_photo, 300).save(tmp_path / "portrait.png")
    assert benchmark.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("of 1 portraits 1 the right side up, 1 with the mood" in line for line in lines)

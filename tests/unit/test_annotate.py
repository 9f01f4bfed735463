"""Annotated copies: what is drawn, where the label lies, what the files are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shelly_local.results import CLASSES, Box, Face, FaceEmotion, PhotoEmotions
from shelly_local.vision.annotate import LINE_COLOUR, annotate, copy_files, label, save
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.images import decode


def emotions_at(box: Box, width: int, height: int) -> PhotoEmotions:
    """A happy face in the given box of a photo."""
    x0, y0, x1, y1 = box
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    scores = {name: 0.934 if name == "happiness" else 0.011 for name in CLASSES}
    return PhotoEmotions(width, height, (FaceEmotion(Face(box, (middle,) * 5, 0.99), scores),))


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First column and row, last column and row in which anything is set."""
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def test_real_photo_changes_at_the_face_and_nowhere_far_from_it(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    photo = decode(smiling_photo)
    emotions = classifier.classify(smiling_photo)
    annotated = np.asarray(annotate(photo.pixels, emotions))

    assert annotated.shape == photo.pixels.shape
    face = emotions.faces[0].face
    x0, y0, x1, y1 = (round(value) for value in face.box)
    changed = (annotated != photo.pixels).any(axis=2)
    assert changed[max(y0, 0) : y1, max(x0, 0) : x1].any()
    for x, y in face.landmarks:
        assert tuple(annotated[round(y), round(x)]) == LINE_COLOUR
    if len(emotions.faces) == 1:
        left, top, right, bottom = extent(changed)
        reach = (x1 - x0) / 2
        assert left >= x0 - reach
        assert top >= y0 - reach
        assert right <= x1 + reach
        assert bottom <= y1 + reach


def test_photo_is_not_altered(classifier: EmotionClassifier, smiling_photo: Path) -> None:
    pixels = decode(smiling_photo).pixels.copy()
    before = pixels.copy()
    annotate(pixels, classifier.classify(smiling_photo))
    np.testing.assert_array_equal(pixels, before)


def test_label_names_the_emotion_and_its_probability() -> None:
    assert label(emotions_at((10, 10, 50, 50), 100, 100).faces[0]) == "happiness 93 %"


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((400, 300), (100, 100, 200, 220)),  # room above
        ((400, 300), (100, 2, 200, 120)),  # no room above
        ((400, 300), (0, 0, 400, 300)),  # room neither above nor below
        ((400, 300), (350, 100, 399, 160)),  # would end beyond the right edge
        ((400, 300), (-40, -30, 60, 90)),  # reaches past two edges
        ((400, 300), (380, 280, 460, 380)),  # reaches past the other two
        ((48, 48), (8, 8, 40, 40)),  # hardly wider than letters
        ((6000, 4000), (2000, 1000, 4000, 3400)),
        ((6000, 4000), (100, 100, 140, 150)),  # a small face in a large photo
    ],
)
def test_label_is_whole_readable_and_inside_the_picture(size: tuple[int, int], box: Box) -> None:
    width, height = size
    green = np.full((height, width, 3), (0, 100, 60), dtype=np.uint8)
    annotated = np.asarray(annotate(green, emotions_at(box, width, height)))

    assert annotated.shape == (height, width, 3)
    left, top, right, bottom = extent(annotated.min(axis=2) > 160)  # neither green nor yellow
    # Letters that were cut off would touch the edge.
    assert left > 0
    assert top > 0
    assert right < width - 1
    assert bottom < height - 1
    assert bottom - top >= min(max(9, max(size) / 150), width / 8)
    # Around the letters there is the label's black ground.
    ground = annotated[top - 1 : bottom + 2, [left - 1, right + 1]]
    assert ground.max() < 160


def test_every_face_has_its_outline_and_the_largest_label_is_on_top(
    classifier: EmotionClassifier, group_photo: Path
) -> None:
    photo = decode(group_photo)
    emotions = classifier.classify(group_photo)
    assert len(emotions.faces) > 1
    annotated = np.asarray(annotate(photo.pixels, emotions))
    alone = PhotoEmotions(photo.width, photo.height, emotions.faces[:1])
    changed = (annotated != photo.pixels).any(axis=2)
    for face in emotions.faces:
        x0, y0, x1, y1 = (max(round(value), 0) for value in face.face.box)
        assert changed[y0:y1, x0:x1].any()
    largest = (np.asarray(annotate(photo.pixels, alone)) > 250).all(axis=2)
    letters = largest & ~(photo.pixels > 250).all(axis=2)
    assert letters.any()
    assert (annotated[letters] > 250).all()


def test_photo_without_a_face_stays_as_it_is(
    classifier: EmotionClassifier, no_face_photo: Path
) -> None:
    photo = decode(no_face_photo)
    annotated = annotate(photo.pixels, classifier.classify(no_face_photo))
    np.testing.assert_array_equal(np.asarray(annotated), photo.pixels)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "PNG"), ("a.PNG", "PNG"), ("a.jpg", "JPEG"), ("a.webp.jpg", "JPEG")],
)
def test_saved_format_follows_the_suffix(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / "new" / "folder" / name
    save(Image.linear_gradient("L").convert("RGB"), file)
    with Image.open(file) as saved:
        assert saved.format == kind
        assert saved.size == (256, 256)
        assert not saved.getexif()
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken.jpg").mkdir()
    with pytest.raises(OSError, match=r"taken\.jpg"):
        save(Image.new("RGB", (40, 40)), tmp_path / "taken.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.jpg"]


def test_copies_keep_the_tree_and_never_meet() -> None:
    photos = ["me.jpg", "me.webp", "sub/me.JPEG", "me.jpg", "me-2.jpg", "me.png", "stdin"]
    assert copy_files(Path("out"), [Path(photo) for photo in photos]) == [
        Path("out", name)
        for name in (
            "me.jpg",
            "me.webp.jpg",
            "sub/me.JPEG",
            "me-2.jpg",
            "me-2-2.jpg",
            "me.png",
            "stdin.jpg",
        )
    ]

"""Crops as in use, kept on disk through kills, damage and changes."""

from __future__ import annotations

import io
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shelly_local.vision.alignment import FER2013_TEMPLATE
from shelly_local.vision.classifier import EmotionClassifier
from training import crops as crops_module
from training.crops import NO_FACE, UNREADABLE, Crops, extract
from training.dataset import Frame


@dataclass(frozen=True)
class CropFraming:
    """A framing without a model."""

    size: int
    template: NDArray[np.float64] = field(default_factory=FER2013_TEMPLATE.copy)


FRAMING = CropFraming(48)


def small(photo: Path, side: int = 200) -> bytes:
    """The photo, reduced so that the tests are quick."""
    buffer = io.BytesIO()
    with Image.open(photo) as image:
        image.thumbnail((side, side))
        image.convert("RGB").save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def many(
    portrait_photos: list[Path], no_face_photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Frame]:
    """Forty pictures, all different in bytes, some without a face."""
    folder = tmp_path_factory.mktemp("many")
    contents = [small(photo) for photo in (*portrait_photos, no_face_photo)]
    files = []
    for number in range(40):
        files.append(folder / f"img_{number:04d}.jpg")
        # Decoders stop at the JPEG's end; only the hash sees what follows.
        files[-1].write_bytes(contents[number % len(contents)] + bytes([number]))
    return [Frame(file) for file in files]


@pytest.fixture(scope="module")
def whole(many: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Crops:
    """Their crops, made without any interruption."""
    return extract(many, tmp_path_factory.mktemp("whole"), model=FRAMING, workers=1)


def assert_equal(one: Crops, other: Crops) -> None:
    assert (one.images == other.images).all()
    assert (one.found == other.found).all()
    assert one.problems == other.problems


def shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("crops-*/*.npz"))


def test_the_model_sees_the_same_crop_as_in_use(
    classifier: EmotionClassifier, portrait_photos: list[Path], group_photo: Path, tmp_path: Path
) -> None:
    photos = [*portrait_photos, group_photo]
    crops = extract([Frame(p) for p in photos], tmp_path, model=classifier.model, workers=1)
    assert crops.images.shape == (len(photos), classifier.model.size, classifier.model.size)
    assert crops.found.all()
    probabilities = classifier.model.predict(crops.images).probabilities
    for photo, row in zip(photos, probabilities, strict=True):
        largest = classifier.classify(photo).largest
        assert largest is not None
        assert list(row) == pytest.approx(list(largest.scores.values()), abs=1e-3)


def test_frames_keep_their_order_and_bad_ones_are_named(
    many: list[Frame], whole: Crops, portrait_photos: list[Path], tmp_path: Path
) -> None:
    text, cut = tmp_path / "notes.jpg", tmp_path / "cut.jpg"
    text.write_text("no picture")
    cut.write_bytes(portrait_photos[0].read_bytes()[:5000])
    (tmp_path / "folder.jpg").mkdir()
    archive = tmp_path / "anger.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.jpg", many[1].read())
    damaged = tmp_path / "fear.zip"
    damaged.write_bytes(archive.read_bytes()[:-40])
    frames = [
        Frame(text),
        many[0],
        Frame(tmp_path / "missing.jpg"),
        Frame(archive, "a.jpg"),
        Frame(cut),
        many[4],
        Frame(damaged, "a.jpg"),
        Frame(archive, "b.jpg"),
        Frame(tmp_path / "folder.jpg"),
        many[0],
    ]
    expected = [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    for _ in range(2):
        crops = extract(frames, tmp_path / "cache", model=FRAMING, workers=1)
        assert crops.found.tolist() == [bool(value) for value in expected]
        assert crops.problems == {
            NO_FACE: [many[4].label],
            UNREADABLE: [frames[position].label for position in (0, 2, 4, 6, 7, 8)],
        }
        assert [Path(label).name for label in crops.problems[UNREADABLE]] == [
            *("notes.jpg", "missing.jpg", "cut.jpg", "a.jpg", "b.jpg", "folder.jpg")
        ]
        for position, original in ((1, 0), (3, 1), (9, 0)):
            assert (crops.images[position] == whole.images[original]).all()
        assert not crops.images[~crops.found].any()
    text.write_bytes(many[2].read())
    mended = extract(frames, tmp_path / "cache", model=FRAMING, workers=1)
    assert (mended.images[0] == whole.images[2]).all()


def test_the_reason_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    extract([Frame(tmp_path / "notes.jpg")], tmp_path / "cache", model=FRAMING)
    told = capsys.readouterr().err
    assert f"{tmp_path / 'notes.jpg'}: The photo is not a picture in a supported format" in told
    extract([Frame(tmp_path / "notes.jpg")], tmp_path / "cache", model=FRAMING, progress=False)
    assert capsys.readouterr().err == ""


def test_no_frames(tmp_path: Path) -> None:
    crops = extract([], tmp_path / "cache", model=FRAMING)
    assert crops.images.shape == (0, 48, 48)
    assert len(crops) == 0
    assert not (tmp_path / "cache").exists()


def test_many_processes_make_the_same(many: list[Frame], whole: Crops, tmp_path: Path) -> None:
    assert_equal(extract(many, tmp_path, model=FRAMING, workers=2), whole)
    assert whole.found.sum() == 32
    assert whole.problems[NO_FACE] == [many[number].label for number in range(4, 40, 5)]


@pytest.fixture
def own(many: list[Frame], tmp_path: Path) -> list[Frame]:
    """Copies of five pictures that a test may change."""
    return [Frame(Path(shutil.copy2(frame.path, tmp_path / frame.path.name))) for frame in many[:5]]


def test_what_is_known_is_not_made_again(
    own: list[Frame], whole: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    assert_equal(extract(own[::-1], cache, model=FRAMING, workers=1),
                 extract(own[::-1], cache, model=FRAMING, workers=1))  # fmt: skip
    monkeypatch.setattr(crops_module, "FaceDetector", None)
    again = extract(own, cache, model=FRAMING, workers=1)
    assert (again.images == whole.images[:5]).all()
    assert len(shards(cache)) == 1


def test_a_picture_that_moved_keeps_its_crop_and_a_changed_one_gets_another(
    own: list[Frame], whole: Crops, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    extract(own, cache, model=FRAMING, workers=1)
    moved = Frame(own[0].path.rename(tmp_path / "moved.jpg"))
    extract([moved], cache, model=FRAMING, workers=1)
    assert len(shards(cache)) == 1
    own[1].path.write_bytes(own[2].read() + b"longer")
    crops = extract([moved, *own[1:]], cache, model=FRAMING, workers=1)
    assert (crops.images[[0, 1, 2]] == whole.images[[0, 2, 2]]).all()


def test_another_template_or_size_makes_other_crops(own: list[Frame], tmp_path: Path) -> None:
    larger = CropFraming(48, FER2013_TEMPLATE * 0.8 + 0.1)
    one = extract(own, tmp_path / "cache", model=FRAMING, workers=1)
    other = extract(own, tmp_path / "cache", model=larger, workers=1)
    wide = extract(own, tmp_path / "cache", model=CropFraming(64), workers=1)
    assert (one.images[0] != other.images[0]).mean() > 0.5
    assert wide.images.shape == (5, 64, 64)
    assert len({shard.parent for shard in shards(tmp_path / "cache")}) == 3
    assert_equal(extract(own, tmp_path / "cache", model=FRAMING, workers=1), one)


@pytest.mark.parametrize("damage", ["cut off", "one byte", "empty", "other arrays"])
def test_a_damaged_shard_is_made_again(
    damage: str, own: list[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    before = extract(own[:3], cache, model=FRAMING, workers=1)
    shard = shards(cache)[0]
    extract(own[3:], cache, model=FRAMING, workers=1)
    content = bytearray(shard.read_bytes())
    if damage == "cut off":
        del content[len(content) // 2 :]
    elif damage == "one byte":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content.clear()
    shard.write_bytes(content)
    if damage == "other arrays":
        np.savez(shard, pictures=np.zeros((3, 32), np.uint8))
    after = extract(own[:3], cache, model=FRAMING, workers=1)
    assert (after.images == before.images).all()
    assert f"{shard} is damaged" in capsys.readouterr().err
    assert not shard.exists()
    extract(own[:3], cache, model=FRAMING, workers=1)
    assert capsys.readouterr().err == ""


def test_nothing_is_written_outside_of_the_cache(own: list[Frame], tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    extract(own, tmp_path / "cache", model=FRAMING, workers=1)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "cache"}
    assert [path.read_text() for path in (tmp_path / "cache").glob("*/.gitignore")] == ["*\n"]


def test_wrong_arguments(own: list[Frame], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        extract(own, tmp_path, model=FRAMING, workers=0)

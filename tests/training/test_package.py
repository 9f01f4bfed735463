"""Training zips within IBM's limits."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import mug, package
from training.splits import holdout

#: Enough people for ten pictures of each class after a quarter of them is left out.
PEOPLE = [f"{number:03d}" for number in range(1, 17)]
EMOTIONS = ("anger", "happiness")


def jpeg(seed: int, side: int = 40) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A take of three frames of each person and emotion."""
    root = tmp_path / "mug"
    for position, subject in enumerate(PEOPLE):
        for emotion in EMOTIONS:
            folder = root / "subjects3" / subject / emotion / "take000"
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"img_{number:04d}.jpg").write_bytes(jpeg(10 * position + number))
    return root


def run(data: Path, out: Path, *options: str) -> int:
    return package.main(["--data", str(data), "--out", str(out), *options])


def names(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def people(file: Path) -> set[str]:
    return {name.split("_")[0] for name in names(file)}


def test_zips_of_the_people_to_train_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "zips"
    assert run(data, out) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "anger.zip",
        "happiness.zip",
        "test-subjects.txt",
    ]
    test = (out / "test-subjects.txt").read_text(encoding="utf-8").split()
    assert len(test) == 4
    assert tuple(test) == holdout(mug.index(data), classes=EMOTIONS).test
    for emotion in EMOTIONS:
        assert people(out / f"{emotion}.zip") == set(PEOPLE) - set(test)
    first = sorted(set(PEOPLE) - set(test))[0]
    assert names(out / "anger.zip")[0] == f"{first}_anger_take000_img_0002.jpg"
    original = data / "subjects3" / first / "anger" / "take000" / "img_0002.jpg"
    with zipfile.ZipFile(out / "anger.zip") as archive:
        assert archive.read(archive.namelist()[0]) == original.read_bytes()
    text = capsys.readouterr().out
    assert "12 people to train on; 4 to test on" in text
    assert "Nobody shows disgust, fear, neutral, sadness, surprise: no zip." in text


def test_zips_can_be_indexed_again(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path / "zips", "--test-share", "0", "--frames", "all") == 0
    packed, original = mug.index(tmp_path / "zips"), mug.index(data)
    assert [take.key for take in packed.takes] == [take.key for take in original.takes]
    assert packed.per_emotion() == original.per_emotion()


def test_the_same_seed_makes_the_same_files(data: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(data, tmp_path / name, "--seed", seed) == 0
    a, b, c = ((tmp_path / name / "anger.zip").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_people_to_test_on_by_name(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path / "zips", "--test-subjects", "1,2", "016") == 0
    assert people(tmp_path / "zips" / "anger.zip") == set(PEOPLE) - {"001", "002", "016"}
    capsys.readouterr()
    assert run(data, tmp_path / "other", "--test-subjects", "99") == 1
    assert "nobody is called 099" in capsys.readouterr().err
    assert run(data, tmp_path / "other", "--test-subjects", *PEOPLE) == 1
    assert "nobody is left to train on" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_too_few_pictures(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, tmp_path / "zips", "--test-share", "0.5") == 1
    assert "anger has 8 pictures of people to train on; at least 10" in capsys.readouterr().err
    fear = data / "subjects3" / "001" / "fear" / "take000"
    fear.mkdir(parents=True)
    (fear / "img_0000.jpg").write_bytes(jpeg(0))
    assert run(data, tmp_path / "zips", "--test-subjects", "001") == 1
    assert "fear has 0 pictures" in capsys.readouterr().err
    assert not (tmp_path / "zips").exists()


def test_existing_files_are_kept_unless_forced(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "zips"
    out.mkdir()
    for name in ("anger.zip", "fear.zip", "notes.txt"):
        (out / name).write_text("mine")
    assert run(data, out) == 1
    assert "already holds anger.zip, fear.zip; --force" in capsys.readouterr().err
    assert (out / "anger.zip").read_text() == "mine"
    assert run(data, out, "--force") == 0
    assert len(names(out / "anger.zip")) == 12
    assert not (out / "fear.zip").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_half_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    original = zipfile.ZipFile.writestr

    def full_disk(self: zipfile.ZipFile, entry: zipfile.ZipInfo, content: bytes) -> None:
        written.append(entry)
        if len(written) > 15:
            raise OSError(28, "No space left on device")
        original(self, entry, content)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full_disk)
    assert run(data, tmp_path / "zips") == 1
    assert "No space left" in capsys.readouterr().err
    assert list((tmp_path / "zips").iterdir()) == []


def test_only_jpeg_and_png(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data / "subjects3" / "001" / "anger"
    Image.new("RGB", (40, 40)).save(folder / "take000" / "img_0002.jpg", "GIF")
    (folder / "take001").mkdir()
    Image.new("RGB", (40, 40)).save(folder / "take001" / "img_0000.jpg", "PNG")
    assert run(data, tmp_path / "zips", "--test-share", "0") == 0
    assert "left out 1: neither JPEG nor PNG" in capsys.readouterr().out
    assert names(tmp_path / "zips" / "anger.zip")[0] == "001_anger_take001_img_0000.png"


def test_within_the_limits_evenly_from_all_people(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(package, "MAX_PICTURES", 40)
    assert run(data, tmp_path / "zips", "--test-share", "0", "--frames", "all") == 0
    counts = [
        sum(name.startswith(subject) for name in names(tmp_path / "zips" / "anger.zip"))
        for subject in PEOPLE
    ]
    assert sum(counts) == 40
    assert set(counts) == {2, 3}
    assert "left out 8: no room within the limits" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["MAX_ZIP_BYTES", "MAX_CALL_BYTES"])
def test_bytes_within_the_limits(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(package, limit, 60_000)
    assert run(data, tmp_path / "zips", "--test-share", "0", "--frames", "all") == 0
    sizes = [(tmp_path / "zips" / f"{emotion}.zip").stat().st_size for emotion in EMOTIONS]
    used = max(sizes) if limit == "MAX_ZIP_BYTES" else sum(sizes)
    assert 54_000 < used <= 60_000
    assert people(tmp_path / "zips" / "anger.zip") == set(PEOPLE)


def test_more_people_than_pictures_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for emotion in EMOTIONS:
        (tmp_path / "data" / emotion).mkdir(parents=True)
        for number in range(30):
            (tmp_path / "data" / emotion / f"{emotion}-{number}.jpg").write_bytes(jpeg(number))
    monkeypatch.setattr(package, "MAX_PICTURES", 12)
    assert run(tmp_path / "data", tmp_path / "zips", "--test-share", "0") == 0
    packed = names(tmp_path / "zips" / "anger.zip")
    assert len(packed) == 12
    assert all(name.startswith("anger-") for name in packed)


def test_one_person_and_one_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        folder = tmp_path / "data" / "001" / "anger" / f"take{number:03d}"
        folder.mkdir(parents=True)
        (folder / "img_0000.jpg").write_bytes(jpeg(number))
    assert run(tmp_path / "data", tmp_path / "zips") == 1
    assert "one person only (001)" in capsys.readouterr().err
    assert run(tmp_path / "data", tmp_path / "zips", "--test-share", "0") == 1
    assert "needs two classes" in capsys.readouterr().err
    assert not (tmp_path / "zips").exists()


def test_share_out_of_range(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, tmp_path / "zips", "--test-share", "1.5") == 1
    assert "between 0 and 1, not 1.5" in capsys.readouterr().err

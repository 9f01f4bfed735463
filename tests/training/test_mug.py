"""Finding people, takes and frames in MUG's layout, class folders and training zips."""

from __future__ import annotations

import io
import json
import zipfile
from functools import lru_cache
from pathlib import Path

import pytest
from PIL import Image

from shelly_local.errors import DataError
from shelly_local.results import CLASSES
from training import mug
from training.dataset import Index, summary
from training.mug_names import parse_suffixes


@lru_cache
def picture(kind: str = "JPEG") -> bytes:
    """The smallest picture that is accepted, or nearly."""
    stream = io.BytesIO()
    Image.new("RGB", (40, 40), "grey").save(stream, kind)
    return stream.getvalue()


def put(path: Path, content: bytes | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture() if content is None else content)


def put_take(folder: Path, numbers: range | list[int] = range(3)) -> None:
    for number in numbers:
        put(folder / f"img_{number:04d}.jpg")


def keys(found: Index) -> list[str]:
    return [take.key for take in found.takes]


def pack(path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, picture())


def test_quirks_of_mug(tmp_path: Path) -> None:
    tree = tmp_path / "mug" / "subjects3"
    put_take(tree / "001" / "anger" / "take000", [161, 162, 164])
    put_take(tree / "001" / "anger" / "take001nsg")
    put_take(tree / "001" / "anger" / "take002end")
    put_take(tree / "001" / "anger" / "take003odd")
    put_take(tree / "001" / "mixed" / "take000")
    put_take(tree / "001" / "mixed" / "take001")
    put_take(tree / "001" / "contempt" / "take000")
    (tree / "001" / "fear" / "take000").mkdir(parents=True)
    put_take(tree / "002" / "session0" / "fear" / "take000")
    put_take(tree / "002" / "session1" / "fear" / "take000")
    put_take(tree / "006" / "006" / "Happiness" / "Take000")
    put(tree / "001" / "anger" / "take000" / "clip.avi", b"video")
    put(tree / "001" / "anger" / "take000" / "Thumbs.db", b"icons")
    put(tree / "001" / "anger" / "take000" / "notes.txt", b"text")
    put(tree / "001" / "anger" / "take000" / ".img_0000.jpg")
    put(tree / "__MACOSX" / "001" / "anger" / "take000" / "img_0000.jpg")
    put(tree / "001" / "anger" / "preview.jpg")
    found = mug.index(tmp_path)
    assert keys(found) == [
        "001/anger/take000",
        "001/anger/take001nsg",
        "002/fear/session0/take000",
        "002/fear/session1/take000",
        "006/happiness/Take000",
    ]
    assert [frame.name for frame in found.takes[0].frames] == [
        "img_0161.jpg",
        "img_0162.jpg",
        "img_0164.jpg",
    ]
    assert found.left_out == {
        "Thumbs.db": 1,
        "dot files and __MACOSX": 2,
        "other files": 1,
        "pictures that lie beside takes": 1,
        "takes in no emotion's folder": 1,
        "takes of mixed emotions": 2,
        "takes with suffix end": 1,
        "takes with suffix odd": 1,
        "takes without a frame": 1,
        "videos": 1,
    }


@pytest.mark.parametrize(
    ("suffixes", "kept"),
    [
        ("", ["take000"]),
        ("nsg", ["take000", "take001nsg"]),
        (" END , nsg", ["take000", "take001nsg", "take002end"]),
        ("all", ["take000", "take001nsg", "take002end", "take003-b"]),
    ],
)
def test_suffixes(tmp_path: Path, suffixes: str, kept: list[str]) -> None:
    for name in ("take000", "take001nsg", "take002end", "take003-b"):
        put_take(tmp_path / "001" / "anger" / name)
    found = mug.index(tmp_path, suffixes=parse_suffixes(suffixes))
    assert [take.name for take in found.takes] == kept
    assert sum(found.left_out.values()) == 4 - len(kept)


@pytest.mark.parametrize("start", ["", "subjects3", "subjects3/002", "subjects3/002/session0"])
def test_the_tree_may_begin_anywhere(tmp_path: Path, start: str) -> None:
    put_take(tmp_path / "subjects3" / "002" / "session0" / "anger" / "take000")
    (take,) = mug.index(tmp_path / start).takes
    assert (take.subject, take.emotion) == ("002", "anger")


def test_frames_are_in_order_of_number(tmp_path: Path) -> None:
    folder = tmp_path / "1" / "anger" / "take000"
    for name in ("img_10.jpg", "IMG_2.JPG", "img_9.png"):
        put(folder / name)
    (take,) = mug.index(tmp_path).takes
    assert take.subject == "001"
    assert [frame.name for frame in take.frames] == ["IMG_2.JPG", "img_9.png", "img_10.jpg"]


def test_an_archive_unpacked_twice_counts_once(tmp_path: Path) -> None:
    put_take(tmp_path / "001" / "anger" / "take000")
    put_take(tmp_path / "001" / "001" / "anger" / "take000")
    put_take(tmp_path / "more" / "001" / "anger" / "take000", [7, 8])
    found = mug.index(tmp_path)
    assert found.left_out == {"takes found twice": 1}
    assert {take.subject for take in found.takes} == {"001"}
    assert sorted(len(take.frames) for take in found.takes) == [2, 3]


def test_links_in_a_circle(tmp_path: Path) -> None:
    put_take(tmp_path / "001" / "anger" / "take000")
    (tmp_path / "000").symlink_to(tmp_path / "001")
    (tmp_path / "001" / "anger" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    found = mug.index(tmp_path)
    assert keys(found) == ["001/anger/take000"]
    assert found.left_out == {"links to folders seen before": 2, "other files": 1}


def test_linked_people_are_found(tmp_path: Path) -> None:
    put_take(tmp_path / "disk" / "anger" / "take000")
    (tmp_path / "mug").mkdir()
    (tmp_path / "mug" / "013").symlink_to(tmp_path / "disk")
    assert keys(mug.index(tmp_path / "mug")) == ["013/anger/take000"]


def test_class_folders_tell_people_by_names(tmp_path: Path) -> None:
    put(tmp_path / "anger" / "001_anger_take000_img_0035.jpg")
    put(tmp_path / "anger" / "001_an_001_0003.jpg")
    put(tmp_path / "anger" / "001_an_001_0012.jpg")
    put(tmp_path / "Anger" / "002_anger_session1_take003nsg_img_0035.png", picture("PNG"))
    put(tmp_path / "anger" / "002_anger_take004end_img_0001.jpg")
    put(tmp_path / "fear" / "007" / "a.jpg")
    found = mug.index(tmp_path)
    assert [(take.key, len(take.frames)) for take in found.takes] == [
        ("001/anger/take000", 1),
        ("001/anger/take001", 2),
        ("002/anger/session1/take003nsg", 1),
        ("007/fear/a", 1),
    ]
    assert found.left_out == {"takes with suffix end": 1}


def test_pictures_without_a_person_are_people_of_their_own(tmp_path: Path) -> None:
    put(tmp_path / "anger" / "one.jpg")
    put(tmp_path / "anger" / "two.jpg")
    put(tmp_path / "contempt" / "three.jpg")
    found = mug.index(tmp_path)
    assert found.subjects == ("one", "two")
    assert found.left_out == {"pictures in no emotion's folder": 1}
    assert "too good" in summary(found)
    put(tmp_path / "fear" / "two.jpg")
    assert mug.index(tmp_path).subjects == ("one", "two")


def test_manual_part_alone(tmp_path: Path) -> None:
    short = {"an": "anger", "di": "disgust", "fe": "fear", "ha": "happiness"}
    short |= {"ne": "neutral", "sa": "sadness", "su": "surprise"}
    for letters in short:
        put(tmp_path / "manual" / "images" / f"012_{letters}_000_0021.jpg")
    put(tmp_path / "manual" / "images" / "012_xx_000_0021.jpg")
    found = mug.index(tmp_path)
    assert keys(found) == [f"012/{emotion}/manual/images/take000" for emotion in CLASSES]
    assert found.left_out == {"pictures in no emotion's folder": 1}


def test_zips(tmp_path: Path) -> None:
    pack(tmp_path / "anger.zip", ["anger/", "anger/001_anger_take000_img_0035.jpg", "x.txt"])
    junk = ["__MACOSX/fear/._a.jpg", ".DS_Store", "fear/Thumbs.db", "fear/sub/a.jpg"]
    pack(tmp_path / "Fear_positive_examples.zip", junk)
    pack(tmp_path / "negative_examples.zip", ["a.jpg"])
    pack(tmp_path / "cars.zip", ["a.jpg"])
    pack(tmp_path / "sadness.zip", ["readme.txt"])
    found = mug.index(tmp_path)
    assert keys(found) == ["001/anger/take000", "a/fear/sub/a"]
    assert found.takes[1].frames[0].read() == picture()
    assert found.left_out == {
        "Thumbs.db": 1,
        "dot files and __MACOSX": 2,
        "other files": 2,
        "zips not named after an emotion": 1,
        "zips of negative examples": 1,
        "zips without a picture": 1,
    }
    listed = mug.index([tmp_path / "anger.zip", tmp_path / "Fear_positive_examples.zip"])
    assert listed.takes == found.takes


def test_damaged_zip(tmp_path: Path) -> None:
    (tmp_path / "anger.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match=r"anger\.zip cannot be read"):
        mug.index(tmp_path)


def test_takes_win_over_their_copies(tmp_path: Path) -> None:
    put_take(tmp_path / "001" / "anger" / "take000")
    pack(tmp_path / "anger.zip", ["001_anger_take000_img_0001.jpg"])
    put(tmp_path / "manual" / "images" / "001_an_000_0001.jpg")
    found = mug.index(tmp_path)
    assert keys(found) == ["001/anger/take000"]
    assert found.left_out == {"pictures that lie beside takes": 2}


def test_check_leaves_out_what_cannot_be_decoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_take(tmp_path / "001" / "anger" / "take000")
    put(tmp_path / "001" / "anger" / "take000" / "img_0001.jpg", picture()[:200])
    put(tmp_path / "001" / "anger" / "take001" / "img_0000.jpg", b"")
    assert mug.index(tmp_path).frames == 4
    found = mug.index(tmp_path, check=True)
    assert [frame.name for frame in found.takes[0].frames] == ["img_0000.jpg", "img_0002.jpg"]
    assert found.left_out == {"takes without a frame": 1, "undecodable frames": 2}
    assert "img_0001.jpg: " in capsys.readouterr().err


def test_check_of_zips(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "anger.zip", "w") as archive:
        archive.writestr("good.jpg", picture())
        archive.writestr("bad.jpg", b"no picture")
    found = mug.index(tmp_path / "anger.zip", check=True)
    assert found.subjects == ("good",)


def test_nothing_found_says_what_was_seen(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="It holds nothing"):
        mug.index(tmp_path)
    put(tmp_path / "holiday" / "beach.jpg")
    put_take(tmp_path / "Alice" / "anger" / "take000")
    with pytest.raises(DataError, match="It holds Alice, holiday") as caught:
        mug.index(tmp_path)
    assert "1 takes in no numbered folder" in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        mug.index(tmp_path / "nowhere")
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        mug.index(tmp_path / "holiday" / "beach.jpg")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_take(tmp_path / "mug" / "001" / "anger" / "take000")
    put_take(tmp_path / "mug" / "001" / "anger" / "take001end", range(4))
    put_take(tmp_path / "mug" / "002" / "happiness" / "take000")
    file = tmp_path / "index.json"
    command = [str(tmp_path / "mug"), "--json", str(file)]
    assert mug.main(command) == 0
    text = capsys.readouterr().out
    assert [line.split() for line in text.splitlines()[:4]] == [
        ["people", "takes", "frames"],
        ["anger", "1", "1", "3"],
        ["happiness", "1", "1", "3"],
        ["together", "2", "2", "6"],
    ]
    assert "Nobody shows disgust, fear, neutral, sadness, surprise." in text
    assert "1 takes with suffix end" in text
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert (numbers["subjects"], numbers["takes"], numbers["frames"]) == (2, 2, 6)
    assert mug.main([*command, "--suffixes", "nsg,end"]) == 0
    assert json.loads(file.read_text(encoding="utf-8"))["left_out"] == {}
    assert mug.main([str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist" in capsys.readouterr().err


def test_published_split() -> None:
    assert len(mug.PUBLIC_SUBJECTS) == len(set(mug.PUBLIC_SUBJECTS)) == 52
    assert len(mug.LFDM_TRAIN) == len(set(mug.LFDM_TRAIN)) == 26
    assert set(mug.LFDM_TRAIN) < set(mug.PUBLIC_SUBJECTS)

"""Labelled pictures from class folders, MUG and FER2013."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import data_sets
from benchmarks.data import LabelledData, parse_mapping, parse_subjects
from shelly_local.errors import DataError
from tests import made_up_mug


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.new("RGB", (40, 40), "grey").save(stream, "JPEG")
    path.write_bytes(stream.getvalue())


def labels(found: LabelledData) -> dict[str, str]:
    return {picture.name: picture.label for picture in found.pictures}


def people(found: LabelledData) -> dict[str, str]:
    return {picture.name: picture.subject for picture in found.pictures}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("Happy/1.jpg", "Happy/deep/2.png", "neutral/1.jpg", "odd/3.jpg", "odd/4.jpg"):
        put(tmp_path / "tree" / name)
    put(tmp_path / "tree/.hidden/5.jpg")
    (tmp_path / "tree/neutral/notes.txt").write_text("no picture")
    (tmp_path / "tree/people.csv").write_text("1.jpg,Ann\n2,Bob\n")
    (tmp_path / "tree/empty").mkdir()
    return tmp_path / "tree"


def test_class_folders(tree: Path) -> None:
    found = data_sets.load(tree)
    assert labels(found) == {
        "Happy/1.jpg": "happiness",
        "Happy/deep/2.png": "happiness",
        "neutral/1.jpg": "neutral",
    }
    assert found.mapped == {"Happy": "happiness"}
    assert found.left_out == {
        "files in no class folder": 1,
        "files that are no pictures": 1,
        "pictures in the folder 'odd', which is no class": 2,
    }
    assert people(found) == {"Happy/1.jpg": "1", "Happy/deep/2.png": "deep/2", "neutral/1.jpg": "1"}
    assert all(picture.read()[:2] == b"\xff\xd8" for picture in found.pictures)


def test_folders_are_mapped_or_left_out(tree: Path) -> None:
    found = data_sets.load(tree, mapping=parse_mapping(["odd=fear", "happy=-"]))
    assert set(labels(found).values()) == {"fear", "neutral"}
    assert found.mapped == {"odd": "fear"}
    assert found.left_out["pictures in the folder 'Happy', which is no class"] == 2
    with pytest.raises(DataError, match=r"the mapping names smiling, but .* holds Happy, empty,"):
        data_sets.load(tree, mapping=parse_mapping(["smiling=fear"]))
    for wrong in ("odd", "odd=joy", "=fear"):
        with pytest.raises(DataError, match=rf"happiness.*got '{re.escape(wrong)}'"):
            parse_mapping([wrong])


def test_subjects_by_expression_and_by_table(tree: Path) -> None:
    by_folder = data_sets.load(tree, subjects=parse_subjects(r"/(\w+)/"))
    assert people(by_folder)["Happy/deep/2.png"] == "deep"
    assert people(by_folder)["Happy/1.jpg"] == "Happy/1.jpg"
    by_table = data_sets.load(tree, subjects=parse_subjects(str(tree / "people.csv")))
    assert people(by_table) == {
        "Happy/1.jpg": "Ann",
        "neutral/1.jpg": "Ann",
        "Happy/deep/2.png": "Bob",
    }
    with pytest.raises(DataError, match="no regular expression"):
        parse_subjects("(")
    with pytest.raises(DataError, match="cannot be read"):
        parse_subjects(str(tree / "missing.csv"))


def test_nothing_usable(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data_sets.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"its folders are deep.*--map smiling=happiness"):
        data_sets.load(tree / "Happy")


def test_mug(tmp_path: Path) -> None:
    contents = made_up_mug.build(tmp_path, subjects=2, takes=1, frames=7, size=64, quirks=False)
    found = data_sets.load(tmp_path)
    assert found.kind == "mug"
    assert len(found.pictures) == len(contents["frames"]) == 14
    assert {picture.subject for picture in found.pictures} == set(contents["subjects"])
    assert all(p.name.startswith(f"{p.subject}/{p.label}/") for p in found.pictures)
    assert len(data_sets.load(tmp_path, frames="all").pictures) == 14 * 7
    assert found.pictures[0].read()
    with pytest.raises(DataError, match="for class folders"):
        data_sets.load(tmp_path, mapping={"a": "fear"})


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    """Four faces: majority neutral twice, a tie, and happiness that 2013 called fear."""
    votes = np.zeros((4, 10), dtype=np.uint8)
    votes[0, 0] = votes[1, 0] = 10
    votes[2, :2] = 5
    votes[3, 1] = 10
    images = np.arange(4 * 48 * 48, dtype=np.uint64).astype(np.uint8).reshape(4, 48, 48)
    for part in ("private", "public"):
        np.savez(
            tmp_path / f"{part}.npz",
            images=images,
            labels=np.array([4, 4, 3, 2], dtype=np.uint8),
            votes=votes,
        )
    return tmp_path


def test_fer2013(fer2013: Path) -> None:
    found = data_sets.load(fer2013)
    assert found.kind == "fer2013"
    assert list(labels(found).values()) == ["neutral", "neutral", "happiness"]
    assert found.left_out == {"faces without a label by the rule majority": 1}
    with Image.open(io.BytesIO(found.pictures[0].read())) as picture:
        assert (picture.format, picture.size) == ("PNG", (200, 200))
    agreed = data_sets.load(fer2013 / "public.npz", labels="agreed")
    assert labels(agreed) == {"public/00000": "neutral", "public/00001": "neutral"}
    assert list(labels(data_sets.load(fer2013, labels="2013")).values())[2:] == [
        "happiness",
        "fear",
    ]


def test_fer2013_that_is_none(fer2013: Path) -> None:
    (fer2013 / "train.npz").write_bytes(b"")
    with pytest.raises(DataError, match="models learn from"):
        data_sets.load(fer2013 / "train.npz")
    (fer2013 / "private.npz").write_bytes(b"PK broken")
    with pytest.raises(DataError, match=r"private\.npz is not"):
        data_sets.load(fer2013)

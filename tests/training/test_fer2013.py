"""Reading FER2013 in both layouts, and turning votes into targets."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from shelly_local.errors import DataError
from shelly_local.results import CLASSES
from training import fer2013
from training.fer2013 import VOTE_COLUMNS, Faces


def votes(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in VOTE_COLUMNS]


def faces(*rows: list[int]) -> Faces:
    count = len(rows)
    return Faces(
        np.zeros((count, 48, 48), np.uint8),
        np.zeros(count, np.int64),
        np.array(rows, np.uint8).reshape(count, 10),
    )


def test_soft_targets_are_shares_of_our_classes() -> None:
    part = faces(
        votes(happiness=8, neutral=2), votes(anger=5, contempt=5), votes(contempt=8, unknown=2)
    )
    targets, weights = part.soft_targets()
    assert targets[0, CLASSES.index("happiness")] == pytest.approx(0.8)
    assert targets[0, CLASSES.index("neutral")] == pytest.approx(0.2)
    assert targets[1, CLASSES.index("anger")] == pytest.approx(1.0)
    assert weights.tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert np.allclose(targets.sum(axis=1), 1)


def test_single_votes_are_slips() -> None:
    targets, weights = faces(votes(fear=9, sadness=1)).soft_targets()
    assert targets[0, CLASSES.index("fear")] == 1
    assert weights[0] == 1


def test_majority_is_one_of_ours_and_alone() -> None:
    part = faces(votes(surprise=6, fear=4), votes(anger=5, disgust=5), votes(contempt=6, neutral=4))
    truth, valid = part.majority()
    assert valid.tolist() == [True, False, False]
    assert truth[0] == CLASSES.index("surprise")


def test_arrays(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name, count in (("train-0", 3), ("train-1", 4), ("public", 2)):
        np.savez(
            tmp_path / f"{name}.npz",
            images=generator.integers(0, 256, (count, 48, 48), dtype=np.uint8),
            labels=np.arange(count, dtype=np.uint8),
            votes=np.ones((count, 10), np.uint8),
        )
    assert len(fer2013.load(tmp_path, "train")) == 7
    assert fer2013.load(tmp_path, "train").labels.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert len(fer2013.load(tmp_path, "public")) == 2
    with pytest.raises(DataError, match=r"neither private\*\.npz nor fer2013\.csv"):
        fer2013.load(tmp_path, "private")


def write_csv(folder: Path) -> None:
    """Three rows of training, of which the last is also that of the private part."""
    rows = [
        *(("0", "Training", 10), ("6", "Training", 20), ("4", "Training", 30)),
        ("4", "PrivateTest", 30),
    ]
    with (folder / "fer2013.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        writer.writerows([e, " ".join([str(level)] * 2304), usage] for e, usage, level in rows)
    with (folder / "fer2013new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *VOTE_COLUMNS])
        writer.writerow(["Training", "a.png", *votes(anger=10)])
        writer.writerow(["Training", "", *votes(NF=10)])
        writer.writerow(["Training", "d.png", *votes(sadness=10)])
        writer.writerow(["PrivateTest", "c.png", *votes(sadness=7, neutral=3)])


def test_published_csv_files(tmp_path: Path) -> None:
    write_csv(tmp_path)
    train = fer2013.load(tmp_path, "train")
    assert len(train) == 1, "without the one that has no face and the one that is tested"
    assert train.labels[0] == CLASSES.index("anger")
    assert (train.images[0] == 10).all()
    private = fer2013.load(tmp_path, "private")
    assert private.labels[0] == CLASSES.index("sadness")
    assert private.majority()[0][0] == CLASSES.index("sadness")
    with pytest.raises(DataError, match=r"'public' .* is empty"):
        fer2013.load(tmp_path, "public")


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        fer2013.load(tmp_path / "nowhere", "train")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"it holds notes\.txt"):
        fer2013.load(tmp_path, "train")


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match=r"train\.npz is not"):
        fer2013.load(tmp_path, "train")
    np.savez(
        tmp_path / "train.npz",
        images=np.zeros((2, 40, 40), np.uint8),
        labels=np.zeros(2, np.uint8),
        votes=np.zeros((2, 10), np.uint8),
    )
    with pytest.raises(DataError, match=r"\(N,48,48\)"):
        fer2013.load(tmp_path, "train")

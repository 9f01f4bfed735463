"""FER2013 pictures with the FER+ votes.

FER2013: Goodfellow et al. 2013, "Challenges in Representation Learning"; 48x48 grey
faces. FER+: Barsoum et al. 2016, "Training Deep Networks for Facial Expression
Recognition with Crowd-Sourced Label Distribution": ten people voted on each picture.

Two layouts of a data folder are read:

* the files as their authors publish them: ``fer2013.csv`` (Kaggle) and
  ``fer2013new.csv`` (FER+);
* the same content as arrays: ``train*.npz``, ``public.npz`` and ``private.npz``, each with
  ``images`` uint8 (N, 48, 48), ``labels`` uint8 (N,) in the order of ``CLASSES`` and
  ``votes`` uint8 (N, 10) in the order of ``VOTE_COLUMNS``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import DataError
from shelly_local.results import CLASSES

Part = Literal["train", "public", "private"]

SIDE = 48
VOTE_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger",
    "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
#: Positions of our seven classes among the vote columns.
CLASS_COLUMNS = tuple(VOTE_COLUMNS.index(name) for name in CLASSES)
#: Order of the numbers 0-6 in the column ``emotion`` of fer2013.csv.
_CSV_LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_CSV_USAGE = {"train": "Training", "public": "PublicTest", "private": "PrivateTest"}
#: A picture that half of the voters call "no face" teaches nothing.
_MOST_NO_FACE_VOTES = 4


@dataclass(frozen=True)
class Faces:
    """One part of the data set.

    Attributes:
        images: uint8 (N, 48, 48).
        labels: the 2013 labels, int64 (N,), indices into ``CLASSES``.
        votes: the FER+ votes, uint8 (N, 10), columns as ``VOTE_COLUMNS``.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def soft_targets(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vote distributions over our classes, and how far each picture counts.

        Single votes are dropped as slips of the hand, as the FER+ authors do. The weight
        is the share of votes that went to one of our seven classes: a picture that most
        people call contempt or unknown teaches little about the seven.

        Returns:
            float32 (N, 7) rows that sum to 1 (uniform where the weight is 0), and
            float32 (N,) weights in 0..1.
        """
        votes = np.where(self.votes > 1, self.votes, 0)
        ours = votes[:, CLASS_COLUMNS].astype(np.float32)
        mass = ours.sum(axis=1)
        weights = mass / np.maximum(votes.sum(axis=1), 1)
        targets = np.where(mass[:, None] > 0, ours, 1.0)
        targets = targets / targets.sum(axis=1, keepdims=True)
        return targets.astype(np.float32), weights.astype(np.float32)

    def majority(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The most-voted class, and whether it is one of ours and alone at the top.

        Returns:
            int64 (N,) indices into ``CLASSES`` (0 where not valid) and bool (N,).
        """
        top = self.votes.max(axis=1)
        alone = (self.votes == top[:, None]).sum(axis=1) == 1
        winner = self.votes.argmax(axis=1)
        to_class = np.full(len(VOTE_COLUMNS), -1, dtype=np.int64)
        to_class[list(CLASS_COLUMNS)] = np.arange(len(CLASSES))
        index = to_class[winner]
        return np.maximum(index, 0), alone & (index >= 0)


def load(folder: str | Path, part: Part) -> Faces:
    """Read one part of FER2013 with its FER+ votes.

    Args:
        folder: a folder in one of the two layouts of this module.
        part: ``"train"``, ``"public"`` (for choosing) or ``"private"`` (the reported test).

    Raises:
        DataError: the folder or a file is missing or has other content.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one that holds FER2013.")
    arrays = sorted(folder.glob(f"{part}*.npz"))
    if arrays:
        faces = _from_arrays(arrays)
    elif (folder / "fer2013.csv").is_file() and (folder / "fer2013new.csv").is_file():
        faces = _from_csv(folder, part)
    else:
        raise DataError(
            f"{folder} holds neither {part}*.npz nor fer2013.csv with fer2013new.csv; "
            f"it holds {', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'}."
        )
    if len(faces) == 0:
        raise DataError(f"the part {part!r} in {folder} is empty.")
    return faces


def _from_arrays(files: list[Path]) -> Faces:
    images, labels, votes = [], [], []
    for file in files:
        try:
            with np.load(file, allow_pickle=False) as archive:
                images.append(archive["images"])
                labels.append(archive["labels"])
                votes.append(archive["votes"])
        except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise DataError(f"{file} is not a FER2013 array file: {error}") from error
        shapes = images[-1].shape, labels[-1].shape, votes[-1].shape
        count = len(images[-1])
        if shapes != ((count, SIDE, SIDE), (count,), (count, len(VOTE_COLUMNS))):
            raise DataError(
                f"{file} has arrays of shapes {shapes}; expected (N,48,48), (N,), (N,10)."
            )
    return Faces(
        np.concatenate(images), np.concatenate(labels).astype(np.int64), np.concatenate(votes)
    )


def _from_csv(folder: Path, part: Part) -> Faces:
    """Read the published CSV files; their rows correspond one to one."""
    images, labels, votes = [], [], []
    tested: set[bytes] = set()  # pictures of the public and private part
    relabel = [CLASSES.index(name) for name in _CSV_LABELS]
    with (
        (folder / "fer2013.csv").open(newline="") as pictures,
        (folder / "fer2013new.csv").open(newline="") as crowd,
    ):
        for number, (row, vote) in enumerate(
            zip(csv.DictReader(pictures), csv.DictReader(crowd), strict=True), start=2
        ):
            if row["Usage"] != vote["Usage"]:
                raise DataError(f"row {number}: {row['Usage']!r} and {vote['Usage']!r} differ.")
            counts = [int(vote[name]) for name in VOTE_COLUMNS]
            wanted = row["Usage"] == _CSV_USAGE[part] and counts[-1] <= _MOST_NO_FACE_VOTES
            if not wanted and (part != "train" or row["Usage"] == _CSV_USAGE["train"]):
                continue
            pixels = np.array(row["pixels"].split(), dtype=np.uint8)
            if pixels.size != SIDE * SIDE:
                raise DataError(f"row {number} of fer2013.csv has {pixels.size} pixels, not 2304.")
            if not wanted:
                tested.add(pixels.tobytes())
                continue
            images.append(pixels.reshape(SIDE, SIDE))
            labels.append(relabel[int(row["emotion"])])
            votes.append(counts)
    # Some hundred training pictures stand in the other parts as well.
    new = [index for index, image in enumerate(images) if image.tobytes() not in tested]
    return Faces(
        np.array([images[i] for i in new], dtype=np.uint8).reshape(-1, SIDE, SIDE),
        np.array([labels[i] for i in new], dtype=np.int64),
        np.array([votes[i] for i in new], dtype=np.uint8).reshape(-1, len(VOTE_COLUMNS)),
    )

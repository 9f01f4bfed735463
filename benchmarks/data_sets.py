"""MUG and FER2013 as labelled pictures, through the readers of the package ``training``."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shelly_local.commands.beside import beside
from shelly_local.errors import DataError, ImageUnreadableError
from shelly_local.results import CLASSES

from .data import LabelledData, Picture, Subjects, find_in_folders

Kind = Literal["auto", "folders", "mug", "fer2013"]
KINDS: tuple[Kind, ...] = ("auto", "folders", "mug", "fer2013")
#: Labels of FER2013: the most-voted class of FER+, the same where the label of 2013 agrees,
#: and the label of 2013.
FER_LABELS = ("majority", "agreed", "2013")
#: Which frames stand for a take of MUG; rules of ``training.frames`` that look at no face.
FRAME_RULES = ("middle", "around-apex", "first-shelly", "all")
#: Side in pixels to which the 48x48 faces are enlarged: above the 80 pixels that Rekognition
#: asks for, and such as a tight crop from a photo has.
ENLARGED_SIDE = 200
_TAKE = re.compile(r"take[0-9]+.*", re.IGNORECASE)


def load(
    path: Path,
    kind: Kind = "auto",
    *,
    mapping: dict[str, str] | None = None,
    subjects: Subjects | None = None,
    part: str = "private",
    labels: str = "majority",
    frames: str = "middle",
) -> LabelledData:
    """Labelled pictures of any of the kinds.

    Args:
        path: a tree of class folders, a copy of MUG, or a folder or file of FER2013.
        kind: which; ``auto`` looks.
        mapping: for class folders, see ``data.find_in_folders``.
        subjects: for class folders, see there.
        part: of FER2013, ``"public"`` or ``"private"``.
        labels: of FER2013, one of ``FER_LABELS``.
        frames: of MUG, one of ``FRAME_RULES``.

    Raises:
        DataError: nothing that can be used is there.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder of labelled pictures")
    kind = _kind_of(path) if kind == "auto" else kind
    if kind == "folders":
        return find_in_folders(path, mapping, subjects)
    if mapping or subjects:
        raise DataError(f"--map and --subjects are for class folders, not for {kind}")
    return load_mug(path, frames) if kind == "mug" else load_fer2013(path, part, labels)


def load_mug(path: Path, rule: str = "middle") -> LabelledData:
    """Frames of the takes of MUG, the person as subject.

    Raises:
        DataError: no take, or the rule is unknown.
    """
    if rule not in FRAME_RULES:
        raise DataError(f"the rule must be one of {', '.join(FRAME_RULES)}, got {rule!r}")
    mug, rules = beside("training.mug"), beside("training.frames")
    found = mug.index(path)
    pictures: dict[str, Picture] = {}
    for choice in rules.choose(found, rule):
        name = f"{choice.take.key}/{choice.frame.name}"
        pictures[name] = Picture(
            name, choice.take.emotion, choice.take.subject, _frame_reader(choice.frame)
        )
    notes = (f"frames of a take by the rule {rule}",)
    ordered = tuple(pictures[name] for name in sorted(pictures))
    return LabelledData("mug", path, ordered, dict(found.left_out), notes=notes)


def load_fer2013(path: Path, part: str = "private", labels: str = "majority") -> LabelledData:
    """The 48x48 faces of FER2013, enlarged, each a person of its own.

    Args:
        path: the folder of ``fer2013.csv`` and ``fer2013new.csv`` or of the arrays, or one of
            these files; the name of an array file tells its part.
        part: ``"public"`` or ``"private"``.
        labels: one of ``FER_LABELS``.

    Raises:
        DataError: the files are missing or have other content.
    """
    if labels not in FER_LABELS:
        raise DataError(f"the labels must be one of {', '.join(FER_LABELS)}, got {labels!r}")
    reader = beside("training.fer2013")
    if path.is_file():
        if path.suffix == ".npz":
            part = path.stem
        path = path.parent
    if part not in ("public", "private"):
        raise DataError(
            f"models learn from the part {part!r} of FER2013; give public or private to score one"
        )
    faces = reader.load(path, part)
    truth, valid = faces.majority()
    if labels == "agreed":
        valid = valid & (truth == faces.labels)
    elif labels == "2013":
        truth, valid = faces.labels, np.ones(len(faces), dtype=bool)
    pictures = tuple(
        Picture(name, CLASSES[int(truth[i])], name, _enlarged(faces.images[i]))
        for i in np.flatnonzero(valid)
        for name in (f"{part}/{i:05d}",)
    )
    dropped = int((~valid).sum())
    left_out = {f"faces without a label by the rule {labels}": dropped} if dropped else {}
    notes = (
        f"part {part}, labels: {labels}",
        f"faces of 48x48 pixels, enlarged to {ENLARGED_SIDE}x{ENLARGED_SIDE}",
    )
    return LabelledData("fer2013", path, pictures, left_out, notes=notes)


def _kind_of(path: Path) -> Kind:
    if path.is_file() or (path / "fer2013.csv").is_file():
        return "fer2013"
    if any(path.glob("private*.npz")) or any(path.glob("public*.npz")):
        return "fer2013"
    for _, folders, _ in os.walk(path):
        if any(_TAKE.fullmatch(name) for name in folders):
            return "mug"
        folders[:] = [name for name in folders if not name.startswith(".")]
    return "folders"


def _frame_reader(frame: Any) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return bytes(frame.read())
        except Exception as error:  # a damaged zip raises many kinds
            raise ImageUnreadableError(f"cannot be read: {error}") from error

    return read


def _enlarged(face: NDArray[np.uint8]) -> Callable[[], bytes]:
    def read() -> bytes:
        stream = io.BytesIO()
        size = (ENLARGED_SIDE, ENLARGED_SIDE)
        Image.fromarray(face).resize(size, Image.Resampling.BICUBIC).save(stream, "PNG")
        return stream.getvalue()

    return read

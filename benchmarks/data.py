"""Labelled pictures from folders of classes, from MUG and from FER2013."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shelly_local.batch.inputs import PICTURE_SUFFIXES
from shelly_local.errors import DataError, ImageUnreadableError
from shelly_local.results import CLASSES
from shelly_local.vision.images import MAX_FILE_BYTES

#: Other words for the classes, as published data sets name their folders.
SYNONYMS: Mapping[str, str] = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}
#: Stands in ``--map`` for a folder that is to be left out without a word.
NOTHING = "-"


@dataclass(frozen=True)
class Picture:
    """One picture whose expression is known.

    Attributes:
        name: unique in the data, such as ``"happiness/026.jpg"``.
        label: one of ``CLASSES``.
        subject: who is on it; pictures of one subject are drawn together in a bootstrap.
        read: the bytes of the picture file; raises ImageUnreadableError.
    """

    name: str
    label: str
    subject: str
    read: Callable[[], bytes] = field(compare=False)


@dataclass(frozen=True)
class LabelledData:
    """What was found.

    Attributes:
        kind: ``"folders"``, ``"mug"`` or ``"fer2013"``.
        path: where.
        pictures: sorted by name.
        left_out: how many pictures or files were left out, by reason.
        mapped: class of each folder that is not named after one.
        notes: what else a reader of the results must know.
    """

    kind: str
    path: Path
    pictures: tuple[Picture, ...]
    left_out: dict[str, int]
    mapped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON; only the last part of the path."""
        counts = Counter(picture.label for picture in self.pictures)
        return {
            "kind": self.kind,
            "name": self.path.resolve().name,
            "pictures": len(self.pictures),
            "subjects": len({picture.subject for picture in self.pictures}),
            "per_class": {name: counts[name] for name in CLASSES if counts[name]},
            "left_out": self.left_out,
            "mapped": self.mapped,
            "notes": list(self.notes),
        }


Subjects = Callable[[str], str | None]


def find_in_folders(
    tree: Path, mapping: Mapping[str, str] | None = None, subjects: Subjects | None = None
) -> LabelledData:
    """The pictures of a tree with a folder per class, with what lies in its subfolders.

    Where ``subjects`` does not tell who is on a picture, the same file name in two class
    folders is the same person, and any other picture is a person of its own.

    Args:
        tree: the folder above the class folders.
        mapping: class, or ``-`` to leave it out, of folders named otherwise.
        subjects: from the name of a picture to its subject, or None where it does not tell.

    Raises:
        DataError: no folder of a class, or no picture in them.
    """
    if not tree.is_dir():
        raise DataError(f"{tree} is not a folder; give one with a folder of pictures per class")
    mapping = {name.casefold(): value for name, value in (mapping or {}).items()}
    left_out: Counter[str] = Counter()
    mapped: dict[str, str] = {}
    pictures: list[Picture] = []
    folders = _subfolders(tree)
    if unknown := sorted(mapping.keys() - {folder.name.casefold() for folder in folders}):
        raise DataError(
            f"the mapping names {', '.join(unknown)}, but {tree} holds "
            f"{_shown([folder.name for folder in folders])}"
        )
    for folder in folders:
        files, others = _picture_files(folder)
        label = _class_of(folder.name, mapping)
        if label is None:
            if files:
                left_out[f"pictures in the folder {folder.name!r}, which is no class"] += len(files)
            continue
        if label != folder.name.casefold():
            mapped[folder.name] = label
        left_out["files that are no pictures"] += others
        for file in files:
            name = file.relative_to(tree).as_posix()
            person = subjects(name) if subjects else None
            if person is None:
                person = name if subjects else file.relative_to(folder).with_suffix("").as_posix()
            pictures.append(Picture(name, label, person, _reader(file)))
    loose = sum(file.is_file() and not file.name.startswith(".") for file in tree.iterdir())
    left_out["files in no class folder"] += loose
    if not pictures:
        raise DataError(
            f"{tree} holds no picture in a folder named after a class ({', '.join(CLASSES)}); "
            f"its folders are {_shown([folder.name for folder in folders])}. Folders with other "
            "names are told by --map, as in --map smiling=happiness"
        )
    return LabelledData("folders", tree, _sorted(pictures), _counted(left_out), mapped)


def parse_mapping(entries: Sequence[str]) -> dict[str, str]:
    """``["smiling=happiness", "mixed=-"]`` as a dictionary.

    Raises:
        DataError: no ``=``, or the right side is neither a class nor ``-``.
    """
    mapping = {}
    for entry in entries:
        folder, equals, label = entry.partition("=")
        label = SYNONYMS.get(label.casefold(), label.casefold())
        if not folder or not equals or label not in (*CLASSES, NOTHING):
            raise DataError(
                f"a mapping is FOLDER=CLASS with a class of {', '.join(CLASSES)}, or FOLDER=- "
                f"to leave the folder out; got {entry!r}"
            )
        mapping[folder] = label
    return mapping


def parse_subjects(text: str) -> Subjects:
    """How pictures tell who is on them, from the value of ``--subjects``.

    Args:
        text: a CSV file of two columns, picture and subject, the picture by its path in the
            tree, its file name, or that without suffix; else a regular expression that is
            searched in the path, of which the first group counts, or all where it has none.

    Raises:
        DataError: the file cannot be read, or the expression is none.
    """
    if text.casefold().endswith(".csv"):
        table = _read_pairs(Path(text))

        def look_up(name: str) -> str | None:
            path = Path(name)
            keys = (name, path.name, path.with_suffix("").as_posix(), path.stem)
            return next((table[key] for key in keys if key in table), None)

        return look_up
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise DataError(f"{text!r} is no regular expression: {error}") from error

    def search(name: str) -> str | None:
        match = pattern.search(name)
        return match and (match.group(1) if pattern.groups else match.group())

    return search


def _read_pairs(file: Path) -> dict[str, str]:
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the subjects in {file} cannot be read: {error}") from error
    if not rows or any(len(row) < 2 for row in rows):
        raise DataError(f"{file} must have two columns, picture and subject")
    return {row[0]: row[1] for row in rows}


def _class_of(folder: str, mapping: Mapping[str, str]) -> str | None:
    name = folder.casefold()
    label = mapping.get(name) or SYNONYMS.get(name, name)
    return label if label in CLASSES else None


def _subfolders(tree: Path) -> list[Path]:
    try:
        return sorted(p for p in tree.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(f"the folder {tree} cannot be read: {error.strerror}") from error


def _picture_files(folder: Path) -> tuple[list[Path], int]:
    """Pictures below a folder, and how many other files there are; hidden ones do not count."""
    files = [
        file
        for file in folder.rglob("*")
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and (file.is_file() or (file.is_symlink() and not file.is_dir()))
    ]
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    return sorted(pictures), len(files) - len(pictures)


def _reader(file: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with file.open("rb") as stream:
                # One more than allowed: a backend sees that it is too much.
                return stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ImageUnreadableError(f"cannot be read: {error.strerror}") from error

    return read


def _sorted(pictures: Sequence[Picture]) -> tuple[Picture, ...]:
    return tuple(sorted(pictures, key=lambda picture: picture.name))


def _counted(counts: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items()) if count}


def _shown(names: Sequence[str]) -> str:
    return (", ".join(names[:8]) + (", …" if len(names) > 8 else "")) or "none"

"""The photos that a command line names: files, folders, lists, pipes and standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from shelly_local.errors import ImageUnreadableError

#: Which files of a folder are taken for pictures; a file named itself is always tried.
PICTURE_SUFFIXES = frozenset(
    {
        *(".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),
        *(".png", ".tif", ".tiff", ".webp"),
    }
)
#: What counts of files without a suffix are called.
WITHOUT_SUFFIX = "without suffix"
#: Bytes of a file that tell its format.
_HEAD_BYTES = 300
STANDARD_INPUT = "-"


class Stored(Protocol):
    """A picture that lies within another file."""

    def read(self) -> bytes:
        """The bytes of the picture file.

        Raises:
            ImageUnreadableError: it is not there.
        """


@dataclass(frozen=True, slots=True)
class PhotoInput:
    """A photo to classify.

    Attributes:
        name: how results and messages call it: the path as given, or ``-``.
        copy_path: where its annotated copy belongs, relative to the folder of copies
            and before the suffix is settled.
        error: why it cannot be classified, when that is known beforehand.
        stored: where it lies, when it is no file of its own.
    """

    name: str
    copy_path: Path
    error: ImageUnreadableError | None = None
    stored: Stored | None = None

    def read(self) -> bytes | Path:
        """What to hand to the classifier, as often as needed.

        Raises:
            ImageUnreadableError: there is nothing to read.
        """
        if self.error is not None:
            raise self.error
        if self.stored is not None:
            return self.stored.read()
        if self.name == STANDARD_INPUT:
            if sys.stdin is None:
                raise ImageUnreadableError("standard input is closed")
            return _read_once(sys.stdin.buffer)
        path = Path(self.name)
        status = _status(path)
        if status is not None and stat.S_ISFIFO(status.st_mode):  # as of a shell's <(command)
            try:
                with path.open("rb") as pipe:
                    return _read_once(pipe)
            except OSError as error:
                raise ImageUnreadableError(f"cannot be read: {error.strerror}") from error
        return path


def find_photos(
    paths: Iterable[str],
    leave_out: Path | None = None,
    passed_by: Counter[str] | None = None,
) -> Iterator[PhotoInput]:
    """The photos that arguments name: files as they are, folders as what is in them.

    Args:
        paths: files, folders, or ``-``.
        leave_out: a folder within them to pass by: annotated copies of an earlier run.
        passed_by: counts, by suffix, the files of folders that are not taken for pictures;
            hidden ones are not counted.

    Yields:
        One photo after another, those of a folder in the order of their names; no more than
        one folder's names are held in memory.
    """
    for path in paths:
        status = _status(path)
        if path == STANDARD_INPUT:
            yield PhotoInput(path, Path("stdin"))
        elif status is not None and stat.S_ISDIR(status.st_mode):
            yield from _Folder(path, leave_out, passed_by).photos()
        else:
            yield named_photo(path)


def named_photo(path: str) -> PhotoInput:
    """A photo by its path, whatever is there."""
    return PhotoInput(path, _file_name(path))


def unreadable_photo(name: str, reason: str) -> PhotoInput:
    """What a photo is when it is known beforehand that it cannot be read."""
    return PhotoInput(name, _file_name(name), ImageUnreadableError(reason))


def _status(path: str | Path) -> os.stat_result | None:
    """What the system says of a file; None if it is missing or may not be looked at."""
    try:
        return Path(path).stat()
    except (OSError, ValueError):  # ValueError: a name with a null character
        return None


class _Folder:
    """A folder with its subfolders."""

    def __init__(self, path: str, leave_out: Path | None, passed_by: Counter[str] | None) -> None:
        self._path = path
        self._left_out = os.path.realpath(leave_out) if leave_out else None
        self._passed_by: Counter[str] = Counter() if passed_by is None else passed_by
        self._unreadable: list[OSError] = []

    def photos(self) -> Iterator[PhotoInput]:
        """The photos in it, and an unreadable one for each folder that cannot be looked into."""
        empty = True
        for path in self._pictures(Path()):
            empty = False
            yield PhotoInput(str(Path(self._path, path)), path)
        for error in self._unreadable:
            yield unreadable_photo(str(error.filename), error.strerror or str(error))
        if empty and not self._unreadable:
            suffixes = " ".join(sorted(PICTURE_SUFFIXES))
            yield unreadable_photo(self._path, f"the folder holds no pictures ({suffixes})")

    def _pictures(self, path: Path) -> Iterator[Path]:
        """Picture files in a part of the folder, relative to it, in the order of their names."""
        try:
            with os.scandir(self._path / path) as entries:
                wanted = sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if self._is_wanted(entry)
                )
        except OSError as error:
            self._unreadable.append(error)
            return
        for name, is_folder in wanted:
            if is_folder:
                yield from self._pictures(path / name)
            else:
                yield path / name

    def _is_wanted(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is a picture file, or a folder to look into."""
        if entry.name.startswith("."):
            return False
        try:
            if entry.is_dir(follow_symlinks=False):
                return os.path.realpath(entry.path) != self._left_out
            if not entry.is_file():
                return False
            suffix = Path(entry.name).suffix.lower()
            if suffix in PICTURE_SUFFIXES or (not suffix and _begins_as_picture(entry.path)):
                return True
        except OSError:  # it may not be looked at
            return False
        self._passed_by[suffix or WITHOUT_SUFFIX] += 1
        return False


def _begins_as_picture(path: str) -> bool:
    from shelly_local.vision.images import identify

    with Path(path).open("rb") as file:
        return identify(file.read(_HEAD_BYTES)) is not None


def _file_name(path: str) -> Path:
    return Path(Path(path).name or "photo")  # "" and "/" have none


def _read_once(stream: BinaryIO) -> bytes:
    from shelly_local.vision.images import MAX_FILE_BYTES

    return stream.read(MAX_FILE_BYTES + 1)  # one more: the classifier sees that it is too much

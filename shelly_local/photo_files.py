"""The photos that a command line names: files, folders, pipes and standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shelly_local.errors import ImageUnreadableError

#: Which files of a folder are taken for pictures; a file named itself is always tried.
PICTURE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class PhotoInput:
    """A photo to classify.

    Attributes:
        name: how results and messages call it: the path as given, or ``-``.
        copy_path: where its annotated copy belongs, relative to the folder of copies
            and before the suffix is settled.
        error: why it cannot be classified, when that is known beforehand.
    """

    name: str
    copy_path: Path
    error: ImageUnreadableError | None = None

    def read(self) -> bytes | Path:
        """What to hand to the classifier, as often as needed.

        Raises:
            ImageUnreadableError: there is nothing to read.
        """
        if self.error is not None:
            raise self.error
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


def find_photos(paths: Iterable[str], leave_out: Path | None = None) -> list[PhotoInput]:
    """The photos that arguments name: files as they are, folders as what is in them.

    Args:
        paths: files, folders, or ``-``.
        leave_out: a folder within them to pass by: annotated copies of an earlier run.
    """
    photos = []
    for path in paths:
        status = _status(path)
        if path == STANDARD_INPUT:
            photos.append(PhotoInput(path, Path("stdin")))
        elif status is not None and stat.S_ISDIR(status.st_mode):
            photos.extend(_photos_in(path, leave_out))
        else:
            photos.append(PhotoInput(path, _file_name(path)))
    return photos


def _status(path: str | Path) -> os.stat_result | None:
    """What the system says of a file; None if it is missing or may not be looked at."""
    try:
        return Path(path).stat()
    except (OSError, ValueError):  # ValueError: a name with a null character
        return None


def _photos_in(folder: str, leave_out: Path | None) -> list[PhotoInput]:
    unreadable: list[OSError] = []
    left_out = leave_out and os.path.realpath(leave_out)
    found: list[Path] = []
    for parent, subfolders, files in os.walk(folder, onerror=unreadable.append):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and os.path.realpath(Path(parent, name)) != left_out
        ]
        for name in files:
            file = Path(parent, name)
            if (
                not name.startswith(".")
                and file.suffix.lower() in PICTURE_SUFFIXES
                and (status := _status(file)) is not None
                and stat.S_ISREG(status.st_mode)
            ):
                found.append(file.relative_to(folder))
    photos = [
        PhotoInput(str(Path(folder, path)), path)
        for path in sorted(found, key=lambda path: path.parts)
    ]
    photos += [
        _unreadable(str(error.filename), error.strerror or str(error)) for error in unreadable
    ]
    if not photos:
        suffixes = " ".join(sorted(PICTURE_SUFFIXES))
        photos = [_unreadable(folder, f"the folder holds no pictures ({suffixes})")]
    return photos


def _unreadable(path: str, reason: str) -> PhotoInput:
    return PhotoInput(path, _file_name(path), ImageUnreadableError(reason))


def _file_name(path: str) -> Path:
    return Path(Path(path).name or "photo")  # "" and "/" have none


def _read_once(stream: BinaryIO) -> bytes:
    from shelly_local.images import MAX_FILE_BYTES

    return stream.read(MAX_FILE_BYTES + 1)  # one more: the classifier sees that it is too much

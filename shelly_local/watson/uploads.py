"""Take an upload of IBM's contract apart: one picture, or a zip file of pictures."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from shelly_local.errors import (
    CostlyImageError,
    FileTooLargeError,
    ImageError,
    ImageUnreadableError,
    NotAnImageError,
    TruncatedImageError,
)
from shelly_local.vision.photo_source import read_stream
from shelly_local.watson.contract.answer import limit_warning
from shelly_local.watson.contract.types import (
    MAX_IMAGE_BYTES,
    MAX_ZIP_BYTES,
    MAX_ZIP_IMAGES,
    ImageSource,
    WarningInfo,
)

ImagesFile = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

#: Most entries of a zip file. A folder of 10,000 pictures is far beyond the 20 looked at; a
#: directory of millions of empty entries would fill the memory.
MAX_ZIP_ENTRIES = 10_000
_ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_ENTRY = b"PK\x01\x02"
#: Bytes of a file's header in a zip, without its name and what is extra (APPNOTE 4.3.7).
_ZIP_HEADER_BYTES = 30
#: How files may be compressed. What else there is takes seconds for a file of some bytes, or
#: gigabytes for its dictionary; pictures are not packed so.
_ZIP_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What Windows puts beside pictures, in lower case.
_WINDOWS_FILES = frozenset({"thumbs.db", "desktop.ini"})
#: Seconds of processor time after which no further picture of a zip is looked at. Twenty photos
#: of phones take one or two.
MAX_ZIP_SECONDS = 3.5


def upload_name(images_file: ImagesFile) -> str | None:
    """Base name of the path or of the file's ``name``; None for bytes and nameless files."""
    name = images_file
    if not isinstance(images_file, bytes | str | os.PathLike):
        # A file opened by its descriptor has a number for a name.
        name = getattr(images_file, "name", b"")
    if isinstance(name, str | os.PathLike):
        return Path(name).name or None
    return None


def read_images(
    images_file: ImagesFile, name: str | None, warnings: list[WarningInfo]
) -> Iterator[tuple[ImageSource, bytes | ImageError]]:
    """The pictures of an upload, one after the other, or why one cannot be had.

    A zip file is known by its first bytes. Its pictures come in its own order, at most 20;
    folders, what systems put beside pictures and files with a leading dot are passed over. Each is
    read no further than the limit of a picture.

    Args:
        images_file: bytes, a path, or a file opened in binary mode, read from where it is.
        name: name of the upload; a picture in a zip is named ``<name>/<path in zip>``.
        warnings: gets the remark that a zip holds more pictures than are looked at.

    Raises:
        TypeError: ``images_file`` is none of the kinds above.
    """
    source: ImageSource = {"image": name} if name else {}
    try:
        data = read_upload(images_file)
        if not data.startswith(_ZIP_BEGINNINGS):
            _check_size(len(data), MAX_IMAGE_BYTES)
            yield source, data
            return
        archive = open_zip(data)
    except ImageError as error:
        yield source, error
        return
    with archive:
        members = [member for member in archive.infolist() if is_picture(member)]
        if not members:
            yield source, NotAnImageError("The zip file holds no picture.")
        if len(members) > MAX_ZIP_IMAGES:
            warnings.append(limit_warning(len(members)))
        start = time.thread_time()
        for member in members[:MAX_ZIP_IMAGES]:
            path = f"{name}/{member.filename}" if name else member.filename
            if time.thread_time() - start < MAX_ZIP_SECONDS:
                yield {"image": path}, read_member(archive, member)
            else:
                yield {"image": path}, CostlyImageError("The pictures before it took too long.")


def read_upload(images_file: ImagesFile) -> bytes:
    """The bytes of an upload, at most as many as a zip file may have.

    Raises:
        FileTooLargeError: more bytes than that.
        ImageUnreadableError: a path that cannot be opened.
        TypeError: ``images_file`` is none of the kinds of ``read_images``.
    """
    if isinstance(images_file, str | os.PathLike):
        if not os.fspath(images_file):
            raise ImageUnreadableError("The path of the file is empty.")
        path = Path(images_file)
        try:
            # Opening a pipe could wait for ever.
            if path.exists() and not path.is_file():
                raise ImageUnreadableError(f"{path.name!r} cannot be opened: it is no file.")
            with path.open("rb") as file:
                data = file.read(MAX_ZIP_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageUnreadableError(f"{path.name!r} cannot be opened: {reason}.") from error
    elif isinstance(images_file, bytes | bytearray | memoryview):
        data = bytes(images_file)
    elif hasattr(images_file, "read") and not isinstance(images_file, io.TextIOBase):
        data = read_stream(images_file, MAX_ZIP_BYTES)
    else:
        raise TypeError(
            "images_file must be bytes, a path or a file opened in binary mode, "
            f"got {type(images_file).__name__}"
        )
    _check_size(len(data), MAX_ZIP_BYTES)
    return data


def open_zip(data: bytes, max_entries: int = MAX_ZIP_ENTRIES) -> zipfile.ZipFile:
    """The directory of a zip file; nothing is unpacked.

    Raises:
        FileTooLargeError: it lists more than ``max_entries``, folders included.
        TruncatedImageError: no zip file, a damaged one, or one whose entries share their bytes.
    """
    if data.count(_ZIP_ENTRY) > max_entries:
        raise FileTooLargeError(f"The zip file has more than {max_entries} entries.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # on damaged data zipfile raises nearly every built-in error
        raise TruncatedImageError(f"The zip file is damaged: {error}.") from error
    spans = sorted(
        (entry.header_offset, entry.header_offset + _ZIP_HEADER_BYTES + entry.compress_size)
        for entry in archive.infolist()
    )
    if any(end > start for (_, end), (start, _) in pairwise([*spans, (len(data), 0)])):
        raise TruncatedImageError("The zip file is damaged: its entries overlap.")
    return archive


def is_picture(member: zipfile.ZipInfo) -> bool:
    """Whether an entry is neither a folder nor what systems put beside pictures."""
    parts = PurePosixPath(member.filename).parts
    hidden = any(part == "__MACOSX" or part.startswith(".") for part in parts)
    beside = bool(parts) and parts[-1].lower() in _WINDOWS_FILES
    return not (member.is_dir() or hidden or beside)


def read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int = MAX_IMAGE_BYTES
) -> bytes | ImageError:
    """One file of a zip, or why it cannot be had.

    Args:
        archive: the zip.
        member: the file. No more comes out of it than the directory states, and what states more
            than a picture may have is not unpacked.
        most: bytes of its beginning that are wanted.
    """
    try:
        _check_size(member.file_size, MAX_IMAGE_BYTES)
        if member.compress_type not in _ZIP_COMPRESSIONS:
            raise ValueError("only files stored or deflated are unpacked")
        with archive.open(member) as file:
            return file.read(most)
    except ImageError as error:
        return error
    except Exception as error:  # see open_zip
        return TruncatedImageError(f"The file cannot be read from the zip: {error}.")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise FileTooLargeError(f"The file has more than the {limit >> 20} MB allowed.")

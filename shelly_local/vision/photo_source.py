"""The bytes of a photo, from whatever a caller names it by."""

from __future__ import annotations

import io
import os
import re
import stat
from pathlib import Path
from typing import Any

from shelly_local.errors import FileTooLargeError, ImageUnreadableError, NotAnImageError

#: Largest file in bytes (10 MiB): a 50-megapixel JPEG of a phone has some 8 MB.
MAX_FILE_BYTES = 10 * 1024 * 1024
#: The formats, as error messages name them.
SUPPORTED_FORMATS = "JPEG, PNG, GIF, TIFF, WebP, BMP and HEIC"

_ADDRESS = r"[A-Za-z][A-Za-z0-9+.-]+://"
#: Letters from which on a path without a dot is more likely to be a picture in base64.
_BASE64_LETTERS = 200
_BASE64 = r"[A-Za-z0-9+/_=\s-]+"


def read_source(source: object) -> tuple[bytes, str]:
    """The bytes of ``source``, at most ``MAX_FILE_BYTES``, and its name for messages.

    Args:
        source: the bytes of a file, its path, or a binary file object.

    Raises:
        FileTooLargeError: more than ``MAX_FILE_BYTES``.
        ImageUnreadableError: the file is missing, no regular file, or not permitted.
        NotAnImageError: nothing in it.
        TypeError: ``source`` is none of the types above.
    """
    label = "The photo"
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            view = memoryview(source).cast("B")[: MAX_FILE_BYTES + 1]
            if isinstance(source, bytes) and len(view) == len(source):
                data = source  # as it is: a copy would take a tenth of a millisecond
            else:
                data = view.tobytes()
        elif isinstance(source, str | os.PathLike):
            name = os.fsdecode(source)
            if not name:
                raise ImageUnreadableError("The path of the photo is empty.")
            path = Path(name)
            label = f"The file {path.name or str(path)!r}"
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
                raise ImageUnreadableError(f"{label} is {what}; a photo in a file is needed.")
            if status.st_size > MAX_FILE_BYTES:
                raise _file_too_large(label, f"{status.st_size:,}")
            with path.open("rb") as file:
                data = read_stream(file)
        elif hasattr(source, "read") and not isinstance(source, io.TextIOBase):
            data = read_stream(source)
        else:
            raise TypeError(
                f"source must be bytes, a path or a binary file object, got {type(source).__name__}"
            )
    except (OSError, ValueError) as cause:
        if isinstance(source, str):
            _check_path(source)
        reason = getattr(cause, "strerror", None) or str(cause)
        raise ImageUnreadableError(f"{label} cannot be read: {reason}.") from cause
    if len(data) > MAX_FILE_BYTES:
        raise _file_too_large(label, f"more than {MAX_FILE_BYTES:,}")
    if not data:
        raise NotAnImageError(f"{label} is empty (0 bytes); supported are {SUPPORTED_FORMATS}.")
    return data, label


def _check_path(name: str) -> None:
    """Tell what is no path from a file that is missing."""
    if name[:5].lower() == "data:":
        what, instead = "a data URL", "decode it and give its bytes"
    elif re.match(_ADDRESS, name):
        what, instead = "an address", "download it first and give the file or its bytes"
    elif len(name) > _BASE64_LETTERS and re.fullmatch(_BASE64, name):
        what, instead = "text in base64", "decode it and give its bytes"
    else:
        return
    shown = repr(name) if len(name) <= 40 else f"{name[:40]!r}..."
    raise ImageUnreadableError(f"{shown} is {what}, not the path of a file; {instead}.")


def read_stream(stream: Any, limit: int = MAX_FILE_BYTES) -> bytes:
    """All of a binary stream, whose reads may be short, but at most one byte more than ``limit``.

    Raises:
        NotAnImageError: it is at its end, and has been read before.
        TypeError: it gives no bytes.
    """
    data = io.BytesIO()
    while data.tell() <= limit:
        block = stream.read(limit + 1 - data.tell())
        if not block:
            break
        data.write(block)
    if not data.tell() and _position(stream):
        raise NotAnImageError(
            "The photo is a stream at its end: nothing is left to read from it; call seek(0) first."
        )
    return data.getvalue()


def _position(stream: Any) -> int:
    """Bytes before the current position of ``stream``; 0 where it cannot tell."""
    try:
        return int(stream.tell())
    except (AttributeError, OSError, TypeError, ValueError):
        return 0


def _file_too_large(label: str, size: str) -> FileTooLargeError:
    return FileTooLargeError(f"{label} has {size} bytes; at most {MAX_FILE_BYTES:,} are allowed.")

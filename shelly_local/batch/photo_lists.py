"""Lists of photos: a path per line, or a column of a Parquet file."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from shelly_local.batch.inputs import STANDARD_INPUT, PhotoInput, find_photos
from shelly_local.errors import ShellyError


def listed_photos(
    file: str, column: str | None = None, passed_by: Counter[str] | None = None
) -> Iterator[PhotoInput]:
    """The photos in a list, in its order; folders in it are searched.

    Args:
        file: a Parquet file by its suffix (see ``parquet.read_photos``); otherwise a text with
            a path per line, empty lines left out, in the file system's encoding or, with a byte
            order mark, in UTF-8 or UTF-16; ``-`` for such a text on standard input.
            Relative paths start from the working directory, as those of arguments do.
        column: of the Parquet file.
        passed_by: see ``find_photos``.

    Raises:
        ShellyError: the list cannot be read.
    """
    if file != STANDARD_INPUT and file.lower().endswith(".parquet"):
        from shelly_local.batch.parquet import read_photos

        return read_photos(Path(file), column)
    return find_photos(_lines(file), passed_by=passed_by)


def _lines(file: str) -> Iterator[str]:
    if file == STANDARD_INPUT and sys.stdin is None:
        raise ShellyError("cannot read the list: standard input is closed")
    try:
        with (
            nullcontext(sys.stdin.buffer) if file == STANDARD_INPUT else Path(file).open("rb")
        ) as stream:
            for path in _decoded(stream):
                if path == STANDARD_INPUT:
                    yield f"./{path}"  # a file of this name
                elif path:
                    yield path
    except OSError as error:
        raise ShellyError(f"cannot read the list {file}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise ShellyError(f"cannot read the list {file}: it is no UTF-16 text") from error


def _decoded(stream: BinaryIO) -> Iterator[str]:
    """The lines without their ends; PowerShell writes UTF-16, Notepad a mark before UTF-8."""
    first = stream.readline()
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # A line feed is two bytes there, and the first line ended within them.
        whole = io.BytesIO(first + stream.read())
        yield from (line.rstrip("\r\n") for line in io.TextIOWrapper(whole, encoding="utf-16"))
        return
    for line in chain([first.removeprefix(codecs.BOM_UTF8)], stream):
        yield os.fsdecode(line.rstrip(b"\r\n"))

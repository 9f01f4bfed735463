"""Lists of photos: a path per line, or a column of a Parquet file."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from shelly_local.errors import ShellyError
from shelly_local.photo_files import STANDARD_INPUT, PhotoInput, find_photos


def listed_photos(file: str, column: str | None = None) -> Iterator[PhotoInput]:
    """The photos in a list, in its order; folders in it are searched.

    Args:
        file: a Parquet file by its suffix (see ``parquet.read_photos``); otherwise a text with
            a path per line, empty lines left out; ``-`` for such a text on standard input.
            Relative paths start from the working directory, as those of arguments do.
        column: of the Parquet file.

    Raises:
        ShellyError: the list cannot be read.
    """
    if file != STANDARD_INPUT and file.lower().endswith(".parquet"):
        from shelly_local.parquet import read_photos

        return read_photos(Path(file), column)
    return find_photos(_lines(file))


def _lines(file: str) -> Iterator[str]:
    if file == STANDARD_INPUT and sys.stdin is None:
        raise ShellyError("cannot read the list: standard input is closed")
    try:
        with (
            nullcontext(sys.stdin.buffer) if file == STANDARD_INPUT else Path(file).open("rb")
        ) as stream:
            for number, line in enumerate(stream):
                text = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
                path = os.fsdecode(text.rstrip(b"\r\n"))
                if path == STANDARD_INPUT:
                    yield f"./{path}"  # a file of this name
                elif path:
                    yield path
    except OSError as error:
        raise ShellyError(f"cannot read the list {file}: {error.strerror or error}") from error

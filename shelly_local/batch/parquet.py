"""Parquet (https://parquet.apache.org): tables of photos to classify, and tables of results."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from shelly_local.batch.inputs import (
    STANDARD_INPUT,
    PhotoInput,
    find_photos,
    named_photo,
    unreadable_photo,
)
from shelly_local.errors import ImageUnreadableError, MissingExtraError, ShellyError

SUFFIX = ".parquet"
#: Which column names the photos, unless the user says so.
PATH_COLUMN = "path"
#: Paths read at once, and pictures read at once from the same row group.
_PATHS, _PICTURES = 4096, 16
#: Bytes of a column read ahead; without it the whole column of a row group is in memory.
_BUFFER_BYTES = 2**20
#: Photos of a row group of results: some megabytes in memory.
_ROW_GROUP = 4096


def library() -> tuple[ModuleType, ModuleType]:
    """``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        MissingExtraError: they are not installed; the message holds the line that does it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            'Parquet needs pyarrow; install it with: pip install "shelly-local[parquet]"'
        ) from error
    return pyarrow, pyarrow.parquet


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture in a column of bytes.

    Attributes:
        file: the Parquet file.
        column: name of the column.
        group: number of the row group.
        row: number of the row within the group.
    """

    file: str
    column: str
    group: int
    row: int

    def read(self) -> bytes:
        """The bytes of the picture file.

        Raises:
            ImageUnreadableError: the file, the column or the row is not there, or empty.
        """
        with _cursor_lock:
            return _cursor.read(self)


class _Cursor:
    """Reads the pictures of a row group one after another; going back begins it anew."""

    def __init__(self) -> None:
        self._place: tuple[str, str, int] | None = None
        self._pictures: Iterator[bytes | None] = iter(())
        self._next = 0

    def read(self, wanted: StoredPicture) -> bytes:
        place = (wanted.file, wanted.column, wanted.group)
        try:
            if place != self._place or wanted.row < self._next:
                self._place = None
                self._pictures = _pictures(*place)
                self._place, self._next = place, 0
            picture = next(islice(self._pictures, wanted.row - self._next, None), None)
            self._next = wanted.row + 1
        except (OSError, ValueError, KeyError, IndexError) as error:  # Arrow's own are of these
            self._place = None
            raise ImageUnreadableError(f"cannot be read from {wanted.file}: {error}") from error
        if picture is None:
            raise ImageUnreadableError(f"there is no picture in this row of {wanted.file}")
        return picture


_cursor = _Cursor()
_cursor_lock = threading.Lock()


def _pictures(file: str, column: str, group: int) -> Iterator[bytes | None]:
    _, parquet = library()
    with parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES) as table:
        for batch in table.iter_batches(_PICTURES, row_groups=[group], columns=[column]):
            yield from batch.column(0).to_pylist()


def read_photos(file: Path, column: str | None = None) -> Iterator[PhotoInput]:
    """The photos that a Parquet file names or holds, one for each row.

    Args:
        file: a Parquet file.
        column: name of the column: of text, the paths of photos or folders; of bytes, the
            pictures themselves. They are then called by the text in the column ``path`` if
            there is one, and by ``FILE#ROW`` otherwise. None for ``path``.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ShellyError: the file cannot be read or lacks the column.
    """
    arrow, parquet = library()
    name = column or PATH_COLUMN
    try:
        with parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES) as table:
            kinds = {field.name: field.type for field in table.schema_arrow}
            if name not in kinds:
                raise ShellyError(
                    f"{file} has no column {name!r}; choose with --column from {', '.join(kinds)}"
                )
            if _is(arrow.types, kinds[name], "string", "large_string", "string_view"):
                yield from _named(table, str(file), name)
            elif _is(arrow.types, kinds[name], "binary", "large_binary", "binary_view"):
                called = PATH_COLUMN in kinds and _is(
                    arrow.types, kinds[PATH_COLUMN], "string", "large_string", "string_view"
                )
                yield from _stored(table, str(file), name, called=called)
            else:
                raise ShellyError(
                    f"column {name!r} of {file} must be text or bytes, is {kinds[name]}"
                )
    except (OSError, ValueError) as error:  # Arrow's own errors are of these
        raise ShellyError(f"cannot read {file}: {error}") from error


def _is(types: Any, kind: Any, *names: str) -> bool:
    return any(getattr(types, f"is_{name}", lambda _: False)(kind) for name in names)


def _named(table: Any, file: str, column: str) -> Iterator[PhotoInput]:
    number = 0
    for batch in table.iter_batches(_PATHS, columns=[column]):
        for path in batch.column(0).to_pylist():
            if path is None:
                yield unreadable_photo(f"{file}#{number}", "the row has no path")
            else:
                yield from find_photos([path if path != STANDARD_INPUT else f"./{path}"])
            number += 1


def _stored(table: Any, file: str, column: str, *, called: bool) -> Iterator[PhotoInput]:
    number = 0
    place = str(Path(file).absolute())  # also for workers elsewhere
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        names: Iterable[str | None] = (
            _column(table, group, PATH_COLUMN) if called else [None] * rows
        )
        for row, name in enumerate(names):
            picture = StoredPicture(place, column, group, row)
            photo = named_photo(name or f"{file}#{number}")
            yield PhotoInput(photo.name, photo.copy_path, stored=picture)
            number += 1


def _column(table: Any, group: int, name: str) -> Iterator[str | None]:
    for batch in table.iter_batches(_PATHS, row_groups=[group], columns=[name]):
        yield from batch.column(0).to_pylist()


def write_results(records: Iterable[dict[str, Any]], file: Path, classes: Sequence[str]) -> None:
    """Write one row per photo; the columns are the keys of the JSON Lines, nested as there.

    Names that are no UTF-8 have their foreign bytes escaped: ``\\\\udcff``.

    Args:
        records: the objects of the JSON Lines; drawn as they are written.
        file: made or replaced.
        classes: names of the scores, in order.

    Raises:
        OSError: it cannot be written.
    """
    arrow, parquet = library()
    schema = _schema(arrow, classes)
    rows = iter(records)
    with parquet.ParquetWriter(file, schema) as writer:
        while some := [_without_surrogates(row) for row in islice(rows, _ROW_GROUP)]:
            writer.write_table(arrow.Table.from_pylist(some, schema))


def _schema(arrow: Any, classes: Sequence[str]) -> Any:
    number = arrow.float64()
    face = [
        ("box", arrow.list_(number)),
        ("landmarks", arrow.list_(arrow.list_(number))),
        ("confidence", number),
        ("emotion", arrow.string()),
        ("scores", arrow.struct([(name, number) for name in classes])),
    ]
    error = [("code", arrow.int32()), ("description", arrow.string()), ("error_id", arrow.string())]
    return arrow.schema(
        [
            ("path", arrow.string()),
            ("width", arrow.int32()),
            ("height", arrow.int32()),
            ("faces", arrow.list_(arrow.struct(face))),
            ("error", arrow.struct(error)),
        ]
    )


def _without_surrogates(row: dict[str, Any]) -> dict[str, Any]:
    row = {**row, "path": _text(row["path"])}
    if "error" in row:
        row["error"] = {**row["error"], "description": _text(row["error"]["description"])}
    return row


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

"""Where results go: one small writer per format, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from shelly_local.errors import ShellyError
from shelly_local.files import replacing
from shelly_local.results import CLASSES, FaceEmotion, PhotoEmotions, percentage

#: Columns of the terminal; a longer path pushes its own row to the right and no other.
MAX_PATH_COLUMNS = 60

_PHOTO_COLUMNS = ("path", "width", "height")
_FACE_COLUMNS = ("face", "x0", "y0", "x1", "y1", "confidence", "emotion")


class OutputError(ShellyError):
    """The results cannot be written: the disk is full, the folder missing or protected."""

    error_id = "output_error"


class Writer(Protocol):
    """Writes the outcome of one photo after another; each is complete when a call returns."""

    def photo(self, path: str, emotions: PhotoEmotions) -> None:
        """Write the result of a photo."""

    def failure(self, path: str, error: ShellyError) -> None:
        """Write that a photo could not be classified."""

    def close(self) -> None:
        """Write what comes after the last photo."""


class JsonLinesWriter:
    """One JSON object per photo and line (https://jsonlines.org), ASCII only.

    Bytes of a file name that are no text appear as lone surrogates (``\\udcff``), from
    which ``os.fsencode`` restores the name.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def photo(self, path: str, emotions: PhotoEmotions) -> None:
        """Write ``{"path", "width", "height", "faces"}``."""
        _write_lines(self._stream, [json_line(path, emotions)])

    def failure(self, path: str, error: ShellyError) -> None:
        """Write ``{"path", "error": {"code", "description", "error_id"}}``."""
        _write_lines(self._stream, [json_line(path, error)])

    def close(self) -> None:
        """Nothing comes after the last photo."""


class JsonWriter:
    """One JSON array of the objects of :class:`JsonLinesWriter`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._before = "["

    def photo(self, path: str, emotions: PhotoEmotions) -> None:
        """Write ``{"path", "width", "height", "faces"}``."""
        self._add(json_line(path, emotions))

    def failure(self, path: str, error: ShellyError) -> None:
        """Write ``{"path", "error": {"code", "description", "error_id"}}``."""
        self._add(json_line(path, error))

    def close(self) -> None:
        """End the array."""
        _write_whole(self._stream, "[]\n" if self._before == "[" else "\n]\n")

    def _add(self, item: str) -> None:
        _write_whole(self._stream, f"{self._before}\n{item}")
        self._before = ","


def json_line(path: str, outcome: PhotoEmotions | ShellyError) -> str:
    """What :class:`JsonLinesWriter` writes of a photo, without the line feed."""
    if isinstance(outcome, ShellyError):
        return json.dumps({"path": path, "error": outcome.as_dict()})
    return json.dumps({"path": path, **outcome.as_dict()})


class CsvWriter:
    """One row per face (RFC 4180 with line feeds); a photo without a face is one row too.

    Args:
        stream: where to write.
        classes: names of the score columns, in order.
        delimiter: what stands between columns.
    """

    def __init__(
        self, stream: TextIO, classes: Sequence[str] = CLASSES, delimiter: str = ","
    ) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._classes = tuple(classes)
        self._no_face = [""] * (len(_FACE_COLUMNS) + len(self._classes))
        self._write_rows([[*_PHOTO_COLUMNS, *_FACE_COLUMNS, *self._classes, "error"]])

    def photo(self, path: str, emotions: PhotoEmotions) -> None:
        """Write a row per face, numbered from 1, or one with empty face fields."""
        photo = [path, emotions.width, emotions.height]
        rows = [
            [*photo, number, *self._face_fields(face), ""]
            for number, face in enumerate(emotions.faces, start=1)
        ]
        self._write_rows(rows or [[*photo, *self._no_face, ""]])

    def failure(self, path: str, error: ShellyError) -> None:
        """Write a row that holds only the path and the error's description."""
        self._write_rows([[path, "", "", *self._no_face, error.description]])

    def _face_fields(self, face: FaceEmotion) -> list[object]:
        return [
            *(round(value, 2) for value in face.face.box),
            round(face.face.confidence, 4),
            face.emotion if face.answered else "",
            *(round(face.scores[name], 4) for name in self._classes),
        ]

    def _write_rows(self, rows: Iterable[Sequence[object]]) -> None:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerows(rows)
        _write_whole(self._stream, text.getvalue())

    def close(self) -> None:
        """Nothing comes after the last photo."""


class TableWriter:
    """An aligned table for people; rows appear as soon as they are known.

    Args:
        stream: where to write.
        paths: every path that will come, for the width of the first column.
        classes: names of the emotions, for the width of theirs.
    """

    def __init__(
        self, stream: TextIO, paths: Iterable[str], classes: Sequence[str] = CLASSES
    ) -> None:
        self._stream = stream
        widths = [_columns(printable(path)) for path in ("PHOTO", *paths)]
        self._path_columns = max(width for width in widths if width <= MAX_PATH_COLUMNS)
        self._emotion_columns = max(_columns(name) for name in ("EMOTION", *classes))
        _write_lines(
            self._stream, [self._row("PHOTO", "SIZE", "FACE", "EMOTION", "PROBABILITY", "BOX")]
        )

    def photo(self, path: str, emotions: PhotoEmotions) -> None:
        """Write a row per face; the path and size stand in the first one only."""
        size = f"{emotions.width}x{emotions.height}"
        if not emotions.faces:
            _write_lines(self._stream, [self._row(path, size, "", "no face")])
            return
        lines = []
        for number, face in enumerate(emotions.faces, start=1):
            x0, y0, x1, y1 = (round(value) for value in face.face.box)
            start = (path, size) if number == 1 else ("", "")
            probability = percentage(face.scores[face.emotion])
            box = f"{x0},{y0} to {x1},{y1}"
            emotion = face.emotion if face.answered else "no answer"
            lines.append(self._row(*start, str(number), emotion, probability, box))
        _write_lines(self._stream, lines)

    def failure(self, path: str, error: ShellyError) -> None:
        """Write a row with the error's identifier; the sentence goes to standard error."""
        _write_lines(self._stream, [self._row(path, "", "", f"error: {error.error_id}")])

    def close(self) -> None:
        """Nothing comes after the last photo."""

    def _row(
        self,
        path: str,
        size: str,
        face: str,
        emotion: str,
        probability: str = "",
        box: str = "",
    ) -> str:
        return "  ".join(
            [
                _pad(printable(path), self._path_columns),
                f"{size:<11}",  # 99999x99999
                f"{face:>4}",
                _pad(emotion, self._emotion_columns),
                f"{probability:>11}",
                box,
            ]
        ).rstrip()


def make_writer(kind: str, stream: TextIO, paths: Iterable[str]) -> Writer:
    """A writer by the kind of its output.

    Args:
        kind: ``table``, ``csv``, ``tsv``, ``json`` or ``jsonl``.
        stream: where to write.
        paths: every path that will come.
    """
    if kind == "json":
        return JsonWriter(stream)
    if kind == "jsonl":
        return JsonLinesWriter(stream)
    if kind in ("csv", "tsv"):
        return CsvWriter(stream, delimiter="," if kind == "csv" else "\t")
    return TableWriter(stream, paths)


def printable(text: str) -> str:
    """The text with line breaks, control characters and non-text bytes escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def complain(message: str) -> None:
    """Write one line to standard error: ``shelly: message``."""
    if sys.stderr is not None:
        print(f"shelly: {printable(message)}", file=sys.stderr, flush=True)


@contextmanager
def open_output(file: Path | None) -> Iterator[TextIO]:
    """Open the place for results: standard output, or a file written atomically.

    Args:
        file: None or ``-`` for standard output. A regular file is replaced when the
            block ends well and left as it was when the block raises; a device or a
            pipe, which cannot be replaced, is written directly.

    Raises:
        OutputError: nothing can be written there. A broken pipe stays BrokenPipeError.
    """
    try:
        if file is None or str(file) == "-":
            yield _standard_output()
        elif file.exists() and not file.is_file():
            with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                yield stream
        else:
            with (
                replacing(file) as temporary,
                temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="") as new,
            ):
                yield new
    except BrokenPipeError:
        raise
    except OSError as error:
        place = "standard output" if file is None else str(file)
        raise OutputError(f"cannot write to {place}: {error.strerror or error}") from error


def find_overwritten(inputs: Iterable[str | Path], outputs: Iterable[Path | None]) -> Path | None:
    """The first output that is one of the input files, under whatever name; else None."""
    identities = {_identity(file) for file in inputs} - {None}
    return next((file for file in outputs if file and _identity(file) in identities), None)


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Device and inode: the same for every spelling of and link to a file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):  # ValueError: a name with a null character
        return None
    return status.st_dev, status.st_ino


def _standard_output() -> TextIO:
    if sys.stdout is None:
        raise OutputError("cannot write to standard output: it is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character of a file name shows it escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout


def _write_lines(stream: TextIO, lines: Iterable[str]) -> None:
    _write_whole(stream, "".join(f"{line}\n" for line in lines))


def _write_whole(stream: TextIO, text: str) -> None:
    # One call: an interruption finds the rows of a photo written, or not begun.
    stream.write(text)
    stream.flush()


def _columns(text: str) -> int:
    """Columns that the text takes on a terminal; East Asian wide characters take two."""
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _pad(text: str, columns: int) -> str:
    return text + " " * (columns - _columns(text))

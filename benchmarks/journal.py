"""What was measured so far, a line a row, on disk before the next measurement begins."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from shelly_local.errors import ShellyError

from .results import write_text

#: Changes when older rows cannot be read any more.
FORMAT = 1

Row = dict[str, Any]


class JournalError(ShellyError):
    """The file of partial results cannot be used."""

    error_id = "journal_error"


class Journal:
    """Rows as JSON Lines, each synchronised to disk; a run that was stopped finds them again.

    Args:
        file: where; None keeps rows in memory only.
        header: what identifies the run, ready for JSON: a file with another one is refused.
        restart: forget the rows of an earlier run.

    Raises:
        JournalError: the file belongs to another run, is damaged or cannot be written.
    """

    def __init__(
        self, file: Path | None, header: Mapping[str, Any], *, restart: bool = False
    ) -> None:
        self.file = file
        self.rows: list[Row] = []
        self._models: Mapping[str, str] = {}
        self._stream: BinaryIO | None = None
        self._first = first = {"format": FORMAT, **header}
        if file is None:
            return
        try:
            end = 0 if restart or not file.exists() else self._read(file, first)
            self._stream = file.open("r+b" if file.exists() else "wb")
            _lock(self._stream)
            self._stream.truncate(end)  # a line that a kill tore
            self._stream.seek(end)
        except BlockingIOError as error:
            raise JournalError(f"another run is writing {file}; wait for its end") from error
        except OSError as error:
            raise JournalError(
                f"partial results cannot be kept in {file}: {error.strerror or error}"
            ) from error
        if not end:
            self._write(first)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def expect(self, models: Mapping[str, str]) -> int:
        """Forget rows that other models gave, and name the model in rows to come.

        Args:
            models: what identifies the model of each backend, as far as it is known.

        Returns:
            How many rows were forgotten.
        """
        found = len(self.rows)
        self._models = models
        self.rows = [
            row for row in self.rows if row.get("model") == models.get(row.get("backend", ""))
        ]
        return found - len(self.rows)

    def append(self, row: Row) -> None:
        """Keep a row; when this returns it is on disk.

        Raises:
            JournalError: it cannot be written.
        """
        if row.get("backend") in self._models:
            row["model"] = self._models[row["backend"]]
        self._write(row)
        self.rows.append(row)

    def write(self, rows: Sequence[Row], file: Path) -> None:
        """Write rows to another file, whole or not at all, below the same first line.

        Raises:
            OutputError: it cannot be written.
        """
        lines = (json.dumps(row, allow_nan=False) for row in (self._first, *rows))
        write_text("".join(f"{line}\n" for line in lines), file)

    def remove(self) -> None:
        """Let go of the file: all that it held stands elsewhere.

        Raises:
            JournalError: it cannot be removed.
        """
        if self.file is None or self._stream is None:
            return
        self._stream.close()
        try:
            self.file.unlink()
        except OSError as error:
            raise JournalError(f"cannot remove {self.file}: {error.strerror or error}") from error

    def _read(self, file: Path, first: Mapping[str, Any]) -> int:
        """Take up the rows of a file; where the last whole line ends."""
        content = file.read_bytes()
        end = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:end].splitlines(), start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise JournalError(
                    f"line {number} of {file} is damaged; remove the file to begin anew"
                ) from error
            if number > 1:
                self.rows.append(row)
            elif row != json.loads(json.dumps(first)):
                raise JournalError(
                    f"{file} holds partial results of another run ({_differences(row, first)}); "
                    "give another --json, or --restart to discard them"
                )
        return end

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise JournalError(
                f"partial results cannot be kept in {self.file}: {error.strerror or error}"
            ) from error


def partial_file(output: Path) -> Path:
    """Where rows are kept while a run is under way: ``FILE.partial.jsonl``."""
    return output.with_name(f"{output.name}.partial.jsonl")


def rows_file(output: Path) -> Path:
    """Where a row for each question of a run is: ``FILE.rows.jsonl``."""
    return output.with_name(f"{output.name}.rows.jsonl")


def _lock(stream: BinaryIO) -> None:
    """Keep other runs out until the stream is closed, where the system can.

    Raises:
        BlockingIOError: another run has it.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _differences(old: Any, new: Mapping[str, Any]) -> str:
    if not isinstance(old, dict):
        return "it is no such file"
    names = [name for name in new if json.dumps(old.get(name)) != json.dumps(new[name])]
    return "other " + ", ".join(names or ["header"])

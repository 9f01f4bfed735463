"""The folder of a job: what is to be done, what is done, and the output at the end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from shelly_local.batch.inputs import PhotoInput
from shelly_local.batch.job_list import photo_of, record_of
from shelly_local.batch.writers import OutputError
from shelly_local.files import HeldLock, try_lock, write_whole

#: Photos of a batch, unless the user says so: some seconds of work, so that little is lost, and
#: a thousand files for a hundred thousand photos.
DEFAULT_BATCH = 100
#: Version of the folder that this code reads and writes.
FORMAT = 1
_JOB, _INPUTS, _LOCK = "job.json", "inputs.jsonl", "lock"


@dataclass(frozen=True)
class Description:
    """What a job is.

    Attributes:
        answers: who answers; see ``answerers.identity``.
        classes: names of the scores, in order.
        model: folder of the model, absolute; None for the one that comes along.
        folder: where relative paths start from; None if there are none.
        sha256: of the list of inputs.
        photos: how many inputs there are.
        batch: how many of them make a batch.
    """

    answers: dict[str, str]
    classes: tuple[str, ...]
    model: str | None
    folder: str | None
    sha256: str
    photos: int
    batch: int


class Job:
    """A job that was begun. Batches are numbered from 0.

    Args:
        folder: its folder.

    Raises:
        OutputError: the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = _read(folder / _JOB)
        self._offsets: array[int] | None = None

    def __len__(self) -> int:
        return -(-self.description.photos // self.description.batch)

    def size(self, batch: int) -> int:
        """How many photos are in a batch."""
        return min(self.description.batch, self.description.photos - batch * self.description.batch)

    def offsets(self) -> Sequence[int]:
        """Where in the list of inputs each batch begins, in bytes."""
        if self._offsets is None:
            found, position = array("q"), 0
            with (self.folder / _INPUTS).open("rb") as stream:
                for number, line in enumerate(stream):
                    if number % self.description.batch == 0:
                        found.append(position)
                    position += len(line)
            self._offsets = found
        return self._offsets

    def inputs(self, batch: int, offset: int | None = None) -> Iterator[PhotoInput]:
        """The photos of a batch.

        Args:
            batch: its number.
            offset: where it begins, if that is known; see :meth:`offsets`.
        """
        with (self.folder / _INPUTS).open("rb") as stream:
            stream.seek(self.offsets()[batch] if offset is None else offset)
            for line in islice(stream, self.size(batch)):
                yield photo_of(json.loads(line))

    def write(self, batch: int, lines: Sequence[str]) -> None:
        """Keep the results of a batch: all of them, or none if this process dies meanwhile.

        Args:
            batch: its number.
            lines: JSON Lines in the order of the photos, without line feeds.

        Raises:
            OutputError: they cannot be written.
        """
        if len(lines) != self.size(batch):
            raise ValueError(f"batch {batch} has {self.size(batch)} photos, got {len(lines)} lines")
        text = "".join(f"{line}\n" for line in lines)
        with writing(self._part(batch)):
            write_whole(self._part(batch), text.encode())

    def failures(self, batch: int) -> list[tuple[str, str]] | None:
        """Path and reason of each photo of a batch that failed; None if it is not done."""
        failed, count = [], 0
        try:
            with self._part(batch).open(encoding="ascii") as stream:
                for line in stream:
                    count += 1
                    record = json.loads(line)
                    if "error" in record:
                        failed.append((str(record["path"]), str(record["error"]["description"])))
        except (OSError, ValueError, KeyError, TypeError):  # missing, or damaged by a power cut
            return None
        return failed if count == self.size(batch) else None

    def finish(self, target: Path) -> None:
        """Join all batches to the output, which appears whole, and clear the folder.

        Args:
            target: the output; Parquet or JSON Lines by its suffix.

        Raises:
            OutputError: it cannot be written.
        """
        joined = self.folder / "joined"
        with writing(target):
            if target.suffix.lower() == ".parquet":
                from shelly_local.batch.parquet import write_results

                write_results(self._records(), joined, self.description.classes)
            else:
                with joined.open("wb") as stream:
                    for batch in range(len(self)):
                        with self._part(batch).open("rb") as part:
                            shutil.copyfileobj(part, stream)
            if target.exists():
                shutil.copymode(target, joined)
            with joined.open("rb+") as stream:
                os.fsync(stream.fileno())
            joined.replace(target)

    def _records(self) -> Iterator[dict[str, Any]]:
        for batch in range(len(self)):
            with self._part(batch).open(encoding="ascii") as stream:
                yield from map(json.loads, stream)

    def _part(self, batch: int) -> Path:
        return self.folder / f"part-{batch:06d}.jsonl"


class JobFolder:
    """The folder ``OUTPUT.parts``, held by this process for as long as the block lasts.

    Args:
        target: the output.

    Raises:
        OutputError: another process works on it, or it cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.parts")
        self._target = target
        self._lock: HeldLock | None = None

    def __enter__(self) -> JobFolder:
        with writing(self._target):
            while True:
                self.path.mkdir(exist_ok=True)
                try:
                    self._lock = try_lock(self.path / _LOCK)
                except FileNotFoundError:  # whoever held it has just removed the folder
                    continue
                if self._lock is None or self._lock.is_in_place():
                    break
                self._lock.release()  # of a folder that is gone
        if self._lock is None:
            raise OutputError(f"another process is writing {self._target} (it holds {self.path})")
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is None:
            return
        try:
            if not (self.path / _JOB).exists():  # finished, or never begun
                with contextlib.suppress(OSError):  # somebody else's files lie there, too
                    self.clear()
                    self._lock.remove()
                    self.path.rmdir()
        finally:
            self._lock.release()
        if sys.platform == "win32" and not (self.path / _JOB).exists():
            # An open file cannot be removed there, and so none that somebody else holds.
            with contextlib.suppress(OSError):
                self._lock.remove()
                self.path.rmdir()

    def begin(
        self,
        photos: Iterable[PhotoInput],
        answers: dict[str, str],
        classes: Sequence[str],
        *,
        model: Path | None,
        batch: int | None,
        restart: bool,
    ) -> Job:
        """Begin a job, or go on with the one that is there.

        Args:
            photos: the inputs; drawn once and kept on disk, as paths.
            answers: who answers.
            classes: names of the scores.
            model: folder of the model; None for the one that comes along.
            batch: photos of a batch, at least 1; None for 100. A job that is there keeps its own.
            restart: throw away what is there.

        Raises:
            OutputError: what is there is another job, or the folder cannot be written.
        """
        with writing(self._target):
            if restart or not (self.path / _JOB).exists():
                self.clear()
            fresh = self.path / f"{_INPUTS}.new"
            try:
                description = Description(
                    answers=answers,
                    classes=tuple(classes),
                    model=None if model is None else str(model.absolute()),
                    batch=batch or DEFAULT_BATCH,
                    **_spool(photos, fresh),
                )
                if (self.path / _JOB).exists():
                    self._check(description)
                else:
                    fresh.replace(self.path / _INPUTS)
                    text = json.dumps({"format": FORMAT, **asdict(description)}, indent=1)
                    write_whole(self.path / _JOB, text.encode())
            finally:
                fresh.unlink(missing_ok=True)
        return Job(self.path)

    def clear(self) -> None:
        """Forget the job: first what it is, so that no half of it is ever gone on with."""
        (self.path / _JOB).unlink(missing_ok=True)
        for file in self.path.iterdir():
            if file.name.startswith(("part-", _INPUTS, _JOB, "joined", ".shelly-")):
                file.unlink()

    def _check(self, now: Description) -> None:
        then = _read(self.path / _JOB)
        if (now.sha256, now.folder) != (then.sha256, then.folder):
            what = f"other inputs ({then.photos} photos then, {now.photos} now)"
            if now.sha256 == then.sha256:
                what = f"the same inputs in another working directory ({then.folder})"
        elif now.answers != then.answers:
            what = f"another model or version ({_differences(then.answers, now.answers)})"
        else:
            return
        raise OutputError(
            f"{self.path} holds a job that was stopped, over {what}. Finish it as it was begun, "
            "throw it away with --restart, or choose another --output."
        )


def _differences(then: dict[str, str], now: dict[str, str]) -> str:
    return ", ".join(
        f"{key} {then.get(key, 'none')[:12]} then, {now.get(key, 'none')[:12]} now"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    )


def _spool(photos: Iterable[PhotoInput], file: Path) -> dict[str, Any]:
    """Write the list of inputs; what the description says of it."""
    digest, count, relative = hashlib.sha256(), 0, False
    with file.open("wb") as stream:
        for photo in photos:
            line = json.dumps(record_of(photo)).encode() + b"\n"
            stream.write(line)
            digest.update(line)
            count += 1
            relative = relative or not (photo.stored or Path(photo.name).is_absolute())
    folder = str(Path.cwd()) if relative else None
    return {"sha256": digest.hexdigest(), "photos": count, "folder": folder}


def _read(file: Path) -> Description:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("it was written by another version of Shelly")
        content["classes"] = tuple(content["classes"])
        return Description(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"cannot go on with the job in {file.parent}: {error}; throw it away with --restart"
        ) from error


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """A block whose failures are those of the output."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write to {place}: {error.strerror or error}") from error

"""Custom classifiers on disk: a folder each, written so that no reader sees half of one.

``classifier.json`` is the classifier; it names the ``.npz`` files that count, with their
SHA-256. Files are written under another name, flushed to the disk and renamed; a folder is
filled under another name and renamed. Whoever writes holds the lock of the whole folder.
What a killed process leaves behind is not named by any JSON, and is swept up by the next
that writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import ShellyError
from shelly_local.files import HeldLock, flush_folder, locked, try_lock, write_whole
from shelly_local.watson.custom.names import is_classifier_id
from shelly_local.watson.custom.records import ArraysFile, DamagedError, Record, record_from_json

RECORD_FILE = "classifier.json"
_CLASSIFIERS, _PROCESSES, _LOCK = "classifiers", "processes", "lock"
# A leading dot: no id begins so.
_UNFINISHED, _DELETED = ".new-", ".deleted-"
_ARRAYS = re.compile(r"(heads|pictures)-[0-9a-f]{16}\.npz", re.ASCII)
_PROCESS = re.compile(r"[0-9a-f]{32}", re.ASCII)


class StoreError(ShellyError):
    """The data folder cannot be written or read as a whole."""

    code = 507
    error_id = "store_error"


class Store:
    """The custom classifiers of one data folder. Several processes may share it.

    Args:
        folder: the data folder; made when the first classifier is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._classifiers = folder / _CLASSIFIERS

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder's lock. Every method that writes must run inside.

        Raises:
            StoreError: the folder cannot be made or locked.
        """
        try:
            # For its user alone: embeddings are made of people's faces.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in (_CLASSIFIERS, _PROCESSES):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            with locked(self.folder / _LOCK):
                yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                f"The data folder {self.folder} cannot be written: {reason}."
            ) from error

    def ids(self) -> list[str]:
        """Ids of all classifiers, damaged ones too, in order.

        Raises:
            StoreError: the folder is there and cannot be read.
        """
        try:
            return sorted(
                entry.name for entry in self._classifiers.iterdir() if is_classifier_id(entry.name)
            )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"The data folder {self.folder} cannot be read: {error.strerror}."
            ) from error

    def read(self, classifier_id: str) -> Record | None:
        """What is known of a classifier; None if there is none of that id.

        Raises:
            DamagedError: its JSON cannot be read.
        """
        if not is_classifier_id(classifier_id):
            return None
        folder = self._classifiers / classifier_id
        try:
            content = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            if not os.path.lexists(folder):
                return None
            reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
            raise DamagedError(f"{RECORD_FILE}: {reason}") from error
        record = record_from_json(content)
        if record.classifier_id != classifier_id:
            # Some file systems find "cars_1" under "Cars_1".
            if record.classifier_id.lower() == classifier_id.lower():
                return None
            raise DamagedError(f"{RECORD_FILE} is that of {record.classifier_id!r}")
        return record

    def create(self, record: Record) -> None:
        """Add a classifier.

        Raises:
            FileExistsError: there is one of that id.
        """
        self.sweep()
        if os.path.lexists(self._classifiers / record.classifier_id):
            raise FileExistsError(record.classifier_id)
        unfinished = self._classifiers / f"{_UNFINISHED}{uuid.uuid4().hex}"
        unfinished.mkdir(mode=0o700)
        write_whole(unfinished / RECORD_FILE, _json(record))
        unfinished.rename(self._classifiers / record.classifier_id)
        flush_folder(self._classifiers)

    def write(self, record: Record, **arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace what is known of a classifier, in one step.

        Args:
            record: of a classifier that exists.
            arrays: contents of new array files; the record must name them already, as
                :func:`arrays_file` does.
        """
        folder = self._classifiers / record.classifier_id
        for kind, content in arrays.items():
            data = _npz(content)
            write_whole(folder / _described(kind, data).file, data)
        write_whole(folder / RECORD_FILE, _json(record))
        self._drop_unnamed(folder, record)

    def load(self, classifier_id: str, described: ArraysFile) -> dict[str, NDArray[Any]]:
        """The arrays of a file.

        Raises:
            DamagedError: missing, or not what was written.
        """
        if not _ARRAYS.fullmatch(described.file):
            raise DamagedError(f"{RECORD_FILE} names {described.file!r} as a file of arrays")
        try:
            data = (self._classifiers / classifier_id / described.file).read_bytes()
        except OSError as error:
            raise DamagedError(f"{described.file}: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != described.sha256:
            raise DamagedError(f"{described.file} is not what was written")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as content:
                return dict(content)
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise DamagedError(f"{described.file} holds no arrays") from error

    def delete(self, classifier_id: str) -> bool:
        """Remove a classifier, damaged or not; False if there is none of that id."""
        if not is_classifier_id(classifier_id):
            return False
        self.sweep()
        gone = self._classifiers / f"{_DELETED}{uuid.uuid4().hex}"
        try:
            (self._classifiers / classifier_id).rename(gone)
        except FileNotFoundError:
            return False
        flush_folder(self._classifiers)
        _remove(gone)
        return True

    def has_leftovers(self) -> bool:
        """Whether a killed process left something that :meth:`sweep` removes."""
        try:
            names = [entry.name for entry in self._classifiers.iterdir()]
        except OSError:
            return False
        return any(name.startswith((_UNFINISHED, _DELETED)) for name in names)

    def sweep(self) -> None:
        """Remove what killed processes left behind."""
        for entry in list(self._classifiers.iterdir()):
            if entry.name.startswith((_UNFINISHED, _DELETED)):
                _remove(entry)
            elif is_classifier_id(entry.name):
                with contextlib.suppress(DamagedError):
                    if record := self.read(entry.name):
                        self._drop_unnamed(entry, record)
        for entry in list((self.folder / _PROCESSES).iterdir()):
            self.is_alive(entry.name)

    def mark_process(self) -> tuple[str, HeldLock]:
        """A name for this process, and the lock by which others see that it lives."""
        name = uuid.uuid4().hex
        lock = try_lock(self.folder / _PROCESSES / name)
        assert lock is not None  # nobody else knows the name
        return name, lock

    def is_alive(self, process: str) -> bool:
        """Whether the process of that name still runs; if not, its mark is removed."""
        path = self.folder / _PROCESSES / process
        if not _PROCESS.fullmatch(process) or not path.exists():
            return False
        try:
            lock = try_lock(path)
            if lock is None:
                return True
            lock.release()
            path.unlink(missing_ok=True)
        except OSError:  # the disk can be read only, and nobody trains there
            return False
        return False

    def _drop_unnamed(self, folder: Path, record: Record) -> None:
        job = record.job.pictures if record.job else None
        named = {entry.file for entry in (record.heads, record.pictures, job) if entry}
        for entry in list(folder.iterdir()):
            if entry.name not in {RECORD_FILE, *named}:
                with contextlib.suppress(OSError):
                    entry.unlink()


def arrays_file(kind: str, arrays: Mapping[str, NDArray[Any]]) -> ArraysFile:
    """How a record names a file of arrays: ``kind`` is ``heads`` or ``pictures``."""
    return _described(kind, _npz(arrays))


def _described(kind: str, data: bytes) -> ArraysFile:
    digest = hashlib.sha256(data).hexdigest()
    return ArraysFile(f"{kind}-{digest[:16]}.npz", digest)


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of an ``.npz`` file; the same arrays give the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array))
    return file.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _json(record: Record) -> bytes:
    return json.dumps(record.as_json(), indent=1).encode()


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)

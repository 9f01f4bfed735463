"""Does the trainings of one process, one after the other, beside its caller."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import ShellyError, TrainingError
from shelly_local.watson.custom.child_process import WorkerProcess
from shelly_local.watson.custom.heads import KINDS
from shelly_local.watson.custom.learning import FACES_SHARE
from shelly_local.watson.custom.pictures import (
    MIN_FACES,
    Collection,
    Pictures,
    pictures_from_arrays,
)
from shelly_local.watson.custom.records import Record, now
from shelly_local.watson.custom.store import Store, arrays_file
from shelly_local.watson.custom.training_sets import TrainingSet

_log = logging.getLogger(__name__)

#: What ``Pictures.shows_face`` holds for what the training process found.
_SHOWS_FACE = {"face": 1, "no face": 0, "not looked": -1}
_INTERRUPTED = "Training was interrupted before all pictures were read"


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A training to do.

    Attributes:
        classifier_id: of which classifier.
        token: of the record's job; the result counts only while the record still has it.
        sets: the pictures; None if they have been read, and are in the store.
    """

    classifier_id: str
    token: str
    sets: Sequence[TrainingSet] | None

    @property
    def held_bytes(self) -> int:
        """Memory that its pictures take."""
        return sum(len(entry.data) for entry in self.sets or ())


class Trainer:
    """A queue of trainings and the thread that does them, each in a process of its own.

    Args:
        store: where classifiers lie.
        model: folder of the model whose embeddings are learnt from.
    """

    def __init__(self, store: Store, model: Path) -> None:
        self._store = store
        self._model = model
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._current: Task | None = None
        self._worker: WorkerProcess | None = None
        self._stopping = self._abandoned = False
        self._thread = threading.Thread(target=self._work, name="training", daemon=True)
        self._thread.start()

    @property
    def held_bytes(self) -> int:
        """Memory that the pictures of all waiting trainings take."""
        with self._changed:
            tasks = [*self._tasks, *([self._current] if self._current else [])]
        return sum(task.held_bytes for task in tasks)

    def has(self, token: str) -> bool:
        """Whether a training waits or is under way."""
        with self._changed:
            tasks = [*self._tasks, *([self._current] if self._current else [])]
        return any(task.token == token for task in tasks)

    def add(self, task: Task) -> None:
        """Do a training after those that wait already."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def drop(self, classifier_id: str) -> None:
        """Forget the trainings of a classifier, with their pictures."""
        with self._changed:
            self._tasks = deque(t for t in self._tasks if t.classifier_id != classifier_id)
            if self._current and self._current.classifier_id == classifier_id and self._worker:
                self._worker.kill()

    def close(self, *, wait: bool) -> None:
        """End the thread.

        Args:
            wait: finish all trainings first. Otherwise the records keep their jobs, for
                the next process to deal with.
        """
        with self._changed:
            if not wait:
                self._tasks.clear()
                self._abandoned = True
                if self._worker:
                    self._worker.kill()
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._tasks and not self._stopping:
                    self._changed.wait()
                if not self._tasks:
                    return
                self._current = self._tasks.popleft()
            try:
                self._do(self._current)
            except Exception:
                # Such as a full disk. The record keeps its job; whoever next reads it sees
                # that nobody does it.
                _log.exception("A training ended with an error")
            finally:
                with self._changed:
                    self._current = None

    def _do(self, task: Task) -> None:
        try:
            self._train(task)
        except Exception as error:
            if self._abandoned:
                return
            if not isinstance(error, ShellyError):
                _log.exception("A training ended with an error")
            expected = isinstance(error, TrainingError)
            self._fail(task, str(error) if expected else f"Training failed: {_sentence(error)}")

    def _train(self, task: Task) -> None:
        record = self._read(task)
        if record is None or record.job is None:
            return
        with WorkerProcess(self._model) as worker:
            with self._changed:
                self._worker = worker
                if self._abandoned:
                    raise TrainingError("stopped")
            try:
                pictures = self._pictures(task, record, worker)
                pictures.check(record.job.classes)
                heads, explanation = worker.fit(pictures, record.job.learn_from)
            finally:
                with self._changed:
                    self._worker = None
        kind = np.array(KINDS.index(heads.kind))
        arrays = {"weights": heads.weights, "biases": heads.biases, "kind": kind}

        def finish(record: Record) -> None:
            assert record.job is not None
            if record.heads:
                record.retrained = now()
            record.heads = arrays_file("heads", arrays)
            record.classes = record.job.classes
            record.learning_opt_out = record.job.learning_opt_out
            record.pictures = record.job.pictures
            record.explanation, record.job = explanation, None

        with self._store.writing():
            if current := self._read(task):
                finish(current)
                self._store.write(current, heads=arrays)

    def _pictures(self, task: Task, record: Record, worker: WorkerProcess) -> Pictures:
        """The pictures of a training, read or fetched from the store."""
        job = record.job
        assert job is not None
        if task.sets is None:
            if job.pictures is None:
                raise TrainingError(f"{_INTERRUPTED}.")
            arrays = self._store.load(task.classifier_id, job.pictures)
            return pictures_from_arrays(arrays, len(job.classes))
        earlier = None
        if record.pictures:
            arrays = self._store.load(task.classifier_id, record.pictures)
            earlier = pictures_from_arrays(arrays, len(record.classes))
        pictures = read_pictures(task.sets, job.classes, earlier, worker.embed, job.learn_from)
        if not job.learning_opt_out:
            content = pictures.as_arrays()
            with self._store.writing():
                if (current := self._read(task)) and current.job:
                    current.job.pictures = arrays_file("pictures", content)
                    self._store.write(current, pictures=content)
        return pictures

    def _fail(self, task: Task, explanation: str) -> None:
        with self._store.writing():
            if record := self._read(task):
                fail(record, explanation)
                self._store.write(record)

    def _read(self, task: Task) -> Record | None:
        """The record, if this training is still wanted."""
        record = self._store.read(task.classifier_id)
        return record if record and record.job and record.job.token == task.token else None


def read_pictures(
    sets: Sequence[TrainingSet],
    classes: Sequence[str],
    earlier: Pictures | None,
    embed: Callable[..., tuple[str, Sequence[NDArray[np.float32]]]],
    way: str = "auto",
) -> Pictures:
    """Every picture's embeddings; what cannot be read is left out.

    Raises:
        TrainingError: a class was sent with too few that can be learnt from; the text counts those
            of each set.
    """
    collection = Collection(classes, earlier)
    counts = []
    # Those of a class that has earlier ones may be needed later.
    faces = way != "pictures"
    may_stop = way == "auto" and earlier is None
    for entry in sets:
        found: Counter[str] = Counter()
        for digest, picture in entry.pictures():
            if collection.again(digest, entry.name):
                found["known"] += 1
                continue
            kind, vectors = embed(picture, faces=faces)
            found[kind] += 1
            if vectors:
                face, features = vectors
                collection.add(digest, entry.name, face, features, shows_face=_SHOWS_FACE[kind])
            # With so few faces in a class, the rest is learnt from as a whole.
            most = (1 - FACES_SHARE) * len(entry.members)
            faces = faces and not (entry.name and may_stop and found["no face"] > most)
        counts.append((entry, found))
    faces_only = earlier is not None and not earlier.features.shape[1]

    def usable(found: Counter[str]) -> int:
        return (
            found["known"]
            + found["face"]
            + (0 if faces_only else found["no face"] + found["not looked"])
        )

    what = "with a face" if faces_only else "that can be read"
    too_few = [entry.title for entry, found in counts if entry.name and usable(found) < MIN_FACES]
    if too_few:
        listed = "; ".join(
            f"{entry.title}: {found.total()} pictures, {usable(found)} {what}"
            for entry, found in counts
        )
        raise TrainingError(
            f"Too few pictures {what} in {', '.join(too_few)}: at least {MIN_FACES} are needed "
            f"for each class ({listed})."
        )
    return collection.pictures()


def fail(record: Record, explanation: str) -> None:
    """Note a training that failed; a classifier that was ready goes back to its old version."""
    if record.heads:
        explanation = f"Retraining failed, the earlier version answers: {explanation}"
    record.explanation = explanation
    record.job = None


def interrupted(record: Record) -> None:
    """Note a training whose process died before it had read all pictures."""
    again = "send the update again" if record.heads else "create it again"
    fail(record, f"{_INTERRUPTED}; {again}.")


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, ShellyError) else f"{type(error).__name__}."

"""This process among those that share a data folder: its name, its life sign, its trainer."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from shelly_local.errors import ShellyError
from shelly_local.files import HeldLock
from shelly_local.watson.custom.records import Job
from shelly_local.watson.custom.store import Store
from shelly_local.watson.custom.trainer import Task, Trainer


class StoppingError(ShellyError):
    """Trainings end now, and another is not begun."""

    code = 503
    error_id = "stopping"

    def __init__(self) -> None:
        super().__init__("Trainings end now; please try again in a moment.")


class TrainingProcess:
    """What this process trains. Nothing is made before the first training.

    A child that was forked off begins anew: it shares neither the parent's name nor its
    thread.

    Args:
        store: where classifiers lie.
        model: folder of the model whose embeddings are learnt from.
    """

    def __init__(self, store: Store, model: Path) -> None:
        self._store = store
        self._model = model
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._guard = threading.RLock()
        self._name = ""
        self._mark: HeldLock | None = None
        self._trainer: Trainer | None = None
        self._stopping = False

    @property
    def _lock(self) -> threading.RLock:
        if self._pid != os.getpid():
            self._begin_anew()
        return self._guard

    def name(self) -> str:
        """The name of this process, for jobs; to be called inside ``Store.writing``."""
        with self._lock:
            if self._mark is None:
                self._name, self._mark = self._store.mark_process()
            return self._name

    def add(self, task: Task) -> None:
        """Train; the record's job must bear the name of this process.

        Raises:
            StoppingError: :meth:`close` is under way.
        """
        with self._lock:
            if self._stopping:
                raise StoppingError
            if self._trainer is None:
                self._trainer = Trainer(self._store, self._model)
                atexit.register(self.close, wait=True)
            self._trainer.add(task)

    def lost(self, job: Job) -> bool:
        """Whether nobody does a training any more."""
        with self._lock:
            if job.process == self._name:
                return self._trainer is None or not self._trainer.has(job.token)
        return not self._store.is_alive(job.process)

    def drop(self, classifier_id: str) -> None:
        """Forget the trainings of a classifier."""
        with self._lock:
            if self._trainer is not None:
                self._trainer.drop(classifier_id)

    @property
    def held_bytes(self) -> int:
        """Memory that the pictures of all waiting trainings take."""
        with self._lock:
            return self._trainer.held_bytes if self._trainer else 0

    def close(self, *, wait: bool) -> None:
        """End the trainer, after its work or at once; another training starts a new one."""
        with self._lock:
            trainer = self._trainer
            self._stopping = trainer is not None
        if trainer is not None:
            # Without the lock: others may ask meanwhile how their training goes.
            trainer.close(wait=wait)
        with self._lock:
            self._stopping = False
            if self._trainer is trainer:
                self._trainer = None
                mark, self._mark, self._name = self._mark, None, ""
                if mark is not None:
                    mark.path.unlink(missing_ok=True)
                    mark.release()
                atexit.unregister(self.close)

"""Custom classifiers as they are to be shown: read from disk, checked, and ready to answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import ModelError
from shelly_local.vision.model import DESCRIPTION_FILE
from shelly_local.vision.onnx import read_description
from shelly_local.watson.contract.types import CustomEntry
from shelly_local.watson.custom.heads import KINDS, Heads
from shelly_local.watson.custom.records import DamagedError, Record, as_entry, damaged
from shelly_local.watson.custom.store import Store, StoreError
from shelly_local.watson.custom.trainer import Task, interrupted
from shelly_local.watson.custom.training_queue import TrainingProcess

#: A training whose process has died so often is not begun again.
MAX_ATTEMPTS = 3
#: Trained heads kept in memory; those of 20 classes take 60 kB.
_HEADS_KEPT = 64
_NOT_WRITABLE = "Its training was interrupted, and the disk cannot be written."
# A file may be replaced between reading its name and reading it.
_READ_TRIES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A custom classifier as it is at one moment.

    Attributes:
        entry: its name and classes, and why it cannot answer, if so.
        heads: its heads; None if it cannot answer.
    """

    entry: CustomEntry
    heads: Heads | None

    @property
    def heads_kind(self) -> str:
        """What its heads are computed from, one of ``heads.KINDS``."""
        return self.heads.kind if self.heads else "faces"

    def scores(self, embedding: NDArray[Any]) -> dict[str, float]:
        """Score of each class, 0 to 1, for one face or picture.

        Args:
            embedding: (D,), as ``learning.inputs`` gives it.
        """
        if self.heads is None:
            return {}
        row = self.heads.scores(np.asarray(embedding)[None])[0]
        return {name: float(score) for name, score in zip(self.entry.classes, row, strict=True)}


class Catalogue:
    """Reads the classifiers of a folder. Trainings that nobody does any more are taken up.

    Args:
        store: where they lie.
        training: what this process trains.
        model: SHA-256 of the weights of the model in use.
    """

    def __init__(self, store: Store, training: TrainingProcess, model: str) -> None:
        self.model = model
        self._store = store
        self._training = training
        self._heads: OrderedDict[str, Heads] = OrderedDict()

    def views(self) -> list[Record]:
        """All classifiers, as :meth:`view` has them."""
        views = (self.view(classifier_id) for classifier_id in self._store.ids())
        return [view[0] for view in views if view]

    def find(self, classifier_ids: Iterable[str] | None = None) -> dict[str, Snapshot]:
        """Classifiers as they are now, by id; unknown ids are left out.

        Args:
            classifier_ids: the ids wanted; None for all.
        """
        wanted = self._store.ids() if classifier_ids is None else classifier_ids
        views = {classifier_id: self.view(classifier_id) for classifier_id in wanted}
        return {
            classifier_id: Snapshot(as_entry(view[0]), view[1])
            for classifier_id, view in views.items()
            if view is not None
        }

    def view(self, classifier_id: str) -> tuple[Record, Heads | None] | None:
        """A classifier as it is to be shown; damage and other models are failures."""
        for left in reversed(range(_READ_TRIES)):
            record = None
            try:
                record = self._store.read(classifier_id)
                if record and record.job and self._training.lost(record.job):
                    interrupted_now = replace(record, job=None, explanation=_NOT_WRITABLE)
                    try:
                        record = self._settle(classifier_id)
                    except StoreError:  # a full disk must not keep the others from answering
                        record = interrupted_now
                if record is None:
                    return None
                if record.model != self.model and (record.heads or not record.job):
                    text = "It was trained with another model; create it again."
                    return replace(record, heads=None, job=None, explanation=text), None
                return record, self._load_heads(record)
            except DamagedError as error:
                if not left:
                    shown = damaged(classifier_id, str(error))
                    if record is not None:
                        shown = replace(record, heads=None, job=None, explanation=shown.explanation)
                    return shown, None
        raise AssertionError("unreachable")

    def _load_heads(self, record: Record) -> Heads | None:
        if record.heads is None:
            return None
        key = record.heads.sha256
        if (known := self._heads.get(key)) is not None:
            self._heads.move_to_end(key)
            return known
        arrays = self._store.load(record.classifier_id, record.heads)
        try:
            kind = KINDS[int(arrays.get("kind", np.zeros(())))]  # 0.1.0 knew faces only
            heads = Heads(arrays["weights"], arrays["biases"], kind)
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise DamagedError(f"{record.heads.file} holds no heads") from error
        if len(heads.biases) != len(record.classes):
            raise DamagedError(f"{record.heads.file} has not one head per class")
        self._heads[key] = heads
        while len(self._heads) > _HEADS_KEPT:
            self._heads.popitem(last=False)
        return heads

    def _settle(self, classifier_id: str) -> Record | None:
        """Take up a training whose process has died."""
        with self._store.writing():
            record = self._store.read(classifier_id)
            # Another process may have been here first.
            if record is None or record.job is None or not self._training.lost(record.job):
                return record
            job = record.job
            if job.pictures is None or job.attempts >= MAX_ATTEMPTS:
                interrupted(record)
                self._store.write(record)
                return record
            record.job = replace(job, process=self._training.name(), attempts=job.attempts + 1)
            self._store.write(record)
            self._training.add(Task(classifier_id, job.token, None))
            return record


def weights_sha256(model: Path) -> str:
    """What identifies a model: the SHA-256 of its weights, from its description.

    Raises:
        ModelError: there is no model, or its description lacks the entry.
    """
    try:
        return str(read_description(model / DESCRIPTION_FILE)["weights"]["emotion"]["sha256"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"The description in {model} names no weights 'emotion'.") from error

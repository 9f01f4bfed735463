"""The custom classifiers of one data folder: create, update, list, delete, and their scores."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.vision.model import DEFAULT_MODEL
from shelly_local.vision.onnx import bundled_model
from shelly_local.watson.contract.failures import not_found_error, request_error
from shelly_local.watson.contract.types import Classifier, Classifiers
from shelly_local.watson.custom.catalogue import Catalogue, Snapshot, weights_sha256
from shelly_local.watson.custom.folders import data_folder
from shelly_local.watson.custom.heads import Heads
from shelly_local.watson.custom.names import (
    LEARNING_ERROR,
    checked_customer_id,
    checked_name,
    new_classifier_id,
)
from shelly_local.watson.custom.records import (
    DamagedError,
    Job,
    Record,
    as_classifier,
    now,
)
from shelly_local.watson.custom.store import Store, StoreError
from shelly_local.watson.custom.trainer import Task
from shelly_local.watson.custom.training_queue import StoppingError, TrainingProcess
from shelly_local.watson.custom.training_sets import TrainingSet, read_training_sets
from shelly_local.watson.uploads import ImagesFile

if TYPE_CHECKING:
    from shelly_local.vision.classifier import EmotionClassifier

#: Bytes of pictures that may wait in memory for their training: four calls of IBM's limit.
MAX_WAITING_BYTES = 1024 * 1024 * 1024


class CustomClassifiers:
    """Custom classifiers, trained on this machine and kept in a folder.

    A classifier is a linear head per class on the embedding of the emotion model. Training
    runs in a process beside; of the pictures only embeddings are kept. Thread-safe, and
    several processes may share the folder. At the end of the program trainings under way
    are finished first; after a kill they are done again if all pictures had been read, and
    have failed otherwise.

    Args:
        folder: the data folder; None for that of ``folders.data_folder``.
        classifier: the classifier whose embeddings are used, or its model folder; None is the
            model that comes along.

    Raises:
        ModelError: there is no such model.
        StoreError: the folder cannot be read.

    Attributes:
        folder: the data folder. It is made when the first classifier is.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        classifier: EmotionClassifier | str | os.PathLike[str] | None = None,
    ) -> None:
        model: Path
        if classifier is None:
            model = bundled_model(DEFAULT_MODEL)
        elif isinstance(classifier, str | os.PathLike):
            model = Path(classifier)
        else:
            model = classifier.model.folder
        self.folder = data_folder(folder)
        self._store = Store(self.folder)
        self._training = TrainingProcess(self._store, model)
        self._catalogue = Catalogue(self._store, self._training, weights_sha256(model))
        # What a killed process left is removed now, and what it left unfinished is taken up.
        with contextlib.suppress(StoreError):
            self._sweep()
        self._catalogue.views()

    def create(
        self,
        name: str,
        positives: Mapping[str, ImagesFile],
        negatives: ImagesFile | None = None,
        *,
        learning_opt_out: bool = False,
        customer_id: str | None = None,
        learn_from: str = "auto",
    ) -> Classifier:
        """Check the pictures, note a classifier with status ``training``, and train it.

        Args:
            name: any text; several may have the same.
            positives: a zip file of 10 to 10,000 pictures for each class.
            negatives: a zip file of pictures that show none of the classes.
            learning_opt_out: keep nothing of the pictures; no update is possible then.
            customer_id: whose data these are, for :meth:`delete_user_data`.
            learn_from: ``"faces"``, ``"pictures"``, ``"both"``, or ``"auto"`` for what the data
                tell.

        Raises:
            ApiException: 400 for bad names, fewer than two zip files, or what is wrong with
                one; 413 for one that is too large; 429 when too many trainings wait.
            StoppingError: the program ends, and would not do the training.
            StoreError: the folder cannot be written.
            TypeError: a file is neither bytes nor a path nor a file opened in binary mode.
        """
        checked_name(name)
        if len(positives) + (negatives is not None) < 2 or not positives:
            raise request_error(
                f"{LEARNING_ERROR}A classifier needs two zip files of pictures: those of two "
                "classes, or those of one class and negative examples."
            )
        sets = self._read_sets(positives, negatives)
        record = Record(
            classifier_id="",
            name=name,
            created=now(),
            model=self._catalogue.model,
            classes=list(positives),
            customer_ids=[] if customer_id is None else [checked_customer_id(customer_id)],
            learning_opt_out=learning_opt_out,
        )
        with self._store.writing():
            record.job = self._new_job(list(positives), learning_opt_out, learn_from)
            while not record.classifier_id:
                record.classifier_id = new_classifier_id(name)
                try:
                    self._store.create(record)
                except FileExistsError:
                    record.classifier_id = ""
            try:
                self._training.add(Task(record.classifier_id, record.job.token, sets))
            except StoppingError:
                self._store.delete(record.classifier_id)
                raise
        return as_classifier(record)

    def update(
        self,
        classifier_id: str,
        positives: Mapping[str, ImagesFile],
        negatives: ImagesFile | None = None,
        *,
        learning_opt_out: bool = False,
        customer_id: str | None = None,
        learn_from: str = "auto",
    ) -> Classifier:
        """Add pictures to a class, or classes, and train again on all pictures.

        Until that has ended the classifier answers as before, with status ``retraining``.

        Args:
            classifier_id: of a classifier that is ready.
            positives: a zip file for each class, known or new.
            negatives: further pictures that show none of the classes.
            learning_opt_out: keep nothing of any picture from now on; this is the last update.
            customer_id: whose data these are, beside those whose data the classifier has.
            learn_from: see :meth:`create`.

        Raises:
            ApiException: as for :meth:`create`; 404 for an unknown id; 409 while the
                classifier is training; 400 if it has failed or keeps no pictures.
            StoppingError: the program ends, and would not do the training.
            StoreError: the folder cannot be written.
            TypeError: a file is neither bytes nor a path nor a file opened in binary mode.
        """
        self._updatable(classifier_id)
        if not positives and negatives is None:
            raise request_error(f"{LEARNING_ERROR}An update needs a zip file of pictures.")
        sets = self._read_sets(positives, negatives)
        label = [] if customer_id is None else [checked_customer_id(customer_id)]
        with self._store.writing():
            record = self._updatable(classifier_id)
            before = replace(record)
            record.customer_ids = list(dict.fromkeys([*record.customer_ids, *label]))
            classes = list(dict.fromkeys([*record.classes, *positives]))
            record.job = self._new_job(classes, learning_opt_out, learn_from)
            self._store.write(record)
            try:
                self._training.add(Task(classifier_id, record.job.token, sets))
            except StoppingError:
                self._store.write(before)
                raise
        return as_classifier(record)

    def get(self, classifier_id: str) -> Classifier:
        """One classifier, with all fields.

        Raises:
            ApiException: 404 for an unknown id.
        """
        return as_classifier(self._known(classifier_id)[0])

    def delete(self, classifier_id: str) -> None:
        """Remove a classifier and all that is kept of its pictures, training or not.

        Raises:
            ApiException: 404 for an unknown id.
            StoreError: the folder cannot be written.
        """
        self._known(classifier_id)
        with self._store.writing():
            gone = self._store.delete(classifier_id)
        self._training.drop(classifier_id)
        if not gone:
            raise _not_found(classifier_id)

    def delete_user_data(self, customer_id: str) -> None:
        """Remove every classifier with pictures of a customer; none is fine.

        Raises:
            ApiException: 400, if the id is empty or too long.
            StoreError: the folder cannot be written.
        """
        checked_customer_id(customer_id)
        self._sweep()
        if not self._store.ids():
            return
        gone = []
        with self._store.writing():
            for classifier_id in self._store.ids():
                try:
                    record = self._store.read(classifier_id)
                except DamagedError:
                    continue
                if record and customer_id in record.customer_ids:
                    self._store.delete(classifier_id)
                    gone.append(classifier_id)
        for classifier_id in gone:
            self._training.drop(classifier_id)

    def core_ml_model(self, classifier_id: str) -> bytes:
        """IBM's Core ML file, which no classifier here has: ``core_ml_enabled`` is false.

        Raises:
            ApiException: 404, always.
        """
        self._known(classifier_id)
        raise not_found_error(
            f"Resource not found: Core ML is not enabled for the classifier {classifier_id!r}."
        )

    def ids(self) -> tuple[str, ...]:
        """Ids of the classifiers that can answer."""
        return tuple(name for name, found in self.find().items() if found.heads is not None)

    def scores(self, classifier_id: str, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of N faces, one-versus-rest, float64 (N, C) from 0 to 1.

        Args:
            classifier_id: of a classifier that can answer.
            embeddings: (N, D), as ``EmotionClassifier.analyse`` gives them.

        Raises:
            ApiException: 404 for an id that is unknown or cannot answer.
        """
        found = self.find([classifier_id]).get(classifier_id)
        if found is None or found.heads is None:
            raise _not_found(classifier_id, found.entry.waiting if found else "")
        return found.heads.scores(embeddings)

    def find(self, classifier_ids: Iterable[str] | None = None) -> dict[str, Snapshot]:
        """Classifiers as they are now, by id; unknown ids are left out.

        Args:
            classifier_ids: the ids wanted; None for all.
        """
        return self._catalogue.find(classifier_ids)

    def list(self, *, verbose: bool = False) -> Classifiers:
        """All classifiers: id, name and status, or with ``verbose`` all fields."""
        views = self._catalogue.views()
        return {"classifiers": [as_classifier(view, verbose=verbose) for view in views]}

    def close(self, *, wait: bool = True) -> None:
        """End training.

        Args:
            wait: finish what is under way. Otherwise it is stopped: the next process that
                opens the folder trains again where all pictures had been read, and the
                others have failed.
        """
        self._training.close(wait=wait)

    def _sweep(self) -> None:
        if self._store.has_leftovers():
            with self._store.writing():
                self._store.sweep()

    def _read_sets(
        self, positives: Mapping[str, ImagesFile], negatives: ImagesFile | None
    ) -> tuple[TrainingSet, ...]:
        sets = tuple(read_training_sets(positives, negatives))
        waiting = self._training.held_bytes
        if waiting + sum(len(entry.data) for entry in sets) > MAX_WAITING_BYTES:
            raise request_error(
                f"{LEARNING_ERROR}{waiting >> 20} MB of pictures wait for their training already, "
                f"of {MAX_WAITING_BYTES >> 20} MB allowed; try again later.",
                429,
            )
        return sets

    def _new_job(self, classes: Iterable[str], learning_opt_out: bool, learn_from: str) -> Job:
        name = self._training.name()
        return Job(uuid.uuid4().hex, name, [*classes], learning_opt_out, learn_from=learn_from)

    def _known(self, classifier_id: str) -> tuple[Record, Heads | None]:
        view = self._catalogue.view(classifier_id)
        if view is None:
            raise _not_found(classifier_id)
        return view

    def _updatable(self, classifier_id: str) -> Record:
        record, _ = self._known(classifier_id)
        problem, code = "", 400
        if record.job:
            problem, code = f"is {record.status}; wait until it is ready", 409
        elif not record.heads:
            problem = "has failed and cannot be updated; create it again"
        elif record.pictures is None:
            problem = "was created with learning opted out, so it cannot be updated"
        if problem:
            raise request_error(
                f"{LEARNING_ERROR}The classifier {classifier_id!r} {problem}.", code
            )
        return record


def _not_found(classifier_id: object, waiting: str = "") -> Exception:
    text = f"Resource not found: there is no classifier {classifier_id!r}."
    if waiting:
        text = f"Resource not found: the classifier {classifier_id!r} {waiting}"
    return not_found_error(text)

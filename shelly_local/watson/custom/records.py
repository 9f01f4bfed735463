"""What is known of one custom classifier: its JSON on disk, and the JSON of IBM's answers."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from shelly_local.errors import ShellyError
from shelly_local.watson.contract.types import Classifier, CustomEntry

#: Version of the JSON that this code reads and writes.
FORMAT = 1
_CHECKSUM = "sha256"
#: All classifiers of a machine are their user's: one owner, in the form of IBM's account ids.
OWNER = str(uuid.uuid5(uuid.NAMESPACE_DNS, "shelly-local"))


class DamagedError(ShellyError):
    """A classifier's files cannot be read or do not agree with each other."""

    error_id = "damaged"


@dataclass(frozen=True, slots=True)
class ArraysFile:
    """An ``.npz`` file beside the JSON: its name, and the SHA-256 of its content."""

    file: str
    sha256: str


@dataclass(slots=True)
class Job:
    """A training that is under way.

    Attributes:
        token: identifies it; a worker that comes back with another one is too late.
        process: the process that does it, see ``Store.is_alive``.
        classes: the classes there will be.
        learning_opt_out: nothing of the pictures is to be kept.
        pictures: the pictures, once all have been read; from then on the training can be
            done again by any process.
        attempts: how often it has been begun.
        learn_from: one of ``names.WAYS``.
    """

    token: str
    process: str
    classes: list[str]
    learning_opt_out: bool = False
    pictures: ArraysFile | None = None
    attempts: int = 1
    learn_from: str = "auto"


@dataclass(slots=True)
class Record:
    """One classifier.

    Attributes:
        classifier_id, name: as in IBM's answers.
        created: UTC, with milliseconds and Z.
        model: SHA-256 of the weights whose embeddings it was trained on.
        classes: class names in the order of the heads.
        customer_ids: whose data are in it.
        learning_opt_out: nothing of its pictures is kept.
        heads: the trained heads; None before the first training has ended well.
        pictures: embeddings, classes and identities of all pictures, for updates.
        retrained: end of the last good update.
        explanation: why the last training failed.
        job: the training under way.
    """

    classifier_id: str
    name: str
    created: str
    model: str
    classes: list[str]
    customer_ids: list[str] = field(default_factory=list)
    learning_opt_out: bool = False
    heads: ArraysFile | None = None
    pictures: ArraysFile | None = None
    retrained: str | None = None
    explanation: str | None = None
    job: Job | None = None

    @property
    def status(self) -> str:
        """One of IBM's four."""
        if self.job:
            return "retraining" if self.heads else "training"
        return "ready" if self.heads else "failed"

    def as_json(self) -> dict[str, Any]:
        """The content of its file, with the SHA-256 of all the rest."""
        content = {"format": FORMAT, **asdict(self)}
        return {**content, _CHECKSUM: _sha256(content)}


def record_from_json(content: Any) -> Record:
    """Read what :meth:`Record.as_json` wrote.

    Raises:
        DamagedError: it is something else.
    """
    try:
        values = dict(content)
        # Version 0.1.0 wrote none.
        if _CHECKSUM in values and values.pop(_CHECKSUM) != _sha256(values):
            raise DamagedError("it is not what was written")
        if (found := values.pop("format")) != FORMAT:
            raise DamagedError(f"it has format {found!r}; this version reads {FORMAT}")
        for key in ("heads", "pictures"):
            values[key] = _arrays_file(values[key])
        if values["job"] is not None:
            job = dict(values["job"])
            values["job"] = Job(**{**job, "pictures": _arrays_file(job["pictures"])})
        record = Record(**values)
        texts = [record.classifier_id, record.name, record.created, record.model]
        texts += [*record.classes, *record.customer_ids]
        if record.job:
            texts += [record.job.token, record.job.process, *record.job.classes]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(f"an entry is missing or wrong: {error!r}") from error
    if not all(isinstance(text, str) for text in texts):
        raise DamagedError("an entry that must be text is none")
    return record


def _arrays_file(content: Any) -> ArraysFile | None:
    if content is None:
        return None
    found = ArraysFile(**content)
    if not isinstance(found.file, str) or not isinstance(found.sha256, str):
        raise TypeError("the entry of a file must be text")
    return found


def _sha256(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def now() -> str:
    """UTC with milliseconds and Z, as IBM wrote times."""
    moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def as_classifier(record: Record, *, verbose: bool = True) -> Classifier:
    """The JSON of IBM's answers, without any field beyond the documented ones."""
    brief = Classifier(classifier_id=record.classifier_id, name=record.name, status=record.status)
    if not verbose:
        return brief
    entry: Classifier = {
        **brief,
        "owner": OWNER,
        "core_ml_enabled": False,
        "classes": [{"class": name} for name in record.classes],
    }
    if record.created:  # a damaged one does not know
        entry["created"] = record.created
        entry["updated"] = record.retrained or record.created
    if record.retrained:
        entry["retrained"] = record.retrained
    if record.explanation:
        entry["explanation"] = record.explanation
    return entry


def damaged(classifier_id: str, reason: str) -> Record:
    """What is shown of a classifier whose files cannot be read."""
    text = f"Its files are damaged: {reason.rstrip('.')}. Delete it and create it again."
    return Record(classifier_id, classifier_id, "", "", [], explanation=text)


def as_entry(record: Record) -> CustomEntry:
    """What an answer of ``classify`` needs to know."""
    waiting = ""
    if not record.heads:
        waiting = "is still training." if record.job else f"has failed. {record.explanation or ''}"
    return CustomEntry(record.name, tuple(record.classes), waiting.strip())

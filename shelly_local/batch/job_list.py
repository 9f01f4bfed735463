"""Inputs as lines of a job's list, and back."""

from __future__ import annotations

from typing import Any

from shelly_local.batch.inputs import PhotoInput, named_photo, unreadable_photo
from shelly_local.batch.parquet import StoredPicture


def record_of(photo: PhotoInput) -> dict[str, Any]:
    """A photo as an object for JSON."""
    record: dict[str, Any] = {"path": photo.name}
    if photo.error is not None:
        record["error"] = photo.error.description
    if isinstance(photo.stored, StoredPicture):
        stored = photo.stored
        record["stored"] = [stored.file, stored.column, stored.group, stored.row]
    return record


def photo_of(record: dict[str, Any]) -> PhotoInput:
    """The photo that :func:`record_of` was given."""
    if "error" in record:
        return unreadable_photo(record["path"], record["error"])
    photo = named_photo(record["path"])
    if "stored" in record:
        return PhotoInput(photo.name, photo.copy_path, stored=StoredPicture(*record["stored"]))
    return photo

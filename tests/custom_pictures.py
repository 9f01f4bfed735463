"""Zip files of real faces, to train custom classifiers on; and waiting for a training."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

from shelly_local.watson.contract.types import Classifier
from shelly_local.watson.custom import CustomClassifiers
from tests.conftest import PICTURES

#: Ten people to train on; and six others, in the same two expressions.
LONDON = PICTURES / "london"
OTHERS = PICTURES / "people"
SECONDS = 120.0


def smiling() -> list[Path]:
    return sorted((LONDON / "happiness").glob("*.jpg"))


def neutral() -> list[Path]:
    return sorted((LONDON / "neutral").glob("*.jpg"))


def zipped(files: Iterable[Path | tuple[str, bytes]]) -> bytes:
    """A zip file of files, or of names and contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            name, content = (file.name, file.read_bytes()) if isinstance(file, Path) else file
            archive.writestr(name, content)
    return buffer.getvalue()


def settled(custom: CustomClassifiers, classifier_id: str) -> Classifier:
    """The classifier once its training has ended.

    Raises:
        AssertionError: it has not within two minutes.
    """
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = custom.get(classifier_id)
        if found["status"] in ("ready", "failed"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found['status']} after {SECONDS} s")

"""Who answers in a job, how that is recognised when it goes on, and the answer to a photo."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from shelly_local import __version__
from shelly_local.batch.inputs import PhotoInput
from shelly_local.errors import ShellyError
from shelly_local.results import PhotoEmotions
from shelly_local.vision.detector import identity_of
from shelly_local.vision.model import DEFAULT_MODEL, DESCRIPTION_FILE
from shelly_local.vision.onnx import bundled_model, read_description

Outcome = PhotoEmotions | ShellyError


def identity(model: str | Path | None, detection: str = "fast") -> dict[str, str]:
    """What decides the answers here: the version, the descriptions of the networks, their use.

    A description holds the SHA-256 of its weights, which is checked when they are loaded.

    Raises:
        ModelError: there is no model.
    """
    file = (Path(model) if model else bundled_model(DEFAULT_MODEL)) / DESCRIPTION_FILE
    read_description(file)
    return {
        "backend": "local",
        "shelly": __version__,
        "detection": detection,
        "model": hashlib.sha256(file.read_bytes()).hexdigest(),
        "detector": identity_of(),
    }


def answer(
    classify: Callable[[bytes | Path], PhotoEmotions],
    photo: PhotoInput,
    content: bytes | Path | None = None,
) -> Outcome:
    """The result of a photo, or why it has none.

    A fault of the program, too, costs the one photo in which it shows.

    Args:
        classify: who answers.
        photo: the photo.
        content: what it holds, if that is known.
    """
    try:
        return classify(photo.read() if content is None else content)
    except ShellyError as error:
        return error
    except Exception as fault:
        return ShellyError(f"internal error: {type(fault).__name__}: {fault}")

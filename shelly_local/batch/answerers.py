"""Who answers in a job, how that is recognised when it goes on, and photos one after another."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from shelly_local import __version__
from shelly_local.classifier import EmotionClassifier
from shelly_local.errors import ShellyError
from shelly_local.model import DEFAULT_MODEL, DESCRIPTION_FILE
from shelly_local.photo_files import PhotoInput
from shelly_local.pipeline import analyse_many
from shelly_local.results import PhotoEmotions
from shelly_local.runtime import bundled_model, read_description

if TYPE_CHECKING:
    from shelly_local.backends import Backend

Outcome = PhotoEmotions | ShellyError


def identity(model: str | Path | None) -> dict[str, str]:
    """What decides the answers here: the version, and the descriptions of the networks.

    A description holds the SHA-256 of its weights, which is checked when they are loaded.

    Raises:
        ModelError: there is no model.
    """
    descriptions = {
        "model": (Path(model) if model else bundled_model(DEFAULT_MODEL)) / DESCRIPTION_FILE,
        "detector": bundled_model("mtcnn") / "mtcnn.json",
    }
    answers = {"backend": "local", "shelly": __version__}
    for name, file in descriptions.items():
        read_description(file)
        answers[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return answers


def classify_here(
    photos: Iterable[PhotoInput], classifier: EmotionClassifier, workers: int
) -> Iterator[tuple[PhotoInput, Outcome]]:
    """Photos through the model here, side by side; answers in the order of the photos.

    Args:
        photos: drawn as they are needed.
        classifier: made with ``threads=1``.
        workers: threads.

    Yields:
        Each photo with its result, or why it has none. A fault of the program costs the one
        photo in which it shows.
    """
    # Drawn and not yet answered; an error stands for a photo that has its answer already.
    waiting: deque[tuple[PhotoInput, ShellyError | None]] = deque()
    source = iter(photos)

    def contents() -> Iterator[bytes | Path]:
        for photo in source:
            try:
                content = photo.read()
            except ShellyError as error:
                waiting.append((photo, error))
            else:
                waiting.append((photo, None))
                yield content

    def known() -> Iterator[tuple[PhotoInput, Outcome]]:
        while waiting and (error := waiting[0][1]) is not None:
            yield waiting.popleft()[0], error

    while True:
        try:
            for analysis in analyse_many(classifier, contents(), workers=workers):
                yield from known()
                answer = analysis if isinstance(analysis, ShellyError) else analysis.photo
                yield waiting.popleft()[0], answer
            yield from known()
            return
        except Exception as fault:
            yield from known()
            if not waiting:
                raise
            # The photo at which it showed is the first without an answer.
            yield waiting.popleft()[0], internal_error(fault)
            source = chain([photo for photo, _ in waiting], source)
            waiting.clear()


def classify_there(
    photos: Iterable[PhotoInput], backend: Backend
) -> Iterator[tuple[PhotoInput, Outcome]]:
    """Photos through another backend, one after another."""
    from shelly_local.images import read

    def answer(photo: PhotoInput) -> Outcome:
        try:
            return backend.classify(read(photo.read()))
        except ShellyError as error:
            return error
        except Exception as fault:
            return internal_error(fault)

    for photo in photos:
        yield photo, answer(photo)


def internal_error(fault: Exception) -> ShellyError:
    """An unforeseen fault as the row of its photo."""
    return ShellyError(f"internal error: {type(fault).__name__}: {fault}")

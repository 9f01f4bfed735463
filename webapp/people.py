"""What the page learns about each face of a photo."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from shelly_local.results import CLASSES, FaceEmotion, PhotoEmotions

if TYPE_CHECKING:
    from .advice import Adviser
    from .offered import Classifier

#: Least probability of the best class with which Shelly is sure: no other can be as likely.
SURE = 0.5


def is_sure(face: FaceEmotion) -> bool:
    """Whether to name a mood outright: it has a probability of 0.5, and there is an answer.

    A cloud may answer "none of these", or a mood that the page has no word for; then no mood is
    sure.
    """
    return face.answered and face.emotion in CLASSES and face.scores[face.emotion] >= SURE


def nearest(face: FaceEmotion) -> list[str]:
    """The two most probable of ``CLASSES``, the likelier first."""
    return sorted(CLASSES, key=lambda name: -face.scores[name])[:2]


def describe(face: FaceEmotion) -> dict[str, Any]:
    """The JSON object of one person, without advice and crop.

    Returns:
        ``box``, ``landmarks`` and ``confidence`` of `FaceEmotion.as_dict`; ``scores`` of
        all ``CLASSES``; ``emotion``, the most probable of them, and its ``score``; ``sure``,
        whether it can be named outright; and ``nearest``.
    """
    two = nearest(face)
    scores = {name: round(face.scores[name], 4) for name in CLASSES}
    return {
        **face.as_dict(),
        "emotion": two[0],
        "scores": scores,
        "score": scores[two[0]],
        "sure": is_sure(face),
        "nearest": two,
    }


def add_advice(
    people: list[dict[str, Any]], adviser: Adviser, language: str, after: int | None
) -> None:
    """Give each person ``advice`` and ``advice_id``.

    Args:
        people: from `describe`, the person who asks first.
        adviser: chooses the lines.
        language: one of ``adviser.languages``.
        after: id of the line that the first person has just read; it does not come again.
    """
    read = set() if after is None else {after}
    given: dict[str, set[int]] = {}
    for person in people:
        used = given.setdefault(person["emotion"], set())
        choice = adviser.choose(person["emotion"], language, avoid=used | read)
        used.add(choice.id)
        read = set()
        person["advice"], person["advice_id"] = choice.text, choice.id


def crops(classifier: Classifier, photo: bytes, emotions: PhotoEmotions) -> list[str]:
    """The faces as the model on this machine saw them, as PNG data URLs (RFC 2397).

    Args:
        classifier: what answered; only an ``EmotionClassifier``, or a backend with one,
            has crops to show.
        photo: the bytes it answered for.
        emotions: its answer.

    Returns:
        One URL for each face, in order; empty when the classifier has no crops.
    """
    # Imported here because it loads the inference engine, which an application with its
    # own classifier can do without.
    from PIL import Image

    from shelly_local.vision.classifier import EmotionClassifier

    local = getattr(classifier, "classifier", classifier)
    if not isinstance(local, EmotionClassifier) or not emotions.faces:
        return []
    urls = []
    for crop in local.crops(photo, emotions):
        buffer = io.BytesIO()
        Image.fromarray(crop).save(buffer, "PNG")
        urls.append(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")
    return urls

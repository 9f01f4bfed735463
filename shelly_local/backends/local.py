"""The model on this machine."""

from __future__ import annotations

import os
from typing import Any

import onnxruntime

from shelly_local.backends.base import Backend
from shelly_local.results import PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier


class LocalBackend(Backend):
    """MTCNN and the emotion model; photos stay here.

    Args:
        model: model directory; the bundled model by default.
        threads: threads of one network run; None for one per core.
        detection: see ``EmotionClassifier``.
        device: see ``EmotionClassifier``.
        classifier: one that is loaded already, instead of all these.

    Raises:
        ModelError: the model is missing or damaged.
        ValueError: no such number of threads.
    """

    name = "local"
    title = "On this machine"
    is_local = True

    def __init__(
        self,
        *,
        model: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        detection: str = "fast",
        device: str = "cpu",
        classifier: EmotionClassifier | None = None,
    ) -> None:
        self.classifier = classifier or EmotionClassifier(
            model, threads=threads, detection=detection, device=device
        )

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """See :class:`Backend`."""
        return self.classifier.classify(photo)

    def describe(self) -> dict[str, Any]:
        """Name and digest of the weights, and the version of ONNX Runtime."""
        description = self.classifier.model.description
        return {
            "title": self.title,
            "model": description.get("name"),
            "sha256": description.get("weights", {}).get("emotion", {}).get("sha256"),
            "onnxruntime": onnxruntime.__version__,
            "mapping": {name: name for name in self.classifier.classes},
        }

"""The expression model: aligned faces in, probabilities out.

A model directory holds ``model.json`` (classes, input, template, temperature, training,
metrics, SHA-256) and ONNX weights; both are checked when they are loaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import ModelError
from shelly_local.runtime import bundled_model, load_weights, read_description, start_session

DESCRIPTION_FILE = "model.json"
#: Version of the description that this code reads and writes.
FORMAT = 1
DEFAULT_MODEL = "emotion"
#: Faces of one run of the network: bounds its memory whatever the photo.
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of N faces.

    Attributes:
        probabilities: float32 (N, C), rows sum to 1, columns in the order of the classes.
        embedding: float32 (N, D), the features the probabilities are computed from.
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]


class EmotionModel:
    """An ONNX network with its description. Thread-safe; load once and share.

    Args:
        folder: model directory; the bundled one by default.
        threads: threads of one run; None for one per core.

    Raises:
        ModelError: missing, damaged, or made for another version.

    Attributes:
        description: the content of ``model.json``.
        classes: class names in the order of the probabilities.
        size: side of the aligned face in pixels.
        template: float64 (5, 2), landmarks in units of that side.
        temperature: divides the logits; fitted on faces held out from training.
        mirror: whether the answer is averaged over the face and its mirror image.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, *, threads: int | None = None
    ) -> None:
        self.folder = Path(folder) if folder is not None else bundled_model(DEFAULT_MODEL)
        self.description = read_description(self.folder / DESCRIPTION_FILE)
        self._read_settings()
        weights = load_weights(self.folder, self.description, "emotion")
        self._session = start_session(weights, threads=threads, fixed_shape=True)
        self._check_outputs()

    def _read_settings(self) -> None:
        where = self.folder / DESCRIPTION_FILE
        version = self.description.get("format")
        if version != FORMAT:
            raise ModelError(f"{where} has format {version!r}; this version reads {FORMAT}.")
        try:
            entry = self.description["input"]
            self.classes: tuple[str, ...] = tuple(str(c) for c in self.description["classes"])
            self.size = int(entry["width"])
            self._input = str(entry["name"])
            self._outputs = [str(self.description["outputs"][k]) for k in ("logits", "embedding")]
            self.template = np.array(self.description["template"], dtype=np.float64)
            self.temperature = float(self.description["temperature"])
            self.mirror = bool(self.description["mirror"])
            height, colour = int(entry["height"]), entry["colour"]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{where} lacks an entry or has a wrong one: {error!r}.") from error
        problems = [
            (len(set(self.classes)) != len(self.classes) or len(self.classes) < 2, "classes"),
            (self.size < 8 or height != self.size, "input (width and height alike, at least 8)"),
            (colour != "grey", "input.colour ('grey')"),
            (self.template.shape != (5, 2), "template (five points)"),
            (not 0.01 <= self.temperature <= 100, "temperature (0.01 to 100)"),
        ]
        for wrong, what in problems:
            if wrong:
                raise ModelError(f"{where} has a wrong entry: {what}.")

    def _check_outputs(self) -> None:
        """Run once: a model that does not fit its description is refused at load."""
        try:
            prediction = self.predict(np.zeros((1, self.size, self.size), dtype=np.uint8))
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ModelError(f"The weights in {self.folder} do not fit: {error}") from error
        if prediction.probabilities.shape != (1, len(self.classes)):
            raise ModelError(
                f"The weights in {self.folder} answer {prediction.probabilities.shape[1]} "
                f"classes; the description names {len(self.classes)}."
            )

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Probabilities and embeddings of aligned faces.

        Args:
            faces: uint8 (N, size, size) grey, aligned by ``alignment.align`` to
                ``template``; N may be 0.

        Raises:
            ValueError: another shape or type.
        """
        if faces.shape[1:] != (self.size, self.size) or faces.dtype != np.uint8:
            raise ValueError(
                f"faces must be uint8 (N, {self.size}, {self.size}), got "
                f"{faces.dtype} {faces.shape}"
            )
        # With no face at all one blank face tells the shapes, and is cut off again.
        padded = faces if len(faces) else np.zeros((1, self.size, self.size), dtype=np.uint8)
        parts = [self._run(padded[i : i + _BATCH]) for i in range(0, len(padded), _BATCH)]
        logits, embedding = (
            np.concatenate(part)[: len(faces)] for part in zip(*parts, strict=True)
        )
        scaled = logits / self.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return Prediction(exponentials / exponentials.sum(axis=1, keepdims=True), embedding)

    def _run(self, faces: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Logits and embedding of one batch, averaged over the mirror image if so described."""
        both = np.concatenate([faces, faces[:, :, ::-1]]) if self.mirror else faces
        inputs = {self._input: np.ascontiguousarray(both[:, None], dtype=np.float32)}
        logits, embedding = self._session.run(self._outputs, inputs)
        if self.mirror:
            count = len(faces)
            logits = (logits[:count] + logits[count:]) / 2
            embedding = (embedding[:count] + embedding[count:]) / 2
        return logits, embedding

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
from shelly_local.results import CLASSES
from shelly_local.vision.onnx import (
    bundled_model,
    load_weights,
    read_description,
    reason,
    start_session,
)

DESCRIPTION_FILE = "model.json"
#: Version of the description that this code reads and writes.
FORMAT = 1
DEFAULT_MODEL = "emotion"
#: Side of an aligned face in pixels: below, nothing is to be seen; networks of the field take 224.
MIN_SIDE, MAX_SIDE = 8, 512
#: Where a landmark may lie in an aligned face, and the least width and height of all five, in units
#: of its side: what is cut out of the photo grows with what is around the face.
TEMPLATE_RANGE, MIN_TEMPLATE_SPREAD = (-0.5, 1.5), 0.2
#: Faces of one run of the network: bounds its memory whatever the photo.
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of N faces.

    Attributes:
        probabilities: float32 (N, 7), rows sum to 1, columns in the order of ``CLASSES``.
        embedding: float32 (N, D), the features the probabilities are computed from.
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]


class EmotionModel:
    """An ONNX network with its description. Thread-safe; load once and share.

    Args:
        folder: model directory; the bundled one by default.
        device: see ``onnx.DEVICES``.
        threads: threads of one run; None for one per core.

    Raises:
        ModelError: missing, damaged, made for another version or for other classes.
        ValueError: no such number of threads.

    Attributes:
        description: the content of ``model.json``.
        classes: class names in the order of the probabilities, always ``CLASSES``.
        size: side of the aligned face in pixels.
        template: float64 (5, 2), landmarks in units of that side.
        temperature: divides the logits; fitted on faces held out from training.
        mirror: whether the answer is averaged over the face and its mirror image.
    """

    classes: tuple[str, ...] = CLASSES

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.folder = Path(folder) if folder is not None else bundled_model(DEFAULT_MODEL)
        self.description = read_description(self.folder / DESCRIPTION_FILE)
        self._read_settings()
        weights = load_weights(self.folder, self.description, "emotion")
        self._session = start_session(weights, threads=threads, fixed_shape=True, device=device)
        self._check_outputs()

    def _read_settings(self) -> None:
        where = self.folder / DESCRIPTION_FILE
        version = self.description.get("format")
        if version != FORMAT:
            raise ModelError(f"{where} has format {version!r}; this version reads {FORMAT}.")
        try:
            entry, outputs = self.description["input"], self.description["outputs"]
            classes, template = self.description["classes"], self.description["template"]
            self.size, height, colour = entry["width"], entry["height"], entry["colour"]
            self._input, self._outputs = entry["name"], [outputs["logits"], outputs["embedding"]]
            temperature, self.mirror = self.description["temperature"], self.description["mirror"]
            self.template = np.array(template, dtype=np.float64)
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ModelError(f"{where} lacks an entry or has a wrong one: {error!r}.") from error
        if classes != list(CLASSES):
            raise ModelError(
                f"{where} has the classes {classes!r:.200}; they must be {', '.join(CLASSES)}, "
                "in this order."
            )
        sides = (self.size, height)
        texts = (self._input, *self._outputs)
        checks: list[tuple[str, Any, bool]] = [
            (
                f"width and height of input (alike, {MIN_SIDE} to {MAX_SIDE})",
                sides,
                sides[0] == sides[1] and type(sides[0]) is int and MIN_SIDE <= sides[0] <= MAX_SIDE,
            ),
            ("input.colour ('grey')", colour, colour == "grey"),
            (
                "input.name, outputs.logits and outputs.embedding (texts)",
                texts,
                all(isinstance(text, str) for text in texts),
            ),
            ("template (five points around the middle)", template, _is_template(self.template)),
            (
                "temperature (0.01 to 100)",
                temperature,
                type(temperature) in (int, float) and 0.01 <= temperature <= 100,
            ),
            ("mirror (true or false)", self.mirror, isinstance(self.mirror, bool)),
        ]
        for what, value, sound in checks:
            if not sound:
                raise ModelError(f"{where} has a wrong entry: {what}, got {value!r:.100}.")
        self.temperature = float(temperature)

    def _check_outputs(self) -> None:
        """Run once: a model that does not fit its description is refused at load."""
        self.predict(np.zeros((1, self.size, self.size), dtype=np.uint8))

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Probabilities and embeddings of aligned faces.

        Args:
            faces: uint8 (N, size, size) grey, aligned by ``alignment.align`` to
                ``template``; N may be 0.

        Raises:
            ModelError: the network fails, or answers in another shape or without a number.
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
        with np.errstate(over="ignore"):  # what becomes infinite is refused, or exp makes 0 of it
            scaled = logits / self.temperature
            if not (np.isfinite(scaled).all() and np.isfinite(embedding).all()):
                raise ModelError(
                    f"The model in {self.folder} answers what is no number (NaN or infinity)."
                )
            exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return Prediction(exponentials / exponentials.sum(axis=1, keepdims=True), embedding)

    def _run(self, faces: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Logits and embedding of one batch, averaged over the mirror image if so described."""
        both = np.concatenate([faces, faces[:, :, ::-1]]) if self.mirror else faces
        inputs = {self._input: np.ascontiguousarray(both[:, None], dtype=np.float32)}
        try:
            logits, embedding = self._session.run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ModelError(f"The weights in {self.folder} do not fit: {reason(error)}") from error
        for name, answer, width in (
            ("logits", logits, len(CLASSES)),
            ("embedding", embedding, None),
        ):
            shape: Any = getattr(answer, "shape", ())
            kind = getattr(answer, "dtype", type(answer))
            if len(shape) != 2 or shape != (len(both), width or shape[1]) or kind != np.float32:
                raise ModelError(
                    f"The weights in {self.folder} do not fit: {name} of {len(both)} faces must be "
                    f"float32 ({len(both)}, {width or 'any'}), got {kind} {shape}."
                )
        if self.mirror:
            count = len(faces)
            logits = (logits[:count] + logits[count:]) / 2
            embedding = (embedding[:count] + embedding[count:]) / 2
        return logits, embedding


def _is_template(template: NDArray[np.float64]) -> bool:
    """Whether faces can be aligned to these landmarks; nothing is, to NaN."""
    low, high = TEMPLATE_RANGE
    return (
        template.shape == (5, 2)
        and bool(((template >= low) & (template <= high)).all())
        and bool((np.ptp(template, axis=0) >= MIN_TEMPLATE_SPREAD).all())
    )

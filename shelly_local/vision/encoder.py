"""What a picture shows: ImageNet's thousand classes, and features for classifiers of anything.

EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946) as ``training.export_pictures`` wrote it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from shelly_local.errors import ModelError
from shelly_local.vision.onnx import bundled_model, load_weights, read_description, start_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_MODEL = "pictures"
DESCRIPTION_FILE = "pictures.json"
#: Share of a picture's shorter side that is looked at, as the weights were tested.
_CENTRE = 0.875


@dataclass(frozen=True, slots=True)
class PictureClass:
    """A class of things.

    Attributes:
        name: in plain words, such as ``beagle``.
        parents: wider classes, the widest first: ``animal``, ``dog``.
        food: whether it is something to eat or drink.
    """

    name: str
    parents: tuple[str, ...]
    food: bool


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """What the encoder says of a picture.

    Attributes:
        probabilities: float32 (1000,), in the order of ``PictureEncoder.classes``; sum 1.
        features: float32 (1280,), mean over the picture of the last layer.
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]


class PictureEncoder:
    """Says what a picture shows. Thread-safe::

        encoder = PictureEncoder()
        answer = encoder.encode(numpy.asarray(PIL.Image.open("dog.jpg").convert("RGB")))
        print(encoder.classes[answer.probabilities.argmax()].name)

    Args:
        model: model directory; the bundled model by default.
        threads: threads of one network run, 1 to 1024; None for one per core.
        device: where the network runs: "cpu", "cuda", "coreml" or "openvino".

    Raises:
        ModelError: the model is missing or damaged, or the installed ONNX Runtime lacks the device.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        folder = Path(model) if model is not None else bundled_model(DEFAULT_MODEL)
        description = read_description(folder / DESCRIPTION_FILE)
        try:
            self._side = int(description["side"])
            table = json.loads(load_weights(folder, description, "classes"))
            self.classes = tuple(
                PictureClass(
                    str(each["name"]), tuple(map(str, each["parents"])), bool(each["food"])
                )
                for each in table
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The description of the pictures' model in {folder} is damaged."
            ) from error
        content = load_weights(folder, description, "pictures")
        self._session = start_session(
            content, threads=threads, fixed_shape=True, device=device, unpacked=True
        )

    def encode(self, pixels: NDArray[np.uint8]) -> Encoding:
        """What the middle of a picture shows.

        Args:
            pixels: uint8 (H, W, 3), RGB, upright.
        """
        height, width = pixels.shape[:2]
        side = min(height, width) * _CENTRE
        left, top = (width - side) / 2, (height - side) / 2
        picture = Image.fromarray(pixels).resize(
            (self._side, self._side),
            Image.Resampling.BICUBIC,
            box=(left, top, left + side, top + side),
            reducing_gap=2.0,
        )
        inputs = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)[None]
        logits, features = self._session.run(
            ["logits", "features"], {"pictures": np.ascontiguousarray(inputs)}
        )
        exponents = np.exp(logits[0] - logits[0].max())
        return Encoding(exponents / exponents.sum(), features[0])

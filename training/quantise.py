"""Would 8-bit arithmetic pay? Quantise a model and compare accuracy and time.

    python -m training.quantise --fer2013 DIR [--model DIR]

Static quantisation of weights (per channel) and activations by ONNX Runtime, calibrated on
training faces, scored on the public part. The quantised file is thrown away: it would ship only
if it were faster and cost less than half a point.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from shelly_local.errors import ModelError
from shelly_local.model import DEFAULT_MODEL, EmotionModel
from shelly_local.runtime import bundled_model

from . import fer2013
from .export import WEIGHTS_FILE
from .landmarks import align_all, alignments, find_all

#: Training faces whose activations set the ranges.
CALIBRATION_FACES = 512
#: Timed runs of each file, in turn; the median counts.
RUNS = 100
THREADS = 2


class _Faces(CalibrationDataReader):  # type: ignore[misc]
    """Batches of faces for ONNX Runtime's calibration."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._batches = iter(np.array_split(crops, max(len(crops) // 64, 1)))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"faces": _inputs(batch)}


def _inputs(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return crops[:, None].astype(np.float32)


def quantise(weights: Path, crops: NDArray[np.uint8], target: Path) -> None:
    """Write an 8-bit version of an exported network.

    Args:
        weights: the ONNX file.
        crops: uint8 (N, 48, 48), typical faces.
        target: the file to be written.
    """
    folded = target.with_suffix(".folded.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    model = onnx.load(folded)
    kept = [node.name for node in model.graph.node if node.op_type != "Conv"]
    quantize_static(
        folded, target, _Faces(crops), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=kept,
    )  # fmt: skip


def crops_for(model: EmotionModel, images: NDArray[np.uint8], cache: Path) -> NDArray[np.uint8]:
    """FER2013 faces as the model was trained on them, uint8 (N, 48, 48)."""
    settings = model.description.get("training", {}).get("settings", {})
    if settings.get("alignment") != "landmarks":
        return images
    matrices = alignments(find_all(images, cache), model.template)
    crops: NDArray[np.uint8] = align_all(images, matrices)[:, 0].numpy()
    return crops


def accuracy(session: Any, crops: NDArray[np.uint8], truth: NDArray[np.int64]) -> float:
    """Share of faces answered as their majority says, mean over the mirror image."""
    right = 0
    for start in range(0, len(crops), 256):
        batch = crops[start : start + 256]
        both = np.concatenate([batch, batch[:, :, ::-1]])
        logits = session.run(["logits"], {"faces": _inputs(both)})[0]
        answers = (logits[: len(batch)] + logits[len(batch) :]).argmax(axis=1)
        right += int((answers == truth[start : start + 256]).sum())
    return right / len(crops)


def milliseconds(sessions: dict[str, Any]) -> dict[str, float]:
    """Median time of one face with its mirror image, files in turn."""
    face = np.random.default_rng(0).integers(0, 256, (2, 48, 48)).astype(np.uint8)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(RUNS):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(["logits"], {"faces": _inputs(face)})
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


def main(argv: list[str] | None = None) -> int:
    """Print size, accuracy and time of both files."""
    parser = argparse.ArgumentParser(
        prog="python -m training.quantise", description="Compare a model with its 8-bit version."
    )
    parser.add_argument("--fer2013", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the bundled model")
    arguments = parser.parse_args(argv)
    try:
        model = EmotionModel(arguments.model)
        weights = (arguments.model or bundled_model(DEFAULT_MODEL)) / WEIGHTS_FILE
        public = fer2013.load(arguments.fer2013, "public")
        train = fer2013.load(arguments.fer2013, "train")
        chosen = np.random.default_rng(0).permutation(len(train.images))[:CALIBRATION_FACES]
        truth, valid = public.majority()
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "quantised.onnx"
            quantise(weights, crops_for(model, train.images[chosen], Path(folder)), small)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = THREADS
            sessions = {
                name: onnxruntime.InferenceSession(
                    str(file), options, providers=["CPUExecutionProvider"]
                )
                for name, file in (("as shipped", weights), ("8-bit", small))
            }
            crops = crops_for(model, public.images[valid], Path(folder))
            times = milliseconds(sessions)
            for name, file in (("as shipped", weights), ("8-bit", small)):
                right = accuracy(sessions[name], crops, truth[valid])
                print(
                    f"{name:12} {file.stat().st_size / 1e6:5.1f} MB   public FER+ {right:.2%}   "
                    f"{times[name]:.2f} ms"
                )
    except (fer2013.DataError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

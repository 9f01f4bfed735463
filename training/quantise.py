"""8-bit arithmetic for a model: compare it with its float version, and write it if it pays.

    python -m training.quantise --fer2013 DIR [--model DIR] [--write]

Static quantisation of wide convolutions (weights per channel) and their inputs by ONNX Runtime,
calibrated on training faces, scored on the public part. The float version is made anew from
the PyTorch weights, so that a model that is in 8 bits already can be compared, too.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from shelly_local.vision.model import DEFAULT_MODEL, DESCRIPTION_FILE, EmotionModel
from shelly_local.vision.onnx import bundled_model, read_description, start_session

from . import fer2013
from .export import CHECKED_FACES, WEIGHTS_FILE, export_onnx, load_network, write_description
from .landmarks import align_all, alignments, find_all
from .options import Command, exit_code

#: Share of an activation's values, in percent, that 8 bits must hold; rarer ones are cut off, so
#: that the others have finer steps. Half the contrast of a face of FER2013's public part then moves
#: a probability by 0.0077 (root mean square of a face's largest), instead of 0.0091 with the
#: largest value of all and 0.0057 in float. With 99.99 it is 0.0070, but pictures unlike those of
#: the calibration are answered 0.02 apart.
PERCENTILE = 99.9995
#: Convolutions with at least this share of the widest one's channels are computed in 8 bits. In
#: ``large`` these are the last three stages, with 98 % of the weights: probabilities move by 0.006
#: (root mean square of a face's largest). With all layers they move by 0.015, as what early ones
#: round off adds up in later ones; with the last two by 0.003, which takes a quarter longer.
WIDE_SHARE = 1 / 3
#: Training faces whose activations set the ranges.
CALIBRATION_FACES = 512
#: Share of right answers that 8 bits may cost, and still be written.
MOST_LOST = 0.005
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
    return np.ascontiguousarray(crops[:, None], dtype=np.float32)


def quantise(weights: Path, crops: NDArray[np.uint8], target: Path) -> None:
    """Write a version of an exported network whose wide convolutions compute in 8 bits.

    Weights keep to 7 of the 8 bits: processors without VNNI or AMX add two products of 8 bits
    in 16, where larger ones would be cut off, and answers would depend on the machine.

    Args:
        weights: the ONNX file.
        crops: uint8 (N, side, side), typical faces.
        target: the file to be written.
    """
    folded = target.with_suffix(".folded.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    model = onnx.load(folded)
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    channels = {n.name: shapes[n.input[1]][0] for n in model.graph.node if n.op_type == "Conv"}
    least = WIDE_SHARE * max(channels.values())
    kept = [node.name for node in model.graph.node if channels.get(node.name, 0) < least]
    with redirect_stdout(io.StringIO()):  # ONNX Runtime tells its progress
        quantize_static(
            folded, target, _Faces(crops), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=kept,
            reduce_range=True, calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE},
        )  # fmt: skip


def crops_for(model: EmotionModel, images: NDArray[np.uint8], cache: Path) -> NDArray[np.uint8]:
    """FER2013 faces as the model was trained on them, uint8 (N, side, side)."""
    settings = model.description.get("training", {}).get("settings", {})
    matrices = None
    if settings.get("alignment") == "landmarks":
        matrices = alignments(find_all(images, cache), model.template)
    crops: NDArray[np.uint8] = align_all(images, matrices)[:, 0].numpy()
    return crops


def accuracy(
    session: Any, crops: NDArray[np.uint8], truth: NDArray[np.int64], mirror: bool
) -> float:
    """Share of faces answered as their majority says.

    Args:
        session: of ONNX Runtime.
        crops: uint8 (N, side, side).
        truth: (N,), indices of classes.
        mirror: whether the answer is the mean over the face and its mirror image.
    """
    right = 0
    for start in range(0, len(crops), 256):
        batch = crops[start : start + 256]
        views = (batch, batch[:, :, ::-1]) if mirror else (batch,)
        logits = sum(session.run(["logits"], {"faces": _inputs(view)})[0] for view in views)
        right += int((logits.argmax(axis=1) == truth[start : start + 256]).sum())
    return right / len(crops)


def milliseconds(sessions: dict[str, Any], size: int, mirror: bool) -> dict[str, float]:
    """Median time of one face, with its mirror image where the model wants it; files in turn."""
    shape = (2 if mirror else 1, size, size)
    face = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(RUNS):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(["logits"], {"faces": _inputs(face)})
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


def open_session(file: Path) -> Any:
    """A session as it is in use: idle threads do not spin."""
    return start_session(file.read_bytes(), threads=THREADS, fixed_shape=True)


def largest_difference(first: Any, second: Any, crops: NDArray[np.uint8]) -> float:
    """The largest difference of a probability between two sessions."""
    answers = []
    for session in (first, second):
        logits = session.run(["logits"], {"faces": _inputs(crops)})[0]
        answers.append(torch.from_numpy(logits).softmax(1).numpy())
    return float(np.abs(answers[0] - answers[1]).max())


def write(folder: Path, weights: Path, notes: dict[str, Any]) -> None:
    """Put the 8-bit weights in the place of the float ones, the description last.

    Args:
        folder: model directory.
        weights: the 8-bit ONNX file, named as in a model directory; it is moved.
        notes: for the description, under ``export``.
    """
    description = read_description(folder / DESCRIPTION_FILE)
    description["export"] = {**description.get("export", {}), **notes}
    files = {name: folder / entry["file"] for name, entry in description["weights"].items()}
    partial = weights.with_name(DESCRIPTION_FILE)
    write_description(partial, description, {**files, "emotion": weights})
    weights.replace(folder / WEIGHTS_FILE)
    partial.replace(folder / DESCRIPTION_FILE)


def compare(folder: Path, data: Path, wanted: bool) -> int:
    """Print size, right answers and time of a model in float and in 8 bits.

    Args:
        folder: model directory.
        data: FER2013 and FER+; see ``training/fer2013.py``.
        wanted: put the 8-bit version in the place of the other, if it pays.

    Returns:
        The exit code: 1 if it was wanted and does not pay.
    """
    model = EmotionModel(folder)
    public, train = fer2013.load(data, "public"), fer2013.load(data, "train")
    chosen = np.random.default_rng(0).permutation(len(train.images))[:CALIBRATION_FACES]
    truth, valid = public.majority()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        partial = Path(temporary)
        files = {"float": partial / "float.onnx", "8-bit": partial / WEIGHTS_FILE}
        crops = crops_for(model, public.images[valid], partial)
        export_onnx(
            load_network(folder), files["float"], torch.from_numpy(crops[:CHECKED_FACES, None])
        )
        quantise(files["float"], crops_for(model, train.images[chosen], partial), files["8-bit"])
        sessions = {name: open_session(file) for name, file in files.items()}
        times = milliseconds(sessions, model.size, model.mirror)
        right = {
            name: accuracy(each, crops, truth[valid], model.mirror)
            for name, each in sessions.items()
        }
        for name, file in files.items():
            print(
                f"{name:6} {file.stat().st_size / 1e6:5.1f} MB   public FER+ "
                f"{right[name]:.2%}   {times[name]:.2f} ms"
            )
        if not wanted:
            return 0
        if times["8-bit"] >= times["float"] or right["float"] - right["8-bit"] >= MOST_LOST:
            print("error: 8 bits do not pay here; nothing was written.", file=sys.stderr)
            return 1
        difference = largest_difference(sessions["float"], sessions["8-bit"], crops[:CHECKED_FACES])
        notes = {"bits": 8, "largest_difference_in_8_bits": round(difference, 4)}
        write(folder, files["8-bit"], notes)
        print(f"8-bit weights are in {folder}.")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Print size, accuracy and time of both versions; write the 8-bit one if asked to."""
    does = "Compare a model with its 8-bit version."
    parser = Command("quantise", does, "--fer2013 data/fer2013 --model runs/a/model")
    parser.path("--fer2013", "DIR", "folder of FER2013 and FER+", required=True)
    parser.path("--model", "DIR", "default: the bundled model")
    parser.flag(
        "--write",
        "replace the model's ONNX weights by 8-bit ones, if these are faster and cost less than "
        f"{100 * MOST_LOST:g} % of right answers",
    )
    arguments = parser.parse_args(argv)
    folder: Path = arguments.model or bundled_model(DEFAULT_MODEL)
    return exit_code(lambda: compare(folder, arguments.fer2013, arguments.write))


if __name__ == "__main__":
    raise SystemExit(main())

"""Write a trained network as a model directory: ONNX weights and a JSON description."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import ArrayLike
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save
from torch import nn

from shelly_local.errors import ModelError, ShellyError
from shelly_local.files import write_whole
from shelly_local.results import CLASSES
from shelly_local.vision.model import DEFAULT_MODEL, DESCRIPTION_FILE, FORMAT
from shelly_local.vision.onnx import bundled_model, load_weights, read_description

from . import networks
from .metrics import Scores
from .precision import round_weights, store_half

WEIGHTS_FILE = "model.onnx"
#: The same weights for PyTorch, to train on from: ONNX holds them in another form.
TORCH_WEIGHTS_FILE = "model.safetensors"
#: Largest difference of probabilities between torch and ONNX Runtime.
TOLERANCE = 1e-4
#: Real faces on which the two are compared; a second or two.
CHECKED_FACES = 256
PRETRAINING_DATA = (
    "FER2013 (Goodfellow et al. 2013; no licence of the pictures is known), training part, "
    "with the FER+ votes (Barsoum et al. 2016, MIT) as soft targets"
)


class ExportError(ShellyError):
    """The exported network does not answer as the trained one; nothing was written."""

    error_id = "export_error"


def write_description(path: Path, description: dict[str, Any], weights: dict[str, Path]) -> None:
    """Write the JSON description with size and SHA-256 of each weights file."""
    description["weights"] = {
        name: {"file": file.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, file, data in ((n, file, file.read_bytes()) for n, file in weights.items())
    }
    path.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export_onnx(network: nn.Module, file: Path, faces: torch.Tensor) -> float:
    """Export with a free batch size, weights in 16 bits, and check it against torch.

    Args:
        network: its weights went through ``round_weights``.
        file: to be written.
        faces: uint8 (N, 1, side, side), real faces, on which both must agree.

    Returns:
        The largest difference of a probability.

    Raises:
        ExportError: probabilities differ by more than ``TOLERANCE``.
    """
    network = network.eval().to(memory_format=torch.contiguous_format)
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(8, *faces.shape[1:], generator=generator) * 255
    torch.onnx.export(
        network,
        (example,),
        str(file),
        input_names=["faces"],
        output_names=["logits", "embedding"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65536)},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    store_half(file, network)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (example[:1], example, *torch.split(faces.float(), 64)):
        with torch.no_grad():
            wanted = network(batch)[0].softmax(1).numpy()
        logits = session.run(["logits"], {"faces": batch.numpy()})[0]
        got = torch.from_numpy(logits).softmax(1).numpy()
        worst = max(worst, float(np.abs(wanted - got).max()))
    if worst > TOLERANCE:
        raise ExportError(f"ONNX and torch differ by {worst:.2g}, more than {TOLERANCE}")
    return worst


def load_network(folder: Path | None = None, name: str | None = None) -> nn.Module:
    """The network of a model directory with its weights, to train on from.

    Args:
        folder: model directory; the bundled model by default.
        name: of the network it must be; any by default.

    Raises:
        ModelError: missing, damaged, another network, or without PyTorch weights.
    """
    folder = folder or bundled_model(DEFAULT_MODEL)
    description = read_description(folder / DESCRIPTION_FILE)
    try:
        found = description["training"]["settings"]["network"]
        if name not in (None, found):
            raise ModelError(f"{folder} is a {found!r} network, not {name!r}.")
        network = networks.build(found)
        network.load_state_dict(load(load_weights(folder, description, "torch")))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be trained on from: {error}") from error
    return network.eval()


def summary(scores: Scores) -> dict[str, Any]:
    """What the description of a model holds of its scores on the public part."""
    return {
        "n": scores.n,
        "accuracy": scores.accuracy,
        "macro_recall": scores.macro_recall,
        "recall": scores.recall,
        "ece": scores.ece,
    }


def _packed(
    network: nn.Module, metadata: dict[str, str] | None = None, half: bool = False
) -> bytes:
    """The weights as a safetensors file; written by us, so that it has ordinary permissions.

    With convolutions in 16 bits if ``half``, which loses nothing after ``round_weights``.
    """
    tensors = {
        name: (tensor.half() if half and tensor.ndim == 4 else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    return save(tensors, metadata)


def save_network(file: Path, network: nn.Module, *key: object) -> None:
    """Keep the weights of a finished step, with what they were made by; whole or not at all."""
    write_whole(file, _packed(network, {"key": repr(key)}))


def read_network(file: Path, network: nn.Module, *key: object) -> nn.Module | None:
    """A copy of ``network`` with weights from ``save_network``; None if made by other settings."""
    with safe_open(file, framework="pt") as stored:
        if (stored.metadata() or {}).get("key") != repr(key):
            return None
    copied = copy.deepcopy(network)
    copied.load_state_dict(load_file(file))
    return copied.eval()


def write_model(
    network: nn.Module,
    folder: Path,
    *,
    faces: torch.Tensor,
    template: ArrayLike,
    temperature: float,
    command: str,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    data: str = PRETRAINING_DATA,
    name: str = "shelly-emotion",
) -> None:
    """Write a complete model directory, or nothing at all.

    Files are made in a temporary folder beside ``folder`` and moved in one by one, the
    description last: its SHA-256 decides whether the weights are the right ones.

    Args:
        network: on the CPU.
        folder: model directory, made if missing.
        faces: uint8 (N, 1, side, side), real faces; the first ``CHECKED_FACES`` check the export.
        template: (5, 2), where faces have their landmarks, in units of the side.
        temperature: divides the logits.
        command: how to train it again.
        settings: of the training.
        metrics: figures known by now.
        data: what it was trained on.
        name: of the model.

    Raises:
        ExportError: ONNX Runtime answers otherwise than torch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = copy.deepcopy(network)
    round_weights(network)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        partial = Path(temporary)
        weights = partial / WEIGHTS_FILE
        checked = faces[:CHECKED_FACES]
        difference = export_onnx(network, weights, checked)
        description = {
            "format": FORMAT,
            "name": name,
            "classes": list(CLASSES),
            "input": {
                "name": "faces",
                "width": faces.shape[-1],
                "height": faces.shape[-2],
                "colour": "grey",
                "dtype": "float32",
                "range": [0, 255],
            },
            "outputs": {"logits": "logits", "embedding": "embedding"},
            "normalisation": "inside the network: zero mean and unit variance per picture",
            "mirror": networks.MIRROR,
            "template": [[round(x, 4), round(y, 4)] for x, y in np.asarray(template)],
            "temperature": round(temperature, 4),
            "training": {
                "data": data,
                "command": command,
                "settings": settings,
                "date": date.today().isoformat(),
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
                "machine": f"{platform.machine()}, {os.cpu_count()} cores"
                + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
            },
            "export": {"faces": len(checked), "largest_difference": difference},
            "metrics": metrics,
        }
        torch_weights = partial / TORCH_WEIGHTS_FILE
        torch_weights.write_bytes(_packed(network, half=True))
        files = {"emotion": weights, "torch": torch_weights}
        write_description(partial / DESCRIPTION_FILE, description, files)
        for file in files.values():
            shutil.move(str(file), folder / file.name)
        shutil.move(str(partial / DESCRIPTION_FILE), folder / DESCRIPTION_FILE)

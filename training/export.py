"""Write a trained network as a model directory: ONNX weights and a JSON description."""

from __future__ import annotations

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
from torch import nn

from shelly_local.alignment import FER2013_TEMPLATE
from shelly_local.model import DESCRIPTION_FILE, FORMAT
from shelly_local.results import CLASSES

WEIGHTS_FILE = "model.onnx"
#: Largest difference of probabilities between torch and ONNX Runtime.
TOLERANCE = 1e-4
SIDE = 48
PRETRAINING_DATA = (
    "FER2013 (Goodfellow et al. 2013; no licence of the pictures is known), training part, "
    "with the FER+ votes (Barsoum et al. 2016, MIT) as soft targets"
)


class ExportError(Exception):
    """The exported network does not answer as the trained one; nothing was written."""


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_description(path: Path, description: dict[str, Any], weights: dict[str, Path]) -> None:
    """Write the JSON description with size and SHA-256 of each weights file."""
    description["weights"] = {
        name: {"file": file.name, "bytes": file.stat().st_size, "sha256": sha256(file)}
        for name, file in weights.items()
    }
    path.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export_onnx(network: nn.Module, file: Path) -> None:
    """Export with a free batch size and check it against torch.

    Raises:
        ExportError: probabilities differ by more than ``TOLERANCE``.
    """
    network = network.eval().to(memory_format=torch.contiguous_format)
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(8, 1, SIDE, SIDE, generator=generator) * 255
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
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for count in (1, 8):
        with torch.no_grad():
            wanted = network(example[:count])[0].softmax(1).numpy()
        logits = session.run(["logits"], {"faces": example[:count].numpy()})[0]
        got = torch.from_numpy(logits).softmax(1).numpy()
        worst = float(np.abs(wanted - got).max())
        if worst > TOLERANCE:
            raise ExportError(f"ONNX and torch differ by {worst:.2g}, more than {TOLERANCE}")


def write_model(
    network: nn.Module,
    folder: Path,
    *,
    temperature: float,
    command: str,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    data: str = PRETRAINING_DATA,
) -> None:
    """Write a complete model directory, or nothing at all.

    Files are made in a temporary folder beside ``folder`` and moved in one by one, the
    description last: its SHA-256 decides whether the weights are the right ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        partial = Path(name)
        weights = partial / WEIGHTS_FILE
        export_onnx(network, weights)
        description = {
            "format": FORMAT,
            "name": "shelly-emotion",
            "classes": list(CLASSES),
            "input": {
                "name": "faces",
                "width": SIDE,
                "height": SIDE,
                "colour": "grey",
                "dtype": "float32",
                "range": [0, 255],
            },
            "outputs": {"logits": "logits", "embedding": "embedding"},
            "normalisation": "inside the network: zero mean and unit variance per picture",
            "mirror": True,
            "template": [[round(x, 4), round(y, 4)] for x, y in FER2013_TEMPLATE.tolist()],
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
            "metrics": metrics,
        }
        write_description(partial / DESCRIPTION_FILE, description, {"emotion": weights})
        shutil.move(str(weights), folder / WEIGHTS_FILE)
        shutil.move(str(partial / DESCRIPTION_FILE), folder / DESCRIPTION_FILE)

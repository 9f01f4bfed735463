"""Model directories for tests: networks of one matrix, sound or not, and their descriptions."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shelly_local.errors import ModelError
from shelly_local.results import CLASSES

SIDE, WIDTH = 8, 4
_WEIGHT = 1e-3
#: Seconds within which a folder is loaded or refused, in a process of its own.
PATIENCE = 20.0


def description(**changes: Any) -> dict[str, Any]:
    """A description that fits ``network()``, but for its weights; with other entries on top."""
    return {
        "format": 1,
        "classes": list(CLASSES),
        "input": {"name": "faces", "width": SIDE, "height": SIDE, "colour": "grey"},
        "outputs": {"logits": "logits", "embedding": "embedding"},
        "mirror": True,
        "template": [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.3, 0.8], [0.7, 0.8]],
        "temperature": 1.0,
    } | changes


def tensor(name: str, *shape: int, value: float = _WEIGHT) -> onnx.TensorProto:
    return numpy_helper.from_array(np.full(shape, value, np.float32), name)


def network(
    *,
    classes: int = len(CLASSES),
    value: float = _WEIGHT,
    kind: int = TensorProto.FLOAT,
    more_nodes: Sequence[onnx.NodeProto] = (),
    more_tensors: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """Flattened pixels times one matrix are the embedding, that times another the logits."""
    nodes = [
        helper.make_node("Flatten", ["faces"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "first"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "second"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["logits"], to=kind),
        *more_nodes,
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("logits", kind, ["batch", classes]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH]),
        ],
        [
            tensor("first", SIDE * SIDE, WIDTH),
            tensor("second", WIDTH, classes, value=value),
            *more_tensors,
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(
    folder: Path, network_file: bytes | onnx.ModelProto | None = None, **changes: Any
) -> Path:
    """A model directory whose SHA-256 is right, as whoever wrote the weights makes it."""
    file = network_file or network()
    content = file if isinstance(file, bytes) else file.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    entry = {"file": "model.onnx", "bytes": len(content), "sha256": digest}
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    described = {"weights": {"emotion": entry}} | description(**changes)
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(ModelError, match=message) as caught:
        yield
    assert len(str(caught.value)) < 1000


def models_command(folder: Path) -> subprocess.CompletedProcess[str]:
    """``shelly models`` in a process of its own, which is ended if it hangs."""
    return subprocess.run(
        [sys.executable, "-m", "shelly_local", "models", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=Path(__file__).parents[1],
    )

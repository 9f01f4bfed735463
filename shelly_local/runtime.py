"""ONNX Runtime sessions and the model files they are made of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelly_local.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

#: Models lie beside the package in a checkout and inside it in an installed wheel.
_MODEL_ROOTS = (Path(__file__).parent / "models", Path(__file__).parent.parent / "models")


def bundled_model(name: str) -> Path:
    """Folder of a model that comes with Shelly.

    Raises:
        ModelError: the installation lacks it.
    """
    for root in _MODEL_ROOTS:
        if (root / name).is_dir():
            return root / name
    raise ModelError(f"The model {name!r} is missing from this installation; install it again.")


def read_description(path: Path) -> dict[str, Any]:
    """The JSON description of a model directory.

    Raises:
        ModelError: missing, unreadable or not a JSON object.
    """
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is not a model directory: no {path.name} in it.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(description, dict):
        raise ModelError(f"{path} must hold a JSON object, not a {type(description).__name__}.")
    return description


def load_weights(folder: Path, description: dict[str, Any], name: str) -> bytes:
    """Read a weights file and check it against the SHA-256 in the description.

    Returns:
        The bytes that were checked, so that what runs is what was checked.

    Raises:
        ModelError: missing, damaged, or not described.
    """
    try:
        entry = description["weights"][name]
        file, wanted = folder / str(entry["file"]), str(entry["sha256"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"The description in {folder} names no weights {name!r}.") from error
    if file.parent != folder:
        raise ModelError(f"The weights file {entry['file']!r} must lie in {folder} itself.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"The weights {file} cannot be read: {error.strerror}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise ModelError(
            f"{file} is damaged: its SHA-256 is {found[:12]}…, the description says "
            f"{wanted[:12]}…. Install the model again."
        )
    return content


def start_session(content: bytes, *, threads: int | None, fixed_shape: bool) -> Any:
    """An ONNX Runtime session on the CPU; ``run`` may be called from many threads.

    Args:
        content: the ONNX file.
        threads: threads for one call; None for one per physical core.
        fixed_shape: inputs are alike from call to call. Otherwise memory is given back
            after each call: ONNX Runtime's arena keeps a buffer for every shape it has
            seen, and photos come in every shape.

    Raises:
        ModelError: not an ONNX model that this ONNX Runtime can run.
    """
    import onnxruntime

    options: onnxruntime.SessionOptions = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: its warnings speak of graph details
    options.intra_op_num_threads = threads or 0
    # Idle threads that spin would take the core from the next stage, and from the user.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not fixed_shape:
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise ModelError(f"ONNX Runtime cannot load the model: {error}") from error

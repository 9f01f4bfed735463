"""ONNX Runtime sessions and the model files they are made of.

A model directory may come from a stranger: a file is read only if it is a regular one of bounded
size, and a network runs only if it is one (see ``onnx_file``).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelly_local.errors import ModelError
from shelly_local.vision import onnx_file

if TYPE_CHECKING:
    import onnxruntime

#: Models lie beside the package in a checkout and inside it in an installed wheel.
_PACKAGE = Path(__file__).resolve().parents[1]
_MODEL_ROOTS = (_PACKAGE / "models", _PACKAGE.parent / "models")
#: Bytes of a description; that of the bundled model has 8 kB.
MAX_DESCRIPTION_BYTES = 2**20
#: Objects and lists within each other in a description; that of the bundled model has 8.
MAX_DEPTH = 32
#: Bytes of a weights file: training takes any network of torchvision, and 130 million weights, in
#: 16 bits, are more than a face has need of. Loading takes three times as much memory.
MAX_WEIGHTS_BYTES = 256 * 2**20
#: Characters of ONNX Runtime's own words in an error.
LONGEST_REASON = 300
#: Threads of one run; ONNX Runtime starts them all at once.
MAX_THREADS = 1024
#: Where opening waits for a writer (a pipe), it does not with this; Windows has no such files.
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)


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
        ModelError: missing, unreadable, no regular file, larger than ``MAX_DESCRIPTION_BYTES``,
            nested more deeply than ``MAX_DEPTH`` or not a JSON object.
    """
    try:
        content = _read_regular(path, MAX_DESCRIPTION_BYTES)
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is not a model directory: no {path.name} in it.") from None
    except NotADirectoryError:
        raise ModelError(
            f"{path.parent} is not a model directory but a file; give the folder that holds "
            f"{path.name}."
        ) from None
    try:
        description = json.loads(content.decode("utf-8"))
        _check_depth(description)
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply; {MAX_DEPTH} levels are allowed.") from None
    except ValueError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(description, dict):
        raise ModelError(f"{path} must hold a JSON object, not a {type(description).__name__}.")
    return description


def _check_depth(value: Any) -> None:
    """Raise a ``RecursionError`` where one level lies too deep: what shows values would, later."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise RecursionError


def load_weights(folder: Path, description: dict[str, Any], name: str) -> bytes:
    """Read a weights file and check it against the SHA-256 in the description.

    Returns:
        The bytes that were checked, so that what runs is what was checked.

    Raises:
        ModelError: missing, damaged, not described, no regular file of ``folder`` itself, or
            larger than ``MAX_WEIGHTS_BYTES``.
    """
    try:
        entry = description["weights"][name]
        file_name, wanted = entry["file"], entry["sha256"]
    except (KeyError, TypeError) as error:
        raise ModelError(f"The description in {folder} names no weights {name!r}.") from error
    if not isinstance(file_name, str) or not isinstance(wanted, str):
        raise ModelError(
            f"The description in {folder} must name file and sha256 of the weights {name!r} as "
            "texts."
        )
    if Path(file_name).name != file_name:
        raise ModelError(f"The weights file {file_name!r} must lie in {folder} itself.")
    file = folder / file_name
    try:
        content = _read_regular(file, MAX_WEIGHTS_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(f"The weights {file} cannot be read: {error.strerror}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise ModelError(
            f"{file} is damaged: its SHA-256 is {found[:12]}…, the description says "
            f"{wanted[:12]}…. Install the model again."
        )
    return content


def _read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file, or of what a link to one leads to.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        ModelError: it is anything else, has more than ``most`` bytes or cannot be read.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | _NO_WAITING)

    try:
        if stat.S_ISREG(path.stat().st_mode):  # opening some devices already does something
            with open(path, "rb", opener=opener) as file:
                status = os.fstat(file.fileno())
                content = (file.read(most + 1) if status.st_size <= most else None) or b""
            if status.st_size > most or len(content) > most:
                raise ModelError(
                    f"{path} has {max(status.st_size, len(content)):,} bytes; at most {most:,} "
                    "are allowed."
                )
            if stat.S_ISREG(status.st_mode):
                return content
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:  # a name with NUL or what no file name can hold
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{str(path)!r} cannot be read: {reason}.") from error
    raise ModelError(f"{path} is no regular file; a device, a pipe or a folder is not read.")


#: Where networks run, by the names that users give, as ONNX Runtime calls it. What is not in the
#: installed ONNX Runtime takes another one, such as the package ``onnxruntime-gpu``.
DEVICES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


def start_session(
    content: bytes,
    *,
    threads: int | None,
    fixed_shape: bool,
    device: str = "cpu",
    unpacked: bool = False,
) -> Any:
    """An ONNX Runtime session; ``run`` may be called from many threads.

    Args:
        content: the ONNX file.
        threads: threads for one call, 1 to ``MAX_THREADS``; None for one per physical core.
        fixed_shape: inputs are alike from call to call. Otherwise memory is given back
            after each call: ONNX Runtime's arena keeps a buffer for every shape it has
            seen, and photos come in every shape.
        device: one of ``DEVICES``; what it cannot compute is computed on the CPU.
        unpacked: 8-bit weights become floats when they are loaded, and are computed with as such.

    Raises:
        ModelError: not an ONNX model that this ONNX Runtime can run, or more than a network, or
            this ONNX Runtime does not know the device.
        ValueError: no such device, or number of threads.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {device!r}")
    if threads is not None and (
        isinstance(threads, bool)
        or not isinstance(threads, Integral)
        or not 1 <= threads <= MAX_THREADS
    ):
        raise ValueError(
            f"threads must be a whole number from 1 to {MAX_THREADS}, or None for one per core, "
            f"got {threads!r}"
        )
    try:
        onnx_file.check(content)
    except ValueError as error:
        raise ModelError(f"The weights cannot be loaded: the ONNX file {error}.") from error

    import onnxruntime

    here = onnxruntime.get_available_providers()
    if DEVICES[device] not in here:
        known = ", ".join(name for name, provider in DEVICES.items() if provider in here)
        raise ModelError(
            f"The installed ONNX Runtime does not run on {device!r}; it has: {known}. Other "
            "devices take another package of it, such as onnxruntime-gpu."
        )
    options: onnxruntime.SessionOptions = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and its warnings speak of graph details
    options.intra_op_num_threads = int(threads or 0)
    # Else a file in ONNX Runtime's own format would be loaded, of which nothing was checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Idle threads that spin would take the core from the next stage, and from the user.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if unpacked:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if not fixed_shape:
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=list(dict.fromkeys([DEVICES[device], DEVICES["cpu"]])),
            enable_fallback=0,  # to the same provider, and told on standard output
        )
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise ModelError(f"ONNX Runtime cannot load the model: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What ONNX Runtime says is wrong, on one line and without the end of a long one."""
    return " ".join(str(error).split())[:LONGEST_REASON]

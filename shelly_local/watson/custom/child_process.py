"""A training process, seen from the program that starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import TrainingError
from shelly_local.watson.custom.heads import Heads
from shelly_local.watson.custom.ipc import from_bytes, read_frame, to_bytes, write_frame
from shelly_local.watson.custom.pictures import Pictures

#: Seconds for one picture, and for the fit: far beyond what either takes on a slow machine.
PICTURE_SECONDS, FIT_SECONDS = 120.0, 3600.0
#: Seconds to wait for a process that was told to end.
_END_SECONDS = 10.0


class WorkerProcess:
    """One training process, for one training. A context manager; used by one thread.

    A crash of it costs that training and nothing else.

    Args:
        model: folder of the model whose embeddings are learnt from.
    """

    def __init__(self, model: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shelly_local.watson.custom.child", str(model.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._process.kill()
        # On an end of its input the process ends.
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast(Any, stream).close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it at once, from any thread; a call under way raises TrainingError."""
        self._process.kill()

    def embed(self, picture: bytes, *, faces: bool = True) -> tuple[str, list[NDArray[np.float32]]]:
        """The embedding of a picture's largest face, and its features as a whole.

        Returns:
            ``"face"`` or ``"no face"``, where the embedding is zero, with both, float32 (D,) and
            (E,); ``"not looked"``, if ``faces`` is false, with an empty embedding; ``"no picture"``
            and nothing.

        Raises:
            TrainingError: the process cannot go on.
        """
        message, payload = self._ask("embed", picture, PICTURE_SECONDS, faces=faces)
        return str(message["found"]), list(from_bytes(payload, 2)) if payload else []

    def fit(self, pictures: Pictures, way: str = "auto") -> tuple[Heads, str]:
        """The heads, and what they were learnt from, see ``learning.learn``.

        Raises:
            TrainingError: the process cannot go on.
        """
        rows = (pictures.embeddings, pictures.features, pictures.shows_face, pictures.positive)
        message, payload = self._ask("fit", to_bytes(*rows), FIT_SECONDS, way=way)
        weights, biases, loss = from_bytes(payload, 3)
        return Heads(weights, biases, str(message["found"]), float(loss)), str(message["text"])

    def _ask(
        self, what: str, payload: bytes, seconds: float, **options: bool | str
    ) -> tuple[dict[str, Any], bytes]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        overdue = threading.Timer(seconds, process.kill)
        overdue.daemon = True
        overdue.start()
        try:
            write_frame(cast(Any, process.stdin), {"do": what, **options}, payload)
            answer = read_frame(cast(Any, process.stdout))
        except (OSError, ValueError):
            answer = None
        finally:
            overdue.cancel()
        if answer is None:
            process.kill()
            raise TrainingError(
                f"The training process ended unexpectedly (exit status {process.wait()})."
            )
        message, payload = answer
        if "whole" in message:
            raise TrainingError(str(message["error"]))
        if "error" in message:
            raise TrainingError(f"Training failed: {message['error']}")
        return message, payload


def _environment() -> dict[str, str]:
    """Ours, with a path on which the new process finds this package."""
    here = str(Path(__file__).resolve().parents[3])
    paths = [path for path in (os.environ.get("PYTHONPATH"), here) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

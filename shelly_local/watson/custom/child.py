"""The training process: pictures in, embeddings out; then embeddings in, heads out.

    python -m shelly_local.watson.custom.child MODEL_FOLDER

Started by ``shelly_local.watson.custom.child_process`` and spoken to in frames on standard input
and output. It touches no file but the models', and ends with its program: when that dies,
standard input ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from shelly_local.errors import ImageError, MissingExtraError, ShellyError, TrainingError
from shelly_local.watson.custom.ipc import from_bytes, read_frame, to_bytes, write_frame

if TYPE_CHECKING:
    from shelly_local.vision.classifier import EmotionClassifier
    from shelly_local.vision.encoder import PictureEncoder

#: Photos are to be classified meanwhile without waiting.
NICENESS = 10


def serve(requests: BinaryIO, answers: BinaryIO, model: Path) -> None:
    """Answer until the requests end.

    ``{"do": "embed", "faces": true}`` with a picture: ``{"found": "face"}`` or ``{"found": "no
    face"}`` with the embedding of its largest face, zero for none, and the features of the
    picture; ``{"found": "not looked"}`` with the features, if ``faces`` is false; or ``{"found":
    "no picture"}``. ``{"do": "fit", "way": way}`` with these and classes: ``{"found": kind,
    "text": explanation}`` with weights, biases and loss. What goes wrong otherwise is
    ``{"error": sentence}``.
    """
    classifier: EmotionClassifier | None = None
    encoder: PictureEncoder | None = None
    while (request := read_frame(requests)) is not None:
        message, payload = request
        try:
            if message["do"] == "embed":
                if classifier is None or encoder is None:
                    from shelly_local.vision.classifier import EmotionClassifier
                    from shelly_local.vision.encoder import PictureEncoder

                    classifier, encoder = EmotionClassifier(model), PictureEncoder()
                answer = _embed(classifier, encoder, payload, faces=bool(message["faces"]))
            else:
                answer = _fit(payload, str(message["way"]))
        except TrainingError as error:
            answer = {"error": str(error), "whole": True}, b""
        except ShellyError as error:
            answer = {"error": str(error)}, b""
        except MemoryError:
            answer = {"error": "there is not enough memory"}, b""
        write_frame(answers, *answer)


def _embed(
    classifier: EmotionClassifier, encoder: PictureEncoder, picture: bytes, *, faces: bool
) -> tuple[dict[str, Any], bytes]:
    try:
        if not faces:
            pixels = classifier.decoded(picture).pixels
            none = np.zeros(0, dtype=np.float32)
            return {"found": "not looked"}, to_bytes(none, encoder.encode(pixels).features)
        analysis = classifier.analyse(picture)
    except (ImageError, MissingExtraError):
        return {"found": "no picture"}, b""
    features, embeddings = encoder.encode(analysis.pixels).features, analysis.embeddings
    if not len(embeddings):
        return {"found": "no face"}, to_bytes(
            np.zeros_like(embeddings, shape=embeddings.shape[1]), features
        )
    return {"found": "face"}, to_bytes(embeddings[0], features)


def _fit(payload: bytes, way: str) -> tuple[dict[str, Any], bytes]:
    from shelly_local.watson.custom.learning import learn

    faces, features, shows_face, positive = from_bytes(payload, 4)
    heads, text = learn(faces, features, shows_face, positive, way)
    loss = np.array(heads.loss)
    return {"found": heads.kind, "text": text}, to_bytes(heads.weights, heads.biases, loss)


def main() -> None:
    """Serve on standard input and output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not get between the frames.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # The program may be gone before it has heard the answer, or interrupted together with us.
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, answers, Path(sys.argv[1]))


if __name__ == "__main__":
    main()

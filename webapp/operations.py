"""For whoever runs the page: is it up, can it answer, and its files at the root."""

from __future__ import annotations

import io
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, jsonify
from flask.typing import ResponseReturnValue

if TYPE_CHECKING:
    from .offered import Classifier

blueprint = Blueprint("operations", __name__)

#: Side of the blank photo that the readiness check classifies, in pixels.
_BLANK_SIDE = 64


class Readiness:
    """Whether the local model has classified one blank picture; found out once.

    Args:
        classifier: the local one.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._ready = False
        self._lock = threading.Lock()

    def check(self) -> bool:
        """Whether the model answers; a failure is tried again by the next call."""
        with self._lock:
            if not self._ready:
                try:
                    self._classify_blank()
                except Exception:
                    current_app.logger.exception("The model does not answer")
                else:
                    self._ready = True
            return self._ready

    def _classify_blank(self) -> None:
        """One run of the detector on a blank photo and of the model on a blank crop."""
        # Imported here because Pillow and numpy take time to load.
        import numpy as np
        from PIL import Image

        buffer = io.BytesIO()
        Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE), "grey").save(buffer, "PNG")
        self._classifier.classify(buffer.getvalue())
        local = getattr(self._classifier, "classifier", self._classifier)
        model = getattr(local, "model", None)
        if model is not None:
            model.predict(np.zeros((1, model.size, model.size), dtype=np.uint8))


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """Whether the server is up."""
    return jsonify(status="ok")


@blueprint.get("/ready")
def ready() -> ResponseReturnValue:
    """Whether photos can be classified: 200, else 503."""
    readiness: Readiness = current_app.extensions["readiness"]
    if readiness.check():
        return jsonify(status="ready")
    answer = jsonify(message="not-ready", description="The model does not answer yet.")
    answer.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return answer


@blueprint.get("/sw.js")
def service_worker() -> ResponseReturnValue:
    """The service worker; at the root because its address bounds what it may serve."""
    answer = _file("sw.js", "text/javascript")
    answer.headers["Service-Worker-Allowed"] = "/"
    return answer


@blueprint.get("/manifest.webmanifest")
def manifest() -> ResponseReturnValue:
    """The web application manifest (W3C)."""
    return _file("manifest.webmanifest", "application/manifest+json")


def _file(name: str, media_type: str) -> Response:
    """A file of ``static``, asked for anew each time so that updates arrive."""
    answer = current_app.send_static_file(name)
    answer.content_type = media_type
    if media_type.startswith("text/"):
        answer.content_type += "; charset=utf-8"
    answer.headers["Cache-Control"] = "no-cache"
    return answer

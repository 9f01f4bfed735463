"""The page, the advice and the health check."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, current_app, json, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from shelly_local.results import CLASSES

from .problems import Problem
from .security import LOOPBACK_HOSTS, requested_host

if TYPE_CHECKING:
    from . import Classifier
    from .advice import Adviser

blueprint = Blueprint("shelly", __name__)

STAYS_HERE = "Your photo stays on this machine."
STAYS_THERE = "Your photo goes to {host} and no further, and is not kept there."
NO_FACE = (
    "I cannot find a face in this photo. Please try one where your face looks towards the camera, "
    "is well lit, and is not too small or hidden."
)


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """The one page."""
    host = requested_host()
    privacy = STAYS_HERE if host in LOOPBACK_HOSTS else STAYS_THERE.format(host=host)
    return render_template("index.html", classes=CLASSES, privacy=privacy)


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """Whether the server is up; the model is loaded before it starts."""
    return jsonify(status="ok")


@blueprint.post("/advice")
def advice() -> ResponseReturnValue:
    """Recognise the mood of the largest face and give advice.

    The body is JSON, ``{"image": "data:image/...;base64,..."}`` (RFC 2397).

    Returns:
        JSON: ``emotion``, the most probable class; ``score``, its probability; ``advice``;
        ``scores``, the probability of each class; ``face`` with ``box`` (x0, y0, x1, y1) and
        ``landmarks`` in pixels of the upright photo and the detector's ``confidence``;
        ``faces``, how many were found; ``width`` and ``height`` of the photo in pixels.
    """
    classifier: Classifier = current_app.extensions["classifier"]
    adviser: Adviser = current_app.extensions["adviser"]

    photo = classifier.classify(_picture(_image_field()))
    largest = photo.largest
    if largest is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "no-face", NO_FACE)

    face = largest.as_dict()
    emotion, scores = face.pop("emotion"), face.pop("scores")
    return jsonify(
        emotion=emotion,
        advice=adviser.choose(largest.emotion),
        score=round(largest.scores[largest.emotion], 4),
        scores=scores,
        face=face,
        faces=len(photo.faces),
        width=photo.width,
        height=photo.height,
    )


def _image_field() -> str:
    """The text under ``image`` in the JSON body, whatever its Content-Type says."""
    try:
        body = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        body = None
    image = body.get("image") if isinstance(body, dict) else None
    if not isinstance(image, str):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "missing-image",
            'I got no photo. Send JSON such as {"image": "data:image/jpeg;base64,..."}.',
        )
    return image


def _picture(data_url: str) -> bytes:
    """The bytes of the picture inside a data URL."""
    header, comma, data = data_url.partition(",")
    header = header.lower()
    if "image" not in header:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-type",
            f"That file is not a picture: its data URL begins with {header[:40]!r} "
            "and should begin with 'data:image/'.",
        )
    try:
        if not (comma and header.endswith(";base64")):
            raise binascii.Error("the data URL does not announce base64")
        return base64.b64decode("".join(data.split()), validate=True)
    except ValueError as error:  # binascii.Error is one; other alphabets are another
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-encoding",
            "That photo arrived garbled: I expected 'data:image/...;base64,' followed by base64.",
        ) from error

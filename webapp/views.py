"""The page, the advice and the backends."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from shelly_local.http.gate import Gate
from shelly_local.http.hosts import LOOPBACK_HOSTS
from shelly_local.results import CLASSES, PhotoEmotions

from .people import add_advice, crops, describe
from .problems import Problem
from .question import read_after, read_language, read_question
from .security import requested_host

if TYPE_CHECKING:
    from .advice import Adviser
    from .offered import Offers

blueprint = Blueprint("shelly", __name__)

STAYS_HERE = "Your photo stays on this machine."
STAYS_THERE = "Your photo goes to {host} and no further, and is not kept there."
GOES_TO_CLOUD = "Your photo goes to {title}, unless you choose another backend."
NO_FACE = (
    "I cannot find a face in this photo. Please try one where your face looks towards the camera, "
    "is well lit, and is not too small or hidden."
)
#: What a face has in ``people``; the first version of the page has it under ``face``.
_FACE_FIELDS = ("box", "landmarks", "confidence")


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """The one page."""
    offers: Offers = current_app.extensions["offers"]
    host = requested_host()
    privacy = STAYS_HERE if host in LOOPBACK_HOSTS else STAYS_THERE.format(host=host)
    default = offers.choose(None)
    if not default.is_local:
        privacy = GOES_TO_CLOUD.format(title=default.title)
    return render_template("index.html", classes=CLASSES, privacy=privacy)


@blueprint.get("/backends")
def backends() -> ResponseReturnValue:
    """``{"default": name, "backends": [{"name", "title", "local"}]}``, the local one first."""
    offers: Offers = current_app.extensions["offers"]
    return jsonify(offers.as_dict())


@blueprint.get("/advice")
def another_advice() -> ResponseReturnValue:
    """Another line for a mood: ``?emotion=&language=&after=``, never the line ``after``.

    Returns:
        JSON: ``advice``, and ``advice_id`` to give as ``after`` next time.
    """
    adviser: Adviser = current_app.extensions["adviser"]
    emotion = request.args.get("emotion", "")
    if emotion not in CLASSES:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "unknown-emotion",
            f"emotion must be one of {', '.join(CLASSES)}; got {emotion[:40]!a}.",
        )
    after = read_after(request.args.get("after"))
    choice = adviser.choose(
        emotion,
        read_language(request.args.get("language") or None),
        avoid=() if after is None else {after},
    )
    return jsonify(advice=choice.text, advice_id=choice.id)


@blueprint.post("/advice")
def advice() -> ResponseReturnValue:
    """Recognise the mood of every face and give advice.

    The body is JSON: ``image``, a data URL (RFC 2397) in base64; and optionally ``backend``,
    a name of ``GET /backends``; ``language``, ``"en"`` or ``"de"``; ``after``, the id of a line
    not to repeat; ``crops``, whether to send what the model saw; ``live``, for frames of a
    camera, which get no advice and stay on this machine.

    Returns:
        JSON: ``backend``, which answered; ``milliseconds`` it took; ``people``, largest face
        first, each with ``box`` (x0, y0, x1, y1) and ``landmarks`` in pixels of the upright
        photo, ``confidence``, ``emotion``, ``score``, ``sure``, ``nearest``, ``scores``,
        ``advice``, ``advice_id`` and, where asked for, ``crop``; ``width`` and ``height`` of
        the photo in pixels; and the first person's fields once more at the top, with
        ``face`` and the number of ``faces``, as the first version of the page had them.
    """
    offers: Offers = current_app.extensions["offers"]
    adviser: Adviser = current_app.extensions["adviser"]
    gate: Gate = current_app.extensions["gate"]

    question = read_question(request.get_data(cache=False))
    offer = offers.choose(question.backend, live=question.live)

    def look() -> tuple[PhotoEmotions, float, list[str]]:
        start = time.perf_counter()
        photo = offer.classifier.classify(question.picture)
        milliseconds = 1000 * (time.perf_counter() - start)
        wanted = question.crops and offer.is_local
        seen = crops(offer.classifier, question.picture, photo) if wanted else []
        return photo, milliseconds, seen

    photo, milliseconds, seen = gate.run(look)
    if not photo.faces:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "no-face", NO_FACE)

    people = [describe(face) for face in photo.faces]
    if not question.live:
        add_advice(people, adviser, question.language, question.after)
    for person, crop in zip(people, seen, strict=False):  # no crops, or one for each
        person["crop"] = crop
    first = {name: value for name, value in people[0].items() if name != "crop"}
    face = {name: first.pop(name) for name in _FACE_FIELDS}
    return jsonify(
        **first,
        backend=offer.name,
        milliseconds=round(milliseconds, 1),
        face=face,
        faces=len(people),
        people=people,
        width=photo.width,
        height=photo.height,
    )

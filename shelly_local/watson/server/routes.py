"""What each path of IBM Watson Visual Recognition v3 answers, and who may ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, current_app, request

from shelly_local import __version__
from shelly_local.http.gate import Gate
from shelly_local.http.hosts import host_name, is_another_site
from shelly_local.watson.client import VisualRecognition
from shelly_local.watson.contract.failures import no_images_error, request_error
from shelly_local.watson.contract.options import parse_list, parse_version
from shelly_local.watson.custom.names import LEARNING_ERROR
from shelly_local.watson.responses import ApiException
from shelly_local.watson.server import replies
from shelly_local.watson.server.access import GRANT_TYPE, REFRESH_GRANT_TYPE, Access, Guesses
from shelly_local.watson.server.forms import Form, Part, old_parameters, read_form
from shelly_local.watson.server.paths import body_limit

blueprint = Blueprint("watson", __name__)

POSITIVE = "_positive_examples"


@blueprint.before_app_request
def check() -> None:
    """Host, key, origin and version, in this order."""
    hosts: tuple[str, ...] | None = current_app.config["ALLOWED_HOSTS"]
    host = host_name(request.host)
    if hosts is not None and host not in hosts:
        # A foreign name that leads here is DNS rebinding.
        raise replies.flat_error(403, f"Forbidden: the host {host[:80]!r} is not this server.")
    if request.method == "OPTIONS" or not request.path.startswith(("/v3/", "/identity/")):
        return
    if request.path.startswith("/v3/"):
        _check_key()
    if request.routing_exception is not None:
        return  # there is no such path or method, which the answer says
    if request.path != "/v3/classify" and _foreign_page():
        raise _forbidden()
    if request.path.startswith("/v3/"):
        parse_version(request.args.get("version", ""))


def _check_key() -> None:
    access: Access = current_app.extensions["access"]
    guesses: Guesses = current_app.extensions["guesses"]
    guess = access.shows_key(request.headers.get, request.args)
    if guess:
        guesses.check(request.remote_addr)
    if not access.allows(request.headers.get, request.args):
        if guess:
            guesses.count(request.remote_addr)
        raise replies.flat_error(401, "Unauthorized")


@blueprint.get("/")
def index() -> Response:
    """What this is, for people who open the address."""
    return replies.answer({"name": "Shelly", "api": "/v3", "documentation": "/openapi.json"})


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """This interface in OpenAPI's words (OpenAPI 3.0.3, which every generator of clients reads)."""
    return replies.answer(document())


@blueprint.get("/health")
def health() -> Response:
    """Whether the server is up."""
    return replies.answer({"status": "ok"})


@blueprint.get("/ready")
def ready() -> Response:
    """Whether photos can be classified: the model is loaded, or loads now."""
    _recognition().load()
    return replies.answer({"status": "ready"})


@blueprint.post("/identity/token")
def token() -> Response:
    """A token for a key or for a refresh token, as IBM's identity service gives it."""
    access: Access = current_app.extensions["access"]
    guesses: Guesses = current_app.extensions["guesses"]
    form = _form()
    grant = form.value("grant_type") or GRANT_TYPE
    if grant == GRANT_TYPE:
        guesses.check(request.remote_addr)
        known = access.is_key(form.value("apikey") or "")
        if not known:
            guesses.count(request.remote_addr)
    elif grant == REFRESH_GRANT_TYPE:
        known = access.renews(form.value("refresh_token") or "")
    else:
        raise replies.flat_error(
            400, f"grant_type must be {GRANT_TYPE} or {REFRESH_GRANT_TYPE}, got {grant[:80]!r}."
        )
    if not known:
        raise replies.flat_error(401, "Unauthorized")
    return replies.answer(access.token())


@blueprint.route("/v3/classify", methods=["GET", "POST"])
def classify() -> Response:
    """Classify one picture, a zip of pictures, or the picture at an address."""
    form = _form()
    old = old_parameters(form)
    file, url = _picture(form, old)
    owners = _first(form.values("owners"), old.get("owners"))
    # One empty text stands for a list without ids, which is an error here.
    ids = _first(form.values("classifier_ids"), old.get("classifier_ids"))
    if _foreign_page():
        custom = set(parse_list(ids, "classifier_ids") or ()) - set(_recognition().built_in_ids)
        everyones = {owner.lower() for owner in parse_list(owners, "owners") or ()} <= {"ibm"}
        if url or custom or not everyones:
            raise _forbidden()
    gate: Gate = current_app.extensions["gate"]
    work = partial(
        _recognition().classify,
        **_given(file, url),
        threshold=_first(form.value("threshold"), old.get("threshold")),
        owners=owners,
        classifier_ids=ids,
    )
    result = gate.run(work)
    return replies.answer(result.get_result())


@blueprint.route("/v3/detect_faces", methods=["GET", "POST"])
def detect_faces() -> Response:
    """Where the faces are in a picture, a zip of pictures, or the picture at an address."""
    form = _form()
    gate: Gate = current_app.extensions["gate"]
    work = partial(_recognition().detect_faces, **_given(*_picture(form, old_parameters(form))))
    return replies.answer(gate.run(work).get_result())


@blueprint.get("/v3/classifiers")
def list_classifiers() -> Response:
    """The custom classifiers."""
    verbose = request.args.get("verbose", "").lower() in ("true", "1")
    return replies.answer(_recognition().list_classifiers(verbose=verbose).get_result())


@blueprint.post("/v3/classifiers")
def create_classifier() -> Response:
    """Create a custom classifier and begin its training."""
    form = _form()
    name = form.value("name")
    if not name:
        raise request_error(f"{LEARNING_ERROR}A classifier needs a name.")
    positives, negatives = _examples(form)
    if not positives:
        raise request_error(
            f"{LEARNING_ERROR}A classifier needs a zip file in a field <class>{POSITIVE}."
        )
    gate: Gate = current_app.extensions["gate"]
    recognition, headers = _recognition(), dict(request.headers)
    result = gate.run(
        lambda: recognition.create_classifier(name, positives, negatives, headers=headers)
    )
    return replies.answer(result.get_result())


# IBM's clients percent-encode ids; a decoded slash must not make another path of them.
@blueprint.get("/v3/classifiers/<path:classifier_id>")
def get_classifier(classifier_id: str) -> Response:
    """One custom classifier."""
    return replies.answer(_recognition().get_classifier(classifier_id).get_result())


@blueprint.get("/v3/classifiers/<path:classifier_id>/core_ml_model")
def get_core_ml_model(classifier_id: str) -> Response:
    """The Core ML file, which no classifier here has."""
    data = _recognition().get_core_ml_model(classifier_id).get_result()
    return Response(data, content_type="application/octet-stream")


@blueprint.post("/v3/classifiers/<path:classifier_id>")
def update_classifier(classifier_id: str) -> Response:
    """Add pictures or classes to a custom classifier and train it again."""
    positives, negatives = _examples(_form())
    recognition, headers = _recognition(), dict(request.headers)
    gate: Gate = current_app.extensions["gate"]
    result = gate.run(
        lambda: recognition.update_classifier(classifier_id, positives, negatives, headers=headers)
    )
    return replies.answer(result.get_result())


@blueprint.delete("/v3/classifiers/<path:classifier_id>")
def delete_classifier(classifier_id: str) -> Response:
    """Delete a custom classifier and all that is kept of its pictures."""
    return replies.answer(_recognition().delete_classifier(classifier_id).get_result())


@blueprint.delete("/v3/user_data")
def delete_user_data() -> Response:
    """Delete every custom classifier with pictures of a customer."""
    customer = request.args.get("customer_id")
    if not customer:
        raise request_error("customer_id must be given in the query.")
    return replies.answer(_recognition().delete_user_data(customer).get_result())


def _form() -> Form:
    return read_form(request, body_limit(request.method, request.path))


def _picture(form: Form, old: Mapping[str, Any]) -> tuple[Part | None, str | None]:
    """The file and the address of a call that looks at pictures, at least one of them."""
    files = form.files("images_file")
    if len(files) > 1:
        raise request_error(
            f"Only one images_file is allowed, got {len(files)}. Several pictures go into a zip."
        )
    url = form.value("url") or old.get("url") or None
    if not files and not url:
        raise no_images_error()
    return (files[0] if files else None), _text(url, "url")


def _given(file: Part | None, address: str | None) -> dict[str, Any]:
    """The pictures of a call, as ``VisualRecognition`` takes them."""
    fetched = None
    if address:
        # Before the turn: an address that is slow to answer must not hold one.
        with current_app.extensions["fetches"].admit():
            fetched = _recognition().fetch(address)
    return {
        "images_file": file.data if file else None,
        "images_filename": file.filename if file else None,
        "url": address,
        "fetched": fetched,
    }


def document() -> dict[str, Any]:
    """The document of ``GET /openapi.json``; JSON values only."""
    text = files(__package__).joinpath("openapi.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    content["info"]["version"] = __version__
    return content


def _recognition() -> VisualRecognition:
    recognition: VisualRecognition = current_app.extensions["recognition"]
    return recognition


def _first(*values: Any) -> Any:
    """The first value that is given at all."""
    return next((value for value in values if value is not None), None)


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise request_error(f"{name} must be text, got {value!r}.")
    return value


def _examples(form: Form) -> tuple[dict[str, bytes], bytes | None]:
    """The zip files of a call that trains: by class, and the negative one."""
    positives: dict[str, bytes] = {}
    negatives: bytes | None = None
    for part in form.parts:
        if part.name == "negative_examples":
            if negatives is not None:
                raise request_error(f"{LEARNING_ERROR}negative_examples was sent twice.")
            negatives = part.data
        elif part.name.endswith(POSITIVE):
            name = part.name.removesuffix(POSITIVE)
            if name in positives:
                raise request_error(f"{LEARNING_ERROR}The class {name!r} was sent twice.")
            positives[name] = part.data
    return positives, negatives


def _foreign_page() -> bool:
    """Whether a page of another web site sends the request, without a key that it shows itself."""
    access: Access = current_app.extensions["access"]
    if not access.open and not _key_may_be_the_browsers():
        return False
    return is_another_site(request.headers, request.host, current_app.config["ALLOWED_ORIGINS"])


def _key_may_be_the_browsers() -> bool:
    """Whether the key may be one that a browser remembers, and the request does something.

    Browsers add a password that was typed once to requests of any page (RFC 7617, section 2.2);
    what they are answered, the page cannot read.
    """
    scheme = request.headers.get("Authorization", "").partition(" ")[0]
    reads = request.method in ("GET", "HEAD") and request.path != "/v3/classify"
    return scheme.lower() == "basic" and not reads


def _forbidden() -> ApiException:
    return replies.flat_error(
        403,
        "Forbidden: pages of other web sites may classify a picture with the built-in classifier "
        "and nothing else, unless --allowed-origin names them or they show a token.",
    )

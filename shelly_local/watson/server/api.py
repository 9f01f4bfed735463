"""The paths of IBM Watson Visual Recognition v3, as a Flask application of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from shelly_local.http import request_log as requestlog
from shelly_local.http.gate import Gate
from shelly_local.http.hosts import LOOPBACK_HOSTS, host_name, is_another_site
from shelly_local.settings.table import DEFAULT_THREADS
from shelly_local.watson.client import VisualRecognition
from shelly_local.watson.contract.answer import (
    no_images_error,
    parse_list,
    parse_version,
    request_error,
)
from shelly_local.watson.custom.names import LEARNING_ERROR
from shelly_local.watson.responses import ApiException
from shelly_local.watson.server import replies as answers
from shelly_local.watson.server.access import GRANT_TYPE, REFRESH_GRANT_TYPE, Access, Guesses
from shelly_local.watson.server.forms import (
    MAX_CLASSIFY_BYTES,
    MAX_SMALL_BYTES,
    MAX_TRAINING_BYTES,
    Form,
    old_parameters,
    read_form,
)
from shelly_local.watson.server.openapi import document

blueprint = Blueprint("watson", __name__)

#: Where IBM's service had its paths, too: behind the gateway's name, and behind an instance's.
PREFIX = re.compile(
    r"(?P<prefix>(/visual-recognition/api)?(/instances/[^/]+)?)"
    r"(?P<path>/(v3|v4|identity)(/.*)?|/openapi\.json)"
)
POSITIVE = "_positive_examples"
#: Requests that may wait, for each classification under way.
QUEUE_FACTOR = 8
#: Seconds that a request may wait: IBM's SDKs wait for a minute.
MAX_WAIT = 50.0

#: Fetches of pictures at once; each takes a thread, none a turn to classify.
MAX_FETCHES = 8

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def create_api(
    recognition: VisualRecognition,
    config: Mapping[str, Any] | None = None,
    gate: Gate | None = None,
) -> Flask:
    """Build the application.

    Args:
        recognition: answers every call; shared by all requests.
        config: ``API_KEY``, the key to ask for, None for none; ``ALLOWED_HOSTS``, the host
            names (without port) that a request may ask for, None for any; ``ALLOWED_ORIGINS``,
            web sites whose pages may see and change custom classifiers although no key is
            asked for; ``THREADS``, how many requests are classified at once; ``REQUEST_LOG``,
            ``"text"`` or ``"json"`` for one line per request on standard error, None for none.
        gate: bounds classifications, to share with others; None makes one from ``THREADS``.

    Returns:
        The WSGI application. It answers at the root, below ``/visual-recognition/api`` and below
        ``/instances/<any>``.
    """
    app = Flask(__name__, static_folder=None)
    # An id may hold any sign, so no path is another one written badly.
    app.url_map.merge_slashes = False
    app.config.from_mapping(
        API_KEY=None,
        ALLOWED_HOSTS=LOOPBACK_HOSTS,
        ALLOWED_ORIGINS=(),
        THREADS=DEFAULT_THREADS,
        REQUEST_LOG=None,
    )
    app.config.from_mapping(config or {})
    threads = app.config["THREADS"]
    app.extensions["recognition"] = recognition
    app.extensions["access"] = Access(app.config["API_KEY"])
    app.extensions["guesses"] = Guesses()
    app.extensions["fetches"] = Gate(MAX_FETCHES, 0)
    app.extensions["gate"] = gate or Gate(threads, QUEUE_FACTOR * threads, MAX_WAIT)
    requestlog.register(app, app.config["REQUEST_LOG"])
    answers.register(app)
    app.register_blueprint(blueprint)
    app.wsgi_app = _without_prefix(app.wsgi_app)  # type: ignore[assignment,method-assign]
    return app


def is_api_path(path: str) -> bool:
    """Whether a request for a path is the API's."""
    return PREFIX.fullmatch(path) is not None


def body_limit(method: str, path: str) -> int:
    """Most bytes of a request's body, as it is sent and unpacked, by method and path."""
    found = PREFIX.fullmatch(path)
    if method == "POST" and found:
        if found["path"] == "/v3/classify":
            return MAX_CLASSIFY_BYTES
        if found["path"].startswith("/v3/classifiers"):
            return MAX_TRAINING_BYTES
    return MAX_SMALL_BYTES


def mounted(page: WSGI, api: Flask) -> WSGI:
    """One application that leaves the paths of the API to ``api`` and all others to ``page``."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        ours = is_api_path(environ.get("PATH_INFO", ""))
        return api.wsgi_app(environ, start_response) if ours else page(environ, start_response)

    return application


def _without_prefix(application: WSGI) -> WSGI:
    def shortened(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if found := PREFIX.fullmatch(environ.get("PATH_INFO", "")):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + found["prefix"]
            environ["PATH_INFO"] = found["path"]
        return application(environ, start_response)

    return shortened


@blueprint.before_app_request
def check() -> None:
    """Host, key, origin and version, in this order."""
    hosts: tuple[str, ...] | None = current_app.config["ALLOWED_HOSTS"]
    host = host_name(request.host)
    if hosts is not None and host not in hosts:
        # A foreign name that leads here is DNS rebinding.
        raise answers.flat_error(403, f"Forbidden: the host {host[:80]!r} is not this server.")
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
        raise answers.flat_error(401, "Unauthorized")


@blueprint.get("/")
def index() -> Response:
    """What this is, for people who open the address."""
    return answers.answer({"name": "Shelly", "api": "/v3", "documentation": "/openapi.json"})


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """This interface in OpenAPI's words."""
    return answers.answer(document())


@blueprint.get("/health")
def health() -> Response:
    """Whether the server is up."""
    return answers.answer({"status": "ok"})


@blueprint.get("/ready")
def ready() -> Response:
    """Whether photos can be classified: the model is loaded, or loads now."""
    _recognition().load()
    return answers.answer({"status": "ready"})


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
        raise answers.flat_error(
            400, f"grant_type must be {GRANT_TYPE} or {REFRESH_GRANT_TYPE}, got {grant[:80]!r}."
        )
    if not known:
        raise answers.flat_error(401, "Unauthorized")
    return answers.answer(access.token())


@blueprint.route("/v3/classify", methods=["GET", "POST"])
def classify() -> Response:
    """Classify one picture, a zip of pictures, or the picture at an address."""
    form = _form()
    old = old_parameters(form)
    files = form.files("images_file")
    if len(files) > 1:
        raise request_error(
            f"Only one images_file is allowed, got {len(files)}. Several pictures go into a zip."
        )
    url = form.value("url") or old.get("url") or None
    if not files and not url:
        raise no_images_error()
    owners = _first(form.values("owners"), old.get("owners"))
    # One empty text stands for a list without ids, which is an error here.
    ids = _first(form.values("classifier_ids"), old.get("classifier_ids"))
    if _foreign_page():
        custom = set(parse_list(ids, "classifier_ids") or ()) - set(_recognition().built_in_ids)
        everyones = {owner.lower() for owner in parse_list(owners, "owners") or ()} <= {"ibm"}
        if url or custom or not everyones:
            raise _forbidden()
    address = _text(url, "url")
    fetched = None
    if address:
        # Before the turn: an address that is slow to answer must not hold one.
        with current_app.extensions["fetches"].admit():
            fetched = _recognition().fetch(address)
    gate: Gate = current_app.extensions["gate"]
    work = partial(
        _recognition().classify,
        images_file=files[0].data if files else None,
        images_filename=files[0].filename if files else None,
        url=address,
        fetched=fetched,
        threshold=_first(form.value("threshold"), old.get("threshold")),
        owners=owners,
        classifier_ids=ids,
    )
    result = gate.run(work)
    return answers.answer(result.get_result())


@blueprint.get("/v3/classifiers")
def list_classifiers() -> Response:
    """The custom classifiers."""
    verbose = request.args.get("verbose", "").lower() in ("true", "1")
    return answers.answer(_recognition().list_classifiers(verbose=verbose).get_result())


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
    return answers.answer(result.get_result())


# IBM's clients percent-encode ids; a decoded slash must not make another path of them.
@blueprint.get("/v3/classifiers/<path:classifier_id>")
def get_classifier(classifier_id: str) -> Response:
    """One custom classifier."""
    return answers.answer(_recognition().get_classifier(classifier_id).get_result())


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
    return answers.answer(result.get_result())


@blueprint.delete("/v3/classifiers/<path:classifier_id>")
def delete_classifier(classifier_id: str) -> Response:
    """Delete a custom classifier and all that is kept of its pictures."""
    return answers.answer(_recognition().delete_classifier(classifier_id).get_result())


@blueprint.delete("/v3/user_data")
def delete_user_data() -> Response:
    """Delete every custom classifier with pictures of a customer."""
    customer = request.args.get("customer_id")
    if not customer:
        raise request_error("customer_id must be given in the query.")
    return answers.answer(_recognition().delete_user_data(customer).get_result())


def _form() -> Form:
    return read_form(request, body_limit(request.method, request.path))


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
    return answers.flat_error(
        403,
        "Forbidden: pages of other web sites may classify a picture with the built-in classifier "
        "and nothing else, unless --allowed-origin names them or they show a token.",
    )

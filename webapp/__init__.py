"""Shelly's page: a small Flask application around a photo classifier.

The application keeps nothing: a photo lives in memory for one request, no session and no
cookie exists, and nothing about a photo is logged.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask

from shelly_local.http import request_log as requestlog
from shelly_local.http.gate import MAX_WAIT, Gate
from shelly_local.http.hosts import LOOPBACK_HOSTS
from shelly_local.settings import resolve
from shelly_local.settings.table import COMMANDS, DEFAULT_THREADS
from shelly_local.vision.images import MAX_FILE_BYTES
from shelly_local.watson.server.api import create_api, mounted
from shelly_local.watson.server.app import server_config

from . import compression, operations, problems, security, views
from .advice import Adviser
from .offered import LOCAL, Classifier, Offers
from .opened import Answerers

if TYPE_CHECKING:
    from shelly_local.watson.client import VisualRecognition

__all__ = ["DEFAULT_THREADS", "MAX_BODY_BYTES", "Classifier", "create_app"]

#: Largest request body in bytes: base64 turns 3 bytes into 4 characters (RFC 4648,
#: section 4), and 64 KiB are for the JSON around it and for line breaks inside it.
MAX_BODY_BYTES = (MAX_FILE_BYTES + 2) // 3 * 4 + 64 * 1024
#: Requests that may wait, for each classification under way.
QUEUE_FACTOR = 2


def create_app(
    classifier: Classifier | Mapping[str, Classifier] | None = None,
    config: Mapping[str, Any] | None = None,
    recognition: VisualRecognition | None = None,
) -> Flask:
    """Build the application; ``gunicorn 'webapp:create_app()'`` runs it.

    Without any argument it is that of ``shelly web``, with the settings of the environment and
    of the settings file.

    Args:
        classifier: shared by all requests, so it must be thread-safe; or backends by name,
            the default one first, to which the model that comes with Shelly is added as
            ``local`` if it is missing. None loads that model alone.
        config: overrides Flask's configuration and these keys: ``ALLOWED_HOSTS``, the host
            names (without port) a request may ask for, None for any;
            ``MAX_CONTENT_LENGTH``, the largest request body in bytes; ``DEFAULT_BACKEND``;
            ``THREADS``, how many photos are classified at once; ``QUEUE``, how many may
            wait, twice ``THREADS`` by default; ``MAX_WAIT``, for how many seconds;
            ``REQUEST_LOG``, ``"text"`` or ``"json"``
            for one line per request on standard error, None for none; ``API_KEY`` and
            ``ALLOWED_ORIGINS`` of ``shelly_local.watson.server.create_api``.
        recognition: answers IBM's calls on the same port, beside the page; None leaves
            them out.

    Returns:
        The WSGI application, ready to serve.

    Raises:
        shelly_local.errors.ModelError: the model that comes with Shelly is missing or
            damaged.
        ValueError: the lines of advice do not cover every class, or a value of ``config``
            is unusable.
    """
    if classifier is None and config is None and recognition is None:
        return _as_set()
    app = Flask(__name__)
    app.config.from_mapping(
        ALLOWED_HOSTS=LOOPBACK_HOSTS,
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        DEFAULT_BACKEND=None,
        THREADS=DEFAULT_THREADS,
        QUEUE=None,
        MAX_WAIT=MAX_WAIT,
        REQUEST_LOG=None,
        API_KEY=None,
        ALLOWED_ORIGINS=(),
    )
    app.config.from_mapping(config or {})
    if app.config["QUEUE"] is None:
        app.config["QUEUE"] = QUEUE_FACTOR * app.config["THREADS"]

    offers = Offers(_backends(classifier), app.config["DEFAULT_BACKEND"])
    app.extensions["offers"] = offers
    app.extensions["adviser"] = Adviser.load()
    app.extensions["gate"] = Gate(
        app.config["THREADS"], app.config["QUEUE"], app.config["MAX_WAIT"]
    )
    app.extensions["readiness"] = operations.Readiness(offers.local)

    requestlog.register(app, app.config["REQUEST_LOG"])
    compression.register(app)
    security.register(app)
    problems.register(app)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(operations.blueprint)
    if recognition is not None:
        api = create_api(recognition, _api_config(app), app.extensions["gate"])
        app.extensions["api"] = api
        # Beside the page, not behind it: the API has checks and error shapes of its own.
        app.wsgi_app = mounted(app.wsgi_app, api)  # type: ignore[assignment,method-assign]
    return app


def _as_set() -> Flask:
    """The application of ``shelly web``, which ends with this process."""
    settings = resolve(COMMANDS, {}, table="web")
    answerers = Answerers(settings)
    atexit.register(answerers.close)
    config = {"THREADS": settings["threads"], **server_config(settings)}
    return create_app(answerers.backends, config, answerers.recognition)


def _api_config(app: Flask) -> dict[str, Any]:
    names = ("API_KEY", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "REQUEST_LOG")
    return {name: app.config[name] for name in names}


def _backends(
    classifier: Classifier | Mapping[str, Classifier] | None,
) -> Mapping[str, Classifier]:
    """Backends by name, ``local`` among them."""
    if classifier is None:
        backends: dict[str, Classifier] = {}
    elif isinstance(classifier, Mapping):
        backends = dict(classifier)
    else:
        backends = {LOCAL: classifier}
    if LOCAL not in backends:
        # Imported here because it loads the inference engine, which an application with
        # its own classifier can do without.
        from shelly_local.vision.classifier import EmotionClassifier

        backends[LOCAL] = EmotionClassifier()
    return backends

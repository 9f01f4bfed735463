"""The paths of IBM Watson Visual Recognition v3, as a Flask application of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask

from shelly_local.http import request_log
from shelly_local.http.gate import Gate
from shelly_local.http.hosts import LOOPBACK_HOSTS
from shelly_local.settings.table import DEFAULT_THREADS
from shelly_local.watson.client import VisualRecognition
from shelly_local.watson.server import replies
from shelly_local.watson.server.access import Access, Guesses
from shelly_local.watson.server.paths import PREFIX, is_api_path
from shelly_local.watson.server.routes import blueprint

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
    request_log.register(app, app.config["REQUEST_LOG"])
    replies.register(app)
    app.register_blueprint(blueprint)
    app.wsgi_app = _without_prefix(app.wsgi_app)  # type: ignore[assignment,method-assign]
    return app


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

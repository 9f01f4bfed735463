"""The API as its settings have it: for ``shelly serve``, and for WSGI servers such as gunicorn."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from shelly_local.http.hosts import allowed_hosts
from shelly_local.settings import resolve
from shelly_local.settings.table import COMMANDS
from shelly_local.watson.client import VisualRecognition
from shelly_local.watson.server.api import create_api

if TYPE_CHECKING:
    from flask import Flask

_ALLOW_URL: dict[str, bool | Literal["loopback"]] = {
    "no": False,
    "public": True,
    "loopback": "loopback",
}


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """The WSGI application of IBM's API; ``gunicorn 'shelly_local.watson.server:create_app()'``.

    Args:
        settings: of ``shelly serve``, see ``settings_of``; None for those of the environment and
            the settings file, and for an end with this process.

    Returns:
        The application; ``extensions["recognition"]`` is what answers.

    Raises:
        ShellyError: a setting is unusable, or the model or the data folder cannot be used.
    """
    given = settings or resolve(COMMANDS, {}, table="serve")
    recognition = open_recognition(
        given,
        model=given["model"],
        detection=given["detection"],
        device=given["device"],
        backend=given["backend"][0],
        # Several requests at once keep the cores busy: threads within one would only compete.
        threads=1,
    )
    try:
        recognition.load()
        app = create_api(recognition, {"THREADS": given["threads"], **server_config(given)})
    except BaseException:
        recognition.close(wait=False)
        raise
    if settings is None:
        atexit.register(recognition.close, wait=True)
    return app


def server_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the page and the API are configured with alike; see ``create_api``."""
    log_format = settings["log_format"]
    return {
        "API_KEY": settings["apikey"],
        "ALLOWED_HOSTS": allowed_hosts(settings["host"], settings["allowed_host"]),
        "ALLOWED_ORIGINS": settings["allowed_origin"],
        "REQUEST_LOG": None if log_format == "none" else log_format,
    }


def open_recognition(settings: Mapping[str, Any], **who: Any) -> VisualRecognition:
    """What answers the API's calls.

    Custom classifiers are opened now, so that trainings that a killed process left
    unfinished are taken up.

    Args:
        settings: see ``settings_of``.
        **who: ``model``, ``detection``, ``device``, ``classifier``, ``backend`` and ``threads`` of
            ``VisualRecognition``.

    Raises:
        ShellyError: the model or the data folder cannot be used.
    """
    recognition = VisualRecognition(
        allow_url=_ALLOW_URL[settings["allow_url"]],
        classifier_aliases=settings["classifier_alias"],
        data_dir=settings["data_dir"],
        default=settings["default"],
        **who,
    )
    _ = recognition.custom_classifiers
    return recognition


def finish(recognition: VisualRecognition) -> None:
    """End trainings: at once if the user presses Ctrl-C meanwhile."""
    try:
        recognition.close(wait=True)
    except KeyboardInterrupt:
        recognition.close(wait=False)

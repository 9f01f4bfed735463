"""The page as its settings have it: for ``shelly web``, and for WSGI servers such as gunicorn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shelly_local.errors import ShellyError
from shelly_local.http.hosts import is_loopback
from shelly_local.settings.table import LOCAL
from shelly_local.watson.client import VisualRecognition
from shelly_local.watson.server.app import finish, open_recognition

#: Somebody waits for the answer: fewer tries than for a batch, and seconds that fit a page.
CLOUD_OPTIONS = {"attempts": 2, "read_timeout": 15.0}


class Answerers:
    """Who answers on the page, and for programs beside it.

    Args:
        settings: of ``shelly web``, see ``settings_of``.

    Attributes:
        backends: by name, the default one first, the local one among them.
        recognition: answers IBM's calls; None where others reach the page and no key is set.

    Raises:
        ShellyError: a backend, the model or the data folder cannot be used.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.backends: dict[str, Any] = {}
        self.recognition: VisualRecognition | None = None
        try:
            self._open(settings)
        except ShellyError:
            self.close()
            raise

    def _open(self, settings: Mapping[str, Any]) -> None:
        from shelly_local.backends import NAMES, open_backend

        here = {name: settings[name] for name in ("model", "detection", "device")}
        for name in dict.fromkeys([*settings["backend"], LOCAL]):
            options: dict[str, Any] = CLOUD_OPTIONS if name in NAMES else {}
            self.backends[name] = open_backend(name, **(here if name == LOCAL else options))
        if is_loopback(settings["host"]) or settings["apikey"]:
            classifier = self.backends[LOCAL].classifier
            self.recognition = open_recognition(settings, classifier=classifier)

    def close(self) -> None:
        """End trainings, and let go of the backends."""
        if self.recognition is not None:
            finish(self.recognition)
        for backend in self.backends.values():
            backend.close()

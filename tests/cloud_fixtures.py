"""Clouds for tests: the three services' answers and failures, and how to open their backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shelly_local.backends import Backend, open_backend
from tests.fake_clouds import (
    google_answer,
    google_error,
    google_face,
    rekognition_error,
    rekognition_face,
    watson_answer,
)

CLOUDS = ("ibm", "rekognition", "google")
#: Each service's way to say the same, for each kind of failure.
FAILURES: dict[str, dict[str, Any]] = {
    "throttled": {
        "ibm": (429, {"code": 429, "error": "Too Many Requests"}),
        "rekognition": rekognition_error("ThrottlingException", 400),
        "google": google_error(429, "RESOURCE_EXHAUSTED"),
    },
    "broken": {
        "ibm": (500, {"code": 500, "error": "Internal"}),
        "rekognition": rekognition_error("InternalServerError", 500),
        "google": google_error(500, "INTERNAL"),
    },
    "key": {
        "ibm": (401, {"code": 401, "error": "Unauthorized"}),
        "rekognition": rekognition_error("UnrecognizedClientException", 400),
        "google": google_error(403, "PERMISSION_DENIED"),
    },
    "picture": {
        "ibm": (400, {"error": {"code": 400, "description": "bad picture"}}),
        "rekognition": rekognition_error("InvalidImageFormatException", 400),
        "google": google_error(400, "INVALID_ARGUMENT"),
    },
}
HAPPY: dict[str, Any] = {
    "ibm": watson_answer(happiness=0.8, neutral=0.1),
    "rekognition": (200, {"FaceDetails": [rekognition_face(0.2, 0.4, HAPPY=80.0, CALM=20.0)]}),
    "google": google_answer(google_face(40, 80, joy="VERY_LIKELY")),
}
NO_FACE: dict[str, Any] = {
    "ibm": watson_answer(),
    "rekognition": (200, {"FaceDetails": []}),
    "google": (200, {"responses": [{}]}),
}

Opener = Callable[..., Backend]


@pytest.fixture
def open_at(monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Open a cloud's backend at an address, with keys where its SDK looks for them."""
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("VISUAL_RECOGNITION_AUTH_TYPE", "noauth")

    def opener(name: str, url: str, **options: Any) -> Backend:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("VISUAL_RECOGNITION_URL", url)
        monkeypatch.setenv("SHELLY_GOOGLE_ENDPOINT", url)
        return open_backend(name, **({"attempts": 1, "read_timeout": 2.0} | options))

    return opener

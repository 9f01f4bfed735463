"""The paths of IBM's API: which are ours, and how large a body each takes."""

from __future__ import annotations

import re

from shelly_local.watson.server.forms import (
    MAX_CLASSIFY_BYTES,
    MAX_SMALL_BYTES,
    MAX_TRAINING_BYTES,
)

#: Where IBM's service had its paths, too: behind the gateway's name, and behind an instance's.
PREFIX = re.compile(
    r"(?P<prefix>(/visual-recognition/api)?(/instances/[^/]+)?)"
    r"/*(?P<path>/v3/(classify|classifiers|detect_faces|user_data)(?=/*\Z)|"
    r"/(v3|v4|identity)(/.*)?|/openapi\.json)/*"
)
#: What takes a picture, or a zip of pictures.
_PICTURES = ("/v3/classify", "/v3/detect_faces")


def is_api_path(path: str) -> bool:
    """Whether a request for a path is the API's."""
    return PREFIX.fullmatch(path) is not None


def body_limit(method: str, path: str) -> int:
    """Most bytes of a request's body, as it is sent and unpacked, by method and path."""
    found = PREFIX.fullmatch(path)
    if method == "POST" and found:
        if found["path"] in _PICTURES:
            return MAX_CLASSIFY_BYTES
        if found["path"].startswith("/v3/classifiers"):
            return MAX_TRAINING_BYTES
    return MAX_SMALL_BYTES

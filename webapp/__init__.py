"""Shelly's page: a small Flask application around a photo classifier.

The application keeps nothing: a photo lives in memory for one request, no session and no
cookie exists, and nothing about a photo is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flask import Flask

from shelly_local.images import MAX_FILE_BYTES
from shelly_local.results import PhotoEmotions

from . import problems, security, views
from .advice import Adviser

#: Largest request body in bytes: base64 turns 3 bytes into 4 characters (RFC 4648,
#: section 4), and 64 KiB are for the JSON around it and for line breaks inside it.
MAX_BODY_BYTES = (MAX_FILE_BYTES + 2) // 3 * 4 + 64 * 1024


class Classifier(Protocol):
    """What the application needs of a classifier."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """Find every face of an encoded picture and recognise its expression.

        Raises:
            shelly_local.errors.ImageError: the picture cannot be used.
        """
        ...


def create_app(
    classifier: Classifier | None = None, config: Mapping[str, Any] | None = None
) -> Flask:
    """Build the application.

    Args:
        classifier: shared by all requests, so it must be thread-safe. None loads the model
            that comes with Shelly.
        config: overrides Flask's configuration and these keys: ``ALLOWED_HOSTS``, the host
            names (without port) a request may ask for, None for any; and
            ``MAX_CONTENT_LENGTH``, the largest request body in bytes.

    Returns:
        The WSGI application, ready to serve.

    Raises:
        shelly_local.errors.ModelError: the model that comes with Shelly is missing or
            damaged.
        ValueError: the lines of advice do not cover every class.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        ALLOWED_HOSTS=security.LOOPBACK_HOSTS,
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
    )
    app.config.from_mapping(config or {})

    if classifier is None:
        # Imported here because it loads the inference engine, which an application with
        # its own classifier can do without.
        from shelly_local.classifier import EmotionClassifier

        classifier = EmotionClassifier()
    app.extensions["classifier"] = classifier
    app.extensions["adviser"] = Adviser.load()

    security.register(app)
    problems.register(app)
    app.register_blueprint(views.blueprint)
    return app

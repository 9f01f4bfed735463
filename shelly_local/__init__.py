"""Shelly, the Supporting Shellfish: facial expressions, read on your own machine.

The public surface::

    from shelly_local import EmotionClassifier, VisualRecognition

Every failure that is expected is a ``ShellyError``; a picture that cannot be used is an
``ImageError``, which is one of them. Names are loaded on first use, so that
``import shelly_local`` is immediate and needs neither torch nor Flask.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shelly_local.errors import ImageError, ShellyError
    from shelly_local.results import CLASSES, Face, FaceEmotion, PhotoEmotions
    from shelly_local.vision.classifier import EmotionClassifier
    from shelly_local.watson.client import VisualRecognition

# ONNX Runtime (1.32 on Linux) reports its use to its maker unless told otherwise before it starts,
# and keeps an id of the machine for that. Nothing here calls anybody unless its user chose to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "CLASSES",
    "EmotionClassifier",
    "Face",
    "FaceEmotion",
    "ImageError",
    "PhotoEmotions",
    "ShellyError",
    "VisualRecognition",
    "__version__",
]

_HOMES = {
    "CLASSES": "shelly_local.results",
    "EmotionClassifier": "shelly_local.vision.classifier",
    "Face": "shelly_local.results",
    "FaceEmotion": "shelly_local.results",
    "ImageError": "shelly_local.errors",
    "PhotoEmotions": "shelly_local.results",
    "ShellyError": "shelly_local.errors",
    "VisualRecognition": "shelly_local.watson.client",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("shelly-local")
        except PackageNotFoundError:  # run from a checkout without an installation
            return "0+unknown"
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

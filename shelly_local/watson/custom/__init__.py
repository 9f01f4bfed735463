"""Custom classifiers: learnt on this machine from zip files of pictures per class.

The public surface::

    from shelly_local.watson.custom import CustomClassifiers
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shelly_local.watson.custom.classifiers import CustomClassifiers

__all__ = ["CustomClassifiers"]


def __getattr__(name: str) -> Any:
    """Load the class when it is first asked for (PEP 562)."""
    if name == "CustomClassifiers":
        from shelly_local.watson.custom.classifiers import CustomClassifiers

        return CustomClassifiers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

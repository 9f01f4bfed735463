"""IBM Watson Visual Recognition v3 over HTTP, answered on this machine.

The public surface::

    from shelly_local.watson.server import create_api, create_app
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shelly_local.watson.server.api import create_api
    from shelly_local.watson.server.app import create_app

__all__ = ["create_api", "create_app"]

_HOMES = {"create_api": "api", "create_app": "app"}


def __getattr__(name: str) -> Any:
    """Load Flask when the server is first asked for (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""IBM Watson Visual Recognition v3 over HTTP, answered on this machine.

The public surface::

    from shelly_local.watson.server import create_api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shelly_local.watson.server.api import create_api

__all__ = ["create_api"]


def __getattr__(name: str) -> Any:
    """Load Flask when the server is first asked for (PEP 562)."""
    if name == "create_api":
        from shelly_local.watson.server.api import create_api

        return create_api
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

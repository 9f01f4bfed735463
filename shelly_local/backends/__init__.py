"""Backends: the model here, or a vendor's cloud, behind one call.

    backend = open_backend("rekognition")
    photo = backend.classify(data)

Each answers with the types of ``shelly_local.results``. SDKs are imported only when a backend
is opened. Further backends register with ``register``, or as an entry point of the group
``shelly_local.backends`` whose name is the backend's and whose value is its class.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from shelly_local.backends.base import Backend, BackendError
from shelly_local.errors import MissingExtraError, ShellyError

__all__ = [
    "ENTRY_POINTS",
    "NAMES",
    "Backend",
    "BackendError",
    "UnknownBackendError",
    "configured",
    "known",
    "open_backend",
    "register",
]

ENTRY_POINTS = "shelly_local.backends"
_BUILT_IN = {
    name: EntryPoint(name, f"shelly_local.backends.{value}", ENTRY_POINTS)
    for name, value in {
        "local": "local:LocalBackend",
        "ibm": "ibm:IbmBackend",
        "rekognition": "rekognition:RekognitionBackend",
        "google": "google:GoogleBackend",
    }.items()
}
#: The backends that come along; ``known()`` has those of others, too.
NAMES = tuple(_BUILT_IN)
_registered: dict[str, Callable[..., Backend]] = {}


class UnknownBackendError(ShellyError):
    """No backend has this name; the message lists those there are."""

    code = 400
    error_id = "unknown_backend"


def register(name: str, factory: Callable[..., Backend]) -> None:
    """Add a backend in this process.

    Args:
        name: what ``open_backend`` calls it.
        factory: called with the options of ``open_backend``.

    Raises:
        ValueError: the name belongs to a backend that comes along.
    """
    if name in NAMES:
        raise ValueError(f"{name!r} is a backend that comes along; choose another name")
    _registered[name] = factory


def known() -> list[str]:
    """Every name that ``open_backend`` takes."""
    others = {point.name for point in entry_points(group=ENTRY_POINTS)} | set(_registered)
    return [*NAMES, *sorted(others - set(NAMES))]


def open_backend(name: str, **options: Any) -> Backend:
    """Make a backend ready.

    Args:
        name: one of ``known()``.
        options: of that backend; see its class.

    Raises:
        UnknownBackendError: no backend has this name.
        MissingExtraError: its SDK is not installed; the message holds the line that does it.
        BackendError: it lacks a key, an address or a region.
    """
    if name in _BUILT_IN:
        return cast(Backend, _BUILT_IN[name].load()(**options))
    if name in _registered:
        return _registered[name](**options)
    for point in entry_points(group=ENTRY_POINTS, name=name):
        return cast(Backend, point.load()(**options))
    raise UnknownBackendError(f"unknown backend {name!r}; choose from {', '.join(known())}")


def configured() -> list[str]:
    """The backends that could answer now, ``local`` first: SDK installed, key and address set.

    No call is made, so a wrong key is found out only by use.
    """
    names = ["local"]
    for name in NAMES[1:]:
        with suppress(MissingExtraError):
            if _BUILT_IN[name].load().is_configured():
                names.append(name)
    return names + [name for name in known() if name not in NAMES]

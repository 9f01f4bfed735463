"""Packages that lie beside the library in a checkout and inside it in a wheel."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def beside(name: str) -> Any:
    """A module of ``benchmarks``, ``training`` or ``webapp``, such as ``training.metrics``.

    Raises:
        ModuleNotFoundError: no such module, or one that it needs is not installed.
    """
    inside = f"shelly_local.{name}"
    try:
        return import_module(inside)
    except ModuleNotFoundError as error:
        if not f"{inside}.".startswith(f"{error.name}."):
            raise
        return import_module(name)

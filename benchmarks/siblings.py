"""The package ``training`` beside this one: in a checkout on top, in a wheel inside the library."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

#: What a child process needs on its path to import this package as it is imported here.
SEARCH_PATH = Path(__file__).resolve().parents[__name__.count(".")]


def training(name: str) -> Any:
    """A module of the package ``training``; those asked for here do without PyTorch.

    Raises:
        ModuleNotFoundError: no such module.
    """
    prefix = __name__.split(".")[:-2]
    return import_module(".".join([*prefix, "training", name]))

"""Imports run one way: from the bytes of a photo up to the commands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

LIBRARY = ROOT / "shelly_local"
#: What each part may know of the others. All may know the values and errors at the top.
KNOWS: dict[str, set[str]] = {
    "errors": set(),
    "results": set(),
    "files": set(),
    "settings": set(),
    "vision": set(),
    "http": set(),
    "backends": {"vision"},
    "batch": {"vision", "backends"},
    "watson": {"vision", "backends", "http", "settings"},
    "commands": {"vision", "backends", "batch", "watson", "http", "settings"},
}
VALUES = {"errors", "results", "files"}


def part_of(module: str) -> str:
    """The part of the library that a module belongs to; empty for the library itself."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[0] == "shelly_local" else ""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("part", sorted(KNOWS))
def test_imports_run_one_way(part: str) -> None:
    folder = LIBRARY / part
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [LIBRARY / f"{part}.py"]
    assert files
    known = {part_of(module) for path in files for module in imported(path)} & set(KNOWS)
    assert known - VALUES - {part} <= KNOWS[part]


def test_only_the_surface_lies_flat() -> None:
    flat = {path.stem for path in LIBRARY.glob("*.py")}
    assert flat == {"__init__", "__main__", *VALUES}


def test_no_two_modules_of_one_name() -> None:
    """Packages' own ``__init__`` aside."""
    stems = [path.stem for path in LIBRARY.rglob("*.py") if not path.stem.startswith("__")]
    assert sorted({stem for stem in stems if stems.count(stem) > 1}) == []

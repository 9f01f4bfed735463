"""The made-up MUG tree is what the other tests take it for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shelly_local.results import CLASSES
from tests.made_up_faces import PEOPLE
from tests.made_up_mug import Contents, build

SIZE = 160
Tree = tuple[Path, Contents]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Eight people, so that two are derived ones, with quirks."""
    root = tmp_path_factory.mktemp("mug")
    return root, build(root, subjects=8, takes=2, frames=7, size=SIZE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Two people without quirks."""
    root = tmp_path_factory.mktemp("plain")
    return root, build(root, subjects=2, takes=2, frames=7, size=96, quirks=False)


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_plain_tree_has_the_published_layout(plain: Tree) -> None:
    root, contents = plain
    expected = {
        f"subjects3/{subject}/{emotion}/take{take:03d}/img_{frame:04d}.jpg"
        for subject in ("001", "002")
        for emotion in CLASSES
        for take in range(2)
        for frame in range(7)
    }
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.*")} == expected
    assert contents["subjects"] == ["001", "002"]
    assert contents["quirks"] == {}
    assert contents["per_emotion"] == {
        emotion: {"subjects": 2, "takes": 4, "frames": 28} for emotion in CLASSES
    }


def test_contents_are_what_lies_on_disk(tree: Tree) -> None:
    root, contents = tree
    quirks = contents["quirks"]
    strays = {
        path
        for name in ("dot files", "video", "Thumbs.db", "truncated frame", "mixed")
        for path in quirks[name]
    }
    frames = {
        f"{contents['folders'][key]}/{name}"
        for key, names in contents["frames"].items()
        for name in names
    }
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert files == frames | strays
    assert not frames & strays
    assert all(picture(root / path).shape == (SIZE, SIZE, 3) for path in frames)
    assert sum(counts["frames"] for counts in contents["per_emotion"].values()) == len(frames)


def test_same_seed_gives_the_same_files(plain: Tree, tmp_path: Path) -> None:
    root, contents = plain
    again = build(tmp_path / "0", subjects=2, takes=2, frames=7, size=96, quirks=False)
    other = build(tmp_path / "1", subjects=2, takes=2, frames=7, size=96, seed=1, quirks=False)
    assert again == contents
    paths = [path.relative_to(root) for path in sorted(root.rglob("*.jpg"))]
    assert all((root / path).read_bytes() == (tmp_path / "0" / path).read_bytes() for path in paths)
    assert not any(
        (root / path).read_bytes() == (tmp_path / "1" / path).read_bytes() for path in paths
    )
    assert other["frames"] == contents["frames"]


def test_portraits_are_small_and_credited() -> None:
    portraits = list(PEOPLE.glob("*.jpg"))
    credit = (PEOPLE / "CREDITS.md").read_text(encoding="utf-8")
    assert len(portraits) == 12
    assert sum(path.stat().st_size for path in portraits) < 350_000
    assert all(f"`{path.name.split('-')[0]}-*.jpg`" in credit for path in portraits)

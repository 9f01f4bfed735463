"""Fixtures: the real classifier and real photos (credits in tests/pictures/CREDITS.md)."""

from __future__ import annotations

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many test processes as cores: threads of PyTorch and OpenBLAS would only compete.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from PIL import Image

from shelly_local.vision.classifier import EmotionClassifier
from tests.browser_fixtures import browser, open_page, page, serve, server_url
from tests.cloud_fixtures import open_at

#: Fixtures of the tests of the browser and of clouds, here for all of these to find.
__all__ = ["browser", "open_at", "open_page", "page", "serve", "server_url"]

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "tests" / "pictures"
PORTRAITS = ("smiling.jpg", "neutral.jpg", "astronaut.jpg", "hopper.jpg")


@pytest.fixture(scope="session")
def classifier() -> EmotionClassifier:
    """The bundled detector and model, as users get them."""
    return EmotionClassifier()


@pytest.fixture(scope="session")
def smiling_photo() -> Path:
    return PICTURES / "smiling.jpg"


@pytest.fixture(scope="session")
def neutral_photo() -> Path:
    """The person of ``smiling_photo``, with a neutral face."""
    return PICTURES / "neutral.jpg"


@pytest.fixture(scope="session")
def portrait_photos() -> list[Path]:
    """Four photos with one face each."""
    return [PICTURES / name for name in PORTRAITS]


@pytest.fixture(scope="session")
def no_face_photo() -> Path:
    return PICTURES / "cat.jpg"


def crowd(columns: int, rows: int, side: int) -> Image.Image:
    """Portraits side by side: a photo with ``columns * rows`` faces."""
    photo = Image.new("RGB", (columns * side, rows * side), "grey")
    for index in range(columns * rows):
        name = PORTRAITS[index % len(PORTRAITS)]
        with Image.open(PICTURES / name) as portrait:
            width, height = portrait.size
            edge = min(width, height)
            square = portrait.convert("RGB").crop((0, 0, edge, edge)).resize((side, side))
        photo.paste(square, (index % columns * side, index // columns * side))
    return photo


@pytest.fixture(scope="session")
def group_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people in one photo."""
    path = tmp_path_factory.mktemp("group") / "group.jpg"
    crowd(2, 2, 400).save(path, quality=92)
    return path


@pytest.fixture(scope="session")
def crowd_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty people in one photo."""
    path = tmp_path_factory.mktemp("crowd") / "crowd.jpg"
    crowd(6, 5, 256).save(path, quality=92)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test has the name of its folder as a marker: ``pytest -m http``."""
    for item in items:
        item.add_marker(item.path.parent.name)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where everything is installed, a check that did not run is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\n{len(skipped)} skipped, which CI does not allow")

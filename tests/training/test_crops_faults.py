"""Crops through interrupts, kills and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelly_local.errors import DataError
from shelly_local.vision.classifier import find_faces
from tests.conftest import ROOT
from tests.training.test_crops import FRAMING, CropFraming, assert_equal, many, own, shards, whole
from training import crops
from training.crop_cache import CropCache
from training.crops import Crops, extract
from training.dataset import Frame

__all__ = ["many", "own", "whole"]  # fixtures, for pytest to find

#: Seconds after which a test process that should have ended long ago has failed.
PATIENCE = 120.0


def test_an_interrupt_keeps_what_is_done(
    many: list[Frame], whole: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(20))

    def interrupted(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return find_faces(*arguments)

    monkeypatch.setattr(crops, "find_faces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(many, tmp_path, model=FRAMING, workers=1)
    monkeypatch.undo()
    assert len(CropCache(tmp_path, FRAMING).crops) == 16
    assert_equal(extract(many, tmp_path, model=FRAMING, workers=1), whole)


SCRIPT = """
import sys
from pathlib import Path
from training import crop_cache
from tests.training.test_crops import CropFraming
from training.crops import extract
from training.dataset import Frame

crop_cache.SHARD = 8
if __name__ == "__main__":
    frames = [Frame(path) for path in sorted(Path(sys.argv[1]).glob("*.jpg"))]
    extract(frames, Path(sys.argv[2]), model=CropFraming(48), workers=2)
"""


def started(many: list[Frame], cache: Path, script: Path) -> subprocess.Popen[bytes]:
    """Extraction in processes of its own, with small shards, once the first is written."""
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(many[0].path.parent), str(cache)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + PATIENCE
    while not shards(cache):
        assert process.poll() is None, "the run ended before it was stopped"
        assert time.monotonic() < end
        time.sleep(0.005)
    return process


def assert_all_end(group: int) -> None:
    """No process of the group is left after a while."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("processes are left behind")


def test_a_killed_run_goes_on(many: list[Frame], whole: Crops, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    process = started(many, cache, tmp_path / "script.py")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert_all_end(process.pid)
    kept = CropCache(cache, FRAMING)
    assert 8 <= len(kept.crops) < len(many)
    resumed = extract(many, cache, model=FRAMING, workers=1)
    assert_equal(resumed, whole)
    # Nothing was made twice: each picture is in one shard only.
    assert sum(len(np.load(shard)["images"]) for shard in shards(cache)) == len(many)


def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(
    many: list[Frame], whole: Crops, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    process = started(many, cache, tmp_path / "script.py")
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in told
    assert_all_end(process.pid)
    assert 8 <= len(CropCache(cache, FRAMING).crops) < len(many)
    assert not list(cache.glob("**/*.partial"))
    assert_equal(extract(many, cache, model=FRAMING, workers=1), whole)


def test_half_written_shards_of_killed_runs_go(own: list[Frame], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    extract(own[:1], cache, model=FRAMING, workers=1)
    old, new = (shards(cache)[0].with_name(name) for name in ("old.part", "new.part"))
    old.write_bytes(b"PK")
    new.write_bytes(b"PK")
    os.utime(old, (0, 0))
    extract(own[1:], cache, model=FRAMING, workers=1)
    assert not old.exists()
    assert new.exists()


def test_a_cache_that_cannot_be(own: list[Frame], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(DataError, match=r"file cannot be written: (Not a directory|File exists)"):
        extract(own, file, model=FRAMING, workers=1)


def test_a_disk_that_is_too_small(own: list[Frame], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs 500,000,\d+ MB for 5 crops; its disk has"):
        extract(own, tmp_path / "cache", model=CropFraming(10_000_000), workers=1)


def test_a_disk_that_fills_up(own: list[Frame], tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails half-way."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.training.test_crops import CropFraming\n"
        "from training.crops import extract; from training.dataset import Frame\n"
        "from training.fer2013 import DataError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "frames = [Frame(Path(name)) for name in sys.argv[2:]]\n"
        "try:\n"
        "    extract(frames, Path(sys.argv[1]), model=CropFraming(48), workers=1)\n"
        "except DataError as error:\n"
        "    sys.exit(str(error))\n"
    )
    cache = tmp_path / "cache"
    process = subprocess.run(
        [sys.executable, "-c", script, str(cache), *(str(frame.path) for frame in own)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.startswith(f"The cache folder {cache} cannot be written: File too large")
    assert not shards(cache)
    assert not list(cache.glob("**/*.partial"))

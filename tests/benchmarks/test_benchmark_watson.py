"""``python -m benchmarks.speed.watson``, on little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.custom_pictures import OTHERS
from tests.watson_server import ROOT


def test_figures_of_a_small_run(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--classes", "2", "--pictures", "10", "--clients", "2", "--seconds", "0.5"]
    photos = [str(OTHERS / "064-smiling.jpg"), str(OTHERS / "026-neutral.jpg")]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.watson", *photos, *options, "--json", str(file)],
        cwd=ROOT, check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    found = json.loads(file.read_text(encoding="utf-8"))
    (training,) = found["trainings"]
    assert training["classes"] == 2
    assert 0 < training["answered_s"] < training["ready_s"]
    for place in ("alone", "beside_a_training"):
        (level,) = found[place]
        assert (level["clients"], level["refused"]) == (2, 0)
        assert level["answers"] >= 2
        assert 0 < level["p50_ms"] <= level["p95_ms"] <= level["p99_ms"]
        assert level["per_second"] > 0


def test_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.watson", "x.jpg", "--classes", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--classes must be at least 2" in done.stderr

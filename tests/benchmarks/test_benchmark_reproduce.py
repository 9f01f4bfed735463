"""``python -m benchmarks.speed.reproduce``: our own results with one command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results
from tests.conftest import PICTURES, ROOT


def test_one_command_measures_against_a_server_of_our_own(tmp_path: Path) -> None:
    for label, person in (("happiness", "smiling"), ("neutral", "neutral")):
        (tmp_path / "london" / label).mkdir(parents=True)
        shutil.copy(PICTURES / f"people/026-{person}.jpg", tmp_path / f"london/{label}/026.jpg")
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.reproduce",
        "--london",
        str(tmp_path / "london"),
    ]
    folders = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    options = ["--only", "accuracy-london", "--peers", ""]
    done = subprocess.run([*command, *folders, *options], cwd=ROOT, check=False)
    assert done.returncode == 0
    (file,) = (tmp_path / "out").iterdir()
    found = results.load(file)
    assert found["backends"].keys() == {"local", "ibm"}
    assert found["backends"]["ibm"]["description"]["host"] == "127.0.0.1"
    assert found["backends"]["ibm"]["confusion"] == found["backends"]["local"]["confusion"]
    assert str(tmp_path) not in json.dumps(found)
    assert (tmp_path / "work/accuracy-london.json.rows.jsonl").exists()


def test_without_data_nothing_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.speed.reproduce", "--only", "accuracy-fer2013"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 2
    assert "nothing to measure" in capfd.readouterr().err

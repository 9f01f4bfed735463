"""Who may answer on the page: from a flag, the environment and a file, as a user sets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT

TIMEOUT = 60
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret"}
REGION = {"AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    ("flags", "environment", "default", "names"),
    [
        ([], {}, "local", ["local", "rekognition"]),
        ([], {"SHELLY_BACKEND": "rekognition,ibm"}, "rekognition", ["local", "rekognition", "ibm"]),
        (["--backend", "local"], {"SHELLY_BACKEND": "rekognition"}, "local", ["local"]),
    ],
    ids=["file", "environment", "flag"],
)
def test_backends_of_the_page(
    tmp_path: Path,
    flags: list[str],
    environment: dict[str, str],
    default: str,
    names: list[str],
) -> None:
    file = tmp_path / "shelly.toml"
    file.write_text('[web]\nbackend = ["local", "rekognition"]\nport = 0\n')
    watson = {  # is not asked here
        "VISUAL_RECOGNITION_URL": "http://127.0.0.1:9",
        "VISUAL_RECOGNITION_AUTH_TYPE": "noauth",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "shelly_local", "web", "--config", str(file), *flags],
        cwd=ROOT,
        env=os.environ | KEYS | REGION | watson | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        with urllib.request.urlopen(f"{address}backends", timeout=TIMEOUT) as response:
            offers = json.load(response)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    assert offers["default"] == default
    assert [backend["name"] for backend in offers["backends"]] == names
    assert [backend["local"] for backend in offers["backends"]] == [
        name == "local" for name in names
    ]

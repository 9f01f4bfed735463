"""The wheel works outside the checkout, with models, page and advice inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--quiet", "-w", str(folder), str(ROOT)], check=True, cwd=folder)
    (path,) = folder.glob("shelly_local-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own, away from the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(folder), str(wheel)], check=True, cwd=folder)
    return folder


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=installed.parent,
        timeout=120,
        check=False,
    )


def test_content(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        header = HeaderParser().parsestr(archive.read(metadata).decode())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"shelly_local"}
    assert not [name for name in names if "__pycache__" in name or "/screenshots/" in name]
    for wanted in ("LICENSE", "NOTICES.md"):
        assert any(name.endswith(f"licenses/{wanted}") for name in names)
    required = [line for line in header.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert not [line for line in required if line.startswith(("torch", "facenet"))]
    assert wheel.stat().st_size < 30e6


IMPORT_ALL = """
import importlib, pkgutil, sys, shelly_local

found = [
    module.name for module in pkgutil.walk_packages(shelly_local.__path__, "shelly_local.")
    if not module.name.endswith("__main__")
]
for name in found:
    importlib.import_module(name)
# In a wheel they are parts of the package; a checkout may lie on the path, too.
assert not {"benchmarks", "training", "webapp", "tests"} & set(sys.modules)
print(len(found))
"""


def test_every_module_of_the_wheel_can_be_imported(installed: Path) -> None:
    result = run(installed, "-c", IMPORT_ALL)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 150


def test_classify_from_the_wheel(installed: Path, smiling_photo: Path) -> None:
    result = run(installed, "-m", "shelly_local", "classify", "--json", str(smiling_photo))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["faces"][0]["emotion"] == "happiness"


def test_train_from_the_wheel(installed: Path) -> None:
    result = run(installed, "-m", "shelly_local", "train", "--help")
    assert result.returncode == 0, result.stderr
    assert "--protocol {kfold,lfdm,holdout}" in result.stdout


def test_benchmark_from_the_wheel(installed: Path, smiling_photo: Path, tmp_path: Path) -> None:
    """Without anything but the base installation; what needs more says how to get it."""
    (tmp_path / "photos/happiness").mkdir(parents=True)
    shutil.copy(smiling_photo, tmp_path / "photos/happiness")
    missing = ("torch", "matplotlib", "scipy", "boto3", "onnx", "facenet_pytorch")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
    code += "from shelly_local.commands.main import main; sys.exit(main(sys.argv[1:]))"

    def shelly(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(installed, "-c", code, "benchmark", *arguments)

    accuracy, latency = str(tmp_path / "accuracy.json"), str(tmp_path / "latency.json")
    done = shelly("accuracy", "--data", str(tmp_path / "photos"), "--json", accuracy)
    assert done.returncode == 0, done.stderr
    assert "100.0 %" in done.stdout
    few = ("--runs", "1", "--cold-runs", "0", "--concurrency", "1", "--json", latency)
    done = shelly("latency", str(smiling_photo), *few)
    assert done.returncode == 0, done.stderr
    done = shelly("latency", str(smiling_photo), *few, "--backends", "peer:facenet-mobilenet")
    assert done.returncode == 1
    assert 'pip install "shelly-local[train]"' in done.stderr
    done = shelly("latency", str(smiling_photo), *few, "--restart")
    assert done.returncode == 0, done.stderr

    page = tmp_path / "report.html"
    done = shelly("report", accuracy, latency, "--html", str(page))
    assert done.returncode == 1
    assert "pip install matplotlib" in done.stderr
    done = shelly("report", accuracy, latency, "--html", str(page), "--no-plots")
    assert done.returncode == 0, done.stderr
    assert "At a glance" in page.read_text(encoding="utf-8")
    done = shelly("accuracy", "--data", str(tmp_path / "photos"), "--backends", "rekognition")
    assert done.returncode == 1
    assert "pip install 'shelly-local[cloud]'" in done.stderr


def test_page_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = (
        f"import os; os.environ['SHELLY_DATA_DIR'] = {str(tmp_path)!r};"
        "import shelly_local, shelly_local.webapp as webapp;"
        "client = webapp.create_app().test_client();"
        "print(shelly_local.__file__);"
        "print(client.get('/').status_code, client.get('/static/shelly/fear.svg').status_code)"
    )
    result = run(installed, "-c", code)
    assert result.returncode == 0, result.stderr
    home, statuses = result.stdout.splitlines()
    assert Path(home).is_relative_to(installed)
    assert statuses == "200 200"

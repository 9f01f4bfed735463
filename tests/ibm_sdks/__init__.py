"""IBM's own SDKs, each installed into a folder of its own, and the same program for each.

The generations contradict each other: each needs packages, and names things, as the others do
not. So every one is installed apart, once, below pytest's cache, and a program written for it
runs in a process that sees nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: Seconds for an installation, and for a program.
SECONDS = 240.0


class NotInstalledError(Exception):
    """An SDK cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Sdk:
    """One generation of IBM's SDKs.

    Attributes:
        name: for people, and of its folder.
        language: ``python`` or ``node``.
        packages: what to install; nothing where the environment of the tests has it.
        style: which of its dialects the program speaks.
        base: path behind the server's address.
    """

    name: str
    language: str
    packages: tuple[str, ...]
    style: str
    base: str


SDKS = (
    Sdk("ibm-watson-5.3.1", "python", (), "python-5", "/instances/0a-1b"),
    # What this one was written for: newer versions of PyJWT refuse its call.
    Sdk("ibm-watson-4.0.1", "python", ("ibm-watson==4.0.1", "PyJWT<2"), "python-4", ""),
    Sdk(
        "watson-developer-cloud-2.10.1", "python", ("watson-developer-cloud==2.10.1",),
        "python-2", "/visual-recognition/api",
    ),
    Sdk("node-ibm-watson-6", "node", ("ibm-watson@6.2.2",), "node-6", ""),
    Sdk("node-ibm-watson-4", "node", ("ibm-watson@4.5.4",), "node-4", "/visual-recognition/api"),
)  # fmt: skip


def installed(sdk: Sdk, cache: Path) -> Path:
    """The folder of an SDK, installed there if it is not yet.

    Raises:
        NotInstalledError: it cannot be installed.
    """
    python = f"-python{sys.version_info[0]}.{sys.version_info[1]}"
    target = cache / (sdk.name + (python if sdk.language == "python" else ""))
    if not sdk.packages or target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name) / "sdk"
        folder.mkdir()
        if sdk.language == "python":
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input",
                       "--disable-pip-version-check", "--target", str(folder)]  # fmt: skip
        else:
            command = [_found("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts",
                       "--no-save", "--prefix", str(folder)]  # fmt: skip
        try:
            done = subprocess.run(
                [*command, *sdk.packages],
                cwd=folder, capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise NotInstalledError(f"{sdk.name} took more than {SECONDS} s") from error
        if done.returncode:
            raise NotInstalledError(f"{sdk.name}: {(done.stderr or done.stdout)[-500:]}")
        # A folder that is there is complete, however this ends.
        if not target.exists():
            folder.rename(target)
    return target


def run(sdk: Sdk, cache: Path, url: str, key: str, open_url: str, files: Path) -> dict[str, Any]:
    """What a program written for an SDK gets to see from a server.

    Args:
        sdk: the SDK.
        cache: where SDKs are installed.
        url: of the server.
        key: that the server asks for.
        open_url: of a server that asks for none.
        files: folder with ``smile.zip``, ``calm.zip``, ``photos.zip``, ``smiling.jpg``,
            ``neutral.jpg``.

    Returns:
        Results of its calls by name, and errors as ``{"code", "message", "body"}``.

    Raises:
        NotInstalledError: the SDK cannot be installed.
    """
    folder = installed(sdk, cache)
    settings = json.dumps(
        {
            "style": sdk.style,
            "host": url,
            "url": url + sdk.base,
            "open": open_url + sdk.base,
            "key": key,
            "files": str(files),
        }
    )
    more: Mapping[str, str]
    if sdk.language == "node":
        more = {"NODE_PATH": str(folder / "node_modules")}
        command = [_found("node"), str(HERE / "program.js"), settings]
    elif sdk.packages:
        # Without the packages of the environment (-S), which has another version.
        more = {"PYTHONPATH": str(folder)}
        command = [sys.executable, "-S", str(HERE / "program.py"), settings]
    else:
        more = {}
        command = [sys.executable, str(HERE / "program.py"), settings]
    # Programs read their settings from variables as well; those of this machine are no test.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VISUAL_RECOGNITION", "WATSON", "VCAP", "IBM"))
    }
    done = subprocess.run(
        command, env={**kept, **more}, cwd=files, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode:
        raise AssertionError(f"the program of {sdk.name} broke: {done.stderr[-3000:]}")
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise NotInstalledError(f"there is no {program} here")
    return path

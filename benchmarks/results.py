"""Result files: what was measured, and on what; written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shelly_local import __version__
from shelly_local.batch.writers import OutputError
from shelly_local.errors import ShellyError
from shelly_local.files import replacing

from .children import SEARCH_PATH

#: Changes when readers of older files would misread a newer one.
FORMAT = 1
KINDS = ("accuracy", "latency")
#: Packages whose versions a result depends on, as far as they are installed.
PACKAGES = ("numpy", "onnxruntime", "pillow", "torch", "boto3", "google-cloud-vision", "ibm-watson")
#: Seconds that git may take.
GIT_TIMEOUT_S = 10.0


class ResultError(ShellyError):
    """A result file cannot be read."""

    error_id = "result_error"


def environment(command: Sequence[str], seed: int) -> dict[str, Any]:
    """What a figure depends on besides its own settings.

    Args:
        command: the arguments after ``shelly``. Of absolute paths only the last part is
            kept: the rest says where somebody keeps files, and changes no figure.
        seed: of everything random.
    """
    return {
        "format": FORMAT,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["shelly", *map(_portable, command)]),
        "seed": seed,
        "git_commit": _git_commit(),
        "machine": machine(),
        "versions": _versions(),
    }


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system; nothing that tells whose machine it is."""
    return {
        "processor": processor(),
        "cpu_count": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": platform.system(),
    }


def processor() -> str:
    """The name of the processor, as far as the system tells."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if "model name" in line), name)
    return name


def write(results: Mapping[str, Any], file: Path) -> None:
    """Write a result file.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n", file)


def write_text(text: str, file: Path) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write to {file}: {error.strerror or error}") from error


def check_writable(file: Path) -> None:
    """Tell before hours of measuring that the results could not be written.

    Raises:
        OutputError: the folder is missing or protected, or ``file`` is a folder.
    """
    if file.is_dir():
        raise OutputError(f"cannot write to {file}: it is a folder")
    if not file.parent.is_dir():
        raise OutputError(f"cannot write to {file}: the folder {file.parent} does not exist")
    if not os.access(file.parent, os.W_OK):
        raise OutputError(f"cannot write to {file}: the folder {file.parent} is protected")


def load(file: Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        ResultError: it is missing, damaged, no result file, or of a newer format.
    """
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ResultError(f"{file} is no result file: {error}") from error
    if not isinstance(results, dict) or results.get("kind") not in KINDS:
        raise ResultError(f"{file} is no result file: its kind must be one of {', '.join(KINDS)}")
    if results.get("format") != FORMAT:
        raise ResultError(f"{file} has the format {results.get('format')!r}, expected {FORMAT}")
    if not isinstance(results.get("backends"), dict):
        raise ResultError(f"{file} is no result file: it has no backends")
    return results


def _portable(argument: str) -> str:
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", "")
    if equals and Path(value).is_absolute():
        return f"{option}={Path(value).name}"
    return Path(argument).name if Path(argument).is_absolute() else argument


def _versions() -> dict[str, str]:
    versions = {"shelly-local": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _git_commit() -> str | None:
    """The commit of the checkout, with ``-dirty`` if files were changed; None without one."""
    if not (SEARCH_PATH / ".git").exists():
        return None
    command = ["git", "-C", str(SEARCH_PATH), "describe", "--always", "--abbrev=12", "--dirty"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _memory_gb() -> float | None:
    """Physical memory in units of 10^9 bytes; None where the system does not say."""
    if sys.platform == "win32":
        return None
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        return None

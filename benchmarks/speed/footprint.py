"""What an installation costs: start-up and memory of a process, megabytes on disk."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import shelly_local

from .. import children

#: What any program that decodes a photo and runs a network must import.
IMPORTS = "import numpy, PIL.Image, onnxruntime"
#: Folders of the project that a wheel holds; inside the library once it is installed.
PARTS = ("shelly_local", "benchmarks", "models", "training", "webapp")
#: A small process starts the measured one: the system counts what the parent held as memory
#: of the child, and we hold the networks.
_STARTER = """
import os, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
wall = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])
sys.exit(code)
"""


def classify_command(photo: Path) -> list[str]:
    """``shelly classify PHOTO`` in this environment."""
    return [sys.executable, "-m", "shelly_local", "classify", str(photo.resolve())]


def imports_command() -> list[str]:
    """A process that only imports what is needed at least."""
    return [sys.executable, "-c", IMPORTS]


def run(command: list[str]) -> tuple[float, float, float]:
    """Run a process to its end, its output thrown away.

    Returns:
        Seconds of wall-clock and of processor time, and the largest resident memory in
        10^6 bytes.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    environment = children.environment()
    # Compiled modules are kept, as an installer leaves them.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    starter = [sys.executable, "-S", "-c", _STARTER, *command]
    done = subprocess.run(starter, env=environment, check=True, capture_output=True, text=True)
    wall, cpu, largest = json.loads(done.stdout)
    return wall, cpu, largest * (1 if sys.platform == "darwin" else 1024) / 1e6


def installed_megabytes() -> dict[str, float]:
    """Size of Shelly and of each package that it needs, without extras, in 10^6 bytes.

    Counted are the files that the installer recorded, compiled ones included.
    """
    sizes = {"shelly-local": _own_bytes()}
    waiting = list(distribution("shelly-local").requires or [])
    while waiting:
        name = _needed(waiting.pop())
        if name is None or name in sizes:
            continue
        package = distribution(name)
        sizes[name] = _bytes_of(package)
        waiting += package.requires or []
    return {name: round(size / 1e6, 1) for name, size in sorted(sizes.items())}


def _needed(requirement: str) -> str | None:
    """The package of a requirement; None where it is for an extra or another system.

    Markers are not evaluated: what they ask for is counted where it is installed.
    """
    match = re.match(r"[\w.-]+", requirement)
    if match is None or "extra ==" in requirement:
        return None
    name = re.sub(r"[-_.]+", "-", match[0]).lower()
    try:
        distribution(name)
    except PackageNotFoundError:
        return None
    return name


def _bytes_of(package: Distribution) -> int:
    files = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(file.stat().st_size for file in files if file.is_file())


def _own_bytes() -> int:
    """The project's own folders, wherever they lie."""
    library = Path(shelly_local.__file__).parent
    roots = {
        library,
        *(library.parent / part for part in PARTS if library.parent == children.SEARCH_PATH),
    }
    return sum(file.stat().st_size for root in roots for file in root.rglob("*") if file.is_file())

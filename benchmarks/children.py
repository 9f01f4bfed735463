"""Processes that a measurement starts: where they find this package, and what they take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: What a child process needs on its path to import this package as it is imported here.
SEARCH_PATH = Path(__file__).resolve().parents[__name__.count(".")]


def environment() -> dict[str, str]:
    """That of a child, which imports what is imported here."""
    paths = [str(SEARCH_PATH), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def memory_mb(name: str = "VmHWM", process: int | str = "self") -> float | None:
    """Resident memory of a process in 10^6 bytes; None where the system does not tell.

    Args:
        name: ``VmHWM``, the most so far, or ``VmRSS``, now (see proc(5)).
        process: its number, or ``self``; elsewhere than on Linux only the most of itself is known.
    """
    status = Path(f"/proc/{process}/status")
    try:  # on Linux; getrusage there counts the parent's memory before exec, too
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    except OSError:
        pass
    if sys.platform in ("win32", "linux") or process != "self":
        return None
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(largest * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)

"""Where custom classifiers lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Environment variable that names another data folder.
DATA_DIR_VARIABLE = "SHELLY_DATA_DIR"


def data_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """The user's data folder; it need not exist.

    The folder given, otherwise that of the environment variable ``SHELLY_DATA_DIR``,
    otherwise the platform's place: ``$XDG_DATA_HOME/shelly-local`` or
    ``~/.local/share/shelly-local`` (XDG Base Directory Specification),
    ``~/Library/Application Support/shelly-local`` on macOS, and
    ``%LOCALAPPDATA%\\shelly-local`` on Windows.
    """
    chosen = os.fspath(folder) if folder is not None else os.environ.get(DATA_DIR_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "shelly-local"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "shelly-local"
    data_home = Path(os.environ.get("XDG_DATA_HOME") or "")
    # The specification: relative paths are to be ignored.
    base = data_home if data_home.is_absolute() else home / ".local" / "share"
    return base / "shelly-local"

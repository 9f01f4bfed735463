"""Files that appear whole or not at all, and locks that hold between processes."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


# Windows refuses to replace a file while somebody reads it; reading takes milliseconds.
_REPLACE_TRIES, _REPLACE_PAUSE = 50, 0.02
#: Seconds between two tries at a lock that is taken.
_PAUSE = 0.01
_held: set[int] = set()


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A new path beside ``file`` that takes its place when the block ends well.

    It does so in one step that also survives a loss of power. When the block raises, Ctrl-C
    included, the new file is removed. A symbolic link keeps pointing where it points, and an
    existing file keeps its permissions.

    Args:
        file: a file, or none yet, in a folder that exists.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f".shelly-{secrets.token_hex(8)}.part")
    try:
        yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        _replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(target.parent)


def write_whole(file: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all; see :func:`replacing`.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(file) as temporary:
        temporary.write_bytes(data)


def flush_folder(folder: Path) -> None:
    """Make renames in a folder survive a loss of power, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(new: Path, file: Path) -> None:
    for left in reversed(range(_REPLACE_TRIES)):
        try:
            new.replace(file)
            return
        except PermissionError:
            if os.name != "nt" or not left:
                raise
            time.sleep(_REPLACE_PAUSE)


class HeldLock:
    """A lock file that is held until :meth:`release`, or until this process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        _held.add(descriptor)

    def is_in_place(self) -> bool:
        """Whether the path still leads to the file that is locked: it may have been removed."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def remove(self) -> None:
        """Remove the file while it is held: who opens it still must ask :meth:`is_in_place`.

        Raises:
            OSError: it cannot be removed, as on Windows, where an open file stays.
        """
        self.path.unlink()

    def release(self) -> None:
        """Give the lock back; the file stays."""
        descriptor, self._descriptor = self._descriptor, None
        # In a forked child the descriptor has been closed, see below.
        if descriptor is not None and descriptor in _held:
            _held.discard(descriptor)
            os.close(descriptor)


def try_lock(path: Path) -> HeldLock | None:
    """Lock the file, which is made if need be; None if somebody holds it.

    Raises:
        OSError: the file cannot be made or locked at all.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _lock(descriptor):
            return HeldLock(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file for a moment, waiting for it as long as it takes.

    Raises:
        OSError: the file cannot be made or locked at all.
    """
    while (held := try_lock(path)) is None:
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        held.release()


def _forget() -> None:
    # A child shares its parent's locks and would hold them after the parent's death.
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

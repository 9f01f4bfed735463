"""Locks that hold between processes and are given back by the system when one dies."""

from __future__ import annotations

import contextlib
import os
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


#: Seconds between two tries at a lock that is taken.
_PAUSE = 0.01
_held: set[int] = set()


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

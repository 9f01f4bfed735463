"""Memory for decoding: a limit for one picture, and one for all that are decoded at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Bytes that decoding one picture may take, by its estimate: the coefficients of a progressive
#: JPEG of 80 megapixels, its colours at half the resolution, and its reduced pixels.
MAX_PICTURE_BYTES = 270_000_000
#: Bytes that pictures decoded at the same time may take together: two of the largest.
MAX_TOGETHER_BYTES = 550_000_000
#: Bytes up to which a picture waits for no other: one of 4 megapixels.
SMALL_BYTES = 16_000_000


#: Bytes that the file of a picture, or the zip in which it lies, may have beside that.
FREE_BYTES = 30_000_000

_held: ContextVar[int] = ContextVar("held", default=0)


@contextmanager
def beside(held: int) -> Iterator[None]:
    """Within the block a picture may take less: this many bytes are held in memory beside it."""
    token = _held.set(held)
    try:
        yield
    finally:
        _held.reset(token)


def picture_limit() -> int:
    """Bytes that decoding one picture may take here and now."""
    return MAX_PICTURE_BYTES - max(_held.get() - FREE_BYTES, 0)


class DecodingMemory:
    """Lets pictures be decoded as long as there is memory for them, in the order they came.

    Thread-safe. A thread holds one turn at a time and waits for nothing while it has it, so
    that every turn ends.

    Args:
        capacity: bytes for all pictures together.
    """

    def __init__(self, capacity: int = MAX_TOGETHER_BYTES) -> None:
        self._free = self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def turn(self, size: int) -> Iterator[None]:
        """Wait until ``size`` bytes are free, and hold them within the block.

        Args:
            size: estimate in bytes; one above the capacity takes all of it.
        """
        if size <= SMALL_BYTES:
            yield
            return
        size = min(size, self._capacity)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and size <= self._free)
                self._free -= size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


#: What all threads of this process share.
DECODING = DecodingMemory()

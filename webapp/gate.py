"""At most so many classifications at once, a short queue, and a plain "busy" beyond it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from .problems import Problem

#: Seconds a photo waits for its turn: longer than one classification, shorter than patience.
MAX_WAIT = 10.0
#: Seconds after which a refused client may come again; a photo takes less.
RETRY_AFTER = 2


class Gate:
    """Bounds the classifications under way. Thread-safe.

    Args:
        active: classifications at once, 1 or more.
        waiting: requests that may wait for their turn, 0 or more.
        max_wait: longest wait in seconds.
    """

    def __init__(self, active: int, waiting: int, max_wait: float = MAX_WAIT) -> None:
        self.active = active
        self.waiting = waiting
        self._max_wait = max_wait
        self._places = threading.BoundedSemaphore(active + waiting)
        self._turns = threading.BoundedSemaphore(active)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a turn for the time of a ``with`` block.

        Raises:
            Problem: the queue is full, or the turn did not come in time.
        """
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turns.acquire(timeout=self._max_wait):
                raise _busy()
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


def _busy() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "I am looking at as many photos as I can. Please try again in a moment.",
        retry_after=RETRY_AFTER,
    )

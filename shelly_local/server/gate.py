"""At most so many classifications at once, a short queue, and a plain "busy" beyond it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shelly_local.errors import ShellyError

#: Seconds a photo waits for its turn: longer than one classification, shorter than patience.
MAX_WAIT = 10.0
#: Seconds after which a refused client may come again; a photo takes less.
RETRY_AFTER = 2


class BusyError(ShellyError):
    """Too many photos at once.

    Attributes:
        retry_after: seconds after which to come again.
    """

    code = 503
    error_id = "busy"
    retry_after = RETRY_AFTER

    def __init__(self) -> None:
        super().__init__("I am looking at as many photos as I can. Please try again in a moment.")


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
            BusyError: the queue is full, or the turn did not come in time.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError
        try:
            if not self._turns.acquire(timeout=self._max_wait):
                raise BusyError
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()

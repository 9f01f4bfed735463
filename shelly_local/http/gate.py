"""At most so many classifications at once, a short queue, and a plain "busy" beyond it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from shelly_local.errors import ShellyError

#: Seconds a photo waits for its turn: longer than one classification, shorter than patience.
MAX_WAIT = 10.0
#: Seconds after which a refused client may come again; a photo takes less.
RETRY_AFTER = 2

Result = TypeVar("Result")


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
        self._crew = _Crew(active)

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

    def run(self, work: Callable[[], Result]) -> Result:
        """Do something when its turn has come, in one of ``active`` threads kept for it.

        The C library keeps freed memory apart for each thread that ever took some. In a server's
        many threads that comes to several times what the classifications under way need.

        Raises:
            BusyError: the queue is full, or the turn did not come in time.
        """
        with self.admit():
            return self._crew.do(work)


class _Crew:
    """Threads that do one piece of work after the other, started when none is idle.

    Those of ``concurrent.futures`` would keep the program from ending as long as one of them
    waits for a cloud.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._started = 0

    def do(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns or raises."""
        future: Future[Result] = Future()
        self._work.put((future, work))
        if not self._idle.acquire(blocking=False):
            with self._lock:
                if self._started < self._size:
                    self._started += 1
                    threading.Thread(target=self._serve, name="classify", daemon=True).start()
        try:
            return future.result()
        finally:
            del future  # an exception would hold itself by it

    def _serve(self) -> None:
        while True:
            future, work = self._work.get()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del future, work  # with the photo, while nothing is to be done
            self._idle.release()

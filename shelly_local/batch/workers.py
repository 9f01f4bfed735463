"""Worker processes: they end with the process that started them, and interrupts are not theirs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def start_workers(
    count: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of processes; give it its work within :func:`interrupts_held`.

    Args:
        count: processes at most.
        begin: what each of them does first, with ``arguments``.
        arguments: can be pickled, as ``begin`` can.
    """
    # Spawned, not forked: the threads of ONNX Runtime and PyTorch do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, _begin, (begin, arguments))


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """A block after which Ctrl-C is answered, and whose new processes never hear of it.

    A pool starts processes while it is given work. Ctrl-C goes to every process of a terminal:
    a worker that is still starting would show a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """First thing in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells workers to end
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    """A parent that was killed tells nobody: without this its workers would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

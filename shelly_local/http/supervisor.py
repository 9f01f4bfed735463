"""Several processes that answer at one port: they share the socket that their parent listens on.

The parent answers nothing. It starts the others, each with a model of its own, puts another one
in the place of one that dies, and ends them all. They end by themselves when it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError

#: Seconds before another process takes the place of one that died before it could answer.
RETRY_SECONDS = 1.0

#: What a process does: with the sockets, and with what to call once it answers.
Serve = Callable[[Any, Sequence[socket.socket], Callable[[], None]], None]


class Processes:
    """Starts processes and keeps them going.

    Args:
        serve: a function of a module; called in each process, returns when it gets SIGTERM.
        settings: its first argument; goes through a pipe, so it may hold a key.
        sockets: what the processes listen on.
        count: how many there are.
    """

    def __init__(
        self, serve: Serve, settings: Any, sockets: Sequence[socket.socket], count: int
    ) -> None:
        if sys.platform == "win32":
            raise ShellyError("--processes needs Linux or macOS; Windows has one process")
        # Not forked: the threads of a network runtime do not survive that.
        self._context = multiprocessing.get_context("spawn")
        self._serve, self._settings = serve, settings
        self._sockets, self._count = list(sockets), count
        self._running: dict[SpawnProcess, Connection] = {}
        self._ready: set[SpawnProcess] = set()

    def run(self, announce: Callable[[], None]) -> None:
        """Serve until Ctrl-C or SIGTERM; return when all processes have ended.

        Args:
            announce: called once all processes answer.

        Raises:
            ShellyError: a process cannot start; it has said why.
        """
        previous = signal.signal(signal.SIGTERM, _stop)
        try:
            for _ in range(self._count):
                self._start()
            while len(self._ready) < self._count:
                if self._look():
                    raise ShellyError("a server process cannot start")
            announce()
            while True:
                for code, was_ready in self._look():
                    complain(f"a server process ended (code {code}); another takes its place")
                    if not was_ready:
                        time.sleep(RETRY_SECONDS)
                    self._start()
        except (KeyboardInterrupt, SystemExit):
            return
        finally:
            self._end()
            signal.signal(signal.SIGTERM, previous)

    def _start(self) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_run, args=(self._serve, self._settings, self._sockets, theirs)
        )
        process.start()
        theirs.close()
        self._running[process] = ours

    def _look(self) -> list[tuple[int | None, bool]]:
        """Wait for news; exit code of each process that died, and whether it had answered."""
        waiting = {process.sentinel: process for process in self._running}
        news = {ours: process for process, ours in self._running.items() if not ours.closed}
        ended = []
        for source in wait([*waiting, *news]):
            if isinstance(source, Connection):
                if source.closed:  # its process ended, which was seen before
                    continue
                try:
                    source.recv()
                    self._ready.add(news[source])
                except EOFError:  # it dies, which its sentinel says
                    pass
                source.close()
            else:
                process = waiting[source]  # type: ignore[index]
                process.join()
                self._running.pop(process).close()
                ended.append((process.exitcode, process in self._ready))
                self._ready.discard(process)
        return ended

    def _end(self) -> None:
        """Requests and trainings under way are finished; with another Ctrl-C, dropped."""
        for process in self._running:
            process.terminate()
        try:
            for process in self._running:
                process.join()
        except (KeyboardInterrupt, SystemExit):
            for process in self._running:
                if process.pid is not None and process.is_alive():
                    os.kill(process.pid, signal.SIGINT)
            for process in self._running:
                process.join()


def _run(serve: Serve, settings: Any, sockets: Sequence[socket.socket], parent: Connection) -> None:
    """One of the processes."""
    # Ctrl-C in a terminal is for the parent, which tells the others what to do.
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def ready() -> None:
        parent.send(True)
        parent.close()

    try:
        serve(settings, sockets, ready)
    except ShellyError as error:
        complain(error.description)
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)

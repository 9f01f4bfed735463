"""Where the time of a call to a cloud goes, seen from the HTTP connections of this process.

The SDKs of the clouds speak HTTP through urllib3, whose connections are those of Python's
``http.client``. While ``Stopwatch`` is on, the methods that connect, send and wait for the
answer are timed in the thread that calls them.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any

#: Parts of a call: TCP and TLS handshake; handing the request to the system, which may still
#: be sending a part of it afterwards; waiting until the answer begins.
PARTS = ("connect", "upload", "server")


class Stopwatch:
    """Times the HTTP connections of this process while a ``with`` block runs."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._restore: list[tuple[type[Any], str, Any]] = []

    def __enter__(self) -> Stopwatch:
        self._wrap(http.client.HTTPConnection, "connect", "connect")
        self._wrap(http.client.HTTPSConnection, "connect", "connect")
        self._wrap(http.client.HTTPConnection, "send", "upload")
        self._wrap(http.client.HTTPConnection, "getresponse", "server")
        try:
            connection = import_module("urllib3.connection")
        except ImportError:
            return self
        for name in ("HTTPConnection", "HTTPSConnection"):
            self._wrap(getattr(connection, name), "connect", "connect")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._restore:
            owner, name, original = self._restore.pop()
            setattr(owner, name, original)

    def start(self) -> None:
        """Forget what this thread has spent so far."""
        self._local.spent = dict.fromkeys(PARTS, 0.0)

    def milliseconds(self) -> dict[str, float]:
        """What this thread has spent since ``start``, by part; empty without any network."""
        spent: dict[str, float] = getattr(self._local, "spent", {})
        return {part: 1000 * value for part, value in spent.items()} if any(spent.values()) else {}

    def _wrap(self, owner: type[Any], name: str, part: str) -> None:
        if name not in vars(owner):  # inherited: what it inherits is wrapped already
            return
        original: Callable[..., Any] = vars(owner)[name]
        local = self._local

        def timed(*arguments: Any, **keywords: Any) -> Any:
            spent = getattr(local, "spent", None)
            if spent is None:
                return original(*arguments, **keywords)
            before = sum(spent.values())
            start = time.perf_counter()
            try:
                return original(*arguments, **keywords)
            finally:
                # What calls within have counted already, such as a connection that sending
                # opens, is not counted twice.
                within = sum(spent.values()) - before
                spent[part] += max(time.perf_counter() - start - within, 0.0)

        setattr(owner, name, timed)
        self._restore.append((owner, name, original))

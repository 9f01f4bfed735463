"""Request bodies stay in memory, as no picture may reach the disk; here is how much they may take.

Waitress reads a whole body before anybody looks at it. Its own limit is per request; this adds one
for all requests together, and answers in IBM's shape where Waitress would use plain text.
"""

from __future__ import annotations

import json
import threading
import uuid
import weakref
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error, RequestEntityTooLarge

#: Bytes of all bodies together: two calls of IBM's largest size at once.
MAX_WAITING_BYTES = 2 * 257 * 1024 * 1024
#: Seconds after which a client that was turned away may come again.
RETRY_AFTER = 5


class Budget:
    """Bytes that bodies may still take. Thread-safe.

    Args:
        size: how many in all.
    """

    def __init__(self, size: int = MAX_WAITING_BYTES) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take bytes, if there are enough."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, sizes: list[int]) -> None:
        """Give back all that was taken."""
        with self._lock:
            self._left += sum(sizes)
            sizes.clear()


class JsonError(Error):  # type: ignore[misc]
    """A refusal by Waitress as ``{"error": {"code", "description", "error_id"}}``."""

    def __init__(self, code: int, reason: str, description: str, error_id: str) -> None:
        super().__init__(description)
        self.code = code
        self.reason = reason
        self._body = {"error": {"code": code, "description": description, "error_id": error_id}}

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status, headers and body, as Waitress asks for them."""
        body = json.dumps(self._body).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            # IBM's SDKs show it with their exceptions.
            ("X-Global-Transaction-Id", uuid.uuid4().hex),
        ]
        if self.code == 503:
            headers.append(("Retry-After", str(RETRY_AFTER)))
        return f"{self.code} {self.reason}", headers, body


def bounded_channel(budget: Budget) -> type[HTTPChannel]:
    """A class of Waitress connections whose bodies share a budget."""

    class BoundedParser(HTTPRequestParser):  # type: ignore[misc]
        error: Error | None

        def __init__(self, adjustments: Any) -> None:
            super().__init__(adjustments)
            self._taken: list[int] = []
            # A connection that breaks off is dropped without close().
            weakref.finalize(self, budget.give_back, self._taken)

        def received(self, data: bytes) -> int:
            before = self.body_bytes_received
            consumed = int(super().received(data))
            grown = self.body_bytes_received - before
            if isinstance(self.error, RequestEntityTooLarge):
                self.error = JsonError(
                    413, "Request Entity Too Large", "File size limit exceeded.", "limit_exceeded"
                )
            elif grown and not budget.take(grown):
                text = "Too many uploads at once; try again in a moment."
                self.error = JsonError(503, "Service Unavailable", text, "input_error")
                self.completed = True
            elif grown:
                self._taken.append(grown)
            return consumed

        def close(self) -> None:
            super().close()
            budget.give_back(self._taken)

    class BoundedChannel(HTTPChannel):  # type: ignore[misc]
        parser_class = BoundedParser

    return BoundedChannel

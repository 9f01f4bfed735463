"""Request bodies stay in memory, as no picture may reach the disk; here is how much they may take.

Waitress reads a whole body before anybody looks at it. Its own limit is one for all requests; this
has one for each path, adds one for all requests together, and answers in IBM's shape where Waitress
would use plain text. A body is given away piece by piece as it is read, so that it and what is made
of it are not in memory together.
"""

from __future__ import annotations

import io
import json
import mmap
import threading
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from waitress.parser import HTTPRequestParser
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from shelly_local.errors import ShellyError

#: Bytes of all bodies together, unpacked: two calls of IBM's largest size at once.
MAX_WAITING_BYTES = 2 * 257 * 1024 * 1024
#: Seconds after which a client that was turned away may come again.
RETRY_AFTER = 5
#: Bytes of memory that a body takes from the operating system at once.
_BLOCK_BYTES = 1024 * 1024
#: Bytes of a chunked body (RFC 9112, section 7.1) given to Waitress at once: it copies all that is
#: left of them for each chunk.
_CHUNKED_BYTES = 8 * 1024
#: Longest line between chunks, in bytes; Waitress has no limit.
_MAX_CHUNK_LINE = 4 * 1024
#: Bytes between the chunks of a body that are always fine; beyond them, at most as many as bytes
#: of content, for each chunk takes time.
_FREE_CHUNK_BYTES = 256 * 1024

#: Limit of a body in bytes, by method and path.
BodyLimit = Callable[[str, str], int]


class BodiesFullError(ShellyError):
    """The bodies of all requests together take as much memory as they may."""

    code = 503
    error_id = "busy"

    def __init__(self) -> None:
        super().__init__("Too many uploads at once; try again in a moment.")


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

    def give_back(self, taken: list[int]) -> None:
        """Give back what was taken, a list of one number, which becomes 0."""
        with self._lock:
            self._left += taken[0]
            taken[0] = 0


class Body(io.RawIOBase):
    """A body: Waitress appends to it, the application reads it, and what was read is gone.

    It lies in blocks from the operating system, which go back there at once; freed memory of the C
    library would stay with the process while the application makes files of the body.

    Args:
        reserve: takes bytes from the budget until the request ends; False if there are none left.
    """

    def __init__(self, reserve: Callable[[int], bool]) -> None:
        super().__init__()
        self._reserve = reserve
        self._blocks: deque[mmap.mmap] = deque()
        self._first = 0  # where the unread bytes of the first block begin
        self._last = _BLOCK_BYTES  # where the free bytes of the last block begin
        self.received = 0

    def reserve(self, size: int) -> None:
        """Count bytes that the application makes of the body, such as by unpacking it.

        Raises:
            BodiesFullError: there are not as many left.
        """
        if not self._reserve(size):
            raise BodiesFullError

    def append(self, data: bytes) -> None:
        """Add what came in."""
        self.received += len(data)
        left = memoryview(data)
        while left:
            if self._last == _BLOCK_BYTES:
                self._blocks.append(mmap.mmap(-1, _BLOCK_BYTES))
                self._last = 0
            piece = left[: _BLOCK_BYTES - self._last]
            self._blocks[-1][self._last : self._last + len(piece)] = piece
            self._last += len(piece)
            left = left[len(piece) :]

    def __len__(self) -> int:
        free = _BLOCK_BYTES - self._last
        return len(self._blocks) * _BLOCK_BYTES - self._first - free if self._blocks else 0

    def __bool__(self) -> bool:
        return True

    def getfile(self) -> Body:
        """What the application reads, as Waitress asks for it."""
        return self

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes, as far as one block goes."""
        if not self._blocks:
            return 0
        end = self._last if len(self._blocks) == 1 else _BLOCK_BYTES
        count = min(end - self._first, len(buffer))
        buffer[:count] = self._blocks[0][self._first : self._first + count]
        self._first += count
        if self._first == _BLOCK_BYTES:
            self._blocks.popleft().close()
            self._first = 0
        return count

    def close(self) -> None:
        """Forget what was not read."""
        for block in self._blocks:
            block.close()
        self._blocks.clear()
        self._first, self._last = 0, _BLOCK_BYTES
        super().close()


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


def bounded_parser(budget: Budget, limit: BodyLimit) -> type[HTTPRequestParser]:
    """A class of Waitress's request parsers whose bodies share a budget.

    Args:
        budget: for all bodies together.
        limit: for one body.
    """

    class BoundedParser(HTTPRequestParser):  # type: ignore[misc]
        error: Error | None
        body: Body | None = None
        limit = 0

        def __init__(self, adjustments: Any) -> None:
            super().__init__(adjustments)
            self._taken = [0]
            # A connection that breaks off is dropped without close().
            weakref.finalize(self, budget.give_back, self._taken)

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            self.limit = limit(self.command, self.path)
            if self.body_rcv is not None:
                taken = self._taken

                def reserve(size: int) -> bool:
                    if not budget.take(size):
                        return False
                    taken[0] += size
                    return True

                self.body = self.body_rcv.buf = Body(reserve)

        def received(self, data: bytes) -> int:
            before = self.body_bytes_received
            in_chunks = self.chunked and self.body_rcv is not None
            consumed = int(super().received(data[:_CHUNKED_BYTES] if in_chunks else data))
            grown = self.body_bytes_received - before
            if (
                isinstance(self.error, RequestEntityTooLarge)
                or max(self.body_bytes_received, self.content_length) > self.limit
            ):
                self._refuse(
                    413, "Request Entity Too Large", "File size limit exceeded.", "limit_exceeded"
                )
            elif in_chunks and not self.error and self._chunks_are_wasteful():
                self.error = BadRequest("The chunks of the body are too small.")
                self.completed = True
            elif grown and self.body is not None:
                try:
                    self.body.reserve(grown)
                except BodiesFullError as full:
                    self._refuse(503, "Service Unavailable", full.description, "input_error")
            return consumed

        def _chunks_are_wasteful(self) -> bool:
            assert self.body is not None
            receiver = self.body_rcv
            between = self.body_bytes_received - self.body.received
            return (
                max(len(receiver.control_line), len(receiver.trailer)) > _MAX_CHUNK_LINE
                or between > _FREE_CHUNK_BYTES + self.body.received
            )

        def _refuse(self, code: int, reason: str, text: str, error_id: str) -> None:
            self.error = JsonError(code, reason, text, error_id)
            self.completed = True
            if self.body is not None:
                self.body.close()

        def close(self) -> None:
            super().close()
            budget.give_back(self._taken)

    return BoundedParser

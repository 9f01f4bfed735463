"""How long a connection may take, and which one goes when there are too many."""

from __future__ import annotations

import time
from typing import Any

from waitress.channel import HTTPChannel

from shelly_local.http.bodies import BodyLimit, Budget, bounded_parser

#: Connections at once; each is a socket and no thread.
MAX_CONNECTIONS = 500
#: Seconds after which a connection that sends nothing is closed.
IDLE_TIMEOUT = 30
#: Seconds for a request's first line and headers, and before a body must come at ``LEAST_RATE``.
HEADER_SECONDS, BODY_GRACE_SECONDS = 15, 30
#: Bytes a second of a body on average, once the grace is over: a weak mobile connection has more.
LEAST_RATE = 16 * 1024


def bounded_channel(budget: Budget, limit: BodyLimit) -> type[HTTPChannel]:
    """A class of Waitress's connections, with deadlines and bounded bodies.

    Args:
        budget: see ``bounded_parser``.
        limit: see ``bounded_parser``.
    """

    class BoundedChannel(HTTPChannel):  # type: ignore[misc]
        parser_class = bounded_parser(budget, limit)
        begun: float | None = None

        def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
            _make_room(server.active_channels.values())
            super().__init__(server, *arguments, **options)

        def received(self, data: bytes) -> bool:
            if self.begun is None:
                self.begun = time.time()
            answer = bool(super().received(data))
            if self.request is None:
                self.begun = None
            return answer

        def readable(self) -> bool:
            # Asked each time that Waitress looks at its connections, once a second at least.
            if not self.requests and self._is_late(time.time()):
                self.will_close = True
            return bool(super().readable())

        def _is_late(self, now: float) -> bool:
            if self.begun is None or self.request is None:
                return bool(self.last_activity < now - IDLE_TIMEOUT)
            seconds = now - self.begun
            if not self.request.headers_finished:
                return seconds > HEADER_SECONDS
            grown = self.request.body_bytes_received
            return bool(seconds > BODY_GRACE_SECONDS + grown / LEAST_RATE)

    return BoundedChannel


def _make_room(channels: Any) -> None:
    """Close the connection that has been silent for longest where there are too many.

    Those with a request under way stay, and those that wait go before those that send one.
    """
    silent = [each for each in channels if not each.requests and not each.will_close]
    if len(channels) >= MAX_CONNECTIONS and silent:
        oldest = min(silent, key=lambda each: (each.begun is not None, each.last_activity))
        oldest.will_close = True

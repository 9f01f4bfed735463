"""Many connections, silent ones and slow ones: real sockets to a real port."""

from __future__ import annotations

import select
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from shelly_local.http import connections
from shelly_local.vision.classifier import EmotionClassifier
from webapp import create_app
from webapp.server import addresses, create_server


@pytest.fixture
def place(classifier: EmotionClassifier) -> Iterator[tuple[str, int]]:
    server = create_server(create_app(classifier), port=0)

    def run() -> None:
        with suppress(OSError):  # its socket is closed under it at the end
            server.run()

    threading.Thread(target=run, daemon=True).start()
    yield addresses(server)[0]
    server.task_dispatcher.shutdown()
    server.close()


@contextmanager
def connected(place: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(place, timeout=10) as line:
        yield line


def is_healthy(place: tuple[str, int]) -> bool:
    with urllib.request.urlopen(f"http://{place[0]}:{place[1]}/health", timeout=10) as response:
        return bool(response.status == 200)


def seconds_until_closed(line: socket.socket, drip: bytes = b"") -> float:
    """How long the server bears a client that sends a byte of ``drip`` now and then."""
    start = time.monotonic()
    line.settimeout(0.05)
    while time.monotonic() - start < 20:
        try:
            if drip:
                line.sendall(drip[:1])
            if line.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - start


def test_more_silent_clients_than_connections(place: tuple[str, int]) -> None:
    with ExitStack() as stack:
        for _ in range(connections.MAX_CONNECTIONS + 10):
            stack.enter_context(connected(place))
        assert is_healthy(place)


def test_when_there_are_too_many_the_one_silent_for_longest_goes(
    place: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    with ExitStack() as stack:
        lines = [stack.enter_context(connected(place)) for _ in range(25)]
        assert is_healthy(place)
        time.sleep(1.5)  # connections are looked at once a second
        closed = select.select(lines, [], [], 0)[0]
    assert set(lines[:5]) <= set(closed) <= set(lines[:6])  # the sixth where health needed room


def test_several_hundred_have_room(place: tuple[str, int]) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(connected(place)) for _ in range(450)]
        assert is_healthy(place)
        assert not select.select(lines, [], [], 0)[0]  # none was closed


def test_a_request_under_way_keeps_its_connection(place: tuple[str, int]) -> None:
    with connected(place) as line, ExitStack() as stack:
        line.sendall(b"GET /health HTTP/1.1\r\n")
        for _ in range(connections.MAX_CONNECTIONS + 10):
            stack.enter_context(connected(place))
        assert is_healthy(place)
        line.sendall(b"Host: localhost\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 200")


def test_a_silent_client_is_let_go(place: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_TIMEOUT", 0.5)
    with connected(place) as line:
        assert 0.4 < seconds_until_closed(line) < 5


def test_headers_that_drip_in_have_a_deadline(
    place: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with connected(place) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nX: ")
        assert 0.4 < seconds_until_closed(line, drip=b"a") < 5


def test_a_body_that_drips_in_has_a_deadline(
    place: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_GRACE_SECONDS", 0.5)
    with connected(place) as line:
        line.sendall(b"POST /advice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        assert 0.4 < seconds_until_closed(line, drip=b"a") < 5


def test_a_body_that_comes_fast_enough_has_time(
    place: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_GRACE_SECONDS", 0.1)
    size = 4 * connections.LEAST_RATE
    with connected(place) as line:
        line.sendall(
            b"POST /advice HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
        )
        for _ in range(8):
            line.sendall(b" " * (size // 8))
            time.sleep(0.2)
        assert line.recv(100).startswith(b"HTTP/1.1 400")  # no photo in it

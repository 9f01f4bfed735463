"""What the bodies of all requests take together, and chunks made to be slow: real sockets."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from shelly_local.http import serving
from shelly_local.http.bodies import Budget
from shelly_local.watson.server.app import create_app, finish
from shelly_local.watson.server.paths import body_limit

BUDGET = 1_000_000
PATH = "/v3/classify?version=2018-03-19"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
CHUNKED = (
    f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    f"Content-Type: {FORM['Content-Type']}\r\n\r\n"
).encode()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(serving, "Budget", lambda: Budget(BUDGET))
    app = create_app({})
    server = serving.bind(app, "127.0.0.1", 0, threads=2, body_limit=body_limit)

    def run() -> None:
        with suppress(OSError):  # its socket is closed under it at the end
            server.run()

    threading.Thread(target=run, daemon=True).start()
    yield serving.addresses(server)[0]
    server.task_dispatcher.shutdown()
    server.close()
    finish(app.extensions["recognition"])


def form(size: int) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="images_file"; filename="a.jpg"\r\n\r\n'
    return head + b"\xff\xd8\xff".ljust(size, b"a") + b"\r\n--b--\r\n"


def post(
    place: tuple[str, int], body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    line = http.client.HTTPConnection(*place, timeout=30)
    try:
        line.request("POST", PATH, body, FORM | headers)
        answer = line.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        line.close()


def test_a_body_that_finds_no_room_is_told_to_come_again(place: tuple[str, int]) -> None:
    with socket.create_connection(place, timeout=30) as other:
        other.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n".encode()
        )
        other.sendall(b"a" * 800_000)
        time.sleep(0.3)
        status, headers, text = post(place, form(300_000), {})
        assert (status, headers["Retry-After"]) == (503, "5")
        assert json.loads(text)["error"]["code"] == 503
    time.sleep(0.3)
    # The one that hung up has given back what it took, and each that was answered does.
    for _ in range(5):
        assert post(place, form(300_000), {})[0] == 400  # it is no picture


def test_what_is_unpacked_counts(place: tuple[str, int]) -> None:
    packed = gzip.compress(form(2 * BUDGET))
    assert len(packed) < BUDGET / 100
    status, _, text = post(place, packed, {"Content-Encoding": "gzip"})
    assert status == 503
    assert b"Too many uploads at once" in text
    assert post(place, gzip.compress(form(1000)), {"Content-Encoding": "gzip"})[0] == 400


@pytest.mark.parametrize("line", [b"5;" + b"x" * 8_000, b"0\r\nTrailer: " + b"x" * 8_000])
def test_a_line_between_chunks_has_an_end(place: tuple[str, int], line: bytes) -> None:
    with socket.create_connection(place, timeout=10) as client:
        client.sendall(CHUNKED + line)
        assert client.recv(100).startswith(b"HTTP/1.1 400")


def test_small_chunks_take_no_longer_than_their_number(place: tuple[str, int]) -> None:
    chunk = b"a" * 8
    body = (b"8\r\n" + chunk + b"\r\n") * 60_000  # as long as the budget has room for
    start = time.process_time()
    with socket.create_connection(place, timeout=30) as client:
        client.sendall(CHUNKED + body + b"0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")  # so much before the first part
    assert time.process_time() - start < 2.5

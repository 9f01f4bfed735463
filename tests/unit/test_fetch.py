"""Fetching a picture from a real server, and what is refused."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shelly_local.errors import FileTooLargeError
from shelly_local.watson.fetch import FetchError, fetch

PICTURE = bytes(range(256)) * 8
LIMIT = 4096


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        route, _, rest = self.path.strip("/").partition("/")
        with contextlib.suppress(OSError):
            getattr(self, f"answer_{route}", self.answer_missing)(rest)

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_picture(self, _: str) -> None:
        self.send(200, PICTURE, Content_Length=str(len(PICTURE)))

    def answer_echo(self, _: str) -> None:
        self.send(200, f"{self.path} {self.headers['Host']}".encode())

    def answer_redirect(self, count: str) -> None:
        target = f"/redirect/{int(count) - 1}" if int(count) > 1 else "/picture"
        self.send(302, Location=target)

    def answer_private(self, _: str) -> None:
        self.send(302, Location="http://10.0.0.1/picture")

    def answer_file(self, _: str) -> None:
        self.send(302, Location="file:///etc/hostname")

    def answer_forbidden(self, _: str) -> None:
        self.send(403)

    def answer_missing(self, _: str) -> None:
        self.send(404)

    def answer_short(self, _: str) -> None:
        self.send(200, PICTURE, Content_Length=str(len(PICTURE) + 1))

    def answer_endless(self, _: str) -> None:
        self.send(200)
        while True:
            self.wfile.write(PICTURE)

    def answer_drip(self, _: str) -> None:
        self.send(200)
        while True:
            self.wfile.write(b".")
            time.sleep(0.05)

    def answer_drip_header(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        while True:
            self.wfile.write(b".")
            time.sleep(0.05)

    def answer_garbage(self, _: str) -> None:
        self.wfile.write(b"+OK POP3 ready\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_and_its_address(port: int) -> None:
    url = f"http://127.0.0.1:{port}/picture"
    fetched = fetch(url, max_bytes=LIMIT, loopback=True)
    assert (fetched.data, fetched.resolved_url) == (PICTURE, url)


def test_query_and_other_alphabets_are_encoded(port: int) -> None:
    url = f"http://127.0.0.1:{port}/echo/Müsli%20a?größe=1&b=%26#part"
    data = fetch(url, max_bytes=LIMIT, loopback=True).data
    assert data == f"/echo/M%C3%BCsli%20a?gr%C3%B6%C3%9Fe=1&b=%26 127.0.0.1:{port}".encode()


def test_a_file_of_just_the_limit_is_fetched(port: int) -> None:
    url = f"http://127.0.0.1:{port}/picture"
    assert fetch(url, max_bytes=len(PICTURE), loopback=True).data == PICTURE
    with pytest.raises(FileTooLargeError, match=str(len(PICTURE) - 1)):
        fetch(url, max_bytes=len(PICTURE) - 1, loopback=True)


def test_an_endless_file_is_cut_at_the_limit(port: int) -> None:
    with pytest.raises(FileTooLargeError):
        fetch(f"http://127.0.0.1:{port}/endless", max_bytes=LIMIT, loopback=True)


def test_five_redirects_are_followed(port: int) -> None:
    fetched = fetch(f"http://127.0.0.1:{port}/redirect/5", max_bytes=LIMIT, loopback=True)
    assert fetched.data == PICTURE
    assert fetched.resolved_url == f"http://127.0.0.1:{port}/picture"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("redirect/6", "redirected more than 5 times"),
        ("private", "Access to '10.0.0.1' is refused"),
        ("file", "Invalid URL specified (The url is 'file:///etc/hostname'"),
        ("forbidden", "Access forbidden by target server"),
        ("missing", "status 404"),
        ("short", "broke off"),
        ("garbage", "not valid HTTP"),
    ],
)
def test_bad_answers(port: int, path: str, reason: str) -> None:
    with pytest.raises(FetchError, match="URL Fetcher error: Could not fetch URL: ") as caught:
        fetch(f"http://127.0.0.1:{port}/{path}", max_bytes=LIMIT, loopback=True)
    assert reason in str(caught.value)
    assert caught.value.code == 400


@pytest.mark.parametrize("path", ["drip", "drip_header"])
def test_a_server_that_drips_is_left_at_the_deadline(port: int, path: str) -> None:
    with pytest.raises(FetchError, match="Timeout exceeded when loading resource"):
        fetch(f"http://127.0.0.1:{port}/{path}", max_bytes=LIMIT, loopback=True, timeout=0.4)


def test_a_server_that_never_answers_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(FetchError, match="Timeout exceeded"):
            fetch(url, max_bytes=LIMIT, loopback=True, timeout=0.4)
        with pytest.raises(FetchError, match="Timeout exceeded"):
            fetch(url.replace("http", "https"), max_bytes=LIMIT, loopback=True, timeout=0.4)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(f"http://127.0.0.1:{port}/", max_bytes=LIMIT, loopback=True)


def test_https_to_a_server_without_tls(port: int) -> None:
    with pytest.raises(FetchError, match="cannot be reached, or broke the connection off"):
        fetch(f"https://127.0.0.1:{port}/picture", max_bytes=LIMIT, loopback=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[fec0::1]",
        "[ff02::1]",
    ],
)
def test_addresses_off_the_public_internet_are_refused(host: str) -> None:
    with pytest.raises(FetchError, match="is refused: it is not on the public internet"):
        fetch(f"http://{host}/", max_bytes=LIMIT)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "169.254.169.254", "[fe80::1]"])
def test_loopback_does_not_allow_other_private_addresses(host: str) -> None:
    with pytest.raises(FetchError, match="is refused"):
        fetch(f"http://{host}/", max_bytes=LIMIT, loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "me.jpg",
        "ftp://example.org/a.jpg",
        "file:///etc/hostname",
        "http://",
        "http://user:secret@example.org/",
        "http://example.org/a b.jpg",
        "http://example.org/\r\nX-Other: 1",
        "http://example.org:99999/",
        "http://[::1/",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(FetchError, match="Invalid URL specified") as caught:
        fetch(url, max_bytes=LIMIT)
    assert "http:// and https://" in str(caught.value)


def test_a_name_without_an_address() -> None:
    with pytest.raises(
        FetchError, match=r"Unable to resolve host name \(The host is 'nowhere\.invalid'"
    ):
        fetch("http://nowhere.invalid/a.jpg", max_bytes=LIMIT)


def _resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let the system's resolver know the name photos.test; returns the questions it gets."""
    asked: list[str] = []
    genuine = socket.getaddrinfo

    def answer(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        if host != "photos.test":
            return genuine(host, *args, **kwargs)
        asked.append(host)
        return [entry for address in addresses for entry in genuine(address, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def test_a_name_is_resolved_once_for_check_and_connection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _resolve(monkeypatch, "127.0.0.1")
    data = fetch(f"http://photos.test:{port}/echo", max_bytes=LIMIT, loopback=True).data
    assert data == f"/echo photos.test:{port}".encode()
    assert len(asked) == 1


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve(monkeypatch, "93.184.215.14", "192.168.0.1")
    with pytest.raises(FetchError, match=r"Access to 'photos\.test' is refused"):
        fetch("http://photos.test/", max_bytes=LIMIT)

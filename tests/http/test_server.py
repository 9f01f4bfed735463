"""Serving the web application: a real server on a real port."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from shelly_local.errors import ShellyError
from shelly_local.vision.classifier import EmotionClassifier
from tests.conftest import ROOT
from tests.http.test_webapp import data_url
from webapp import MAX_BODY_BYTES, create_app
from webapp.server import addresses, create_server, is_loopback


@pytest.fixture(scope="module")
def app(classifier: EmotionClassifier) -> Flask:
    return create_app(classifier)


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server = create_server(app, port=0)

    def run() -> None:
        with suppress(OSError):  # its socket is closed under it at the end
            server.run()

    threading.Thread(target=run, daemon=True).start()
    ((host, port),) = addresses(server)
    yield f"http://{host}:{port}"
    server.close()


def test_answers_a_photo(url: str, smiling_photo: Path) -> None:
    body = json.dumps({"image": data_url(smiling_photo.read_bytes())}).encode()
    with urllib.request.urlopen(f"{url}/advice", body, timeout=60) as response:
        assert json.load(response)["emotion"] == "happiness"


def test_a_large_body_reaches_no_file(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: object, **__: object) -> None:
        raise AssertionError("a request body was written to a temporary file")

    monkeypatch.setattr("tempfile.TemporaryFile", no_file)
    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.__init__", no_file)
    body = json.dumps({"image": data_url(bytes(9 * 2**20))}).encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}/advice", body, timeout=60)
    assert json.load(caught.value)["message"] == "bad-image"


def test_explains_a_body_over_the_limit(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}/advice", b" " * (MAX_BODY_BYTES + 1), timeout=60)
    assert caught.value.code == 413
    assert json.load(caught.value)["message"] == "too-large"


def test_address_in_use(app: Flask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ShellyError, match=f"cannot listen on 127.0.0.1, port {port}"):
            create_server(app, port=port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"port": 65536}, "65536"), ({"port": -1}, "-1")],
)
def test_numbers_out_of_range(app: Flask, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ShellyError, match=words):
        create_server(app, **arguments)


def test_another_loopback_address_answers_to_its_name(classifier: EmotionClassifier) -> None:
    app = create_app(classifier)
    create_server(app, host="127.0.0.2", port=0).close()
    client = app.test_client()
    for host, status in (("127.0.0.2:80", 200), ("localhost", 200), ("sea.example", 403)):
        assert client.get("/health", headers={"Host": host}).status_code == status


def test_any_host_name_when_open_to_the_network(classifier: EmotionClassifier) -> None:
    app = create_app(classifier)
    create_server(app, host="0.0.0.0", port=0).close()
    response = app.test_client().get("/health", headers={"Host": "sea.example"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("sea.example", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(stop: signal.Signals) -> None:
    """Serving needs no model here: the signal is what matters."""
    program = (
        "from tests.http.test_webapp import BrokenClassifier\n"
        "from webapp import create_app\n"
        "from webapp.server import serve\n"
        "serve(create_app(BrokenClassifier()), port=0)\n"
        "print('stopped')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        with urllib.request.urlopen(f"{address}health", timeout=60) as response:
            assert json.load(response) == {"status": "ok"}
        process.send_signal(stop)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output, errors) == (0, "stopped\n", "")

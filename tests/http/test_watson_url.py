"""Pictures by their address: ``url`` of ``/v3/classify``, at the real server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.watson_server import CLASSIFY, WatsonServer, part, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data")) as running_server:
        yield running_server


@pytest.fixture
def picture(smiling_photo: Path) -> bytes:
    return part("images_file", smiling_photo.read_bytes(), "me.jpg", "image/jpeg")


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    data_dir = tmp_path_factory.mktemp("data")
    with running("--allow-url", "loopback", data_dir=data_dir) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def address(smiling_photo: Path) -> Iterator[str]:
    photo = smiling_photo.read_bytes()

    class Pictures(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/me.jpg")
            elif self.path == "/inside":
                self.send_response(302)
                self.send_header("Location", "http://10.0.0.1/me.jpg")
            else:
                self.send_response(200 if self.path == "/me.jpg" else 404)
            self.end_headers()
            if self.path == "/me.jpg":
                self.wfile.write(photo)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as pictures:
        threading.Thread(target=pictures.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{pictures.server_port}"
        pictures.shutdown()


def test_off_unless_switched_on(server: WatsonServer, address: str) -> None:
    reply = server.send(CLASSIFY, part("url", f"{address}/me.jpg", kind="text/plain"))
    assert reply.status == 400
    (image,) = reply.json["images"]
    assert image["source_url"] == f"{address}/me.jpg"
    assert "switched off" in image["error"]["description"]


def test_get_and_post(fetching: WatsonServer, address: str) -> None:
    path = f"{CLASSIFY}&url={address}/me.jpg"
    for reply in (
        fetching.get(path),
        fetching.send(CLASSIFY, part("url", f"{address}/me.jpg")),
        fetching.send(path, part("classifier_ids", "emotion")),
        fetching.send(CLASSIFY, part("parameters", json.dumps({"url": f"{address}/me.jpg"}))),
    ):
        assert reply.status == 200
        assert list(reply.classes) == ["happiness"]
        (image,) = reply.json["images"]
        assert image["source_url"] == image["resolved_url"] == f"{address}/me.jpg"
        assert "image" not in image
    # As clients of 2016 asked for a url, with all options in the query.
    both = fetching.get(f"{path}&classifier_ids=emotion,default&owners=me,IBM&threshold=0")
    results = both.json["images"][0]["classifiers"]
    assert [entry["classifier_id"] for entry in results] == ["emotion", "default"]
    assert len(both.classes) == 7


def test_beside_a_file_and_redirected(fetching: WatsonServer, address: str, picture: bytes) -> None:
    reply = fetching.send(CLASSIFY, picture, part("url", f"{address}/moved"))
    file, fetched = reply.json["images"]
    assert file["image"] == "me.jpg"
    assert fetched["source_url"] == f"{address}/moved"
    assert fetched["resolved_url"] == f"{address}/me.jpg"
    assert reply.json["images_processed"] == 2


@pytest.mark.parametrize("target", ["http://10.0.0.1/x.jpg", "http://[fd00::1]/", "/inside"])
def test_private_addresses(fetching: WatsonServer, address: str, target: str) -> None:
    url = address + target if target.startswith("/") else target
    reply = fetching.send(CLASSIFY, part("url", url))
    assert reply.status == 400
    description = reply.json["images"][0]["error"]["description"]
    assert description.startswith("URL Fetcher error: Could not fetch URL: ")


def test_a_bad_url_beside_a_good_file(fetching: WatsonServer, address: str, picture: bytes) -> None:
    reply = fetching.send(CLASSIFY, picture, part("url", f"{address}/none.jpg"))
    assert reply.status == 200
    assert "error" in reply.json["images"][1]


def test_slow_addresses_hold_nobody_up(tmp_path: Path, picture: bytes, smiling_photo: Path) -> None:
    asked = threading.Semaphore(0)
    release = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.release()
            release.wait(30)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(smiling_photo.read_bytes())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with (
        running("--allow-url", "loopback", "--threads", "1", data_dir=tmp_path) as server,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as pictures,
        ThreadPoolExecutor(8) as pool,
    ):
        threading.Thread(target=pictures.serve_forever, daemon=True).start()
        url = part("url", f"http://127.0.0.1:{pictures.server_port}/")
        waiting = [pool.submit(server.send, CLASSIFY, url) for _ in range(4)]
        for _ in waiting:
            assert asked.acquire(timeout=30)
        assert list(server.send(CLASSIFY, picture).classes) == ["happiness"]
        release.set()
        assert {next(iter(reply.result().classes)) for reply in waiting} == {"happiness"}
        pictures.shutdown()


@pytest.mark.parametrize("url", ["http://\\ud800", "http://127.0.0.1/\\ud800", "\\udfff"])
def test_half_a_surrogate_pair_in_an_address(
    server: WatsonServer, fetching: WatsonServer, url: str
) -> None:
    for each in (server, fetching):
        reply = each.send(CLASSIFY, part("parameters", f'{{"url": "{url}"}}'))
        assert reply.status == 400
        assert "URL Fetcher error" in reply.json["images"][0]["error"]["description"]

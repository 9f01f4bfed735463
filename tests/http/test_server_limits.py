"""A busy, a logging and a stopping server: real requests to real ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from shelly_local.backends import open_backend
from shelly_local.vision.classifier import EmotionClassifier
from tests.conftest import ROOT
from tests.fake_clouds import FakeCloud, rekognition_face, serving
from tests.http.test_webapp import data_url
from webapp import Classifier, create_app
from webapp.server import addresses, create_server

TIMEOUT = 30
FACES = {"FaceDetails": [rekognition_face(0.2, 0.4, HAPPY=90.0, CALM=10.0)]}


class HeldCloud:
    """A fake cloud that keeps its answers until told, and counts the calls it holds."""

    def __init__(self, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.release = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._respond = cloud.respond
        monkeypatch.setattr(cloud, "respond", self.respond)

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.arrived.release()
        self.release.wait(TIMEOUT)
        with self._lock:
            self.at_once -= 1
        self._respond(handler)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldCloud]:
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with serving((200, FACES)) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL", fake.url)
        held = HeldCloud(fake, monkeypatch)
        yield held
        held.release.set()


@contextmanager
def running(app: Flask) -> Iterator[str]:
    server = create_server(app, port=0)

    def run() -> None:
        with suppress(OSError):  # its socket is closed under it at the end
            server.run()

    threading.Thread(target=run, daemon=True).start()
    ((host, port),) = addresses(server)
    yield f"http://{host}:{port}"
    server.task_dispatcher.shutdown()  # as run() does where it is stopped by a signal
    server.close()


def post(url: str, photo: Path) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and JSON of an answer."""
    body = json.dumps({"image": data_url(photo.read_bytes())}).encode()
    try:
        with urllib.request.urlopen(f"{url}/advice", body, timeout=TIMEOUT) as response:
            return response.status, dict(response.headers), json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.load(error)


def behind(classifier: EmotionClassifier) -> dict[str, Classifier]:
    """The cloud of the environment, as the default, and a local classifier."""
    return {"rekognition": open_backend("rekognition", attempts=1), "local": classifier}


def test_a_full_queue_says_when_to_come_again(
    cloud: HeldCloud, classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    app = create_app(behind(classifier), {"THREADS": 2, "QUEUE": 1})
    with running(app) as url, ThreadPoolExecutor(6) as pool:
        under_way = [pool.submit(post, url, smiling_photo) for _ in range(3)]
        for _ in range(2):
            assert cloud.arrived.acquire(timeout=TIMEOUT)
        refused: list[Future[Any]] = [pool.submit(post, url, smiling_photo) for _ in range(3)]
        # Whichever of the six came third waits; the cloud answers nobody yet.
        answered_early = [
            future.result() for future in (*under_way, *refused) if _done_within(future, 3)
        ]
        assert [status for status, _, _ in answered_early] == [503, 503, 503]
        for _, headers, answer in answered_early:
            assert int(headers["Retry-After"]) >= 1
            assert answer["message"] == "busy"
        with urllib.request.urlopen(f"{url}/health", timeout=TIMEOUT) as response:
            assert response.status == 200
        cloud.release.set()
        statuses = sorted(future.result()[0] for future in (*under_way, *refused))
        assert statuses == [200, 200, 200, 503, 503, 503]
        assert cloud.most_at_once == 2
        assert post(url, smiling_photo)[0] == 200


def _done_within(future: Future[Any], seconds: float) -> bool:
    with suppress(TimeoutError):
        future.exception(timeout=seconds)
    return future.done()


def test_a_wait_that_takes_too_long_ends(
    cloud: HeldCloud, classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    app = create_app(behind(classifier), {"THREADS": 1, "QUEUE": 1, "MAX_WAIT": 0.2})
    with running(app) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, url, smiling_photo)
        assert cloud.arrived.acquire(timeout=TIMEOUT)
        status, headers, answer = post(url, smiling_photo)
        assert (status, answer["message"]) == (503, "busy")
        assert "Retry-After" in headers
        cloud.release.set()
        assert first.result()[0] == 200


def test_no_answer_or_body_becomes_a_file(
    classifier: EmotionClassifier,
    group_photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and str(arguments[0]).startswith(str(tmp_path)):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)  # cannot be removed, only silenced
    with running(create_app(classifier)) as url:
        body = {"image": data_url(group_photo.read_bytes()), "crops": True, "pad": "x" * 9_000_000}
        request = urllib.request.Request(f"{url}/advice", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            assert len(json.load(response)["people"]) == 4
    watching.clear()
    assert opened == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_logs_hold_neither_photo_nor_result(
    classifier: EmotionClassifier,
    smiling_photo: Path,
    capsys: pytest.CaptureFixture[str],
    log_format: str,
) -> None:
    with running(create_app(classifier, {"REQUEST_LOG": log_format})) as url:
        assert post(url, smiling_photo)[0] == 200
        urllib.request.urlopen(f"{url}/advice?emotion=fear&after=3", timeout=TIMEOUT).close()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}/a%0Ab%20c", timeout=TIMEOUT)
    log = capsys.readouterr().err
    lines = log.splitlines()
    assert len(lines) == 3
    for word in ("happiness", "fear", "after", "data:", "base64", smiling_photo.name):
        assert word not in log
    if log_format == "json":
        entries = [json.loads(line) for line in lines]
        assert set(entries[0]) == {"time", "method", "path", "status", "ms", "bytes"}
        assert [entry["status"] for entry in entries] == [200, 200, 404]
        assert [entry["method"] for entry in entries] == ["POST", "GET", "GET"]
        assert entries[2]["path"] == "/a\nb c"
        assert entries[0]["ms"] > 1
        assert entries[0]["bytes"] > 500
    else:
        assert " POST /advice 200 " in lines[0]
        assert r" GET /a\nb\x20c 404 " in lines[2]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_defect_is_logged_in_the_same_format(
    smiling_photo: Path, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    from tests.http.test_webapp import BrokenClassifier

    with running(create_app(BrokenClassifier(), {"REQUEST_LOG": log_format})) as url:
        assert post(url, smiling_photo)[0] == 500
    log = capsys.readouterr().err
    assert "RuntimeError: secret detail" in log
    if log_format == "json":
        defect, line = (json.loads(line) for line in log.splitlines())
        assert (defect["level"], line["status"]) == ("ERROR", 500)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_answered_before_the_end(
    cloud: HeldCloud, smiling_photo: Path, stop: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "shelly_local", "web", "--log-format", "json"],
        cwd=ROOT,
        env={**os.environ, "SHELLY_PORT": "0", "SHELLY_BACKEND": "rekognition"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3].rstrip("/")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, url, smiling_photo)
            assert cloud.arrived.acquire(timeout=TIMEOUT)
            process.send_signal(stop)
            assert not _done_within(answer, 0.5)
            cloud.release.set()
            status, _, content = answer.result(timeout=TIMEOUT)
        assert (status, content["emotion"]) == (200, "happiness")
        output, log = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert (process.returncode, output) == (0, "")
    assert [json.loads(line)["status"] for line in log.splitlines()] == [200]


def test_allowed_hosts_are_flags_too(smiling_photo: Path) -> None:
    command = ["web", "--host", "0.0.0.0", "--port", "0", "--allowed-host", "Sea.Example"]
    process = subprocess.Popen(
        [sys.executable, "-m", "shelly_local", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split()[3].rstrip("/").rpartition(":")[2]
        statuses = []
        for host in ("sea.example", f"sea.example:{port}", "127.0.0.1", "evil.example"):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/health")
            request.add_header("Host", host)
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                    statuses.append(response.status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)
        assert statuses == [200, 200, 200, 403]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert "anyone in your network can reach this page" in errors

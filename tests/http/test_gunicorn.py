"""Page and API as WSGI applications: gunicorn runs two workers at one port, on one data folder."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.custom_pictures import OTHERS, neutral, smiling, zipped
from tests.watson_server import CLASSIFIERS, CLASSIFY, VERSION, Reply, WatsonServer, part

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork()")

KEY = "two workers"
WITH_KEY = {"Authorization": "Basic " + base64.b64encode(f"apikey:{KEY}".encode()).decode()}
SECONDS = 60


def workers(pid: int) -> list[int]:
    """The processes that answer, oldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return sorted(int(child) for child in children.split())


@contextmanager
def gunicorn(application: str, data_dir: Path, **env: str) -> Iterator[WatsonServer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "8", "--timeout", "0",
         "--bind", f"127.0.0.1:{port}", "--log-level", "error", application],
        cwd=ROOT, text=True, env={**os.environ, "SHELLY_DATA_DIR": str(data_dir), **env},
    )  # fmt: skip
    server = WatsonServer(process, f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                if len(workers(process.pid)) == 2 and server.get("/health").status == 200:
                    break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0


@contextmanager
def only(chosen: int, server: WatsonServer) -> Iterator[None]:
    """Every request goes to this worker."""
    others = [pid for pid in workers(server.process.pid) if pid != chosen]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    application = "shelly_local.watson.server:create_app()"
    with gunicorn(application, tmp_path_factory.mktemp("data"), SHELLY_APIKEY=KEY) as both:
        yield both


def path_of(classifier_id: str) -> str:
    return f"/v3/classifiers/{classifier_id}?{VERSION}"


def create(server: WatsonServer, name: str) -> str:
    smile = part("smile_positive_examples", zipped(smiling()), "smile.zip")
    calm = part("negative_examples", zipped(neutral()), "calm.zip")
    reply = server.send(CLASSIFIERS, part("name", name), smile, calm, headers=WITH_KEY)
    assert reply.status == 200, reply.body
    return str(reply.json["classifier_id"])


def wait_until_ready(server: WatsonServer, classifier_id: str) -> None:
    deadline = time.monotonic() + SECONDS
    while server.get(path_of(classifier_id), **WITH_KEY).json["status"] != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def classify(server: WatsonServer, classifier_id: str) -> Reply:
    photo = next(path for path in sorted(OTHERS.rglob("*.jpg")) if "smiling" in path.stem)
    picture = part("images_file", photo.read_bytes(), photo.name)
    asked = part("classifier_ids", classifier_id), part("threshold", "0")
    return server.send(CLASSIFY, picture, *asked, headers=WITH_KEY)


def test_created_by_one_and_used_by_the_other(server: WatsonServer) -> None:
    first, second = workers(server.process.pid)
    with only(first, server):
        classifier_id = create(server, "by the first")
        wait_until_ready(server, classifier_id)
        answer = classify(server, classifier_id)
        assert set(answer.classes) == {"smile"}
    with only(second, server):
        assert classify(server, classifier_id).json == answer.json
        calm = part("calm_positive_examples", zipped(neutral()), "calm.zip")
        updated = server.send(path_of(classifier_id), calm, headers=WITH_KEY)
        assert updated.json["status"] == "retraining"
        wait_until_ready(server, classifier_id)
    with only(first, server):
        assert set(classify(server, classifier_id).classes) == {"smile", "calm"}
        assert server.ask("DELETE", path_of(classifier_id), headers=WITH_KEY).status == 200
    with only(second, server):
        assert server.get(path_of(classifier_id), **WITH_KEY).status == 404
        assert classify(server, classifier_id).status == 404


def test_both_train_at_once(server: WatsonServer) -> None:
    made = []
    for pid in workers(server.process.pid):
        with only(pid, server):
            made.append(create(server, f"by {pid}"))
    assert made[0] != made[1]
    for classifier_id in made:
        wait_until_ready(server, classifier_id)
    for pid in workers(server.process.pid):
        with only(pid, server):
            listed = server.get(CLASSIFIERS, **WITH_KEY).json["classifiers"]
            assert {entry["classifier_id"] for entry in listed} == set(made)


def test_a_token_of_one_opens_the_other(server: WatsonServer) -> None:
    first, second = workers(server.process.pid)
    with only(first, server):
        body = f"apikey={KEY.replace(' ', '+')}".encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        token = server.ask("POST", "/identity/token", body, kind).json["access_token"]
    with only(second, server):
        assert server.get(CLASSIFIERS, Authorization=f"Bearer {token}").status == 200
        assert server.get(CLASSIFIERS, Authorization=f"Bearer {token[:-3]}xyz").status == 401


def test_bodies_in_chunks_and_too_large_ones(server: WatsonServer, smiling_photo: Path) -> None:
    picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
    for chunked in (False, True):
        reply = server.send(CLASSIFY, picture, headers=WITH_KEY, chunked=chunked)
        assert "happiness" in reply.classes
        too_much = part("url", "a" * 3_000_000)
        reply = server.send(CLASSIFY, too_much, headers=WITH_KEY, chunked=chunked)
        assert reply.status == 400


def test_page_and_api_beside_it(tmp_path: Path, smiling_photo: Path) -> None:
    with gunicorn("webapp:create_app()", tmp_path) as server:
        assert "<html" in server.get("/").body.decode()
        picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
        assert list(server.send(CLASSIFY, picture).classes) == ["happiness"]
        assert server.get("/", Host="evil.example").status == 403

"""``shelly serve --processes 2``: two processes behind one port, on one data folder.

One of them is paused with SIGSTOP, so that the other is the one that answers.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.custom_pictures import OTHERS, neutral, smiling, zipped
from tests.unit.test_cli import finish, interruptible, start, wait_until
from tests.watson_server import (
    CLASSIFIERS,
    CLASSIFY,
    VERSION,
    Reply,
    WatsonServer,
    command,
    part,
    running,
)

KEY = "two processes"
WITH_KEY = {"Authorization": "Basic " + base64.b64encode(f"apikey:{KEY}".encode()).decode()}


def children(pid: int) -> list[int]:
    """The processes that answer, oldest first."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and "spawn_main" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except (OSError, ValueError):  # no process, or it ended meanwhile
            continue
    return sorted(found)


@contextmanager
def only(chosen: int, server: WatsonServer) -> Iterator[None]:
    """Every request goes to this process."""
    others = [pid for pid in children(server.process.pid) if pid != chosen]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    data_dir = tmp_path_factory.mktemp("data")
    options = ("--processes", "2")
    with running(*options, data_dir=data_dir, env={"SHELLY_APIKEY": KEY}) as both:
        yield both


@pytest.fixture
def pair(server: WatsonServer) -> tuple[int, int]:
    first, second = children(server.process.pid)
    return first, second


def path_of(classifier_id: str) -> str:
    return f"/v3/classifiers/{classifier_id}?{VERSION}"


def create(server: WatsonServer, name: str) -> str:
    smile = part("smile_positive_examples", zipped(smiling()), "smile.zip")
    calm = part("negative_examples", zipped(neutral()), "calm.zip")
    reply = server.send(CLASSIFIERS, part("name", name), smile, calm, headers=WITH_KEY)
    assert reply.status == 200, reply.body
    return str(reply.json["classifier_id"])


def status(server: WatsonServer, classifier_id: str) -> str:
    return str(server.get(path_of(classifier_id), **WITH_KEY).json.get("status"))


def classify(server: WatsonServer, classifier_id: str) -> Reply:
    photo = next(path for path in sorted(OTHERS.rglob("*.jpg")) if "smiling" in path.stem)
    picture = part("images_file", photo.read_bytes(), photo.name)
    asked = part("classifier_ids", classifier_id), part("threshold", "0")
    return server.send(CLASSIFY, picture, *asked, headers=WITH_KEY)


def test_created_by_one_and_used_by_the_other(server: WatsonServer, pair: tuple[int, int]) -> None:
    first, second = pair
    with only(first, server):
        classifier_id = create(server, "by the first")
        wait_until(lambda: status(server, classifier_id) == "ready")
        answer = classify(server, classifier_id)
        assert set(answer.classes) == {"smile"}
    with only(second, server):
        assert classify(server, classifier_id).json == answer.json
        calm = part("calm_positive_examples", zipped(neutral()), "calm.zip")
        updated = server.send(path_of(classifier_id), calm, headers=WITH_KEY)
        assert updated.json["status"] == "retraining"
        wait_until(lambda: status(server, classifier_id) == "ready")
    with only(first, server):
        assert set(classify(server, classifier_id).classes) == {"smile", "calm"}
        assert server.ask("DELETE", path_of(classifier_id), headers=WITH_KEY).status == 200
    with only(second, server):
        assert server.get(path_of(classifier_id), **WITH_KEY).status == 404
        assert classify(server, classifier_id).status == 404


def test_both_train_at_once(server: WatsonServer, pair: tuple[int, int]) -> None:
    made = []
    for pid in pair:
        with only(pid, server):
            made.append(create(server, f"by {pid}"))
    assert made[0] != made[1]
    for pid in pair:
        wait_until(lambda: all(status(server, each) == "ready" for each in made))
        with only(pid, server):
            listed = server.get(CLASSIFIERS, **WITH_KEY).json["classifiers"]
            assert {entry["classifier_id"] for entry in listed} == set(made)
            for classifier_id in made:
                assert set(classify(server, classifier_id).classes) == {"smile"}


def test_a_token_of_one_opens_the_other(server: WatsonServer, pair: tuple[int, int]) -> None:
    first, second = pair
    with only(first, server):
        body = f"apikey={KEY.replace(' ', '+')}".encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        token = server.ask("POST", "/identity/token", body, kind).json["access_token"]
    with only(second, server):
        assert server.get(CLASSIFIERS, Authorization=f"Bearer {token}").status == 200
        assert server.get(CLASSIFIERS, Authorization=f"Bearer {token[:-3]}xyz").status == 401


def test_another_takes_the_place_of_one_that_dies(
    server: WatsonServer, pair: tuple[int, int]
) -> None:
    first, second = pair
    os.kill(first, signal.SIGKILL)
    assert server.get(CLASSIFIERS, **WITH_KEY).status == 200
    wait_until(lambda: len(set(children(server.process.pid)) - {first}) == 2)
    (new,) = set(children(server.process.pid)) - {first, second}
    with only(new, server):
        assert server.get("/ready").json == {"status": "ready"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_all_end_together(how: signal.Signals, tmp_path: Path) -> None:
    arguments = command("--processes", "2", data_dir=tmp_path)[3:]
    parent = interruptible(*arguments)
    assert parent.stdout is not None
    assert b" is at http://127.0.0.1:" in parent.stdout.readline()
    answering = children(parent.pid)
    assert len(answering) == 2
    parent.send_signal(how)
    outcome = finish(parent)
    assert outcome == (-9 if how == signal.SIGKILL else 0, "", "")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in answering))


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    options = ("--processes", "2", "--model", str(tmp_path))
    outcome = finish(start(*command(*options, data_dir=tmp_path)[3:]))
    assert (outcome.code, outcome.out) == (1, "")
    assert f"shelly: {tmp_path} is not a model directory" in outcome.err
    assert outcome.err.endswith("shelly: a server process cannot start\n")
    assert "Traceback" not in outcome.err


def test_a_port_in_use_is_one_line(server: WatsonServer, tmp_path: Path) -> None:
    port = server.authority.rpartition(":")[2]
    arguments = command("--processes", "2", data_dir=tmp_path)[3:]
    arguments[arguments.index("--port") + 1] = port
    outcome = finish(start(*arguments, stdin=subprocess.DEVNULL))
    assert outcome.code == 1
    assert outcome.err.startswith(f"shelly: cannot listen on 127.0.0.1, port {port}: ")

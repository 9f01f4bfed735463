"""The server killed with SIGKILL, again and again, in the midst of create, update and delete.

python -m tests.http.test_watson_kill 100     # more rounds than the test does
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.custom_pictures import OTHERS, neutral, smiling, zipped
from tests.watson_server import CLASSIFIERS, CLASSIFY, VERSION, WatsonServer, part, running

#: Two servers with a folder each, at the same time.
SERVERS, ROUNDS = 2, 10
#: Longest time in seconds from the call to the kill: about that of the training it begins.
LATEST = {"create": 2.5, "update": 1.0, "delete": 0.05}
#: The same for every other kill, which is to come before the answer: about that of a call.
DURING = 0.04
SMILE = part("smile_positive_examples", zipped(smiling()))
CALM = part("negative_examples", zipped(neutral()))


@dataclass
class Expected:
    """What must be there after a kill.

    Attributes:
        ids: of classifiers whose creation was answered, and whose deletion was not begun.
        classes: of the one that is updated: what each version that may answer has.
        lasting: its id.
    """

    ids: set[str] = field(default_factory=set)
    classes: set[frozenset[str]] = field(default_factory=set)
    lasting: str = ""


def path_of(classifier_id: str) -> str:
    return f"/v3/classifiers/{classifier_id}?{VERSION}"


def create(server: WatsonServer, expected: Expected) -> None:
    reply = server.send(CLASSIFIERS, part("name", "Test"), SMILE, CALM)
    assert reply.status == 200
    expected.ids.add(reply.json["classifier_id"])


def update(server: WatsonServer, expected: Expected) -> None:
    now = server.settled(expected.lasting)
    classes = frozenset(entry["class"] for entry in now["classes"])
    more = f"more{len(classes)}"
    expected.classes = {classes, classes | {more}}
    zip_file = part(f"{more}_positive_examples", zipped(neutral()))
    assert server.send(path_of(expected.lasting), zip_file).json["status"] == "retraining"


def delete(server: WatsonServer, expected: Expected) -> None:
    if expected.ids == {expected.lasting}:
        create(server, expected)
    classifier_id = sorted(expected.ids - {expected.lasting})[0]
    expected.ids.remove(classifier_id)
    assert server.ask("DELETE", path_of(classifier_id)).status == 200


CALLS: dict[str, Callable[[WatsonServer, Expected], None]] = {
    "create": create,
    "update": update,
    "delete": delete,
}


def check(server: WatsonServer, folder: Path, expected: Expected, in_flight: bool) -> None:
    """All that was answered is there, nothing is damaged, and what was ready answers."""
    listed = server.get(f"{CLASSIFIERS}&verbose=true").json["classifiers"]
    found = {entry["classifier_id"]: entry for entry in listed}
    missing = expected.ids - found.keys()
    assert not missing, (missing, found)
    # A creation or deletion that was not answered may have been done, or not.
    assert len(found.keys() - expected.ids) <= in_flight
    expected.ids = set(found)
    for entry in listed:
        explanation = entry.get("explanation", "")
        learnt = not explanation or explanation.startswith("Learnt from faces: ")
        assert learnt or "interrupted" in explanation, entry
        assert not learnt or entry["status"] != "failed", entry
        assert entry["created"]
    if expected.lasting:
        assert found[expected.lasting]["status"] in ("ready", "retraining")
        assert answers(server, expected.lasting) in expected.classes
    for classifier_id in found:
        assert json.loads((folder / "classifiers" / classifier_id / "classifier.json").read_bytes())


def answers(server: WatsonServer, classifier_id: str) -> frozenset[str]:
    """The classes of an answer, which is right for a smile."""
    picture = part("images_file", (OTHERS / "064-smiling.jpg").read_bytes())
    asked = [part("classifier_ids", classifier_id), part("threshold", "0")]
    classes = server.send(CLASSIFY, picture, *asked).classes
    assert next(iter(classes)) == "smile"
    return frozenset(classes)


def children(process_id: int) -> list[Path]:
    """The processes of a process, as folders of Linux' /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{process_id}\n" in status.read_text():
                found.append(status.parent)
        except OSError:
            continue  # it has just ended
    return found


def running_still(process: Path) -> bool:
    try:
        return "\nState:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


def killed(folder: Path, call: str, delay: float, expected: Expected, in_flight: bool) -> bool:
    """Start, check what the last kill left, begin a call, and kill.

    Returns:
        Whether the call had not been answered.
    """
    with running(data_dir=folder) as server:
        check(server, folder, expected, in_flight)
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.append(CALLS[call](server, expected))
            except (OSError, http.client.HTTPException):
                pass  # the server was killed
            except BaseException as error:
                outcome.append(error)

        if call == "update":
            server.settled(expected.lasting)  # nothing else may be done with it before
        caller = threading.Thread(target=run)
        caller.start()
        time.sleep(delay)
        workers = children(server.process.pid)
        server.process.kill()
        server.process.wait()
        caller.join()
        if outcome and outcome[0] is not None:
            raise outcome[0]
        end = time.monotonic() + 20
        while any(map(running_still, workers)):
            assert time.monotonic() < end, "a training goes on without its server"
            time.sleep(0.02)
    return not outcome


def survive(folder: Path, seed: int, rounds: int) -> None:
    """Kill a server so many times, and look at what is left."""
    rng = random.Random(seed)
    expected = Expected()
    with running(data_dir=folder) as server:
        create(server, expected)
        (expected.lasting,) = expected.ids
        assert server.settled(expected.lasting)["status"] == "ready"
        expected.classes = {frozenset(["smile"])}
    in_flight = False
    for number in range(rounds):
        call = list(CALLS)[(number + seed) % len(CALLS)]
        latest = LATEST[call] if number % 2 else DURING
        in_flight = killed(folder, call, rng.random() * latest, expected, in_flight)
        print(seed, number, call, "cut off" if in_flight else "answered", flush=True)
    with running(data_dir=folder) as server:
        check(server, folder, expected, in_flight)
        for classifier_id in sorted(expected.ids):
            found = server.settled(classifier_id)
            if found["status"] == "ready":
                assert answers(server, classifier_id) == {c["class"] for c in found["classes"]}
        # The next that is created sweeps up whatever was begun; then all of it can go.
        create(server, expected)
        for classifier_id in sorted(expected.ids - {expected.lasting}):
            assert server.ask("DELETE", path_of(classifier_id)).status == 200
        (place,) = (folder / "classifiers").iterdir()
        assert place.name == expected.lasting
        names = sorted(path.name.split("-")[0] for path in place.iterdir())
        assert names == ["classifier.json", "heads", "pictures"]


def test_killed_twenty_times(tmp_path: Path) -> None:
    with ThreadPoolExecutor(SERVERS) as pool:
        jobs = [pool.submit(survive, tmp_path / str(n), n, ROUNDS) for n in range(SERVERS)]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        survive(Path(name), int(sys.argv[2]) if len(sys.argv) > 2 else 0, int(sys.argv[1]))

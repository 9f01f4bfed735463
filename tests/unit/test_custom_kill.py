"""A process killed at any moment: nothing is lost, and nothing is half there.

python -m tests.unit.test_custom_kill 20     # more rounds than the tests do
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from shelly_local.watson.custom import CustomClassifiers
from tests.custom_pictures import neutral, settled, smiling, zipped

#: Says what it is about to do, and what it has been told is done, until it is killed.
BUSY = """
import itertools, random, sys, time
from tests.custom_pictures import *
rng = random.Random(int(sys.argv[2]))
smiles, plain = zipped(smiling()), zipped(neutral())
custom = CustomClassifiers(sys.argv[1])
def say(*words):
    print(*words, flush=True)
say("open")
for number in itertools.count():
    found = custom.list()["classifiers"]
    ids = [item["classifier_id"] for item in found]
    ready = [item["classifier_id"] for item in found if item["status"] == "ready"]
    if len(ids) > 3:
        classifier_id = rng.choice(ids)
        say("deleting", classifier_id)
        custom.delete(classifier_id)
        say("deleted", classifier_id)
    elif ready and rng.random() < 0.5:
        classifier_id = rng.choice(ready)
        say("updating", classifier_id)
        custom.update(classifier_id, {"smile": smiles, f"more{number}": plain})
        say("updated", classifier_id)
    else:
        classifier = custom.create("Test", {"smile": smiles, "plain": plain})
        say("created", classifier["classifier_id"])
    time.sleep(rng.random() * 0.8)
"""


def killed(folder: Path, seed: int, expected: set[str]) -> set[str]:
    """Run and kill; the ids that must be there, from those that had to be before.

    An id that was being deleted may be there or not, and is left out.
    """
    command = [sys.executable, "-c", BUSY, str(folder), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(random.Random(seed).random() * 2.5)
        process.kill()
        said = [line.split() for line in process.stdout.read().splitlines()]
    assert process.returncode in (-signal.SIGKILL, 1)
    for what, classifier_id in said:
        if what == "created":
            expected = expected | {classifier_id}
        elif what in ("deleting", "deleted"):
            expected = expected - {classifier_id}
    return expected


def check(folder: Path, expected: set[str]) -> set[str]:
    """Open the folder after a kill and see that everything in it is whole; all ids."""
    custom = CustomClassifiers(folder)
    try:
        found = {item["classifier_id"] for item in custom.list()["classifiers"]}
        assert expected <= found
        for classifier_id in found:
            classifier = settled(custom, classifier_id)
            explanation = classifier.get("explanation", "")
            assert "damaged" not in explanation
            if classifier["status"] == "failed":
                assert "interrupted before all pictures were read; create it again" in explanation
            else:
                scores = custom.scores(classifier_id, np.zeros((1, width(folder))))
                assert scores.shape == (1, len(classifier["classes"]))
                assert np.isfinite(scores).all()
        # The next that writes sweeps up whatever was begun.
        extra = custom.create("Last", {"smile": zipped(smiling()), "plain": zipped(neutral())})
        custom.delete(extra["classifier_id"])
        for place in (folder / "classifiers").iterdir():
            assert place.name in found
            names = sorted(path.name.split("-")[0] for path in place.iterdir())
            assert names in (
                ["classifier.json"],
                ["classifier.json", "heads", "pictures"],
            )
    finally:
        custom.close()
    return found


def width(folder: Path) -> int:
    heads = next((folder / "classifiers").rglob("heads-*"))
    return int(np.load(heads)["weights"].shape[1])


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Twice; tests/http/test_watson_kill.py does it twenty times to the server."""
    ids: set[str] = set()
    for seed in range(2):
        ids = check(tmp_path, killed(tmp_path, seed, ids))


FITTING = """
import sys, threading
from tests.custom_pictures import *
from shelly_local.watson.custom.child_process import WorkerProcess
def never(*arguments):
    print("fitting", flush=True)
    threading.Event().wait()
WorkerProcess.fit = never
custom = CustomClassifiers(sys.argv[1])
custom.create("Test", {"smile": zipped(smiling()), "plain": zipped(neutral())})
threading.Event().wait()
"""


def test_what_was_read_is_trained_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FITTING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"fitting\n"
        process.kill()
    custom = CustomClassifiers(tmp_path)
    (found,) = custom.list()["classifiers"]
    assert found["status"] == "training"
    assert settled(custom, found["classifier_id"])["status"] == "ready"
    custom.close()


def test_what_was_stopped_is_trained_again_or_has_failed(tmp_path: Path) -> None:
    custom = CustomClassifiers(tmp_path)
    created = custom.create("Test", {"smile": zipped(smiling()), "plain": zipped(neutral())})
    custom.close(wait=False)
    found = settled(CustomClassifiers(tmp_path), created["classifier_id"])
    assert found["status"] == "failed"
    assert "was interrupted before all pictures were read" in found["explanation"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        ids: set[str] = set()
        for seed in range(int(sys.argv[1])):
            ids = check(Path(name), killed(Path(name), 1000 + seed, ids))
            print(seed, len(ids), flush=True)

"""The folder of custom classifiers: damage, another model, several processes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shelly_local.errors import ModelError, ShellyError
from shelly_local.vision.onnx import bundled_model
from shelly_local.watson.custom import CustomClassifiers
from shelly_local.watson.custom.folders import data_folder
from shelly_local.watson.custom.store import Store
from shelly_local.watson.responses import ApiException
from tests.custom_pictures import neutral, settled, smiling, zipped


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one trained classifier."""
    folder = tmp_path_factory.mktemp("original")
    custom = CustomClassifiers(folder)
    custom.create("Test", {"smile": zipped(smiling()), "plain": zipped(neutral())})
    custom.close()
    assert len(custom.ids()) == 1
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "data"))


@pytest.fixture
def custom(folder: Path) -> Iterator[CustomClassifiers]:
    found = CustomClassifiers(folder)
    yield found
    found.close(wait=False)


def place(folder: Path) -> Path:
    (found,) = (folder / "classifiers").iterdir()
    return found


def pictures_file(folder: Path) -> Path:
    (pictures,) = place(folder).glob("pictures-*")
    return pictures


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def turn(path: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fold_up(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (cut, turn, empty, Path.unlink, fold_up)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_heads_are_a_failure(folder: Path, damage: Callable[[Path], None]) -> None:
    (heads,) = place(folder).glob("heads-*")
    damage(heads)
    custom = CustomClassifiers(folder)
    (found,) = custom.list(verbose=True)["classifiers"]
    assert found["status"] == "failed"
    assert "damaged" in found["explanation"]
    assert "create it again" in found["explanation"]
    assert (found["name"], found["classes"]) == ("Test", [{"class": "smile"}, {"class": "plain"}])
    assert custom.ids() == ()
    with pytest.raises(ApiException, match="has failed"):
        custom.scores(found["classifier_id"], np.zeros((1, 320)))
    custom.delete(found["classifier_id"])
    assert custom.list() == {"classifiers": []}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_record_is_a_failure(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(place(folder) / "classifier.json")
    custom = CustomClassifiers(folder)
    (found,) = custom.list(verbose=True)["classifiers"]
    assert found["status"] == "failed"
    assert found["classifier_id"] == place(folder).name
    custom.delete(found["classifier_id"])
    assert custom.list() == {"classifiers": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"surprise": 1},
        {"classes": "smile"},
        {"classes": ["smile"]},
        {"heads": 5},
        {"heads": {"file": "../../secret.npz", "sha256": "0"}},
        {"classifier_id": "other_123456789"},
        {"job": {"token": 1}},
        {"job": []},
    ],
)
def test_a_record_of_another_kind_is_a_failure(folder: Path, changes: dict[str, object]) -> None:
    path = place(folder) / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    (found,) = CustomClassifiers(folder).list(verbose=True)["classifiers"]
    assert found["status"] == "failed"
    assert "damaged" in found["explanation"]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_pictures_make_an_update_fail(
    folder: Path, custom: CustomClassifiers, damage: Callable[[Path], None]
) -> None:
    (pictures,) = place(folder).glob("pictures-*")
    damage(pictures)
    (classifier_id,) = custom.ids()
    custom.update(classifier_id, {"smile": zipped(smiling())})
    found = settled(custom, classifier_id)
    assert found["status"] == "ready"  # with the earlier version
    assert "Retraining failed" in found["explanation"]
    assert custom.ids() == (classifier_id,)


def test_another_model(folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(bundled_model("emotion"), tmp_path / "model"))
    description = json.loads((model / "model.json").read_text())
    description["weights"]["emotion"]["sha256"] = "0" * 64
    (model / "model.json").write_text(json.dumps(description))
    custom = CustomClassifiers(folder, model)
    (found,) = custom.list(verbose=True)["classifiers"]
    assert found["status"] == "failed"
    assert found["explanation"] == "It was trained with another model; create it again."
    assert custom.ids() == ()
    with pytest.raises(ApiException, match="has failed and cannot be updated"):
        custom.update(found["classifier_id"], {"smile": zipped(smiling())})
    # Nothing was changed: the model it was trained with finds it as it was.
    assert CustomClassifiers(folder).ids() == (found["classifier_id"],)


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        CustomClassifiers(tmp_path, tmp_path / "none")


def test_strangers_in_the_folder_are_left_alone(folder: Path) -> None:
    (folder / "classifiers" / "notes.txt").write_text("mine")
    (folder / "classifiers" / ".new-left-behind").mkdir()
    custom = CustomClassifiers(folder)
    assert len(custom.list()["classifiers"]) == 1
    custom.delete(custom.ids()[0])
    assert [path.name for path in (folder / "classifiers").iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "data" / "lock").mkdir(parents=True)
    custom = CustomClassifiers(tmp_path / "data")
    with pytest.raises(ShellyError, match="cannot be written"):
        custom.create("Test", {"smile": zipped(smiling()), "plain": zipped(neutral())})
    custom.close(wait=False)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ShellyError, match="cannot be read"):
        CustomClassifiers(tmp_path / "file" / "data")


def test_nobody_else_can_read_the_folder(custom: CustomClassifiers, tmp_path: Path) -> None:
    fresh = CustomClassifiers(tmp_path / "fresh" / "data")
    fresh.create("Test", {"smile": zipped(smiling()), "plain": zipped(neutral())})
    fresh.close(wait=False)
    assert os.name != "posix" or stat.S_IMODE((tmp_path / "fresh" / "data").stat().st_mode) == 0o700


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    custom = CustomClassifiers(tmp_path / "none")
    assert custom.list() == {"classifiers": []}
    custom.delete_user_data("anna")
    custom.close()
    assert not (tmp_path / "none").exists()


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHELLY_DATA_DIR", str(tmp_path / "here"))
    assert data_folder() == tmp_path / "here"
    assert data_folder(tmp_path / "there") == tmp_path / "there"
    monkeypatch.delenv("SHELLY_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    assert data_folder() == tmp_path / ".local" / "share" / "shelly-local"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "xdg" / "shelly-local"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert data_folder() == tmp_path / "Library" / "Application Support" / "shelly-local"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data_folder() == tmp_path / "local" / "shelly-local"


OTHER_PROCESS = """
import sys
from tests.custom_pictures import *
custom = CustomClassifiers(sys.argv[1])
(first,) = custom.ids()
custom.update(first, {"smile": zipped([*OTHERS.glob("*-smiling.jpg"), *smiling()[:4]])})
custom.create("From the other", {"smile": zipped(smiling()), "plain": zipped(neutral())})
print("begun", flush=True)
sys.stdin.readline()
custom.close()
"""


def test_two_processes_share_a_folder(folder: Path, custom: CustomClassifiers) -> None:
    (first,) = custom.ids()
    photo = np.load(pictures_file(folder))["embeddings"][:1]
    before = custom.scores(first, photo)
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        # What the other is training is neither taken over nor trained twice.
        with pytest.raises(ApiException, match="is retraining"):
            custom.update(first, {"plain": zipped(neutral())})
        mine = custom.create("Mine", {"smile": zipped(smiling()), "plain": zipped(neutral())})
        assert settled(custom, mine["classifier_id"])["status"] == "ready"
        assert settled(custom, first)["retrained"]
        assert not np.array_equal(custom.scores(first, photo), before)
        other.stdin.write(b"\n")
        other.stdin.flush()
        assert other.wait(120) == 0
    assert [item["status"] for item in custom.list()["classifiers"]] == ["ready"] * 3


@pytest.mark.parametrize(
    "content", ['{"classes": null}', "[" * 100_000, '{"a": ' * 100_000, "5", "null", "[]"]
)
def test_a_record_of_any_text_stops_nothing(folder: Path, content: str) -> None:
    record = place(folder) / "classifier.json"
    if content == '{"classes": null}':
        content = json.dumps(json.loads(record.read_text()) | {"classes": None})
    record.write_text(content)
    custom = CustomClassifiers(folder)
    (found,) = custom.list()["classifiers"]
    assert found["status"] == "failed"
    assert custom.get(place(folder).name)["status"] == "failed"


def test_a_letter_that_changed_is_noticed(folder: Path) -> None:
    record = place(folder) / "classifier.json"
    record.write_text(record.read_text().replace("smile", "smite", 1))
    (found,) = CustomClassifiers(folder).list(verbose=True)["classifiers"]
    assert found["status"] == "failed"
    assert "is not what was written" in found["explanation"]


def test_a_record_of_the_first_version_is_read(folder: Path) -> None:
    """Version 0.1.0 wrote no checksum."""
    record = place(folder) / "classifier.json"
    content = json.loads(record.read_text())
    del content["sha256"]
    record.write_text(json.dumps(content, indent=1, ensure_ascii=False))
    custom = CustomClassifiers(folder)
    (found,) = custom.list()["classifiers"]
    assert found["status"] == "ready"
    assert custom.ids() == (found["classifier_id"],)


def left_behind(folder: Path) -> Path:
    """What a process leaves that is killed between renaming a classifier and removing it."""
    remains = folder / "classifiers" / ".deleted-0123456789abcdef"
    shutil.copytree(place(folder), remains)
    assert list(remains.glob("pictures-*"))
    return remains


def test_leftovers_go_when_the_folder_is_opened(folder: Path) -> None:
    remains = left_behind(folder)
    assert len(CustomClassifiers(folder).ids()) == 1
    assert not remains.exists()


def test_leftovers_go_with_the_data_of_a_customer(folder: Path, custom: CustomClassifiers) -> None:
    custom.delete(place(folder).name)
    remains = folder / "classifiers" / ".deleted-0123456789abcdef"
    remains.mkdir()
    (remains / "pictures-0123456789abcdef.npz").write_bytes(b"embeddings")
    custom.delete_user_data("anybody")
    assert not remains.exists()


def unfinished(folder: Path) -> None:
    """The record of a training whose process has died; the disk takes no lock any more."""
    record = place(folder) / "classifier.json"
    content = json.loads(record.read_text())
    content["job"] = {
        "token": "t", "process": "0" * 32, "classes": content["classes"],
        "learning_opt_out": False, "pictures": None, "attempts": 1,
    }  # fmt: skip
    del content["sha256"]
    record.write_text(json.dumps(content))
    (folder / "lock").unlink()
    (folder / "lock").mkdir()


def test_a_disk_that_cannot_be_written_stops_nothing(folder: Path) -> None:
    unfinished(folder)
    custom = CustomClassifiers(folder)
    (found,) = custom.list(verbose=True)["classifiers"]
    assert found["status"] == "ready"  # the earlier version answers
    assert "the disk cannot be written" in found["explanation"]
    scores = custom.scores(found["classifier_id"], np.zeros((1, 384)))
    assert scores.shape == (1, 2)
    with pytest.raises(ShellyError) as caught:
        custom.delete(found["classifier_id"])
    assert caught.value.code == 507


def test_a_mark_that_cannot_be_locked_is_no_living_process(folder: Path) -> None:
    name = "0" * 32
    (folder / "processes" / name).mkdir(parents=True)  # cannot be opened to write, by root either
    assert not Store(folder).is_alive(name)
    assert CustomClassifiers(folder).list()["classifiers"]


def test_a_training_is_not_taken_while_others_end(folder: Path, custom: CustomClassifiers) -> None:
    before = custom.create("First", {"a": zipped(smiling()), "b": zipped(neutral())})
    closing = threading.Thread(target=custom.close)
    closing.start()
    codes = []
    while closing.is_alive():
        try:
            custom.create("Late", {"a": zipped(smiling()), "b": zipped(neutral())})
        except ShellyError as error:
            codes.append(error.code)
    closing.join()
    assert 503 in codes
    names = [entry["name"] for entry in custom.list()["classifiers"]]
    assert sorted(names)[0] == "First"
    assert custom.get(before["classifier_id"])["status"] == "ready"
    custom.close()  # of those that came after the end
    assert {entry["status"] for entry in custom.list()["classifiers"]} == {"ready"}

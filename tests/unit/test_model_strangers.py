"""Model directories of strangers, whose hashes are right and whose content is not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelly_local.commands import main as cli
from shelly_local.errors import ModelError
from shelly_local.results import CLASSES
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.model import EmotionModel
from shelly_local.vision.onnx import MAX_DESCRIPTION_BYTES, MAX_WEIGHTS_BYTES, bundled_model
from tests.tiny_models import SIDE, description, models_command, refused, write


def test_a_sound_folder_is_loaded_and_answers(tmp_path: Path) -> None:
    model = EmotionModel(write(tmp_path / "model"), threads=1)
    faces = np.full((3, SIDE, SIDE), 200, np.uint8)
    prediction = model.predict(faces)
    assert model.classes == CLASSES
    assert prediction.probabilities == pytest.approx(np.full((3, 7), 1 / 7))
    assert prediction.embedding.shape == (3, 4)


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a pipe"])
def test_only_regular_files_are_read(tmp_path: Path, name: str, kind: str) -> None:
    folder = write(tmp_path / "model")
    file = folder / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(tmp_path / "pipe")
        file.symlink_to(tmp_path / "pipe")
    done = models_command(folder)
    assert done.returncode == 1
    assert f"{name} is no regular file" in done.stderr
    assert "Traceback" not in done.stderr


def test_links_to_regular_files_are_followed(tmp_path: Path) -> None:
    """Caches of downloads and mounted volumes consist of links."""
    store = write(tmp_path / "store")
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "model.onnx"):
        (folder / name).symlink_to(store / name)
    assert EmotionModel(folder, threads=1).size == SIDE


@pytest.mark.parametrize(
    ("name", "most"), [("model.json", MAX_DESCRIPTION_BYTES), ("model.onnx", MAX_WEIGHTS_BYTES)]
)
def test_large_files_are_refused_unread(tmp_path: Path, name: str, most: int) -> None:
    folder = write(tmp_path / "model")
    with (folder / name).open("r+b") as file:
        file.truncate(10**13)  # a hole, which takes no place
    with refused(f"{name} has 10,000,000,000,000 bytes; at most {most:,} are allowed"):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize(
    "name",
    ["model\0.onnx", "\udcff.onnx", "\ud800", "", ".", "..", "a/b", "/dev/zero", "x" * 5000,
     7, None, []],
)  # fmt: skip
def test_strange_names_of_weights_are_refused(tmp_path: Path, name: Any) -> None:
    folder = write(tmp_path / "model", weights={"emotion": {"file": name, "sha256": "0"}})
    with pytest.raises(ModelError):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize("folder", ["nul\0", "\ud800"])
def test_strange_names_of_folders_are_refused(folder: str) -> None:
    with pytest.raises(ModelError):
        EmotionModel(folder)


def test_a_file_in_place_of_a_folder_is_told_in_a_sentence() -> None:
    file = bundled_model("emotion") / "model.onnx"
    with refused(r"model\.onnx is not a model directory but a file; give the folder"):
        EmotionModel(file)


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a":' * 100_000, '{"a": [' + "[" * 32 + "]" * 32 + "]}"],
    ids=["lists", "objects", "a little too deep"],
)
def test_deep_nesting_is_told_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.json").write_text(content, encoding="utf-8")
    with refused("nested too deeply; 32 levels are allowed"):
        EmotionModel(tmp_path)


@pytest.mark.parametrize(
    "classes",
    [[*CLASSES, "contempt"], list(reversed(CLASSES)), CLASSES[:6], ["a"] * 7, "anger", None, {}],
)
def test_other_classes_are_refused_by_name(tmp_path: Path, classes: Any) -> None:
    folder = write(tmp_path / "model", classes=classes)
    with refused(re.escape(", ".join(CLASSES)) + ", in this order"):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize("value", [0.5, 0, "8", None, True, 10**30, 1e400, [8], {"x": 1}, -8])
@pytest.mark.parametrize("place", ["width", "height"])
def test_a_side_is_a_whole_number_in_bounds(tmp_path: Path, place: str, value: Any) -> None:
    entry = description()["input"] | {place: value}
    folder = write(tmp_path / "model", input=entry)
    with refused("width and height of input"):
        EmotionModel(folder, threads=1)


def test_a_side_that_the_network_has_not_is_refused(tmp_path: Path) -> None:
    entry = description()["input"] | {"width": 16, "height": 16}
    with refused("do not fit"):
        EmotionModel(write(tmp_path / "model", input=entry), threads=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", float("nan")), ("temperature", True), ("temperature", 10**400),
        ("mirror", 1), ("mirror", "yes"), ("outputs", {"logits": 1, "embedding": "embedding"}),
        ("outputs", []), ("input", "faces"),
        ("template", [[float("nan"), 0.4]] * 5), ("template", [[0.5, 0.5]] * 5),
        ("template", [[0, 0], [1e300, 0], [0, 1], [0, 2], [1, 1]]), ("template", "five"),
        ("template", [[0.3, 0.4], [0.7]]), ("weights", []), ("weights", {"emotion": 3}),
    ],
    ids=lambda value: f"{value!r:.20}",
)  # fmt: skip
def test_entries_of_other_types_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    folder = write(tmp_path / "model", **{name: value})
    with pytest.raises(ModelError):
        EmotionModel(folder, threads=1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
PLACES = [(name,) for name in description()] + [
    ("input", "width"), ("input", "name"), ("outputs", "logits"), ("template", 0),
    ("weights", "emotion"), ("weights", "emotion", "file"), ("weights", "emotion", "sha256"),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(PLACES), JSON, min_size=1, max_size=3))
def test_any_description_is_loaded_or_refused(changes: dict[tuple[Any, ...], Any]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = write(Path(temporary))
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        for place, value in sorted(changes.items(), key=lambda change: -len(change[0])):
            inner = described
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
        try:
            model = EmotionModel(folder, threads=1)
        except ModelError:
            return
        assert model.predict(np.zeros((1, SIDE, SIDE), np.uint8)).probabilities.shape == (1, 7)


@given(JSON | st.text().map(lambda text: "\ud800" + text))
def test_any_json_is_a_description_or_refused(content: Any) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "model.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ModelError):
            EmotionModel(temporary)


def test_what_a_stranger_says_of_a_model_is_shown_or_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"a": {"accuracy": "all"}, "b": 1, "c": {"accuracy": 10**400}, "d": {"accuracy": 0.5}}
    folder = write(tmp_path / "model", name="\x1b[2J\ud800", training=["x"], metrics=metrics)
    assert cli.main(["models", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b[2J\ud800, verified" in shown
    assert "at an unknown date" in shown
    assert shown.endswith("  measured  d: 50.0% right\n")


def test_many_weights_files_are_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "model")
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    entry = described["weights"]["emotion"]
    described["weights"] |= {f"again{number}": entry for number in range(1000)}
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    assert cli.main(["models", str(folder)]) == 1
    assert "names 1001 weights files; at most 16 are read" in capsys.readouterr().err


@pytest.mark.parametrize("threads", [-1, 0, 1.5, "2", True, 10**6, 10**30])
def test_numbers_of_threads_that_are_none_are_refused(threads: Any) -> None:
    for make in (EmotionModel, EmotionClassifier):
        with pytest.raises(ValueError, match=r"threads must be a whole number from 1 to 1024"):
            make(threads=threads)


def test_whole_numbers_of_threads_are_taken(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    for threads in (None, 1, 2, np.int64(1)):
        model = EmotionModel(folder, threads=threads)
        assert model.description["weights"]["emotion"]["sha256"] == digest

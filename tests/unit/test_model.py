"""Model directories: what is checked when they are loaded, and what they answer."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelly_local.errors import ModelError
from shelly_local.results import CLASSES
from shelly_local.vision.model import EmotionModel
from shelly_local.vision.onnx import bundled_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model that may be damaged."""
    return Path(shutil.copytree(bundled_model("emotion"), tmp_path / "emotion"))


@pytest.fixture(scope="module")
def model() -> EmotionModel:
    return EmotionModel()


def faces(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (count, 48, 48), dtype=np.uint8)


def test_description_and_classes(model: EmotionModel) -> None:
    assert model.classes == CLASSES
    training = model.description["training"]
    assert training["data"]
    assert training["command"].startswith("python -m training.pretrain")
    assert model.description["metrics"]
    assert model.template.shape == (5, 2)
    assert 0.1 < model.temperature < 10


def test_weights_are_onnx_with_the_hash_in_the_description(model: EmotionModel) -> None:
    entry = model.description["weights"]["emotion"]
    content = (model.folder / entry["file"]).read_bytes()
    assert entry["file"].endswith(".onnx")
    assert entry["bytes"] == len(content)
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("count", [0, 1, 33, 70])
def test_probabilities_sum_to_one(model: EmotionModel, count: int) -> None:
    prediction = model.predict(faces(count))
    assert prediction.probabilities.shape == (count, 7)
    assert prediction.embedding.shape[0] == count
    assert np.allclose(prediction.probabilities.sum(axis=1), 1)
    assert (prediction.probabilities >= 0).all()


def test_a_face_answers_alike_alone_and_among_others(model: EmotionModel) -> None:
    many = faces(40)
    together = model.predict(many).probabilities
    alone = np.concatenate([model.predict(many[i : i + 1]).probabilities for i in range(40)])
    assert np.abs(together - alone).max() < 1e-4


def test_a_face_and_its_mirror_image_answer_alike(model: EmotionModel) -> None:
    straight = model.predict(faces(5)).probabilities
    mirrored = model.predict(np.ascontiguousarray(faces(5)[:, :, ::-1])).probabilities
    assert np.abs(straight - mirrored).max() < 1e-4


def test_light_does_not_change_the_answer(model: EmotionModel) -> None:
    """Half the contrast, darker: the network standardises each face."""
    bright = faces(5)
    dark = (bright // 2 + 10).astype(np.uint8)
    difference = model.predict(bright).probabilities - model.predict(dark).probabilities
    assert np.abs(difference).max() < 0.02


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 40, 48), np.uint8), np.zeros((48, 48), np.uint8), np.zeros((1, 48, 48))]
)
def test_other_shapes_are_refused(model: EmotionModel, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(N, 48, 48\)"):
        model.predict(wrong)


def test_a_flipped_bit_is_found(folder: Path) -> None:
    file = folder / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx is damaged.*SHA-256"):
        EmotionModel(folder)


def test_a_truncated_file_is_found(folder: Path) -> None:
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        EmotionModel(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read"):
        EmotionModel(folder)
    with pytest.raises(ModelError, match="not a model directory"):
        EmotionModel(tmp_path)
    with pytest.raises(ModelError, match="not a model directory"):
        EmotionModel(tmp_path / "nowhere")


def _set(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(description: dict[str, Any]) -> None:
        for key in path[:-1]:
            description = description[key]
        description[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format", value=99), "format 99"),
        (_set("classes", value=["a", "a"]), "classes"),
        (_set("classes", value=["a", "b"]), r"classes \['a', 'b'\]; they must be anger, disgust"),
        (_set("temperature", value=0), "temperature"),
        (_set("temperature", value="hot"), "hot"),
        (_set("template", value=[[0, 0]]), "template"),
        (_set("input", "width", value=64), "width and height"),
        (_set("input", "colour", value="green"), "colour"),
        (_set("input", value={}), "name|width"),
        (_set("outputs", "logits", value="nothing"), "do not fit"),
        (_set("weights", value={}), "names no weights"),
        (_set("weights", "emotion", "file", value="../emotion/model.onnx"), "must lie in"),
    ],
)
def test_a_wrong_description_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    file = folder / "model.json"
    description = json.loads(file.read_text(encoding="utf-8"))
    change(description)
    file.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        EmotionModel(folder)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "\x00"])
def test_a_damaged_description_is_refused(folder: Path, content: str) -> None:
    (folder / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.json"):
        EmotionModel(folder)


def test_weights_that_are_no_onnx_are_refused(folder: Path) -> None:
    """The hash is right, the content is not: it comes from whoever wrote the description."""
    (folder / "model.onnx").write_bytes(b"not a network")
    file = folder / "model.json"
    description = json.loads(file.read_text(encoding="utf-8"))
    description["weights"]["emotion"]["sha256"] = hashlib.sha256(b"not a network").hexdigest()
    file.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        EmotionModel(folder)

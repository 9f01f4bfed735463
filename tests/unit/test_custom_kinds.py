"""From what custom classifiers learn, and those that 0.1.0 made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelly_local import VisualRecognition
from shelly_local.errors import TrainingError
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.detector import FaceDetector
from shelly_local.watson.custom import CustomClassifiers
from shelly_local.watson.custom.learning import learn
from shelly_local.watson.custom.store import arrays_file
from tests.custom_pictures import neutral, settled, smiling, zipped

COUNT = 40


def rows(
    separated: str, faceless: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two classes that can be told apart by the faces, by the pictures, or by nothing."""
    random = np.random.default_rng(1)
    positive = np.arange(COUNT)[:, None] % 2 == [0, 1]
    shift = np.where(positive[:, :1], 2.0, -2.0)
    faces = random.normal(0, 1, (COUNT, 6)) + shift * (separated == "faces")
    features = random.normal(0, 1, (COUNT, 9)) + shift * (separated == "pictures")
    shows = np.ones(COUNT, np.int8)
    shows[:faceless] = 0
    return faces.astype(np.float32), features.astype(np.float32), shows, positive


def test_faces_where_they_tell() -> None:
    heads, text = learn(*rows("faces"))
    assert heads.kind == "faces"
    assert text == f"Learnt from faces: {COUNT} of {COUNT} pictures show a face."


def test_pictures_where_faces_tell_nothing() -> None:
    heads, _ = learn(*rows("pictures"))
    assert heads.kind in ("pictures", "both")


def test_pictures_where_faces_are_few() -> None:
    heads, text = learn(*rows("pictures", faceless=12))
    assert heads.kind == "pictures"
    assert f"28 of {COUNT} pictures show a face" in text


def test_no_better_than_chance() -> None:
    with pytest.raises(TrainingError, match="no better than chance"):
        learn(*rows("nothing"))


def test_without_faces_and_without_features_there_is_nothing() -> None:
    faces, features, shows, positive = rows("faces")
    heads, _ = learn(faces, features[:, :0], shows, positive)
    assert (heads.kind, heads.weights.shape[1]) == ("faces", faces.shape[1])


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A data folder as 0.1.0 wrote it: no kind of heads, no features, no checksum."""
    custom = CustomClassifiers(tmp_path)
    made = custom.create("Moods", {"smile": zipped(smiling()), "plain": zipped(neutral())})
    assert settled(custom, made["classifier_id"])["status"] == "ready"
    custom.close()
    (folder,) = (tmp_path / "classifiers").iterdir()
    (file,) = folder.glob("*.json")
    record = json.loads(file.read_text())
    del record["sha256"]
    record["explanation"] = None
    kept = {"heads": ("weights", "biases"), "pictures": ("embeddings", "positive", "digests")}
    from shelly_local.watson.custom.store import _npz

    for kind, names in kept.items():
        with np.load(folder / record[kind]["file"]) as content:
            arrays = {name: content[name] for name in names}
        assert kind != "heads" or arrays["weights"].shape[1] == 384  # faces it was learnt from
        (folder / record[kind]["file"]).unlink()
        described = arrays_file(kind, arrays)
        record[kind] = {"file": described.file, "sha256": described.sha256}
        (folder / described.file).write_bytes(_npz(arrays))
    file.write_text(json.dumps(record))
    return tmp_path


def test_a_classifier_of_the_first_version_answers_and_learns(
    first_version: Path, smiling_photo: Path, no_face_photo: Path
) -> None:
    recognition = VisualRecognition(data_dir=first_version)
    (entry,) = recognition.list_classifiers().get_result()["classifiers"]
    name = entry["classifier_id"]

    def classes(photo: Path) -> list[str]:
        answer = recognition.classify(photo, classifier_ids=name).get_result()
        return [each["class"] for each in answer["images"][0]["classifiers"][0]["classes"]]

    assert classes(smiling_photo) == ["smile"]
    assert classes(no_face_photo) == []
    cats = [(f"{n}.jpg", no_face_photo.read_bytes() + bytes([n])) for n in range(10)]
    recognition.update_classifier(name, {"smile": zipped(smiling())}, zipped(cats))
    custom = recognition.custom_classifiers
    found = settled(custom, name)
    assert found["status"] == "ready"
    # Cats without a face would be examples of nothing.
    assert found["explanation"] == "Learnt from faces: 20 of 20 pictures show a face."
    assert classes(smiling_photo) == ["smile"]
    recognition.close(wait=True)


class Doubting(FaceDetector):
    """The detector, as sure of every face as it is told."""

    def __init__(self, confidence: float) -> None:
        super().__init__()
        self._confidence = confidence

    def examined(self, pixels: Any, faces: Any) -> list[Any]:
        found = super().examined(pixels, faces)
        return [(replace(face, confidence=self._confidence), *rest) for face, *rest in found]


@pytest.mark.parametrize(
    ("confidence", "moods", "things"), [(0.94, 0, False), (0.96, 7, False), (0.99, 7, True)]
)
def test_a_mood_is_said_of_a_sure_face_only(
    smiling_photo: Path, tmp_path: Path, confidence: float, moods: int, things: bool
) -> None:
    recognition = VisualRecognition(
        classifier=EmotionClassifier(detector=Doubting(confidence)),
        default="general",
        data_dir=tmp_path,
    )
    answer = recognition.classify(smiling_photo, classifier_ids="emotion,default", threshold=0)
    emotion, default = answer.get_result()["images"][0]["classifiers"]
    assert len(emotion["classes"]) == moods
    assert ("person" in {each["class"] for each in default["classes"]}) is things
    faces = recognition.detect_faces(smiling_photo).get_result()["images"][0]["faces"]
    assert len(faces) == bool(moods)

"""The training process: what it answers, and what its end costs."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from shelly_local.errors import TrainingError
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.encoder import PictureEncoder
from shelly_local.vision.onnx import bundled_model
from shelly_local.watson.custom import CustomClassifiers
from shelly_local.watson.custom.child_process import WorkerProcess
from shelly_local.watson.custom.heads import train_heads
from shelly_local.watson.custom.ipc import from_bytes, read_frame, to_bytes, write_frame
from shelly_local.watson.custom.pictures import Pictures
from tests.custom_pictures import neutral, settled, smiling, zipped


def test_it_computes_what_the_classifier_computes(
    classifier: EmotionClassifier, smiling_photo: Path, no_face_photo: Path
) -> None:
    with WorkerProcess(classifier.model.folder) as worker:
        kind, (embedding, features) = worker.embed(smiling_photo.read_bytes())
        assert kind == "face"
        analysis = classifier.analyse(smiling_photo)
        np.testing.assert_allclose(embedding, analysis.embeddings[0], rtol=1e-3, atol=1e-4)
        expected = PictureEncoder().encode(analysis.pixels).features
        np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
        kind, (embedding, features) = worker.embed(no_face_photo.read_bytes())
        assert (kind, float(abs(embedding).max())) == ("no face", 0.0)
        assert features.any()
        assert worker.embed(b"no picture") == ("no picture", [])
        shows = np.arange(20)[:, None] % 2 == [0, 1]
        noise = np.random.default_rng(0).normal(0, 1, (20, 8))
        faces = (noise + 3 * shows[:, :1]).astype(np.float32)
        digests = np.zeros((20, 32), np.uint8)
        rows = Pictures(faces, faces[:, :0], np.ones(20, np.int8), shows, digests)
        heads, text = worker.fit(rows)
    np.testing.assert_allclose(heads.weights, train_heads(faces, shows).weights)
    assert text == "Learnt from faces: 20 of 20 pictures show a face."


def test_its_death_is_an_error_and_no_more(smiling_photo: Path) -> None:
    with WorkerProcess(bundled_model("emotion")) as worker:
        worker.kill()
        with pytest.raises(TrainingError, match="ended unexpectedly"):
            worker.embed(smiling_photo.read_bytes())
        with pytest.raises(TrainingError, match="ended unexpectedly"):
            worker.embed(smiling_photo.read_bytes())


def test_what_it_cannot_do_is_the_explanation(tmp_path: Path) -> None:
    model = Path(shutil.copytree(bundled_model("emotion"), tmp_path / "model"))
    custom = CustomClassifiers(tmp_path / "data", model)
    (model / "model.onnx").unlink()
    created = custom.create("Test", {"smile": zipped(smiling()), "plain": zipped(neutral())})
    found = settled(custom, created["classifier_id"])
    custom.close()
    assert found["status"] == "failed"
    assert found["explanation"].startswith("Training failed: The weights ")


def test_frames() -> None:
    stream = io.BytesIO()
    arrays = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([True, False])
    write_frame(stream, {"do": "embed"}, to_bytes(*arrays))
    write_frame(stream, {"do": "fit"})
    whole = stream.getvalue()
    stream.seek(0)
    first = read_frame(stream)
    assert first is not None
    assert first[0] == {"do": "embed"}
    for found, sent in zip(from_bytes(first[1], 2), arrays, strict=True):
        assert np.array_equal(found, sent)
    assert read_frame(stream) == ({"do": "fit"}, b"")
    assert read_frame(stream) is None
    for length in (3, 14, 30):  # cut off anywhere
        assert read_frame(io.BytesIO(whole[:length])) is None

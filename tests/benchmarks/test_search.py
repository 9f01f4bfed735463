"""The benchmark of the search for large faces."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import search
from shelly_local.vision import detector as faces
from shelly_local.vision.detector import PROMINENT, PROMINENT_SIDE, FaceDetector
from tests.conftest import PICTURES

PEOPLE = PICTURES / "people"


@pytest.fixture(autouse=True)
def _usual_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run changes in the detector is put back."""
    monkeypatch.setattr(faces, "PROMINENT", PROMINENT)
    monkeypatch.setattr(faces, "PROMINENT_SIDE", PROMINENT_SIDE)


def counts(tmp_path: Path, *options: str) -> dict[str, int]:
    """What a run of a dozen pictures finds."""
    file = tmp_path / "found.json"
    command = [str(PEOPLE), "--pictures", "12", "--json", str(file)]
    assert search.main([*command, *options]) == 0
    result = json.loads(file.read_text())
    return {name: result[name] for name in ("pictures", "answered", "faces", "found", "false")}


def test_large_faces_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = counts(tmp_path)
    assert usual["pictures"] == 12
    assert usual["answered"] >= 11
    assert 12 < usual["faces"] <= 2 * usual["answered"], "some pictures have two"
    assert usual["found"] >= usual["faces"] - 1
    assert usual["false"] == 0
    assert f"{usual['answered']} answered at once" in capsys.readouterr().out
    assert counts(tmp_path) == usual, "the same seed makes the same pictures"


def test_settings_of_the_search_can_be_tried(tmp_path: Path) -> None:
    """With hardly any level of the pyramid most faces are missed."""
    usual, coarse = counts(tmp_path), counts(tmp_path, "--pyramid-factor", "0.1")
    assert coarse["found"] < usual["found"]


def test_pictures_say_where_their_faces_are() -> None:
    """The thorough search finds the faces there and as large as the picture says."""
    detector = FaceDetector()
    sources = search.portraits([str(PEOPLE / "026-smiling.jpg")], detector)
    random = np.random.default_rng(4)
    for _ in range(4):
        picture = search.make(sources, random)
        pixels = np.asarray(Image.open(io.BytesIO(picture.data)))
        boxes = [face.box for face in detector.detect(pixels)]
        for x, y, width in picture.faces:
            near = [
                box
                for box in boxes
                if abs((box[0] + box[2]) / 2 - x) < 0.15 * width
                and abs((box[1] + box[3]) / 2 - y) < 0.15 * width
                and 0.75 < (box[2] - box[0]) / width < 1.3
            ]
            assert near, (picture.faces, boxes)


def test_a_face_beside_the_middle_is_where_it_is_turned_to() -> None:
    """A white dot as the middle of a face in the corner of a black portrait."""
    rows, columns = np.mgrid[:400, :400]
    dot = np.where((rows - 50) ** 2 + (columns - 50) ** 2 < 64, 255, 0).astype(np.uint8)
    source = search.Portrait(Image.fromarray(dot).convert("RGB"), (10.0, 10.0, 90.0, 90.0))
    random = np.random.default_rng(6)
    for _ in range(12):
        picture = search.make([source], random)
        grey = np.asarray(Image.open(io.BytesIO(picture.data)).convert("L")).astype(float)
        y, x = np.mgrid[: grey.shape[0], : grey.shape[1]] + 0.5
        for left, top, width in picture.faces:
            near = np.hypot(x - left, y - top) < 0.4 * width
            bright = near & (grey > grey[near].max() / 2)
            off = np.hypot(x[bright].mean() - left, y[bright].mean() - top)
            assert off < 0.04 * width


def test_wrong_usage_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, message in (
        (["--pictures", "0"], "--pictures must be at least 1, not 0"),
        (["--pixels", "50"], "--pixels must be at least 100, not 50"),
        (["--pyramid-factor", "1"], "--pyramid-factor must lie in 0.1..0.9, got 1.0"),
        (["--overlaps", "0", "1", "1", "1"], "--overlaps must lie above 0 and up to 1"),
    ):
        with pytest.raises(SystemExit):
            search.main([str(PEOPLE), *wrong])
        assert message in capsys.readouterr().err
    (tmp_path / "text.jpg").write_text("no picture")
    assert search.main([str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "No photo there shows a face." in message
    assert "text.jpg" in message

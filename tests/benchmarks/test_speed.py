"""``python -m benchmarks.speed`` on real photos: what it measures is real, whatever the speed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.speed import endurance
from benchmarks.speed.__main__ import main, photos
from benchmarks.speed.footprint import installed_megabytes, run
from benchmarks.speed.stages import STAGES, Floor, profile
from shelly_local import EmotionClassifier
from shelly_local.vision.detector import FaceDetector
from shelly_local.vision.mtcnn import Cascade
from shelly_local.vision.sampling import BoxSampler
from tests.conftest import PICTURES


def test_it_measures_a_photo_its_stages_and_the_whole_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.json"
    photo = PICTURES / "hopper.jpg"
    assert main([str(photo), "--rounds", "1", "--no-peer", "--json", str(file)]) == 0
    results = json.loads(file.read_text())
    times = results["photos"]["hopper.jpg"]["times"]
    assert set(times) == {"ours", "floor"}
    assert all(value > 0 for figures in times.values() for value in figures.values())
    hopper = results["photos"]["hopper.jpg"]
    ratio = hopper["alone_ms"] / hopper["many_ms"]
    assert hopper["ratios"]["many_to_one"] == pytest.approx(ratio, rel=0.02)
    process = results["processes"]["classify"]
    assert process["wall_s"] > results["processes"]["imports"]["wall_s"]
    assert 50 < process["peak_memory_mb"] < 1000
    printed = capsys.readouterr().out
    assert "| hopper.jpg | emotion |" in printed
    assert "ours_to_floor" in printed


def test_the_plain_pipeline_takes_its_turn() -> None:
    result = photos([PICTURES / "hopper.jpg"], rounds=1, peer=True)["hopper.jpg"]
    assert result["times"]["plain"]["p50_ms"] > 0
    ratio = result["times"]["plain"]["p50_ms"] / result["times"]["ours"]["p50_ms"]
    assert result["ratios"]["plain_to_ours"] == pytest.approx(ratio, rel=0.01)


def test_every_stage_does_something_and_the_pipeline_is_left_as_it_was(
    smiling_photo: Path,
) -> None:
    classifier = EmotionClassifier(threads=1)
    content = smiling_photo.read_bytes()
    before, session = BoxSampler.windows, classifier.model._session
    samples = profile(classifier, content, rounds=2)
    assert tuple(samples) == STAGES
    for stage in STAGES:
        assert len(samples[stage]) == 2
        assert min(samples[stage]) > 0, stage
    assert BoxSampler.windows is before
    assert classifier.model._session is session


def cascade_of(classifier: EmotionClassifier) -> Cascade:
    assert isinstance(classifier.detector, FaceDetector)
    return classifier.detector._cascade


def test_the_floor_repeats_every_run_of_every_network(smiling_photo: Path) -> None:
    classifier = EmotionClassifier(threads=1)
    floor = Floor(classifier, smiling_photo.read_bytes())
    cascade = cascade_of(classifier)
    sessions = [session for session, _, _ in floor._runs]
    for session in (
        cascade.pnet,
        cascade.rnet,
        cascade.onet,
        classifier.model._session,
    ):
        assert session in sessions
    floor.run()


def test_fast_and_reference_path_on_a_folder(
    tmp_path: Path, portrait_photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for photo in portrait_photos:
        shutil.copy(photo, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    assert main(["--same-answers", str(tmp_path)]) == 0
    assert f"photos: {len(portrait_photos)}" in capsys.readouterr().out


def test_a_folder_answered_otherwise_says_where(
    tmp_path: Path, smiling_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the fast path asked a model that puts neighbouring classes in each other's place."""
    shutil.copy(smiling_photo, tmp_path)
    original = EmotionClassifier.__init__

    def swapped(self: EmotionClassifier, *args: object, **options: object) -> None:
        original(self, *args, **options)  # type: ignore[arg-type]
        if options.get("detection") != "thorough":
            self.model.classes = (*self.model.classes[1:], self.model.classes[0])

    monkeypatch.setattr(EmotionClassifier, "__init__", swapped)
    file = tmp_path / "differ.json"
    assert main(["--same-answers", str(tmp_path), "--json", str(file)]) == 1
    results = json.loads(file.read_text())
    assert results["moods_differ"] == results["above_tolerance"] == 1
    assert results["differing"][0]["photo"] == "smiling.jpg"


def test_sizes_of_every_package_that_is_needed() -> None:
    sizes = installed_megabytes()
    assert {"shelly-local", "numpy", "pillow", "onnxruntime", "flask", "werkzeug"} <= set(sizes)
    assert sizes["onnxruntime"] > 5
    assert sizes["shelly-local"] > 10
    assert not {"torch", "boto3"} & set(sizes)


def test_memory_is_of_the_process_alone() -> None:
    import sys

    ballast = bytearray(200_000_000)
    wall, cpu, memory = run([sys.executable, "-c", "x = bytearray(100_000_000)"])
    assert len(ballast) == 200_000_000
    assert 100 < memory < 150
    assert wall > 0
    assert cpu > 0


def test_http_is_measured_against_the_same_photos_here(
    smiling_photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endurance, "PHOTOS", 8)
    monkeypatch.setattr(endurance, "ROUNDS", 1)
    assert main([str(PICTURES / "hopper.jpg"), "--http"]) == 0
    assert "http_ratio" in capsys.readouterr().out


def test_memory_does_not_grow_with_the_number_of_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many shapes; a decoded photo kept per answer would be 30 MB more."""
    monkeypatch.setattr(endurance, "SETTLED", 100)
    photos = [(PICTURES / name).read_bytes() for name in ("hopper.jpg", "neutral.jpg")]
    memory = endurance.memory_growth(photos, 300)
    assert memory["photos"] == 300
    assert memory["growth_mb"] < 20


def test_a_portrait_takes_few_runs_of_the_networks(smiling_photo: Path) -> None:
    """Of P-Net one for each coarse level, where a whole search takes twelve; of O-Net one, and
    two that steady the landmarks; of the others one."""
    classifier = EmotionClassifier(threads=1)
    floor = Floor(classifier, smiling_photo.read_bytes())
    sessions = [session for session, _, _ in floor._runs]
    cascade = cascade_of(classifier)
    assert sessions.count(cascade.rnet) == sessions.count(classifier.model._session) == 1
    assert sessions.count(cascade.onet) == 3
    assert sessions.count(cascade.pnet) <= 7


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.jpg", "--same-answers", "b"],
        ["a.jpg", "--rounds", "0"],
        ["a.jpg", "--growth", "1000"],
    ],
)
def test_wrong_usage_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_missing_photo_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["missing.jpg", "--no-peer"]) == 1
    assert "missing.jpg" in capsys.readouterr().err

"""Training from end to end on made-up faces: train, stop, go on, export, evaluate."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shelly_local.vision.alignment import FER2013_TEMPLATE, align
from shelly_local.vision.detector import FaceDetector
from shelly_local.vision.images import decode
from shelly_local.vision.model import EmotionModel
from shelly_local.vision.onnx import bundled_model
from tests.conftest import ROOT
from tests.training.made_up_fer2013 import data, options
from training import evaluate, export_mtcnn, fer2013, measure_template, metrics, pretrain
from training.augment import strengths
from training.checkpoints import TrainingState

__all__ = ["data"]  # a fixture, for pytest to find


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert pretrain.main(options(data, out)) == 0
    return out


def test_the_model_directory_is_complete_and_good(trained: Path, data: Path) -> None:
    model = EmotionModel(trained / "model")
    private = fer2013.load(data, "private")
    answers = model.predict(private.images).probabilities.argmax(axis=1)
    assert (answers == private.labels).mean() > 0.9
    settings = model.description["training"]["settings"]
    assert settings["augmentation"] == json.loads(json.dumps(strengths()))
    assert settings["epochs"] == 4
    assert settings["network"] == "small"
    assert (trained / "history.csv").read_text().count("\n") == 5
    assert (trained / "curves.png").stat().st_size > 1000


def test_a_killed_run_ends_with_the_same_weights(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the third epoch; the same command goes on after the second."""
    whole_epoch = pretrain.train_epoch

    def interrupted(state: TrainingState, *arguments: object) -> float:
        if len(state.history) == 2:
            raise KeyboardInterrupt
        return whole_epoch(state, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pretrain, "train_epoch", interrupted)
    assert pretrain.main(options(data, tmp_path)) == 130
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(pretrain, "train_epoch", whole_epoch)
    assert pretrain.main(options(data, tmp_path)) == 0
    ends = [
        torch.load(run / "checkpoint.pt", weights_only=True)["average"]
        for run in (trained, tmp_path)
    ]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_checkpoint_of_other_settings_is_refused(
    trained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained / "checkpoint.pt", tmp_path)
    assert pretrain.main(options(data, tmp_path, epochs=9)) == 1
    assert "other settings (epochs)" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    assert pretrain.main(options(data, tmp_path)) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_the_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain.main([*options(data, tmp_path), "--learning-rate", "1e30"]) == 1
    assert "lower --learning-rate" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_full_disk_leaves_the_old_model_as_it_was(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    """No file of the run may grow beyond a limit that its checkpoint needs."""
    shutil.copytree(trained / "model", tmp_path / "model")
    limited = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "runpy.run_module('training.pretrain', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *options(data, tmp_path, epochs=1)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("checkpoint.*"))
    assert EmotionModel(tmp_path / "model").classes == EmotionModel(trained / "model").classes


def test_a_wrong_data_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain.main(options(tmp_path, tmp_path / "out")) == 1
    assert "holds neither train*.npz nor fer2013.csv" in capsys.readouterr().err


def test_an_unknown_network_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain.main([*options(data, tmp_path), "--network", "huge"]) == 1
    message = capsys.readouterr().err
    assert "unknown network 'huge'; choose from face_resnet, large, medium" in message
    assert pretrain.main([*options(data, tmp_path), "--network", "torchvision/huge"]) == 1
    message = capsys.readouterr().err
    assert "unknown network torchvision/huge; torchvision has alexnet" in message


def test_metrics_on_a_case_done_by_hand() -> None:
    truth = np.array([0, 0, 3, 4])
    logits = np.full((4, 7), -20.0)
    logits[[0, 1, 2, 3], [0, 3, 3, 4]] = 20.0
    scores = metrics.score(logits, truth)
    assert scores.accuracy == 0.75
    assert scores.recall == {"anger": 0.5, "happiness": 1.0, "neutral": 1.0}
    assert scores.macro_recall == pytest.approx(2.5 / 3)
    assert scores.confusion[0][3] == 1
    assert scores.ece == pytest.approx(0.25), "sure of all four, right in three"


def test_temperature_is_recovered() -> None:
    """Labels drawn from known probabilities; their logits are then made three times too sure."""
    generator = np.random.default_rng(7)
    logits = generator.normal(0, 1.5, (20_000, 7))
    chances = metrics.softmax(logits)
    draws = generator.random(20_000)[:, None]
    truth = (chances.cumsum(axis=1) < draws).sum(axis=1)
    assert metrics.fit_temperature(3 * logits, truth) == pytest.approx(3, rel=0.05)
    calibrated = metrics.score(3 * logits, truth, temperature=3)
    assert calibrated.ece < 0.02 < metrics.score(3 * logits, truth).ece


def test_evaluate_writes_what_it_prints(
    data: Path,
    trained: Path,
    tmp_path: Path,
    smiling_photo: Path,
    neutral_photo: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, photo in (("happiness", smiling_photo), ("neutral", neutral_photo)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "photos" / name / "one.jpg")
    file = tmp_path / "scores.json"
    photos = str(tmp_path / "photos")
    assert evaluate.main(["--fer2013", str(data), "--photos", photos, "--json", str(file)]) == 0
    results = json.loads(file.read_text())
    assert set(results) == {"ferplus", "agreed", "fer2013", "photos"}
    assert results["photos"]["n"] == 2
    assert results["photos"]["accuracy"] == 1
    assert results["photos"]["faces_found"] == 1
    assert results["photos"]["paired"]["happiness"] == {"n": 1, "higher": 1}
    assert "100.00%" in capsys.readouterr().out
    model = str(shutil.copytree(trained / "model", tmp_path / "model"))
    scoring = ["--model", model, "--fer2013", str(data), "--json", str(file)]
    assert evaluate.main([*scoring, "--record"]) == 0
    accuracy = json.loads(file.read_text())["ferplus"]["accuracy"]
    assert accuracy > 0.9
    recorded = EmotionModel(model).description["metrics"]["ferplus_private"]["accuracy"]
    assert recorded == pytest.approx(accuracy, abs=1e-5)


def test_groups_and_their_intervals(
    tmp_path: Path, smiling_photo: Path, no_face_photo: Path
) -> None:
    (tmp_path / "happiness").mkdir()
    for name in ("ann", "bea"):
        shutil.copy(smiling_photo, tmp_path / "happiness" / f"{name}.jpg")
    shutil.copy(no_face_photo, tmp_path / "happiness" / "cat.jpg")
    groups = tmp_path / "groups.csv"
    groups.write_text("subject,kind,age\nann,person,24\nbea,person,25\ncat,animal,50\n")
    file, plots = tmp_path / "scores.json", tmp_path / "plots"
    options = ["--photos", str(tmp_path), "--groups", str(groups), "--json", str(file)]
    assert evaluate.main([*options, "--plots", str(plots)]) == 0
    found = json.loads(file.read_text())["photos"]["groups"]
    assert found["kind"]["person"]["accuracy"] == 1
    assert found["kind"]["person"]["accuracy_ci95"] == [1, 1]
    assert found["kind"]["animal"]["recall"] == {"happiness": 0}
    assert {group: values["n"] for group, values in found["age"].items()} == {
        "0-24": 1,
        "25-34": 1,
        "45 and over": 1,
    }
    for name in ("photos-confusion.png", "photos-reliability.png"):
        with Image.open(plots / name) as picture:
            assert min(picture.size) > 300


def test_a_wrong_group_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--photos", str(tmp_path), "--groups", str(tmp_path / "none.csv")]
    assert evaluate.main(options) == 1
    assert "none.csv cannot be read" in capsys.readouterr().err


def test_evaluate_counts_missing_faces_as_wrong_and_names_unreadable_files(
    tmp_path: Path, smiling_photo: Path, no_face_photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "happiness").mkdir()
    shutil.copy(smiling_photo, tmp_path / "happiness")
    shutil.copy(no_face_photo, tmp_path / "happiness")
    (tmp_path / "happiness" / "notes.jpg").write_text("no picture")
    file = tmp_path / "scores.json"
    assert evaluate.main(["--photos", str(tmp_path), "--json", str(file)]) == 1
    photos = json.loads(file.read_text())["photos"]
    assert photos["n"] == 2
    assert photos["accuracy"] == photos["recall"]["happiness"] == photos["faces_found"] == 0.5
    assert "notes.jpg" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "folder of no class", "empty class"])
def test_evaluate_refuses_a_wrong_tree(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    if content:
        (tree / ("happiness" if "empty" in content else "joy")).mkdir(parents=True)
    assert evaluate.main(["--photos", str(tree)]) == 1
    assert str(tree) in capsys.readouterr().err


def test_mtcnn_export_gives_the_committed_networks(tmp_path: Path, smiling_photo: Path) -> None:
    assert export_mtcnn.main(["--out", str(tmp_path)]) == 0
    pixels = decode(smiling_photo, max_side=640).pixels
    assert FaceDetector(tmp_path).detect(pixels) == FaceDetector().detect(pixels)
    committed = bundled_model("mtcnn")
    assert (tmp_path / "LICENSE.md").read_text() == (committed / "LICENSE.md").read_text()


def test_template_measurement_recovers_known_landmarks(smiling_photo: Path) -> None:
    """A face framed like FER2013's, small and grey: its landmarks are found again."""
    pixels = decode(smiling_photo).pixels
    detector = FaceDetector()
    crop = align(pixels, detector.detect(pixels)[0].landmarks, size=48)
    grey = np.asarray(Image.fromarray(crop).convert("L"))
    landmarks = measure_template.measure(np.stack([grey, grey]), detector)
    assert landmarks.shape == (2, 5, 2)
    found = measure_template.symmetrical(landmarks)
    assert np.abs(found - FER2013_TEMPLATE).max() < 0.08

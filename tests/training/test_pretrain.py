"""Choices of the recipe: targets, precision, teachers, several processes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shelly_local.errors import DataError
from shelly_local.results import CLASSES
from shelly_local.vision.alignment import FER2013_TEMPLATE
from shelly_local.vision.model import EmotionModel
from shelly_local.vision.onnx import bundled_model
from tests.conftest import ROOT
from tests.training.made_up_fer2013 import data, options
from training import ablation, export, fer2013, pretrain, quantise
from training.data import prepare
from training.fer2013 import VOTE_COLUMNS, Faces
from training.settings import Settings

__all__ = ["data"]  # a fixture, for pytest to find


def voted(**votes: int) -> NDArray[np.uint8]:
    """One picture's row of votes."""
    row = np.zeros(len(VOTE_COLUMNS), np.uint8)
    for name, count in votes.items():
        row[VOTE_COLUMNS.index(name)] = count
    return row


def every_class() -> Faces:
    """Seven pictures with ten equal votes each, and one that people do not agree about."""
    votes = [voted(**{name: 10}) for name in CLASSES] + [voted(anger=6, disgust=4)]
    labels = np.array([*range(7), CLASSES.index("disgust")], dtype=np.int64)
    return Faces(np.zeros((8, 48, 48), np.uint8), labels, np.stack(votes))


def targets(faces: Faces, teachers: torch.Tensor | None = None, **changes: Any) -> torch.Tensor:
    settings = replace(Settings(balance=0, rare_label_share=0, smile_label_share=0), **changes)
    return prepare(faces, None, torch.device("cpu"), settings, teachers).targets


def test_the_label_of_2013_is_mixed_in_where_it_names_a_rare_class() -> None:
    disgust, anger = CLASSES.index("disgust"), CLASSES.index("anger")
    plain, mixed = targets(every_class()), targets(every_class(), rare_label_share=0.5)
    assert plain[7, disgust] == pytest.approx(0.4)
    assert mixed[7, disgust] == pytest.approx(0.5 * 0.4 + 0.5)
    assert mixed[7, anger] == pytest.approx(0.5 * 0.6)
    assert torch.equal(mixed[:7], plain[:7]), "where all agree nothing changes"


def test_faint_smiles_lean_on_the_label_of_2013() -> None:
    """Of two pictures that look alike to the voters, the one found as happy counts as happier."""
    happy, neutral = CLASSES.index("happiness"), CLASSES.index("neutral")
    plain = every_class()
    faces = Faces(
        np.concatenate([plain.images, plain.images[:2]]),
        np.append(plain.labels, [happy, neutral]),
        np.concatenate([plain.votes, [voted(neutral=7, happiness=3)] * 2]),
    )
    smiling, other = targets(faces, smile_label_share=0.3)[-2:]
    assert smiling[happy].item() == pytest.approx(0.3 * 0.7 + 0.3)
    assert other[happy].item() == pytest.approx(0.3)


def test_teachers_and_votes_share_the_target() -> None:
    teachers = torch.full((8, 7), 1 / 7)
    mixed = targets(every_class(), teachers=teachers, teacher_share=0.7)
    assert mixed[0, 0] == pytest.approx(0.3 + 0.7 / 7)
    assert torch.allclose(mixed.sum(1), torch.ones(8))


def test_a_class_without_pictures_is_named() -> None:
    whole = every_class()
    without = Faces(whole.images[:6], whole.labels[:6], whole.votes[:6])
    with pytest.raises(DataError, match="no training picture shows surprise"):
        targets(without)


def losses(out: Path) -> list[float]:
    with (out / "history.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_bfloat16_learns_as_float32_does(data: Path, tmp_path: Path) -> None:
    for precision in ("float32", "bfloat16"):
        out = tmp_path / precision
        assert pretrain.main([*options(data, out), "--precision", precision]) == 0
        model = EmotionModel(out / "model")
        assert model.description["training"]["settings"]["precision"] == precision
    ends = [losses(tmp_path / precision)[-1] for precision in ("float32", "bfloat16")]
    assert ends[1] == pytest.approx(ends[0], rel=0.1)


def torchrun(*command: str | Path) -> None:
    """Run a module in two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launch, "--nproc-per-node", "2", "-m", *command],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=ROOT,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_processes_train_together(data: Path, tmp_path: Path) -> None:
    """Batch norm sees each process's share on CPUs: the curves are alike, not the same."""
    single = ["--precision", "float32"]
    assert pretrain.main([*options(data, tmp_path / "one", epochs=6), *single]) == 0
    torchrun("training.pretrain", *options(data, tmp_path / "two", epochs=6), *single)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert two == pytest.approx(one, rel=0.15)
    private = fer2013.load(data, "private")
    answers = EmotionModel(tmp_path / "two" / "model").predict(private.images).probabilities
    assert (answers.argmax(1) == private.labels).mean() > 0.9


def test_another_round_begins_with_a_finished_model(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert pretrain.main(options(data, first)) == 0
    again = [*options(data, second), "--init", str(first / "model")]
    assert pretrain.main([*again, "--learning-rate", "0", "--epochs", "1"]) == 0
    begun, ended = (load_file(run / "model" / "model.safetensors") for run in (first, second))
    assert np.array_equal(begun["head.weight"], ended["head.weight"])
    description = EmotionModel(second / "model").description["training"]
    assert description["settings"]["init"] == "first/model"
    assert str(tmp_path) not in description["command"]
    other = [*again, "--network", "medium", "--out", str(tmp_path / "third")]
    assert pretrain.main(other) == 1
    assert "is a 'small' network, not 'medium'" in capsys.readouterr().err


def test_a_run_may_end_before_its_schedule(data: Path, tmp_path: Path) -> None:
    assert pretrain.main([*options(data, tmp_path), "--stop-after", "2"]) == 0
    assert len(losses(tmp_path)) == 2
    description = EmotionModel(tmp_path / "model").description["training"]
    assert description["command"].endswith("--stop-after 2")
    assert description["settings"]["epochs"] == 4


def test_a_zoom_enlarges_faces_in_training_and_in_use(data: Path, tmp_path: Path) -> None:
    assert pretrain.main([*options(data, tmp_path), "--zoom", "1.2", "--epochs", "1"]) == 0
    eyes = np.asarray(EmotionModel(tmp_path / "model").template)[:2, 0]
    assert np.diff(eyes)[0] == pytest.approx(1.2 * np.diff(FER2013_TEMPLATE[:2, 0])[0], abs=1e-3)


def test_wrong_choices_are_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, message in (
        (["--precision", "half"], "argument --precision: invalid choice: 'half'"),
        (["--alignment", "eyes"], "argument --alignment: invalid choice: 'eyes'"),
        (["--teacher-share", "1.5"], "--teacher-share must lie in 0..1, got 1.5"),
        (["--epochs", "0"], "--epochs must be at least 1, not 0"),
    ):
        with pytest.raises(SystemExit):
            pretrain.main(["--fer2013", str(data), *wrong])
        assert message in capsys.readouterr().err


def test_wrong_teachers_are_named_before_the_work(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, message in (
        (f"{tmp_path / 'none'}:2", f"{tmp_path / 'none'} is not a model directory"),
        (f"{tmp_path / 'none'}:0", "each with a weight above 0"),
        (",", "--teachers takes folders separated by commas"),
    ):
        command = [*options(data, tmp_path / "out"), "--alignment", "landmarks"]
        assert pretrain.main([*command, "--teachers", wrong]) == 1
        assert message in capsys.readouterr().err
        assert not list((tmp_path / "out").glob("landmarks-*")), "nothing was begun"


def test_ablation_keeps_finished_rows_and_prints_a_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["faces as they were cropped, not aligned"]
    command = ["--fer2013", str(data), "--out", str(tmp_path), "--network", "small"]
    command += ["--epochs", "1", "--device", "cpu", "--rows", *rows]
    assert ablation.main(command) == 0
    assert f"| {rows[0]} |" in capsys.readouterr().out
    (tmp_path / "row-01" / "checkpoint.pt").write_bytes(b"would fail if it were read again")
    assert ablation.main(command) == 0
    assert f"| {rows[0]} |" in (tmp_path / "ablation.md").read_text()
    with pytest.raises(SystemExit):
        ablation.main([*command, "no such row"])
    assert "unknown row 'no such row'" in capsys.readouterr().err


def test_quantisation_compares_size_accuracy_and_time(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain.main(options(data, tmp_path)) == 0
    capsys.readouterr()
    model = tmp_path / "model"
    assert quantise.main(["--fer2013", str(data), "--model", str(model)]) == 0
    float_line, small_line = capsys.readouterr().out.strip().splitlines()[-2:]
    assert float_line.startswith("float ")
    assert small_line.startswith("8-bit ")
    for line in (float_line, small_line):
        assert "public FER+" in line
        assert line.endswith(" ms")
    assert float(small_line.split()[1]) < float(float_line.split()[1])


def test_a_quantised_model_answers_alike_and_can_be_trained_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundled model, since small ones gain nothing; written only where 8 bits are faster."""
    monkeypatch.setattr(quantise, "MOST_LOST", 1.0)  # of a handful of made-up faces
    folder = tmp_path / "model"
    shutil.copytree(bundled_model("emotion"), folder)
    before = EmotionModel(folder)
    content = (folder / "model.onnx").read_bytes()
    code = quantise.main(["--fer2013", str(data), "--model", str(folder), "--write"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if " ms" in line]
    faster = float(lines[1][-2]) < float(lines[0][-2])
    assert code == (0 if faster else 1)
    assert not list(tmp_path.glob(".model-*"))
    if not faster:
        assert (folder / "model.onnx").read_bytes() == content
        return
    model = EmotionModel(folder)
    assert model.description["export"]["bits"] == 8
    faces = quantise.crops_for(model, fer2013.load(data, "public").images, tmp_path)
    answers = [each.predict(faces).probabilities for each in (before, model)]
    assert np.abs(answers[0] - answers[1]).mean() < 0.01
    size, float_size = (
        (folder / f"model.{kind}").stat().st_size for kind in ("onnx", "safetensors")
    )
    assert size < 0.6 * float_size
    assert export.load_network(folder)(torch.zeros(1, 1, 48, 48))[0].shape == (1, 7)


def test_eight_bits_that_do_not_pay_are_not_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bundled_model("emotion"), folder)
    content = (folder / "model.onnx").read_bytes()
    monkeypatch.setattr(quantise, "MOST_LOST", -1.0)
    assert quantise.main(["--fer2013", str(data), "--model", str(folder), "--write"]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert (folder / "model.onnx").read_bytes() == content

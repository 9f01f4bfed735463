"""Fine-tuning from a tree in MUG's layout to a model in use and a report."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from shelly_local.commands.main import main as shelly
from shelly_local.results import CLASSES
from shelly_local.vision.model import EmotionModel
from shelly_local.vision.onnx import bundled_model
from tests.conftest import ROOT
from tests.made_up_mug import SUBJECTS, Contents, build
from training import report, train
from training.dataset import Frame, Index, Take

#: The people made from two of the six portraits: nobody like them is learnt from.
UNSEEN = [SUBJECTS[position] for position in (4, 5, 10, 11)]
QUICK = ["--head-epochs", "2", "--epochs", "6", "-k", "3", "--device", "cpu"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mug")


@pytest.fixture(scope="module")
def contents(tree: Path) -> Contents:
    return build(tree, subjects=12, takes=2, frames=7, size=160)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.fixture(scope="module")
def trained(
    tree: Path, contents: Contents, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("run")
    options = ["--protocol", "holdout", "--test-subjects", *UNSEEN, "--cache", str(cache)]
    assert train.main(["--data", str(tree), "--out", str(out), *options, *QUICK]) == 0
    return out


@pytest.fixture(scope="module")
def result(trained: Path) -> dict[str, Any]:
    return dict(json.loads((trained / "report.json").read_text()))


def test_fine_tuning_helps_for_people_never_seen(result: dict[str, Any]) -> None:
    assert result["mean"]["accuracy"] > result["before"]["accuracy"] + 0.25
    low, high = result["mean"]["accuracy_ci95"]
    assert low <= result["mean"]["accuracy"] <= high
    assert result["folds"][0]["subjects_test"] == sorted(UNSEEN)


def test_the_report_says_what_was_found(result: dict[str, Any], contents: Contents) -> None:
    index = result["index"]
    assert index["subjects"] == 12
    # Only a take that ends in "end" is left out of what was written.
    assert index["takes"] == sum(e["takes"] for e in contents["per_emotion"].values()) - 1
    assert index["left_out"]["takes of mixed emotions"] == 1
    assert index["left_out"]["takes with suffix end"] == 1
    assert result["frames_without_crop"]["unreadable"] == 1
    assert result["protocol"] == "holdout"
    assert set(result["after"]) == {"single", "few", "whole"}
    for key in ("n", "accuracy", "macro_f1"):
        assert key in result["folds"][0]


def test_the_report_for_people(trained: Path, result: dict[str, Any]) -> None:
    text = (trained / "report.md").read_text()
    assert f"**{result['mean']['accuracy']:.1%}**" in text
    assert "| single frame |" in text
    for row in result["misread"]:
        assert row["frame"] in text
    for name in ("confusion.png", "reliability.png"):
        assert name in text
        assert (trained / name).stat().st_size > 1000
    assert str(trained) not in text


def test_the_model_is_used_by_the_command(
    trained: Path,
    tree: Path,
    contents: Contents,
    result: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = str(trained / "model")
    assert shelly(["models", model]) == 0
    assert "shelly-emotion-finetuned, verified" in capsys.readouterr().out
    takes = [f"{person}/{name}/take000" for person in UNSEEN for name in CLASSES]
    takes = [take for take in takes if take in contents["apex"]]
    photos = {take: tree / contents["folders"][take] / contents["apex"][take] for take in takes}
    assert shelly(["classify", "--json", "--model", model, *map(str, photos.values())]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = {Path(row["path"]): row["faces"][0]["emotion"] for row in rows}
    right = np.mean([answers[photo] == take.split("/")[1] for take, photo in photos.items()])
    # A single face may be misread, by one processor's rounding and not by another's.
    assert right > result["before"]["accuracy"] + 0.1


def test_grouped_folds_test_everybody_once(tree: Path, cache: Path, tmp_path: Path) -> None:
    options = ["--folds", "3", "--freeze", "--cache", str(cache), "--whole-take", "3", *QUICK]
    assert train.main(["--data", str(tree), "--out", str(tmp_path), *options]) == 0
    result = json.loads((tmp_path / "report.json").read_text())
    tested = [person for fold in result["folds"] for person in fold["subjects_test"]]
    assert sorted(tested) == sorted(SUBJECTS[:12])
    accuracies = [fold["accuracy"] for fold in result["folds"]]
    assert result["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert EmotionModel(tmp_path / "model").classes == CLASSES
    # With --freeze only the last layer differs from the model it started from.
    start = load_file(bundled_model("emotion") / "model.safetensors")
    end = load_file(tmp_path / "model" / "model.safetensors")
    changed = {name for name in start if not np.array_equal(start[name], end[name])}
    assert changed == {"head.weight", "head.bias"}


def command(tree: Path, out: Path, cache: Path) -> list[str]:
    options = ["--protocol", "holdout", "--test-subjects", *UNSEEN, "--cache", str(cache)]
    options += ["--data", str(tree), "--out", str(out), "--whole-take", "3"]
    return ["-m", "training.train", *options, *QUICK]


def history(out: Path) -> list[dict[str, str]]:
    with (out / "holdout.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_run_ends_with_the_same_model(
    trained: Path, tree: Path, cache: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "holdout.checkpoint.pt"
    process = subprocess.Popen([sys.executable, *command(tree, tmp_path, cache)], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "model").exists()
    subprocess.run([sys.executable, *command(tree, tmp_path, cache)], cwd=ROOT, check=True)
    assert history(tmp_path) == history(trained)
    weights = [load_file(out / "model" / "model.safetensors") for out in (trained, tmp_path)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_two_processes_learn_as_one(
    contents: Contents, tree: Path, cache: Path, tmp_path: Path
) -> None:
    """In double precision, where rounding stays small enough to see any other difference."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, start in (("one", []), ("two", torchrun)):
        options = [*command(tree, tmp_path / name, cache), "--precision", "float64"]
        # A difference shows from the first steps on, and a step in double precision takes long.
        options += ["--head-epochs", "1", "--epochs", "2", "--warmup-epochs", "1"]
        options += ["-k", "1", "--whole-take", "1"]
        run = subprocess.run(
            [sys.executable, *start, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-2000:]
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    assert len(one) == len(two)
    for name in ("loss", "validation_loss"):
        a, b = ([float(row[name]) for row in rows[1:]] for rows in (one, two))
        assert a == pytest.approx(b, rel=1e-9)


def answers(right: int, wrong: int) -> list[report.TakeAnswer]:
    result = []
    for number in range(right + wrong):
        label = number % 7
        scores = np.full(7, 0.01)
        scores[label if number < right else (label + 1) % 7] = 0.94
        take = Take(f"{number % 10:03}", CLASSES[label], f"take{number}", (Frame(Path("a.jpg")),))
        result.append(report.TakeAnswer(take, dict.fromkeys(report.VIEWS, scores), "a.jpg"))
    return result


@pytest.mark.parametrize(("wrong", "warned"), [(0, True), (20, False)])
def test_a_result_too_good_is_questioned(wrong: int, warned: bool) -> None:
    given = answers(200, wrong)
    built = report.build(
        index=Index(tuple(answer.take for answer in given), {}),
        protocol="holdout",
        folds=[report.fold_entry("holdout", given)],
        answers=given,
        before=given,
        problems={},
        warnings=[],
        run={"command": "c", "date": "d", "machine": "m"},
    )
    assert any("leakage" in remark for remark in built["warnings"]) is warned
    assert ("leakage" in report.markdown(built)) is warned


def one_subject(folder: Path, tree: Path) -> None:
    shutil.copytree(tree / "subjects3" / SUBJECTS[4], folder / SUBJECTS[4])


def no_happiness(folder: Path, tree: Path) -> None:
    for person in SUBJECTS[4:10]:
        source = tree / "subjects3" / person
        shutil.copytree(source, folder / person, ignore=lambda _, names: ["happiness"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder, tree: None, "holds no|nothing|No "),
        (one_subject, "one person|One person|1 "),
        (no_happiness, "happiness"),
    ],
)
def test_data_that_cannot_work_is_refused_before_any_work(
    make: Any, message: str, tree: Path, contents: Contents, tmp_path: Path, capfd: Any
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    make(data, tree)
    assert train.main(["--data", str(data), "--out", str(out), *QUICK]) == 1
    error = capfd.readouterr().err
    assert re.search(message, error), error
    assert not (out / "crops").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "holdout", "--test-subjects", "999"], "999"),
        (["--folds", "40"], "40"),
        (["--start", "nowhere"], "not a model directory"),
        (["--device", "cuda:77"], "cuda:77"),
    ],
)
def test_wrong_options_are_named(
    options: list[str],
    message: str,
    tree: Path,
    contents: Contents,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = ["--data", str(tree), "--out", str(tmp_path), "--device", "cpu"]
    assert train.main([*base, *options]) == 1
    assert message in capsys.readouterr().err


def test_shelly_train_is_the_same_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        shelly(["train", "--help"])
    assert stopped.value.code == 0
    assert "--protocol {kfold,lfdm,holdout}" in capsys.readouterr().out


def test_without_torch_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from shelly_local.commands.main import main; sys.exit(main(['train', '--data', 'x']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "'torch'; install it with pip install 'shelly-local[train]'" in run.stderr


def test_models_lists_verifies_and_names_the_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shelly(["models"]) == 0
    assert "shelly-emotion, verified" in capsys.readouterr().out
    broken = Path(shutil.copytree(bundled_model("emotion"), tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"damaged")
    assert shelly(["models", "--json", str(broken), str(tmp_path)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("error" in line) for line in lines] == [False, True, True]
    assert "damaged" in lines[1]["error"]["description"]

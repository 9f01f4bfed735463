"""``shelly benchmark accuracy`` as users meet it: real pictures, exit codes, stopped runs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shelly_local.commands.main import main
from tests.benchmark_toys import MODULE
from tests.conftest import PICTURES


def toys(*names: str) -> str:
    return ",".join(f"{MODULE}:{name}" for name in names)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six people, smiling and neutral, under the same name in both folders."""
    for file in (PICTURES / "people").glob("*.jpg"):
        person, expression = file.stem.split("-")
        label = "happiness" if expression == "smiling" else "neutral"
        (tmp_path / "tree" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "tree" / label / f"{person}.jpg")
    return tmp_path / "tree"


def rows_of(tree: Path) -> list[dict[str, Any]]:
    """The rows of the last run, without the first line."""
    lines = (tree.parent / "result.json.rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def run(tree: Path, backends: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the backends in the result without the module's name."""
    output = tree.parent / "result.json"
    arguments = ["--data", str(tree), "--backends", backends, "--json", str(output)]
    code = main(["benchmark", "accuracy", *arguments, *options])
    result = json.loads(output.read_text(encoding="utf-8"))
    backends_found = {name.split(":")[-1]: v for name, v in result["backends"].items()}
    return code, result | {"backends": backends_found}


def test_real_backend_beside_known_answers(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = run(tree, f"local,{toys('happiness', 'hesitant')}")
    assert code == 0
    local, always = result["backends"]["local"], result["backends"]["happiness"]
    assert local["n"] == always["n"] == 12
    assert local["accuracy"] >= 0.75
    assert local["faces_found"] == 1.0
    assert local["description"]["sha256"]
    assert always["accuracy"] == 0.5
    assert always["macro_f1"] == pytest.approx(1 / 3, abs=1e-4)
    assert always["classes"]["neutral"] == {"n": 6, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert always["calibration"]["ece"] == pytest.approx(0.5)
    assert result["backends"]["hesitant"]["calibration"]["ece"] == pytest.approx(0.2)
    # Six people, each once right and once wrong: over people, half is certain.
    assert always["subjects"] == 6
    assert always["accuracy_ci95"] == [0.5, 0.5]
    assert result["comparisons"][2]["p_value"] == 1.0
    for values in result["backends"].values():
        assert 0 <= values["p50_ms"] <= values["p95_ms"] <= values["p99_ms"]
    assert result["data"]["per_class"] == {"happiness": 6, "neutral": 6}
    assert {"date", "command", "seed", "machine", "versions", "git_commit"} <= result.keys()
    assert str(tree) not in json.dumps(result)
    shown = capsys.readouterr().out
    assert "50.0 %" in shown


def test_unknown_folders_and_bad_files_are_told_and_left_out(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "neutral").rename(tree / "calm")
    (tree / "happiness/broken.jpg").write_bytes(b"no picture")
    (tree / "happiness/dangling.jpg").symlink_to(tree / "missing.jpg")
    code, result = run(tree, toys("happiness"))
    assert code == 1
    assert "'calm'" in capsys.readouterr().err
    assert result["backends"]["happiness"]["statuses"] == {"answered": 7, "unreadable": 1}
    code, result = run(tree, "local", "--map", "calm=neutral", "--restart")
    assert code == 1
    errors = capsys.readouterr().err
    assert "happiness/broken.jpg" in errors
    assert "happiness/dangling.jpg" in errors
    assert result["backends"]["local"]["statuses"] == {"answered": 12, "unreadable": 2}
    assert result["data"]["mapped"] == {"calm": "neutral"}
    unreadable = {row["picture"] for row in rows_of(tree) if row["status"] == "unreadable"}
    assert unreadable == {"happiness/broken.jpg", "happiness/dangling.jpg"}


def test_one_backend_dies_and_another_lacks_its_key(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backends = toys("dying", "wrong_key", "not_there", "happiness")
    code, result = run(tree, backends, "--allow-cloud")
    assert code == 1
    found = result["backends"]
    assert found["happiness"]["statuses"] == {"answered": 12}
    assert found["dying"]["statuses"] == {"answered": 3, "failed": 9}
    assert found["dying"]["n"] == 3
    assert found["wrong_key"]["statuses"] == found["not_there"]["statuses"] == {"failed": 12}
    assert found["wrong_key"]["accuracy"] is None
    assert found["not_there"]["errors"] == {"no key was found": 12}
    errors = capsys.readouterr().err
    assert "the floor gave way" in errors
    assert "call 2" not in errors  # a wrong key is tried once
    marked = [(row["backend"].split(":")[-1], row["status"]) for row in rows_of(tree)]
    assert len(marked) == 48
    assert marked.count(("dying", "failed")) == 9
    assert "Traceback" not in errors


def test_no_answer_counts_as_wrong(tree: Path) -> None:
    sizes = [file.stat().st_size for file in (tree / "happiness").iterdir()]
    code, result = run(tree, toys("unsure", "picky"))
    assert code == 0
    unsure, picky = result["backends"]["unsure"], result["backends"]["picky"]
    assert unsure["accuracy"] == picky["accuracy"] == 0.0
    assert unsure["accuracy_answered"] is None
    assert sum(unsure["statuses"].values()) == unsure["n"] == picky["n"] == 2 * len(sizes)
    assert picky["statuses"] == {"refused": 12}
    assert [row[7] for row in picky["confusion"]] == [0, 0, 0, 6, 6, 0, 0]


def test_clouds_need_leave_and_keep_to_a_budget(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["benchmark", "accuracy", "--data", str(tree), "--backends", toys("cloud")]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "--allow-cloud" in capsys.readouterr().err
    code, result = run(tree, toys("cloud", "happiness"), "--allow-cloud", "--max-calls", "5")
    assert code == 0
    assert result["backends"]["cloud"]["statuses"] == {"answered": 5, "not_asked": 7}
    assert result["backends"]["happiness"]["n"] == 12
    assert result["comparisons"][0]["n"] == 5
    assert "--max-calls 5 is spent" in capsys.readouterr().err
    assert [row["status"] for row in rows_of(tree)].count("not_asked") == 7


@pytest.mark.parametrize("others", [(), ("not_there",)])
def test_budget_holds_over_runs_and_a_larger_one_goes_on(
    tree: Path, others: tuple[str, ...]
) -> None:
    """Whether or not a backend that is missing keeps the run open, too."""
    backends = toys("cloud", *others)
    for most, answered in (("4", 4), ("4", 4), ("6", 6), ("100", 12)):
        _, result = run(tree, backends, "--allow-cloud", "--max-calls", most)
        assert result["backends"]["cloud"]["n"] == answered
    rows = [row for row in rows_of(tree) if row["backend"] == toys("cloud")]
    assert len({row["picture"] for row in rows}) == len(rows) == 12
    assert (tree.parent / "result.json.partial.jsonl").exists() == bool(others)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_where_it_was(
    tree: Path, how: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = tree.parent / "result.json.partial.jsonl"
    output = str(tree.parent / "result.json")
    arguments = ["--data", str(tree), "--backends", toys("slow"), "--json", output]
    command = [sys.executable, "-m", "shelly_local", "benchmark", "accuracy", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not partial.exists() or partial.read_bytes().count(b"\n") < 4:
            assert time.monotonic() < deadline, "no rows came"
            time.sleep(0.02)
        assert main(["benchmark", "accuracy", *arguments]) == 1
        assert "another run is writing" in capsys.readouterr().err
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors
    kept = partial.read_bytes().splitlines()[1:]
    assert 3 <= len(kept) < 12
    with partial.open("ab") as stream:
        stream.write(b'{"backend": "torn')  # as a crash of the machine leaves it
    code, result = run(tree, toys("slow"))
    assert code == 0
    assert result["backends"]["slow"]["n"] == 12
    assert f"going on from {len(kept)} rows" in capsys.readouterr().err
    rows = (tree.parent / "result.json.rows.jsonl").read_bytes().splitlines()[1:]
    assert rows[: len(kept)] == kept
    assert len({json.loads(row)["picture"] for row in rows}) == len(rows) == 12
    assert not partial.exists()


def test_partial_results_of_another_run_are_not_mixed_in(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tree, toys("not_there"))
    (tree / "neutral/026.jpg").unlink()
    output = tree.parent / "result.json"
    arguments = ["--data", str(tree), "--backends", toys("happiness"), "--json", str(output)]
    assert main(["benchmark", "accuracy", *arguments]) == 1
    assert "of another run (other data)" in capsys.readouterr().err
    _, result = run(tree, toys("happiness"), "--restart")
    assert result["backends"]["happiness"]["n"] == 11


def test_answers_of_another_model_are_not_kept(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that stopped before an upgrade must not mix two models."""
    run(tree, f"local,{toys('happiness', 'not_there')}")  # stays open: a backend is missing
    partial = tree.parent / "result.json.partial.jsonl"
    header, *lines = partial.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        if row["backend"] == "local":
            assert re.fullmatch("[0-9a-f]{64}", row["model"])
            row |= {"model": "0" * 64, "scores": [1, 0, 0, 0, 0, 0, 0]}
    partial.write_text("\n".join([header, *map(json.dumps, rows)]) + "\n")
    capsys.readouterr()
    code, result = run(tree, f"local,{toys('happiness')}")
    assert code == 0
    assert "12 rows" in capsys.readouterr().err
    assert result["backends"]["local"]["accuracy"] >= 0.75
    assert result["backends"]["happiness"]["n"] == 12


def test_a_limit_draws_the_same_pictures_again(tree: Path) -> None:
    def drawn(*options: str) -> list[str]:
        run(tree, toys("happiness"), *options)
        return [row["picture"] for row in rows_of(tree)]

    assert drawn("--limit", "5") == drawn("--limit", "5")
    assert len(drawn("--limit", "5")) == 5
    assert drawn("--limit", "12") != drawn("--limit", "12", "--seed", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backends", "lokal"], "there are local, ibm, rekognition, google"),
        (["--backends", "local,local"], "named twice"),
        (["--backends", ","], "name one backend"),
        (["--backends", toys("bare")], "has no 'classify'"),
        (["--backends", "tests.nowhere:make"], "cannot be imported"),
        (["--backends", "peer:nobody"], "peer:facenet-mobilenet"),
        (["--backends", "peer:facenet-mobilenet"], "random weights"),
        (["--limit", "0"], "at least 1, got '0'"),
    ],
)
def test_wrong_usage(
    tree: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["benchmark", "accuracy", "--data", str(tree), *arguments])
    assert message in capsys.readouterr().err


def test_outputs_that_cannot_be_written_are_told_first(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["benchmark", "accuracy", "--data", str(tree), "--json"]
    assert main([*arguments, str(tree / "missing/result.json")]) == 1
    assert main([*arguments, str(tree)]) == 1
    errors = capsys.readouterr().err
    assert "does not exist" in errors
    assert "is a folder" in errors

"""What a job of ``shelly classify`` does when something is in its way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import shelly_local.batch.run
from shelly_local.batch.inputs import named_photo
from shelly_local.batch.job import JobFolder
from shelly_local.batch.writers import OutputError
from shelly_local.commands.main import main
from shelly_local.files import HeldLock, try_lock
from shelly_local.results import PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier
from tests.conftest import ROOT
from tests.unit.test_classify_jobs import COUNT, album, records, run, whole

__all__ = ["album", "whole"]  # fixtures, for pytest to find


def test_one_process_at_a_time(album: Path, tmp_path: Path) -> None:
    output = tmp_path / "moods.jsonl"
    folder = tmp_path / "moods.jsonl.parts"
    folder.mkdir()
    held = try_lock(folder / "lock")
    assert held is not None
    outcome = run(album, "--output", output)
    held.release()
    assert outcome.code == 1
    assert outcome.err.startswith(f"shelly: another process is writing {output}")


def test_files_of_others_in_the_way_stay(album: Path, tmp_path: Path) -> None:
    output = tmp_path / "moods.jsonl"
    (tmp_path / "moods.jsonl.parts").mkdir()
    diary = tmp_path / "moods.jsonl.parts" / "diary.txt"
    diary.write_text("Dear Shelly")
    assert run(next(album.rglob("00.jpg")), "--output", output).code == 0
    assert diary.read_text() == "Dear Shelly"
    assert len(records(output)) == 1


class Stumbling:
    """The real classifier, but for a fault at some photos."""

    def __init__(self, classifier: EmotionClassifier, fatal: Sequence[str]) -> None:
        self._classifier, self._fatal = classifier, fatal

    def classify(self, photo: Path) -> PhotoEmotions:
        if photo.name in self._fatal:
            raise ZeroDivisionError("an unforeseen fault")
        return self._classifier.classify(photo)


def test_a_fault_of_the_program_costs_one_photo(
    album: Path,
    whole: bytes,
    classifier: EmotionClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stumbling = Stumbling(classifier, ["00.jpg", "05.jpg", "06.jpg"])
    monkeypatch.setattr(
        "shelly_local.vision.classifier.EmotionClassifier", lambda *_, **__: stumbling
    )
    output = tmp_path / "moods.jsonl"
    assert main(["classify", str(album), "--output", str(output), "--workers", "1"]) == 1
    assert f"4 of {COUNT} photos failed" in capsys.readouterr().err
    for before, now in zip(records(whole), records(output), strict=True):
        assert now["path"] == before["path"]
        if Path(now["path"]).name in ("00.jpg", "05.jpg", "06.jpg"):
            assert "an unforeseen fault" in now["error"]["description"]
        else:
            assert now.get("error") == before.get("error")
            assert len(now.get("faces", ())) == len(before.get("faces", ()))


def test_without_pyarrow_the_line_that_installs_it(
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["classify", str(album), "--output", str(tmp_path / "moods.parquet")]) == 1
    assert 'pip install "shelly-local[parquet]"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a.jpg", "--workers", "2"], "--workers is for jobs, with --output FILE.jsonl or"),
        (["a.jpg", "--engine", "ray", "--output", "a.csv"], "--engine is for jobs"),
        (["-", "--output", "a.parquet"], "from standard input does not go with"),
        (["a.jpg", "--csv", "--output", "a.parquet"], "--csv and --json do not go with"),
        (["a.jpg", "--annotate", "b", "--output", "a.parquet"], "--annotate does not go with"),
        (["a.jpg", "--annotate", "b", "--output", "a.jsonl", "--restart"], "without --annotate"),
        (["-", "--list", "-"], "only once"),
        (["--list", "a.txt", "--column", "path"], "--column is for --list FILE.parquet"),
        (["a.jpg", "--output", "a.jsonl", "--batch", "0"], "at least 1, got '0'"),
        (["a.jpg", "--output", "a.jsonl", "--ray-address", "auto"], "is for --engine ray"),
        (["a.jpg", "--output", "a.jsonl", "--engine", "ray", "--backend", "ibm"], "not for 'ibm'"),
    ],
)
def test_wrong_usage_is_explained(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["classify", *arguments])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_inputs_and_folders_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "list.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a.jpg"]}), table)
    before = table.read_bytes()
    with pytest.raises(SystemExit):
        main(["classify", "--list", str(table), "--output", str(table)])
    assert "would be overwritten" in capsys.readouterr().err
    assert table.read_bytes() == before
    (tmp_path / "folder.jsonl").mkdir()
    assert main(["classify", "a.jpg", "--output", str(tmp_path / "folder.jsonl")]) == 1
    assert "it is no file" in capsys.readouterr().err
    missing = tmp_path / "no such folder" / "moods.jsonl"
    assert main(["classify", "a.jpg", "--output", str(missing)]) == 1
    assert capsys.readouterr().err.startswith(f"shelly: cannot write to {missing}: No such file")
    assert main(["classify", "--list", str(tmp_path / "none.txt")]) == 1
    assert "cannot read the list" in capsys.readouterr().err
    assert list((tmp_path / "folder.jsonl").iterdir()) == []


HOLDER = """
import sys, time
from pathlib import Path
from shelly_local.batch.job import JobFolder
from shelly_local.batch.inputs import named_photo

target = Path(sys.argv[1])
clear = JobFolder.clear

def clear_slowly(self):
    print("clearing", flush=True)
    sys.stdin.readline()
    clear(self)

with JobFolder(target) as folder:
    job = folder.begin([named_photo("a.jpg")], {}, ("x",), model=None, batch=None, restart=False)
    (folder.path / "job.json").unlink()  # as at the end of a job
    JobFolder.clear = clear_slowly
print("done", flush=True)
"""


def test_a_job_that_clears_up_still_holds_its_lock(tmp_path: Path) -> None:
    target = tmp_path / "moods.jsonl"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(target)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert holder.stdin
    assert holder.stdout
    assert holder.stdout.readline() == "clearing\n"
    with pytest.raises(OutputError, match="another process is writing"), JobFolder(target):
        pass
    holder.stdin.write("\n")
    holder.stdin.close()
    assert holder.stdout.readline() == "done\n"
    assert holder.wait(30) == 0
    assert not (tmp_path / "moods.jsonl.parts").exists()
    with JobFolder(target) as folder:
        job = folder.begin(
            [named_photo("b.jpg")], {}, ("x",), model=None, batch=None, restart=False
        )
        assert [photo.name for photo in job.inputs(0)] == ["b.jpg"]


def test_a_folder_that_goes_while_its_lock_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[HeldLock | None] = []

    def too_late(path: Path) -> HeldLock | None:
        lock = try_lock(path)
        if not taken and lock:
            lock.remove()  # by another process, which has just finished
        taken.append(lock)
        return lock

    monkeypatch.setattr("shelly_local.batch.job.try_lock", too_late)
    with JobFolder(tmp_path / "moods.jsonl") as folder:
        assert len(taken) == 2
        assert (folder.path / "lock").exists()
        with pytest.raises(OutputError, match="another process"), JobFolder(folder._target):
            pass


def test_a_lock_of_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock")
    assert held
    assert held.is_in_place()
    held.remove()
    assert not held.is_in_place()
    other = try_lock(tmp_path / "lock")
    assert other
    assert other.is_in_place()
    other.release()
    held.release()


def test_an_engine_that_leaves_out_a_photo(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lines = shelly_local.batch.run._lines
    monkeypatch.setattr(
        shelly_local.batch.run, "_lines", lambda *given: (yield from list(lines(*given))[:-1])
    )
    output = tmp_path / "moods.jsonl"
    assert main(["classify", str(album), "--output", str(output)]) == 1
    assert "were answered" in capsys.readouterr().err
    assert not output.exists()
    monkeypatch.undo()
    main(["classify", str(album), "--output", str(output)])
    assert len(records(output)) == COUNT

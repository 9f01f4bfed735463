"""Jobs of ``shelly classify --engine ray`` on a real Ray with two workers."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from shelly_local.batch.answerers import identity
from shelly_local.batch.inputs import find_photos
from shelly_local.batch.job import JobFolder
from shelly_local.batch.ray import run_ray
from shelly_local.commands.main import main
from shelly_local.errors import ShellyError
from shelly_local.results import CLASSES
from tests.unit.test_classify_jobs import album, parts, records, run
from tests.unit.test_cli import finish, interruptible, start, wait_until

__all__ = ["album"]

#: Ray names the process of a worker so that it can be told from Ray's other processes.
WORKER = "ray::MapWorker"


def workers_of(pid: int) -> list[int]:
    """Processes of workers that descend from this process."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and WORKER in (folder / "cmdline").read_text():
                ancestor = int(folder.name)
                while ancestor not in (0, pid):
                    status = Path(f"/proc/{ancestor}/stat").read_text()
                    ancestor = int(status.rpartition(")")[2].split()[1])
                if ancestor == pid:
                    found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def asks_for_a_token(pid: int) -> bool:
    """Whether the Ray that this process started runs with a token of its own."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid and words[0].endswith("raylet"):
                environment = (folder / "environ").read_bytes().split(b"\0")
                tokens = [entry for entry in environment if entry.startswith(b"RAY_AUTH_TOKEN=")]
                return b"RAY_AUTH_MODE=token" in environment and len(tokens[0]) > 40
        except OSError:  # it ended meanwhile
            continue
    raise AssertionError(f"process {pid} has started no Ray")


def test_a_worker_killed_in_the_middle(album: Path, tmp_path: Path) -> None:
    """The other engine's output, in its order, although one of two workers dies."""
    photos = [str(photo) for photo in sorted(album.rglob("*.*"))] * 8
    inputs, output = tmp_path / "photos.txt", tmp_path / "moods.jsonl"
    inputs.write_text("\n".join(photos))
    local = tmp_path / "local.jsonl"
    assert run("--list", inputs, "--output", local).code == 1

    options = ("--engine", "ray", "--workers", "2", "--batch", "4")
    process = interruptible("classify", "--list", inputs, "--output", output, *options)
    wait_until(
        lambda: (
            (len(workers_of(process.pid)) == 2 and len(parts(output)) > 1)
            or process.poll() is not None
        )
    )
    assert process.poll() is None, finish(process).err
    victim = workers_of(process.pid)[0]
    os.kill(victim, signal.SIGKILL)
    assert len(parts(output)) < len(photos) // 4 - 8, "killed too late to show anything"
    assert asks_for_a_token(process.pid)
    outcome = finish(process)
    assert outcome.code == 1
    broken = str(album / "1" / "broken.png")
    ours = [line for line in outcome.err.splitlines() if line.startswith("shelly: ")]
    *complaints, summary = ours
    assert summary == f"shelly: 8 of {len(photos)} photos failed; their rows say why"
    assert len(complaints) == 8
    assert all(line.startswith(f"shelly: {broken}: ") for line in complaints)
    assert records(output) == records(local)
    assert len(records(output)) == len(photos)
    assert not list(tmp_path.glob("*.parts"))


def test_stopped_with_threads_and_finished_by_ray(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both engines do the same job; workers start relative paths where the command did."""
    monkeypatch.chdir(album)
    output = tmp_path / "moods.parquet"
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    names = [str(photo.relative_to(album)) for photo in sorted(album.rglob("*.*"))]
    inputs = [*names, str(pipe)]
    command = ["--output", str(output), "--batch", "1", "--workers", "1"]
    process = start("classify", *inputs, *command, cwd=album)
    wait_until(lambda: len(parts(output)) >= 5)
    process.kill()
    finish(process)
    done = len(parts(output))
    pipe.unlink()
    assert run(*inputs, *command, "--engine", "ray").code == 1
    again = tmp_path / "again.parquet"
    assert run(*inputs, "--output", again).code == 1
    assert done < len(names)
    assert records_of(output) == records_of(again)


def records_of(file: Path) -> list[dict[str, object]]:
    import pyarrow.parquet

    rows: list[dict[str, object]] = pyarrow.parquet.read_table(file).to_pylist()
    return rows


def test_a_worker_that_would_answer_differently_is_refused(album: Path, tmp_path: Path) -> None:
    """As on a cluster where one machine has another version of Shelly or of the model."""
    answers = {**identity(None), "model": "0" * 64}
    with JobFolder(tmp_path / "moods.jsonl") as folder:
        job = folder.begin(
            find_photos([str(album)]), answers, CLASSES, model=None, batch=None, restart=False
        )
        with pytest.raises(ShellyError, match="this machine has another model or version"):
            list(run_ray(job, range(len(job)), 1, None))


def test_a_cluster_out_of_reach_is_one_line(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "moods.jsonl"
    arguments = ["--engine", "ray", "--ray-address", "auto"]
    assert main(["classify", str(album), "--output", str(output), *arguments]) == 1
    *_, done, reason = capsys.readouterr().err.splitlines()
    assert done.startswith("shelly: 0 of 14 photos are done")
    assert reason.startswith("shelly: Ray stopped: ")


def test_without_ray_the_line_that_installs_it(
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    output = tmp_path / "moods.jsonl"
    assert main(["classify", str(album), "--output", str(output), "--engine", "ray"]) == 1
    assert 'pip install "shelly-local[ray]"' in capsys.readouterr().err

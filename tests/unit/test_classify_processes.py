"""Jobs of ``shelly classify`` in several processes of one machine, and what becomes of these."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from shelly_local.batch.processes import processes_for
from tests.unit.test_classify_jobs import Album, album, parts, photos, records, run, whole
from tests.unit.test_cli import finish, interruptible, start, wait_until

__all__ = ["album", "photos", "whole"]  # fixtures, for pytest to find


def workers_of(pid: int) -> list[int]:
    """Worker processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("count", "wanted", "cores", "processes"),
    [
        (1_000_000, None, 8, 8),
        (1_000_000, 3, 8, 3),
        (31, None, 8, 1),
        (32, None, 8, 2),
        (17, 8, 2, 3),
        (0, None, 4, 1),
        (0, 4, 4, 1),
    ],
)
def test_no_more_processes_than_pay(
    count: int, wanted: int | None, cores: int, processes: int
) -> None:
    assert processes_for(count, wanted, cores) == processes


def test_processes_answer_as_one(album: Path, whole: bytes, tmp_path: Path) -> None:
    output = tmp_path / "moods.jsonl"
    outcome = run(album, "--output", output, "--workers", "3", "--batch", "4")
    assert outcome.code == 1
    assert output.read_bytes() == whole


def test_a_pipe_is_read(album: Path, tmp_path: Path) -> None:
    """As of a shell's ``<(command)``: it exists in the process that was called, and only there."""
    photo = next(album.rglob("00.jpg"))
    output = tmp_path / "moods.jsonl"
    reading, writing = os.pipe()
    arguments: list[str | Path] = ["classify", *[photo] * 9, f"/dev/fd/{reading}"]
    process = start(*arguments, "--output", output, "--workers", "2", pass_fds=[reading])
    os.close(reading)
    with os.fdopen(writing, "wb") as stream:
        stream.write(photo.read_bytes())
    assert finish(process).code == 0
    first, *_, last = records(output)
    assert len(records(output)) == 10
    assert last["faces"] == first["faces"]


def test_a_worker_that_is_killed_is_replaced(photos: Album, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    other = Album(undisturbed, photos.contents)
    assert run(*other.command("--workers", "1")[1:]).code == 0

    photos.restore(29)
    process = start(*photos.command("--workers", "2", "--batch", "4"))
    wait_until(lambda: bool(parts(photos.output)))
    workers = workers_of(process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    assert finish(process) == (0, "", "")
    for number, (row, same) in enumerate(
        zip(records(photos.output), records(other.output), strict=True)
    ):
        assert row["path"] == str(photos.photos[number])
        assert row["faces"] == same["faces"]


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # it ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize("deadly", [(17,), (16, 18, 20)])
def test_a_photo_that_kills_costs_itself_alone(deadly: tuple[int, ...], photos: Album) -> None:
    """As a machine does that is short of memory, or a fault in a decoder."""
    photos.restore(29)
    for number in deadly:
        Image.new("RGB", (7000, 7000), "teal").save(photos.photos[number], "PNG")
    process = start(*photos.command("--workers", "2", "--batch", "4"))
    killed = []

    def kill_the_largest() -> None:
        while process.poll() is None:
            for worker in workers_of(process.pid):
                if resident_mb(worker) > 220 and worker not in killed:  # others have 130
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_the_largest)
    killer.start()
    outcome = finish(process)
    killer.join()
    assert outcome.code == 1
    assert len(killed) == 1 + len(deadly), "once among others, then each alone"
    reason = "the process that worked on it died, perhaps for want of memory"
    assert outcome.err.splitlines() == [
        *(f"shelly: {photos.photos[number]}: {reason}" for number in deadly),
        f"shelly: {len(deadly)} of 50 photos failed; their rows say why",
    ]
    rows = records(photos.output)
    assert [row["path"] for row in rows] == [*map(str, photos.photos)]
    assert [number for number, row in enumerate(rows) if "error" in row] == [*deadly]


def test_workers_that_keep_dying_end_the_job(photos: Album) -> None:
    photos.restore(29)
    process = start(*photos.command("--workers", "2", "--batch", "4"))
    wait_until(lambda: bool(parts(photos.output)))
    while process.poll() is None:
        for worker in workers_of(process.pid):
            os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    outcome = finish(process)
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith(
        "shelly: 3 worker processes died one after another, perhaps for want of memory"
    )
    assert not photos.output.exists()
    assert finish(start(*photos.command())).code == 0, "the same command goes on"
    assert len(records(photos.output)) == 50


def test_ctrl_c_ends_all_processes(photos: Album) -> None:
    photos.restore(29)
    photos.block(49)  # far enough that what is ahead of it is answered
    process = interruptible(
        *photos.command("--workers", "2", "--batch", "4"), start_new_session=True
    )
    wait_until(lambda: bool(parts(photos.output)) and len(workers_of(process.pid)) == 2)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    outcome = finish(process)
    assert outcome.code == 130
    told, interrupted = outcome.err.splitlines()
    assert told.endswith(" of 50 photos are done; the same command does the others")
    assert interrupted == "shelly: interrupted"
    wait_until(lambda: not any(map(is_running, workers)))
    photos.restore(49)
    assert finish(start(*photos.command())).code == 0
    assert len(records(photos.output)) == 50


def test_ctrl_c_while_workers_start(photos: Album) -> None:
    photos.restore(29)
    process = interruptible(*photos.command("--workers", "2"), start_new_session=True)
    wait_until(lambda: bool(workers_of(process.pid)))
    os.killpg(process.pid, signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "shelly: interrupted"
    assert "Traceback" not in outcome.err


def test_workers_end_with_a_job_that_is_killed(photos: Album) -> None:
    photos.restore(29)
    photos.block(49)  # far enough that what is ahead of it is answered
    process: subprocess.Popen[bytes] = start(*photos.command("--workers", "2", "--batch", "4"))
    wait_until(lambda: bool(parts(photos.output)) and len(workers_of(process.pid)) == 2)
    workers = workers_of(process.pid)
    process.kill()
    finish(process)
    wait_until(lambda: not any(map(is_running, workers)))


def test_a_model_that_is_damaged_meanwhile(photos: Album, tmp_path: Path) -> None:
    """Workers load it for themselves; their message is the job's."""
    from shelly_local.vision.onnx import bundled_model

    model = tmp_path / "model"
    shutil.copytree(bundled_model("emotion"), model)
    photos.restore(29)
    photos.block(0)  # the job waits there, its workers are not started yet
    process = start(*photos.command("--workers", "2", "--model", str(model)))
    wait_until(lambda: Path(f"{photos.output}.parts/job.json").exists())
    (model / "model.onnx").write_bytes(b"damaged")
    photos.photos[0].write_bytes(photos.contents[0])  # through the pipe
    outcome = finish(process)
    assert outcome.code == 1
    assert "SHA-256" in outcome.err or "damaged" in outcome.err
    assert "Traceback" not in outcome.err

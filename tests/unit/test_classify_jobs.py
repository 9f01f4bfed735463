"""Jobs of ``shelly classify``: many photos to JSON Lines or Parquet, stopped and gone on with."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from shelly_local.commands.main import main
from shelly_local.vision.onnx import bundled_model
from tests.unit.test_cli import Outcome, finish, interruptible, start, wait_until

COUNT = 14


def small(photo: Path, side: int = 240) -> bytes:
    """A photo at a size that takes little time."""
    content = io.BytesIO()
    with Image.open(photo) as picture:
        picture.convert("RGB").resize((side, side)).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, portrait_photos: list[Path],
          no_face_photo: Path) -> Path:  # fmt: skip
    """A folder of small photos, one of them without a face and one broken."""
    folder = tmp_path_factory.mktemp("album")
    sources = [*portrait_photos, no_face_photo]
    for number in range(COUNT - 1):
        file = folder / f"{number // 5}" / f"{number:02d}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(small(sources[number % len(sources)]))
    (folder / "1" / "broken.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def whole(album: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The output of a job that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "moods.jsonl"
    assert run(album, "--output", output).code == 1
    return output.read_bytes()


def run(*arguments: str | Path) -> Outcome:
    """Run the command in this process, which saves the time to start one."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(["classify", *map(str, arguments)])
    return Outcome(code, out.getvalue(), err.getvalue())


def records(output: Path | bytes) -> list[dict[str, Any]]:
    content = output.read_bytes() if isinstance(output, Path) else output
    return [json.loads(line) for line in content.splitlines()]


def parts(output: Path) -> list[Path]:
    """Files of the batches that are done."""
    return sorted(Path(f"{output}.parts").glob("part-*.jsonl"))


def test_a_job_answers_as_photos_one_by_one(album: Path, whole: bytes) -> None:
    alone = run(album, "--json").records
    together = records(whole)
    assert [record["path"] for record in together] == [record["path"] for record in alone]
    assert len(together) == COUNT
    for one, other in zip(alone, together, strict=True):
        assert one.get("error") == other.get("error")
        for face, same in zip(one.get("faces", ()), other.get("faces", ()), strict=True):
            assert same["box"] == pytest.approx(face["box"], abs=1)
            assert same["scores"] == pytest.approx(face["scores"], abs=0.01)
    assert sum("error" in record for record in together) == 1
    assert [len(record.get("faces", ())) for record in together].count(1) >= 10


def test_parquet_holds_what_json_lines_hold(album: Path, whole: bytes, tmp_path: Path) -> None:
    output = tmp_path / "moods.parquet"
    outcome = run(album, "--output", output)
    assert outcome.code == 1
    assert outcome.out == ""
    complaint, summary = outcome.err.splitlines()
    assert complaint.startswith(f"shelly: {album / '1' / 'broken.png'}: ")
    assert summary == f"shelly: 1 of {COUNT} photos failed; their rows say why"
    rows = pyarrow.parquet.read_table(output).to_pylist()
    expected = [
        {key: record.get(key) for key in ("path", "width", "height", "faces", "error")}
        for record in records(whole)
    ]
    assert rows == expected
    assert list(tmp_path.iterdir()) == [output]


def test_lists_as_text_standard_input_and_parquet(
    album: Path, tmp_path: Path, whole: bytes
) -> None:
    good = [record for record in records(whole) if "error" not in record]
    paths = [record["path"] for record in good]
    text = tmp_path / "list.txt"
    text.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(paths).encode())
    table = tmp_path / "list.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": paths}), table, row_group_size=5)
    other = tmp_path / "other.PARQUET"
    pyarrow.parquet.write_table(pyarrow.table({"file": [*paths, None]}), other)
    output = tmp_path / "out.jsonl"
    assert run("--list", text, "--output", output) == (0, "", "")
    assert records(output) == good
    assert run("--list", table, "--output", output).code == 0
    assert records(output) == good
    lines = "".join(f"{path}\n" for path in paths).encode()
    piped = start("classify", "--list", "-", "--output", output, stdin=subprocess.PIPE)
    assert finish(piped, lines).code == 0
    assert records(output) == good
    assert run("--list", other, "--column", "file", "--output", output).code == 1
    *rows, last = records(output)
    assert rows == good
    assert last["error"]["description"] == "the row has no path"
    assert [row["path"] for row in run("--list", text, "--json").records] == paths
    wrong = run("--list", other, "--output", output)
    assert wrong.code == 1
    assert wrong.err.endswith("has no column 'path'; choose with --column from file\n")


def test_pictures_within_parquet(album: Path, tmp_path: Path, whole: bytes) -> None:
    photos = sorted(album.rglob("*.*"))
    pictures = [photo.read_bytes() for photo in photos]
    table = tmp_path / "pictures.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"image": [*pictures, None], "path": [*map(str, photos), "gone"]}),
        table,
        row_group_size=6,
    )
    output = tmp_path / "out.jsonl"
    options = ("--output", output, "--batch", "4", "--workers", "2")
    outcome = run("--list", table, "--column", "image", *options)
    assert outcome.code == 1
    *rows, last = records(output)
    assert [row.get("faces") for row in rows] == [row.get("faces") for row in records(whole)]
    assert [row["path"] for row in rows] == [str(photo) for photo in photos]
    assert last["error"]["error_id"] == "unreadable"
    nameless = tmp_path / "nameless.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"image": pictures[:2]}), nameless)
    assert run("--list", nameless, "--column", "image", "--output", output).code == 0
    assert [row["path"] for row in records(output)] == [f"{nameless}#0", f"{nameless}#1"]


class Album:
    """Photos in a list; a pipe in the place of one stops whoever comes to it."""

    def __init__(self, folder: Path, contents: Sequence[bytes]) -> None:
        self.contents = contents
        self.photos = [folder / f"{number:02d}.jpg" for number in range(len(contents))]
        self.list, self.output = folder / "photos.txt", folder / "moods.jsonl"
        self.list.write_text("".join(f"{photo}\n" for photo in self.photos))
        for number in range(len(contents)):
            self.restore(number)

    def restore(self, number: int) -> None:
        self.photos[number].unlink(missing_ok=True)
        self.photos[number].write_bytes(self.contents[number])

    def block(self, number: int) -> None:
        self.photos[number].unlink()
        os.mkfifo(self.photos[number])

    def command(self, *options: str) -> list[str | Path]:
        return ["classify", "--list", self.list, "--output", self.output, *options]

    def stop(self, *options: str, how: int = signal.SIGKILL, batches: int = 1) -> Outcome:
        """Start the job, end it once so many batches are done, and say how it ended."""
        process = interruptible(*self.command(*options))
        wait_until(lambda: len(parts(self.output)) >= batches)
        assert process.poll() is None, "it went past the pipe"
        process.send_signal(how)
        outcome = finish(process)
        assert not self.output.exists()
        return outcome


@pytest.fixture
def photos(album: Path, tmp_path: Path) -> Album:
    """Fifty small photos; work stops at the thirtieth."""
    contents = [photo.read_bytes() for photo in sorted(album.rglob("*.jpg"))]
    made = Album(tmp_path, [contents[number % len(contents)] for number in range(50)])
    made.block(29)
    return made


ONE_BY_ONE = ("--batch", "2", "--workers", "1")


def test_a_killed_job_goes_on(photos: Album, tmp_path: Path) -> None:
    """Killed twice; the photos of finished batches are not read again."""
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    other = Album(undisturbed, photos.contents)
    assert run(*other.command()[1:]) == (0, "", "")

    photos.block(49)
    for blocked, batches in ((29, 8), (49, 18)):
        assert photos.stop(*ONE_BY_ONE, batches=batches).code == -signal.SIGKILL
        for photo in photos.photos[: 2 * len(parts(photos.output))]:
            photo.unlink(missing_ok=True)
        photos.restore(blocked)
    done = 2 * len(parts(photos.output))
    assert 36 <= done < 50
    outcome = finish(start(*photos.command()))
    assert outcome == (0, "", f"shelly: {done} of 50 photos are done already\n")
    assert [row["path"] for row in records(photos.output)] == [*map(str, photos.photos)]
    for row, same in zip(records(photos.output), records(other.output), strict=True):
        assert row["faces"] == same["faces"]
    assert sorted(tmp_path.glob("*moods*")) == [photos.output]


def test_ctrl_c_leaves_a_job_to_go_on_with(photos: Album) -> None:
    outcome = photos.stop(*ONE_BY_ONE, how=signal.SIGINT)
    assert outcome.code == 130
    done = 2 * len(parts(photos.output))
    assert outcome.err == (
        f"shelly: {done} of 50 photos are done; the same command does the others\n"
        "shelly: interrupted\n"
    )
    photos.restore(29)
    assert finish(start(*photos.command())).code == 0
    assert len(records(photos.output)) == 50


def test_what_failed_before_the_stop_counts(photos: Album) -> None:
    photos.photos[0].unlink()
    photos.stop(*ONE_BY_ONE)
    photos.restore(0)
    photos.restore(29)
    outcome = finish(start(*photos.command()))
    assert outcome.code == 1
    assert outcome.err.endswith("shelly: 1 of 50 photos failed; their rows say why\n")
    first, *others = records(photos.output)
    assert first["error"]["error_id"] == "unreadable"
    assert all("faces" in record for record in others)


def test_another_list_or_model_is_noticed(photos: Album, tmp_path: Path) -> None:
    photos.stop(*ONE_BY_ONE)
    photos.restore(29)
    photos.output.write_text("of yesterday")
    folder = tmp_path / "model"
    shutil.copytree(bundled_model("emotion"), folder)
    description = json.loads((folder / "model.json").read_text())
    description["temperature"] *= 2
    (folder / "model.json").write_text(json.dumps(description))
    other = run(*photos.command("--model", str(folder))[1:])
    assert (other.code, photos.output.read_text()) == (1, "of yesterday")
    assert "another model or version (model " in other.err
    assert "--restart" in other.err
    more = run(*photos.command(str(photos.photos[0]))[1:])
    assert (more.code, photos.output.read_text()) == (1, "of yesterday")
    assert "other inputs (50 photos then, 51 now)" in more.err
    assert run(*photos.command("--model", str(folder), "--restart")[1:]) == (0, "", "")
    assert len(records(photos.output)) == 50


def test_a_damaged_batch_is_done_again(photos: Album) -> None:
    photos.stop(*ONE_BY_ONE)
    photos.restore(29)
    part = parts(photos.output)[0]
    part.write_text(part.read_text()[:-20])  # as a power cut may leave it
    outcome = finish(start(*photos.command()))
    assert outcome.code == 0
    assert [row["path"] for row in records(photos.output)] == [*map(str, photos.photos)]


def test_relative_paths_belong_to_their_folder(
    photos: Album,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [photo.name for photo in photos.photos]
    photos.list.write_text("\n".join(names))
    monkeypatch.chdir(tmp_path)
    process = start(*photos.command(*ONE_BY_ONE), cwd=tmp_path)
    wait_until(lambda: bool(parts(photos.output)))
    process.kill()
    finish(process)
    photos.restore(29)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    command = [str(argument) for argument in photos.command()]
    assert main(command) == 1
    assert f"in another working directory ({tmp_path})" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0
    assert [row["path"] for row in records(photos.output)] == names

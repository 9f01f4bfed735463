"""``shelly classify``: what it takes for photos, and what it writes by the suffix of the output."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PICTURES
from tests.unit.test_commands_classify import Shelly, folder, shelly

__all__ = ["folder", "shelly"]  # fixtures, for pytest to find


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "txt", "ndjson"])
def test_the_suffix_of_the_output_says_what_it_is(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"moods.{suffix}"
    assert shelly("classify", smiling_photo, "missing.jpg", "--output", file).code == 1
    text = file.read_text(encoding="utf-8")
    if suffix == "txt":
        assert text == shelly("classify", smiling_photo, "missing.jpg").out
    elif suffix == "json":
        good, bad = json.loads(text)
        assert (good["faces"][0]["emotion"], bad["error"]["code"]) == ("happiness", 404)
    elif suffix == "ndjson":
        assert text == shelly("classify", smiling_photo, "missing.jpg", "--json").out
    else:
        rows = list(csv.DictReader(text.splitlines(), dialect="excel-tab" if suffix == "tsv" else
                                   "excel"))  # fmt: skip
        assert [row["emotion"] for row in rows] == ["happiness", ""]


def test_an_empty_json_file_is_json(shelly: Shelly, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("")
    file = tmp_path / "moods.json"
    assert shelly("classify", "--list", tmp_path / "list.txt", "--output", file).code == 0
    assert json.loads(file.read_text()) == []


def test_flags_beat_the_suffix(shelly: Shelly, smiling_photo: Path, tmp_path: Path) -> None:
    file = tmp_path / "moods.csv"
    shelly("classify", smiling_photo, "--json", "--output", file)
    assert json.loads(file.read_text())["faces"]


@pytest.mark.parametrize("name", ["moods.xlsx", "moods.jpg"])
def test_a_suffix_that_says_nothing(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        shelly("classify", smiling_photo, "--output", tmp_path / name)
    assert stopped.value.code == 2
    assert ".csv, .tsv, .json, .jsonl" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("arguments", [[""], ["--list", ""], ["a.jpg", "--output", ""]])
def test_an_empty_path_is_wrong_usage(
    shelly: Shelly, folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], arguments: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)  # whose pictures "" would name
    with pytest.raises(SystemExit) as stopped:
        shelly("classify", *arguments)
    assert stopped.value.code == 2
    assert "a path is empty" in capsys.readouterr().err


def test_a_name_that_begins_with_a_dash(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copy(smiling_photo, "-dash.jpg")
    with pytest.raises(SystemExit):
        shelly("classify", "-dash.jpg")
    assert "the file is given as ./-dash.jpg" in capsys.readouterr().err
    assert shelly("classify", "./-dash.jpg").code == 0


def test_small_faces_beside_a_large_one(shelly: Shelly, tmp_path: Path) -> None:
    photo = Image.new("RGB", (1200, 800), "grey")
    with Image.open(PICTURES / "smiling.jpg") as portrait:
        photo.paste(portrait.convert("RGB").resize((700, 700)), (0, 50))
        for number in range(4):
            photo.paste(portrait.convert("RGB").resize((130, 130)), (900, 40 + 180 * number))
    photo.save(tmp_path / "family.jpg", quality=92)
    fast = shelly("classify", "--json", tmp_path / "family.jpg").records[0]
    thorough = shelly(
        "classify", "--json", tmp_path / "family.jpg", "--detection", "thorough"
    ).records[0]
    assert len(fast["faces"]) < len(thorough["faces"]) == 5
    jobs = {}
    for detection in ("fast", "thorough"):
        output = tmp_path / f"{detection}.jsonl"
        shelly("classify", tmp_path / "family.jpg", "--output", output, "--detection", detection)
        jobs[detection] = len(json.loads(output.read_text())["faces"])
    assert jobs == {"fast": len(fast["faces"]), "thorough": 5}


def test_more_kinds_of_files_in_folders(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path
) -> None:
    for name in ("a.jpe", "b.MPO", "c", "d.txt", "e.doc", "f.txt"):
        shutil.copy(smiling_photo, tmp_path / name)
    (tmp_path / "notes").write_text("no picture")
    outcome = shelly("classify", "--json", tmp_path)
    assert [Path(record["path"]).name for record in outcome.records] == ["a.jpe", "b.MPO", "c"]
    assert outcome.code == 0
    assert "no pictures by their names: 4 (.txt 2, " in outcome.err
    assert "without suffix 1" in outcome.err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_lists_with_a_byte_order_mark(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path, encoding: str
) -> None:
    shutil.copy(smiling_photo, tmp_path / "ü.jpg")
    text = f"{tmp_path / 'ü.jpg'}\r\n{smiling_photo}\r\n"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "list.txt").write_bytes((mark + text).encode(encoding))
    outcome = shelly("classify", "--json", "--list", tmp_path / "list.txt")
    assert [Path(record["path"]).name for record in outcome.records] == ["ü.jpg", "smiling.jpg"]
    assert outcome.code == 0

"""``shelly classify``, as a user types it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shelly_local.commands.main import main
from shelly_local.results import CLASSES, PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.images import decode
from tests.unit.test_cli import Outcome, finish, start

Shelly = Callable[..., Outcome]
#: What is said of the fixture ``folder`` beside results: it holds notes.txt.
PASSED_BY = "shelly: passed by, as no pictures by their names: 1 (.txt 1)\n"


@pytest.fixture
def shelly(
    classifier: EmotionClassifier,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shelly:
    """Runs the command in this process, with the model loaded once for all tests."""

    def load(model: Path | None = None, **options: Any) -> EmotionClassifier:
        if model or options != {"detection": "fast"}:
            return EmotionClassifier(model, **options)
        return classifier

    monkeypatch.setattr("shelly_local.vision.classifier.EmotionClassifier", load)

    def run(*arguments: str | Path) -> Outcome:
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path, smiling_photo: Path, no_face_photo: Path) -> Path:
    """Photos in a tree, between files that are none."""
    folder = tmp_path / "photos"
    for name, source in {
        "b.jpg": smiling_photo,
        "a/z.JPG": no_face_photo,
        "a/deep/y.jpg": smiling_photo,
        ".hidden.jpg": smiling_photo,
        ".thumbnails/x.jpg": smiling_photo,
        "notes.txt": smiling_photo,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / name)
    return folder


def test_good_and_bad_files_in_one_batch(
    smiling_photo: Path, no_face_photo: Path, tmp_path: Path
) -> None:
    text = tmp_path / "letter.jpg"
    text.write_text("Dear Shelly")
    missing = tmp_path / "missing.jpg"
    outcome = finish(start("classify", text, smiling_photo, missing, no_face_photo))

    assert outcome.code == 1
    header, first, second, third, fourth = outcome.out.splitlines()
    assert header.split() == ["PHOTO", "SIZE", "FACE", "EMOTION", "PROBABILITY", "BOX"]
    assert first.endswith("error: not_an_image")
    assert re.search(rf"smiling.jpg +\d+x\d+ +1  ({'|'.join(CLASSES)}) +\d+ %  \d", second)
    assert third.endswith("error: unreadable")
    assert fourth.endswith("no face")
    complaints = outcome.err.splitlines()
    assert len(complaints) == 2
    assert complaints[0].startswith(f"shelly: {text}: ")
    assert complaints[1].startswith(f"shelly: {missing}: ")


def test_json_lines_hold_what_the_library_answers(
    shelly: Shelly, classifier: EmotionClassifier, smiling_photo: Path, group_photo: Path
) -> None:
    outcome = shelly("classify", "--json", smiling_photo, group_photo, "missing.jpg")
    assert outcome.code == 1
    first, second, third = outcome.records
    assert first == {"path": str(smiling_photo), **classifier.classify(smiling_photo).as_dict()}
    assert second == {"path": str(group_photo), **classifier.classify(group_photo).as_dict()}
    assert len(second["faces"]) > 1
    for face in second["faces"]:
        assert set(face) == {"box", "landmarks", "confidence", "emotion", "scores"}
        assert [len(face["box"]), *map(len, face["landmarks"])] == [4, 2, 2, 2, 2, 2]
        assert list(face["scores"]) == list(CLASSES)
    assert set(third) == {"path", "error"}
    assert third["error"]["code"] == 404
    assert third["error"]["error_id"] == "unreadable"
    assert third["error"]["description"] in outcome.err


def test_csv_has_a_row_per_face(
    shelly: Shelly,
    classifier: EmotionClassifier,
    group_photo: Path,
    no_face_photo: Path,
    tmp_path: Path,
) -> None:
    awkward = tmp_path / 'so, "we"\nsay.jpg'
    shutil.copy(group_photo, awkward)
    outcome = shelly("classify", "--csv", awkward, no_face_photo, tmp_path / "missing.jpg")
    *group, without, missing = outcome.rows

    emotions = classifier.classify(group_photo)
    assert list(missing) == [
        *("path", "width", "height", "face", "x0", "y0", "x1", "y1", "confidence", "emotion"),
        *(*CLASSES, "error"),
    ]
    assert [row["face"] for row in group] == [str(n + 1) for n in range(len(emotions.faces))]
    for row, face in zip(group, emotions.faces, strict=True):
        assert row["path"] == str(awkward)
        assert (int(row["width"]), int(row["height"])) == (emotions.width, emotions.height)
        assert row["emotion"] == face.emotion
        box = [float(row[name]) for name in ("x0", "y0", "x1", "y1")]
        assert box == pytest.approx(face.face.box, abs=0.01)
        for name in CLASSES:
            assert float(row[name]) == pytest.approx(face.scores[name], abs=1e-4)
        assert row["error"] == ""
    assert [name for name, value in without.items() if value] == ["path", "width", "height"]
    assert [name for name, value in missing.items() if value] == ["path", "error"]


def test_photo_from_standard_input(classifier: EmotionClassifier, smiling_photo: Path) -> None:
    process = start("classify", "-", "--json", stdin=subprocess.PIPE)
    outcome = finish(process, smiling_photo.read_bytes())
    assert outcome.records == [{"path": "-", **classifier.classify(smiling_photo).as_dict()}]
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("content", "error_id"),
    [(b"", "not_an_image"), (b"no picture", "not_an_image"), (bytes(11 << 20), "limit_exceeded")],
)
def test_standard_input_that_is_no_photo(content: bytes, error_id: str) -> None:
    outcome = finish(start("classify", "-", "--json", stdin=subprocess.PIPE), content)
    assert [record["error"]["error_id"] for record in outcome.records] == [error_id]
    assert outcome.code == 1
    assert outcome.err.startswith("shelly: -: ")


def test_named_pipe_is_read_once_and_annotated(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(smiling_photo.read_bytes(),)).start()
    outcome = shelly("classify", pipe, "--json", "--annotate", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.records[0]["faces"]) == 1
    assert (tmp_path / "out" / "pipe.jpg").is_file()


def test_folder_is_searched_in_order(shelly: Shelly, folder: Path) -> None:
    outcome = shelly("classify", "--json", folder)
    names = [Path(record["path"]).relative_to(folder).as_posix() for record in outcome.records]
    assert names == ["a/deep/y.jpg", "a/z.JPG", "b.jpg"]
    assert (outcome.code, outcome.err) == (0, PASSED_BY)


def test_table_is_aligned(shelly: Shelly, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "c \u7b11.jpg").write_text("no picture")
    header, deep, cat, plain, broken = shelly("classify", "photos").out.splitlines()
    emotion = header.index("EMOTION")
    assert deep.startswith("photos/a/deep/y.jpg  ")
    assert all(deep[emotion:].startswith(CLASSES) for deep in (deep, plain))
    assert cat[emotion:] == "no face"
    assert broken[emotion - 1 :] == "error: not_an_image"  # one character two columns wide


def test_named_file_is_tried_whatever_its_name(shelly: Shelly, folder: Path) -> None:
    outcome = shelly("classify", "--json", folder / "notes.txt", folder / ".hidden.jpg")
    assert [len(record["faces"]) for record in outcome.records] == [1, 1]
    assert outcome.code == 0


def test_folder_without_pictures_is_told(shelly: Shelly, tmp_path: Path) -> None:
    outcome = shelly("classify", "--json", tmp_path)
    assert outcome.code == 1
    assert "no pictures" in outcome.err
    assert outcome.records[0]["error"]["error_id"] == "unreadable"


def test_output_file_holds_what_would_be_printed(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "results.csv"
    file.write_text("of yesterday")
    printed = shelly("classify", "--csv", smiling_photo, "missing.jpg")
    written = shelly("classify", "--csv", smiling_photo, "missing.jpg", "--output", file)
    assert file.read_text(encoding="utf-8") == printed.out
    assert (written.code, written.out, written.err) == (1, "", printed.err)
    assert list(tmp_path.iterdir()) == [file]


def test_output_that_cannot_be_written_is_one_line(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "no such folder" / "results.csv"
    outcome = shelly("classify", smiling_photo, "--output", file)
    assert outcome.code == 1
    assert outcome.err == f"shelly: cannot write to {file}: No such file or directory\n"


def test_a_photo_is_never_overwritten(
    shelly: Shelly, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = folder / "b.jpg"
    before = photo.read_bytes()
    link = folder.parent / "link.jpg"
    link.symlink_to(photo)
    for arguments in (
        ["--output", photo],
        ["--output", link],
        ["--annotate", folder],
        ["--annotate", folder / "a" / ".."],
    ):
        with pytest.raises(SystemExit) as stopped:
            shelly("classify", folder, *arguments)
        assert stopped.value.code == 2
        complaint = capsys.readouterr().err
        assert "would be overwritten" in complaint or "the suffix must be" in complaint
    assert photo.read_bytes() == before


def test_annotated_copies_keep_the_tree(shelly: Shelly, folder: Path) -> None:
    out = folder / "marked"  # inside the folder: the second run must not take the copies for photos
    for _ in range(2):
        outcome = shelly("classify", "--json", folder, "--annotate", out)
        assert (outcome.code, outcome.err, len(outcome.records)) == (0, PASSED_BY, 3)
        copies = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
        assert copies == [Path("a/deep/y.jpg"), Path("a/z.JPG"), Path("b.jpg")]
    original, copy = decode(folder / "b.jpg"), decode(out / "b.jpg")
    assert copy.pixels.shape == original.pixels.shape
    x0, y0, x1, y1 = (round(value) for value in outcome.records[2]["faces"][0]["box"])
    inside = (slice(y0, y1), slice(x0, x1))
    difference = abs(copy.pixels[inside].astype(int) - original.pixels[inside])
    assert difference.max() > 100  # far more than JPEG alters


def test_annotated_copy_that_cannot_be_written(
    shelly: Shelly, smiling_photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file, no folder")
    outcome = shelly("classify", "--json", smiling_photo, "--annotate", tmp_path / "out")
    assert outcome.code == 1
    assert len(outcome.records[0]["faces"]) == 1
    assert "cannot write the annotated copy" in outcome.err
    assert len(outcome.err.splitlines()) == 1


class Stumbling:
    """The real classifier, but for a fault at one photo."""

    def __init__(self, classifier: EmotionClassifier, fatal: Path) -> None:
        self._classifier, self._fatal = classifier, fatal
        self.classes = classifier.classes

    def classify(self, photo: Path) -> PhotoEmotions:
        if photo == self._fatal:
            raise ZeroDivisionError("an unforeseen fault")
        return self._classifier.classify(photo)


def test_a_fault_of_the_program_costs_one_photo(
    shelly: Shelly,
    classifier: EmotionClassifier,
    smiling_photo: Path,
    neutral_photo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stumbling = Stumbling(classifier, smiling_photo)
    monkeypatch.setattr(
        "shelly_local.vision.classifier.EmotionClassifier", lambda *_, **__: stumbling
    )
    outcome = shelly("classify", "--json", smiling_photo, neutral_photo)
    assert outcome.code == 1
    assert outcome.records[0]["error"]["error_id"] == "internal_error"
    assert len(outcome.records[1]["faces"]) == 1
    assert len(outcome.err.splitlines()) == 1
    assert "an unforeseen fault" in outcome.err
    debugged = shelly("classify", "--json", smiling_photo, neutral_photo, "--debug")
    assert "Traceback" in debugged.err
    assert debugged.records == outcome.records


def test_unusable_model_is_one_line(tmp_path: Path, smiling_photo: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("of yesterday")
    process = start("classify", smiling_photo, "--model", tmp_path, "--output", results)
    outcome = finish(process)
    assert (outcome.code, outcome.out) == (1, "")
    assert re.fullmatch(rf"shelly: .*{re.escape(str(tmp_path))}.*\n", outcome.err)
    assert results.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [results]


@pytest.mark.parametrize("form", ["--json", "--csv", "--quiet"])
def test_file_names_that_are_no_text(form: str, smiling_photo: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\n\xe9.jpg"
    japanese = tmp_path / "\u7b11\u9854.jpg"
    Path(os.fsdecode(odd)).write_bytes(smiling_photo.read_bytes())
    shutil.copy(smiling_photo, japanese)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("classify", form, odd, japanese, b"\xfe", env=environment)
    outcome = finish(process)
    assert outcome.code == 1
    assert outcome.err.startswith("shelly: \\udcfe: ")
    if form == "--json":
        assert [os.fsencode(record["path"]) for record in outcome.records] == [
            odd,
            os.fsencode(japanese),
            b"\xfe",
        ]
    elif form == "--csv":
        assert len(outcome.rows) == 3
    else:
        assert len(outcome.out.splitlines()) == 4

"""What create and update refuse at once, in the words that clients of IBM look for."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shelly_local import VisualRecognition
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.watson.custom import training_sets
from shelly_local.watson.custom.names import new_classifier_id, training_headers
from shelly_local.watson.responses import ApiException
from tests.custom_pictures import neutral, smiling, zipped


@pytest.fixture
def service(classifier: EmotionClassifier, tmp_path: Path) -> Iterator[VisualRecognition]:
    found = VisualRecognition(classifier=classifier, data_dir=tmp_path / "data")
    yield found
    found.close(wait=False)
    assert not (tmp_path / "data").exists(), "what was refused must leave nothing behind"


@pytest.fixture(scope="module")
def smiles() -> bytes:
    return zipped(smiling())


@pytest.fixture(scope="module")
def plain() -> bytes:
    return zipped(neutral())


def refusal(
    service: VisualRecognition, examples: dict[str, Any], name: Any = "Test", **options: Any
) -> ApiException:
    with pytest.raises(ApiException) as caught:
        service.create_classifier(name, examples, **options)
    error = caught.value
    assert error.body == {
        "error": {"code": error.code, "description": error.message, "error_id": "input_error"}
    }
    assert error.message.startswith("Cannot execute learning task. : ")
    return error


def tiny(number: int) -> tuple[str, bytes]:
    """A picture without a face, different for each number."""
    file = io.BytesIO()
    Image.new("L", (32, 32), number % 256).save(file, "PNG")
    return f"{number}.png", file.getvalue() + number.to_bytes(4, "big")


def test_one_set_is_too_few(service: VisualRecognition, smiles: bytes) -> None:
    assert "needs two zip files" in str(refusal(service, {"smile": smiles}))


@pytest.mark.parametrize("sign", list("$*-{}\\|/'\"`[]"))
def test_signs_forbidden_in_class_names(
    service: VisualRecognition, smiles: bytes, sign: str
) -> None:
    error = refusal(service, {f"a{sign}b": smiles, "c": smiles})
    assert error.code == 400
    assert repr(f"a{sign}b") in str(error)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "x" * 300, 5, "\udc00"])
def test_names_must_be_text(
    service: VisualRecognition, smiles: bytes, plain: bytes, name: Any
) -> None:
    refusal(service, {"smile": smiles, "plain": plain}, name)
    refusal(service, {name: smiles, "plain": plain})


def test_nine_pictures_are_too_few(service: VisualRecognition, plain: bytes) -> None:
    error = refusal(service, {"smile": zipped(smiling()[:9]), "plain": plain})
    assert "smile_positive_examples has 9 pictures; at least 10 different ones" in str(error)


def test_repetitions_and_junk_do_not_count(service: VisualRecognition, plain: bytes) -> None:
    content = smiling()[0].read_bytes()
    junk = [(f"{i}.txt", b"text") for i in range(3)]
    hidden = [("__MACOSX/._1.jpg", content), (".DS_Store", b"x"), ("folder/", b"")]
    files = [(f"{i}.jpg", content) for i in range(12)]
    error = refusal(service, {"smile": zipped([*files, *junk, *hidden]), "plain": plain})
    assert "has 1 pictures, 11 more that are repetitions, 3 files that cannot be" in str(error)


def test_negative_examples_are_checked_too(service: VisualRecognition, smiles: bytes) -> None:
    error = refusal(service, {"smile": smiles}, negative_examples=zipped(neutral()[:3]))
    assert "negative_examples has 3 pictures" in str(error)


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04 but then not", b"\xff\xd8\xff"])
def test_what_is_no_zip_file(service: VisualRecognition, plain: bytes, data: bytes) -> None:
    error = refusal(service, {"smile": data, "plain": plain})
    assert error.code == 400
    assert "zip file" in str(error)


def test_a_truncated_zip_file(service: VisualRecognition, smiles: bytes, plain: bytes) -> None:
    error = refusal(service, {"smile": smiles[: len(smiles) // 2], "plain": plain})
    assert "is damaged" in str(error)


def test_an_encrypted_zip_file(service: VisualRecognition, smiles: bytes, plain: bytes) -> None:
    locked = bytearray(smiles)
    position = 0
    while (position := locked.find(b"PK\x01\x02", position)) >= 0:
        struct.pack_into("<H", locked, position + 8, 1)  # the flag in the directory
        position += 4
    error = refusal(service, {"smile": bytes(locked), "plain": plain})
    assert "is encrypted; send it without a password" in str(error)


def test_a_zip_bomb(service: VisualRecognition, plain: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(12):
            archive.writestr(f"{number}.bmp", bytes([number]) * 9_000_000)
    error = refusal(service, {"smile": buffer.getvalue(), "plain": plain})
    assert "unpacks to more than 200 times its size" in str(error)


def test_a_bomb_that_lies_about_its_size(service: VisualRecognition, plain: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(12):
            archive.writestr(f"{number}.bmp", bytes([number]) * 30_000_000)
    data = bytearray(buffer.getvalue())
    position = 0
    while (position := data.find(b"PK\x01\x02", position)) >= 0:
        struct.pack_into("<I", data, position + 24, 1000)  # the size it claims
        position += 4
    error = refusal(service, {"smile": bytes(data), "plain": plain})
    assert "12 files that cannot be read" in str(error)


def test_too_much_when_unpacked(
    service: VisualRecognition, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_sets, "MAX_UNPACKED_BYTES", 1 << 20)
    rows = np.random.default_rng(0).integers(0, 256, (12, 300, 300), dtype=np.uint8)
    files = []
    for number, pixels in enumerate(rows):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "BMP")
        files.append((f"{number}.bmp", file.getvalue()))
    error = refusal(service, {"smile": zipped(files), "plain": plain})
    assert error.code == 413
    assert "unpacks to more than 1 MB" in str(error)


def test_too_many_pictures(service: VisualRecognition, plain: bytes) -> None:
    files = [tiny(number) for number in range(training_sets.MAX_PICTURES + 1)]
    assert "more than 10,000 pictures" in str(
        refusal(service, {"smile": zipped(files), "plain": plain})
    )


def test_more_pictures_than_a_call_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_sets, "MAX_CALL_PICTURES", 25)
    files = [[tiny(13 * number + each) for each in range(13)] for number in range(2)]
    zips = {name: zipped(each) for name, each in zip("ab", files, strict=True)}
    with pytest.raises(ApiException, match="The call has more than 25 pictures") as caught:
        training_sets.read_training_sets(zips, None)
    assert caught.value.code == 413
    monkeypatch.setattr(training_sets, "MAX_CALL_PICTURES", 26)
    assert len(training_sets.read_training_sets(zips, None)) == 2


def test_too_large_a_call(
    service: VisualRecognition, smiles: bytes, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_sets, "MAX_CALL_BYTES", len(smiles) + 10)
    error = refusal(service, {"smile": smiles, "plain": plain})
    assert error.code == 413


def test_too_large_a_zip_file(service: VisualRecognition, plain: bytes) -> None:
    error = refusal(service, {"smile": bytes(101 << 20), "plain": plain})
    assert error.code == 413
    assert "100 MB" in str(error)


def test_too_much_waiting(
    service: VisualRecognition, smiles: bytes, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelly_local.watson.custom.classifiers.MAX_WAITING_BYTES", 1000)
    assert refusal(service, {"smile": smiles, "plain": plain}).code == 429


def test_a_path_that_is_not_there(service: VisualRecognition, plain: bytes, tmp_path: Path) -> None:
    assert refusal(service, {"smile": tmp_path / "none.zip", "plain": plain}).code == 404


def test_arguments_of_the_wrong_kind(service: VisualRecognition, plain: bytes) -> None:
    with pytest.raises(TypeError, match="got int"):
        service.create_classifier("Test", {"smile": 5, "plain": plain})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="unexpected keyword 'positive'"):
        service.create_classifier("Test", positive=plain)
    with pytest.raises(ValueError, match="positive_examples must be provided"):
        service.create_classifier("Test")
    with pytest.raises(ValueError, match="classifier_id must be provided"):
        service.get_classifier(None)  # type: ignore[arg-type]
    with pytest.raises(ApiException, match="'smile' was given twice"):
        service.create_classifier("Test", {"smile": plain}, smile_positive_examples=plain)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Watson-Learning-Opt-Out": "perhaps"},
        {"X-Watson-Metadata": "customer_id="},
        {"X-Watson-Metadata": "customer_id=" + "a" * 300},
    ],
)
def test_headers_that_cannot_be_obeyed(
    service: VisualRecognition, smiles: bytes, plain: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises(ApiException) as caught:
        service.create_classifier("Test", {"smile": smiles, "plain": plain}, headers=headers)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("headers", "opt_out", "customer_id"),
    [
        (None, False, None),
        ({"x-watson-learning-opt-out": "true"}, True, None),
        ({"X-Watson-Learning-Opt-Out": 1, "X-Watson-Metadata": "customer_id=a%20b"}, True, "a b"),
        ({"X-Watson-Learning-Opt-Out": "false", "X-Watson-Metadata": "other=1"}, False, None),
        ({"X-Watson-Metadata": "other=1; customer_id=abc"}, False, "abc"),
    ],
)
def test_headers(headers: dict[str, object], opt_out: bool, customer_id: str | None) -> None:
    found = training_headers(headers)
    assert (found.learning_opt_out, found.customer_id) == (opt_out, customer_id)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("Cars vs Trucks", "CarsvsTrucks"),
        ("sdk-classifier-do-not-delete", "sdk-classifier-do-not-delete"),
        ("../../etc/passwd", "etcpasswd"),
        ("Größe Ähm", "GroeAhm"),
        ("笑顔", "classifier"),
        ("--help", "help"),
        ("x" * 100, "x" * 30),
    ],
)
def test_ids(name: str, prefix: str) -> None:
    found, _, number = new_classifier_id(name).rpartition("_")
    assert found == prefix
    assert 9 <= len(number) <= 10
    assert int(number) < 2**31

"""Uploads through ``classify``: files, paths, zip files, and what is wrong with them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.watson.client import ApiException, VisualRecognition
from shelly_local.watson.contract.types import ClassifiedImages

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def service(classifier: EmotionClassifier) -> VisualRecognition:
    return VisualRecognition(classifier=classifier)


@pytest.fixture(scope="module")
def blank() -> bytes:
    """A picture that holds nothing."""
    return picture(48, 48)


def picture(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(file, "PNG")
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def classes(answer: ClassifiedImages, image: int = 0) -> list[str]:
    return [item["class"] for item in answer["images"][image]["classifiers"][0]["classes"]]


def warning_ids(answer: ClassifiedImages) -> list[str]:
    return [item["warning_id"] for item in answer.get("warnings", [])]


def failure(service: VisualRecognition, *args: Any, **kwargs: Any) -> ApiException:
    with pytest.raises(ApiException) as caught:
        service.classify(*args, **kwargs)
    return caught.value


def test_names_of_uploads(service: VisualRecognition, blank: bytes, tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    path.write_bytes(blank)

    def name(images_file: Any, **kwargs: Any) -> str | None:
        answer = service.classify(images_file=images_file, **kwargs).get_result()
        return answer["images"][0].get("image")

    assert name(path) == name(str(path)) == "blank.png"
    with path.open("rb") as file:
        assert name(file) == "blank.png"
    assert name(blank) is None
    assert name(io.BytesIO(blank)) is None
    assert name(blank, images_filename="./a/b.png") == "./a/b.png"


@pytest.mark.parametrize(
    ("data", "code", "beginning"),
    [
        (b"", 400, "Invalid/corrupted image data."),
        (picture(64, 64)[:-40], 400, "Invalid/corrupted image data."),
        (picture(16, 64), 400, "Image resolution is smaller than the minimum limit"),
        (b"\xff\xd8\xff" + bytes(10 * MEGABYTE), 413, "File size limit exceeded"),
        (zipped({}), 400, "Invalid/corrupted image data."),
        (zipped({"a/": b"", "__MACOSX/._a.png": b"x"}), 400, "Invalid/corrupted image data."),
        (b"PK\x03\x04 and no more", 400, "Invalid/corrupted image data."),
        (b"PK\x03\x04" + b"PK\x01\x02" * 10_001, 413, "File size limit exceeded"),
    ],
    ids=["empty", "cut", "small", "large", "zip-empty", "zip-junk", "zip-cut", "zip-entries"],
)
def test_unusable_files(service: VisualRecognition, data: bytes, code: int, beginning: str) -> None:
    error = failure(service, data)
    assert error.code == error.body["images"][0]["error"]["code"] == code
    assert error.message.startswith(beginning)


def test_paths_that_cannot_be_opened(service: VisualRecognition, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jpg", tmp_path, "a\0b"):
        error = failure(service, path)
        assert error.code == 404
        assert "cannot be opened" in error.message


def test_things_that_are_no_file(service: VisualRecognition) -> None:
    for thing in (io.StringIO("text"), 5):
        with pytest.raises(TypeError, match="images_file must be bytes, a path or a file"):
            service.classify(images_file=thing)  # type: ignore[arg-type]


def test_a_zip_of_photos(
    service: VisualRecognition, smiling_photo: Path, no_face_photo: Path
) -> None:
    data = zipped(
        {
            "people/": b"",
            "people/smile.jpg": smiling_photo.read_bytes(),
            "people/.DS_Store": b"junk",
            "__MACOSX/people/._smile.jpg": b"junk",
            "notes.txt": b"no picture",
            "sea.jpg": no_face_photo.read_bytes(),
        }
    )
    answer = service.classify(data, images_filename="trip.zip").get_result()
    assert [image["image"] for image in answer["images"]] == [
        "trip.zip/people/smile.jpg",
        "trip.zip/notes.txt",
        "trip.zip/sea.jpg",
    ]
    assert answer["images_processed"] == 3
    assert classes(answer, 0) == ["happiness"]
    assert answer["images"][1]["error"]["code"] == 400
    assert answer["images"][1]["classifiers"] == []
    assert classes(answer, 2) == []
    assert warning_ids(answer) == ["no_face"]
    assert answer["warnings"][0]["description"].startswith("trip.zip/sea.jpg: ")


def test_a_zip_without_a_name(service: VisualRecognition, blank: bytes) -> None:
    answer = service.classify(zipped({"a/b.png": blank})).get_result()
    assert answer["images"][0]["image"] == "a/b.png"


def test_a_zip_of_bad_files_only(service: VisualRecognition) -> None:
    error = failure(service, zipped({"a.jpg": b"a", "b.jpg": b"b"}), images_filename="x.zip")
    assert error.code == 400
    assert [entry["image"] for entry in error.body["images"]] == ["x.zip/a.jpg", "x.zip/b.jpg"]
    assert all(entry["error"]["code"] == 400 for entry in error.body["images"])


def test_the_first_twenty_of_a_zip(service: VisualRecognition, blank: bytes) -> None:
    data = zipped({f"{number:02}.png": blank for number in range(21)})
    answer = service.classify(data, images_filename="x.zip").get_result()
    assert answer["images_processed"] == len(answer["images"]) == 20
    assert answer["images"][-1]["image"] == "x.zip/19.png"
    assert warning_ids(answer) == ["limit_reached"] + ["no_face"] * 20
    assert "21" in answer["warnings"][0]["description"]


def test_members_that_cannot_be_read(service: VisualRecognition, blank: bytes) -> None:
    data = zipped({"bomb.png": bytes(40 * MEGABYTE), "locked.png": blank, "good.png": blank})
    assert len(data) < MEGABYTE
    # Bit 0 of the flags, 8 bytes into an entry of the directory, says "encrypted".
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data = data[: entry + 8] + b"\x01" + data[entry + 9 :]
    images = service.classify(data).get_result()["images"]
    assert images[0]["error"]["error_id"] == "limit_exceeded"
    assert images[1]["error"]["description"].startswith("Invalid/corrupted image data.")
    assert "error" not in images[2]


def test_a_damaged_member(service: VisualRecognition, blank: bytes) -> None:
    data = bytearray(zipped({"damaged.png": blank, "good.png": blank}))
    data[60] ^= 0xFF
    images = service.classify(bytes(data)).get_result()["images"]
    assert images[0]["error"]["code"] == 400
    assert "error" not in images[1]

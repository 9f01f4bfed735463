"""Zips made to be costly are refused before they cost anything; damaged ones are no fault."""

from __future__ import annotations

import io
import os
import struct
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shelly_local.errors import ImageError
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.watson import uploads
from shelly_local.watson.client import VisualRecognition
from shelly_local.watson.responses import ApiException

MEGABYTE = 1024 * 1024
#: Processor time of a call before its answer, in seconds.
MOST_SECONDS = 5


@pytest.fixture(scope="module")
def service(
    classifier: EmotionClassifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VisualRecognition]:
    found = VisualRecognition(classifier=classifier, data_dir=tmp_path_factory.mktemp("data"))
    yield found
    found.close(wait=False)


def png(side: int = 48) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "grey").save(file, "PNG")
    return file.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def overlapping(entries: int, size: int) -> bytes:
    """A zip whose directory names one file again and again (Fifield 2019)."""
    data = zipped({"a.png": bytes(size)})
    end = data.rindex(b"PK\x05\x06")
    (length, start) = struct.unpack_from("<II", data, end + 12)
    directory = data[start : start + length] * entries
    counts = struct.pack("<HHII", entries, entries, len(directory), start)
    return data[:start] + directory + data[end : end + 8] + counts + data[end + 20 :]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


def refused(service: VisualRecognition, *sets: bytes) -> ApiException:
    positives = {f"class {number}": data for number, data in enumerate(sets)}
    with within(MOST_SECONDS), pytest.raises(ApiException) as caught:
        service.create_classifier("costly", positives)
    return caught.value


def test_entries_that_share_their_bytes(service: VisualRecognition) -> None:
    error = refused(service, *[overlapping(150, 9 * MEGABYTE)] * 4)
    assert (error.code, "overlap" in str(error)) == (400, True)
    with pytest.raises(ApiException, match="overlap"):
        service.classify(overlapping(20, 9 * MEGABYTE), "many.zip")


def test_files_too_large_are_not_unpacked(service: VisualRecognition) -> None:
    large = zipped({f"{number}.png": bytes(11 * MEGABYTE) for number in range(12)})
    with within(1):
        error = refused(service, large, large)
    assert error.code == 400


def test_many_files(service: VisualRecognition) -> None:
    picture = png()
    many = zipped({f"{n}.png": picture + os.urandom(4) + bytes(50_000) for n in range(9_000)})
    with within(MOST_SECONDS):
        answer = service.create_classifier("many", {"a": many, "b": zipped(
            {f"{n}.png": picture + os.urandom(4) for n in range(20)})}).get_result()  # fmt: skip
    service.delete_classifier(answer["classifier_id"])


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_files_packed_in_unusual_ways(service: VisualRecognition, compression: int) -> None:
    packed = zipped({f"{n}.png": png() + bytes(2 * MEGABYTE) for n in range(20)}, compression)
    with within(1):
        assert refused(service, packed, packed).code == 400
    with within(1), pytest.raises(ApiException, match="stored or deflated"):
        service.classify(packed, "packed.zip")


def test_pictures_that_take_long_leave_the_others_unseen(
    service: VisualRecognition, smiling_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_ZIP_SECONDS", 0.001)
    three = zipped({f"{n}.jpg": smiling_photo.read_bytes() for n in range(3)})
    images = service.classify(three, "three.zip").get_result()["images"]
    assert images[0]["classifiers"][0]["classes"][0]["class"] == "happiness"
    assert [image["error"]["code"] for image in images[1:]] == [413, 413]
    assert "took too long" in images[2]["error"]["description"]


def test_a_large_picture_in_a_large_zip(service: VisualRecognition) -> None:
    """Both are in memory together."""
    file = io.BytesIO()
    Image.new("RGB", (8000, 6000), "grey").save(file, "PNG", compress_level=1)
    for megabytes, code in ((1, None), (90, 413)):
        filling = os.urandom(9 * MEGABYTE)
        members = {"large.png": file.getvalue(), "small.png": png()}
        members |= {f"{number}.txt": filling for number in range(megabytes // 9)}
        archive = zipped(members, zipfile.ZIP_STORED)
        image = service.classify(archive, "a.zip").get_result()["images"][0]
        assert image.get("error", {}).get("code") == code


def test_an_offset_beyond_all_files(service: VisualRecognition) -> None:
    data = bytearray(zipped({"a.png": png()}, zipfile.ZIP_STORED))
    entry = data.rindex(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, 1 << 63)  # zip64 (APPNOTE 4.5.3)
    name = struct.unpack_from("<H", data, entry + 28)[0]
    struct.pack_into("<H", data, entry + 30, len(extra))
    struct.pack_into("<I", data, entry + 42, 0xFFFFFFFF)
    data[entry + 46 + name : entry + 46 + name] = extra
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + len(extra))
    with pytest.raises(ApiException) as caught:
        service.classify(bytes(data), "offset.zip")
    assert caught.value.code == 400
    assert refused(service, bytes(data), bytes(data)).code == 400


SOUND = zipped({"a.png": png(), "b/c.png": png(64), "d.txt": b"no picture"})


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=12),
       st.integers(0, len(SOUND)))  # fmt: skip
def test_damaged_zips_are_no_fault(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    try:
        archive = uploads.open_zip(bytes(data[: length or len(data)]))
    except ImageError:
        return
    for member in archive.infolist():
        uploads.is_picture(member)
        assert isinstance(uploads.read_member(archive, member), bytes | ImageError)


def test_what_systems_put_beside_pictures(service: VisualRecognition, smiling_photo: Path) -> None:
    smile = smiling_photo.read_bytes()
    beside = ["Thumbs.db", "desktop.ini", "a/THUMBS.DB", "a/Desktop.ini", ".DS_Store",
              "__MACOSX/a/._1.jpg", *(f"b{n}/Thumbs.db" for n in range(20))]  # fmt: skip
    archive = zipped(dict.fromkeys(beside, b"junk") | {"a/1.jpg": smile, "a/2.jpg": smile})
    answer = service.classify(archive, "photos.zip").get_result()
    assert [image["image"] for image in answer["images"]] == [
        "photos.zip/a/1.jpg",
        "photos.zip/a/2.jpg",
    ]
    assert "warnings" not in answer


class Trickling(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._file.readinto(memoryview(buffer)[:1000])


@pytest.mark.parametrize("kind", [bytearray, memoryview, Trickling, io.BytesIO])
def test_pictures_in_all_that_holds_bytes(
    service: VisualRecognition, smiling_photo: Path, kind: type
) -> None:
    smile = smiling_photo.read_bytes()
    for upload in (smile, zipped({"a.jpg": smile})):
        images = service.classify(kind(upload), "me").get_result()["images"]
        assert images[0]["classifiers"][0]["classes"][0]["class"] == "happiness"


def test_a_stream_at_its_end(service: VisualRecognition, smiling_photo: Path) -> None:
    with smiling_photo.open("rb") as file:
        service.classify(file)
        with pytest.raises(ApiException, match=r"seek\(0\)"):
            service.classify(file)


def test_an_empty_path(service: VisualRecognition) -> None:
    with pytest.raises(ApiException, match="path of the file is empty"):
        service.classify("")

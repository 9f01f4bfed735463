"""Decoding photos: limits, what is not a photo, and damage."""

from __future__ import annotations

import base64
import io
import random
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from shelly_local.errors import (
    FileTooLargeError,
    ImageError,
    ImageTooSmallError,
    ImageUnreadableError,
    MissingExtraError,
    NotAnImageError,
    TooManyPixelsError,
    TruncatedImageError,
)
from shelly_local.vision.images import MAX_FILE_BYTES, MAX_PIXELS, MIN_SIDE, Photo, decode
from tests.picture_files import assert_close, encoded, exif, p3_profile, scene

# Pillow warns about the damage that tests here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


# ---- limits


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        )

    header = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def gif_header(width: int, height: int) -> bytes:
    frame = b"\x21\xf9\x04\x08\0\0\0\0\x2c" + struct.pack("<4H", 0, 0, width, height)
    return b"GIF89a" + struct.pack("<2H", 1, 1) + b"\0\0\0" + frame + b"\0\x02\x02\x4c\x01\0;"


def webp_header(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


@pytest.mark.parametrize("header", [png_header, gif_header, webp_header])
def test_a_decompression_bomb_is_refused_at_once(header: Any) -> None:
    with pytest.raises(TooManyPixelsError, match="2,500,000,000 pixels; at most") as caught:
        decode(header(50_000, 50_000))
    assert caught.value.code == 413


@pytest.mark.parametrize(
    ("width", "height"), [(8000, 5000), (8160, 6144), (9248, 6936), (10_000, MAX_PIXELS // 10_000)]
)
@pytest.mark.filterwarnings("error")
def test_large_photos_up_to_the_limit_work(width: int, height: int) -> None:
    data = encoded(Image.new("L", (width, height), 90), "JPEG", quality=50)
    photo = decode(data, max_side=640)
    assert (photo.width, photo.height, max(photo.pixels.shape)) == (width, height, 640)
    assert_close(photo.pixels, 90, 2)


def test_one_row_more_than_the_limit_is_refused() -> None:
    with pytest.raises(TooManyPixelsError, match=r"10000 x 8001 = 80,010,000 .* 80,000,000"):
        decode(png_header(10_000, MAX_PIXELS // 10_000 + 1))


def run_length_bmp(width: int, height: int) -> bytes:
    """A BMP of colour 1 alone, each row one run followed by the end of the row."""
    palette = bytes([0, 0, 0, 0, 30, 60, 200, 0]) + bytes(254 * 4)
    rows = bytes([min(width, 255), 1, 0, 0]) * height + b"\0\1"
    header = struct.pack("<L2l2H6L", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return b"BM" + struct.pack("<3L", 0, 0, 14 + 40 + 1024) + header + palette + rows


def test_a_run_length_encoded_bmp_has_its_own_limit() -> None:
    assert_close(decode(run_length_bmp(40, 50)).pixels, [200, 60, 30], 0)
    with pytest.raises(TooManyPixelsError, match="at most 4,000,000 are allowed"):
        decode(run_length_bmp(2001, 2000))


def test_a_side_below_the_minimum_is_refused() -> None:
    assert decode(encoded(scene(MIN_SIDE, 100))).width == MIN_SIDE
    with pytest.raises(ImageTooSmallError, match=r"31 x 100 .* at least 32"):
        decode(encoded(scene(MIN_SIDE - 1, 100)))


class CountingStream(io.RawIOBase):
    """An endless file that counts what is read from it, in short pieces."""

    total = 0

    def read(self, size: int = -1) -> bytes:
        self.total += min(size, 65536)
        return bytes(min(size, 65536))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(11 * 1024 * 1024))
    with pytest.raises(
        FileTooLargeError, match=r"'large.jpg' has 11,534,336 .* 10,485,760"
    ) as caught:
        decode(path)
    assert str(tmp_path) not in str(caught.value)
    for source in (path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(FileTooLargeError):
            decode(source)


def test_an_endless_stream_is_read_no_further_than_the_limit() -> None:
    stream = CountingStream()
    with pytest.raises(FileTooLargeError):
        decode(stream)  # type: ignore[arg-type]
    assert stream.total == MAX_FILE_BYTES + 1


# ---- what is not a photo


def test_empty_text_and_other_formats_are_named(tmp_path: Path) -> None:
    path = tmp_path / "poem.jpg"
    path.write_text("BM: roses are red, violets are blue\n" * 40)
    eps = encoded(scene(), "EPS")
    icon = encoded(scene(), "ICO")
    for source in (path, eps, icon, b"8BPS\0\1", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"):
        with pytest.raises(NotAnImageError, match="supported are JPEG, PNG, GIF, TIFF"):
            decode(source)
    with pytest.raises(NotAnImageError, match="empty"):
        decode(b"")


def test_missing_files_folders_and_impossible_names(tmp_path: Path) -> None:
    for source, words in ((tmp_path / "no.jpg", "No such file"), (tmp_path, "is a folder")):
        with pytest.raises(ImageUnreadableError, match=words):
            decode(source)
    with pytest.raises(ImageUnreadableError):
        decode("a\0b.jpg")


def test_heic_without_its_extra_names_the_line_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(scene(), "HEIC")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # importing it now fails
    with pytest.raises(ImageError, match=r'pip install "shelly-local\[heic\]"') as caught:
        decode(data)
    assert isinstance(caught.value, MissingExtraError)
    assert caught.value.code == 415


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://example.org/face.jpg", "is an address, not the path of a file; download it"),
        ("data:image/png;base64,iVBORw0KGgo=", "is a data URL, not the path of a file; decode it"),
        (base64.b64encode(encoded(scene())).decode(), "is text in base64, not the path"),
        ("", "path of the photo is empty"),
    ],
)
def test_what_is_no_path_is_told_from_a_missing_file(path: str, words: str) -> None:
    with pytest.raises(ImageUnreadableError, match=words) as caught:
        decode(path)
    assert len(str(caught.value)) < 150


def test_a_stream_that_was_not_rewound_is_told_from_an_empty_one() -> None:
    stream = io.BytesIO(encoded(scene()))
    stream.seek(0, io.SEEK_END)
    with pytest.raises(NotAnImageError, match=r"at its end: .* call seek\(0\) first"):
        decode(stream)
    with pytest.raises(NotAnImageError, match="empty"):
        decode(io.BytesIO())


# ---- damage


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "HEIC"])
def test_a_photo_cut_anywhere_is_an_image_error(name: str) -> None:
    data = encoded(scene(), name)
    for end in range(0, len(data) * 9 // 10, max(1, len(data) // 60)):
        with pytest.raises((TruncatedImageError, NotAnImageError)):
            decode(data[:end])


def test_a_cut_photo_names_its_file_and_format(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    data = encoded(scene(), "JPEG")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        TruncatedImageError, match=r"'cut.jpg' .* JPEG file that is cut off"
    ) as caught:
        decode(path)
    assert caught.value.__cause__ is not None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "HEIC"])
def test_random_damage_gives_a_photo_or_an_image_error(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(f"damage {name}")
    options = (
        {} if name in ("HEIC", "BMP", "GIF") else {"exif": exif(3), "icc_profile": p3_profile()}
    )
    original = encoded(scene(), name, **options)
    for _ in range(40):
        data = bytearray(original)
        reach = chance.choice((64, 700, len(data)))  # headers more often than pixels
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(min(reach, len(data)))] = chance.randrange(256)
        try:
            photo = decode(bytes(data), max_side=chance.choice((None, 40)))
        except ImageError:
            continue
        assert isinstance(photo, Photo)
        assert photo.pixels.ndim == 3
    assert capfd.readouterr() == ("", "")


def test_damaged_metadata_does_not_matter() -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + b"\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0" * 2
    for name in ("JPEG", "PNG", "WEBP"):
        assert_close(decode(encoded(scene(), name, exif=block)).pixels, scene(), 12)
    tiff = bytearray(encoded(scene(), "TIFF", tiffinfo={305: "a program", 270: "a description"}))
    for tag in (305, 270):
        struct.pack_into("<L", tiff, tiff.index(struct.pack("<2H", tag, 2)) + 4, 2**31)
    assert_close(decode(bytes(tiff)).pixels, scene(), 0)


def png_with(kind: bytes, body: bytes) -> bytes:
    """A PNG with another chunk, which follows its header of 33 bytes."""
    data = encoded(scene())
    chunk = struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


def test_an_animation_without_frames_does_not_matter() -> None:
    assert_close(decode(png_with(b"acTL", bytes(8))).pixels, scene(), 0)


def test_text_that_would_fill_the_memory_does_not_matter() -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 1)
    assert_close(decode(png_with(b"zTXt", text)).pixels, scene(), 0)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("max_side", [None, 200])
def test_a_jpeg_without_its_end_marker_alone_is_answered(
    options: dict[str, Any], max_side: int | None
) -> None:
    data = encoded(scene(640, 480), "JPEG", **options)
    whole = decode(data, max_side=max_side)
    for end in (-1, -2):
        assert_close(decode(data[:end], max_side=max_side).pixels, whole.pixels, 0)
    for end in (len(data) // 2, len(data) * 9 // 10, len(data) * 98 // 100):
        with pytest.raises(TruncatedImageError):
            decode(data[:end], max_side=max_side)

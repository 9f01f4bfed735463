"""Decoding photos: formats, colour, orientation, reduction, limits and damage."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

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
from shelly_local.images import MAX_FILE_BYTES, MAX_PIXELS, MIN_SIDE, Photo, decode

# Pillow warns about the damage that tests here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

Pixels = NDArray[np.uint8]
LOSSLESS = ("PNG", "TIFF", "BMP", "GIF", "WEBP")


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth picture without any symmetry: another colour in each corner."""
    corners = np.array(
        [[[220, 40, 30], [40, 200, 60]], [[30, 60, 210], [240, 220, 80]]], dtype=np.uint8
    )
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)


def encoded(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    if name == "HEIC":
        pillow_heif.from_pillow(image).save(buffer, quality=90)
    else:
        if name == "WEBP":
            options = {"lossless": True, **options}
        image.save(buffer, name, **options)
    return buffer.getvalue()


def assert_close(found: Pixels, expected: Any, tolerance: float) -> None:
    assert np.abs(found.astype(float) - np.asarray(expected)).max() <= tolerance


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[274] = orientation
    return block


# ---- formats and sources


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel(name: str) -> None:
    image = scene().quantize(64).convert("RGB")
    photo = decode(encoded(image, name))
    assert_close(photo.pixels, image, 0)
    assert (photo.width, photo.height, photo.scale) == (64, 48, (1.0, 1.0))
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous


@pytest.mark.parametrize(("name", "tolerance"), [("JPEG", 12), ("HEIC", 12)])
def test_lossy_formats_are_close(name: str, tolerance: float) -> None:
    assert_close(decode(encoded(scene(), name)).pixels, scene(), tolerance)


def test_every_kind_of_source_gives_the_same_photo(tmp_path: Path) -> None:
    data = encoded(scene())
    path = tmp_path / "face.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        file_photo = decode(file)
        assert not file.closed
    buffer = io.BytesIO(b"before" + data)
    buffer.seek(6)
    for photo in (file_photo, decode(path), decode(str(path)), decode(buffer)):
        assert_close(photo.pixels, decode(data).pixels, 0)


@pytest.mark.parametrize("source", [3, None, io.StringIO("text")])
def test_a_wrong_type_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="bytes, a path or a binary file object, got"):
        decode(source)


def test_first_frame_and_first_page_are_taken() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    for name in ("GIF", "TIFF", "WEBP", "PNG", "MPO"):
        data = encoded(frames[0], name, save_all=True, append_images=frames[1:])
        assert_close(decode(data).pixels, frames[0], 2)


@pytest.mark.parametrize(
    "options",
    [{"compression": "jpeg", "quality": 95}, {"compression": "tiff_lzw"}, {"big_tiff": True}],
)
def test_tiff_variants(options: dict[str, Any]) -> None:
    assert_close(decode(encoded(scene(), "TIFF", **options)).pixels, scene(), 12)


# ---- orientation


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(name: str, orientation: int) -> None:
    upright = np.asarray(scene())
    stored = {  # what a camera held that way would store (CIPA DC-008)
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    photo = decode(encoded(image, name, exif=exif(orientation)))
    assert (photo.width, photo.height) == (64, 48)
    assert_close(photo.pixels, upright, 12 if name == "JPEG" else 0)


def test_a_reduced_and_turned_photo_maps_back_to_its_original_size() -> None:
    photo = decode(encoded(scene(301, 203), "JPEG", exif=exif(6)), max_side=100)
    assert (photo.width, photo.height) == (203, 301)
    assert photo.pixels.shape == (100, 67, 3)
    assert photo.scale == (203 / 67, 3.01)


def test_an_orientation_outside_1_to_8_is_ignored() -> None:
    assert_close(decode(encoded(scene(), exif=exif(9))).pixels, scene(), 0)


# ---- modes


def test_transparency_is_laid_on_white() -> None:
    colour, alpha = (200, 100, 0), 128
    expected = [round(value * alpha / 255 + 255 - alpha) for value in colour]
    image = Image.new("RGBA", (40, 40), (*colour, alpha))
    for name in ("PNG", "WEBP", "TIFF"):
        assert_close(decode(encoded(image, name)).pixels, expected, 2)
    grey = Image.new("LA", (40, 40), (100, 128))
    assert_close(decode(encoded(grey)).pixels, round(100 * 128 / 255 + 127), 1)


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(name: str) -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 20, 40))
    pixels = decode(encoded(image, name, transparency=0)).pixels
    assert_close(pixels[:, :20], 255, 0)
    assert_close(pixels[:, 20:], [0, 0, 255], 0)


def test_a_palette_with_one_alpha_for_each_entry() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    pixels = decode(encoded(image, transparency=b"\x00\x80")).pixels
    assert_close(pixels, [127, 127, 255], 1)


def test_a_transparent_colour_without_palette_is_white() -> None:
    image = Image.new("RGB", (40, 40), (9, 8, 7))
    assert_close(decode(encoded(image, transparency=(9, 8, 7))).pixels, 255, 0)
    assert_close(decode(encoded(image.convert("L"), transparency=8)).pixels, 255, 0)
    deep = Image.fromarray(np.full((40, 40), 3000, dtype=np.uint16))
    assert_close(decode(encoded(deep, transparency=3000)).pixels, 255, 0)


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (40, 40))
    image.paste(1, (20, 0, 40, 40))
    for options in ({"name": "PNG"}, {"name": "TIFF", "compression": "group4"}, {"name": "BMP"}):
        pixels = decode(encoded(image, **options)).pixels
        assert_close(pixels[:, :20], 0, 0)
        assert_close(pixels[:, 20:], 255, 0)


@pytest.mark.parametrize(("name", "dtype"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")])
def test_16_bit_grey_is_divided_by_257(name: str, dtype: str) -> None:
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(dtype)
    pixels = decode(encoded(Image.fromarray(values), name)).pixels
    assert_close(pixels, np.rint(values / 257)[..., None], 0)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "black", "white"),
    [
        (np.float32, 0.1, 0.9, 0.0, 1.0),
        (np.float32, 3.0, 250.0, 0.0, 255.0),
        (np.float32, -3.5, 7.0, -3.5, 7.0),
        (np.float32, -3e38, 3e38, -3e38, 3e38),
        (np.int32, 0, 200, 0, 255),
        (np.int32, 10, 40000, 0, 65535),
        (np.int32, -5, 100000, -5, 100000),
    ],
)
def test_32_bit_grey_is_scaled(
    dtype: Any, low: float, high: float, black: float, white: float
) -> None:
    values = np.linspace(low, high, 64 * 48).reshape(48, 64).astype(dtype)
    pixels = decode(encoded(Image.fromarray(values), "TIFF")).pixels
    expected = (values.astype(float) - black) / (white - black) * 255
    assert_close(pixels, expected[..., None], 0.51)


def test_not_a_number_is_black_and_a_flat_float_picture_works() -> None:
    values = np.full((40, 40), np.nan, dtype=np.float32)
    assert_close(decode(encoded(Image.fromarray(values), "TIFF")).pixels, 0, 0)


def test_lab() -> None:
    muted = Image.blend(scene(), Image.new("RGB", (64, 48), "grey"), 0.5)
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(muted, srgb, lab, outputMode="LAB")
    assert image is not None
    assert_close(decode(encoded(image, "TIFF")).pixels, muted, 4)


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk(name: str) -> None:
    ink = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 0, 0, 200): (55,) * 3}
    for cmyk, rgb in ink.items():
        assert_close(decode(encoded(Image.new("CMYK", (40, 40), cmyk), name)).pixels, rgb, 3)


def test_ycck() -> None:
    # The channels of a CMYK JPEG are filled with luma and chroma, then declared as YCCK.
    negative = Image.new("RGB", (40, 40), (255 - 200, 255 - 60, 255 - 30)).convert("YCbCr")
    luma, blue, red = (255 - value for value in np.asarray(negative)[0, 0].tolist())
    image = Image.new("CMYK", (40, 40), (luma, blue, red, 0))
    data = bytearray(encoded(image, "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2
    assert_close(decode(bytes(data)).pixels, [200, 60, 30], 6)


# ---- colour profiles

P3_TO_XYZ = np.array(  # Display P3 and sRGB primaries, adapted to D50 (columns R, G, B)
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def icc_profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC version 2 profile (ICC.1:2001-04) of the given tags."""
    text = b"test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">L", len(text)) + text + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, body = struct.pack(">L", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">2L", 128 + 4 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(">L4sL4s4s4s", 0, b"\0" * 4, 0x02100000, b"mntr", space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + xyz(0.9642, 1.0, 0.8249)[8:] + bytes(48)
    return struct.pack(">L", len(header + table + body)) + (header + table + body)[4:]


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3l", *(round(value * 65536) for value in values))


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">LHxx", 1, round(exponent * 256))


def p3_profile() -> bytes:
    names = (b"r", b"g", b"b")
    tags = {name + b"XYZ": xyz(*P3_TO_XYZ[:, i]) for i, name in enumerate(names)}
    return icc_profile(b"RGB ", b"XYZ ", tags | {name + b"TRC": gamma(2.2) for name in names})


def srgb_from_linear(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.clip(linear, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(255 * curve)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_profile_is_converted(name: str) -> None:
    image = scene()
    linear = (np.asarray(image) / 255) ** 2.2 @ P3_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T
    photo = decode(encoded(image, name, icc_profile=p3_profile()))
    assert np.abs(photo.pixels.astype(int) - np.asarray(image)).max() > 15
    assert_close(photo.pixels, srgb_from_linear(linear), 2)


def test_a_grey_profile_is_converted() -> None:
    profile = icc_profile(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.75)})
    values = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    photo = decode(encoded(Image.fromarray(values), icc_profile=profile))
    assert_close(photo.pixels, srgb_from_linear((values / 255) ** 1.75)[..., None], 2)


def test_a_cmyk_profile_is_converted() -> None:
    # A table that looks at black alone: no black is white, full black is L* = 0.
    corners = b"".join(bytes([0 if i & 1 else 255, 128, 128]) for i in range(16))
    identity = np.eye(3).flatten()
    table = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9l", *(65536 * identity).astype(int))
    )
    table += bytes(range(256)) * 4 + corners + bytes(range(256)) * 3
    profile = icc_profile(b"CMYK", b"Lab ", {b"A2B0": table})
    cyan = Image.new("CMYK", (40, 40), (255, 0, 0, 0))
    assert_close(decode(encoded(cyan, "JPEG", icc_profile=profile)).pixels, 255, 3)


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile",
        p3_profile()[:200],
        icc_profile(b"CMYK", b"Lab ", {}),
        icc_profile(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.0)}),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        bytes(900_000),
    ],
    ids=["text", "cut off", "empty CMYK", "grey", "sRGB", "900 kB of zeros"],
)
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_a_broken_mismatched_or_srgb_profile_changes_nothing(profile: bytes, name: str) -> None:
    assert_close(decode(encoded(scene(), name, icc_profile=profile)).pixels, scene(), 0)


# ---- reduction


@pytest.mark.parametrize("name", ["JPEG", "HEIC", *LOSSLESS])
@pytest.mark.parametrize(("width", "height"), [(900, 603), (401, 1000)])
def test_a_reduced_decode_agrees_with_the_full_one(name: str, width: int, height: int) -> None:
    data = encoded(scene(width, height), name)
    full, small = decode(data), decode(data, max_side=150)
    assert max(small.pixels.shape) == 150
    assert (small.width, small.height) == (width, height)
    assert min(small.scale) >= 1
    shape = small.pixels.shape
    expected = Image.fromarray(full.pixels).resize((shape[1], shape[0]), Image.Resampling.BOX)
    difference = np.abs(small.pixels.astype(float) - np.asarray(expected))
    assert difference.mean() < 1.5


def test_reduction_keeps_positions() -> None:
    image = Image.new("RGB", (1501, 1001), "black")
    image.paste("white", (600, 400, 700, 500))
    photo = decode(encoded(image, "JPEG"), max_side=300)
    rows, columns = np.nonzero(photo.pixels[..., 0] > 127)
    x_scale, y_scale = photo.scale
    first = columns.min() * x_scale, rows.min() * y_scale
    last = (columns.max() + 1) * x_scale, (rows.max() + 1) * y_scale
    np.testing.assert_allclose((*first, *last), (600, 400, 700, 500), atol=5)


def test_a_small_photo_is_never_enlarged() -> None:
    assert decode(encoded(scene()), max_side=500).pixels.shape == (48, 64, 3)


def test_max_side_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1 or None, got 0"):
        decode(encoded(scene()), max_side=0)


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
    with pytest.raises(MissingExtraError, match=r'pip install "shelly-local\[heic\]"'):
        decode(data)


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


def test_text_that_would_fill_the_memory_is_an_image_error() -> None:
    with pytest.raises(TruncatedImageError):
        decode(png_with(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 1)))


# ---- threads and start-up


def test_threads_do_not_disturb_each_other() -> None:
    names = ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"] * 6
    files = [encoded(scene(120 + i, 90), name) for i, name in enumerate(names)]
    alone = [decode(data, max_side=80).pixels for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, max_side=80).pixels, files))
    for one, other in zip(alone, together, strict=True):
        assert_close(one, other, 0)


def test_importing_does_not_load_colour_management_or_heic() -> None:
    code = (
        "import sys, shelly_local.images;"
        "print({'PIL.ImageCms', 'pillow_heif', 'flask', 'torch', 'onnxruntime'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"

"""Decoding photos: modes of pixels and colour profiles."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from benchmarks.speed.costly_pictures import tiff
from shelly_local.vision.images import decode
from tests.picture_files import (
    P3_TO_XYZ,
    assert_close,
    encoded,
    gamma,
    icc_profile,
    p3_profile,
    scene,
)

# Pillow warns about the damage that tests here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


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


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_scales_that_begin_with_white_are_inverted(bits: int, photometric: int) -> None:
    shades = np.linspace(0, 255, 64 * 48).astype(np.uint8).reshape(48, 64)
    stored = shades.astype("<u2") * 257 if bits == 16 else shades
    if photometric == 0:
        stored = np.invert(stored)
    tags = {258: [bits], 262: [photometric], 277: [1], 278: [48]}
    pixels = decode(tiff(64, 48, [stored.tobytes()], tags)).pixels
    assert_close(pixels, shades[..., None], 0)


def test_large_pictures_are_converted_as_small_ones_are() -> None:
    """Band by band, with the least and most of the whole picture as black and white."""
    rows = np.linspace(-5, 90_000, 2000, dtype=np.float32)
    values = np.broadcast_to(rows[:, None], (2000, 1500))
    pixels = decode(
        encoded(Image.fromarray(values.copy()), "TIFF", compression="tiff_lzw"), max_side=400
    ).pixels
    expected = (rows.reshape(400, 5).mean(axis=1) + 5) / 90_005 * 255
    assert_close(pixels, expected[:, None, None], 1)


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

SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


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

"""Decoding photos: formats, orientation, reduction, threads."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shelly_local.vision.images import decode
from tests.picture_files import LOSSLESS, assert_close, encoded, exif, scene

# Pillow warns about the damage that tests here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


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


def heic(orientation: int, *, in_container: bool) -> bytes:
    """A HEIC photo that is stored turned, which EXIF tells, or only the container."""
    import pillow_heif

    turn = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    block = exif(orientation).tobytes()
    file = pillow_heif.from_pillow(scene().transpose(turn[orientation]))
    buffer = io.BytesIO()
    if in_container:  # turns what it is given as EXIF
        file.save(buffer, exif=block, quality=95)
        return buffer.getvalue()
    # An Exif object leaves the container without a turn.
    pillow_heif.register_heif_opener()
    image = scene().transpose(turn[orientation])
    image.save(buffer, "HEIF", exif=exif(orientation), quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("in_container", [False, True])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_heic_photo_is_turned_once(orientation: int, in_container: bool) -> None:
    data = heic(orientation, in_container=in_container)
    assert (b"irot" in data) == in_container
    photo = decode(data)
    assert (photo.width, photo.height) == (64, 48)
    assert_close(photo.pixels, scene(), 20)


def test_a_reduced_and_turned_photo_maps_back_to_its_original_size() -> None:
    photo = decode(encoded(scene(301, 203), "JPEG", exif=exif(6)), max_side=100)
    assert (photo.width, photo.height) == (203, 301)
    assert photo.pixels.shape == (100, 67, 3)
    assert photo.scale == (203 / 67, 3.01)


def test_an_orientation_outside_1_to_8_is_ignored() -> None:
    assert_close(decode(encoded(scene(), exif=exif(9))).pixels, scene(), 0)


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
        "import sys, shelly_local.vision.images;"
        "print({'PIL.ImageCms', 'pillow_heif', 'flask', 'torch', 'onnxruntime'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"

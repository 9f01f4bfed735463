"""What a picture may cost: known from its bytes, refused before it is spent, measured."""

from __future__ import annotations

import itertools
import pickle
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed.costly_pictures import (
    coloured,
    damaged_fax,
    deflated_tiff,
    gif,
    jpeg_of_scans,
    jpeg_of_segments,
    mosaic,
    png,
    png_chunk,
    run_length_bmp,
    tiff,
)
from benchmarks.speed.input_costs import MEGABYTES, MEGABYTES_OF_FOUR, SECONDS, picture_cost
from shelly_local.errors import CostlyImageError, ImageError, TooManyPixelsError
from shelly_local.vision import stored_picture
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.decoding_memory import DecodingMemory
from shelly_local.vision.detector import MAX_FACES
from shelly_local.vision.formats.tiff_rows import TiffRows
from shelly_local.vision.images import decode
from tests.picture_files import assert_close, encoded, exif, icc_profile, scene

# ---- what is accepted stays within the budgets


@pytest.mark.parametrize(
    "make",
    [
        lambda: jpeg_of_scans(8944, 8944, 5, options={"quality": 90}),
        lambda: png(8000, 7500, bits=8, colour=6),
        lambda: deflated_tiff(8000, 10_000, rows=8, bits=32, sample_format=3),
        lambda: encoded(Image.new("RGBA", (4000, 3300), (9, 9, 9, 99)), "WEBP", method=0),
    ],
    ids=["progressive JPEG", "RGBA PNG", "float TIFF", "WebP"],
)
def test_the_costliest_pictures_stay_within_the_budget(make: Callable[[], bytes]) -> None:
    cost = picture_cost(make())
    assert cost.megabytes < MEGABYTES
    assert cost.seconds < SECONDS


def test_four_large_pictures_at_once_stay_within_the_budget() -> None:
    picture = png(8000, 7500, bits=8, colour=2)
    assert picture_cost(picture, at_once=4).megabytes < MEGABYTES_OF_FOUR


def test_a_mosaic_of_faces_costs_no_more_than_the_largest_of_them(
    classifier: EmotionClassifier,
) -> None:
    start = time.process_time()
    photo = classifier.classify(mosaic(32))
    assert len(photo.faces) == MAX_FACES
    assert time.process_time() - start < SECONDS


def test_a_texture_that_looks_like_faces_everywhere_is_answered(
    classifier: EmotionClassifier,
) -> None:
    tile = np.frombuffer(
        bytes.fromhex(
            "4d00ff78002fff0000b8096e65229"
            "4a7a5fe56abff09ff24ffe30000007e006800ff17"
            "00affff8c14e8f006cff097fff"
        ),
        np.uint8,
    ).reshape(4, 4, 3)
    level = Image.fromarray(np.tile(tile, (120, 120, 1)))
    start = time.process_time()
    classifier.classify(encoded(level.resize((1280, 1280), Image.Resampling.NEAREST)))
    assert time.process_time() - start < SECONDS


# ---- what costs more is refused before


WEBP_OF_80_MEGAPIXELS = "524946461a000000574542505650384c0e0000002fefe2bb08071011fd0f4444ff03"


def small(kind: str) -> bytes:
    return encoded(Image.new("RGB", (64, 64), (9, 60, 200)), kind)


def png_with(chunks: bytes) -> bytes:
    data = small("PNG")
    return data[:33] + chunks + data[33:]


def gif_with(blocks: bytes) -> bytes:
    data = gif(64, 64)
    start = 13 + (3 << ((data[10] & 7) + 1))
    return data[:start] + blocks + data[start:]


def tiled(width: int, height: int, *, side: int, bits: int = 8) -> bytes:
    """A deflated TIFF in square tiles, of which the data have only the beginning."""
    tile = zlib.compress(bytes(side))
    tags = {258: [bits], 259: [8], 262: [1], 277: [1], 322: [side], 323: [side]}
    data = tiff(width, height, [tile] * (-(-width // side) * -(-height // side)), tags)
    for strips, tiles in ((273, 324), (279, 325)):
        data = data.replace(struct.pack("<2H", strips, 4), struct.pack("<2H", tiles, 4), 1)
    return data


def jpeg_of_equal_names() -> bytes:
    """A progressive JPEG of 64 megapixels whose components have all the same name."""
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True, subsampling=0))
    frame = data.index(b"\xff\xc2")
    data[frame + 5 : frame + 9] = struct.pack(">2H", 8000, 8000)
    data[frame + 10 : frame + 19 : 3] = b"\1\1\1"
    return bytes(data)


def heic_of_overlapping_items() -> bytes:
    """A HEIC whose first item is made of its whole file, a thousand times."""
    data = bytearray(encoded(scene(), "HEIC"))
    start = data.index(b"iloc")
    items = b"\0\1" + struct.pack(">3H", 1, 0, 1000) + struct.pack(">2L", 0, len(data)) * 1000
    box = b"iloc" + bytes(4) + b"\x44\0" + items
    size = int.from_bytes(data[start - 4 : start], "big")
    data[start - 4 : start - 4 + size] = struct.pack(">L", 4 + len(box)) + box
    meta = data.index(b"meta")
    grown = int.from_bytes(data[meta - 4 : meta], "big") + 4 + len(box) - size
    data[meta - 4 : meta] = struct.pack(">L", grown)
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: jpeg_of_scans(4000, 4000, 1000, options={"quality": 50}),
            "scans or more for 4000 x 4000",
        ),
        (lambda: jpeg_of_segments(100_000, 80), "more than 2,000 segments"),
        (lambda: png_with(png_chunk(b"tEXt", b"") * 200_000), "more than 100,000 chunks"),
        (lambda: gif_with(b"\x21\xfe" + b"\1a" * 2_000_000 + b"\0"), "20,000 blocks before"),
        (lambda: gif_with(b"\1" * 4_000_000), "20,000 blocks before"),
        (lambda: deflated_tiff(32, 400_000, rows=1, bits=8), "400,000 strips or tiles"),
        (lambda: tiled(32, 200_000, side=4000), "800,000,000 pixels in tiles"),
        (lambda: run_length_bmp(2000, 1999), "at most 4,194,304 are allowed so"),
        (heic_of_overlapping_items, "overlap"),
    ],
)
def test_a_structure_that_takes_long_is_refused_at_once(
    make: Callable[[], bytes], words: str
) -> None:
    data = make()
    start = time.process_time()
    with pytest.raises(CostlyImageError, match=words) as caught:
        decode(data, max_side=1280)
    assert time.process_time() - start < 0.5
    assert (caught.value.code, caught.value.error_id) == (413, "too_costly")


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: bytes.fromhex(WEBP_OF_80_MEGAPIXELS), "16,4"),
        (lambda: deflated_tiff(8000, 10_000, rows=10_000, bits=32, sample_format=3), "33,"),
        (lambda: deflated_tiff(8000, 10_000, rows=10_000, bits=8, samples=3), "38,5"),
        (lambda: png(8000, 10_000, bits=8, colour=6), "60,7"),
        (lambda: tiled(100, 100, side=12_000, bits=16), "9,3"),
        (jpeg_of_equal_names, "43,2"),
    ],
    ids=["WebP", "float TIFF in one strip", "TIFF in one strip", "RGBA PNG", "one tile", "JPEG"],
)
def test_what_cannot_be_reduced_while_decoding_has_a_lower_limit(
    make: Callable[[], bytes], most: str
) -> None:
    data = make()
    start = time.process_time()
    with pytest.raises(TooManyPixelsError, match=f"may have about {most}") as caught:
        decode(data, max_side=1280)
    assert time.process_time() - start < 0.2
    assert caught.value.code == 413


def directory_of_fractions() -> bytes:
    """A TIFF whose EXIF directory holds 600,000 fractions."""
    tags = {258: [8], 262: [1], 277: [1], 278: [64], 34665: [0]}
    data = tiff(64, 64, [bytes(64 * 64)], tags)
    entry = struct.pack("<H2H2L", 1, 33434, 5, 600_000, len(data) + 18)
    start = data.index(struct.pack("<2HL", 34665, 4, 1)) + 8
    pointed = data[:start] + struct.pack("<L", len(data)) + data[start + 4 :]
    return pointed + entry + bytes(4) + struct.pack("<2L", 1, 3) * 600_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: jpeg_of_segments(1900, 5400),
        lambda: png_with(png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_000_000))) * 9000),
        lambda: png_with(png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 1))),
        lambda: small("JPEG")[:-2] + b"\xff\0" * 4_000_000 + b"\xff\xd9",
        directory_of_fractions,
        lambda: tiff(500, 80_000, [bytes(500)] * 80_000, {258: [8], 262: [1], 277: [1], 278: [1]}),
    ],
    ids=["JPEG segments", "PNG profiles", "PNG text", "JPEG padding", "TIFF EXIF", "TIFF strips"],
)
def test_what_pixels_do_not_depend_on_takes_no_time(make: Callable[[], bytes]) -> None:
    data = make()
    start = time.process_time()
    decode(data, max_side=1280)
    assert time.process_time() - start < 1.0


def test_a_profile_of_thousands_of_steps_takes_no_time() -> None:
    matrix = b"matf" + bytes(4) + struct.pack(">2H12f", 3, 3, *np.eye(3).ravel(), 0, 0, 0)
    steps = 10_000
    head = b"mpet" + bytes(4) + struct.pack(">2HL", 3, 3, steps)
    place = struct.pack(">2L", len(head) + 8 * steps, len(matrix))
    transform = head + place * steps + matrix
    profile = bytearray(icc_profile(b"RGB ", b"XYZ ", {b"D2B0": transform, b"A2B0": transform}))
    profile[8:10] = b"\x04\x30"
    data = encoded(scene(), icc_profile=bytes(profile))
    start = time.process_time()
    assert_close(decode(data).pixels, scene(), 0)
    assert time.process_time() - start < 0.5


# ---- nothing that cameras and scanners make is refused


@pytest.mark.parametrize("quality", [10, 60, 95])
@pytest.mark.parametrize("side", [33, 640, 3000])
def test_progressive_photos_are_answered_as_sequential_ones(side: int, quality: int) -> None:
    image = coloured(side // 8 * 8 + 8, side // 8 * 8 + 16)
    options = {"quality": quality, "subsampling": quality % 2 * 2}
    progressive = decode(encoded(image, "JPEG", progressive=True, **options), max_side=1280)
    assert_close(progressive.pixels, Image.fromarray(decode_plain(image, options)), 0)


def decode_plain(image: Image.Image, options: dict[str, int]) -> np.ndarray:
    return decode(encoded(image, "JPEG", **options), max_side=1280).pixels


@pytest.mark.parametrize(("width", "height"), [(9248, 6936), (8944, 8944)])
def test_progressive_photos_of_phones_are_answered(width: int, height: int) -> None:
    data = encoded(Image.new("RGB", (width, height), "teal"), "JPEG", progressive=True)
    photo = decode(data, max_side=1280, rough_side=320)
    assert (photo.width, photo.height) == (width, height)


@pytest.mark.parametrize(
    "make",
    [
        lambda: deflated_tiff(8000, 10_000, rows=8, bits=8),
        lambda: deflated_tiff(8000, 10_000, rows=8, bits=8, samples=3),
        lambda: deflated_tiff(8000, 10_000, rows=1, bits=1),
        lambda: deflated_tiff(4960, 7016, rows=7016, bits=8, samples=3),
        lambda: encoded(Image.new("1", (8000, 10_000), 1), "TIFF", compression="group4"),
    ],
    ids=["grey", "colour", "each row a strip", "one strip", "fax"],
)
def test_scans_of_scanners_are_answered(make: Callable[[], bytes]) -> None:
    assert max(decode(make(), max_side=1280).pixels.shape) == 1280


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        *itertools.product(["RGB", "L", "CMYK", "F", "I;16"], ["tiff_lzw", "tiff_adobe_deflate"]),
        *itertools.product(["RGB", "L", "CMYK"], ["jpeg"]),
        ("1", "group4"),
    ],
)
def test_a_large_scan_is_decoded_in_bands_as_in_one(
    mode: str, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = coloured(1600, 1208).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    data = encoded(image, "TIFF", compression=compression, exif=exif(6))
    whole = [decode(data, max_side=side).pixels for side in (250, 900, None)]
    monkeypatch.setattr(stored_picture, "LARGE_TIFF", 1000)
    assert isinstance(stored_picture.open_picture("TIFF", data, "The photo").image, TiffRows)
    for side, expected in zip((250, 900, None), whole, strict=True):
        assert_close(decode(data, max_side=side).pixels, expected, 0)


# ---- nothing but log lines on standard error


def test_damage_of_any_kind_is_not_told_on_standard_error() -> None:
    """In a process of its own, with Python's warnings as users have them."""
    broken = bytearray(encoded(scene(), "TIFF", tiffinfo={305: "a program", 270: "a text"}))
    for tag in (305, 270):
        struct.pack_into("<L", broken, broken.index(struct.pack("<2H", tag, 2)) + 4, 2**31)
    pictures = [
        damaged_fax(32, 30_000),
        bytes(broken),
        png_with(png_chunk(b"acTL", bytes(8))),
        b"GIF89a" + struct.pack("<2H", 10_000, 9000) + bytes(3),
    ]
    code = (
        "import pickle, sys; from shelly_local.vision.images import decode\n"
        "for data in pickle.load(sys.stdin.buffer):\n"
        "    try: print(decode(data, max_side=640).width)\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(pictures), capture_output=True, check=True
    )
    assert answer.stdout.split() == [b"32", b"64", b"64", b"TruncatedImageError"]
    assert answer.stderr == b""


# ---- memory of pictures that are decoded at the same time


def test_no_more_is_decoded_at_once_than_there_is_memory_for() -> None:
    memory = DecodingMemory(capacity=100_000_000)
    lock, held, most = threading.Lock(), [0], [0]

    def take(size: int) -> None:
        with memory.turn(size):
            with lock:
                held[0] += min(size, 100_000_000)
                most[0] = max(most[0], held[0])
            time.sleep(0.002)
            with lock:
                held[0] -= min(size, 100_000_000)

    sizes = [20_000_000, 90_000_000, 50_000_000, 400_000_000, 17_000_000] * 8
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, sizes, timeout=60))
    assert 0 < most[0] <= 100_000_000


def test_a_picture_that_fails_gives_its_memory_back_and_small_ones_wait_for_none() -> None:
    memory = DecodingMemory(capacity=100_000_000)
    with pytest.raises(ImageError), memory.turn(100_000_000), memory.turn(1_000_000):
        raise ImageError("damaged")
    with memory.turn(100_000_000):
        pass


def test_large_pictures_are_decoded_in_the_order_they_came() -> None:
    memory, order = DecodingMemory(capacity=100_000_000), []
    started = threading.Event()

    def wait(name: str, size: int) -> None:
        with memory.turn(size):
            order.append(name)

    with memory.turn(60_000_000):
        threads = []
        for name, size in (("large", 100_000_000), ("less", 30_000_000)):
            threads.append(threading.Thread(target=wait, args=(name, size)))
            threads[-1].start()
            started.wait(0.05)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == ["large", "less"]

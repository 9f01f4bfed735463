"""The pictures that cost most of those that are accepted, of each format and kind."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: A photo with a face, in the tests.
FACE = Path(__file__).parents[2] / "tests" / "pictures" / "smiling.jpg"


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture in a file format of Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def coloured(width: int, height: int) -> Image.Image:
    """Soft spots of all colours, an eighth as fine as its pixels."""
    spots = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize((width, height), Image.Resampling.BILINEAR)


def jpeg_of_scans(width: int, height: int, scans: int, *, options: dict[str, Any]) -> bytes:
    """A progressive JPEG of one colour whose last scan, which refines all, comes more often."""
    data = encoded(
        Image.new("RGB", (width, height), (90, 120, 30)), "JPEG", progressive=True, **options
    )
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]


def jpeg_of_segments(segments: int, size: int) -> bytes:
    """A small JPEG with so many segments of EXIF, of so many bytes each."""
    data = encoded(Image.new("RGB", (64, 64)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", size - 2) + b"Exif\0\0" + bytes(size - 10)
    return data[:2] + segment * segments + data[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with length and checksum."""
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(width: int, height: int, *, bits: int, colour: int, before: bytes = b"") -> bytes:
    """A PNG whose rows are zeros, each predicted from three neighbours (Paeth)."""
    pixel_bits = bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\4" + bytes((width * pixel_bits + 7) // 8)
    stream = zlib.compressobj(1)
    rows = b"".join([*(stream.compress(row) for _ in range(height)), stream.flush()])
    header = struct.pack(">2L5B", width, height, bits, colour, 0, 0, 0)
    chunks = (
        png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(
    width: int, height: int, strips: list[bytes], tags: dict[int, list[int]], *, more: bytes = b""
) -> bytes:
    """A TIFF of strips, which may be the same object; the other tags are short or long numbers.

    Args:
        width, height: in pixels.
        strips: compressed.
        tags: values by tag; all are written as LONG.
        more: bytes at its end.
    """
    places: dict[int, int] = {}
    body = b""
    for strip in {id(strip): strip for strip in strips}.values():
        places[id(strip)] = 8 + len(body)
        body += strip
    offsets = [places[id(strip)] for strip in strips]
    entries = {256: [width], 257: [height], 273: offsets, 279: [len(s) for s in strips], **tags}
    directory = 8 + len(body)
    values_at = directory + 2 + 12 * len(entries) + 4
    table, values = struct.pack("<H", len(entries)), b""
    for tag, numbers in sorted(entries.items()):
        packed = struct.pack(f"<{len(numbers)}L", *numbers)
        table += struct.pack("<2HL", tag, 4, len(numbers))
        if len(packed) == 4:
            table += packed
        else:
            table += struct.pack("<L", values_at + len(values))
            values += packed
    return b"II*\0" + struct.pack("<L", directory) + body + table + bytes(4) + values + more


def deflated_tiff(
    width: int, height: int, *, rows: int, bits: int, samples: int = 1, sample_format: int = 1
) -> bytes:
    """A deflated TIFF, grey or RGB, of zeros in strips of ``rows``, which share their bytes."""
    strip = zlib.compress(bytes(width * rows * samples * bits // 8))
    tags = {258: [bits] * samples, 259: [8], 262: [2 if samples == 3 else 1], 277: [samples]}
    tags |= {278: [rows], 339: [sample_format] * samples}
    return tiff(width, height, [strip] * -(-height // rows), tags)


def damaged_fax(width: int, height: int) -> bytes:
    """A TIFF in fax coding of noise, where nearly every row is damaged."""
    noise = np.random.default_rng(1).bytes(300_000)
    tags = {258: [1], 259: [3], 262: [0], 277: [1], 278: [height], 292: [0]}
    return tiff(width, height, [noise], tags)


def gif(width: int, height: int) -> bytes:
    """A GIF of one colour that is transparent."""
    return encoded(Image.new("P", (width, height)), "GIF", transparency=0)


def run_length_bmp(width: int, height: int) -> bytes:
    """A BMP in which runs of one pixel take all the bytes that are allowed."""
    rows = (bytes([1, 7]) * width + b"\0\0") * height
    header = struct.pack("<L2l2H6L", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return b"BM" + struct.pack("<3L", 0, 0, 14 + 40 + 1024) + header + bytes(1024) + rows


def mosaic(side: int) -> bytes:
    """A PNG full of faces of ``side`` pixels."""
    with Image.open(FACE) as photo:
        edge = min(photo.size)
        box = (edge // 5, edge // 5, edge * 4 // 5, edge * 4 // 5)
        face = photo.convert("RGB").crop(box).resize((side, side), Image.Resampling.BICUBIC)
    count = 1280 // side
    picture = Image.new("RGB", (count * side, count * side))
    for index in range(count * count):
        picture.paste(face, (index % count * side, index // count * side))
    return encoded(picture, "PNG")


def heic(width: int, height: int, *, chroma: int = 420) -> bytes:
    """A HEIC photo, its colours at half the resolution or (444) whole; takes a while to encode."""
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(coloured(width, height)).save(buffer, quality=60, chroma=chroma)
    return buffer.getvalue()


#: What is accepted and costs most.
ACCEPTED: tuple[tuple[str, Callable[[], bytes]], ...] = (
    (
        "JPEG, 80 megapixels",
        lambda: encoded(coloured(8944, 8944), "JPEG", quality=30),
    ),
    (
        "JPEG, progressive, 80 megapixels",
        lambda: encoded(coloured(8944, 8944), "JPEG", quality=30, progressive=True),
    ),
    (
        "JPEG, progressive, 80 megapixels, more scans",
        lambda: jpeg_of_scans(8944, 8944, 5, options={"quality": 90}),
    ),
    (
        "JPEG, progressive, full colour, 40 megapixels",
        lambda: encoded(coloured(7200, 5600), "JPEG", quality=30, progressive=True, subsampling=0),
    ),
    ("JPEG of 1,990 segments", lambda: jpeg_of_segments(1990, 5200)),
    ("PNG, 16-bit RGBA, 60 megapixels", lambda: png(8000, 7500, bits=16, colour=6)),
    ("PNG, 16-bit grey, 80 megapixels", lambda: png(10_000, 8000, bits=16, colour=0)),
    ("TIFF, RGB, 80 megapixels", lambda: deflated_tiff(8000, 10_000, rows=8, bits=8, samples=3)),
    (
        "TIFF, RGB in one strip, 38 megapixels",
        lambda: deflated_tiff(6000, 6400, rows=6400, bits=8, samples=3),
    ),
    (
        "TIFF, 32-bit floating point, 80 megapixels",
        lambda: deflated_tiff(8000, 10_000, rows=8, bits=32, sample_format=3),
    ),
    ("TIFF of 80,000 strips", lambda: deflated_tiff(1000, 80_000, rows=1, bits=8)),
    ("TIFF, damaged fax", lambda: damaged_fax(32, 300_000)),
    ("GIF, 80 megapixels", lambda: gif(10_000, 8000)),
    ("BMP, run-length encoded", lambda: run_length_bmp(2000, 1040)),
    ("WebP, 16 megapixels", lambda: encoded(coloured(4096, 4080), "WEBP", quality=80, method=0)),
    ("HEIC, 48 megapixels", lambda: heic(8064, 6048)),
    ("HEIC, full colour, 26 megapixels", lambda: heic(6200, 4200, chroma=444)),
    ("PNG of 1,600 faces", lambda: mosaic(32)),
)

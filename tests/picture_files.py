"""Small pictures made on the spot, in every format, for the tests of decoding."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
LOSSLESS = ("PNG", "TIFF", "BMP", "GIF", "WEBP")
P3_TO_XYZ = np.array(  # Display P3 and sRGB primaries, adapted to D50 (columns R, G, B)
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)


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

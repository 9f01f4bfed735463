"""What a TIFF is made of, read before Pillow and libtiff see it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from shelly_local.errors import CostlyImageError

#: Most entries of the directory. Scanners and cameras write some dozens.
MAX_ENTRIES = 1000
#: Most strips or tiles: each row a strip of its own at 65,535 rows, tiles of 64 pixels at 80
#: megapixels four times over.
MAX_BLOCKS = 80_000
#: Most pixels of all tiles together, which may reach beyond the picture.
MAX_TILED_PIXELS = 160_000_000
#: Most fractions in an entry, each of which becomes an object in Python.
MAX_FRACTIONS = 10_000

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _ROWS = 256, 257, 258, 259, 277, 278
_TILE_WIDTH, _TILE_LENGTH, _PLANAR = 322, 323, 284
_OFFSETS = frozenset({273, 324})  # of strips and tiles
_SIZES = frozenset({279, 325})
_FRACTIONS = frozenset({5, 10})
# Bytes of a value, by its type, and the letters of whole numbers in ``struct`` (TIFF 6.0, BigTIFF).
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_BYTES |= {16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q"}
_JPEG = frozenset({6, 7})
# Header of a progressive frame of one to four components, which the TIFF specification's second
# technical note does not permit: each strip could have hundreds of scans.
_PROGRESSIVE = re.compile(rb"\xff[\xc2\xc6\xca\xce]\x00[\x0b\x0e\x11\x14]\x08")


@dataclass(frozen=True, slots=True)
class TiffStructure:
    """What decoding a TIFF takes, by its directory.

    Attributes:
        block_pixels: pixels of a strip or tile.
        pixel_bytes: bytes of a pixel as it is stored, before compression.
    """

    block_pixels: int
    pixel_bytes: float


def read_structure(data: bytes, label: str) -> TiffStructure:
    """Read a TIFF's first directory, and refuse one that takes too long to decode.

    Args:
        data: a file that begins with the signature of TIFF.
        label: what messages call it.

    Raises:
        CostlyImageError: too many entries, fractions, strips or tiles.
        ValueError: no directory, or one of a kind that is not decoded.
    """
    values: dict[int, int] = {}
    outside = 0
    for tag, kind, count, first in _entries(data, label):
        if tag in _OFFSETS | _SIZES and count > MAX_BLOCKS:
            raise CostlyImageError(
                f"{label} is a TIFF of {count:,} strips or tiles; at most {MAX_BLOCKS:,} are"
                " allowed."
            )
        size = count * _TYPE_BYTES.get(kind, 0)
        if size <= len(data):  # Pillow passes over what is larger than the file
            outside += size
            if kind in _FRACTIONS and count > MAX_FRACTIONS:
                raise CostlyImageError(
                    f"{label} is a TIFF with {count:,} fractions in an entry; at most"
                    f" {MAX_FRACTIONS:,} are allowed."
                )
        if first is not None:
            values.setdefault(tag, first)
    if outside > 2 * len(data):
        raise CostlyImageError(f"{label} is a TIFF whose entries overlap.")
    if values.get(_COMPRESSION) in _JPEG and _PROGRESSIVE.search(data):
        raise ValueError("progressive JPEG in TIFF")
    width, height = values.get(_WIDTH, 0), values.get(_LENGTH, 0)
    if _TILE_WIDTH in values:
        across, down = values[_TILE_WIDTH], values.get(_TILE_LENGTH, 0)
        block = across * down
        in_tiles = -(-width // max(across, 1)) * -(-height // max(down, 1)) * block
        if in_tiles > MAX_TILED_PIXELS:
            raise CostlyImageError(
                f"{label} is a TIFF of {in_tiles:,} pixels in tiles that are larger than the"
                f" picture; at most {MAX_TILED_PIXELS:,} are allowed."
            )
    else:
        block = width * min(values.get(_ROWS, height), height)
    samples = max(values.get(_SAMPLES, 1), 1)
    together = 1 if values.get(_PLANAR) == 2 else samples
    return TiffStructure(block, together * values.get(_BITS, 1) / 8)


def _entries(data: bytes, label: str) -> Iterator[tuple[int, int, int, int | None]]:
    """Tag, type, count and first value of each entry; None where that is no whole number."""
    order = "<" if data[:2] == b"II" else ">"
    big = int.from_bytes(data[2:4], "little" if order == "<" else "big") == 43
    pointer, number, entry = ("Q", "Q", "HHQ") if big else ("L", "H", "HHL")
    inline = 8 if big else 4
    try:
        (directory,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        (entries,) = struct.unpack_from(order + number, data, directory)
    except (struct.error, OverflowError) as cause:
        raise ValueError("no directory") from cause
    if entries > MAX_ENTRIES:
        raise CostlyImageError(
            f"{label} is a TIFF of {entries:,} entries in its directory; at most"
            f" {MAX_ENTRIES:,} are allowed."
        )
    start = directory + struct.calcsize(order + number)
    step = struct.calcsize(order + entry) + inline
    for position in range(start, start + entries * step, step):
        try:
            tag, kind, count = struct.unpack_from(order + entry, data, position)
            place = position + step - inline
            if count * _TYPE_BYTES.get(kind, 0) > inline:
                (place,) = struct.unpack_from(order + pointer, data, place)
            letter = _WHOLE_NUMBERS.get(kind) if count else None
            first = struct.unpack_from(order + letter, data, place)[0] if letter else None
        except (struct.error, OverflowError):
            first = None
            if position + step > len(data):
                return
        yield tag, kind, count, first

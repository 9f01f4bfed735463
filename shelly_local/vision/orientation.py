"""How a stored picture is turned upright: EXIF's orientation, or else XMP's."""

from __future__ import annotations

import re
import struct

from PIL import Image

# What turns the stored picture upright, by EXIF orientation (CIPA DC-008, tag 274).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TAG = 274
# TIFF's types of whole numbers (TIFF 6.0, section 2) with their letter in ``struct``.
_WHOLE_NUMBERS = {3: "H", 4: "L", 8: "h", 9: "l"}
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """The orientation that metadata tell, 1 to 8; 1, upright, where none is readable.

    Only the one entry is read: other metadata cost nothing, however many or damaged.

    Args:
        exif: a TIFF structure, with or without ``Exif`` and two zeros before it.
        xmp: an XMP packet.
    """
    found = _from_exif(exif) if exif else None
    if found is None and xmp:
        match = _XMP.search(xmp)
        found = int(match[1]) if match else None
    return found if found in UPRIGHT else 1


def _from_exif(block: bytes) -> int | None:
    start = 6 if block.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(block[start : start + 2])
    if order is None:
        return None
    try:
        (offset,) = struct.unpack_from(order + "L", block, start + 4)
        (count,) = struct.unpack_from(order + "H", block, start + offset)
        for index in range(count):
            entry = start + offset + 2 + 12 * index
            tag, kind = struct.unpack_from(order + "HH", block, entry)
            if tag == _TAG and kind in _WHOLE_NUMBERS:
                (value,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], block, entry + 8)
                return int(value)
    except struct.error:  # cut off
        pass
    return None

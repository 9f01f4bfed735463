"""Width and height of a picture from the first bytes of its file, without a decoder."""

from __future__ import annotations

import struct
from collections.abc import Callable

Size = tuple[int, int]

# Frame headers of JPEG (ITU T.81, table B.1): not DHT, JPG and DAC, which lie among them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def dimensions(kind: str, head: bytes) -> Size | None:
    """What a picture says of its size; None where the bytes do not reach so far.

    Args:
        kind: its format, as ``images.identify`` has it.
        head: the beginning of its file.
    """
    reader = _READERS.get(kind)
    try:
        return reader(head) if reader else None
    except (struct.error, IndexError):
        return None


def _jpeg(head: bytes) -> Size | None:
    position = 2
    while position + 9 <= len(head):
        if head[position] != 0xFF:
            return None
        marker = head[position + 1]
        if marker == 0xFF or marker in _BARE:  # fill bytes before a marker, or one by itself
            position += 1 if marker == 0xFF else 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", head, position + 5)
            return width, height
        else:
            position += 2 + max(int.from_bytes(head[position + 2 : position + 4], "big"), 2)
    return None


def _png(head: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes) -> Size | None:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _bmp(head: bytes) -> Size | None:
    if int.from_bytes(head[14:18], "little") == 12:  # the header of OS/2
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<ii", head, 18)
    return width, abs(height)


_READERS: dict[str, Callable[[bytes], Size | None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
}

"""What a HEIC container says about its items, read before libheif sees it (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from shelly_local.errors import CostlyImageError

#: Most pieces of the file that its items are made of: a photo of 80 megapixels has some 300 tiles.
MAX_PIECES = 10_000
#: How many times the bytes of the file its items may have: pieces of items may overlap.
_MAX_OVERLAP = 4

_Box = tuple[bytes, int, int]  # type, start and end of what it holds


def check_structure(data: bytes, label: str) -> None:
    """Refuse a container whose items have more bytes than the file, again and again.

    Args:
        data: a file that begins as HEIC does.
        label: what messages call it.

    Raises:
        CostlyImageError: too many pieces, or they overlap too often.
    """
    location = _child(data, _meta(data), b"iloc")
    total = pieces = 0
    if location is not None:
        for length in _pieces(data, *location[1:]):
            pieces += 1
            if length <= len(data):  # otherwise the file is cut off
                total += length or len(data)  # 0: all of it
            if pieces > MAX_PIECES or total > _MAX_OVERLAP * len(data):
                raise CostlyImageError(
                    f"{label} is a HEIC photo whose items overlap or are too many."
                )


def is_turned(data: bytes) -> bool:
    """Whether the container itself turns or mirrors its picture (ISO/IEC 23008-12, 6.5.10)."""
    meta = _meta(data)
    primary = _child(data, meta, b"pitm")
    properties = _child(data, meta, b"iprp")
    if primary is None or properties is None:
        return False
    start = primary[1]
    item = int.from_bytes(data[start + 4 : start + (8 if data[start] else 6)], "big")
    container = _child(data, properties, b"ipco")
    kinds = [kind for kind, _, _ in _boxes(data, *container[1:])] if container else []
    for kind, start, end in _boxes(data, *properties[1:]):
        if kind == b"ipma":
            indices = _associated(data, start, end, item)
            if any(kinds[i - 1] in (b"irot", b"imir") for i in indices if 0 < i <= len(kinds)):
                return True
    return False


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    for _ in range(MAX_PIECES):
        if start + 8 > end:
            return
        size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        last = end if size == 0 else min(start + size, end)
        if last < start + head:
            return
        yield kind, start + head, last
        start = last


def _child(data: bytes, parent: _Box | None, kind: bytes) -> _Box | None:
    if parent is None:
        return None
    return next((box for box in _boxes(data, *parent[1:]) if box[0] == kind), None)


def _meta(data: bytes) -> _Box | None:
    meta = _child(data, (b"", 0, len(data)), b"meta")
    return meta and (meta[0], meta[1] + 4, meta[2])  # after version and flags


def _pieces(data: bytes, start: int, end: int) -> Iterator[int]:
    """The length of each extent of each item in an item location box."""
    version = data[start]
    widths = int.from_bytes(data[start + 4 : start + 6], "big")
    offset, length, base, index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    position = start + 6
    items = int.from_bytes(data[position : position + (4 if version == 2 else 2)], "big")
    position += 4 if version == 2 else 2
    before = {0: 4, 1: 6, 2: 8}.get(version, 8) + base  # of an item, before its extents
    each = offset + length + (index if version else 0)
    for _ in range(items):
        position += before
        extents = int.from_bytes(data[position : position + 2], "big")
        position += 2
        if position > end:
            return
        for _ in range(extents):
            position += each
            if position > end:
                return
            yield int.from_bytes(data[position - length : position], "big")


def _associated(data: bytes, start: int, end: int, item: int) -> list[int]:
    """The indices of an item's properties in an item property association box, from 1 on."""
    wide_item, wide_index = data[start] > 0, data[start + 3] & 1
    position = start + 8
    try:
        (entries,) = struct.unpack_from(">L", data, start + 4)
        for _ in range(min(entries, MAX_PIECES)):
            (name,) = struct.unpack_from(">L" if wide_item else ">H", data, position)
            position += 4 if wide_item else 2
            count = data[position]
            width = 2 if wide_index else 1
            if position + 1 + count * width > end:
                break
            if name == item:
                indices = struct.unpack_from(
                    f">{count}{'H' if wide_index else 'B'}", data, position + 1
                )
                return [index & (0x7FFF if wide_index else 0x7F) for index in indices]
            position += 1 + count * width
    except (struct.error, IndexError):
        pass
    return []

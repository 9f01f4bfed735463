"""What stands before the first picture of a GIF, counted before it is read."""

from __future__ import annotations

from shelly_local.errors import CostlyImageError

#: Most blocks before the first picture. Comments and XMP of a megabyte are a few thousand.
MAX_BLOCKS = 20_000

_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B


def check_structure(data: bytes, label: str) -> None:
    """Refuse a GIF of so many blocks before its first picture that reading them takes long.

    Args:
        data: a file that begins with the signature of GIF.
        label: what messages call it.

    Raises:
        CostlyImageError: more than ``MAX_BLOCKS``.
    """
    palette = 3 << ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0
    position = 13 + palette
    blocks = 0
    while position < len(data) and data[position] not in (_PICTURE, _TRAILER):
        is_extension = data[position] == _EXTENSION
        position += 1  # Pillow passes over any other byte
        blocks += 1
        if is_extension:
            position += 1  # its kind
            while position < len(data) and data[position] and blocks <= MAX_BLOCKS:
                position += 1 + data[position]
                blocks += 1
            position += 1
        if blocks > MAX_BLOCKS:
            raise CostlyImageError(
                f"{label} is a GIF of more than {MAX_BLOCKS:,} blocks before its first picture."
            )

"""What a PNG is made of, read before it is decoded: its pixels and its orientation."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from shelly_local.errors import CostlyImageError

#: Most chunks. Encoders write some for each row at most, and pictures have fewer rows.
MAX_CHUNKS = 100_000
#: Most bytes of a text that are inflated to look for the orientation in it.
_MAX_TEXT = 1 << 20

_TYPE = re.compile(rb"[0-9A-Za-z_]{4}")
_PIXELS = b"IDAT"
_END = b"IEND"
# What colours depend on, of each the last: Pillow reads all of them, each profile inflated.
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"iCCP"})
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_XMP, _RAW_EXIF = b"XML:com.adobe.xmp", b"Raw profile type exif"


@dataclass(frozen=True, slots=True)
class PngStructure:
    """A PNG as its decoder gets it, and its metadata.

    Attributes:
        data: header, palette, transparency, profile and pixels, the latter in one piece.
        exif, xmp: metadata, None where there are none.
    """

    data: bytes
    exif: bytes | None
    xmp: bytes | None


def read_structure(data: bytes, label: str) -> PngStructure:
    """Read a PNG's structure; chunks that its pixels do not depend on are left out.

    Args:
        data: a file that begins with the signature of PNG.
        label: what messages call it.

    Raises:
        CostlyImageError: too many chunks.
        ValueError: no pixels in it.
    """
    view = memoryview(data)
    kept: dict[bytes, memoryview] = {}
    pixels: list[memoryview] = []
    texts: dict[bytes, memoryview] = {}
    exif: bytes | None = None
    complete = False
    for kind, start, stop in _chunks(data, label):
        if kind == _PIXELS and not complete:
            pixels.append(view[start + 8 : stop])
            continue
        complete = bool(pixels)
        if kind in _KEPT and not complete:
            kept.pop(kind, None)
            kept[kind] = view[start : stop + 4]
        elif kind == b"eXIf":
            exif = bytes(view[start + 8 : stop])
        elif kind in _TEXTS:
            for key in (_XMP, _RAW_EXIF):
                if data.startswith(key + b"\0", start + 8):
                    texts[key] = view[start:stop]
    if not pixels:
        raise ValueError("no pixels")
    if exif is None and _RAW_EXIF in texts:
        exif = _raw_exif(_text(texts[_RAW_EXIF], _RAW_EXIF))
    xmp = _text(texts[_XMP], _XMP) if _XMP in texts else None
    length = sum(map(len, pixels))
    head = struct.pack(">L4s", length, _PIXELS)
    end = bytes(4) + struct.pack(">L4sL", 0, _END, 0)  # checksums of pixels are not looked at
    return PngStructure(b"".join([data[:8], *kept.values(), head, *pixels, end]), exif, xmp)


def _chunks(data: bytes, label: str) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end without checksum of each chunk, up to the last or a damaged one."""
    position = 8
    for _ in range(MAX_CHUNKS):
        head = data[position : position + 8]
        if len(head) < 8 or not _TYPE.fullmatch(head[4:]) or head[4:] == _END:
            return
        end = position + 8 + int.from_bytes(head[:4], "big")
        yield head[4:], position, min(end, len(data))
        position = end + 4
    raise CostlyImageError(f"{label} is a PNG of more than {MAX_CHUNKS:,} chunks.")


def _text(chunk: memoryview, key: bytes) -> bytes:
    """The text of a chunk; empty where it is damaged or too long (PNG 3rd edition, 11.3.3)."""
    kind, body = bytes(chunk[4:8]), bytes(chunk[8 + len(key) + 1 :])
    deflated = kind == b"zTXt" or (kind == b"iTXt" and body[:1] == b"\1")
    if kind == b"zTXt":
        body = body[1:]
    elif kind == b"iTXt":
        body = b"".join(body[2:].split(b"\0", 2)[2:])
    if deflated:
        try:
            body = zlib.decompressobj().decompress(body, _MAX_TEXT)
        except zlib.error:
            return b""
    return body[:_MAX_TEXT]


def _raw_exif(text: bytes) -> bytes | None:
    """EXIF as ImageMagick writes it: a name, a length, then hexadecimal digits in lines."""
    try:
        return bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:]))
    except ValueError:
        return None

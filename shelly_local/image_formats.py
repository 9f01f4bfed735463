"""Image file formats: which one the bytes are, and Pillow's own class opened on them.

Pillow warns about damaged metadata and about large pictures, compares with a limit that
is global to the process, and a warning cannot be silenced for one thread alone. So what
it would warn about is not handed to it: each format's class is used without
``Image.open``, and only what describes pixels is passed on to it. Orientation and colour
profile are read here.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageFile, TiffTags
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from shelly_local.errors import MissingExtraError, TooManyPixelsError

#: The formats, as error messages name them.
SUPPORTED_FORMATS = "JPEG, PNG, GIF, TIFF, WebP, BMP and HEIC"

# Most formats begin with their signature; WebP, BMP and HEIC have theirs further on.
_SIGNATURES = (
    ("JPEG", b"\xff\xd8\xff"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("TIFF", b"II+\0"),
    ("TIFF", b"MM\0+"),
)
#: Most pixels of a run-length encoded BMP, which Pillow decodes a byte at a time in Python:
#: more of them would take many seconds. BMPs of photos are not encoded so.
MAX_RLE_PIXELS = 4_000_000
_BMP_RLE_COMPRESSIONS = frozenset({1, 2})
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
# ISO/IEC 23008-12: pictures and sequences coded with HEVC.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
# A colour profile larger than this, in bytes, is taken for damaged.
_MAX_PROFILE_BYTES = 10 * 1024 * 1024
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
# The tags that describe pixels (TIFF 6.0); the others are metadata.
_TIFF_TAGS = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320}
    | {322, 323, 324, 325, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532}
)
# Bytes of one value, by TIFF field type.
_TIFF_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
# Field types of which any number of bytes make up one value: BYTE, ASCII and UNDEFINED.
_BYTE_STRINGS = frozenset({1, 2, 7})
_ORIENTATION_TAG = 274
_ICC_PROFILE_TAG = 34675


class OpenedImage(NamedTuple):
    """A picture whose header is read and whose pixels are not.

    Attributes:
        image: Pillow's image, as stored: orientation and profile are not applied.
        orientation: EXIF orientation, 1 to 8 (CIPA DC-008, tag 274).
        icc_profile: the embedded ICC profile, not checked; None without one.
    """

    image: ImageFile.ImageFile
    orientation: int
    icc_profile: bytes | None


def identify(data: bytes) -> str | None:
    """The format of a file by its first bytes, such as ``"JPEG"``; None for any other."""
    for name, signature in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if data[4:8] == b"ftyp":  # ISO/IEC 14496-12: the first box lists the brands
        end = min(int.from_bytes(data[:4], "big"), 256)
        if _HEIC_BRANDS.intersection(data[i : i + 4] for i in range(8, end, 4)):
            return "HEIC"
    return None


def open_image(name: str, data: bytes, check_size: Callable[[int, int], None]) -> OpenedImage:
    """Read the header of a picture.

    Args:
        name: the format, from ``identify``.
        data: the whole file.
        check_size: called with width and height as stored, in pixels, before memory is
            taken for them; raises to refuse the picture.

    Raises:
        MissingExtraError: HEIC, and the extra ``heic`` is not installed.
        TooManyPixelsError: a run-length encoded BMP of more than ``MAX_RLE_PIXELS``.
        Exception: nearly any built-in error, where the file is damaged.
    """
    if name == "PNG":
        pixels, chunks = _png_pixels(data)
        image: ImageFile.ImageFile = PngImageFile(io.BytesIO(pixels))
        exif, profile = chunks.get(b"eXIf"), _png_profile(chunks.get(b"iCCP", b""))
    elif name == "TIFF":
        page, profile = _tiff_page(data)
        image, exif = _Tiff(io.BytesIO(page)), data
    else:
        if name == "WebP":  # its class takes the memory at once
            check_size(*_webp_size(data))
        elif name == "GIF":
            width, height, data = _gif_frame(data)
            check_size(width, height)
        image = _image_class(name)(io.BytesIO(data))
        exif, profile = image.info.get("exif"), image.info.get("icc_profile")
    check_size(*image.size)
    if name == "BMP" and image.info.get("compression") in _BMP_RLE_COMPRESSIONS:
        _check_rle_size(*image.size)
    return OpenedImage(image, _orientation(exif or b""), profile or None)


def _check_rle_size(width: int, height: int) -> None:
    if width * height > MAX_RLE_PIXELS:
        raise TooManyPixelsError(
            f"The photo is a run-length encoded BMP of {width} x {height} = {width * height:,}"
            f" pixels; at most {MAX_RLE_PIXELS:,} are allowed so encoded."
        )


class _Jpeg(JpegImageFile):
    def getexif(self) -> Image.Exif:
        return Image.Exif()  # Pillow would look for a resolution, and warn


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        ImageFile.ImageFile.load_prepare(self)  # TiffImageFile's checks the global limit


def _image_class(name: str) -> type[ImageFile.ImageFile]:
    if name != "HEIC":
        return {"JPEG": _Jpeg, "GIF": GifImageFile, "WebP": WebPImageFile, "BMP": BmpImageFile}[
            name
        ]
    try:
        from pillow_heif import HeifImageFile
    except ImportError as cause:
        raise MissingExtraError(
            "HEIC photos take an optional package. Install it with:"
            ' pip install "shelly-local[heic]"'
        ) from cause
    heif_class: type[ImageFile.ImageFile] = HeifImageFile
    return heif_class


def _png_pixels(data: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The PNG with the chunks of its still picture alone, and the other chunks by type."""
    kept = [data[:8]]
    others: dict[bytes, bytes] = {}
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        end = position + length + 12
        if kind in _PNG_CHUNKS:
            kept.append(data[position:end])
        else:
            others.setdefault(kind, data[position + 8 : end - 4])
        position = end
    return b"".join(kept), others


def _png_profile(chunk: bytes) -> bytes | None:
    """The profile of an iCCP chunk: name, zero byte, compression method, zlib stream."""
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(chunk.partition(b"\0")[2][1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return None if inflate.unconsumed_tail else profile


def _gif_frame(data: bytes) -> tuple[int, int, bytes]:
    """Width and height of the first frame's canvas, and the GIF without extensions before it.

    The canvas holds the frame and nothing is said about its disposal, as Pillow would
    compare both with its global limit.
    """
    flags = data[10]
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    header, control = data[10:position], b""
    while data[position] != 0x2C:  # the image descriptor
        if data[position] != 0x21:
            position += 1
            continue
        if data[position + 1] == 0xF9:  # graphic control: the transparent colour stays
            control = bytes((0x21, 0xF9, 4, data[position + 3] & 1, 0, 0, data[position + 6], 0))
        position += 2
        while data[position]:
            position += data[position] + 1
        position += 1
    width, height = struct.unpack_from("<2H", data, 6)
    left, top, frame_width, frame_height = struct.unpack_from("<4H", data, position + 1)
    width, height = max(width, left + frame_width), max(height, top + frame_height)
    size = struct.pack("<2H", min(width, 0xFFFF), min(height, 0xFFFF))
    return width, height, data[:6] + size + header + control + data[position:]


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas (RFC 9649)."""
    if len(data) < 30:
        raise EOFError("the header is cut off")
    if data[12:16] == b"VP8X":
        width, height = data[24:27], data[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    lossy_width, lossy_height = struct.unpack_from("<2H", data, 26)
    return lossy_width & 0x3FFF, lossy_height & 0x3FFF


class _Entry(NamedTuple):
    field_type: int
    number: int  # of values
    value: bytes  # empty where it reaches past the end of the file
    inline: bytes  # the value itself or its offset, as stored


class _Directory(NamedTuple):
    order: str  # of bytes, for struct
    formats: tuple[str, str, str]  # count of entries, entry, offset
    entries: dict[int, _Entry]  # by tag


def _directory(tiff: bytes) -> _Directory:
    """The first directory of a TIFF or BigTIFF, as EXIF has it too (TIFF 6.0, section 2)."""
    order = {b"II": "<", b"MM": ">"}[tiff[:2]]
    big = struct.unpack_from(order + "H", tiff, 2)[0] == 43
    formats = ("Q", "HHQ8s", "Q") if big else ("H", "HHL4s", "L")
    (position,) = struct.unpack_from(order + formats[2], tiff, 8 if big else 4)
    (count,) = struct.unpack_from(order + formats[0], tiff, position)
    position += struct.calcsize(order + formats[0])
    step = struct.calcsize(order + formats[1])
    entries: dict[int, _Entry] = {}
    for start in range(position, min(position + count * step, len(tiff) - step + 1), step):
        tag, field_type, number, inline = struct.unpack_from(order + formats[1], tiff, start)
        size = number * _TIFF_UNITS.get(field_type, 0)
        value = inline[:size]
        if size > len(inline):
            (offset,) = struct.unpack(order + formats[2], inline)
            value = tiff[offset : offset + size]
        entries.setdefault(
            tag, _Entry(field_type, number, value if len(value) == size else b"", inline)
        )
    return _Directory(order, formats, entries)


def _orientation(exif: bytes) -> int:
    """EXIF orientation from an EXIF block or a TIFF file; 1, upright, where none is readable."""
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        directory = _directory(exif)
        entry = directory.entries[_ORIENTATION_TAG]
    except (KeyError, struct.error, OverflowError):
        return 1
    big_endian = directory.order == ">"
    value = int.from_bytes(entry.value, "big" if big_endian else "little")
    return value if value in range(1, 9) else 1


def _tiff_page(data: bytes) -> tuple[bytes, bytes | None]:
    """The TIFF with a directory of its first page's pixels alone, and the ICC profile."""
    order, formats, entries = _directory(data)
    count_format, entry_format, offset_format = formats
    kept = []
    room = len(data)
    for tag in sorted(_TIFF_TAGS & entries.keys()):
        field_type, count, value, inline = entries[tag]
        if not value or len(value) > room:
            continue
        if count > 1 and field_type not in _BYTE_STRINGS and TiffTags.lookup(tag).length == 1:
            count, inline = 1, value[: _TIFF_UNITS[field_type]].ljust(len(inline), b"\0")
        elif len(value) > len(inline):
            room -= len(value)  # no file holds more bytes of values than it has
        kept.append(struct.pack(order + entry_format, tag, field_type, count, inline))
    header_size = 16 if offset_format == "Q" else 8
    padding = b"\0" * (-len(data) % 8)
    start = struct.pack(order + offset_format, len(data) + len(padding))
    page = b"".join(
        (
            data[: header_size - len(start)],
            start,
            data[header_size:],
            padding,
            struct.pack(order + count_format, len(kept)),
            *kept,
            struct.pack(order + offset_format, 0),  # no page follows
        )
    )
    profile = entries.get(_ICC_PROFILE_TAG)
    return page, profile.value if profile else None

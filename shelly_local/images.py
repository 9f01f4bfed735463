"""Photos in, upright sRGB pixels out: size limits, formats, colour, orientation, reduction."""

from __future__ import annotations

import io
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile

from shelly_local.colour import plain, to_srgb
from shelly_local.errors import (
    FileTooLargeError,
    ImageTooSmallError,
    ImageUnreadableError,
    MissingExtraError,
    NotAnImageError,
    ShellyError,
    TooManyPixelsError,
    TruncatedImageError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Largest file in bytes (10 MiB): a 50-megapixel JPEG of a phone has some 8 MB.
MAX_FILE_BYTES = 10 * 1024 * 1024
#: Most pixels, width times height: enough for the 40, 50 and 64 megapixels of phones, and
#: fewer than the 89,478,485 from which on Pillow takes a picture for a decompression bomb.
MAX_PIXELS = 80_000_000
#: Most pixels of a run-length encoded BMP, which Pillow decodes a byte at a time in Python:
#: more of them would take many seconds. BMPs of photos are not encoded so.
MAX_RLE_PIXELS = 4_000_000
#: Shortest side in pixels: a smaller face shows no expression.
MIN_SIDE = 32
#: The formats, as error messages name them.
SUPPORTED_FORMATS = "JPEG, PNG, GIF, TIFF, WebP, BMP and HEIC"

# Most formats begin with their signature; WebP, BMP and HEIC have theirs further on.
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_BMP_RLE_COMPRESSIONS = frozenset({1, 2})
# ISO/IEC 23008-12: pictures and sequences coded with HEVC.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
# What turns the stored picture upright, by EXIF orientation (CIPA DC-008, tag 274).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo, upright.

    Attributes:
        pixels: ``(h, w, 3)`` uint8, RGB in the sRGB colour space (IEC 61966-2-1),
            0 to 255, C-contiguous and read-only.
        width, height: size of the upright photo in pixels, before any reduction.
        rough: whether the decoder reduced a JPEG further than ``max_side`` asks.
        filled: how much of the width and height of ``pixels`` the photo fills, where the last
            pixel is only partly of it: a quarter of 1350 pixels is 337.5. None for all.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    rough: bool = False
    filled: tuple[float, float] | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Original pixels per decoded pixel, ``(x, y)``, each at least 1.

        They differ a little where a side was rounded; multiplied with them, a box in
        ``pixels`` becomes a box in the original photo.
        """
        height, width = self.pixels.shape[:2]
        across, down = self.filled or (width, height)
        return self.width / across, self.height / down


def decode(
    source: bytes | str | os.PathLike[str] | BinaryIO,
    *,
    max_side: int | None = None,
    rough_side: int | None = None,
) -> Photo:
    """Decode a photo to upright sRGB pixels.

    JPEG, PNG, GIF (first frame), TIFF (first page), WebP and BMP; HEIC with the extra
    ``heic``. EXIF orientation and colour profiles are applied, transparency is laid on
    white, and 16-bit greys are divided by 257. Other integer and floating-point greys
    are taken to span the smallest of 0..1 (floating point only), 0..255 and 0..65535
    that holds them all, or else their own minimum to maximum.

    Thread-safe: no setting that is global to the process is changed. Pillow may warn, with
    Python's ``warnings``, about damaged metadata.

    Args:
        source: the bytes of a file, its path, or a binary file object, which is read
            from its current position and left open.
        max_side: longest side of ``pixels`` wanted, at least 1; a larger photo is
            reduced by averaging areas (a JPEG in part while it is decoded), a smaller
            one is never enlarged. None keeps the full size.
        rough_side: let the decoder reduce a JPEG to 1/2, 1/4 or 1/8 as long as the longest
            side keeps as many pixels, which takes a quarter of the time; at most
            ``max_side``. None reduces it to ``max_side`` only.

    Returns:
        The photo, with its original size beside its pixels.

    Raises:
        FileTooLargeError: more than ``MAX_FILE_BYTES``.
        TooManyPixelsError: more than ``MAX_PIXELS``, or than 4,000,000 in a run-length
            encoded BMP; found before pixels are decoded.
        ImageTooSmallError: a side shorter than ``MIN_SIDE``.
        NotAnImageError: empty, or not one of the formats above.
        TruncatedImageError: cut off, damaged, or of a variant that cannot be decoded.
        ImageUnreadableError: the file is missing, no regular file, or not permitted.
        MissingExtraError: a HEIC photo, and the extra ``heic`` is not installed.
        TypeError: ``source`` is none of the types above.
        ValueError: ``max_side`` is less than 1.
    """
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side must be at least 1 or None, got {max_side}")
    data, label = _read(source)
    kind = _identify(data)
    if kind is None:
        found = "is not a picture in a supported format" if data else "is empty (0 bytes)"
        raise NotAnImageError(f"{label} {found}; supported are {SUPPORTED_FORMATS}.")
    try:
        return _decode(kind, data, label, max_side, rough_side)
    except ShellyError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as cause:
        # Pillow says "Image size (2500000000 pixels) exceeds limit of ...".
        count = re.search(r"\d+", str(cause))
        found = f"{int(count[0]):,} pixels" if count else "too many pixels"
        raise TooManyPixelsError(
            f"{label} has {found}; at most {MAX_PIXELS:,} are allowed."
        ) from cause
    except Exception as cause:  # on damaged data Pillow raises nearly every built-in error
        raise TruncatedImageError(
            f"{label} cannot be decoded: it is a {kind} file that is cut off, damaged or of a"
            " variant that is not supported."
        ) from cause


def read(source: bytes | str | os.PathLike[str] | BinaryIO) -> bytes:
    """The bytes of a photo, at most ``MAX_FILE_BYTES``, not yet decoded.

    Raises:
        FileTooLargeError: more than ``MAX_FILE_BYTES``.
        ImageUnreadableError: the file is missing, no regular file, or not permitted.
    """
    return _read(source)[0]


def _decode(
    kind: str, data: bytes, label: str, max_side: int | None, rough_side: int | None
) -> Photo:
    opened = _open_heic(data) if kind == "HEIC" else Image.open(io.BytesIO(data), formats=(kind,))
    width, height = opened.size
    _check_size(label, width, height)
    if kind == "BMP" and opened.info.get("compression") in _BMP_RLE_COMPRESSIONS:
        _check_rle_size(label, width, height)
    box: tuple[float, float, float, float] | None = None
    sides = [side for side in (max_side, rough_side) if side is not None]
    least = min(sides, default=None)
    if kind == "JPEG" and least is not None and max(width, height) > least:
        # Pillow reduces by the smaller of the two ratios, so 1 leaves it to the long side.
        drafted = opened.draft(None, (least, 1) if width >= height else (1, least))
        box = drafted[1] if drafted else None
    wanted = max(width, height) if max_side is None else min(max_side, max(width, height))
    rough = max(opened.size) < wanted
    # All at once: between pieces of 64 KiB, its default, libjpeg goes back to the last whole row.
    opened.decodermaxblock = max(len(data), opened.decodermaxblock)
    opened.load()
    if box is None:
        width, height = opened.size  # Pillow turns a TIFF upright while it loads it
    image = plain(opened)
    if max_side is not None and max(image.size) > max_side:
        shrink = max_side / max(width, height)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        # Bilinear in Pillow weighs the whole area under each new pixel, without the
        # uneven steps of BOX at ratios between 1 and 2.
        image = image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
        box = None  # cut to what the photo fills
    filled = box[2:] if box else None
    image = to_srgb(image, opened.info.get("icc_profile"))
    orientation = _orientation(opened)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if orientation >= 5:  # turned by a quarter
        width, height = height, width
        filled = filled and (filled[1], filled[0])
    pixels = np.ascontiguousarray(np.asarray(image, dtype=np.uint8))
    pixels.flags.writeable = False
    return Photo(pixels, width, height, rough=rough, filled=filled)


def _identify(data: bytes) -> str | None:
    """The format of a file by its first bytes, such as ``"JPEG"``; None for any other."""
    for signature, name in _SIGNATURES.items():
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


def _open_heic(data: bytes) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as cause:
        raise MissingExtraError(
            "HEIC photos take an optional package. Install it with:"
            ' pip install "shelly-local[heic]"'
        ) from cause
    image_class: type[ImageFile.ImageFile] = HeifImageFile
    return image_class(io.BytesIO(data))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1, upright, where none is readable."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata do not matter
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _read(source: object) -> tuple[bytes, str]:
    """The bytes of ``source``, at most ``MAX_FILE_BYTES``, and its name for messages."""
    label = "The photo"
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            view = memoryview(source).cast("B")[: MAX_FILE_BYTES + 1]
            if isinstance(source, bytes) and len(view) == len(source):
                data = source  # as it is: a copy would take a tenth of a millisecond
            else:
                data = view.tobytes()
        elif isinstance(source, str | os.PathLike):
            path = Path(os.fsdecode(source))
            label = f"The file {path.name or str(path)!r}"
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
                raise ImageUnreadableError(f"{label} is {what}; a photo in a file is needed.")
            if status.st_size > MAX_FILE_BYTES:
                raise _file_too_large(label, f"{status.st_size:,}")
            with path.open("rb") as file:
                data = _read_stream(file)
        elif hasattr(source, "read") and not isinstance(source, io.TextIOBase):
            data = _read_stream(source)
        else:
            raise TypeError(
                f"source must be bytes, a path or a binary file object, got {type(source).__name__}"
            )
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise ImageUnreadableError(f"{label} cannot be read: {reason}.") from cause
    if len(data) > MAX_FILE_BYTES:
        raise _file_too_large(label, f"more than {MAX_FILE_BYTES:,}")
    return data, label


def _read_stream(stream: Any) -> bytes:
    """All of ``stream``, but at most one byte more than ``MAX_FILE_BYTES``."""
    data = bytearray()
    while len(data) <= MAX_FILE_BYTES:
        block = stream.read(MAX_FILE_BYTES + 1 - len(data))
        if not block:
            break
        data += block
    return bytes(data)


def _file_too_large(label: str, size: str) -> FileTooLargeError:
    return FileTooLargeError(f"{label} has {size} bytes; at most {MAX_FILE_BYTES:,} are allowed.")


def _check_size(label: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(
            f"{label} has {width} x {height} = {width * height:,} pixels; at most"
            f" {MAX_PIXELS:,} are allowed."
        )
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmallError(
            f"{label} has {width} x {height} pixels; each side must have at least {MIN_SIDE}."
        )


def _check_rle_size(label: str, width: int, height: int) -> None:
    if width * height > MAX_RLE_PIXELS:
        raise TooManyPixelsError(
            f"{label} is a run-length encoded BMP of {width} x {height} = {width * height:,}"
            f" pixels; at most {MAX_RLE_PIXELS:,} are allowed so encoded."
        )

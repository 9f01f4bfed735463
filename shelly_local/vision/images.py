"""Photos in, upright sRGB pixels out: size limits, formats, colour, orientation, reduction."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from shelly_local.errors import (
    ImageTooSmallError,
    NotAnImageError,
    ShellyError,
    TooManyPixelsError,
    TruncatedImageError,
)
from shelly_local.vision.colour import plain, to_srgb
from shelly_local.vision.decoding_memory import DECODING, picture_limit
from shelly_local.vision.orientation import UPRIGHT
from shelly_local.vision.photo_source import MAX_FILE_BYTES, SUPPORTED_FORMATS, read_source
from shelly_local.vision.stored_picture import StoredPicture, open_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "SUPPORTED_FORMATS",
    "Photo",
    "decode",
    "read",
]

#: Most pixels, width times height: enough for the 40, 50 and 64 megapixels of phones, and
#: fewer than the 89,478,485 from which on Pillow takes a picture for a decompression bomb.
MAX_PIXELS = 80_000_000
#: Shortest side in pixels: a smaller face shows no expression.
MIN_SIDE = 32

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
# ISO/IEC 23008-12: pictures and sequences coded with HEVC.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
# A picture at least twice as large as wanted is averaged by whole pixels first, down to this many
# times the wanted size.
_REDUCING_GAP = 2.0
# Bytes of a pixel that is not reduced: as sRGB in Pillow, and in the answer.
_ANSWER_BYTES = 7


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

    What decoding takes is known from the structure of the file before it is spent: a picture that
    would take more than some 250 MB or some three seconds is refused, and pictures that many
    threads decode at the same time wait for memory of each other.

    Thread-safe. The handlers of libtiff, which would write to standard error, are taken off
    for the whole process with the first TIFF.

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
        TooManyPixelsError: more than ``MAX_PIXELS``, or than a format allows that takes much
            memory for each; found before pixels are decoded.
        CostlyImageError: of a structure that would take too long to decode.
        ImageTooSmallError: a side shorter than ``MIN_SIDE``.
        NotAnImageError: empty, or not one of the formats above.
        TruncatedImageError: cut off, damaged, or of a variant that cannot be decoded.
        ImageUnreadableError: the file is missing, no regular file, or not permitted.
        MissingFormatError: a HEIC photo, and the extra ``heic`` is not installed.
        TypeError: ``source`` is none of the types above.
        ValueError: ``max_side`` is less than 1.
    """
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side must be at least 1 or None, got {max_side}")
    data, label = read_source(source)
    kind = identify(data)
    if kind is None:
        raise NotAnImageError(
            f"{label} is not a picture in a supported format; supported are {SUPPORTED_FORMATS}."
        )
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
        NotAnImageError: nothing in it.
    """
    return read_source(source)[0]


def _decode(
    kind: str, data: bytes, label: str, max_side: int | None, rough_side: int | None
) -> Photo:
    picture = open_picture(kind, data, label)
    width, height = picture.size
    _check_size(label, width, height)
    box: tuple[float, float, float, float] | None = None
    sides = [side for side in (max_side, rough_side) if side is not None]
    least = min(sides, default=None)
    if picture.reducible and least is not None and max(width, height) > least:
        # Pillow reduces by the smaller of the two ratios, so 1 leaves it to the long side.
        box = picture.reduce((least, 1) if width >= height else (1, least))
    wanted = max(width, height) if max_side is None else min(max_side, max(width, height))
    rough = max(picture.size) < wanted
    needed = _bytes_needed(picture, wanted, whole=max_side is None)
    most = picture_limit()
    if needed > most and max_side is not None:
        raise TooManyPixelsError(
            f"{label} has {width} x {height} = {width * height:,} pixels; a {kind} file such as"
            f" this may have about {width * height * most // needed:,}."
        )
    with DECODING.turn(needed + 2 * len(data)):
        picture.load()
        if box is None:
            width, height = picture.size  # decoding may find another one
        if max_side is not None and max(picture.size) > max_side:
            image = _reduced(picture, max_side, width, height, box)
            box = None  # cut to what the photo fills
        else:
            image = plain(picture.image, inverted=picture.inverted)
        del picture.image
    filled = box[2:] if box else None
    image = to_srgb(image, picture.profile)
    if picture.orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[picture.orientation])
    if picture.orientation >= 5:  # turned by a quarter
        width, height = height, width
        filled = filled and (filled[1], filled[0])
    pixels = np.ascontiguousarray(np.asarray(image, dtype=np.uint8))
    pixels.flags.writeable = False
    return Photo(pixels, width, height, rough=rough, filled=filled)


def _reduced(
    picture: StoredPicture,
    max_side: int,
    width: int,
    height: int,
    box: tuple[float, float, float, float] | None,
) -> Image.Image:
    """A decoded picture, plain, its longer side reduced to ``max_side`` by averaging areas.

    Args:
        picture: decoded.
        max_side: in pixels.
        width, height: size of the picture before its decoder reduced it.
        box: what of the decoded picture is filled; None for all.
    """
    shrink = max_side / max(width, height)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if box is None:
        # What ``resize`` does by itself with a reducing gap, but band by band.
        across, down = map(_factor, picture.size, size)
        image = plain(picture.image, (across, down), inverted=picture.inverted)
        box = (0, 0, picture.size[0] / across, picture.size[1] / down)
    else:
        image = plain(picture.image)
    # Bilinear in Pillow weighs the whole area under each new pixel, without the
    # uneven steps of BOX at ratios between 1 and 2.
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=_REDUCING_GAP)


def _bytes_needed(picture: StoredPicture, wanted: int, *, whole: bool) -> int:
    """Estimate of the memory that decoding takes, the file aside.

    Args:
        picture: not yet decoded, but reduced as far as its decoder will.
        wanted: longer side of the answer, in pixels.
        whole: whether the answer is not reduced.
    """
    width, height = picture.size
    factor = _factor(max(width, height), wanted)
    converted = 0.0  # what the decoder needs besides is free again by then
    if factor > 1 or not picture.is_plain:
        converted = picture.plain_bytes / factor**2 * width * height
    each = picture.decoding_bytes + (_ANSWER_BYTES if whole else 0)
    return round(each * width * height + max(converted, picture.other_bytes))


def _factor(old: int, new: int) -> int:
    """How many pixels become one before the rest of a reduction, as in Pillow's ``resize``."""
    return max(int(old / new / _REDUCING_GAP), 1)


def identify(data: bytes) -> str | None:
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

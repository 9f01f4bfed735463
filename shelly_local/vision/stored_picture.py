"""Pictures opened but not decoded: their size, their metadata, and what decoding them takes."""

from __future__ import annotations

import functools
import io
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from PIL import Image, ImageFile

from shelly_local.errors import CostlyImageError, MissingFormatError, TooManyPixelsError
from shelly_local.vision.colour import BAND_PIXELS, is_plain
from shelly_local.vision.formats import jpeg as jpeg_structure
from shelly_local.vision.orientation import UPRIGHT, orientation

#: Most pixels of a run-length encoded BMP, which Pillow decodes a byte at a time in Python:
#: more of them would take many seconds. BMPs of photos are not encoded so.
MAX_RLE_PIXELS = 4_000_000
#: Most bytes of the same: runs may also be empty.
MAX_RLE_BYTES = 4 * 1024 * 1024
#: Pixels of a TIFF from which on it is decoded in bands, if it is in strips.
LARGE_TIFF = 20_000_000
_RLE_COMPRESSIONS = frozenset({1, 2})

# Bytes of a pixel in Pillow's memory by mode, where it is not four.
_CORE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_GREY_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
# Bytes of a pixel while libwebp decodes: two canvases, its answer, and Pillow's picture.
_WEBP_BYTES = 16
# Bytes of a pixel while libheif decodes, to RGB: with colours at half the resolution, with
# whole ones, for transparency besides; and how much more it is for more than 8 bits.
_HEIC_BYTES, _WHOLE_HEIC_BYTES, _HEIC_ALPHA_BYTES, _DEEP_HEIC = 4.5, 8.75, 2.25, 1.65
# Bytes of a pixel of a strip or tile, beside its own, where libtiff converts colours or has another
# library decode it; these compressions take none.
_CONVERTED_BYTES = 8
_OWN_COMPRESSIONS = frozenset(
    {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "group3", "group4"}
    | {"tiff_ccitt", "zstd", "lzma", "tiff_raw_16"}
)
_PHOTOMETRIC, _ORIENTATION = 262, 274
_WHITE_IS_ZERO, _YCBCR = 0, 6
# What follows a picture cut off: as entropy-coded data it changes the pixels that are missing.
_NOISE = bytes(range(1, 255)) * 16

# Damaged metadata do not matter, and large pictures have an error of their own. The filter comes
# last, so that those of the program win.
warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\b", append=True)


@dataclass(eq=False, repr=False)
class StoredPicture:
    """A picture, opened and not yet decoded.

    Attributes:
        image: what decodes it, ``load`` and ``crop``; its size may change by loading.
        decoding_bytes: estimate of the memory that decoding takes for each pixel of ``image``.
        other_bytes: the same, whatever its size.
        orientation: EXIF's, 1 to 8.
        profile: its ICC profile.
        inverted: whether the least value of a deep grey is white.
        reducible: whether the decoder can reduce it.
        continued: the file with noise at its end, if it lacks its end marker; None if it has it.
    """

    image: Any
    decoding_bytes: float
    other_bytes: int = 0
    orientation: int = 1
    profile: bytes | None = None
    inverted: bool = False
    reducible: bool = False
    continued: bytes | None = None
    _drafted: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as stored or, after ``reduce``, as decoded."""
        size: tuple[int, int] = self.image.size
        return size

    @property
    def is_plain(self) -> bool:
        """Whether ``colour.plain`` takes it as it is."""
        return isinstance(self.image, Image.Image) and is_plain(self.image)

    @property
    def plain_bytes(self) -> int:
        """Bytes of each pixel of what ``colour.plain`` makes of it."""
        mode = self.image.mode if isinstance(self.image, Image.Image) else "RGB"
        return 1 if mode in _GREY_MODES and not self.image.has_transparency_data else 4

    def reduce(self, least: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """Let the decoder reduce the picture to 1/2, 1/4 or 1/8, as long as ``least`` is left.

        Returns:
            What of the reduced picture is filled, as a box; None where it is not reduced.
        """
        self._drafted = least
        drafted = self.image.draft(None, least)
        return drafted[1] if drafted else None

    def load(self) -> None:
        """Decode it.

        Raises:
            ValueError: a JPEG without its end marker lacks pixels, too.
            Exception: nearly any other, on damaged data.
        """
        self.image.load()
        if self.continued is None:
            return
        other = _jpeg(self.continued)
        if self._drafted is not None:
            other.draft(None, self._drafted)
        other.load()
        if other.tobytes() != self.image.tobytes():  # other bytes at its end change pixels
            raise ValueError("cut off")


def open_picture(kind: str, data: bytes, label: str) -> StoredPicture:
    """Open a picture, and refuse one that takes too long to decode.

    Args:
        kind: its format, such as ``"JPEG"``.
        data: the file.
        label: what messages call it.

    Raises:
        CostlyImageError: its structure would take too long to read.
        MissingFormatError: a HEIC photo, and the extra ``heic`` is not installed.
        Exception: nearly any other, on damaged data.
    """
    return _OPENERS[kind](data, label)


def _core_bytes(image: Image.Image) -> int:
    return _CORE_BYTES.get(image.mode, 4)


def _jpeg(data: bytes) -> ImageFile.ImageFile:
    image = Image.open(io.BytesIO(data), formats=("JPEG",))
    # All at once: between pieces of 64 KiB, its default, libjpeg goes back to the last whole row.
    image.decodermaxblock = max(len(data), image.decodermaxblock)
    return image


def _open_jpeg(data: bytes, label: str) -> StoredPicture:
    structure = jpeg_structure.read_structure(data, label)
    image = _jpeg(structure.data)
    return StoredPicture(
        image,
        _core_bytes(image),
        structure.coefficient_bytes,
        orientation(structure.exif, structure.xmp),
        image.info.get("icc_profile"),
        reducible=structure.reducible,
        continued=None if structure.complete else structure.data[:-2] + _NOISE + b"\xff\xd9",
    )


def _open_png(data: bytes, label: str) -> StoredPicture:
    from shelly_local.vision.formats import png as png_structure

    structure = png_structure.read_structure(data, label)
    image = Image.open(io.BytesIO(structure.data), formats=("PNG",))
    return StoredPicture(
        image,
        _core_bytes(image),
        orientation=orientation(structure.exif, structure.xmp),
        profile=image.info.get("icc_profile"),
    )


def _open_gif(data: bytes, label: str) -> StoredPicture:
    from shelly_local.vision.formats import gif as gif_structure

    gif_structure.check_structure(data, label)
    image = Image.open(io.BytesIO(data), formats=("GIF",))
    return StoredPicture(image, _core_bytes(image))


def _open_bmp(data: bytes, label: str) -> StoredPicture:
    image = Image.open(io.BytesIO(data), formats=("BMP",))
    if image.info.get("compression") in _RLE_COMPRESSIONS:
        width, height = image.size
        if width * height > MAX_RLE_PIXELS:
            raise TooManyPixelsError(
                f"{label} is a run-length encoded BMP of {width} x {height} = {width * height:,}"
                f" pixels; at most {MAX_RLE_PIXELS:,} are allowed so encoded."
            )
        if len(data) > MAX_RLE_BYTES:
            raise CostlyImageError(
                f"{label} is a run-length encoded BMP of {len(data):,} bytes; at most"
                f" {MAX_RLE_BYTES:,} are allowed so encoded."
            )
    return StoredPicture(image, _core_bytes(image))


def _open_webp(data: bytes, label: str) -> StoredPicture:
    image = Image.open(io.BytesIO(data), formats=("WEBP",))
    info = image.info
    turned = orientation(info.get("exif"), info.get("xmp"))
    return StoredPicture(image, _WEBP_BYTES, orientation=turned, profile=info.get("icc_profile"))


def _open_tiff(data: bytes, label: str) -> StoredPicture:
    from shelly_local.vision.formats import tiff as tiff_structure
    from shelly_local.vision.formats.tiff_rows import TiffRows

    structure = tiff_structure.read_structure(data, label)
    _silence_libtiff()
    image = _tiff_class()(io.BytesIO(data))
    tags = image.tag_v2
    photometric, turned, xmp = tags.get(_PHOTOMETRIC), tags.get(_ORIENTATION), image.info.get("xmp")
    picture = StoredPicture(
        image,
        _core_bytes(image),
        orientation=turned if turned in UPRIGHT else orientation(None, None if turned else xmp),
        profile=image.info.get("icc_profile"),
        inverted=photometric == _WHITE_IS_ZERO,
    )
    stored_bytes = structure.pixel_bytes
    if photometric == _YCBCR or image.info.get("compression") not in _OWN_COMPRESSIONS:
        stored_bytes += _CONVERTED_BYTES
    width, height = image.size
    block_pixels = structure.block_pixels
    if width * height > LARGE_TIFF and TiffRows.fit(tags):
        picture.image, picture.decoding_bytes = TiffRows(data, tags, _tiff_class()), 0
        block_pixels = 2 * (block_pixels + BAND_PIXELS)  # the rows before, and these
        stored_bytes += _core_bytes(image)
    picture.other_bytes = round(stored_bytes * block_pixels)
    return picture


@functools.cache
def _tiff_class() -> Any:
    """TIFF as it is stored; loaded here, as few photos are TIFFs."""
    from PIL import TiffImagePlugin

    class StoredTiff(TiffImagePlugin.TiffImageFile):
        def load_end(self) -> None:
            """Neither turn the picture, which takes a copy, nor read further directories."""
            self._size = self.im.size

    return StoredTiff


@functools.cache
def _silence_libtiff() -> None:
    """Keep libtiff, which tells damage line by line, from writing to standard error.

    Its handlers are looked up in what Pillow's module is linked with. Where that holds them
    hidden, as Pillow's builds for Windows do, the messages stay.
    """
    import ctypes

    try:
        library = ctypes.CDLL(import_module("PIL._imaging").__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
    except (AttributeError, OSError):
        pass


class _HeicRows:
    """A HEIC photo, its rows taken from libheif's memory without a copy of all of them."""

    def __init__(self, photo: Any) -> None:
        self.size: tuple[int, int] = photo.size
        self._photo = photo

    def load(self) -> None:
        self._data: Any = memoryview(self._photo.data)
        self.size = self._photo.size  # which decoding may change

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        left, top, right, bottom = box
        mode, stride = self._photo.mode, self._photo.stride
        rows = self._data[top * stride : bottom * stride]
        band = Image.frombuffer(mode, (self.size[0], bottom - top), rows, "raw", mode, stride, 1)
        return (
            band
            if (left, right) == (0, self.size[0])
            else band.crop((left, 0, right, bottom - top))
        )


def _open_heic(data: bytes, label: str) -> StoredPicture:
    from shelly_local.vision.formats import heic as heic_structure

    try:
        import pillow_heif
    except ImportError as cause:
        raise MissingFormatError(
            f"{label} is a HEIC photo, which takes an optional package. Install it with:"
            ' pip install "shelly-local[heic]"'
        ) from cause
    heic_structure.check_structure(data, label)
    file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True, bgr_mode=False)
    photo = file[file.primary_index]
    info: dict[str, Any] = photo.info
    turned = 1
    if not heic_structure.is_turned(data):  # ISO/IEC 23008-12: the container's turn wins
        turned = orientation(info.get("exif"), info.get("xmp"))
    each = _HEIC_BYTES if info.get("chroma") in (None, 400, 420) else _WHOLE_HEIC_BYTES
    each += _HEIC_ALPHA_BYTES if photo.has_alpha else 0
    each *= _DEEP_HEIC if info["bit_depth"] > 8 else 1
    return StoredPicture(
        _HeicRows(photo), each, orientation=turned, profile=info.get("icc_profile")
    )


_OPENERS = {
    "JPEG": _open_jpeg,
    "PNG": _open_png,
    "GIF": _open_gif,
    "TIFF": _open_tiff,
    "WebP": _open_webp,
    "BMP": _open_bmp,
    "HEIC": _open_heic,
}

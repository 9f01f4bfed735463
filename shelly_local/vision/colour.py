"""Any of Pillow's modes to 8-bit RGB in the sRGB colour space."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from typing import Protocol

    from numpy.typing import NDArray

    class Rows(Protocol):
        """A decoded picture whose rows can be had band by band; Pillow's images are such."""

        @property
        def size(self) -> tuple[int, int]:
            """Width and height in pixels."""
            ...

        def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
            """The pixels in ``(left, top, right, bottom)``."""
            ...


#: Most steps of a transform in a profile (``multiProcessElementsType``, ICC.1:2022). Profiles have
#: a few; thousands take seconds to prepare.
MAX_STEPS = 32
#: Pixels of a band of rows: what is made of one takes a few megabytes.
BAND_PIXELS = 1_000_000


def is_plain(image: Image.Image) -> bool:
    """Whether an image has 8 bits a channel and is opaque: L, RGB, CMYK or LAB."""
    return image.mode in ("L", "RGB", "CMYK", "LAB") and not image.has_transparency_data


def plain(rows: Rows, factors: tuple[int, int] = (1, 1), *, inverted: bool = False) -> Image.Image:
    """The picture with 8 bits a channel and opaque: L, RGB, CMYK or LAB.

    Band by band, so that no copy of the whole picture is made at its full size.

    Args:
        rows: the picture.
        factors: across and down, how many pixels become one, by averaging.
        inverted: whether the least value of a grey of 16 or 32 bits is white.
    """
    if factors == (1, 1) and isinstance(rows, Image.Image) and is_plain(rows):
        return rows
    width, height = rows.size
    across, down = factors
    span = _span(rows) if _is_deep(rows.crop((0, 0, 1, 1))) else None
    whole: Image.Image | None = None
    for top, bottom in _bands(width, height, down):
        band = _plain(rows.crop((0, top, width, bottom)), span, inverted)
        if factors != (1, 1):
            band = band.reduce(factors)
        if bottom - top == height:
            return band
        if whole is None:
            whole = Image.new(band.mode, (-(-width // across), -(-height // down)))
        whole.paste(band, (0, top // down))
    assert whole is not None  # a picture has rows
    return whole


def _bands(width: int, height: int, step: int) -> Iterator[tuple[int, int]]:
    """Top and bottom of bands of rows, in multiples of ``step`` rows but for the last."""
    rows = max(BAND_PIXELS // width // step, 1) * step
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _plain(image: Image.Image, span: tuple[float, float] | None, inverted: bool) -> Image.Image:
    if span is not None:
        return _eight_bit(image, span, inverted)
    if is_plain(image):
        return image
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(layer, mask=layer)
        return opaque
    return image.convert("L" if image.mode == "1" else "RGB")


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _span(rows: Rows) -> tuple[float, float]:
    """The values of a grey of 16 or 32 bits that are black and white."""
    width, height = rows.size
    low, high = np.inf, -np.inf
    for top, bottom in _bands(width, height, 1):
        values = np.asarray(rows.crop((0, top, width, bottom)))
        if values.dtype.itemsize == 2:
            return 0.0, 65535.0
        numbers = _finite(values)
        low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
    for most in (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0):
        if low >= 0.0 and high <= most:
            return 0.0, most
    return low, high


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    """The values, with zero for what is no number or infinite."""
    if values.dtype.kind != "f":
        return values
    return np.asarray(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))


def _eight_bit(image: Image.Image, span: tuple[float, float], inverted: bool) -> Image.Image:
    """A grey image of 16 or 32 bits, scaled to 8."""
    values = np.asarray(image)
    if values.dtype.itemsize == 2:
        grey = ((np.arange(65536) + 128) // 257).astype(np.uint8)[values]
    else:
        low, high = span
        numbers = _finite(values).astype(np.float64)
        numbers -= low
        numbers *= 255.0 / ((high - low) or 1.0)
        grey = np.rint(numbers).astype(np.uint8)
    if inverted:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if values.dtype.itemsize == 2 and isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """RGB in sRGB; a profile that is damaged, made for other channels or endless is left out."""
    if icc_profile and image.mode != "LAB" and _steps(icc_profile) <= MAX_STEPS:
        from PIL import ImageCms  # here, as few photos need it and it loads slowly

        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            channels = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(
                profile.profile.xcolor_space.strip()
            )
            if channels == "RGB" and image.mode == "L":
                image = image.convert("RGB")
            name = profile.profile.profile_description or ""
            if channels == image.mode and not name.startswith("sRGB"):
                srgb = ImageCms.createProfile("sRGB")
                image = ImageCms.ImageCmsTransform(
                    profile, ImageCms.ImageCmsProfile(srgb), image.mode, "RGB"
                ).apply(image)
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass
    return image.convert("RGB")


def _steps(icc_profile: bytes) -> int:
    """Steps of the longest transform in a profile that lists them one by one."""
    most = 0
    tags = min(int.from_bytes(icc_profile[128:132], "big"), len(icc_profile) // 12)
    for entry in range(132, 132 + 12 * tags, 12):
        start = int.from_bytes(icc_profile[entry + 4 : entry + 8], "big")
        if icc_profile[start : start + 4] == b"mpet":
            most = max(most, int.from_bytes(icc_profile[start + 12 : start + 16], "big"))
    return most

"""Any of Pillow's modes to 8-bit RGB in the sRGB colour space."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def plain(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel and opaque: L, RGB, CMYK or LAB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(layer, mask=layer)
        return opaque
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits, scaled to 8; not-a-number and infinity are black."""
    values = np.asarray(image)
    if values.dtype.itemsize == 2:
        grey = ((np.arange(65536) + 128) // 257).astype(np.uint8)[values]
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        return Image.fromarray(grey)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    for top in (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0):
        if low >= 0.0 and high <= top:
            low, high = 0.0, top
            break
    numbers -= low
    numbers *= 255.0 / ((high - low) or 1.0)
    return Image.fromarray(np.rint(numbers).astype(np.uint8))


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """RGB in sRGB; a profile that is damaged or made for other channels is left out."""
    if icc_profile and image.mode != "LAB":
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

"""What every backend is: bytes of a photo in, faces with their expressions out."""

from __future__ import annotations

import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from PIL import Image

from shelly_local.errors import BackendError, MissingExtraError
from shelly_local.results import PhotoEmotions
from shelly_local.vision.images import decode

__all__ = [
    "Backend",
    "BackendError",
    "first_set",
    "garbled",
    "missing_sdk",
    "number",
    "prepared",
    "shortened",
]

#: Seconds to wait for a connection, and for an answer once the photo is sent.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 30.0
#: How often a call is tried in all when a service is throttled or broken for a moment.
ATTEMPTS = 4
#: EXIF tag 0x0112; 1 is upright.
_ORIENTATION, _UPRIGHT = 0x0112, 1
_GPS = 0x8825  # EXIF tag: where the picture was taken
_JPEG_QUALITY = 92
#: Characters of a service's own words in an error; some send a whole page.
_LONGEST_MESSAGE = 200
#: Share by which a service may round a number out of its range.
_ROUNDING = 0.001


class Backend(ABC):
    """A classifier of photos, here or in a cloud. Thread-safe.

    A new one needs ``name``, ``title``, ``classify`` and ``describe``.

    Attributes:
        name: short name, as in ``--backend NAME``.
        title: name for people.
        is_local: whether photos stay on this machine.
    """

    name: str
    title: str
    is_local: bool = False

    @abstractmethod
    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """Every face of a photo, largest first.

        Raises:
            ImageError: the picture cannot be used.
            BackendError: the service did not answer, or not as documented.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What answers, for reports: versions, host, and how its classes become ours."""

    def close(self) -> None:  # noqa: B027 - most backends hold nothing
        """Give back connections."""


def missing_sdk(backend: str, error: ImportError) -> MissingExtraError:
    """The error of a backend whose SDK is not installed, with the line that installs it."""
    return MissingExtraError(
        f"the backend {backend!r} needs the package {error.name!r}; install it with "
        "pip install 'shelly-local[cloud]', or in a checkout pip install -e '.[cloud]'"
    )


def garbled(service: str, error: Exception) -> BackendError:
    """The error of a service whose answer is cut off or not as documented."""
    reason = shortened(f"{type(error).__name__}: {error}")
    return BackendError(f"{service}'s answer was cut off or is not as documented ({reason}).")


def shortened(message: object) -> str:
    """A service's own words, on one line and not too many of them."""
    return " ".join(str(message)[: 2 * _LONGEST_MESSAGE].split())[:_LONGEST_MESSAGE]


def number(value: object, *, most: float | None = None) -> float:
    """A number of a service's answer.

    Args:
        value: what stands in its place.
        most: where the number lies between 0 and this, such as 1 or 100; None for any.

    Returns:
        The number; one that rounding put out of its range is at its end.

    Raises:
        ValueError: it is a text or anything else, NaN, infinite or out of its range.
    """
    low, high = (-sys.float_info.max, sys.float_info.max) if most is None else (0.0, most)
    room = 0.0 if most is None else most * _ROUNDING
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{shortened(repr(value))} where a number belongs")
    if not low - room <= value <= high + room:
        wanted = "a finite number" if most is None else f"a number from 0 to {most:g}"
        raise ValueError(f"{shortened(repr(value))} where {wanted} belongs")
    return min(max(float(value), low), high)


def prepared(photo: bytes, *, max_bytes: int, max_side: int) -> tuple[bytes, int, int]:
    """A photo that every service takes: upright JPEG or PNG below its limits, and without place.

    A photo that is so already goes unchanged; others are encoded anew, in memory, because
    services differ in what they do with EXIF orientation and in the formats they read, and need
    not know where a photo was taken.

    Args:
        photo: bytes of a picture file.
        max_bytes: largest file the service takes.
        max_side: longest side to send, in pixels.

    Returns:
        The bytes to send, and width and height of the upright photo in pixels.

    Raises:
        ImageError: the picture cannot be read.
    """
    decoded = decode(photo, max_side=max_side)
    with Image.open(io.BytesIO(photo)) as image:
        plain = image.format in ("JPEG", "PNG") and image.mode in ("RGB", "L")
        upright = image.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
        small = max(image.size) <= max_side and len(photo) <= max_bytes
        tells_place = _GPS in image.getexif()
    if plain and upright and small and not tells_place:
        return photo, decoded.width, decoded.height
    buffer = io.BytesIO()
    Image.fromarray(decoded.pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue(), decoded.width, decoded.height


def first_set(*names: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The first of these environment variables that is set and not blank."""
    return next((environment[name] for name in names if environment.get(name, "").strip()), None)

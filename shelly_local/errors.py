"""Every error that Shelly raises on purpose.

Each carries what a user needs to see (``str(error)``, one sentence that names the
value given and the values allowed) and what a program needs to decide (``code``, the
HTTP status that fits, and ``error_id``, a short constant).
"""

from __future__ import annotations


class ShellyError(Exception):
    """Base class: ``except ShellyError`` catches every expected failure.

    Attributes:
        code: HTTP status that fits the failure (400, 413, 500, ...).
        error_id: constant identifier for programs, such as ``"not_an_image"``.
        description: the sentence shown to people; the same as ``str(error)``.
    """

    code: int = 500
    error_id: str = "internal_error"

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description

    def as_dict(self) -> dict[str, object]:
        """``{"code", "description", "error_id"}``, as IBM's image errors have it."""
        return {"code": self.code, "description": self.description, "error_id": self.error_id}


class ImageError(ShellyError):
    """The picture cannot be used; the next one may be fine."""

    code = 400
    error_id = "input_error"


class NotAnImageError(ImageError):
    """The bytes are no picture in a supported format (a text file, an empty file)."""

    error_id = "not_an_image"


class TruncatedImageError(ImageError):
    """The picture begins well and then breaks off or is damaged."""

    error_id = "truncated_image"


class ImageTooSmallError(ImageError):
    """The picture has fewer pixels on a side than a face needs."""

    error_id = "image_too_small"


class FileTooLargeError(ImageError):
    """The file has more bytes than the limit."""

    code = 413
    error_id = "limit_exceeded"


class TooManyPixelsError(ImageError):
    """The picture has more pixels than the limit: a decompression bomb, or nearly."""

    code = 413
    error_id = "too_many_pixels"


class CostlyImageError(ImageError):
    """Decoding the picture would take much more time than its pixels warrant."""

    code = 413
    error_id = "too_costly"


class ImageUnreadableError(ImageError):
    """The file cannot be opened: it is missing, a folder, or not permitted."""

    code = 404
    error_id = "unreadable"


class MissingExtraError(ShellyError):
    """An optional dependency is needed; the message holds the line that installs it."""

    code = 501
    error_id = "missing_extra"


class MissingFormatError(MissingExtraError, ImageError):
    """The picture's format takes an optional dependency; photos of other formats are fine."""

    code = 415


class DataError(ShellyError):
    """A data set is missing, or not as expected; the message says what is missing."""

    code = 400
    error_id = "data_error"


class TrainingError(ShellyError):
    """Training cannot go on; the message says why and what to do."""

    code = 400
    error_id = "training_failed"


class ModelError(ShellyError):
    """A model directory is missing, damaged, or does not fit this version."""

    error_id = "model_error"


class BackendError(ShellyError):
    """A cloud did not answer; the vendor's error is in ``__cause__``.

    Attributes:
        code: 401 wrong or missing key, 429 throttled, 502 broken or out of reach,
            504 too slow.
    """

    code = 502
    error_id = "backend_error"

    def __init__(self, description: str, code: int = 502) -> None:
        super().__init__(description)
        self.code = code

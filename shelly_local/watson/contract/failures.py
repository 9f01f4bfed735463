"""IBM Watson Visual Recognition v3: the shapes of its errors, and of one image's entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from shelly_local.errors import (
    FileTooLargeError,
    ImageTooSmallError,
    NotAnImageError,
    ShellyError,
    TruncatedImageError,
)
from shelly_local.watson.contract.types import (
    ClassifiedImage,
    ClassifiedImages,
    ClassifierResult,
    ErrorInfo,
    ImageSource,
    WarningInfo,
)
from shelly_local.watson.responses import ApiException

# Clients of IBM's service recognise an error by how its text begins.
_BEGINNINGS: dict[type[ShellyError], str] = {
    ImageTooSmallError: "Image resolution is smaller than the minimum limit. ",
    FileTooLargeError: "File size limit exceeded. ",
}


#: What programs compare whole; the reason stands in a field of its own.
_WHOLE_TEXTS: dict[type[ShellyError], str] = dict.fromkeys(
    (NotAnImageError, TruncatedImageError),
    "Invalid/corrupted image data. Supported image file formats are GIF, JPEG, PNG, and TIFF. "
    "Supported compression format is ZIP.",
)


def request_error(description: str, code: int = 400) -> ApiException:
    """A request at fault as such: ``{"error": {"code", "description", "error_id"}}``."""
    error = ErrorInfo(code=code, description=description, error_id="input_error")
    return ApiException(code, message=description, body={"error": error})


def no_images_error() -> ApiException:
    """The error of a request with neither a file nor a url."""
    return request_error("No images were specified.")


def images_error(
    sources: Sequence[ImageSource], description: str, code: int = 400, reason: str = ""
) -> ApiException:
    """A request in which every image failed for one reason, in the shape of an answer."""
    error = ErrorInfo(code=code, description=description, error_id="input_error")
    if reason:
        error["reason"] = reason
    body = answer_body([image_entry(source, error=error) for source in sources], [])
    body["error"] = error
    return ApiException(code, message=told(error), body=body)


def not_found_error(description: str) -> ApiException:
    """What the path names is not there: ``{"code": 404, "error": text}``."""
    return ApiException(404, message=description, body={"code": 404, "error": description})


def error_info(error: ShellyError) -> ErrorInfo:
    """An error as IBM's JSON has it.

    The description begins with IBM's words where clients look for them. ``error_id`` is one
    of the two known of IBM's service: ``limit_exceeded`` for what is too large, otherwise
    ``input_error``.
    """
    if whole := _WHOLE_TEXTS.get(type(error)):
        return {
            "code": error.code,
            "description": whole,
            "error_id": "input_error",
            "reason": error.description,
        }
    info: ErrorInfo = {
        "code": error.code,
        "description": _BEGINNINGS.get(type(error), "") + error.description,
        "error_id": "limit_exceeded" if error.code == 413 else "input_error",
    }
    if reason := getattr(error, "reason", ""):
        info["reason"] = reason
    return info


def told(error: ErrorInfo) -> str:
    """An error as one text, for people: what programs compare, and the reason behind it."""
    reason = error.get("reason")
    return f"{error['description']} ({reason})" if reason else error["description"]


def answer_body(
    images: list[ClassifiedImage], warnings: list[WarningInfo], custom_classes: int = 0
) -> ClassifiedImages:
    """The outermost object of an answer."""
    body = ClassifiedImages(
        images=images, images_processed=len(images), custom_classes=custom_classes
    )
    if warnings:
        body["warnings"] = warnings
    return body


def image_entry(
    source: ImageSource,
    classifiers: Sequence[ClassifierResult] = (),
    error: ErrorInfo | None = None,
) -> ClassifiedImage:
    """One image's entry of an answer."""
    # Never without "classifiers": IBM's own Python models refuse such an entry.
    entry: ClassifiedImage = {"classifiers": list(classifiers)}
    if error:
        entry["error"] = error
    return cast(ClassifiedImage, entry | source)

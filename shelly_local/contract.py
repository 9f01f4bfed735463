"""IBM Watson Visual Recognition v3, ``classify``: the JSON of its answers, and its options.

Pure functions from values to values. They know nothing of HTTP or of files, so that the
Python call and a server answer alike. Field names, limits and error shapes are those of
IBM's v3 service, API version 2018-03-19.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from numbers import Real
from typing import TypedDict, cast

from shelly_local.detailed_response import ApiException
from shelly_local.errors import (
    FileTooLargeError,
    ImageTooSmallError,
    NotAnImageError,
    ShellyError,
    TruncatedImageError,
)
from shelly_local.results import PhotoEmotions

#: Id of the built-in classifier; its classes are ``shelly_local.results.CLASSES``.
EMOTION_ID = "emotion"
#: The id that answers when a request names neither a classifier nor an owner.
DEFAULT_ID = "default"
#: Scores below this are left out unless a request says otherwise (IBM's default).
DEFAULT_THRESHOLD = 0.5
#: IBM's scores have had three decimals since 2018.
SCORE_DECIMALS = 3
#: IBM's limits of one request: a picture, a zip of pictures, and the pictures in a zip.
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_ZIP_BYTES = 100 * 1024 * 1024
MAX_ZIP_IMAGES = 20

# Clients of IBM's service recognise an error by how its text begins.
_BEGINNINGS: dict[type[ShellyError], str] = {
    NotAnImageError: "Invalid/corrupted image data. ",
    TruncatedImageError: "Invalid/corrupted image data. ",
    ImageTooSmallError: "Image resolution is smaller than the minimum limit. ",
    FileTooLargeError: "File size limit exceeded. ",
}

#: ``{"class": name, "score": 0..1}``.
ClassScore = TypedDict("ClassScore", {"class": str, "score": float})


class ClassifierResult(TypedDict):
    """What one classifier says about one image; ``classes`` may be empty."""

    classifier_id: str
    name: str
    classes: list[ClassScore]


class ErrorInfo(TypedDict):
    """Why an image, or a request, failed; ``code`` is an HTTP status."""

    code: int
    description: str
    error_id: str


class WarningInfo(TypedDict):
    """A remark on an answer that is good nevertheless."""

    warning_id: str
    description: str


class ImageSource(TypedDict, total=False):
    """Where an image came from: an upload's name, or a url before and after redirects."""

    image: str
    source_url: str
    resolved_url: str


class ClassifiedImage(ImageSource, total=False):
    """One image of the answer; ``error`` only if it failed, ``classifiers`` is then empty."""

    error: ErrorInfo
    classifiers: list[ClassifierResult]


class _ClassifiedImages(TypedDict):
    images: list[ClassifiedImage]
    images_processed: int
    custom_classes: int


class ClassifiedImages(_ClassifiedImages, total=False):
    """The whole answer; ``warnings`` is absent when there is none."""

    warnings: list[WarningInfo]


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """One image of a request: where it came from, and what became of it."""

    source: ImageSource
    result: PhotoEmotions | ShellyError


def request_error(description: str, code: int = 400) -> ApiException:
    """A request at fault as such: ``{"error": {"code", "description", "error_id"}}``."""
    error = ErrorInfo(code=code, description=description, error_id="input_error")
    return ApiException(code, message=description, body={"error": error})


def no_images_error() -> ApiException:
    """The error of a request with neither a file nor a url."""
    return request_error("No images were specified.")


def images_error(sources: Sequence[ImageSource], description: str, code: int = 400) -> ApiException:
    """A request in which every image failed for one reason, in the shape of an answer."""
    error = ErrorInfo(code=code, description=description, error_id="input_error")
    body = _body([_entry(source, error=error) for source in sources], [])
    return ApiException(code, message=description, body=body)


def error_info(error: ShellyError) -> ErrorInfo:
    """An error as IBM's JSON has it.

    The description begins with IBM's words where clients look for them. ``error_id`` is one
    of the two known of IBM's service: ``limit_exceeded`` for what is too large, otherwise
    ``input_error``.
    """
    return {
        "code": error.code,
        "description": _BEGINNINGS.get(type(error), "") + error.description,
        "error_id": "limit_exceeded" if error.code == 413 else "input_error",
    }


def class_scores(photo: PhotoEmotions, threshold: float = DEFAULT_THRESHOLD) -> list[ClassScore]:
    """Classes of the photo's largest face with a score of at least ``threshold``, best first.

    The score is rounded before it is compared, so what is shown always agrees with the
    threshold. Without a face the list is empty.
    """
    if photo.largest is None:
        return []
    ranked = sorted(photo.largest.scores.items(), key=lambda item: -item[1])
    scores = ((name, round(float(score), SCORE_DECIMALS)) for name, score in ranked)
    return [{"class": name, "score": score} for name, score in scores if score >= threshold]


def photo_warnings(source: ImageSource, photo: PhotoEmotions) -> list[WarningInfo]:
    """``no_face`` or ``several_faces`` for a photo with other than one face."""
    name = source.get("image") or source.get("source_url") or "The image"
    if not photo.faces:
        text = f"{name}: no face was found, so there is no class to show."
        return [{"warning_id": "no_face", "description": text}]
    if len(photo.faces) > 1:
        text = f"{name}: {len(photo.faces)} faces were found; the scores are the largest one's."
        return [{"warning_id": "several_faces", "description": text}]
    return []


def limit_warning(found: int) -> WarningInfo:
    """The remark that only the first pictures of a zip were looked at."""
    text = f"The zip holds {found} images; only the first {MAX_ZIP_IMAGES} were classified."
    return {"warning_id": "limit_reached", "description": text}


def classified_images(
    outcomes: Sequence[ImageOutcome],
    classifier_ids: Sequence[str],
    threshold: float = DEFAULT_THRESHOLD,
    warnings: Iterable[WarningInfo] = (),
) -> ClassifiedImages:
    """The answer of ``classify``.

    Args:
        outcomes: one per image, in the order of the answer.
        classifier_ids: the ids asked for. Each gets an entry with the same classes, and is
            echoed as ``classifier_id`` and ``name``, so that a client finds what it asked for.
        threshold: 0 to 1, see :func:`class_scores`.
        warnings: remarks on the request; those on single photos are added here.

    Raises:
        ApiException: if every image failed. The code is that of the images if they agree,
            otherwise 400; ``body`` is the answer with its ``error`` entries.
    """
    images: list[ClassifiedImage] = []
    remarks = list(warnings)
    errors: list[ErrorInfo] = []
    for outcome in outcomes:
        if isinstance(outcome.result, ShellyError):
            errors.append(error_info(outcome.result))
            images.append(_entry(outcome.source, error=errors[-1]))
            continue
        classes = class_scores(outcome.result, threshold)
        results = [
            ClassifierResult(classifier_id=name, name=name, classes=[*classes])
            for name in classifier_ids
        ]
        images.append(_entry(outcome.source, results))
        remarks += photo_warnings(outcome.source, outcome.result)
    body = _body(images, remarks)
    if errors and len(errors) == len(outcomes):
        codes = {error["code"] for error in errors}
        code = codes.pop() if len(codes) == 1 else 400
        raise ApiException(code, message=errors[0]["description"], body=body)
    return body


def parse_version(value: str) -> date:
    """The date of the API version; any well-formed ``YYYY-MM-DD`` is fine.

    Raises:
        ApiException: 400, if it is missing or no date.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value)
    except (TypeError, ValueError):
        pass
    raise request_error(f"version must be a date as YYYY-MM-DD, such as 2018-03-19, got {value!r}.")


def parse_threshold(value: float | str | None) -> float:
    """The minimum score, 0 to 1; None or blank text is IBM's default of 0.5.

    Numbers may come as text, and with a decimal comma, as some of IBM's SDKs sent them.

    Raises:
        ApiException: 400, if it is no number or outside 0 to 1.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return DEFAULT_THRESHOLD
    number = math.nan
    if isinstance(value, str):
        # float() alone would also read "1_0" and "infinity".
        if re.fullmatch(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", value.strip(), re.A | re.I):
            number = float(value.replace(",", "."))
    elif isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not 0.0 <= number <= 1.0:
        raise request_error(f"threshold must be a number from 0.0 to 1.0, got {value!r}.")
    return number


def parse_list(value: str | Iterable[str] | None, name: str) -> list[str] | None:
    """A list as clients send it, without blanks and repetitions; None stays None.

    One text with commas, a JSON array as text, a sequence of texts, or a mixture of these.

    Args:
        value: what was sent.
        name: the option's name, for the error.

    Raises:
        ApiException: 400, if it holds anything but text.
    """
    if value is None:
        return None
    parts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(part, str) for part in parts):
        raise request_error(f"{name} must be text or a list of texts, got {value!r}.")
    items = (item.strip() for part in parts for item in _split(part))
    return list(dict.fromkeys(item for item in items if item))


def select_classifiers(
    classifier_ids: Sequence[str] | None,
    owners: Sequence[str] | None,
    known: Iterable[str],
    sources: Sequence[ImageSource],
) -> tuple[list[str], list[WarningInfo]]:
    """The ids that answer a request, and a warning about each id that is unknown.

    ``classifier_ids`` overrides ``owners``; with neither the answer is ``default``'s. The
    owner ``IBM`` stands for ``default``, the owner ``me`` for custom classifiers, of which
    there are none. Unknown ids beside known ones are left out with a warning.

    Args:
        classifier_ids: ids asked for, or None.
        owners: ``IBM`` and ``me`` in any case, or None.
        known: the ids that exist.
        sources: the images of the request, for the error's body.

    Raises:
        ApiException: 404 if no classifier is left, 400 if ``classifier_ids`` is empty or an
            owner is neither ``IBM`` nor ``me``.
    """
    if classifier_ids is not None:
        if not classifier_ids:
            text = "Invalid Request: provided vmodel-id header must be non-empty"
            raise images_error(sources, f"{text} (classifier_ids names no classifier).")
        known = list(dict.fromkeys(known))
        chosen = [name for name in classifier_ids if name in known]
        missing = [name for name in classifier_ids if name not in known]
        hint = f"known are: {', '.join(known)}."
        if not chosen:
            text = "None of the requested classifier ids were found"
            raise images_error(sources, f"{text}: {', '.join(missing)}; {hint}", 404)
        return chosen, [
            {"warning_id": "not_found", "description": f"Classifier {name} was not found; {hint}"}
            for name in missing
        ]
    for owner in owners or ():
        if owner.lower() not in ("ibm", "me"):
            raise request_error(f"owners may hold IBM and me, got {owner!r}.")
    if owners and all(owner.lower() == "me" for owner in owners):
        text = "No classifiers found: there are no custom classifiers; leave owners out or add IBM."
        raise images_error(sources, text, 404)
    return [DEFAULT_ID], []


def _body(images: list[ClassifiedImage], warnings: list[WarningInfo]) -> ClassifiedImages:
    body = ClassifiedImages(images=images, images_processed=len(images), custom_classes=0)
    if warnings:
        body["warnings"] = warnings
    return body


def _entry(
    source: ImageSource,
    classifiers: Sequence[ClassifierResult] = (),
    error: ErrorInfo | None = None,
) -> ClassifiedImage:
    # Never without "classifiers": IBM's own Python models refuse such an entry.
    entry: ClassifiedImage = {"classifiers": list(classifiers)}
    if error:
        entry["error"] = error
    return cast(ClassifiedImage, entry | source)


def _split(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            return text.split(",")
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return items
    return text.split(",")

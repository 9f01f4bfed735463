"""IBM Watson Visual Recognition v3: the JSON of its answers, and its options.

Pure functions from values to values. They know nothing of HTTP or of files, so that the
Python call and a server answer alike. Field names, limits and error shapes are those of
IBM's v3 service, API version 2018-03-19.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from shelly_local.errors import ShellyError
from shelly_local.results import PhotoEmotions
from shelly_local.watson.contract.failures import (
    answer_body,
    error_info,
    image_entry,
    told,
)
from shelly_local.watson.contract.types import (
    DEFAULT_THRESHOLD,
    MAX_ZIP_IMAGES,
    SCORE_DECIMALS,
    ClassifiedImage,
    ClassifiedImages,
    ClassifierResult,
    ClassScore,
    CustomEntry,
    DetectedFaces,
    ErrorInfo,
    FaceLocation,
    ImageOutcome,
    ImageSource,
    ImageWithFaces,
    WarningInfo,
)
from shelly_local.watson.responses import ApiException


def class_scores(photo: PhotoEmotions, threshold: float = DEFAULT_THRESHOLD) -> list[ClassScore]:
    """Classes of the photo's largest face with a score of at least ``threshold``, best first.

    The score is rounded before it is compared, so what is shown always agrees with the
    threshold. Without a face the list is empty.
    """
    return ranked_scores(photo.largest.scores if photo.largest else {}, threshold)


def ranked_scores(
    scores: Mapping[str, float], threshold: float = DEFAULT_THRESHOLD
) -> list[ClassScore]:
    """Scores as an answer has them: rounded, at least ``threshold``, best first."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    shown = ((name, round(float(score), SCORE_DECIMALS)) for name, score in ranked)
    return [{"class": name, "score": score} for name, score in shown if score >= threshold]


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
    custom: Mapping[str, CustomEntry] | None = None,
) -> ClassifiedImages:
    """The answer of ``classify``.

    Args:
        outcomes: one per image, in the order of the answer.
        classifier_ids: the ids asked for. A built-in one gets an entry with the seven
            classes, and is echoed as ``classifier_id`` and ``name``, so that a client finds
            what it asked for; a custom one has its own classes and name.
        threshold: 0 to 1, see :func:`class_scores`.
        warnings: remarks on the request; those on single photos are added here.
        custom: the custom classifiers by id. ``custom_classes`` is the number of classes
            of those asked for, whatever the threshold hides, as IBM's service had it.

    Raises:
        ApiException: if every image failed. The code is that of the images if they agree,
            otherwise 400; ``body`` is the answer with its ``error`` entries.
    """
    known = custom or {}
    entries = {name: known[name] for name in classifier_ids if name in known}
    images: list[ClassifiedImage] = []
    remarks = list(warnings)
    errors: list[ErrorInfo] = []
    for outcome in outcomes:
        if isinstance(outcome.result, ShellyError):
            errors.append(error_info(outcome.result))
            images.append(image_entry(outcome.source, error=errors[-1]))
            continue
        results = [
            ClassifierResult(
                classifier_id=classifier_id,
                name=entries[classifier_id].name if classifier_id in entries else classifier_id,
                classes=_classes(classifier_id, outcome, outcome.result, threshold, entries),
            )
            for classifier_id in classifier_ids
        ]
        images.append(image_entry(outcome.source, results))
        if not set(classifier_ids) <= set(outcome.general):  # some are about faces
            remarks += photo_warnings(outcome.source, outcome.result)
    custom_classes = sum(len(entry.classes) for entry in entries.values())
    body = answer_body(images, remarks, custom_classes)
    if errors and len(errors) == len(outcomes):
        codes = {error["code"] for error in errors}
        code = codes.pop() if len(codes) == 1 else 400
        body["error"] = errors[0]  # where the first SDKs look for a reason
        raise ApiException(code, message=told(errors[0]), body=body)
    return body


def _classes(
    classifier_id: str,
    outcome: ImageOutcome,
    photo: PhotoEmotions,
    threshold: float,
    custom: Mapping[str, CustomEntry],
) -> list[ClassScore]:
    """What one classifier says about one image."""
    if classifier_id in outcome.general:
        return [each for each in outcome.general[classifier_id] if each["score"] >= threshold]
    if classifier_id in custom:
        return ranked_scores(outcome.custom.get(classifier_id, {}), threshold)
    return class_scores(photo, threshold)


def detected_faces(
    outcomes: Sequence[ImageOutcome], warnings: Iterable[WarningInfo] = ()
) -> DetectedFaces:
    """The answer of ``detect_faces``.

    Args:
        outcomes: one per image, in the order of the answer.
        warnings: remarks on the request.

    Raises:
        ApiException: if every image failed, see :func:`classified_images`.
    """
    images: list[ImageWithFaces] = []
    errors: list[ErrorInfo] = []
    for outcome in outcomes:
        entry = ImageWithFaces(faces=[])
        if isinstance(outcome.result, ShellyError):
            errors.append(error_info(outcome.result))
            entry["error"] = errors[-1]
        else:
            photo = outcome.result
            entry["faces"] = [
                {"face_location": _location(each.face.box, photo.width, photo.height)}
                for each in photo.faces
            ]
        images.append(cast(ImageWithFaces, entry | outcome.source))
    body = DetectedFaces(images=images, images_processed=len(images))
    if remarks := list(warnings):
        body["warnings"] = remarks
    if errors and len(errors) == len(outcomes):
        codes = {error["code"] for error in errors}
        code = codes.pop() if len(codes) == 1 else 400
        raise ApiException(code, message=told(errors[0]), body={**body, "error": errors[0]})
    return body


def _location(box: Sequence[float], width: int, height: int) -> FaceLocation:
    """A box in whole pixels, cut at the edges of the picture."""
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    right, bottom = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
    return {
        "height": max(0, bottom - top),
        "left": min(left, width),
        "top": min(top, height),
        "width": max(0, right - left),
    }

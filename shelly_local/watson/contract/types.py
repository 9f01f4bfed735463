"""IBM Watson Visual Recognition v3: names, limits and the types of its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from shelly_local.errors import ShellyError
from shelly_local.results import PhotoEmotions

#: Id of the built-in classifier; its classes are ``shelly_local.results.CLASSES``.
EMOTION_ID = "emotion"
#: The id that answers when a request names neither a classifier nor an owner.
DEFAULT_ID = "default"
#: The ids of what IBM had for things: tags of anything, and food.
FOOD_ID = "food"
#: What ``default`` may mean.
DEFAULTS = ("general", "emotion")
#: Scores below this are left out unless a request says otherwise (IBM's default).
DEFAULT_THRESHOLD = 0.5
#: IBM's scores have had three decimals since 2018.
SCORE_DECIMALS = 3
#: IBM's limits of one request: a picture, a zip of pictures, and the pictures in a zip.
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_ZIP_BYTES = 100 * 1024 * 1024
MAX_ZIP_IMAGES = 20

_ClassScore = TypedDict("_ClassScore", {"class": str, "score": float})


class ClassScore(_ClassScore, total=False):
    """``{"class": name, "score": 0..1}``, of things with ``/wider class/.../name``."""

    type_hierarchy: str


class ClassifierResult(TypedDict):
    """What one classifier says about one image; ``classes`` may be empty."""

    classifier_id: str
    name: str
    classes: list[ClassScore]


class _ErrorInfo(TypedDict):
    code: int
    description: str
    error_id: str


class ErrorInfo(_ErrorInfo, total=False):
    """Why an image, or a request, failed; ``code`` is an HTTP status.

    ``reason`` says more where ``description`` is IBM's text, which programs compare whole.
    """

    reason: str


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


class FaceLocation(TypedDict):
    """A box in whole pixels, inside the picture."""

    height: int
    left: int
    top: int
    width: int


class DetectedFace(TypedDict):
    """A face; IBM's optional ``age`` and ``gender`` are never guessed."""

    face_location: FaceLocation


class ImageWithFaces(ImageSource, total=False):
    """One image of an answer of ``detect_faces``."""

    error: ErrorInfo
    faces: list[DetectedFace]


class DetectedFaces(TypedDict, total=False):
    """The whole answer of ``detect_faces``."""

    images: list[ImageWithFaces]
    images_processed: int
    warnings: list[WarningInfo]


class _ClassifiedImages(TypedDict):
    images: list[ClassifiedImage]
    images_processed: int
    custom_classes: int


class ClassifiedImages(_ClassifiedImages, total=False):
    """The whole answer; no ``warnings`` without any, ``error`` if every image failed."""

    warnings: list[WarningInfo]
    error: ErrorInfo


#: ``{"class": name}``, a class of a custom classifier.
ClassName = TypedDict("ClassName", {"class": str})


class _Classifier(TypedDict):
    classifier_id: str
    name: str


class Classifier(_Classifier, total=False):
    """A custom classifier; a brief list has ``status`` beside the two required fields.

    ``status`` is ``training``, ``ready``, ``retraining`` or ``failed``; times are UTC with
    milliseconds, as ``2018-03-17T19:01:30.536Z``.
    """

    owner: str
    status: str
    core_ml_enabled: bool
    explanation: str
    created: str
    classes: list[ClassName]
    retrained: str
    updated: str


class Classifiers(TypedDict):
    """The custom classifiers there are."""

    classifiers: list[Classifier]


@dataclass(frozen=True, slots=True)
class CustomEntry:
    """What an answer of ``classify`` needs to know of a custom classifier.

    Attributes:
        name: its name.
        classes: the names of its classes.
        waiting: why it cannot answer, as the end of a sentence; empty if it can.
    """

    name: str
    classes: tuple[str, ...] = ()
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """One image of a request: where it came from, and what became of it.

    Attributes:
        source: where it came from.
        result: the faces in it, or why it failed.
        custom: for each custom classifier asked, the score of each class for the largest
            face, 0 to 1; empty where there is no face.
        general: what ``default`` and ``food`` say, by id, best first.
    """

    source: ImageSource
    result: PhotoEmotions | ShellyError
    custom: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    general: Mapping[str, Sequence[ClassScore]] = field(default_factory=dict)

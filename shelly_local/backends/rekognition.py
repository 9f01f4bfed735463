"""Amazon Rekognition, ``DetectFaces`` with emotions.

Credentials and region come from where AWS's tools look for them: environment variables,
``~/.aws``, or the role of the machine. ``AWS_ENDPOINT_URL`` leads the SDK elsewhere.
https://docs.aws.amazon.com/rekognition/latest/APIReference/API_DetectFaces.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shelly_local.backends.base import (
    ATTEMPTS,
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    Backend,
    BackendError,
    garbled,
    missing_sdk,
    number,
    prepared,
    shortened,
)
from shelly_local.errors import ImageError
from shelly_local.results import Face, FaceEmotion, PhotoEmotions

try:
    import boto3
    import botocore
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectTimeoutError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ReadTimeoutError,
    )
except ImportError as error:
    raise missing_sdk("rekognition", error) from error

#: Amazon's types and our classes. CONFUSED and UNKNOWN are none of the seven: they stay
#: without an answer rather than be counted for a class that nobody named.
MAPPING = {
    "ANGRY": "anger",
    "DISGUSTED": "disgust",
    "FEAR": "fear",
    "HAPPY": "happiness",
    "CALM": "neutral",
    "SAD": "sadness",
    "SURPRISED": "surprise",
}
#: Limits of a picture sent as bytes, and a side beyond which only the upload grows.
MAX_BYTES, MAX_SIDE = 5 * 2**20, 4096
_THROTTLED = {
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "TooManyRequestsException",
}
_KEY = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "UnrecognizedClientException",
}
_PICTURE = {"ImageTooLargeException", "InvalidImageFormatException", "InvalidParameterException"}


class RekognitionBackend(Backend):
    """Amazon Rekognition.

    Args:
        connect_timeout, read_timeout: seconds.
        attempts: tries in all, with exponential back-off and jitter between them.
        client: an SDK client to use instead of making one.

    Raises:
        BackendError: no region is set.
    """

    name = "rekognition"
    title = "Amazon Rekognition"

    def __init__(
        self,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        attempts: int = ATTEMPTS,
        client: Any = None,
    ) -> None:
        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        try:
            self._client = client or boto3.client("rekognition", config=config)
        except NoRegionError as error:
            raise BackendError(
                "Amazon Rekognition needs a region: set AWS_DEFAULT_REGION, such as eu-west-1.",
                401,
            ) from error
        except BotoCoreError as error:
            raise BackendError(f"Amazon Rekognition cannot be set up: {error}", 401) from error

    @staticmethod
    def is_configured() -> bool:
        """Whether the SDK finds credentials and a region, without asking anybody."""
        try:
            session = boto3.Session()
            return bool(session.region_name) and session.get_credentials() is not None
        except BotoCoreError:  # a profile that is not there
            return False

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """See :class:`Backend`."""
        data, width, height = prepared(photo, max_bytes=MAX_BYTES, max_side=MAX_SIDE)
        try:
            answer = self._client.detect_faces(
                Image={"Bytes": data}, Attributes=["DEFAULT", "EMOTIONS"]
            )
        except ClientError as error:
            raise _translated(error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise BackendError(f"Amazon Rekognition found no credentials: {error}", 401) from error
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise BackendError("Amazon Rekognition did not answer in time.", 504) from error
        except BotoCoreError as error:
            raise BackendError(f"Amazon Rekognition cannot be reached: {error}") from error
        except Exception as error:  # what is no answer breaks the SDK in many ways
            raise garbled(self.title, error) from error
        try:
            faces = [_face(detail, width, height) for detail in answer["FaceDetails"]]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise garbled(self.title, error) from error
        faces.sort(key=lambda one: one.face.area, reverse=True)
        return PhotoEmotions(width=width, height=height, faces=tuple(faces))

    def describe(self) -> dict[str, Any]:
        """See :class:`Backend`."""
        return {
            "title": self.title,
            "boto3": boto3.__version__,
            "botocore": botocore.__version__,
            "host": urlsplit(self._client.meta.endpoint_url).hostname,
            "region": self._client.meta.region_name,
            "mapping": MAPPING | {"CONFUSED": None, "UNKNOWN": None},
        }

    def close(self) -> None:
        """See :class:`Backend`."""
        self._client.close()


def _face(detail: dict[str, Any], width: int, height: int) -> FaceEmotion:
    box = {name: number(detail["BoundingBox"][name]) for name in ("Left", "Top", "Width", "Height")}
    x0, y0 = box["Left"] * width, box["Top"] * height
    points = {
        mark["Type"]: (number(mark["X"]) * width, number(mark["Y"]) * height)
        for mark in detail.get("Landmarks", [])
    }
    scores = dict.fromkeys(MAPPING.values(), 0.0)
    emotions = [(e["Type"], number(e["Confidence"], most=100)) for e in detail.get("Emotions", [])]
    # Confidences are percentages of all types; they sum to 100, so the rest is no answer.
    total = max(sum(confidence for _, confidence in emotions), 100.0)
    for kind, confidence in emotions:
        if kind in MAPPING:
            scores[MAPPING[kind]] += confidence / total
    return FaceEmotion(
        Face(
            box=(x0, y0, x0 + box["Width"] * width, y0 + box["Height"] * height),
            landmarks=_landmarks(points),
            confidence=number(detail["Confidence"], most=100) / 100,
        ),
        scores,
    )


def _landmarks(points: dict[str, tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Our five, ordered by where they lie: "left" is the viewer's with us."""
    if not {"eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight"} <= points.keys():
        return ()
    eyes = sorted((points["eyeLeft"], points["eyeRight"]))
    mouth = sorted((points["mouthLeft"], points["mouthRight"]))
    return (*eyes, points["nose"], *mouth)


def _translated(error: ClientError) -> BackendError | ImageError:
    code = shortened(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 502)
    if code in _THROTTLED or status == 429:
        return BackendError("Amazon Rekognition is throttling; try again later.", 429)
    if code in _KEY or status in (401, 403):
        return BackendError(f"Amazon Rekognition refused the credentials ({code}).", 401)
    if code in _PICTURE:
        return ImageError(f"Amazon Rekognition cannot use the picture ({code}).")
    return BackendError(f"Amazon Rekognition failed ({code or status}).")

"""Google Cloud Vision, face detection.

Credentials are Google's application default credentials. ``SHELLY_GOOGLE_ENDPOINT`` names
another endpoint, such as a regional or private one.
https://cloud.google.com/vision/docs/reference/rest/v1/AnnotateImageResponse#FaceAnnotation
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from shelly_local.backends.base import (
    ATTEMPTS,
    READ_TIMEOUT,
    Backend,
    BackendError,
    first_set,
    garbled,
    missing_sdk,
    number,
    prepared,
    shortened,
)
from shelly_local.errors import ImageError
from shelly_local.results import CLASSES, Face, FaceEmotion, PhotoEmotions

try:
    import requests
    from google.api_core import exceptions
    from google.api_core.retry import Retry
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from google.cloud import vision
except ImportError as error:
    raise missing_sdk("google", error) from error

#: Google's four moods and our classes. It has no word for disgust, fear and neutral: a face
#: with none of the four stays without an answer, and is not taken for neutral.
MAPPING = {
    "joy_likelihood": "happiness",
    "sorrow_likelihood": "sadness",
    "anger_likelihood": "anger",
    "surprise_likelihood": "surprise",
}
#: Likelihood words as numbers. Google gives none; these are spaced evenly, and POSSIBLE is
#: the first that is at least as likely as not. UNKNOWN and VERY_UNLIKELY count nothing.
LIKELIHOODS = {
    "VERY_LIKELY": 1.0,
    "LIKELY": 0.75,
    "POSSIBLE": 0.5,
    "UNLIKELY": 0.25,
    "VERY_UNLIKELY": 0.0,
    "UNKNOWN": 0.0,
}
#: Google takes 20 MB, in base64; a larger side than this only makes the upload longer.
MAX_BYTES, MAX_SIDE = 10 * 2**20, 4096
MAX_FACES = 100
DEFAULT_ENDPOINT = "vision.googleapis.com"
#: Seconds before the second try, which double with every further one up to a limit; drawn
#: at random below these, so that programs that were throttled together do not come back so.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
#: What may be over in a moment: throttling, a broken service, a broken connection.
_TRANSIENT = (
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
)
_MARKS = ("LEFT_EYE", "RIGHT_EYE", "NOSE_TIP", "MOUTH_LEFT", "MOUTH_RIGHT")


class GoogleBackend(Backend):
    """Google Cloud Vision.

    Args:
        endpoint: host, or address with scheme; by default ``SHELLY_GOOGLE_ENDPOINT``, else
            Google's. To an ``http://`` address no credentials are sent.
        read_timeout: seconds of one try.
        attempts: tries in all, with exponential back-off and jitter between them.

    Raises:
        BackendError: no credentials are found.
    """

    name = "google"
    title = "Google Cloud Vision"

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        read_timeout: float = READ_TIMEOUT,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._endpoint = endpoint or first_set("SHELLY_GOOGLE_ENDPOINT") or DEFAULT_ENDPOINT
        self._timeout = read_timeout
        self._attempts = attempts
        anonymous: Callable[[], Any] = AnonymousCredentials
        credentials = anonymous() if self._endpoint.startswith("http://") else None
        try:
            self._client = vision.ImageAnnotatorClient(
                transport="rest",
                credentials=credentials,
                client_options={"api_endpoint": self._endpoint},
            )
        except DefaultCredentialsError as error:
            raise BackendError(
                "Google Cloud Vision found no credentials: set GOOGLE_APPLICATION_CREDENTIALS, "
                "or run gcloud auth application-default login.",
                401,
            ) from error

    @staticmethod
    def is_configured() -> bool:
        """Whether a file of credentials is named, or another endpoint."""
        return first_set("GOOGLE_APPLICATION_CREDENTIALS", "SHELLY_GOOGLE_ENDPOINT") is not None

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """See :class:`Backend`."""
        data, width, height = prepared(photo, max_bytes=MAX_BYTES, max_side=MAX_SIDE)
        try:
            answer = self._client.face_detection(
                image=vision.Image(content=data), max_results=MAX_FACES,
                retry=_retry(self._attempts), timeout=self._timeout,
            )  # fmt: skip
        except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
            raise _translated(error) from error
        except Exception as error:  # what is no answer breaks the SDK in many ways
            raise garbled(self.title, error) from error
        if answer.error.code:
            reason = shortened(answer.error.message)
            raise ImageError(f"Google Cloud Vision cannot use the picture: {reason}")
        try:
            faces = [_face(annotation) for annotation in answer.face_annotations]
        except (AttributeError, TypeError, ValueError) as error:
            raise garbled(self.title, error) from error
        faces.sort(key=lambda one: one.face.area, reverse=True)
        return PhotoEmotions(width=width, height=height, faces=tuple(faces))

    def describe(self) -> dict[str, Any]:
        """See :class:`Backend`."""
        missing = sorted(set(CLASSES) - set(MAPPING.values()))
        return {
            "title": self.title,
            "google-cloud-vision": vision.__version__,
            "host": self._endpoint.split("//")[-1].split(":")[0],
            "mapping": MAPPING | dict.fromkeys(missing),
            "likelihoods": LIKELIHOODS,
        }

    def close(self) -> None:
        """See :class:`Backend`."""
        transport: Any = self._client.transport
        transport.close()


def _retry(attempts: int) -> Retry:
    """For one call: Google's SDK bounds tries by time, which a slow service would use up."""
    tries = count(1)

    def again(error: BaseException) -> bool:
        return isinstance(error, _TRANSIENT) and next(tries) < attempts

    return Retry(predicate=again, initial=FIRST_PAUSE, maximum=LONGEST_PAUSE, timeout=None)


def _face(annotation: Any) -> FaceEmotion:
    corners = [(vertex.x, vertex.y) for vertex in annotation.bounding_poly.vertices]
    if not corners:
        raise ValueError("a face without a box")
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    points = {mark.type_.name: (mark.position.x, mark.position.y) for mark in annotation.landmarks}
    marks: tuple[tuple[float, float], ...] = ()
    if set(_MARKS) <= points.keys():
        left, right, nose, mouth_left, mouth_right = (points[name] for name in _MARKS)
        # Ordered by where they lie: "left" is the viewer's with us.
        marks = (*sorted((left, right)), nose, *sorted((mouth_left, mouth_right)))
    scores = dict.fromkeys(CLASSES, 0.0)
    for field, name in MAPPING.items():
        scores[name] = LIKELIHOODS.get(getattr(annotation, field).name, 0.0)
    # Four independent words: where they add up to more than one they share it.
    total = max(sum(scores.values()), 1.0)
    return FaceEmotion(
        Face(
            box=(min(xs), min(ys), max(max(xs), min(xs) + 1), max(max(ys), min(ys) + 1)),
            landmarks=marks,
            confidence=number(annotation.detection_confidence, most=1),
        ),
        {name: score / total for name, score in scores.items()},
    )


def _translated(error: Exception) -> BackendError | ImageError:
    if isinstance(error, exceptions.InvalidArgument | exceptions.BadRequest):
        return ImageError(f"Google Cloud Vision cannot use the picture: {shortened(error.message)}")
    if isinstance(error, exceptions.TooManyRequests):
        return BackendError("Google Cloud Vision is throttling; try again later.", 429)
    if isinstance(error, TransportError):  # on the way to the keys, not to the service
        return BackendError("Google's server of credentials cannot be reached.")
    refused = (exceptions.Unauthorized, exceptions.Forbidden, GoogleAuthError)
    if isinstance(error, refused):
        return BackendError("Google Cloud Vision refused the credentials.", 401)
    slow = (requests.Timeout, exceptions.GatewayTimeout, exceptions.DeadlineExceeded)
    if isinstance(error, slow):
        return BackendError("Google Cloud Vision did not answer in time.", 504)
    if isinstance(error, exceptions.GoogleAPICallError):
        return BackendError(f"Google Cloud Vision failed ({error.code}).")
    return BackendError(f"Google Cloud Vision cannot be reached ({type(error).__name__}).")

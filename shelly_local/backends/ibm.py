"""Any server that speaks Watson Visual Recognition v3, through IBM's own SDK.

IBM's service ended in December 2021; another Shelly server or an archive proxy speaks its
language. Address and key are where IBM's SDK looks for them: ``VISUAL_RECOGNITION_URL``,
``VISUAL_RECOGNITION_APIKEY``, ``VISUAL_RECOGNITION_AUTH_TYPE`` or a credentials file.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout, suppress
from typing import Any
from urllib.parse import urlsplit

from shelly_local.backends.base import (
    ATTEMPTS,
    CONNECT_TIMEOUT,
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
    import ibm_watson
    import requests
    from ibm_cloud_sdk_core import ApiException, get_authenticator_from_environment
    from ibm_cloud_sdk_core.authenticators import Authenticator, NoAuthAuthenticator
    from urllib3.exceptions import ReadTimeoutError
except ImportError as error:
    raise missing_sdk("ibm", error) from error

VERSION = "2018-03-19"
SERVICE = "visual_recognition"
#: Scores of all classes: the SDK drops a threshold that is false in Python, such as 0.0.
EVERY_CLASS = "0.0"
#: IBM's limit of a picture, and a side beyond which only the upload grows.
MAX_BYTES, MAX_SIDE = 10 * 2**20, 4096
#: Seconds between two tries, at most; pauses double from one second.
LONGEST_PAUSE = 8.0


class IbmBackend(Backend):
    """A Watson-compatible server.

    Answers have no box: the face is the whole photo. Watson's scores are one-versus-rest;
    where they sum above 1 they are divided by their sum.

    Args:
        url: address of the service; by default ``VISUAL_RECOGNITION_URL``.
        classifier_id: which classifier; by default ``SHELLY_IBM_CLASSIFIER_ID``, else the
            service's default one.
        authenticator: of IBM's SDK; by default that of the environment, else none.
        connect_timeout, read_timeout: seconds.
        attempts: tries in all when throttled or broken, with back-off.

    Raises:
        BackendError: no address is set.
    """

    name = "ibm"
    title = "IBM Watson Visual Recognition"

    def __init__(
        self,
        *,
        url: str | None = None,
        classifier_id: str | None = None,
        authenticator: Authenticator | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        attempts: int = ATTEMPTS,
    ) -> None:
        try:
            authenticator = (
                authenticator
                or get_authenticator_from_environment(SERVICE)
                or NoAuthAuthenticator()
            )
            # The SDK prints that IBM's service has ended, which would mix with our results.
            with redirect_stdout(io.StringIO()):
                self._service = ibm_watson.VisualRecognitionV3(VERSION, authenticator=authenticator)
            if url:
                self._service.set_service_url(url)
        except ValueError as error:
            raise BackendError(
                f"the IBM backend cannot be set up: {error} A server without keys needs "
                "VISUAL_RECOGNITION_AUTH_TYPE=noauth.",
                401,
            ) from error
        address = self._service.service_url or ""
        if address == ibm_watson.VisualRecognitionV3.DEFAULT_SERVICE_URL:
            raise BackendError(
                "IBM's own service ended in 2021: set VISUAL_RECOGNITION_URL to a server that "
                "speaks its language.",
                401,
            )
        self._host = urlsplit(address).hostname
        self.title = f"Watson Visual Recognition at {self._host}"  # IBM is not who gets the photos
        self._service.set_http_config({"timeout": (connect_timeout, read_timeout)})
        if attempts > 1:
            self._service.enable_retries(max_retries=attempts - 1, retry_interval=LONGEST_PAUSE)
            # Else the last answer, which says what is wrong, is lost in "too many of them".
            self._service.retry_config.raise_on_status = False
        self._classifier_id = classifier_id or first_set("SHELLY_IBM_CLASSIFIER_ID")

    @staticmethod
    def is_configured() -> bool:
        """Whether an address is set."""
        return first_set("VISUAL_RECOGNITION_URL") is not None

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """See :class:`Backend`."""
        data, width, height = prepared(photo, max_bytes=MAX_BYTES, max_side=MAX_SIDE)
        ids = [self._classifier_id] if self._classifier_id else None
        try:
            answer = self._service.classify(
                images_file=io.BytesIO(data), images_filename="photo.jpg",
                threshold=EVERY_CLASS, classifier_ids=ids,
            ).get_result()  # fmt: skip
        except ApiException as error:
            raise _translated(error) from error
        except requests.RequestException as error:
            if _was_late(error):
                raise BackendError(f"{self._host} did not answer in time.", 504) from error
            reason = type(error).__name__
            raise BackendError(f"{self._host} cannot be reached ({reason}).") from error
        except Exception as error:  # what is no answer breaks the SDK in many ways
            raise garbled(str(self._host), error) from error
        try:
            (image,) = answer["images"]
            if "error" in image:
                raise ImageError(shortened(image["error"]["description"]))
            shown = [entry for one in image["classifiers"] for entry in one["classes"]]
            scores = {str(one["class"]): number(one["score"], most=1) for one in shown}
        except (KeyError, TypeError, ValueError) as error:
            raise garbled(str(self._host), error) from error
        return PhotoEmotions(width, height, _faces(scores, width, height))

    def describe(self) -> dict[str, Any]:
        """See :class:`Backend`."""
        return {
            "title": self.title,
            "ibm-watson": ibm_watson.__version__,
            "host": self._host,
            "classifier_id": self._classifier_id,
            "mapping": {name: name for name in CLASSES},
            "scores": "one-versus-rest; divided by their sum where it is above 1",
        }


def _faces(scores: dict[str, float], width: int, height: int) -> tuple[FaceEmotion, ...]:
    """One face as large as the photo; none where no class of ours has a score."""
    ours = {name: scores.get(name, 0.0) for name in CLASSES}
    if not any(ours.values()):
        return ()
    total = max(sum(ours.values()), 1.0)
    whole = Face(box=(0.0, 0.0, float(width), float(height)), landmarks=(), confidence=1.0)
    return (FaceEmotion(whole, {name: score / total for name, score in ours.items()}),)


def _was_late(error: requests.RequestException) -> bool:
    """Whether time ran out, also in the last of several tries, which is then the reason."""
    reasons = [error, *(getattr(argument, "reason", None) for argument in error.args)]
    return any(isinstance(reason, requests.Timeout | ReadTimeoutError) for reason in reasons)


def _words(error: ApiException) -> str:
    """What the service says is wrong; Watson has it in places where the SDK does not look."""
    message = error.message
    with suppress(AttributeError, IndexError, KeyError, TypeError, ValueError):
        body = error.http_response.json()
        message = (body if "error" in body else body["images"][0])["error"]["description"]
    return shortened(message)


def _translated(error: ApiException) -> BackendError | ImageError:
    code = int(getattr(error, "status_code", None) or 502)
    address = str(getattr(error.http_response, "url", "") or "")
    asked_for_a_token = not urlsplit(address).path.endswith("/v3/classify")
    # Services that give tokens answer 400 to a key that they do not know.
    if code in (401, 403) or (code == 400 and asked_for_a_token):
        return BackendError(f"the service refused the key ({code}).", 401)
    message = _words(error)
    if code == 429:
        return BackendError("the service is throttling; try again later.", 429)
    if code in (400, 413):
        return ImageError(f"the service cannot use the picture: {message}")
    return BackendError(f"the service failed ({code}): {message}")

"""Every failure as JSON: ``{"message": code, "description": sentence}``.

The shape and the code ``bad-type`` are those of the first Shelly (2019), so that a page
written for her works.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, Response, current_app, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shelly_local.errors import (
    BackendError,
    CostlyImageError,
    FileTooLargeError,
    ImageError,
    ImageTooSmallError,
    MissingExtraError,
    TooManyPixelsError,
)
from shelly_local.http.gate import BusyError
from shelly_local.vision.images import MAX_FILE_BYTES

GENERAL_ERROR = "Something went wrong inside Shelly. Please try again."
TOO_LARGE = (
    f"That photo is too large for me: I can take pictures of up to {MAX_FILE_BYTES // 2**20} MiB. "
    "A smaller copy will do."
)

#: Answers to the codes of a `BackendError`; any other is "backend-failed".
_BACKEND_PROBLEMS = {
    401: (HTTPStatus.BAD_GATEWAY, "backend-key"),
    403: (HTTPStatus.BAD_GATEWAY, "backend-key"),
    429: (HTTPStatus.TOO_MANY_REQUESTS, "backend-throttled"),
    504: (HTTPStatus.GATEWAY_TIMEOUT, "backend-slow"),
}


class Problem(Exception):  # noqa: N818 - it is the caller's problem, not always an error
    """A request that cannot be answered, and what to say about it.

    Args:
        status: the HTTP status.
        message: a short constant for programs, such as ``"no-face"``.
        description: one sentence or two for people.
    """

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        description: str,
    ) -> None:
        super().__init__(description)
        self.status = status
        self.message = message
        self.description = description


def register(app: Flask) -> None:
    """Let the application answer all failures in JSON."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(BusyError, _busy)
    app.register_error_handler(ImageError, _unusable_picture)
    app.register_error_handler(MissingExtraError, _unusable_picture)
    app.register_error_handler(BackendError, _backend_failure)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)


def _answer(status: int, message: str, description: str) -> Response:
    response = jsonify(message=message, description=description)
    response.status_code = status
    return response


def _problem(problem: Problem) -> ResponseReturnValue:
    return _answer(problem.status, problem.message, problem.description)


def _busy(error: BusyError) -> ResponseReturnValue:
    answer = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "busy", error.description)
    answer.headers["Retry-After"] = str(error.retry_after)  # RFC 9110, section 10.2.3
    return answer


def _backend_failure(error: BackendError) -> ResponseReturnValue:
    """A cloud's failure; its key is ours, so a wrong one is not the client's 401."""
    status, message = _BACKEND_PROBLEMS.get(error.code, (HTTPStatus.BAD_GATEWAY, "backend-failed"))
    return _answer(status, message, error.description)


def _unusable_picture(error: ImageError | MissingExtraError) -> ResponseReturnValue:
    """A picture format that needs an optional package is as unreadable as any other."""
    if isinstance(error, (FileTooLargeError, TooManyPixelsError, CostlyImageError)):
        return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", error.description)
    message = "too-small" if isinstance(error, ImageTooSmallError) else "bad-image"
    return _answer(HTTPStatus.BAD_REQUEST, message, error.description)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    """Errors of HTTP itself, such as 404; the code is the reason phrase in lower case."""
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _answer(error.code, "too-large", TOO_LARGE)
    if error.code is None or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "general-error", GENERAL_ERROR)
    answer = _answer(
        error.code, error.name.lower().replace(" ", "-"), error.description or error.name
    )
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.allow.update(error.valid_methods)  # RFC 9110, section 15.5.6
    return answer


def _fault(error: Exception) -> ResponseReturnValue:
    """A defect of ours: the traceback goes to the log, nothing of it to the client."""
    current_app.logger.error("Unexpected failure while answering", exc_info=error)
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "general-error", GENERAL_ERROR)

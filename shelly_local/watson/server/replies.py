"""Answers as IBM's service gave them: JSON, its four shapes of errors, and its headers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shelly_local.errors import ShellyError
from shelly_local.http.bodies import RETRY_AFTER, BodiesFullError
from shelly_local.http.gate import BusyError
from shelly_local.watson.contract.failures import not_found_error, request_error
from shelly_local.watson.responses import ApiException
from shelly_local.watson.server.access import GuessedTooOftenError

#: Cross-origin resource sharing, which IBM's service had since API version 2018-03-19. No
#: cookie is ever asked for, so any page may read what it can ask without the user's secrets.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Watson-Authorization-Token, "
    "X-Watson-Learning-Opt-Out, X-Watson-Metadata, X-Watson-Test, X-IBMCloud-SDK-Analytics, "
    "X-Shelly-Learn-From",
    "Access-Control-Expose-Headers": "X-Global-Transaction-Id, Retry-After",
    "Access-Control-Max-Age": "600",
}

#: What a client is told of a failure here, by status; the log has the rest.
_OWN_TEXTS = {
    500: "Internal error: the model or the folder of custom classifiers cannot be used.",
    503: "The server is stopping. Please try again in a moment.",
    507: "The folder of custom classifiers cannot be written: its disk is full or read-only.",
}


def register(app: Flask) -> None:
    """Complete every answer of the application, and turn every failure into one."""
    app.after_request(_add_headers)
    app.register_error_handler(ApiException, _api_error)
    app.register_error_handler(BusyError, _busy)
    app.register_error_handler(BodiesFullError, _full)
    app.register_error_handler(GuessedTooOftenError, _guessed)
    app.register_error_handler(ShellyError, _own_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)


def answer(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer; names are in the order of the contract, text is UTF-8."""
    try:
        text = json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can name and UTF-8 cannot
        text = json.dumps(body).encode()
    return Response(text, status=status, content_type="application/json")


def flat_error(code: int, text: str) -> ApiException:
    """``{"code", "error"}``, the one shape whose text every SDK shows."""
    return ApiException(code, message=text, body={"code": code, "error": text})


def no_such_path() -> ApiException:
    """The error of an address that is none of version 3."""
    path = request.path[:120]
    if path.startswith("/v4/"):
        return not_found_error(
            f"Resource not found: {path}. This server speaks version 3; version 4, object "
            "detection, is another service."
        )
    return not_found_error(f"Resource not found: {path}")


def _add_headers(response: Response) -> Response:
    response.headers.update(CORS)
    response.headers["X-Global-Transaction-Id"] = uuid.uuid4().hex
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def _api_error(error: ApiException) -> Response:
    response = answer(error.body, error.code)
    if error.code == 401:
        # Required beside 401 (RFC 9110, section 15.5.2).
        response.headers["WWW-Authenticate"] = 'Basic realm="Shelly", Bearer'
    return response


def _busy(error: BusyError) -> Response:
    response = _api_error(request_error(error.description, 503))
    response.headers["Retry-After"] = str(error.retry_after)  # RFC 9110, section 10.2.3
    return response


def _own_error(error: ShellyError) -> Response:
    """The model or the data folder cannot be used, in words that name no folder of this machine."""
    current_app.logger.error("Cannot answer: %s", error.description)
    code = error.code if error.code in _OWN_TEXTS else 500
    return _api_error(flat_error(code, _OWN_TEXTS[code]))


def _full(error: BodiesFullError) -> Response:
    response = _api_error(request_error(error.description, error.code))
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def _guessed(error: GuessedTooOftenError) -> Response:
    response = _api_error(flat_error(error.code, error.description))
    response.headers["Retry-After"] = "1"
    return response


def _http_error(error: HTTPException) -> Response:
    code = error.code or 500
    if code >= 500:
        return _fault(error)
    missing = code == 404
    response = _api_error(
        no_such_path() if missing else flat_error(code, error.description or error.name)
    )
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.allow.update(error.valid_methods)  # RFC 9110, section 15.5.6
    return response


def _fault(error: Exception) -> Response:
    """A defect of ours: the traceback goes to the log, nothing of it to the client."""
    current_app.logger.error("Unexpected failure while answering", exc_info=error)
    return _api_error(flat_error(500, "Internal error performing classification"))

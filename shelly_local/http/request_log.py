"""One line per request on standard error: who asked is not in it, nor what was seen."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timezone
from typing import Any

from flask import Flask, Response, g, request

FORMATS = ("text", "json")
#: A longer path is no path of ours.
MAX_PATH = 120

logger = logging.getLogger("shelly.requests")
server_logger = logging.getLogger("waitress")
library_logger = logging.getLogger("shelly_local")


class TextFormatter(logging.Formatter):
    """``2026-11-24T12:00:00.123Z POST /advice 200 61.3 ms 4096 bytes``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; control characters of a path are escaped, so that it stays one.

        A defect is written with its traceback, which takes several.
        """
        entry = _entry(record)
        if "method" not in entry:
            return super().format(record)
        path = entry["path"].encode("unicode_escape").decode("ascii").replace(" ", "\\x20")
        return (
            f"{entry['time']} {entry['method']} {path} {entry['status']} "
            f"{entry['ms']} ms {entry['bytes']} bytes"
        )


class JsonFormatter(logging.Formatter):
    """The same as one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """``{"time", "method", "path", "status", "ms", "bytes"}``.

        A defect is ``{"time", "level", "message"}`` with its ``traceback``.
        """
        return json.dumps(_entry(record))


def register(app: Flask, log_format: str | None) -> None:
    """Log each request of an application.

    Args:
        app: the application.
        log_format: ``"text"``, ``"json"``, or None to log nothing.

    Raises:
        ValueError: there is no such format.
    """
    # What Waitress tells of clients that went away or of a full queue is nobody's business, and
    # what goes wrong inside it is told as everything else is.
    server_logger.setLevel(logging.ERROR)
    if log_format is None:
        return
    if log_format not in FORMATS:
        raise ValueError(f"the log format must be one of {', '.join(FORMATS)}; got {log_format!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if log_format == "text" else JsonFormatter())
    logger.handlers[:] = [handler]
    for each in (app.logger, server_logger, library_logger):
        each.handlers[:] = [handler]
        each.propagate = False
    logger.setLevel(logging.INFO)
    logger.propagate = False
    app.before_request(_start)
    app.after_request(_finish)


def _start() -> None:
    g.request_start = time.perf_counter()


def _finish(response: Response) -> Response:
    start = g.get("request_start")
    entry: dict[str, Any] = {
        "method": request.method,
        "path": request.path[:MAX_PATH],  # without the query string
        "status": response.status_code,
        "ms": round(1000 * (time.perf_counter() - start), 1) if start is not None else 0.0,
        "bytes": response.calculate_content_length() or 0,
    }
    logger.info("request", extra={"entry": entry})
    return response


def _entry(record: logging.LogRecord) -> dict[str, Any]:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    written = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if "entry" in record.__dict__:
        return {"time": written, **record.__dict__["entry"]}
    defect: dict[str, Any] = {"level": record.levelname, "message": record.getMessage()}
    if record.exc_info:
        defect["traceback"] = logging.Formatter().formatException(record.exc_info)
    return {"time": written, **defect}

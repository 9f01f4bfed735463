"""Text files of the page go out compressed: a third of the bytes over weak wireless."""

from __future__ import annotations

import functools
import gzip

from flask import Flask, Response, request

#: Media types that shrink; fonts (WOFF2) and pictures are compressed already.
COMPRESSED_TYPES = frozenset(
    {
        *("text/html", "text/css", "text/javascript", "application/javascript"),
        *("image/svg+xml", "application/manifest+json"),
    }
)
#: A smaller body fits one packet either way, in bytes.
LEAST_BYTES = 1024


def register(app: Flask) -> None:
    """Compress the page and its files; never an answer about a photo, which has a JSON type."""
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if response.mimetype not in COMPRESSED_TYPES or response.status_code != 200:
        return response
    response.vary.add("Accept-Encoding")
    if request.method != "GET" or not request.accept_encodings["gzip"]:
        return response
    response.direct_passthrough = False  # reads the file
    data = response.get_data()
    if len(data) < LEAST_BYTES:
        return response
    response.set_data(_gzipped(data))
    response.headers["Content-Encoding"] = "gzip"
    etag, _ = response.get_etag()
    if etag is not None:
        response.set_etag(etag, weak=True)  # the same file in other bytes (RFC 9110, 8.8.1)
    return response


@functools.lru_cache(maxsize=64)  # the page has fewer files
def _gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)

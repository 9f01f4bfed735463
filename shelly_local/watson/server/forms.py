"""What clients of IBM's service send: multipart forms in all their dialects, and queries.

No part is ever written to disk, and none is judged by its file name or type: some clients send
pictures without a file name, others JSON as text and text as JSON.
"""

from __future__ import annotations

import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from shelly_local.http.bodies import Body
from shelly_local.vision.images import identify
from shelly_local.watson.contract.failures import request_error
from shelly_local.watson.contract.options import parse_json
from shelly_local.watson.contract.types import MAX_ZIP_BYTES
from shelly_local.watson.responses import ApiException

#: Bytes of the form around files.
_FORM_BYTES = 2 * 1024 * 1024
#: Most bytes of a body, unpacked: of a call that trains (IBM's limit), of one that classifies, and
#: of any other, which holds a few short texts.
MAX_TRAINING_BYTES = 256 * 1024 * 1024 + _FORM_BYTES
MAX_CLASSIFY_BYTES = MAX_ZIP_BYTES + _FORM_BYTES
MAX_SMALL_BYTES = 256 * 1024
#: Most bytes of an urlencoded form, which takes a hundred times as many to read.
MAX_URLENCODED_BYTES = 256 * 1024
#: Parts of a form: a class is one, and a classifier has far fewer than this.
MAX_PARTS = 1_000
#: Longest value that is no file, in bytes, and all values of one field together.
MAX_TEXT_BYTES = 64 * 1024
#: Longest headers of a part, in bytes: its name and its file name are there.
MAX_PART_HEADER_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
#: Bytes by which a picture is known.
_HEAD_BYTES = 64
#: What a backslash escapes inside quotes, or one that escapes nothing.
_BACKSLASH = re.compile(r'\\["\\]|\\')
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form.

    Attributes:
        name: the field.
        data: its bytes.
        filename: as it was sent; None if there is none.
    """

    name: str
    data: bytes
    filename: str | None = None

    @property
    def text(self) -> str:
        """The bytes as text.

        Raises:
            ApiException: 400, if they are too many for a value, or no UTF-8.
        """
        if len(self.data) > MAX_TEXT_BYTES:
            raise request_error(
                f"{self.name} is too long: {len(self.data)} bytes, of {MAX_TEXT_BYTES} allowed."
            )
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise request_error(f"{self.name} is no UTF-8 text.") from error


@dataclass(frozen=True, slots=True)
class Form:
    """A request's fields: parts of its body, and its query.

    Attributes:
        parts: in the order they came.
        query: what stands in the address.
    """

    parts: Sequence[Part] = ()
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def files(self, name: str) -> list[Part]:
        """Parts that hold a file, whether they have a file name or not.

        An empty part without a name is how a web page sends "no file".
        """
        parts = (part for part in self.parts if part.name == name)
        return [part for part in parts if part.data or part.filename]

    def values(self, name: str) -> list[str] | None:
        """All values of a field: of the body if it is there, else of the query.

        Raises:
            ApiException: 400, if one is no text, or all are too long together.
        """
        sent = [part.text for part in self.parts if part.name == name]
        values = sent or list(self.query.get(name, ()))
        if (size := sum(map(len, values))) > MAX_TEXT_BYTES:
            raise request_error(f"{name} is too long: {size} signs, of {MAX_TEXT_BYTES} allowed.")
        return values or None

    def value(self, name: str) -> str | None:
        """The last value of a field.

        Raises:
            ApiException: 400, if it is no text.
        """
        values = self.values(name)
        return values[-1] if values else None


def read_form(request: Request, limit: int) -> Form:
    """The fields of a request.

    Args:
        request: whose body was not read.
        limit: most bytes of its body, unpacked.

    Raises:
        BodiesFullError: the bodies of all requests are too large together.
        ApiException: 400 for a body that cannot be read, 413 for one that is too large.
    """
    query = dict(request.args.lists())
    content_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    content_type = content_type.lower()  # media types ignore case (RFC 9110, section 8.3.1)
    if content_type == _MULTIPART:
        boundary = options.get("boundary", "").encode("ascii", "replace")
        if not boundary:
            raise request_error("The multipart form has no boundary.")
        return Form(tuple(_multipart(_chunks(request, limit), boundary)), query)
    if content_type == _FORM:
        pieces = _chunks(request, limit)
        first = next(pieces, b"")
        if _is_picture(first):  # as IBM's SDK for Unity sent it
            return _raw(first, pieces, query)
        body = first
        for piece in pieces:
            body += piece
            if len(body) > MAX_URLENCODED_BYTES:
                raise too_large(MAX_URLENCODED_BYTES)
        fields: MultiDict[str, str] = MultiDict(_urlencoded(body))
        parts = [Part(name, value.encode()) for name, value in fields.items(multi=True)]
        return Form(parts, query)
    pieces = _chunks(request, limit)
    first = next(pieces, b"")
    if _is_picture(first):
        return _raw(first, pieces, query)
    for chunk in chain([first], pieces):
        if chunk.strip():
            raise request_error(
                f"The body must be {_MULTIPART}, got {content_type or 'no Content-Type'!r}.", 415
            )
    return Form((), query)


def _is_picture(beginning: bytes) -> bool:
    return beginning.startswith(b"PK") or identify(beginning[:_HEAD_BYTES]) is not None


def _raw(first: bytes, rest: Iterable[bytes], query: Mapping[str, Sequence[str]]) -> Form:
    """A body that is a picture or a zip by itself."""
    data = io.BytesIO()
    for piece in chain([first], rest):
        data.write(piece)
        if data.tell() > MAX_ZIP_BYTES + _CHUNK_BYTES:
            raise too_large(MAX_ZIP_BYTES, "'images_file'")
    return Form((Part("images_file", data.getvalue()),), query)


def old_parameters(form: Form) -> dict[str, Any]:
    """The JSON object in the field ``parameters``, as clients sent before April 2018.

    Returns:
        Its ``url``, ``classifier_ids``, ``owners`` and ``threshold``, those that are there.

    Raises:
        ApiException: 400, if it is no JSON object.
    """
    text = form.value("parameters")
    if text is None or not text.strip():
        return {}
    try:
        found = parse_json(text)
    except ValueError as error:
        raise request_error(f"parameters is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise request_error(f"parameters must be a JSON object, got {text[:40]!r}.")
    names = ("url", "classifier_ids", "owners", "threshold")
    return {name: found[name] for name in names if found.get(name) is not None}


class _Decoder(MultipartDecoder):
    """Werkzeug's, which takes header lines in UTF-8 only."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        try:
            return super()._parse_headers(data)
        except UnicodeDecodeError:  # programs on Windows send file names as they are there
            return super()._parse_headers(data.decode("cp1252", "replace").encode())


def _multipart(chunks: Iterable[bytes], boundary: bytes) -> Iterator[Part]:
    # What Werkzeug holds back is a header, or the end of a piece that may begin a boundary.
    held = MAX_PART_HEADER_BYTES + _CHUNK_BYTES
    decoder = _Decoder(boundary, held, max_parts=MAX_PARTS)
    name, filename, data = "", None, io.BytesIO()
    try:
        for chunk in chain(chunks, [None]):
            decoder.receive_data(chunk)
            event = decoder.next_event()
            while not isinstance(event, NeedData | Epilogue):
                if isinstance(event, Field | File):
                    name, filename = _names(event)
                elif isinstance(event, Data):
                    data.write(event.data)
                    if data.tell() > MAX_ZIP_BYTES + _CHUNK_BYTES:
                        raise too_large(MAX_ZIP_BYTES, f"{name[:80]!r}")
                    if not event.more_data:
                        # What BytesIO holds, without a copy.
                        yield Part(name, data.getvalue(), filename)
                        data = io.BytesIO()
                event = decoder.next_event()
            if isinstance(event, Epilogue):
                return
    except (ValueError, LookupError, HTTPException) as error:
        if isinstance(error, HTTPException) and error.code == 413:
            raise request_error(
                f"The form has more than {MAX_PARTS} parts, or one whose headers have more than "
                f"{MAX_PART_HEADER_BYTES} bytes.",
                413,
            ) from error
        raise request_error("The multipart form is damaged or cut off.") from error


def _names(event: Field | File) -> tuple[str, str | None]:
    """Name and file name of a part, with the backslashes that clients send.

    Some escape quotes and backslashes by another one; most send a backslash as it is, as browsers
    do, and Werkzeug drops these.
    """
    disposition = event.headers.get("Content-Disposition", "")
    whole = _BACKSLASH.sub(lambda found: found[0] if found[0] != "\\" else "\\\\", disposition)
    _, options = parse_options_header(whole)
    return options.get("name", ""), options.get("filename")


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_PARTS)
    except ValueError as error:
        raise request_error("The form is damaged.") from error


def _chunks(request: Request, limit: int) -> Iterator[bytes]:
    """The body in pieces, unpacked if it is compressed (RFC 9110, section 8.4)."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip"):
        raise request_error(f"Content-Encoding must be gzip or identity, got {coding!r}.", 415)
    stream = request.environ["wsgi.input"]
    total = 0
    # Bit 4 stands for a gzip header (zlib's manual, inflateInit2).
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if coding == "gzip" else None
    length = request.environ.get("CONTENT_LENGTH")
    # Waitress tells the length of a chunked body, other servers only that its end is known.
    chunked = bool(not length and request.environ.get("HTTP_TRANSFER_ENCODING"))
    left = sys.maxsize if chunked else int(length or 0)
    while left > 0 and (raw := stream.read(min(_CHUNK_BYTES, left))):
        left -= len(raw)
        for piece in _inflated(inflater, raw) if inflater else (raw,):
            total += len(piece)
            if total > limit:
                raise too_large(limit)
            if inflater and isinstance(stream, Body):
                stream.reserve(len(piece))
            yield piece
    if (left > 0 and not chunked) or (inflater and total and not inflater.eof):
        raise request_error("The body was cut off.")


def _inflated(inflater: Any, raw: bytes) -> Iterator[bytes]:
    """Pieces of bounded size, however much a few bytes stand for."""
    try:
        while raw:
            yield inflater.decompress(raw, _CHUNK_BYTES)
            raw = inflater.unconsumed_tail
    except zlib.error as error:
        raise request_error("The body is no gzip data.") from error


def too_large(limit: int, what: str = "This request") -> ApiException:
    """The error of what has more bytes than its limit."""
    shown = f"{limit >> 20} MB" if limit >> 20 else f"{limit >> 10} kB"
    return request_error(f"File size limit exceeded. {what} may have {shown}.", 413)

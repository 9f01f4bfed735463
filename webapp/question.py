"""What a request asks: the fields of ``POST /advice`` and ``GET /advice``, checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import json

from .advice import DEFAULT_LANGUAGE, LANGUAGES
from .problems import Problem

#: A line's id has few digits; longer numbers are nonsense, and slow to read in bulk.
_MAX_DIGITS = 6
#: Commas, brackets and braces of a question's JSON: it has a dozen, and each may stand for an
#: object of a hundred bytes.
_MAX_SIGNS = 100


@dataclass(frozen=True)
class Question:
    """A photo and what to say about it.

    Attributes:
        picture: the bytes of the picture file.
        backend: name of the backend asked for; None for the default.
        language: of the advice, one of ``LANGUAGES``.
        after: id of the line of advice read last; None for none.
        crops: whether to answer with the faces as the model saw them.
        live: whether this is a frame of a camera, which needs no advice.
    """

    picture: bytes
    backend: str | None
    language: str
    after: int | None
    crops: bool
    live: bool


def read_question(body: bytes) -> Question:
    """The question in a JSON body, whatever its Content-Type says.

    Raises:
        Problem: there is no picture in it, or a field has an unusable value.
    """
    fields = None
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) <= _MAX_SIGNS:
        with suppress(ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
            fields = json.loads(body)
    image = fields.get("image") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(image, str):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "missing-image",
            'I got no photo. Send JSON such as {"image": "data:image/jpeg;base64,..."}.',
        )
    return Question(
        picture=_picture(image),
        backend=_backend(fields.get("backend")),
        language=read_language(fields.get("language")),
        after=_after(fields.get("after")),
        crops=_flag(fields, "crops"),
        live=_flag(fields, "live"),
    )


def read_language(value: object) -> str:
    """A language of the advice; English when none is asked for.

    Raises:
        Problem: there is no advice in this language.
    """
    if value is None:
        return DEFAULT_LANGUAGE
    if value not in LANGUAGES:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "unknown-language",
            f"language must be one of {', '.join(LANGUAGES)}; got {_shown(value)}.",
        )
    return str(value)


def read_after(text: str | None) -> int | None:
    """The id of the line read last, as written in an address.

    Raises:
        Problem: it is not a whole number of 0 or more.
    """
    if text is None or text == "":
        return None
    plain = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return _after(int(text) if plain else text)


def _after(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _bad_field("after", "a whole number of 0 or more", value)
    return value


def _backend(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _bad_field("backend", "the name of a backend", value)
    return value or None


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise _bad_field(name, "true or false", value)
    return bool(value)


def _bad_field(name: str, allowed: str, value: object) -> Problem:
    description = f"{name} must be {allowed}; got {_shown(value)}."
    return Problem(HTTPStatus.BAD_REQUEST, "bad-field", description)


def _shown(value: object) -> str:
    """Enough of a value to recognise it."""
    return ascii(value) if isinstance(value, (int, str)) and len(str(value)) <= 40 else "another"


def _picture(data_url: str) -> bytes:
    """The bytes of the picture inside a data URL (RFC 2397)."""
    if not data_url.isascii():  # and so takes up to four times its size
        raise _garbled()
    header, comma, data = data_url.partition(",")
    header = header.lower()
    if "image" not in header:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-type",
            f"That file is not a picture: its data URL begins with {header[:40]!r} "
            "and should begin with 'data:image/'.",
        )
    try:
        if not (comma and header.endswith(";base64")):
            raise binascii.Error("the data URL does not announce base64")
        return base64.b64decode("".join(data.split()), validate=True)
    except ValueError as error:  # binascii.Error is one
        raise _garbled() from error


def _garbled() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "bad-encoding",
        "That photo arrived garbled: I expected 'data:image/...;base64,' followed by base64.",
    )

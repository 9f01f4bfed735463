"""Names around custom classifiers: of classes, classifiers and customers; ids and headers."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from shelly_local.watson.contract.failures import request_error

#: Signs that IBM forbids in class names.
FORBIDDEN_SIGNS = "$*-{}\\|/'\"`[]"
#: Longest name of a class, a classifier or a customer, in characters.
MAX_NAME = 256
#: IBM cut the readable part of an id here.
MAX_PREFIX = 30
#: What clients of IBM look for in an error of create and update.
LEARNING_ERROR = "Cannot execute learning task. : "

_CLASSIFIER_ID = re.compile(r"[A-Za-z0-9_-]{1,30}_[0-9]{1,10}", re.ASCII)
# IBM's numbers had nine or ten digits and were below 2**31.
_LEAST_NUMBER, _MOST_NUMBER = 100_000_000, 2**31


#: What a training may be told to learn from; the first decides by the pictures.
WAYS = ("auto", "faces", "pictures", "both")


@dataclass(frozen=True, slots=True)
class TrainingHeaders:
    """What request headers say about the pictures of a training call.

    Attributes:
        learning_opt_out: keep nothing of the pictures.
        customer_id: whose data they are; None if nothing is said.
        learn_from: one of ``WAYS``.
    """

    learning_opt_out: bool = False
    customer_id: str | None = None
    learn_from: str = "auto"


def training_headers(headers: Mapping[str, object] | None) -> TrainingHeaders:
    """Read ``X-Watson-Learning-Opt-Out``, ``X-Watson-Metadata: customer_id=...`` and ours.

    Args:
        headers: names in any case; None is none.

    Raises:
        ApiException: 400, if the opt-out is neither true nor false, or the customer id is
            empty or too long, as taking such a header for "no" would keep what must not be kept;
            or ``X-Shelly-Learn-From`` is none of ``WAYS``.
    """
    given = {name.lower(): str(value).strip() for name, value in (headers or {}).items()}
    opt_out = given.get("x-watson-learning-opt-out", "").lower()
    if opt_out not in ("", "0", "1", "false", "true"):
        raise request_error(
            f"X-Watson-Learning-Opt-Out must be true, 1, false or 0, got {opt_out!r}."
        )
    customer_id = None
    for part in given.get("x-watson-metadata", "").split(";"):
        key, found, value = part.partition("=")
        if found and key.strip().lower() == "customer_id":
            customer_id = checked_customer_id(unquote(value.strip()))
    way = given.get("x-shelly-learn-from", "").lower() or WAYS[0]
    if way not in WAYS:
        raise request_error(f"X-Shelly-Learn-From must be one of {', '.join(WAYS)}; got {way!r}.")
    return TrainingHeaders(opt_out in ("1", "true"), customer_id, way)


def checked_customer_id(customer_id: str) -> str:
    """The id itself.

    Raises:
        ApiException: 400, if it is empty, too long, or has control characters.
    """
    return _checked(customer_id, "customer_id")


def checked_name(name: str) -> str:
    """The name of a classifier itself.

    Raises:
        ApiException: 400, if it is empty, too long, or has control characters.
    """
    return _checked(name, "name", LEARNING_ERROR)


def checked_class(name: str) -> str:
    """The name of a class itself.

    Raises:
        ApiException: 400, if it is empty, too long, or has a forbidden sign.
    """
    _checked(name, "a class name", LEARNING_ERROR)
    if found := sorted(set(name) & set(FORBIDDEN_SIGNS)):
        raise request_error(
            f"{LEARNING_ERROR}The class name {name!r} has {' '.join(found)}; class names must not "
            f"contain any of {' '.join(FORBIDDEN_SIGNS)}"
        )
    return name


def _checked(value: object, what: str, beginning: str = "") -> str:
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > MAX_NAME
        # Control characters, and surrogates that no file can hold.
        or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value)
    ):
        shown = repr(value) if len(repr(value)) <= MAX_NAME else f"{repr(value)[:40]}…"
        raise request_error(
            f"{beginning}{what} must be text of 1 to {MAX_NAME} characters without control "
            f"characters, got {shown}."
        )
    return value


def new_classifier_id(name: str) -> str:
    """An id as IBM's were: ``<prefix>_<number>``.

    The prefix is the name without blanks and signs, at most 30 characters; letters,
    digits, underscores and hyphens stay. Accents are dropped; a name without any Latin
    letter or digit gives ``classifier``.
    """
    plain = unicodedata.normalize("NFKD", name)
    prefix = re.sub(r"[^A-Za-z0-9_-]", "", plain)[:MAX_PREFIX]
    # A prefix of hyphens alone would look like an option on a command line.
    prefix = prefix.lstrip("-") or "classifier"
    number = _LEAST_NUMBER + secrets.randbelow(_MOST_NUMBER - _LEAST_NUMBER)
    return f"{prefix}_{number}"


def is_classifier_id(text: object) -> bool:
    """Whether the text could be an id; all others, such as paths, never touch the disk."""
    return isinstance(text, str) and _CLASSIFIER_ID.fullmatch(text) is not None

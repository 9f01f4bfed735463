"""IBM Watson Visual Recognition v3: the options of its calls, as clients send them."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from numbers import Real

from shelly_local.watson.contract.failures import images_error, request_error
from shelly_local.watson.contract.types import (
    DEFAULT_ID,
    DEFAULT_THRESHOLD,
    CustomEntry,
    ImageSource,
    WarningInfo,
)

#: Names in one list of a request: no program asks for a tenth of them.
MAX_LIST = 1_000
#: Names that a message lists before it says how many more there are.
_SHOWN_NAMES = 20
#: Signs of a name that a message shows; ids have fewer.
_SHOWN_SIGNS = 160


def parse_version(value: str) -> date:
    """The date of the API version; any well-formed ``YYYY-MM-DD`` is fine.

    Raises:
        ApiException: 400, if it is missing or no date.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value)
    except (TypeError, ValueError):
        pass
    raise request_error(f"version must be a date as YYYY-MM-DD, such as 2018-03-19, got {value!r}.")


def parse_threshold(value: float | str | None) -> float:
    """The minimum score, 0 to 1; None or blank text is IBM's default of 0.5.

    Numbers may come as text, and with a decimal comma, as some of IBM's SDKs sent them.

    Raises:
        ApiException: 400, if it is no number or outside 0 to 1.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return DEFAULT_THRESHOLD
    number = math.nan
    if isinstance(value, str):
        # float() alone would also read "1_0" and "infinity".
        if re.fullmatch(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", value.strip(), re.A | re.I):
            number = float(value.replace(",", "."))
    elif isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not 0.0 <= number <= 1.0:
        raise request_error(f"threshold must be a number from 0.0 to 1.0, got {value!r}.")
    return number


def parse_list(value: str | Iterable[str] | None, name: str) -> list[str] | None:
    """A list as clients send it, without blanks and repetitions; None stays None.

    One text with commas, a JSON array as text, a sequence of texts, or a mixture of these.

    Args:
        value: what was sent.
        name: the option's name, for the error.

    Raises:
        ApiException: 400, if it holds anything but text.
    """
    if value is None:
        return None
    parts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(part, str) for part in parts):
        raise request_error(f"{name} must be text or a list of texts, got {value!r}.")
    items = (item.strip() for part in parts for item in _split(part))
    found = list(dict.fromkeys(item for item in items if item))
    if len(found) > MAX_LIST:
        raise request_error(f"{name} names {len(found)} things; at most {MAX_LIST} are allowed.")
    return found


def parse_json(text: str) -> object:
    """A JSON text as a client sends it.

    Raises:
        ValueError: it is no JSON, or nested without end.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def select_classifiers(
    classifier_ids: Sequence[str] | None,
    owners: Sequence[str] | None,
    known: Iterable[str],
    sources: Sequence[ImageSource],
    custom: Mapping[str, CustomEntry] | None = None,
) -> tuple[list[str], list[WarningInfo]]:
    """The ids that answer a request, and a warning about each id that cannot.

    ``classifier_ids`` overrides ``owners``; with neither the answer is ``default``'s. The
    owner ``IBM`` stands for ``default``, the owner ``me`` for all custom classifiers that
    can answer. Ids that are unknown, or of a custom classifier that is not trained, are left
    out with a warning beside others.

    Args:
        classifier_ids: ids asked for, or None.
        owners: ``IBM`` and ``me`` in any case, or None.
        known: the built-in ids.
        sources: the images of the request, for the error's body.
        custom: the custom classifiers by id.

    Raises:
        ApiException: 404 if no classifier is left, 400 if ``classifier_ids`` is empty or an
            owner is neither ``IBM`` nor ``me``.
    """
    custom = custom or {}
    ready = [name for name, entry in custom.items() if not entry.waiting]
    if classifier_ids is not None:
        if not classifier_ids:
            text = "Invalid Request: provided vmodel-id header must be non-empty"
            raise images_error(sources, f"{text} (classifier_ids names no classifier).")
        answering = list(dict.fromkeys([*known, *ready]))
        chosen = [name for name in classifier_ids if name in answering]
        missing = [name for name in classifier_ids if name not in answering]
        hint = f"known are: {_listed(answering)}."
        waiting = [
            f"Classifier {name} {custom[name].waiting}" for name in missing if name in custom
        ]
        if not chosen:
            text = f"None of the requested classifier ids were found: {_listed(missing)}; {hint}"
            if "explicit" in missing:
                waiting.append("explicit is not here: nothing on this machine can tell.")
            raise images_error(sources, " ".join([text, *waiting]), 404)
        remarks = [
            f"Classifier {name[:_SHOWN_SIGNS]} was not found; {hint}"
            for name in missing
            if name not in custom
        ]
        return chosen, [
            {"warning_id": "not_found", "description": text} for text in [*remarks, *waiting]
        ]
    kinds = {owner.lower() for owner in owners or ()}
    for owner in owners or ():
        if owner.lower() not in ("ibm", "me"):
            raise request_error(f"owners may hold IBM and me, got {owner[:_SHOWN_SIGNS]!r}.")
    chosen = [DEFAULT_ID] if "ibm" in kinds or not kinds else []
    if "me" in kinds:
        chosen += ready
    if not chosen:
        reason = "No custom classifier is ready; leave owners out or add IBM."
        raise images_error(sources, "No classifiers found", 404, reason)
    return chosen, []


def _listed(names: Sequence[str]) -> str:
    """Names with commas, the first of many."""
    shown = ", ".join(name[:_SHOWN_SIGNS] for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _split(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            items = parse_json(text)
        except ValueError:
            return text.split(",")
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return items
    return text.split(",")

"""What MUG's folder and file names say: who, which emotion, which take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shelly_local.results import CLASSES

#: Letters after ``takeNNN`` that are kept by default; ``training.mug`` says why.
DEFAULT_SUFFIXES = frozenset({"nsg"})
#: Among suffixes, stands for all of them.
ALL_SUFFIXES = "all"
#: Default and help of the command-line option.
SUFFIXES_OPTION: dict[str, Any] = {
    "default": DEFAULT_SUFFIXES,
    "help": "letters after takeNNN of the takes to keep beside the plain ones, such as nsg,end, "
    "or all; empty for none. Default: nsg, which are a third of the takes of fear and none of "
    "happiness; end, a fiftieth of all takes, may lack the apex",
}

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
)
#: Letters of the emotions in the names of MUG's ``manual`` part.
SHORT_EMOTIONS = {name[:2]: name for name in CLASSES}
TAKE = re.compile(r"take[0-9]+(?P<suffix>.*)", re.IGNORECASE)
SESSION = re.compile(r"session[0-9]+", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+")
NAMED = re.compile(
    r"(?P<subject>[0-9]+)_(?P<emotion>" + "|".join(CLASSES) + r")_"
    r"(?:(?P<session>session[0-9]+)_)?(?P<take>take[0-9]+[^_]*)?.*",
    re.IGNORECASE,
)
MANUAL = re.compile(
    r"(?P<subject>[0-9]+)_(?P<emotion>" + "|".join(SHORT_EMOTIONS) + r")_(?P<take>[0-9]+)_[0-9]+",
    re.IGNORECASE,
)


def is_emotion(part: str) -> bool:
    """Whether a folder is named after a class."""
    return part.casefold() in CLASSES


def emotion_in(parts: Sequence[str]) -> str | None:
    """The class of the nearest folder named after one."""
    return next((part.casefold() for part in reversed(parts) if is_emotion(part)), None)


def emotion_of_name(stem: str) -> str | None:
    """The class that a file's own name tells."""
    if named := NAMED.fullmatch(stem):
        return named["emotion"].casefold()
    manual = MANUAL.fullmatch(stem)
    return SHORT_EMOTIONS[manual["emotion"].casefold()] if manual else None


def subject_in(parts: Sequence[str]) -> str | None:
    """The person of the nearest numbered folder."""
    return next((padded(part) for part in reversed(parts) if NUMBER.fullmatch(part)), None)


def subject_of_root(root: Path) -> str | None:
    """The person whose own folder, or session in it, was given as root."""
    root = root.resolve()
    name = root.parent.name if SESSION.fullmatch(root.name) else root.name
    return padded(name) if NUMBER.fullmatch(name) else None


def below_subject(parts: Sequence[str]) -> list[str]:
    """The folders below that of the person, without that of the emotion."""
    numbers = [position for position, part in enumerate(parts) if NUMBER.fullmatch(part)]
    return [part for part in parts[numbers[-1] + 1 if numbers else 0 :] if not is_emotion(part)]


def padded(number: str) -> str:
    """MUG's people have three digits."""
    return f"{int(number):03d}"


def natural_order(name: str) -> list[int | str]:
    """Sorts ``img_2`` before ``img_10``."""
    return [
        int(part) if position % 2 else part.casefold()
        for position, part in enumerate(re.split(r"([0-9]+)", name))
    ]


def parse_suffixes(text: str) -> frozenset[str]:
    """``"nsg,end"`` as a set; an empty text keeps plain takes only."""
    return frozenset(part.strip().casefold() for part in text.split(",") if part.strip())

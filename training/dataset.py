"""What an index of pictures holds: people, their takes, and the frames of each take."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelly_local.results import CLASSES


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: a file, or a member of a zip.

    Attributes:
        path: the file, or the zip file.
        member: name inside the zip; None for a file.
    """

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The name of the file; of a member, with that of the zip."""
        return self.path.name if self.member is None else f"{self.path.name}/{self.member}"

    @property
    def label(self) -> str:
        """How reports call it: the end of its path, which in MUG names person and take."""
        return "/".join(self.path.parts[-4:]) if self.member is None else self.name

    def read(self) -> bytes:
        """The bytes of the picture file.

        Raises:
            OSError: the file cannot be read.
            zipfile.BadZipFile, KeyError: the zip is damaged.
        """
        if self.member is None:
            return self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(self.member)


@dataclass(frozen=True, slots=True)
class Take:
    """One recording of one person showing one expression.

    Attributes:
        subject: who; nobody may be in two parts of a split.
        emotion: one of ``CLASSES``.
        name: unique within subject and emotion, such as ``"session0/take000"``.
        frames: in the order of recording; a single photo is a take of one frame.
    """

    subject: str
    emotion: str
    name: str
    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        if self.emotion not in CLASSES:
            raise ValueError(f"emotion must be one of {', '.join(CLASSES)}, got {self.emotion!r}")
        if not self.frames:
            raise ValueError(f"the take {self.name!r} of {self.subject!r} has no frame")

    @property
    def key(self) -> str:
        """Unique in an index: ``subject/emotion/name``."""
        return f"{self.subject}/{self.emotion}/{self.name}"


@dataclass(frozen=True)
class Index:
    """What was found under a folder.

    Attributes:
        takes: sorted by subject, emotion and name.
        left_out: how many entries were left out, by reason.
    """

    takes: tuple[Take, ...]
    left_out: dict[str, int]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everybody in the index, sorted."""
        return tuple(sorted({take.subject for take in self.takes}))

    @property
    def frames(self) -> int:
        """Number of pictures."""
        return sum(len(take.frames) for take in self.takes)

    def per_emotion(self) -> dict[str, dict[str, int]]:
        """For each class that occurs: ``subjects``, ``takes`` and ``frames``."""
        return {
            emotion: {
                "subjects": len({t.subject for t in self.takes if t.emotion == emotion}),
                "takes": sum(t.emotion == emotion for t in self.takes),
                "frames": sum(len(t.frames) for t in self.takes if t.emotion == emotion),
            }
            for emotion in CLASSES
            if any(t.emotion == emotion for t in self.takes)
        }


def make_index(takes: Iterable[Take], left_out: Counter[str]) -> Index:
    """An index in its order."""
    ordered = sorted(takes, key=lambda take: (take.subject, take.emotion, take.name))
    return Index(tuple(ordered), dict(sorted(left_out.items())))


def as_dict(found: Index) -> dict[str, Any]:
    """The numbers of an index, ready for JSON; ``left_out`` is by reason."""
    return {
        "subjects": len(found.subjects),
        "takes": len(found.takes),
        "frames": found.frames,
        "per_emotion": found.per_emotion(),
        "left_out": found.left_out,
    }


def summary(found: Index) -> str:
    """What was found and what was left out, as text."""
    people = len(found.subjects)
    lines = [f"{'':12}{'people':>8}{'takes':>8}{'frames':>10}"]
    rows = found.per_emotion()
    total = {"subjects": people, "takes": len(found.takes), "frames": found.frames}
    for name, row in [*rows.items(), ("together", total)]:
        lines.append(f"{name:12}{row['subjects']:>8,}{row['takes']:>8,}{row['frames']:>10,}")
    missing = [name for name in CLASSES if name not in rows]
    if missing:
        lines.append(f"Nobody shows {', '.join(missing)}.")
    if 1 < len(found.takes) == people:
        lines.append(
            "Everybody has a single take. If some pictures show the same person, no split can"
            " know, and test results are too good."
        )
    if found.left_out:
        lines.append("Left out:")
        lines += [f"{count:>8,} {reason}" for reason, count in found.left_out.items()]
    return "\n".join(lines)

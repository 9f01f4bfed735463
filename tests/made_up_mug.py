"""A made-up tree in the layout of the MUG Facial Expression Database, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np

from shelly_local.results import CLASSES
from tests.made_up_faces import make_person, record

_IDS = """
001 002 006 007 008 010 013 014 017 020 021 027 028 030 031 032 033 034 036 037 038 039 040 042 043
044 045 046 048 049 052 055 060 061 062 063 064 065 066 070 071 072 073 074 075 076 077 078 079 082
083 084
"""
#: Ids of the people in MUG's public part; numbers are missing there too.
SUBJECTS = tuple(_IDS.split())


class Contents(TypedDict):
    """What ``build`` wrote.

    Attributes:
        subjects: ids, sorted.
        per_emotion: for each class ``subjects``, ``takes`` and ``frames``, as
            ``training.dataset.Index.per_emotion`` counts them when every kind of take is kept.
        frames: readable frames in order, by take key (``"002/anger/session0/take000"``).
        apex: the frame with the strongest expression, by take key; not for neutral.
        folders: where the take lies, relative to the root, by take key.
        quirks: oddities by name; what is odd, as paths relative to the root.
    """

    subjects: list[str]
    per_emotion: dict[str, dict[str, int]]
    frames: dict[str, list[str]]
    apex: dict[str, str]
    folders: dict[str, str]
    quirks: dict[str, list[str]]


def build(
    root: Path,
    *,
    subjects: int = 12,
    takes: int = 2,
    frames: int = 9,
    size: int = 224,
    seed: int = 0,
    quirks: bool = True,
) -> Contents:
    """Write ``root/subjects3/<subject>/<emotion>/<take>/img_NNNN.jpg`` for seven emotions.

    A take goes neutral, onset, apex, offset, neutral; its head is turned, placed, scaled and
    lit a little differently from the next. The same arguments give the same files.

    Args:
        root: folder that exists or can be made.
        subjects: number of people, at most 52; at least 4 with quirks.
        takes: takes of each emotion and person.
        frames: frames of a take.
        size: side of the square frames in pixels.
        seed: of everything random.
        quirks: also write what makes MUG awkward: a doubled subject level, sessions, suffixed
            takes, a ``mixed`` folder, stray files, a truncated frame, a late first number, a
            gap, few neutral takes, and a person who lacks an emotion.

    Raises:
        ValueError: an argument is out of range.
    """
    least = 4 if quirks else 1
    if not least <= subjects <= len(SUBJECTS):
        raise ValueError(f"subjects must be {least} to {len(SUBJECTS)}, got {subjects}")
    if takes < 1 or frames < 7 or size < 64:
        raise ValueError(f"need takes >= 1, frames >= 7, size >= 64; got {takes}, {frames}, {size}")
    ids = SUBJECTS[:subjects]
    contents = Contents(
        subjects=list(ids), per_emotion={}, frames={}, apex={}, folders={}, quirks={}
    )
    for number, subject in enumerate(ids):
        person = make_person(number, size, seed)
        for emotion_number, emotion in enumerate(CLASSES):
            for place, name in _take_places(subject, emotion, takes, ids, quirks):
                key = f"{subject}/{emotion}/{name}"
                # The take's own seed: it looks the same however many others there are.
                take = int("".join(filter(str.isdigit, name)))
                rng = np.random.default_rng([seed, number, emotion_number, take])
                folder = root / "subjects3" / place
                folder.mkdir(parents=True)
                strength, pictures = record(person, emotion, frames, size, rng)
                names = [f"img_{frame:04d}.jpg" for frame in range(frames)]
                for file_name, picture in zip(names, pictures, strict=True):
                    (folder / file_name).write_bytes(picture)
                contents["frames"][key] = names
                contents["folders"][key] = f"subjects3/{place}"
                if emotion != "neutral":
                    contents["apex"][key] = names[int(np.argmax(strength))]
    if quirks:
        _add_quirks(root, contents)
    for emotion in CLASSES:
        keys = [key for key in contents["frames"] if key.split("/")[1] == emotion]
        contents["per_emotion"][emotion] = {
            "subjects": len({key.split("/")[0] for key in keys}),
            "takes": len(keys),
            "frames": sum(len(contents["frames"][key]) for key in keys),
        }
    return contents


def _take_places(
    subject: str, emotion: str, takes: int, ids: tuple[str, ...], quirks: bool
) -> list[tuple[str, str]]:
    """Where a person's takes of an emotion lie below ``subjects3``, and their names."""
    names = [f"take{take:03d}" for take in range(takes)]
    if not quirks:
        return [(f"{subject}/{emotion}/{name}", name) for name in names]
    if emotion == "sadness" and subject == ids[-1]:
        return []
    if emotion == "neutral":
        names = names[: max(takes // 2, 1)]
    if (subject, emotion) == (ids[3], "fear"):
        names[-1] += "nsg"
    if (subject, emotion) == (ids[3], "anger"):
        names[-1] += "end"
    if subject == ids[1]:
        # Both sessions count their takes from 0; an odd number is rounded up to share out.
        half = (len(names) + 1) // 2
        sessions = [f"session{session}/{name}" for session in (0, 1) for name in names[:half]]
        return [
            (f"{subject}/{session}/{emotion}/{name}", f"{session}/{name}")
            for session, name in (entry.split("/") for entry in sessions)
        ]
    level = f"{subject}/{subject}" if subject == ids[3] else subject
    return [(f"{level}/{emotion}/{name}", name) for name in names]


def _add_quirks(root: Path, contents: Contents) -> None:
    """What lies in MUG's folders besides well-numbered takes; names it in ``contents``."""
    first, second, third, fourth = contents["subjects"][:4]
    frames, folders, found = contents["frames"], contents["folders"], contents["quirks"]
    last = contents["subjects"][-1]

    def one(subject: str, emotion: str) -> str:
        return [key for key in frames if key.startswith(f"{subject}/{emotion}/")][-1]

    found["doubled subject level"] = [f"subjects3/{fourth}/{fourth}"]
    found["sessions"] = [f"subjects3/{second}/session{session}" for session in (0, 1)]
    found["nsg"] = [folders[one(fourth, "fear")]]
    found["end"] = [folders[one(fourth, "anger")]]
    found["missing emotion"] = [f"subjects3/{last}/sadness"]
    found["few neutral takes"] = [folders[key] for key in frames if "/neutral/" in key]

    mixed = f"subjects3/{first}/mixed/take000"
    (root / mixed).mkdir(parents=True)
    source = one(first, "happiness")
    for name in frames[source]:
        (root / mixed / name).write_bytes((root / folders[source] / name).read_bytes())
    found["mixed"] = [f"{mixed}/{name}" for name in frames[source]]

    strays = {
        "dot files": ["subjects3/.DS_Store", f"{folders[one(first, 'anger')]}/._img_0000.jpg"],
        "video": [f"{folders[one(third, 'happiness')]}/happiness.avi"],
        "Thumbs.db": [f"{folders[one(third, 'anger')]}/Thumbs.db"],
    }
    for name, paths in strays.items():
        for path in paths:
            (root / path).write_bytes(b"\x00\x05\x16\x07 no picture")
        found[name] = paths

    key = one(first, "disgust")
    late = [f"img_{161 + number:04d}.jpg" for number in range(len(frames[key]))]
    for old, new in zip(frames[key], late, strict=True):
        (root / folders[key] / old).rename(root / folders[key] / new)
    contents["apex"][key] = late[frames[key].index(contents["apex"][key])]
    frames[key] = late
    found["late start"] = [f"{folders[key]}/{late[0]}"]

    key = one(third, "disgust")
    gone = frames[key].pop(1)
    (root / folders[key] / gone).unlink()
    found["gap"] = [f"{folders[key]}/{gone}"]

    key = one(third, "surprise")
    cut = frames[key].pop(1)
    whole = (root / folders[key] / cut).read_bytes()
    (root / folders[key] / cut).write_bytes(whole[: len(whole) // 2])
    found["truncated frame"] = [f"{folders[key]}/{cut}"]

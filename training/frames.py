"""From takes to frames: which pictures of a recording stand for its expression.

A posed recording goes from neutral to the expression's strongest moment, the apex, and back.
Where the apex lies is written down nowhere; ``RULES`` holds ways to guess it.
"""

from __future__ import annotations

import os
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shelly_local.errors import DataError, ShellyError
from shelly_local.vision.alignment import similarity_transform
from shelly_local.vision.classifier import EmotionClassifier, find_faces
from shelly_local.vision.images import decode

from .dataset import Frame, Index, Take

#: How different the faces of two frames are, at least 0; None where one has no face.
Distance = Callable[[Frame, Frame], float | None]
Frames = tuple[Frame, ...]
Floats = NDArray[np.float64]

#: Frames around the middle or the apex, unless said otherwise.
DEFAULT_K = 5
#: Part of a take, as shares of its length, that ``around-apex`` draws from: the expression
#: comes in the first third and goes in the last.
CENTRAL_PART = (1 / 3, 2 / 3)
#: A shorter take, in frames, has no onset to take neutral faces from: at MUG's 19 frames a
#: second this is half a second.
MIN_ONSET_FRAMES = 10


def first_shelly(take: Take, *_: object) -> Frames:
    """The frame that the first Shelly took, ``int(n / 2) + 1``; the last one of short takes."""
    count = len(take.frames)
    return (take.frames[min(count // 2 + 1, count - 1)],)


def middle(take: Take, *_: object) -> Frames:
    """The frame in the middle."""
    return (take.frames[len(take.frames) // 2],)


def around_apex(take: Take, k: int = DEFAULT_K, *_: object) -> Frames:
    """``k`` evenly spaced frames of the central part; fewer of a short take."""
    if k == 1:
        return middle(take)
    last = len(take.frames) - 1
    positions = np.linspace(CENTRAL_PART[0] * last, CENTRAL_PART[1] * last, k).round().astype(int)
    return tuple(take.frames[position] for position in np.unique(positions))


def apex(take: Take, k: int, distance: Distance | None) -> Frames:
    """The frame whose face is farthest from the first one's, with those around it.

    Recordings begin with a neutral face; where the first frame shows none, the next that
    does takes its place. The middle stands for the apex of a neutral take, and of one in
    which no face is found.

    Args:
        take: the recording.
        k: how many frames, with the apex in their middle where the take reaches as far.
        distance: such as ``distance_by_landmarks`` makes.
    """
    if distance is None:
        raise ValueError("the rule 'apex' needs a distance, such as distance_by_landmarks makes")
    frames = take.frames
    centre = len(frames) // 2
    if take.emotion != "neutral":
        start = next((frame for frame in frames if distance(frame, frame) is not None), None)
        if start is not None:
            far = [distance(start, frame) for frame in frames]
            centre = max(range(len(far)), key=lambda i: -1.0 if (d := far[i]) is None else d)
    begin = max(min(centre - k // 2, len(frames) - k), 0)
    return frames[begin : begin + k]


def every(take: Take, *_: object) -> Frames:
    """All frames."""
    return take.frames


@dataclass(frozen=True, slots=True)
class Rule:
    """A way from a take to frames.

    Attributes:
        pick: the rule, given the take, ``k`` and a distance.
        description: for help texts.
        needs_distance: whether ``pick`` uses the distance; others get None.
    """

    pick: Callable[[Take, int, Distance | None], Frames]
    description: str
    needs_distance: bool = False


RULES: dict[str, Rule] = {
    "first-shelly": Rule(first_shelly, "one frame, just behind the middle"),
    "middle": Rule(middle, "the frame in the middle"),
    "around-apex": Rule(around_apex, "k frames, spread over the middle third"),
    "apex": Rule(apex, "the face farthest from the first one, and k frames around it", True),
    "all": Rule(every, "every frame"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A frame that stands for its take."""

    frame: Frame
    take: Take


def choose(
    index: Index, rule: str, k: int = DEFAULT_K, *, distance: Distance | None = None
) -> list[Choice]:
    """The frames of every take by a rule, in the order of the index.

    Args:
        index: people and takes.
        rule: a name in ``RULES``.
        k: frames per take, at least 1, for the rules that use it.
        distance: for the rule ``apex``; called from several threads.

    Raises:
        ValueError: unknown rule, ``k`` below 1, or no distance for ``apex``.
    """
    if rule not in RULES:
        raise ValueError(f"the rule must be one of {', '.join(RULES)}, got {rule!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    pick = RULES[rule].pick
    if not RULES[rule].needs_distance:
        return [Choice(frame, take) for take in index.takes for frame in pick(take, k, None)]
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        picked = pool.map(lambda take: pick(take, k, distance), index.takes)
        bar = tqdm(picked, desc="apex of takes", total=len(index.takes), disable=None)
        return [
            Choice(frame, take)
            for take, frames in zip(index.takes, bar, strict=True)
            for frame in frames
        ]
    finally:
        pool.shutdown(cancel_futures=True)


def neutral_from_onsets(takes: Iterable[Take], n: int) -> list[Take]:
    """Neutral takes from the first frames of other recordings, which begin neutral.

    Each belongs to the person of its recording, so that a split by person puts both on the
    same side. Takes too short for an onset give none, nor do those with the suffix ``end``,
    whose beginning is missing.

    Args:
        takes: recordings of any emotion; neutral ones are passed over.
        n: frames per recording, at least 1.

    Returns:
        Takes named ``<emotion>/<take>/onset``.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return [
        Take(take.subject, "neutral", f"{take.emotion}/{take.name}/onset", take.frames[:n])
        for take in takes
        if take.emotion != "neutral"
        and len(take.frames) >= max(MIN_ONSET_FRAMES, 2 * n)
        and not take.name.casefold().endswith("end")
    ]


def distance_by_landmarks(classifier: EmotionClassifier) -> Distance:
    """How far the landmarks of two faces are apart once position, size and turn are removed.

    Returns:
        Root mean square over the five landmarks, in eye distances. Each frame is looked at
        once and its landmarks kept; a frame that cannot be read counts as one without a face.
    """
    template = classifier.model.template
    eyes = float(np.linalg.norm(template[1] - template[0]))
    reader = Reader()
    known: dict[Frame, Floats | None] = {}

    def aligned(frame: Frame) -> Floats | None:
        with suppress(ShellyError):
            _, faces = find_faces(classifier.detector, reader.read(frame))
            if faces:
                points = np.array(faces[0].landmarks, dtype=np.float64)
                to_template = similarity_transform(points, template)
                return np.asarray((points @ to_template[:, :2].T + to_template[:, 2]) / eyes)
        return None

    def distance(first: Frame, second: Frame) -> float | None:
        for frame in (first, second):
            if frame not in known:
                known[frame] = aligned(frame)
        a, b = known[first], known[second]
        if a is None or b is None:
            return None
        return float(np.sqrt(((a - b) ** 2).sum(1).mean()))

    return distance


class Reader:
    """Reads frames; every zip is opened once. Thread-safe; closed by ``with``."""

    def __init__(self) -> None:
        self._archives: dict[Path, zipfile.ZipFile] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._archives.values():
            archive.close()

    def read(self, frame: Frame, count: int = -1) -> bytes:
        """The first ``count`` bytes of a picture, or all; DataError if it cannot be read."""
        try:
            if frame.member is None:
                with frame.path.open("rb") as stream:
                    return stream.read(count)
            with self._archive(frame.path).open(frame.member) as member:
                return member.read(count)
        except _READ_ERRORS as error:
            raise DataError(f"{frame.path} cannot be read: {error}") from error

    def size(self, frame: Frame) -> int:
        """Size of a picture in bytes; DataError if it cannot be read."""
        try:
            if frame.member is None:
                return frame.path.stat().st_size
            return self._archive(frame.path).getinfo(frame.member).file_size
        except _READ_ERRORS as error:
            raise DataError(f"{frame.path} cannot be read: {error}") from error

    def _archive(self, path: Path) -> zipfile.ZipFile:
        if path not in self._archives:
            self._archives[path] = zipfile.ZipFile(path)
        return self._archives[path]


#: What a damaged zip raises when it is opened or read, and a failing disk.
_READ_ERRORS = (
    OSError, EOFError, zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, zlib.error,
)  # fmt: skip


def place(frame: Frame) -> Path:
    """Where a frame lies, for messages."""
    return frame.path if frame.member is None else frame.path / frame.member


def without_undecodable(takes: Iterable[Take], left_out: Counter[str]) -> list[Take]:
    """The takes without the frames that cannot be decoded, which are named on standard error.

    Args:
        takes: what to decode.
        left_out: receives how many frames, and takes without any other, are left out.
    """
    takes = list(takes)
    frames = [frame for take in takes for frame in take.frames]
    pool = ThreadPoolExecutor(os.cpu_count())
    with Reader() as reader:

        def problem(frame: Frame) -> str | None:
            try:
                # The whole file is decoded at an eighth of its size, which saves time.
                decode(reader.read(frame), max_side=64)
            except ShellyError as error:
                return str(error)
            return None

        try:
            bar = tqdm(pool.map(problem, frames), "frames", len(frames), disable=None)
            bad = {frame: text for frame, text in zip(frames, bar, strict=True) if text}
        finally:
            pool.shutdown(cancel_futures=True)
    for frame, text in bad.items():
        print(f"{place(frame)}: {text}", file=sys.stderr)
    kept = []
    for take in takes:
        remaining = tuple(frame for frame in take.frames if frame not in bad)
        if remaining:
            kept.append(replace(take, frames=remaining))
        else:
            left_out["takes without a frame"] += 1
    if bad:
        left_out["undecodable frames"] += len(bad)
    return kept

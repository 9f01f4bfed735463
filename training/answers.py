"""Chosen frames of takes, their faces, and a network's answers for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shelly_local.errors import DataError
from shelly_local.results import CLASSES
from shelly_local.vision.model import EmotionModel

from . import crops, frames, networks
from .dataset import Frame, Index, Take
from .distributed import World
from .finetune import Samples
from .metrics import softmax
from .report import TakeAnswer


def choose(
    takes: Sequence[Take], rule: str, k: int, distance: frames.Distance | None = None
) -> dict[str, list[Frame]]:
    """The frames of each take by a rule, by the take's key; see ``frames.choose``."""
    chosen: dict[str, list[Frame]] = {take.key: [] for take in takes}
    for choice in frames.choose(Index(tuple(takes), {}), rule, k, distance=distance):
        chosen[choice.take.key].append(choice.frame)
    return chosen


def thinned(takes: Sequence[Take], most: int) -> dict[str, list[Frame]]:
    """The frames of whole takes; evenly thinned out to ``most`` of each, 0 for all."""
    chosen = {}
    for take in takes:
        count = len(take.frames)
        wanted = np.arange(count) if not most else np.linspace(0, count - 1, min(most, count))
        chosen[take.key] = [take.frames[int(i)] for i in np.unique(wanted.round())]
    return chosen


@dataclass(frozen=True)
class Faces:
    """All crops of a run, and where to find those of a frame."""

    images: NDArray[np.uint8]
    found: NDArray[np.bool_]
    position: dict[Frame, int]

    def samples(self, takes: Sequence[Take], chosen: dict[str, list[Frame]]) -> Samples:
        """The crops of some takes' chosen frames, those with a face."""
        pairs = [
            (self.position[frame], CLASSES.index(take.emotion))
            for take in takes
            for frame in chosen[take.key]
            if self.found[self.position[frame]]
        ]
        index = np.array([position for position, _ in pairs], dtype=np.int64)
        labels = np.array([label for _, label in pairs], dtype=np.int64)
        return Samples(self.images[index], labels)


def answer_takes(
    model: nn.Module,
    takes: Sequence[Take],
    views: dict[str, dict[str, list[Frame]]],
    faces: Faces,
    temperature: float,
) -> list[TakeAnswer]:
    """Answers for takes: mean probabilities over the frames of each view."""
    needed = sorted({faces.position[f] for t in takes for v in views.values() for f in v[t.key]})
    index = np.array([p for p in needed if faces.found[p]], dtype=np.int64)
    logits = networks.predict(model, torch.from_numpy(faces.images[index]).unsqueeze(1))
    by_position = dict(zip(index.tolist(), softmax(logits / temperature), strict=True))
    answers = []
    for take in takes:
        probabilities: dict[str, NDArray[np.float64] | None] = {}
        for view, chosen in views.items():
            rows = [by_position.get(faces.position[frame]) for frame in chosen[take.key]]
            found = [row for row in rows if row is not None]
            probabilities[view] = np.mean(found, axis=0) if found else None
        answers.append(TakeAnswer(take, probabilities, views["single"][take.key][0].name))
    return answers


def cut_out(
    wanted: Sequence[dict[str, list[Frame]]],
    model: EmotionModel,
    cache: Path,
    world: World,
    *,
    workers: int | None = None,
) -> tuple[Faces, dict[str, list[str]]]:
    """Crops of all frames that a run needs; the main process makes them, others read.

    Returns:
        The faces, and the names of frames without one by reason.

    Raises:
        DataError: no face in any frame.
    """
    every = list(dict.fromkeys(f for chosen in wanted for fs in chosen.values() for f in fs))
    with world.main_first():
        made = crops.extract(every, cache, model=model, workers=workers, progress=world.is_main)
    if not made.found.any():
        raise DataError(f"no face was found in any of the {len(every)} frames.")
    position = {frame: number for number, frame in enumerate(every)}
    return Faces(made.images, made.found, position), made.problems

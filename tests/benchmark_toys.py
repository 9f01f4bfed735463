"""Backends with known answers, opened as ``tests.benchmark_toys:NAME``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from shelly_local.backends import Backend, BackendError
from shelly_local.errors import ImageError
from shelly_local.results import CLASSES, Face, FaceEmotion, PhotoEmotions

MODULE = "tests.benchmark_toys"
#: Seconds an answer of ``slow`` takes, so that a test can stop a run in the middle.
PAUSE_S = 0.1


def answer(scores: Mapping[str, float]) -> PhotoEmotions:
    """One face with these scores."""
    return PhotoEmotions(100, 100, (FaceEmotion(Face((0, 0, 50, 50), (), 1.0), scores),))


class Toy(Backend):
    """Answers the same to every picture."""

    title = "Toy"
    name = "toy"

    def __init__(
        self, *, emotion: str = "happiness", score: float = 1.0, is_local: bool = True
    ) -> None:
        self.is_local = is_local
        self.asked = 0
        rest = (1.0 - score) / (len(CLASSES) - 1)
        self._scores = {name: score if name == emotion else rest for name in CLASSES}

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        self.asked += 1
        return answer(self._scores)

    def describe(self) -> dict[str, Any]:
        return {"version": 1}


class Slow(Toy):
    def classify(self, photo: bytes, /) -> PhotoEmotions:
        time.sleep(PAUSE_S)
        return super().classify(photo)


class Dying(Toy):
    """Answers three pictures and then breaks, as a program does that has a bug."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        if self.asked == 3:
            raise RuntimeError("the floor gave way")
        return super().classify(photo)


class WrongKey(Toy):
    def classify(self, photo: bytes, /) -> PhotoEmotions:
        self.asked += 1
        raise BackendError(f"the key was refused at call {self.asked}", 401)


class Unsure(Toy):
    """Finds a face in large files only, and is then not sure of its class."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        if len(photo) < 60_000:
            return PhotoEmotions(100, 100, ())
        return answer({"happiness": 0.2, "fear": 0.1})


class Picky(Toy):
    """Takes no picture at all."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        raise ImageError("the service takes no such picture")


def happiness() -> Toy:
    return Toy()


def hesitant() -> Toy:
    """Right about happiness with a probability of 0.7."""
    return Toy(score=0.7)


def cloud() -> Toy:
    return Toy(is_local=False)


def slow() -> Toy:
    return Slow()


def dying() -> Toy:
    return Dying()


def wrong_key() -> Toy:
    return WrongKey(is_local=False)


def unsure() -> Toy:
    return Unsure()


def picky() -> Toy:
    return Picky()


def not_there() -> Toy:
    raise BackendError("no key was found", 401)


def bare() -> object:
    """What is no backend."""
    return object()

"""Shelly's advice: lines for every mood, and the choice of one."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from shelly_local.results import CLASSES

ADVICE_FILE = Path(__file__).with_name("advice.json")


class Adviser:
    """Chooses a line of advice at random. Thread-safe, as ``random.Random.choice`` is.

    Args:
        lines: the lines of each class, at least one for each.
        rng: source of randomness; seed it to repeat a choice. None seeds from the
            operating system.

    Raises:
        ValueError: a class has no lines, there is an unknown class, or a line is empty.
    """

    def __init__(
        self, lines: Mapping[str, Sequence[str]], rng: random.Random | None = None
    ) -> None:
        if set(lines) != set(CLASSES):
            raise ValueError(
                f"advice must be for {', '.join(CLASSES)}; got {', '.join(lines) or 'nothing'}"
            )
        for emotion, texts in lines.items():
            if isinstance(texts, str) or not texts:
                raise ValueError(f"advice for {emotion} must be a list of lines; got {texts!r}")
            for text in texts:
                if not isinstance(text, str) or not text.strip():
                    raise ValueError(f"advice for {emotion} has an unusable line: {text!r}")
        self._lines = {emotion: tuple(texts) for emotion, texts in lines.items()}
        self._rng = rng or random.Random()

    @classmethod
    def load(cls, path: Path = ADVICE_FILE, rng: random.Random | None = None) -> Adviser:
        """Read the lines from a JSON file, ``{class: [line, ...]}`` in UTF-8.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not JSON, or the lines do not cover every class.
        """
        lines = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(lines, dict):
            raise ValueError(f"{path.name} must hold a JSON object, got {type(lines).__name__}")
        return cls(lines, rng)

    def lines(self, emotion: str) -> tuple[str, ...]:
        """Every line for a class.

        Raises:
            ValueError: there is no such class.
        """
        if emotion not in self._lines:
            raise ValueError(f"no advice for {emotion!r}; classes are {', '.join(self._lines)}")
        return self._lines[emotion]

    def choose(self, emotion: str) -> str:
        """One line for a class, each equally likely.

        Raises:
            ValueError: there is no such class.
        """
        return self._rng.choice(self.lines(emotion))

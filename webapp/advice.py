"""Shelly's advice: lines for every mood in every language, and the choice of one."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shelly_local.results import CLASSES

ADVICE_FILE = Path(__file__).with_name("advice.json")
#: Languages of the advice (BCP 47 tags), the first one for those who ask for none.
LANGUAGES = ("en", "de")
DEFAULT_LANGUAGE = LANGUAGES[0]
#: Fewer lines for a mood would soon repeat themselves.
MIN_LINES = 20


@dataclass(frozen=True)
class Advice:
    """One line of advice.

    Attributes:
        id: its number among the lines of its mood and language, 0 for the first.
        text: the line.
    """

    id: int
    text: str


class Adviser:
    """Chooses a line of advice at random. Thread-safe, as ``random.Random.choice`` is.

    Args:
        lines: ``{class: {language: [line, ...]}}`` for every class and language, at least
            20 lines each, no line twice.
        rng: source of randomness; seed it to repeat a choice. None seeds from the
            operating system.

    Raises:
        ValueError: a class or language is missing or unknown, a line is empty or there
            twice, or there are too few.
    """

    languages = LANGUAGES

    def __init__(
        self,
        lines: Mapping[str, Mapping[str, Sequence[str]]],
        rng: random.Random | None = None,
    ) -> None:
        _check_keys("advice", lines, CLASSES)
        for emotion, languages in lines.items():
            _check_keys(f"advice for {emotion}", languages, LANGUAGES)
            for language, texts in languages.items():
                _check_lines(f"advice for {emotion} in {language}", texts)
        self._lines = {
            (emotion, language): tuple(lines[emotion][language])
            for emotion in CLASSES
            for language in LANGUAGES
        }
        self._rng = rng or random.Random()

    @classmethod
    def load(cls, path: Path = ADVICE_FILE, rng: random.Random | None = None) -> Adviser:
        """Read the lines from a JSON file in UTF-8, ``{class: {language: [line, ...]}}``.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not JSON, or not what `Adviser` needs.
        """
        return cls(json.loads(path.read_text(encoding="utf-8")), rng)

    def lines(self, emotion: str, language: str = DEFAULT_LANGUAGE) -> tuple[str, ...]:
        """Every line for a class; a line's id is its place here.

        Raises:
            ValueError: there is no such class or language.
        """
        if emotion not in CLASSES:
            raise ValueError(f"no advice for {emotion!r}; classes are {', '.join(CLASSES)}")
        if language not in LANGUAGES:
            raise ValueError(f"no advice in {language!r}; languages are {', '.join(LANGUAGES)}")
        return self._lines[emotion, language]

    def choose(
        self, emotion: str, language: str = DEFAULT_LANGUAGE, *, avoid: Collection[int] = ()
    ) -> Advice:
        """One line for a class, each equally likely.

        Args:
            emotion: the class.
            language: one of ``LANGUAGES``.
            avoid: ids of lines not to choose, as long as there are others.

        Raises:
            ValueError: there is no such class or language.
        """
        lines = self.lines(emotion, language)
        ids = [index for index in range(len(lines)) if index not in avoid]
        chosen = self._rng.choice(ids or range(len(lines)))
        return Advice(chosen, lines[chosen])


def _check_keys(what: str, mapping: object, expected: Collection[str]) -> None:
    if not isinstance(mapping, Mapping) or set(mapping) != set(expected):
        got = ", ".join(mapping) if isinstance(mapping, Mapping) else type(mapping).__name__
        raise ValueError(f"{what} must be for {', '.join(expected)}; got {got or 'nothing'}")


def _check_lines(what: str, texts: object) -> None:
    if not isinstance(texts, Sequence) or isinstance(texts, str):
        raise ValueError(f"{what} must be a list of lines; got {texts!r}")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{what} has an unusable line: {text!r}")
        if texts.count(text) > 1:
            raise ValueError(f"{what} has this line twice: {text!r}")
    if len(texts) < MIN_LINES:
        raise ValueError(f"{what} must have {MIN_LINES} lines or more; got {len(texts)}")

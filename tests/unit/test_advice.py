"""Shelly's lines, and how she chooses one."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from shelly_local.results import CLASSES
from shelly_local.vision.classifier import EmotionClassifier
from webapp import create_app
from webapp.advice import LANGUAGES, MIN_LINES, Adviser

LINES = [f"Line {number}." for number in range(MIN_LINES)]


@pytest.fixture(scope="module")
def client(classifier: EmotionClassifier) -> FlaskClient:
    return create_app(classifier).test_client()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("emotion", CLASSES)
def test_every_mood_has_twenty_lines_of_its_own(emotion: str, language: str) -> None:
    adviser = Adviser.load()
    lines = adviser.lines(emotion, language)
    assert len(set(lines)) == len(lines) >= 20
    others = {line for name in CLASSES if name != emotion for line in adviser.lines(name, language)}
    assert not others & set(lines)
    assert not set(lines) & {
        line for tag in LANGUAGES if tag != language for line in adviser.lines(emotion, tag)
    }


def test_seed_decides_and_every_line_has_its_turn() -> None:
    one, two = (Adviser.load(rng=random.Random(7)) for _ in range(2))
    chosen = [one.choose("fear") for _ in range(1000)]
    assert chosen == [two.choose("fear") for _ in range(1000)]
    assert {advice.text for advice in chosen} == set(one.lines("fear"))
    assert all(one.lines("fear")[advice.id] == advice.text for advice in chosen)


def test_avoided_lines_come_only_when_there_is_nothing_else() -> None:
    adviser = Adviser.load(rng=random.Random(1))
    count = len(adviser.lines("fear", "de"))
    assert {adviser.choose("fear", "de", avoid=range(1, count)).id for _ in range(50)} == {0}
    assert adviser.choose("fear", "de", avoid=range(count)).id in range(count)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fear": {"en": [], "de": LINES}}, "fear in en must have 20 lines or more; got 0"),
        ({"fear": {"en": LINES[1:], "de": LINES}}, "fear in en must have 20 lines or more; got 19"),
        ({"fear": {"en": "Hold on.", "de": LINES}}, "fear in en must be a list"),
        ({"fear": {"en": LINES, "de": [*LINES, " "]}}, "fear in de has an unusable line"),
        ({"fear": {"en": LINES, "de": [*LINES, LINES[3]]}}, "twice: 'Line 3.'"),
        ({"fear": {"en": LINES}}, "advice for fear must be for en, de; got en"),
        ({"fear": LINES}, "advice for fear must be for en, de; got list"),
        ({"joy": {"en": LINES, "de": LINES}}, "advice must be for anger"),
    ],
)
def test_unusable_lines_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    lines: dict[str, Any] = {emotion: {"en": LINES, "de": LINES} for emotion in CLASSES}
    path = tmp_path / "advice.json"
    path.write_text(json.dumps(lines | change), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        Adviser.load(path)


@pytest.mark.parametrize("content", ["[]", "no JSON"])
def test_unusable_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "advice.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"advice must be for|Expecting value"):
        Adviser.load(path)


def test_unknown_mood_and_language() -> None:
    with pytest.raises(ValueError, match="'boredom'"):
        Adviser.load().choose("boredom")
    with pytest.raises(ValueError, match="'fr'"):
        Adviser.load().choose("fear", "fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_another_line_is_never_the_one_just_read(client: FlaskClient, language: str) -> None:
    lines = Adviser.load().lines("sadness", language)
    after = 4
    for _ in range(60):
        response = client.get(f"/advice?emotion=sadness&language={language}&after={after}")
        answer = response.get_json()
        assert set(answer) == {"advice", "advice_id"}
        assert answer["advice"] == lines[answer["advice_id"]]
        assert answer["advice_id"] != after
        assert response.headers["Cache-Control"] == "no-store"
        after = answer["advice_id"]


def test_english_is_the_default_and_after_is_optional(client: FlaskClient) -> None:
    answer = client.get("/advice?emotion=anger").get_json()
    assert answer["advice"] in Adviser.load().lines("anger", "en")

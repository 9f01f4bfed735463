"""Ordinary photos are answered as before; see ``tests.same_answers``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.same_answers import ANSWERS, answers, machine

#: Largest differences on another kind of processor, or with other libraries.
MOST_PROBABILITY, MOST_PIXELS = 0.02, 1.0


def assert_close(found: dict[str, Any], expected: dict[str, Any], name: str) -> None:
    assert (found["width"], found["height"]) == (expected["width"], expected["height"]), name
    assert len(found["faces"]) == len(expected["faces"]), name
    for one, other in zip(found["faces"], expected["faces"], strict=True):
        assert list(one["scores"]) == list(other["scores"]), name
        assert one["scores"] == pytest.approx(other["scores"], abs=MOST_PROBABILITY), name
        face, before = one["face"], other["face"]
        assert face["confidence"] == pytest.approx(before["confidence"], abs=MOST_PROBABILITY), name
        assert face["box"] == pytest.approx(before["box"], abs=MOST_PIXELS), name
        for point, wanted in zip(face["landmarks"], before["landmarks"], strict=True):
            assert point == pytest.approx(wanted, abs=MOST_PIXELS), name


def test_ordinary_photos_are_answered_as_before() -> None:
    written = json.loads(ANSWERS.read_text(encoding="utf-8"))
    expected = written["answers"]
    found = dict(answers())
    assert list(found) == list(expected)
    for name, answer in found.items():
        assert_close(answer, expected[name], name)
    if written["machine"] == machine():
        differing = [name for name, answer in found.items() if answer != expected[name]]
        assert differing == []

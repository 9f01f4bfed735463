"""Many photos side by side: order, failures, look-ahead, and an early end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.side_by_side import analyse_many
from shelly_local import EmotionClassifier
from shelly_local.errors import ImageUnreadableError, NotAnImageError


def test_answers_come_in_order_and_equal_those_one_by_one(
    classifier: EmotionClassifier, portrait_photos: list[Path]
) -> None:
    answers = list(analyse_many(classifier, portrait_photos * 2, workers=2))
    assert len(answers) == 2 * len(portrait_photos)
    for photo, answer in zip(portrait_photos * 2, answers, strict=True):
        assert not isinstance(answer, Exception)
        alone = classifier.classify(photo)
        assert [face.face for face in answer.photo.faces] == [face.face for face in alone.faces]
        assert answer.photo.faces[0].scores == pytest.approx(alone.faces[0].scores, abs=1e-4)


def test_a_failure_takes_the_place_of_its_answer(
    classifier: EmotionClassifier, smiling_photo: Path, tmp_path: Path
) -> None:
    photos: list[bytes | Path] = [b"no photo", smiling_photo, tmp_path / "missing.jpg"]
    first, second, third = analyse_many(classifier, photos, workers=2)
    assert isinstance(first, NotAnImageError)
    assert not isinstance(second, Exception)
    assert second.photo.faces[0].emotion == "happiness"
    assert isinstance(third, ImageUnreadableError)


def test_photos_are_drawn_as_needed(classifier: EmotionClassifier) -> None:
    drawn = []

    def endless() -> Iterator[bytes]:
        while True:
            drawn.append(1)
            yield b"no photo"

    answers = analyse_many(classifier, endless(), workers=2)
    for _ in range(3):
        assert isinstance(next(answers), NotAnImageError)
    answers.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 3 + 4


def test_no_workers_is_refused(classifier: EmotionClassifier) -> None:
    with pytest.raises(ValueError, match=r"workers.*0"):
        analyse_many(classifier, [], workers=0)


def test_no_photos_no_answers(classifier: EmotionClassifier) -> None:
    assert list(analyse_many(classifier, [], workers=1)) == []

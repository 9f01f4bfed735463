"""From takes to frames by named rules."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from shelly_local.vision.classifier import EmotionClassifier
from training.dataset import Frame, Take, make_index
from training.frames import (
    RULES,
    Distance,
    apex,
    around_apex,
    choose,
    distance_by_landmarks,
    neutral_from_onsets,
)


def take(count: int, emotion: str = "anger", name: str = "take000", subject: str = "001") -> Take:
    frames = tuple(Frame(Path(f"img_{number:04d}.jpg")) for number in range(count))
    return Take(subject, emotion, name, frames)


def number(frame: Frame) -> int:
    return int(frame.path.stem[-4:])


def numbers(frames: tuple[Frame, ...]) -> list[int]:
    return [number(frame) for frame in frames]


def peak_at(position: int, *, faceless: tuple[int, ...] = ()) -> Distance:
    """A face that moves away until ``position`` and then comes back."""

    def distance(first: Frame, second: Frame) -> float | None:
        if number(first) in faceless or number(second) in faceless:
            return None
        strength = [max(position - abs(number(f) - position), 0) for f in (first, second)]
        return float(abs(strength[0] - strength[1]))

    return distance


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 0), (2, 1), (3, 2), (4, 3), (69, 35), (70, 36), (71, 36)]
)
def test_first_shelly(count: int, expected: int) -> None:
    (choice,) = choose(make_index([take(count)], Counter()), "first-shelly")
    assert number(choice.frame) == expected


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (2, 1), (3, 1), (70, 35), (71, 35)])
def test_middle(count: int, expected: int) -> None:
    (choice,) = choose(make_index([take(count)], Counter()), "middle")
    assert number(choice.frame) == expected


@pytest.mark.parametrize(
    ("count", "k", "expected"),
    [
        (61, 5, [20, 25, 30, 35, 40]),
        (61, 3, [20, 30, 40]),
        (61, 1, [30]),
        (4, 5, [1, 2]),
        (1, 5, [0]),
    ],
)
def test_around_apex(count: int, k: int, expected: list[int]) -> None:
    assert numbers(around_apex(take(count), k)) == expected


@pytest.mark.parametrize(
    ("position", "k", "expected"),
    [(20, 1, [20]), (20, 3, [19, 20, 21]), (29, 5, [25, 26, 27, 28, 29]), (1, 4, [0, 1, 2, 3])],
)
def test_apex(position: int, k: int, expected: list[int]) -> None:
    assert numbers(apex(take(30), k, peak_at(position))) == expected


def test_apex_passes_over_frames_without_a_face() -> None:
    assert numbers(apex(take(30), 1, peak_at(20, faceless=(0, 1, 20)))) in ([19], [21])
    assert numbers(apex(take(30), 1, peak_at(20, faceless=tuple(range(30))))) == [15]


def test_apex_of_neutral_is_the_middle() -> None:
    assert numbers(apex(take(30, "neutral"), 3, peak_at(3))) == [14, 15, 16]


def test_every_rule_chooses_from_every_take() -> None:
    takes = [take(count, name=f"take{count:03d}") for count in (1, 2, 3, 70)]
    takes.append(take(9, "neutral"))
    index = make_index(takes, Counter())
    for rule in RULES:
        choices = choose(index, rule, 3, distance=peak_at(1))
        assert list(dict.fromkeys(c.take.key for c in choices)) == [t.key for t in index.takes]
        assert all(choice.frame in choice.take.frames for choice in choices)
        assert len({(c.take.key, c.frame) for c in choices}) == len(choices)
    assert len(choose(index, "all")) == index.frames


@pytest.mark.parametrize(
    ("rule", "k", "message"),
    [("best", 5, "one of first-shelly, middle"), ("middle", 0, "k must"), ("apex", 5, "distance")],
)
def test_wrong_wishes(rule: str, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(make_index([take(5)], Counter()), rule, k)


def test_neutral_from_onsets() -> None:
    takes = [
        take(60, "fear", "session0/take001", "002"),
        take(60, "fear", "take002end"),
        take(9, "fear", "take003"),
        take(60, "neutral"),
    ]
    (onset,) = neutral_from_onsets(takes, 2)
    assert onset.key == "002/neutral/fear/session0/take001/onset"
    assert numbers(onset.frames) == [0, 1]
    assert len({t.key for t in [*takes, onset]}) == 5
    with pytest.raises(ValueError, match="at least 1"):
        neutral_from_onsets(takes, 0)


def test_distances_of_real_faces(
    classifier: EmotionClassifier,
    neutral_photo: Path,
    smiling_photo: Path,
    no_face_photo: Path,
    tmp_path: Path,
) -> None:
    neutral, no_face = Frame(neutral_photo), Frame(no_face_photo)
    with zipfile.ZipFile(tmp_path / "happiness.zip", "w") as archive:
        archive.write(smiling_photo, "smiling.jpg")
    smiling = Frame(tmp_path / "happiness.zip", "smiling.jpg")
    distance = distance_by_landmarks(classifier)
    there, back = distance(neutral, smiling), distance(smiling, neutral)
    assert there is not None
    assert there > 0.01
    assert back == pytest.approx(there)
    assert distance(neutral, neutral) == pytest.approx(0, abs=1e-6)
    assert distance(neutral, no_face) is None
    assert distance(Frame(tmp_path / "missing.jpg"), neutral) is None
    frames = (neutral, no_face, neutral, smiling, neutral)
    recording = Take("001", "happiness", "take000", frames)
    (choice,) = choose(make_index([recording], Counter()), "apex", 1, distance=distance)
    assert choice.frame == smiling

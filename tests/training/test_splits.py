"""Nobody is in two parts, whatever the index; and what cannot work is said at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelly_local.errors import DataError
from shelly_local.results import CLASSES
from training import mug
from training.dataset import Frame, Index, Take, make_index
from training.splits import Split, describe, everybody, holdout, kfold, lfdm, select, warnings


def index_of(people: Mapping[str, Mapping[str, int]]) -> Index:
    """An index with so many takes of each emotion of each person."""
    takes = [
        Take(person, emotion, f"take{number:03d}", (Frame(Path(f"{person}{emotion}{number}.jpg")),))
        for person, emotions in people.items()
        for emotion, count in emotions.items()
        for number in range(count)
    ]
    return make_index(takes, Counter())


def like_mug(people: int = 52, seed: int = 0) -> Index:
    """One to five takes of each emotion of each person, less of neutral, a few missing."""
    chance = random.Random(seed)
    return index_of(
        {
            mug.PUBLIC_SUBJECTS[number]: {
                emotion: chance.choice((1, 2) if emotion == "neutral" else (0, 2, 3, 3, 3, 5))
                for emotion in CLASSES
            }
            for number in range(people)
        }
    )


def any_index(seed: int) -> Index:
    """Anything: 1 to 30 people with names of all kinds, some with one take only."""
    chance = random.Random(seed)
    return index_of(
        {
            chance.choice((f"{number:03d}", f"person {number}", f"é{number}/a", f"{number}")): {
                emotion: chance.randint(1, chance.choice((1, 3, 40)))
                for emotion in chance.sample(CLASSES, chance.randint(1, chance.choice((1, 7, 7))))
            }
            for number in range(chance.randint(1, chance.choice((3, 8, 30))))
        }
    )


def assert_sound(split: Split, index: Index) -> None:
    """No subject and no take crosses over, and everybody named exists."""
    train, validation, test = (set(people) for people in split.parts.values())
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert train | validation | test <= set(index.subjects)
    assert train
    assert test
    takes = [{take.key for take in select(index, people)} for people in split.parts.values()]
    assert sum(map(len, takes)) == len(set().union(*takes))
    files = [
        {frame for take in select(index, people) for frame in take.frames}
        for people in split.parts.values()
    ]
    assert sum(map(len, files)) == len(set().union(*files))


def shown(index: Index, people: set[str]) -> set[str]:
    return {take.emotion for take in select(index, people)}


@pytest.mark.parametrize("first_seed", range(0, 400, 100))
def test_nobody_crosses_over_in_any_index(first_seed: int) -> None:
    split_count = 0
    for seed in range(first_seed, first_seed + 100):
        index = any_index(seed)
        folds = 2 + seed % 5
        classes = shown(index, set(index.subjects))
        try:
            splits = kfold(index, folds, seed, classes=classes)
        except DataError:
            # Refused only for too few people, or a class that hardly anybody shows.
            holders = Counter(name for person in index.subjects for name in shown(index, {person}))
            assert len(index.subjects) < folds or min(holders.values()) <= 3
            continue
        split_count += 1
        for split in splits:
            assert_sound(split, index)
            assert set().union(*split.parts.values()) == set(index.subjects)
            assert shown(index, set(split.train)) == classes
        assert sorted(person for split in splits for person in split.test) == list(index.subjects)
    assert split_count > 20


@pytest.mark.parametrize("first_seed", range(0, 400, 100))
def test_nobody_crosses_over_in_any_holdout(first_seed: int) -> None:
    split_count = 0
    for seed in range(first_seed, first_seed + 100):
        index = any_index(seed)
        chance = random.Random(seed)
        share = chance.uniform(0.05, 0.95)
        classes = shown(index, set(index.subjects))
        named = chance.sample(index.subjects, chance.randint(1, len(index.subjects)))
        try:
            drawn = holdout(index, test_share=share, seed=seed, classes=classes)
            assert_sound(drawn, index)
            assert shown(index, set(drawn.train)) == classes
            by_name = holdout(index, test_subjects=named, seed=seed, classes=classes)
        except DataError:
            continue
        assert_sound(by_name, index)
        assert set(by_name.test) == set(named)
        split_count += 1
    assert split_count > 20


def test_folds_of_mug_are_alike() -> None:
    index = like_mug()
    splits = kfold(index, 5, seed=3)
    assert [split.name for split in splits] == [f"fold-{number}" for number in range(1, 6)]
    per_class = np.array(
        [[Counter(t.emotion for t in select(index, s.test))[c] for c in CLASSES] for s in splits]
    )
    assert (np.abs(per_class / per_class.sum(axis=0) - 1 / 5) < 0.04).all()
    assert {len(split.test) for split in splits} <= {9, 10, 11, 12}
    assert all(4 <= len(split.validation) <= 8 for split in splits)
    assert warnings(splits, index) == []


def test_the_seed_decides_and_nothing_else() -> None:
    index = like_mug()
    assert kfold(index, seed=1) == kfold(index, seed=1)
    assert kfold(index, seed=1) != kfold(index, seed=2)
    assert holdout(index, seed=1) == holdout(index, seed=1)
    assert holdout(index, seed=1).test != holdout(index, seed=2).test
    reversed_takes = Index(index.takes[::-1], {})
    assert kfold(reversed_takes, seed=1) == kfold(index, seed=1)


def test_a_quarter_of_the_people_is_held_out() -> None:
    index = like_mug()
    split = holdout(index)
    assert len(split.test) == 13
    assert len(split.validation) == 6
    assert_sound(split, index)
    expected = Counter(take.emotion for take in index.takes)
    tested = Counter(take.emotion for take in select(index, split.test))
    assert all(0.15 < tested[name] / expected[name] < 0.35 for name in CLASSES)


def test_named_people_are_held_out() -> None:
    split = holdout(like_mug(), test_subjects=["006", "001", "001"])
    assert split.test == ("001", "006")


def test_lfdm_tests_the_other_half_and_counts_strangers() -> None:
    mugs = like_mug()
    stranger = Take("003", "fear", "take000", (Frame(Path("a.jpg")),))
    index = make_index([*mugs.takes, stranger], Counter())
    split = lfdm(index)
    assert_sound(split, index)
    assert set(split.train) | set(split.validation) == set(mug.LFDM_TRAIN)
    assert set(split.test) == set(mug.PUBLIC_SUBJECTS) - set(mug.LFDM_TRAIN)
    assert len(split.test) == 26
    assert warnings([split], index) == ["In no part: 1 of 53 people (003)."]


def test_everybody_has_no_test_part() -> None:
    index = like_mug(10)
    split = everybody(index)
    assert split.test == ()
    assert split.validation
    assert sorted(split.train + split.validation) == list(index.subjects)


def test_select_keeps_the_order_of_the_index() -> None:
    index = like_mug(3)
    taken = select(index, {"006", "001"})
    assert taken == tuple(take for take in index.takes if take.subject != "002")
    with pytest.raises(DataError, match=r"Not in the index: nobody\. It has 001, 002, 006"):
        select(index, ["001", "nobody"])


def test_the_table_has_a_row_for_each_part() -> None:
    index = like_mug(6)
    splits = kfold(index, 2, seed=0)
    header, *rows = describe(splits, index).splitlines()
    assert header.split() == ["split", "part", "people", "takes", *CLASSES]
    assert [row.split()[:2] for row in rows] == [
        [name, part] for name in ("fold-1", "fold-2") for part in ("train", "validation", "test")
    ]
    for split, row in ((splits[0], rows[2]), (splits[1], rows[5])):
        takes = select(index, split.test)
        numbers = [int(cell) for cell in row.split()[2:]]
        assert numbers[:2] == [len(split.test), len(takes)]
        assert numbers[2:] == [sum(t.emotion == name for t in takes) for name in CLASSES]


def test_validation_never_takes_the_last_who_shows_a_class() -> None:
    people = {f"p{number:02d}": dict.fromkeys(CLASSES[:6], 2) for number in range(20)}
    people["p07"] = dict.fromkeys(CLASSES, 2)
    for seed in range(30):
        split = holdout(index_of(people), test_subjects=["p01", "p02"], seed=seed)
        assert "p07" in split.train
        assert "p07" not in holdout(index_of(people), seed=seed).test


def test_warnings_name_what_a_test_part_lacks() -> None:
    people = {f"p{number}": dict.fromkeys(CLASSES, 1) for number in range(4)}
    people["p0"] = dict.fromkeys(CLASSES[:5], 1)
    index = index_of(people)
    found = warnings([holdout(index, test_subjects=["p0"])], index)
    assert found == ["holdout: nobody in its test part shows sadness, surprise."]
    two = index_of({"a": dict.fromkeys(CLASSES, 1), "b": dict.fromkeys(CLASSES, 1)})
    assert "too few people for a validation part" in warnings(kfold(two, 2), two)[0]


ALL = dict.fromkeys(CLASSES, 1)


@pytest.mark.parametrize("protocol", [kfold, lfdm, holdout, everybody])
def test_nobody_and_one_person_are_too_few(protocol: Callable[[Index], object]) -> None:
    with pytest.raises(DataError, match="index is empty"):
        protocol(index_of({}))
    with pytest.raises(DataError, match=r"one person only \(021\)"):
        protocol(index_of({"021": ALL}))


def test_fewer_people_than_folds() -> None:
    with pytest.raises(DataError, match="5 folds need at least 5 people; the index has 3"):
        kfold(like_mug(3))
    with pytest.raises(DataError, match="At least 2 folds are needed, not 1"):
        kfold(like_mug(3), folds=1)


def test_a_class_that_nobody_shows() -> None:
    index = index_of({f"p{number}": dict.fromkeys(CLASSES[:6], 2) for number in range(8)})
    for protocol in (kfold, holdout, everybody):
        with pytest.raises(DataError, match="nobody in its training part shows surprise"):
            protocol(index)
        protocol(index, classes=CLASSES[:6])


def test_a_class_of_one_person_cannot_be_in_folds() -> None:
    people = {f"p{number}": dict.fromkeys(CLASSES[1:], 2) for number in range(8)}
    people["p3"] = ALL
    with pytest.raises(DataError, match=r"fold-\d: nobody .* shows anger\. All who do .*: p3"):
        kfold(index_of(people), 4)
    with pytest.raises(DataError, match="nobody in its training part shows anger"):
        holdout(index_of(people), test_subjects=["p3"])


def test_everybody_is_the_last_to_show_something() -> None:
    with pytest.raises(DataError, match="Nobody can be tested"):
        holdout(index_of({name: {name: 1} for name in CLASSES}))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"test_subjects": ["001", "999"]}, r"Not in the index: 999\. It has 001, 002, .*…"),
        ({"test_subjects": like_mug(12).subjects}, "All 12 people are to be tested"),
        ({"test_subjects": []}, "list of people to test on is empty"),
        ({"test_subjects": ["001"], "test_share": 0.5}, "not both"),
        *[({"test_share": s}, "must lie between 0 and 1") for s in (0.0, 1.0, -1.0, float("nan"))],
    ],
)
def test_wrong_people_or_shares(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        holdout(like_mug(12), **wanted)


def test_lfdm_without_mug() -> None:
    with pytest.raises(DataError, match=r"Nobody of LFDM's training half .* it has anna, ben"):
        lfdm(index_of({"anna": ALL, "ben": ALL}))
    with pytest.raises(DataError, match="Nobody of LFDM's test half"):
        lfdm(index_of(dict.fromkeys(mug.LFDM_TRAIN, ALL)))


def test_a_split_checks_itself() -> None:
    with pytest.raises(ValueError, match="002 must be in one part only"):
        Split("x", ("001", "002"), (), ("002",))
    with pytest.raises(ValueError, match="001 must be in one part only"):
        Split("x", ("001", "001"), (), ("002",))
    with pytest.raises(ValueError, match="nobody is in the training part"):
        Split("x", (), ("001",), ("002",))

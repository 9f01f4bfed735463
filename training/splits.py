"""Training, validation and test by person: nobody is in two parts, and so no take is either.

Three protocols: grouped folds, LFDM's published halves, and a part of the people held out.
Each says before any training starts if it cannot work with the index it is given. Their
argument ``classes`` names what somebody in each training part must show; ``seed`` decides who
goes where, and the same seed always gives the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import DataError
from shelly_local.results import CLASSES

from .dataset import Index, Take

#: Share of the people not tested on who decide when to stop: of MUG's 42 these are 6, with
#: about 110 takes.
VALIDATION_SHARE = 0.15
#: Share of the people the first Shelly tested on.
TEST_SHARE = 0.25
#: Of so many at random the best is drawn: few, so that the seed still decides.
_CHOICES = 4
#: How many people an error message names.
_NAMED = 8

#: Takes per class of each person, float64 (len(CLASSES),).
Counts = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Split:
    """Who is in which part.

    Attributes:
        name: such as ``"fold-1"``; fit for a file name.
        train: people whose takes change the weights.
        validation: people whose takes decide when to stop; may be empty.
        test: people whose takes are reported; empty only in the split of ``everybody``.

    Raises:
        ValueError: somebody is named twice, or nobody is in training.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        people = self.train + self.validation + self.test
        twice = sorted({person for person in people if people.count(person) > 1})
        if twice:
            raise ValueError(f"{self.name}: {', '.join(twice)} must be in one part only")
        if not self.train:
            raise ValueError(f"{self.name}: nobody is in the training part")

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The people of each part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def kfold(
    index: Index, folds: int = 5, seed: int = 0, *, classes: Collection[str] = CLASSES
) -> list[Split]:
    """Grouped folds: everybody is tested once, by a model that never saw them.

    The takes of each class are spread over the folds as evenly as whole people allow.

    Args:
        index: the takes.
        folds: how many, at least 2.
        seed, classes: see above.

    Raises:
        DataError: fewer people than folds, or a class that a training part lacks.
    """
    counts = _counts(index)
    if folds < 2:
        raise DataError(f"At least 2 folds are needed, not {folds}.")
    if len(counts) < folds:
        raise DataError(f"{folds} folds need at least {folds} people; the index has {len(counts)}.")
    groups = _deal(counts, folds, seed)
    return [
        _with_validation(f"fold-{number}", counts, _others(counts, test), test, seed, classes)
        for number, test in enumerate(groups, start=1)
    ]


def lfdm(index: Index, seed: int = 0, *, classes: Collection[str] = CLASSES) -> Split:
    """The published halves of MUG's 52 people: 26 to train on, 26 to test on.

    From Ni et al. 2023, "Conditional Image-to-Video Generation with Latent Flow Diffusion
    Models". Validation people come from the training half. Whoever is on neither list (MUG's
    003, and anybody who is not from MUG) is in no part; ``warnings`` tells how many.

    Args:
        index: the takes, with MUG's names of people, such as ``"001"``.
        seed, classes: see above.

    Raises:
        DataError: nobody of one half is in the index, or a class that training lacks.
    """
    from .mug import LFDM_TRAIN, PUBLIC_SUBJECTS

    counts = _counts(index)
    other_half = [person for person in PUBLIC_SUBJECTS if person not in LFDM_TRAIN]
    train = [person for person in counts if person in LFDM_TRAIN]
    test = [person for person in counts if person in other_half]
    for half, people, wanted in (("training", train, LFDM_TRAIN), ("test", test, other_half)):
        if not people:
            raise DataError(
                f"Nobody of LFDM's {half} half ({_some(wanted)}) is in the index; it has "
                f"{_some(counts)}. The protocol is for MUG only."
            )
    return _with_validation("lfdm", counts, train, test, seed, classes)


def holdout(
    index: Index,
    *,
    test_subjects: Sequence[str] | None = None,
    test_share: float | None = None,
    seed: int = 0,
    classes: Collection[str] = CLASSES,
) -> Split:
    """One test part: people named, or a share of them as the first Shelly did.

    Args:
        index: the takes.
        test_subjects: who is tested; or
        test_share: share of the people tested, drawn at random so that the classes keep
            their proportions as far as possible; ``TEST_SHARE`` by default.
        seed, classes: see above.

    Raises:
        DataError: both are given, a person is unknown, nobody is left to train on, or a
            class that training lacks.
    """
    counts = _counts(index)
    if test_subjects is not None and test_share is not None:
        raise DataError("Give the people to test on or their share, not both.")
    if test_subjects is not None:
        test = list(dict.fromkeys(test_subjects))
        _check_known(test, counts)
        if not test:
            raise DataError("The list of people to test on is empty.")
        if len(test) == len(counts):
            raise DataError(f"All {len(test)} people are to be tested; nobody is left to train on.")
    else:
        share = TEST_SHARE if test_share is None else test_share
        if not 0 < share < 1:
            raise DataError(
                f"The share of people to test on must lie between 0 and 1, not {share}."
            )
        wanted = min(max(round(share * len(counts)), 1), len(counts) - 1)
        test = _draw(counts, list(counts), wanted, seed)
        if not test:
            raise DataError("Nobody can be tested: each person alone shows some emotion.")
    return _with_validation("holdout", counts, _others(counts, test), test, seed, classes)


def everybody(index: Index, seed: int = 0, *, classes: Collection[str] = CLASSES) -> Split:
    """No test part: for the model to use, made after the folds have told how good it is.

    Raises:
        DataError: one person only, or a class that nobody shows.
    """
    counts = _counts(index)
    return _with_validation("everybody", counts, list(counts), (), seed, classes)


def select(index: Index, subjects: Iterable[str]) -> tuple[Take, ...]:
    """The takes of some people, in the order of the index.

    Raises:
        DataError: somebody is not in the index.
    """
    wanted = set(subjects)
    _check_known(sorted(wanted), index.subjects)
    return tuple(take for take in index.takes if take.subject in wanted)


def warnings(
    splits: Sequence[Split], index: Index, *, classes: Collection[str] = CLASSES
) -> list[str]:
    """What to know of these splits before believing a report on them."""
    counts = _counts(index)
    found = []
    for split in splits:
        untested = [name for name in classes if not _shown(counts, split.test)[name]]
        if untested:
            found.append(f"{split.name}: nobody in its test part shows {', '.join(untested)}.")
        if not split.validation:
            found.append(f"{split.name}: too few people for a validation part.")
    placed = {person for split in splits for people in split.parts.values() for person in people}
    left_out = [person for person in counts if person not in placed]
    if left_out:
        found.append(f"In no part: {len(left_out)} of {len(counts)} people ({_some(left_out)}).")
    return found


def describe(splits: Sequence[Split], index: Index) -> str:
    """A table: people, and takes per class, of each part of each split."""
    counts = _counts(index)
    rows = [["split", "part", "people", "takes", *CLASSES]]
    for split in splits:
        for part, people in split.parts.items():
            shown = _shown(counts, people)
            numbers = [len(people), sum(shown.values()), *shown.values()]
            rows.append([split.name, part, *(str(number) for number in numbers)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _counts(index: Index) -> Counts:
    """Takes per class of everybody, in the order of names.

    Raises:
        DataError: nobody, or one person only.
    """
    if not index.takes:
        raise DataError("The index is empty: there is no take to train on.")
    people = index.subjects
    if len(people) == 1:
        raise DataError(
            f"The index has one person only ({people[0]}); training and test need different ones."
        )
    counts = {person: np.zeros(len(CLASSES)) for person in people}
    for take in index.takes:
        counts[take.subject][CLASSES.index(take.emotion)] += 1
    return counts


def _shown(counts: Counts, people: Iterable[str]) -> dict[str, int]:
    """Takes of each class in a part."""
    total = sum((counts[person] for person in people), np.zeros(len(CLASSES)))
    return {name: int(number) for name, number in zip(CLASSES, total, strict=True)}


def _others(counts: Counts, people: Iterable[str]) -> list[str]:
    named = set(people)
    return [person for person in counts if person not in named]


def _some(people: Collection[str]) -> str:
    """A few names for a message."""
    named = sorted(people)
    return ", ".join(named[:_NAMED]) + (", …" if len(named) > _NAMED else "")


def _check_known(people: Iterable[str], known: Collection[str]) -> None:
    unknown = [person for person in people if person not in known]
    if unknown:
        raise DataError(f"Not in the index: {_some(unknown)}. It has {_some(known)}.")


def _shuffled(people: Iterable[str], seed: int) -> list[str]:
    """A random order that no version of a library changes: a published split stays."""
    return sorted(people, key=lambda person: hashlib.sha256(f"{seed}/{person}".encode()).digest())


def _deal(counts: Counts, groups: int, seed: int) -> list[list[str]]:
    """Everybody into one of so many groups, none of them empty.

    The people with most takes first, each to the group where the imbalance of the classes
    grows least: the sum over groups and classes of the squared share of the class's takes.
    """
    total = sum(counts.values(), np.zeros(len(CLASSES)))
    weights = 1.0 / np.maximum(total, 1.0) ** 2
    dealt = np.zeros((groups, len(CLASSES)))
    people: list[list[str]] = [[] for _ in range(groups)]

    def cost(group: int, person: str) -> tuple[int, float, int]:
        own = counts[person]
        # A class that is all in one group is one that nobody else could be trained on.
        whole = int(((own > 0) & (dealt[group] + own == total) & (dealt[group] > 0)).sum())
        growth = float((weights * own * (2 * dealt[group] + own)).sum())
        return whole, growth, len(people[group])

    for person in sorted(_shuffled(counts, seed), key=lambda name: -counts[name].sum()):
        group = min(range(groups), key=lambda number: cost(number, person))
        people[group].append(person)
        dealt[group] += counts[person]
    return [sorted(group) for group in people]


def _draw(counts: Counts, people: Sequence[str], wanted: int, seed: int) -> list[str]:
    """Draw people whose takes have the proportions of all, as far as whole people allow.

    Whoever is the last to show a class stays; fewer than wanted are drawn if need be.
    """
    left = sum((counts[person] for person in people), np.zeros(len(CLASSES)))
    per_person = left / len(people)
    drawn: list[str] = []
    sum_drawn = np.zeros(len(CLASSES))
    waiting = _shuffled(people, seed)
    while len(drawn) < wanted:
        free = [p for p in waiting if not ((counts[p] > 0) & (counts[p] == left)).any()]
        if not free or len(waiting) == 1:
            break
        aim = per_person * (len(drawn) + 1)
        errors = [float(np.abs(sum_drawn + counts[p] - aim).sum()) for p in free[:_CHOICES]]
        person = free[int(np.argmin(errors))]
        waiting.remove(person)
        drawn.append(person)
        sum_drawn += counts[person]
        left = left - counts[person]
    return sorted(drawn)


def _with_validation(
    name: str,
    counts: Counts,
    others: Sequence[str],
    test: Sequence[str],
    seed: int,
    classes: Collection[str],
) -> Split:
    """A split whose validation people are drawn from those not tested on.

    Raises:
        DataError: nobody not tested on shows one of the classes.
    """
    shown = _shown(counts, others)
    lacking = [emotion for emotion in CLASSES if emotion in classes and not shown[emotion]]
    if lacking:
        message = f"{name}: nobody in its training part shows {', '.join(lacking)}."
        columns = [CLASSES.index(emotion) for emotion in lacking]
        tested = [person for person in test if counts[person][columns].any()]
        if tested:
            message += f" All who do are in the test part: {_some(tested)}."
        raise DataError(message)
    wanted = max(round(VALIDATION_SHARE * len(others)), 1)
    validation = _draw(counts, others, wanted, seed)
    train = sorted(set(others) - set(validation))
    return Split(name, tuple(train), tuple(validation), tuple(sorted(test)))

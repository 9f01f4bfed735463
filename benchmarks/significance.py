"""How sure a figure is, and whether two backends differ: bootstrap and McNemar's test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Resamples of the bootstrap; enough for two digits of a 95 % interval.
DRAWS = 2000
#: Resamples computed at a time, so that thousands of subjects need little memory.
CHUNK = 100
#: Ends of a 95 % interval, in percent.
INTERVAL = (2.5, 97.5)
DECIMALS = 5

Floats = NDArray[np.float64]


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value of McNemar's test in its exact form (McNemar 1947).

    Under the null hypothesis a picture that exactly one of two classifiers reads rightly is
    the first's or the second's with equal chance: a binomial distribution.

    Args:
        only_first: pictures that only the first classifier reads rightly, 0 or more.
        only_second: pictures that only the second one does.

    Raises:
        ValueError: a count is negative.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts must be at least 0, got {only_first} and {only_second}")
    n, fewer = only_first + only_second, min(only_first, only_second)
    # Whole numbers of any size, divided once at the end: exact for thousands of pictures.
    tail = sum(comb(n, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**n))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having asked several questions (Holm 1979), in their order."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def interval(values: Sequence[float], subjects: Sequence[str], seed: int = 0) -> list[float] | None:
    """95 % interval of a mean by bootstrap over subjects, each with all their pictures.

    Args:
        values: (N,), such as 1 for a right answer, or differences between two backends.
        subjects: (N,), who is on each picture.
        seed: of the random draws; equal seeds and subjects draw equally.

    Returns:
        Lower and upper end; None with fewer than two subjects, which say nothing.
    """
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.bincount(index, weights=np.asarray(values, dtype=float), minlength=len(names))
    totals = np.bincount(index, minlength=len(names))
    generator = np.random.default_rng(seed)
    means: list[Floats] = []
    for _ in range(0, DRAWS, CHUNK):
        draws = generator.integers(0, len(names), (CHUNK, len(names)))
        means.append(sums[draws].sum(axis=1) / totals[draws].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), INTERVAL)
    return [round(float(low), DECIMALS), round(float(high), DECIMALS)]


def compare(
    right: Mapping[str, Mapping[str, bool]], subjects: Mapping[str, str], seed: int = 0
) -> list[dict[str, Any]]:
    """Every pair of backends on the pictures that both were asked about.

    Args:
        right: for each backend, by picture, whether it was read rightly.
        subjects: who is on each picture.
        seed: of the bootstrap.

    Returns:
        For each pair ``first``, ``second``, ``n``, ``difference`` of the accuracies (first
        minus second) with ``difference_ci95``, ``only_first`` and ``only_second`` right, and
        McNemar's ``p_value`` with ``p_holm``, adjusted for the number of pairs.
    """
    pairs: list[dict[str, Any]] = []
    for first, second in combinations(right, 2):
        common = sorted(right[first].keys() & right[second].keys())
        if not common:
            continue
        a = np.array([right[first][name] for name in common])
        b = np.array([right[second][name] for name in common])
        differences = a.astype(float) - b.astype(float)
        pairs.append(
            {
                "first": first,
                "second": second,
                "n": len(common),
                "difference": round(float(differences.mean()), DECIMALS),
                "difference_ci95": interval(
                    differences.tolist(), [subjects[name] for name in common], seed
                ),
                "only_first": int((a & ~b).sum()),
                "only_second": int((b & ~a).sum()),
                "p_value": mcnemar_exact(int((a & ~b).sum()), int((b & ~a).sum())),
            }
        )
    for pair, adjusted in zip(pairs, holm([pair["p_value"] for pair in pairs]), strict=True):
        pair["p_holm"] = adjusted
    return pairs

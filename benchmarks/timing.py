"""Taking turns, and percentiles of times, the same wherever times are told."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

PERCENTILES = (50, 95, 99)
#: Decimals of milliseconds.
DECIMALS = 2
#: Rounds that are not counted: caches fill, connections are made, clocks rise.
WARM_UP = 3
#: Seconds before each answer in which the threads of the one before, which wait for more work
#: by spinning, go to sleep; else they would take a core from the next in turn.
REST_S = 0.02

T = TypeVar("T")


class Sample(NamedTuple):
    """Milliseconds of wall-clock, and of processor time of all threads of this process."""

    wall_ms: float
    cpu_ms: float


def turns(
    contenders: Sequence[T], rounds: int, warm_up: int = WARM_UP
) -> Iterator[tuple[int, list[T]]]:
    """Rounds in which another one is first each time, so that a slow moment hits all alike.

    Yields:
        The number of the round, below 0 where it warms up, and the contenders in their order.
    """
    for number in range(-warm_up, rounds):
        first = number % len(contenders)
        yield number, [*contenders[first:], *contenders[:first]]


def measure(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = WARM_UP,
    rest_s: float = REST_S,
) -> dict[str, list[Sample]]:
    """What each contender takes, in turn with the others; a sample for each round."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    for number, names in turns(list(contenders), rounds, warm_up):
        for name in names:
            time.sleep(rest_s)
            start, start_cpu = time.perf_counter(), time.process_time()
            contenders[name]()
            spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if number >= 0:
                samples[name].append(Sample(1000 * spent, 1000 * spent_cpu))
    return samples


def percentiles(times: Sequence[float]) -> dict[str, float | None]:
    """``p50_ms``, ``p95_ms`` and ``p99_ms``, with linear interpolation; None without times."""
    if not times:
        return {f"p{q}_ms": None for q in PERCENTILES}
    values = np.percentile(times, PERCENTILES)
    return {
        f"p{q}_ms": round(float(value), DECIMALS)
        for q, value in zip(PERCENTILES, values, strict=True)
    }

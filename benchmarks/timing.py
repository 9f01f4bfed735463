"""Percentiles of times, the same wherever times are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERCENTILES = (50, 95, 99)
#: Decimals of milliseconds.
DECIMALS = 2


def percentiles(times: Sequence[float]) -> dict[str, float | None]:
    """``p50_ms``, ``p95_ms`` and ``p99_ms``, with linear interpolation; None without times."""
    if not times:
        return {f"p{q}_ms": None for q in PERCENTILES}
    values = np.percentile(times, PERCENTILES)
    return {
        f"p{q}_ms": round(float(value), DECIMALS)
        for q, value in zip(PERCENTILES, values, strict=True)
    }

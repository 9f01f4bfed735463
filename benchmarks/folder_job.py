"""Photos a second of a job over a folder, in the middle of it: start and end are left out."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice
from pathlib import Path

from shelly_local.batch.inputs import named_photo
from shelly_local.batch.processes import lines_side_by_side

#: Rows per process that are not counted at the beginning, while processes start and what is
#: handed over ahead piles up; that are counted; and during which there must be more to do.
SETTLING, COUNTED, AHEAD = 24, 100, 16


def milliseconds(photo: Path, processes: int) -> float:
    """Wall-clock per photo of a ``shelly classify`` over copies of a photo.

    Args:
        photo: each of the files that the job reads.
        processes: how many work.
    """
    photos = (named_photo(str(photo)) for _ in range(processes * (SETTLING + COUNTED + AHEAD)))
    with closing(lines_side_by_side(photos, processes)) as lines:
        for _ in islice(lines, processes * SETTLING):
            pass
        start = time.perf_counter()
        for _ in islice(lines, processes * COUNTED):
            pass
        return 1000.0 * (time.perf_counter() - start) / (processes * COUNTED)

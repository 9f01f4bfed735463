"""Many photos through one classifier: a few threads, answers in the order of the photos."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from shelly_local.errors import ImageError
from shelly_local.vision.classifier import Analysis, EmotionClassifier

#: Photos in work or waiting per thread: keeps every thread busy while one photo takes long,
#: and memory small however many photos there are.
_AHEAD = 2


def analyse_many(
    classifier: EmotionClassifier,
    photos: Iterable[bytes | str | os.PathLike[str] | BinaryIO],
    *,
    workers: int | None = None,
) -> Iterator[Analysis | ImageError]:
    """Analyse photos side by side; decoding and networks run outside Python's lock.

    Args:
        classifier: made with ``threads=1``, or its own threads compete with the workers.
        photos: see ``EmotionClassifier.classify``; drawn as needed, two per worker ahead.
        workers: threads, at least 1; None for one per core.

    Yields:
        For each photo, in order, its analysis, or the error why it has none. Closing the
        iterator drops what has not begun.

    Raises:
        ValueError: ``workers`` below 1.
    """
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 1:
        raise ValueError(f"workers must be at least 1, got {count}")
    return _in_order(classifier, photos, count)


def _in_order(
    classifier: EmotionClassifier,
    photos: Iterable[bytes | str | os.PathLike[str] | BinaryIO],
    workers: int,
) -> Iterator[Analysis | ImageError]:
    def analyse(photo: bytes | str | os.PathLike[str] | BinaryIO) -> Analysis | ImageError:
        try:
            return classifier.analyse(photo)
        except ImageError as error:
            return error

    waiting: deque[Future[Analysis | ImageError]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="shelly-photo")
    try:
        for photo in photos:
            waiting.append(pool.submit(analyse, photo))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

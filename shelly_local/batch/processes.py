"""Photos of a job in several processes of this machine.

Processes and not threads: a fifth of a photo's time is Python's own, which threads of one process
take in turns, and a photo that brings its process down costs itself and not the job.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

from shelly_local.batch.answerers import answer
from shelly_local.batch.inputs import PhotoInput
from shelly_local.batch.workers import interrupts_held, start_workers
from shelly_local.batch.writers import json_line
from shelly_local.errors import ImageUnreadableError, ShellyError
from shelly_local.vision.classifier import EmotionClassifier

#: Photos that a process gets at once: 0.2 seconds of work, beside which handing over is nothing
#: (with 4 a job of large photos takes 3 % longer).
CHUNK = 8
#: Bytes after which nothing more is put to photos that are handed over as bytes.
MOST_BYTES = 2_000_000
#: Photos from which on another process pays: it takes as long to start as 15 of them.
LEAST_PHOTOS = 16
#: Chunks in work or waiting per process: keeps all busy while one photo takes long.
_AHEAD = 2
#: Processes that may die one after another, each over one photo, before it is not the photos.
_MOST_DEATHS = 3
#: A photo and what to hand to the classifier; None where there is an error instead.
_Task = tuple[PhotoInput, bytes | Path | None]

_classifier: EmotionClassifier | None = None
_model: Path | None = None
_how: dict[str, Any] = {}


def processes_for(photos: int, wanted: int | None, cores: int) -> int:
    """How many processes a job gets.

    Args:
        photos: of the job.
        wanted: as the user said; None leaves it to us.
        cores: of this machine.
    """
    most = photos // LEAST_PHOTOS if wanted is None else -(-photos // CHUNK)
    return max(min(wanted or cores, most), 1)


def lines_side_by_side(
    photos: Iterable[PhotoInput],
    processes: int,
    model: Path | None = None,
    **how: Any,
) -> Generator[str, None, None]:
    """The row of each photo, in their order; closing it ends the processes.

    Args:
        photos: drawn as they are needed.
        processes: how many.
        model: folder of the model; None for the one that comes along.
        **how: ``detection`` and ``device`` of ``EmotionClassifier``.

    Raises:
        ShellyError: the model cannot be loaded, or no process stays alive.
    """
    source = _chunks(photos)
    who = model, how
    pool = start_workers(processes, _begin, who)
    chunks: deque[list[_Task]] = deque()  # without a row yet, the first of them handed over
    answers: deque[Future[list[str]]] = deque()
    try:
        while True:
            chunks.extend(islice(source, _AHEAD * processes - len(chunks)))
            if not chunks:
                return
            try:
                for chunk in islice(chunks, len(answers), None):
                    answers.append(_hand_over(pool, chunk))
                lines = answers[0].result()
            except BrokenProcessPool:  # over one of the photos in work
                pool.shutdown()
                yield from _one_by_one([task for chunk in chunks for task in chunk], who)
                chunks.clear()
                answers.clear()
                pool = start_workers(processes, _begin, who)
            else:
                chunks.popleft()
                answers.popleft()
                yield from lines
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(photos: Iterable[PhotoInput]) -> Iterator[list[_Task]]:
    """What processes get at once."""
    chunk: list[_Task] = []
    size = 0
    for photo in photos:
        photo, content = _task(photo)
        chunk.append((photo, content))
        size += len(content) if isinstance(content, bytes) else 0
        if len(chunk) == CHUNK or size >= MOST_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _task(photo: PhotoInput) -> _Task:
    """What lies within a file of many is read here, once, and pipes can be read nowhere else."""
    try:
        return photo, photo.read()
    except ImageUnreadableError as error:
        return PhotoInput(photo.name, photo.copy_path, error=error), None


def _one_by_one(tasks: Iterable[_Task], who: tuple[Path | None, dict[str, Any]]) -> Iterator[str]:
    """Some photos after a process died over one of them: which one shows when it is alone."""
    pool = start_workers(1, _begin, who)
    deaths = 0
    try:
        for task in tasks:
            try:
                lines = _hand_over(pool, [task]).result()
                deaths = 0
            except BrokenProcessPool as error:
                deaths += 1
                if deaths == _MOST_DEATHS:
                    raise ShellyError(
                        f"{deaths} worker processes died one after another, perhaps for want of "
                        "memory; give --workers a smaller number"
                    ) from error
                reason = "the process that worked on it died, perhaps for want of memory"
                lines = [json_line(task[0].name, ShellyError(reason))]
                pool.shutdown()
                pool = start_workers(1, _begin, who)
            yield from lines
    finally:
        pool.shutdown(cancel_futures=True)


def _hand_over(pool: ProcessPoolExecutor, chunk: list[_Task]) -> Future[list[str]]:
    with interrupts_held():
        return pool.submit(_work, chunk)


def _begin(model: Path | None, how: dict[str, Any]) -> None:
    global _model, _how
    _model, _how = model, how


def _work(chunk: list[_Task]) -> list[str]:
    """Rows of a chunk, in a worker process."""
    global _classifier
    if _classifier is None:  # here and not at the beginning: what goes wrong reaches the parent
        _classifier = EmotionClassifier(_model, threads=1, **_how)
    return [
        json_line(photo.name, answer(_classifier.classify, photo, content))
        for photo, content in chunk
    ]

"""A job from its inputs to its output, with either engine."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from shelly_local.batch.inputs import PhotoInput
from shelly_local.batch.job import Job, JobFolder
from shelly_local.batch.progress import ProgressBar
from shelly_local.batch.writers import OutputError, complain, json_line
from shelly_local.errors import ShellyError

#: Who does the batches: processes of this machine, or Ray's workers here or on a cluster.
ENGINES = ("local", "ray")
#: Seconds in which a file written by another machine must be seen here: network file systems
#: remember for up to a minute that there was none.
VISIBLE_SECONDS = 90.0


@dataclass(frozen=True)
class Options:
    """How a job is done.

    Attributes:
        output: where the results go; Parquet or JSON Lines by its suffix.
        backend: who answers.
        model: folder of the model; None for the one that comes along.
        detection: how faces are looked for, see ``EmotionClassifier``.
        device: where the networks run, see ``EmotionClassifier``.
        engine: one of ``ENGINES``.
        workers: processes, or Ray's workers; None for one per core, if there is enough to do.
        ray_address: of a cluster; None for a Ray of our own on this machine.
        batch: photos of a batch; None for 100.
        restart: begin anew where an earlier run was stopped.
        show_progress: show a progress bar if standard error is a terminal.
    """

    output: Path
    backend: str = "local"
    model: Path | None = None
    detection: str = "fast"
    device: str = "cpu"
    engine: str = "local"
    workers: int | None = None
    ray_address: str | None = None
    batch: int | None = None
    restart: bool = False
    show_progress: bool = False


def run_job(photos: Iterable[PhotoInput], options: Options) -> int:
    """Classify photos batch by batch, going on where an earlier run was stopped.

    Args:
        photos: the inputs.
        options: see there.

    Returns:
        0, or 1 when a photo failed, in this run or in an earlier one.

    Raises:
        ShellyError: the model cannot be loaded, the output not be written, or what is there
            is another job.
    """
    output = options.output
    # A link keeps pointing where it points; other paths stay as all machines see them.
    target = Path(os.path.realpath(output)) if output.is_symlink() else output.absolute()
    if target.exists() and not target.is_file():
        raise OutputError(f"cannot write to {options.output}: it is no file")
    if target.suffix.lower() == ".parquet":
        from shelly_local.batch.parquet import library

        library()  # told before the work, not after it
    if options.engine == "ray":
        from shelly_local.batch import ray as ray_engine

        ray_engine.library(own=options.ray_address is None)
    with JobFolder(target) as folder:
        job = folder.begin(
            photos,
            *_who(options),
            model=options.model,
            batch=options.batch,
            restart=options.restart,
        )
        failed = _do(job, options)
        job.finish(target)
        folder.clear()
    if failed:
        complain(f"{failed} of {job.description.photos} photos failed; their rows say why")
    return 1 if failed else 0


def _who(options: Options) -> tuple[dict[str, str], tuple[str, ...]]:
    """Who answers, and the names of the scores."""
    from shelly_local import __version__
    from shelly_local.results import CLASSES

    if options.backend != "local":
        return {"backend": options.backend, "shelly": __version__}, CLASSES
    from shelly_local.batch.answerers import identity
    from shelly_local.vision.model import EmotionModel

    return identity(options.model, options.detection), EmotionModel(
        options.model, threads=1
    ).classes


def _do(job: Job, options: Options) -> int:
    """Do the batches that are not done; how many photos failed in all of them."""
    failed = done = 0
    pending: list[int] = []
    for batch in range(len(job)):
        failures = job.failures(batch)
        if failures is None:
            pending.append(batch)
        else:
            failed += len(failures)
            done += job.size(batch)
    total = job.description.photos
    if done:
        complain(f"{done} of {total} photos are done already")
    if not pending:
        return failed
    with ProgressBar(total, wanted=options.show_progress, done=done) as bar:
        try:
            for batch in _engine(job, pending, options, bar):
                done += job.size(batch)
                failures = _written(job, batch)
                failed += len(failures)
                with bar.hidden():
                    for path, reason in failures:
                        complain(f"{path}: {reason}")
        except BaseException:
            with bar.hidden():
                complain(f"{done} of {total} photos are done; the same command does the others")
            raise
    return failed


def _written(job: Job, batch: int) -> list[tuple[str, str]]:
    """What failed in a batch that has just been written, here or by another machine."""
    deadline = time.monotonic() + VISIBLE_SECONDS
    while (failures := job.failures(batch)) is None:
        if time.monotonic() > deadline:
            raise OutputError(
                f"batch {batch} was written but is not in {job.folder}; do all machines see it?"
            )
        time.sleep(0.1)
    return failures


def _engine(job: Job, pending: list[int], options: Options, bar: ProgressBar) -> Iterator[int]:
    """The batches as they are done; the bar advances meanwhile."""
    if options.engine == "ray":
        from shelly_local.batch.ray import run_ray

        for batch in run_ray(job, pending, options.workers, options.ray_address):
            bar.advance(job.size(batch))
            yield batch
    else:
        yield from _run_here(job, pending, options, bar)


def _run_here(job: Job, pending: list[int], options: Options, bar: ProgressBar) -> Iterator[int]:
    photos = (photo for batch in pending for photo in job.inputs(batch))
    left = sum(job.size(batch) for batch in pending)
    # Closed at the end whatever it is: its processes end, too.
    with closing(_lines(photos, left, options)) as lines:
        for batch in pending:
            done = []
            for line in islice(lines, job.size(batch)):
                done.append(line)
                bar.advance()
            if len(done) < job.size(batch):
                raise ShellyError(
                    f"batch {batch} has {job.size(batch)} photos, and {len(done)} of them were "
                    "answered; the same command does it again"
                )
            job.write(batch, done)
            yield batch


def _lines(
    photos: Iterable[PhotoInput], count: int, options: Options
) -> Generator[str, None, None]:
    """The row of each photo, in their order."""
    from shelly_local.batch.answerers import answer

    if options.backend != "local":
        from shelly_local.backends import open_backend
        from shelly_local.vision.images import read

        backend = open_backend(options.backend)
        if not backend.is_local:
            complain(f"the photos are sent to {backend.title}")
        for photo in photos:
            yield json_line(photo.name, answer(lambda given: backend.classify(read(given)), photo))
        return
    from shelly_local.batch.processes import lines_side_by_side, processes_for

    processes = processes_for(count, options.workers, os.cpu_count() or 1)
    if processes > 1:
        yield from lines_side_by_side(
            photos, processes, options.model, detection=options.detection, device=options.device
        )
        return
    from shelly_local.vision.classifier import EmotionClassifier

    classifier = EmotionClassifier(
        options.model, threads=1, detection=options.detection, device=options.device
    )
    for photo in photos:
        yield json_line(photo.name, answer(classifier.classify, photo))

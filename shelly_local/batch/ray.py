"""The batches of a job by Ray Data (https://docs.ray.io): a pool of workers, here or on a cluster.

Through Ray go the numbers of batches, and nothing else: a worker reads paths, photos and model,
and writes results, in folders that all machines see under the same path. So no picture gets
into Ray's object store, which may spill to disk, and a batch that a dead worker has written
is not done again.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shelly_local.batch.answerers import answer, identity
from shelly_local.batch.job import Job
from shelly_local.batch.writers import json_line
from shelly_local.errors import MissingExtraError, ShellyError
from shelly_local.vision.classifier import EmotionClassifier

#: Bytes of the object store of a Ray of our own: the least that Ray takes. Numbers need less.
_STORE_BYTES = 80 * 2**20
#: Pieces into which the batches are cut at most, each a task of Ray.
_MAX_TASKS = 10_000


class Worker:
    """One of Ray's workers: loads the networks once and does batches.

    Args:
        folder: of the job.

    Raises:
        ShellyError: the job is not here, or this machine would answer differently.
    """

    def __init__(self, folder: str) -> None:
        self._job = Job(Path(folder))
        described = self._job.description
        detection = described.answers.get("detection", "fast")
        here = identity(described.model, detection)
        if here != described.answers:
            raise ShellyError(
                f"this machine has another model or version than the one that began the job: "
                f"{here} here, {described.answers} there"
            )
        if described.folder is not None:
            try:
                os.chdir(described.folder)  # where relative paths start from; one worker a process
            except OSError as error:
                raise ShellyError(
                    f"the folder {described.folder} is not on this machine: {error.strerror}"
                ) from error
        self._classifier = EmotionClassifier(described.model, threads=1, detection=detection)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Do batches.

        Args:
            rows: ``batch``, their numbers, and ``offset``, where each begins in the list.

        Returns:
            The rows as they are; the results are in the folder of the job.
        """
        for batch, offset in zip(rows["batch"].tolist(), rows["offset"].tolist(), strict=True):
            # Ray repeats the task of a worker that died, which may have done some of it.
            if self._job.failures(batch) is None:
                photos = self._job.inputs(batch, offset)
                classify = self._classifier.classify
                lines = [json_line(photo.name, answer(classify, photo)) for photo in photos]
                self._job.write(batch, lines)
        return rows


def run_ray(
    job: Job, pending: Sequence[int], workers: int | None, address: str | None
) -> Iterator[int]:
    """Do batches on Ray.

    Args:
        job: what is to be done; its folder must be seen by all machines.
        pending: numbers of the batches.
        workers: how many work at the same time, each on a core; None for one per core.
        address: of a cluster, such as ``auto``, ``host:6379`` or ``ray://host:10001``; None
            starts a Ray of our own on this machine, and stops it at the end.

    Yields:
        The numbers of the batches, as they are done.

    Raises:
        MissingExtraError: Ray is not installed; the message holds the line that does it.
        ShellyError: the cluster is out of reach, or a worker cannot start.
    """
    ray = library(own=address is None)
    try:
        _connect(ray, workers, address)
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        offsets = job.offsets()
        rows = [{"batch": batch, "offset": offsets[batch]} for batch in pending]
        tasks = min(len(rows), _MAX_TASKS)
        done = ray.data.from_items(rows, override_num_blocks=tasks).map_batches(
            Worker,
            fn_constructor_args=[str(job.folder)],
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=min(count, tasks)),
        )
        for row in done.iter_rows():
            yield int(row["batch"])
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ShellyError(f"Ray stopped: {_reason(error)}") from error
    finally:
        ray.shutdown()


def library(*, own: bool) -> Any:
    """The module ``ray``, with its data library.

    Args:
        own: whether a Ray of our own is to be started. It listens on all addresses, so it is
            to obey only those who have its token; Ray looks for that when it is imported.

    Raises:
        MissingExtraError: it is not installed; the message holds the line that does it.
    """
    # Ray would report its use to its makers, over the network.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if own:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # for Ray's processes, too
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError(
            '--engine ray needs Ray; install it with: pip install "shelly-local[ray]"'
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _connect(ray: Any, workers: int | None, address: str | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        ray.init(
            address="local",
            num_cpus=workers or os.cpu_count(),
            object_store_memory=_STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
    else:
        ray.init(address=address, **quiet)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

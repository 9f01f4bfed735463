"""``shelly classify`` with ``--output`` to JSON Lines or Parquet: a job that can be stopped."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shelly_local.batch.inputs import STANDARD_INPUT, PhotoInput
from shelly_local.batch.job import DEFAULT_BATCH
from shelly_local.batch.run import ENGINES, Options, run_job
from shelly_local.batch.writers import find_overwritten
from shelly_local.settings import Setting, whole_number

#: What an output is by its suffix.
KINDS = {
    "": "table",
    ".txt": "table",
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_ONLY_FOR_JOBS = ("engine", "workers", "ray_address", "batch", "restart")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that only jobs have."""
    jobs = parser.add_argument_group("jobs, with --output FILE.jsonl or FILE.parquet")
    jobs.add_argument(
        "--engine",
        choices=ENGINES,
        help="processes of this machine, or workers of Ray (default: local)",
    )
    jobs.add_argument(
        "--workers",
        metavar="N",
        type=Setting("number", whole_number(1)).argument,
        help="photos classified at the same time (default: one per core)",
    )
    jobs.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of a Ray cluster, such as auto on one of its machines; all of them must see photos "
        "and output under the same paths (default: a Ray of its own on this machine)",
    )
    jobs.add_argument(
        "--batch",
        metavar="N",
        type=Setting("number", whole_number(1)).argument,
        help=f"photos after which results are safe (default: {DEFAULT_BATCH})",
    )
    jobs.add_argument(
        "--restart",
        action="store_true",
        help="begin anew instead of going on where a run was stopped",
    )


def output_kind(arguments: argparse.Namespace) -> str:
    """How results are written: one of the values of ``KINDS``.

    Raises:
        SystemExit: the suffix of the output says nothing, and no flag does.
    """
    if arguments.csv:
        return "csv"
    if arguments.json:
        return "jsonl"
    output: Path | None = arguments.output
    if output is None or (output.exists() and not (output.is_file() or output.is_dir())):
        return "table"
    kind = KINDS.get(output.suffix.lower())
    if kind is None:
        choices = ", ".join(suffix for suffix in KINDS if suffix)
        arguments.usage_error(
            f"--output {str(output)!r}: the suffix must be one of {choices}, or none for a table; "
            "or add --csv or --json"
        )
    return str(kind)


def is_job(arguments: argparse.Namespace) -> bool:
    """Whether the arguments ask for a job.

    Standard input and annotated copies go photo by photo to JSON Lines, as they always did.

    Raises:
        SystemExit: the arguments contradict each other.
    """
    kind = output_kind(arguments)
    is_parquet = arguments.output is not None and arguments.output.suffix.lower() == ".parquet"
    by_photo = arguments.annotate is not None or STANDARD_INPUT in arguments.paths
    if is_parquet:
        for wrong, what in (
            (arguments.csv or arguments.json, "--csv and --json do"),
            (arguments.annotate is not None, "--annotate does"),
            (STANDARD_INPUT in arguments.paths, "a photo from standard input does"),
        ):
            if wrong:
                arguments.usage_error(f"{what} not go with --output FILE.parquet")
        return True
    is_json_lines = kind == "jsonl" and _is_file(arguments)
    if is_json_lines and not by_photo:
        return True
    for name in _ONLY_FOR_JOBS:
        if getattr(arguments, name):
            reason = " without --annotate and standard input" if is_json_lines else ""
            arguments.usage_error(
                f"--{name.replace('_', '-')} is for jobs, "
                f"with --output FILE.jsonl or FILE.parquet{reason}"
            )
    return False


def execute(
    arguments: argparse.Namespace, photos: Iterable[PhotoInput], settings: Mapping[str, Any]
) -> int:
    """Do a job, or go on with it.

    Returns:
        0, or 1 when a photo failed.

    Raises:
        ShellyError: see ``run_job``.
        SystemExit: the arguments contradict each other.
    """
    backend = settings["backend"][0]
    inputs = [path for path in (*arguments.paths, arguments.list) if path]
    overwritten = find_overwritten(inputs, [arguments.output])
    if overwritten is not None:
        arguments.usage_error(
            f"{str(overwritten)!r} is one of the inputs and would be overwritten; "
            "give --output another file"
        )
    if arguments.ray_address and arguments.engine != "ray":
        arguments.usage_error("--ray-address is for --engine ray")
    if arguments.engine == "ray" and backend != "local":
        arguments.usage_error(f"--engine ray is for the backend local, not for {backend!r}")
    options = Options(
        output=arguments.output,
        backend=backend,
        model=settings["model"],
        detection=settings["detection"],
        device=settings["device"],
        engine=arguments.engine or "local",
        workers=arguments.workers,
        ray_address=arguments.ray_address,
        batch=arguments.batch,
        restart=arguments.restart,
        show_progress=not (arguments.quiet or arguments.debug),
    )
    return run_job(photos, options)


def _is_file(arguments: argparse.Namespace) -> bool:
    """Whether the output is a file of JSON Lines by its name."""
    output: Path | None = arguments.output
    return output is not None and KINDS.get(output.suffix.lower()) == "jsonl"

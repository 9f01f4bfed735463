"""``shelly benchmark``: accuracy, time and cost of backends, measured here."""

from __future__ import annotations

import argparse

from shelly_local.commands.beside import beside


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``shelly benchmark`` to the parser of ``shelly``."""
    parser = subparsers.add_parser(
        "benchmark",
        help="measure accuracy, time and cost of backends",
        add_help=False,  # the program has its own
        prefix_chars="\0",  # its options are not ours
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Hand the arguments to ``benchmarks.program``.

    Raises:
        ShellyError: nothing can be measured.
        SystemExit: wrong usage, or ``--help``.
    """
    return int(beside("benchmarks.program").main(arguments.arguments))

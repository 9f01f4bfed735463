"""``shelly train``: fine-tune the expression model; needs the extra ``train``."""

from __future__ import annotations

import argparse

from shelly_local.commands.beside import beside
from shelly_local.errors import MissingExtraError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``shelly train`` to the parser of ``shelly``."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune the model on your own pictures (extra train)",
        add_help=False,  # the training program has its own
        prefix_chars="\0",  # its options are not ours
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Hand the arguments to ``training.train``.

    Raises:
        MissingExtraError: PyTorch or another package of the extra is not installed.
    """
    try:
        program = beside("training.train")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"training needs the package {error.name!r}; install it with "
            "pip install 'shelly-local[train]', or in a checkout pip install -e '.[train]'"
        ) from error
    return int(program.main(arguments.arguments))

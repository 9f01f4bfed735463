"""The console command ``shelly``: parses the arguments and turns failures into exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError

# What a shell reports for a process ended by a signal: 128 + its number.
EXIT_INTERRUPTED = 130  # SIGINT
EXIT_BROKEN_PIPE = 141  # SIGPIPE

#: Modules of ``shelly_local.commands``, in the order of the help.
COMMANDS = ("classify", "web", "serve", "models", "train", "benchmark")

DESCRIPTION = """\
Shelly, the Supporting Shellfish, reads the expression of every face in a photo.
Everything happens on this machine; no photo leaves it.
"""

EXAMPLES = """\
examples:
  shelly classify me.jpg            a table of the faces and their expressions
  shelly classify photos --json     a folder, as JSON Lines
  shelly web --open                 Shelly's page, in the browser
  shelly models                     which models are installed, and whether they are sound
  shelly train --help               a model for your own pictures of people

shelly COMMAND --help explains a command.
"""


class _Version(argparse.Action):
    """``--version``, looked up only when it is asked for: that costs as much as numpy."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from shelly_local import __version__

        print(f"shelly {__version__}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """One that says how a file whose name begins with a dash is given."""

    def error(self, message: str) -> NoReturn:
        words = message.partition("unrecognized arguments: ")[2].split()
        if files := [word for word in words if Path(word).is_file()]:
            message += f" (the file is given as ./{files[0]})"
        super().error(message)


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of ``shelly``; imports nothing heavy.

    Args:
        commands: the subcommands it is to have, of ``COMMANDS``.
    """
    parser = _Parser(
        prog="shelly",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show program's version number and exit"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in commands:
        import_module(f"shelly_local.commands.{command}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``shelly`` with the given arguments.

    Args:
        argv: the arguments without the program's name; default ``sys.argv[1:]``.

    Returns:
        The exit code: 0 all fine, 1 something failed, 2 no command was given,
        130 interrupted with Ctrl-C, 141 the reader of the output went away.

    Raises:
        SystemExit: by argparse, code 0 for ``--help`` and ``--version`` and code 2
            for wrong usage.
    """
    # Pillow's messages about damaged metadata and large pictures would appear between the
    # answers; our own errors say what matters.
    warnings.filterwarnings("ignore", module="PIL")
    if argv is None:
        argv = sys.argv[1:]
    # The command that is asked for need not wait for the others' modules.
    named = [command for command in COMMANDS if command in argv[:1]]
    parser = build_parser(named or COMMANDS)
    try:
        arguments = parser.parse_args(argv)
        if "execute" not in arguments:
            parser.print_help(sys.stderr)
            return 2
        return int(arguments.execute(arguments))
    except ShellyError as error:
        complain(error.description)
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    finally:
        _finish_stdout()


def _finish_stdout() -> None:
    """Flush standard output now, so that the interpreter has nothing to complain of later."""
    if sys.stdout is None:  # closed by whoever started the process
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

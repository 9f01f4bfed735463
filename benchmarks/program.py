"""``shelly benchmark``: accuracy, latency, cost, and a report of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError

from . import cost, glance, report, results, runs
from .data_sets import FER_LABELS, FRAME_RULES, KINDS

EXIT_INTERRUPTED = 130

DESCRIPTION = """\
Measure how well and how fast backends read expressions: Shelly's own, the clouds, what else
can be installed, and classifiers of your own.
"""

EXAMPLES = """\
examples:
  shelly benchmark accuracy --data photos --json accuracy.json
  shelly benchmark accuracy --data photos --backends local,rekognition --allow-cloud \\
      --max-calls 500 --json accuracy.json
  shelly benchmark latency a.jpg b.jpg --backends local,peer:facenet-mobilenet --json latency.json
  shelly benchmark cost --results latency.json --pictures-per-month 250000
  shelly benchmark report accuracy.json latency.json --html report.html

A run that was stopped goes on with the same command. Exit codes: 0 all fine, 1 something
failed and is marked in the results, 2 wrong usage, 130 interrupted.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="shelly benchmark",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_accuracy(_command(commands, "accuracy", "labelled pictures through backends"))
    _add_latency(_command(commands, "latency", "time, throughput, processor time and memory"))
    _add_cost(_command(commands, "cost", "what pictures cost in clouds and at home"))
    _add_report(_command(commands, "report", "an HTML page or Markdown from result files"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``shelly benchmark`` with the given arguments.

    Returns:
        0, or 1 when something failed, or 130 when it was interrupted.

    Raises:
        ShellyError: nothing can be measured at all.
        SystemExit: wrong usage, code 2, or ``--help``.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = build_parser().parse_args(words)
    arguments.command = ["benchmark", *words]
    try:
        return int(arguments.execute(arguments))
    except KeyboardInterrupt:
        kept = getattr(arguments, "json", None)
        complain("interrupted" + ("; the same command goes on" if kept else ""))
        return EXIT_INTERRUPTED


def execute_cost(arguments: argparse.Namespace) -> int:
    """Print costs."""
    prices = cost.load(arguments.prices) if arguments.prices else cost.load()
    seconds = {"local": arguments.seconds} if arguments.seconds else {}
    if arguments.results:
        seconds |= glance.local_seconds([results.load(file) for file in arguments.results])
    if not seconds:
        raise ShellyError(
            "give the time of a picture: --results with a result of shelly benchmark latency "
            "that has a local backend, or --seconds"
        )
    costs = cost.table(prices, arguments.pictures_per_month, seconds)
    print(report.rendered("cost", "plain", {"costs": costs}).strip())
    if arguments.json:
        results.write(costs, arguments.json)
    return 0


def execute_report(arguments: argparse.Namespace) -> int:
    """Write a report."""
    if not (arguments.html or arguments.markdown):
        arguments.usage_error("nothing to write: give --html FILE, --markdown FILE or both")
    files = [results.load(file) for file in arguments.files]
    parts = report.build(
        files,
        with_plots=not arguments.no_plots,
        prices=cost.load(arguments.prices) if arguments.prices else None,
        pictures_per_month=arguments.pictures_per_month,
    )
    if arguments.html:
        report.write_html(parts, arguments.html)
    if arguments.markdown:
        report.write_markdown(parts, arguments.markdown)
    return 0


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(usage_error=parser.error)
    return parser


def _add_accuracy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="TREE",
        help="a folder with a folder of pictures per class, a copy of MUG, or a folder or file "
        "of FER2013",
    )
    parser.add_argument("--kind", choices=KINDS, default="auto", help="what TREE is (auto: look)")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FOLDER=CLASS",
        help="class of a folder with another name, such as smiling=happiness; - leaves it out",
    )
    parser.add_argument(
        "--subjects",
        metavar="REGEX|CSV",
        help="who is on a picture: a regular expression for its path, or a CSV file of picture "
        "and subject (default: the same file name in two class folders is the same person)",
    )
    parser.add_argument(
        "--part", choices=("public", "private"), default="private", help="part of FER2013"
    )
    parser.add_argument(
        "--labels", choices=FER_LABELS, default="majority", help="labels of FER2013"
    )
    parser.add_argument(
        "--frames", choices=FRAME_RULES, default="middle", help="frames of a take of MUG"
    )
    parser.add_argument(
        "--limit", type=_positive, metavar="N", help="only N pictures, drawn at random"
    )
    _add_common(parser)
    parser.set_defaults(execute=runs.accuracy)


def _add_latency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="a picture file")
    parser.add_argument(
        "--runs",
        type=_positive,
        default=30,
        metavar="N",
        help="answers to each photo that count (default: %(default)s)",
    )
    parser.add_argument(
        "--cold-runs",
        type=_not_negative,
        default=5,
        metavar="N",
        help="fresh processes per backend (default: %(default)s)",
    )
    parser.add_argument(
        "--concurrency",
        type=_levels,
        default=(1, 2, 4, 8),
        metavar="LIST",
        help="how many pictures are asked at the same time (default: 1,2,4,8)",
    )
    _add_common(parser)
    parser.set_defaults(execute=runs.latency)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backends",
        default="local",
        metavar="LIST",
        help="separated by commas: local, a cloud, peer:NAME, MODULE:FUNCTION that returns a "
        "backend of yours, or configured for all with keys (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument(
        "--allow-cloud", action="store_true", help="pictures may be sent to the clouds named"
    )
    parser.add_argument(
        "--max-calls",
        type=_not_negative,
        metavar="N",
        help="send at most N pictures to clouds, in this run and those it goes on from",
    )
    parser.add_argument(
        "--hsemotion-weights",
        type=Path,
        metavar="FILE",
        help="weights of peer:hsemotion-onnx (default: where that package keeps them)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument(
        "--restart", action="store_true", help="discard what a stopped run has measured"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", nargs="+", type=Path, metavar="FILE", help="of shelly benchmark latency"
    )
    parser.add_argument(
        "--seconds", type=_seconds, metavar="S", help="seconds per picture of the local backend"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the costs here")
    _add_prices(parser)
    parser.set_defaults(execute=execute_cost)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a result file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one page, all inside")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="Markdown, with its plots in a folder"
    )
    parser.add_argument("--no-plots", action="store_true", help="tables only")
    _add_prices(parser)
    parser.set_defaults(execute=execute_report)


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pictures-per-month",
        type=_positive,
        default=cost.DEFAULT_PICTURES,
        metavar="N",
        help="for the costs (default: %(default)s)",
    )
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="prices of your own, as in prices.json"
    )


def _positive(text: str) -> int:
    return _whole(text, 1)


def _not_negative(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise argparse.ArgumentTypeError(
            f"must be a whole number of at least {least}, got {text!r}"
        )
    return int(text)


def _levels(text: str) -> tuple[int, ...]:
    return tuple(sorted({_positive(part.strip()) for part in text.split(",") if part.strip()}))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())

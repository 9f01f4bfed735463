"""One report from several result files, as an HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shelly_local.batch.writers import OutputError

from . import blocks, contents, cost, glance, plots, results
from .blocks import Block, Heading, Plot, Table, Text
from .plots import Order

TITLE = "Shelly: benchmark"
#: What a reader must know to read the tables; README.md of this package has the definitions.
ABOUT = (
    "A picture without an answer counts as wrong. Intervals are 95 % by bootstrap over subjects. "
    "Times run from the bytes of a file to the answer, models loaded unless a process is named."
)


def build(
    files: Sequence[Mapping[str, Any]],
    *,
    with_plots: bool = True,
    prices: cost.Prices | None = None,
    pictures_per_month: int = cost.DEFAULT_PICTURES,
) -> list[Block]:
    """Sections for every result file, and for what they say together.

    Args:
        files: from ``results.load``.
        with_plots: False for tables only, which needs no matplotlib.
        prices: for the section about costs; the bundled ones by default.
        pictures_per_month: for the same.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    parts: list[Block] = [Heading(1, TITLE), Text(ABOUT)]
    prices = prices or cost.load()
    if summary := glance.build(files, prices, pictures_per_month):
        parts += [Heading(2, "At a glance"), *summary]
    files = [contents.named(content) for content in files]
    accuracy = [content for content in files if content["kind"] == "accuracy"]
    latency = [content for content in files if content["kind"] == "latency"]
    pairs = [(a, b) for a in accuracy for b in latency] if with_plots else []
    order = list(dict.fromkeys(name for content in files for name in content["backends"]))
    drawn = [pair for pair in pairs if plots.common(pair[0]["backends"], pair[1]["backends"])]
    if drawn:
        parts.append(Heading(2, "Accuracy against time"))
    for number, (a, b) in enumerate(drawn, start=1):
        svg = plots.accuracy_against_latency(a["backends"], b["backends"], order)
        caption = f"Accuracy on {a['data']['name']} against the time per picture"
        parts.append(Plot(f"accuracy-against-latency-{number}", svg, caption))
    for number, content in enumerate(accuracy, start=1):
        parts += _accuracy(content, number, order if with_plots else None)
    for number, content in enumerate(latency, start=1):
        parts += _latency(content, number, order if with_plots else None)
    if seconds := glance.local_seconds(latency):
        costs = cost.table(prices, pictures_per_month, seconds)
        parts += [Heading(2, "Cost"), *contents.cost_blocks(costs)]
    if lines := contents.mapping_lines(files):
        parts += [Heading(2, "How answers became classes"), *map(Text, lines)]
    return parts


def write_html(parts: Sequence[Block], file: Path) -> None:
    """Write one page with everything inside.

    Raises:
        OutputError: it cannot be written.
    """
    results.write_text(blocks.to_html(parts, TITLE), file)


def write_markdown(parts: Sequence[Block], file: Path) -> None:
    """Write Markdown, with the plots as SVG files in a folder ``<name>-plots`` beside it.

    Raises:
        OutputError: something cannot be written.
    """
    folder = file.with_name(f"{file.stem}-plots")
    drawn = [part for part in parts if isinstance(part, Plot)]
    try:
        if drawn:
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    for plot in drawn:
        results.write_text(plot.svg + "\n", folder / f"{plot.name}.svg")
    results.write_text(blocks.to_markdown(parts, quote(folder.name)), file)


def _accuracy(content: Mapping[str, Any], number: int, order: Order | None) -> list[Block]:
    backends = content["backends"]
    parts: list[Block] = [
        Heading(2, contents.accuracy_title(content)),
        contents.data_text(content),
        contents.accuracy_table(content),
    ]
    if content["comparisons"]:
        parts += [Heading(3, "Differences"), contents.comparison_table(content)]
    parts += _problems(content)
    if any(values["n"] for values in backends.values()):
        parts += [Heading(3, "Classes"), contents.class_table(content)]
        if order is not None:
            svg = plots.confusion_matrices(backends, order)
            data = content["data"]["name"]
            caption = f"Confusion matrices on {data}, in % of the pictures of each label"
            parts.append(Plot(f"confusion-{number}", svg, caption))
    if order is not None and any(values["calibration"] for values in backends.values()):
        svg = plots.reliability(backends, order)
        caption = "Reliability: on the diagonal, scores are probabilities"
        parts.append(Plot(f"reliability-{number}", svg, caption))
    return [*parts, contents.environment_text(content)]


def _latency(content: Mapping[str, Any], number: int, order: Order | None) -> list[Block]:
    backends = content["backends"]
    parts: list[Block] = [
        Heading(2, contents.latency_title(content)),
        contents.latency_table(content),
    ]
    if order is not None and any(values["n"] for values in backends.values()):
        svg = plots.latency_distribution(backends, order)
        caption = "Time per picture: every answer, the middle half, and the median"
        parts.append(Plot(f"latency-{number}", svg, caption))
    parts += [Heading(3, "Photos"), contents.photo_table(content)]
    phases: Table | None = contents.phase_table(content)
    if phases:
        parts += [Heading(3, "Where the time of a cloud goes (medians)"), phases]
    rates: Table | None = contents.throughput_table(content)
    if rates:
        parts += [Heading(3, "Pictures a second"), rates]
    if order is not None and any(values["pictures_per_second"] for values in backends.values()):
        svg = plots.throughput(backends, order)
        caption = "Pictures a second by how many are asked at the same time"
        parts.append(Plot(f"throughput-{number}", svg, caption))
    parts += _problems(content)
    return [*parts, contents.environment_text(content)]


def _problems(content: Mapping[str, Any]) -> list[Block]:
    lines = contents.error_lines(content)
    return [Heading(3, "What failed"), *map(Text, lines)] if lines else []

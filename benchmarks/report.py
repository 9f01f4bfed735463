"""One report from several result files, as an HTML page, as Markdown and for a terminal.

What it says stands in ``templates/``; the tables are those of ``contents``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shelly_local.batch.writers import OutputError

from . import contents, cost, glance, plots, results

TITLE = "Shelly: benchmark"

Report = dict[str, Any]


class Plot(NamedTuple):
    """A plot as SVG text, and what it shows in words."""

    svg: str
    caption: str


def build(
    files: Sequence[Mapping[str, Any]],
    *,
    with_plots: bool = True,
    prices: cost.Prices | None = None,
    pictures_per_month: int = cost.DEFAULT_PICTURES,
) -> Report:
    """What result files say, each and together.

    Args:
        files: from ``results.load``.
        with_plots: False for tables only, which needs no matplotlib.
        prices: for the costs; the bundled ones by default.
        pictures_per_month: for the same.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    files = [contents.named(content) for content in files]
    seconds = glance.local_seconds(files)
    costs = cost.table(prices or cost.load(), pictures_per_month, seconds) if seconds else None
    kinds = {kind: [each for each in files if each["kind"] == kind] for kind in results.KINDS}
    return {
        "title": TITLE,
        "whole": True,
        "summary": glance.table(files, costs),
        "costs": costs,
        "sold": glance.sold(costs),
        **kinds,
        "plots": _drawn(**kinds) if with_plots else {},
        "mappings": contents.mapping_lines(files),
    }


def write_html(report: Report, file: Path) -> None:
    """Write one page with everything inside.

    Raises:
        OutputError: it cannot be written.
    """
    results.write_text(rendered("page", "html", report) + "\n", file)


def write_markdown(report: Report, file: Path) -> None:
    """Write Markdown, with the plots as SVG files in a folder ``<name>-plots`` beside it.

    Raises:
        OutputError: something cannot be written.
    """
    folder = file.with_name(f"{file.stem}-plots")
    try:
        if report["plots"]:
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    for name, plot in report["plots"].items():
        results.write_text(plot.svg + "\n", folder / f"{name}.svg")
    results.write_text(markdown("report", report, folder=quote(folder.name)), file)


def markdown(template: str, report: Report, *, folder: str = "", shift: int = 0) -> str:
    """A template as Markdown.

    Args:
        template: its name, such as ``"report"``.
        report: from ``build``, and what else it needs.
        folder: of the plots, relative to the text.
        shift: how much lower headings are.
    """
    text = rendered(template, "markdown", report, folder=folder, shift=shift)
    return re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n"


def rendered(template: str, style: str, report: Report, **settings: Any) -> str:
    """A template in one of the styles, each a file of macros: html, markdown, plain."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=style == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "base64": lambda text: base64.b64encode(text.encode()).decode("ascii"),
        "cell": lambda text: _escaped(text).replace("|", "\\|").replace("\n", " "),
        "markdown": _escaped,
        # Joined by a text of its own kind: what was escaped stays so.
        "one_line": lambda text: type(text)(" ").join(text.split()),
        "pairs": lambda mapping, form, between=", ": between.join(
            form.format(*pair) for pair in mapping.items()
        ),
        "plain": contents.plain,
    }
    macros = environment.get_template(f"{style}.jinja").make_module(settings)
    return environment.get_template(f"{template}.jinja").render(report, f=macros, c=contents)


def _escaped(text: str) -> str:
    """Without what Markdown would take for markup; names of files hold such characters."""
    return re.sub(r"([\\`*<>\[\]])", r"\\\1", text)


def _drawn(
    accuracy: Sequence[Mapping[str, Any]], latency: Sequence[Mapping[str, Any]]
) -> dict[str, Plot]:
    """Every plot that there is something to see in, by its name."""
    order = list(dict.fromkeys(name for each in (*accuracy, *latency) for name in each["backends"]))
    drawn: dict[str, Plot] = {}

    def has(backends: Mapping[str, Any], part: str) -> bool:
        return any(values[part] for values in backends.values())

    pairs = [
        (a, b) for a in accuracy for b in latency if plots.common(a["backends"], b["backends"])
    ]
    for number, (a, b) in enumerate(pairs, start=1):
        svg = plots.accuracy_against_latency(a["backends"], b["backends"], order)
        caption = f"Accuracy on {a['data']['name']} against the time per picture"
        drawn[f"accuracy-against-latency-{number}"] = Plot(svg, caption)
    for number, content in enumerate(accuracy, start=1):
        backends = content["backends"]
        if has(backends, "n"):
            data = content["data"]["name"]
            caption = f"Confusion matrices on {data}, in % of the pictures of each label"
            svg = plots.confusion_matrices(backends, order)
            drawn[f"confusion-{number}"] = Plot(svg, caption)
        if has(backends, "calibration"):
            caption = "Reliability: on the diagonal, scores are probabilities"
            drawn[f"reliability-{number}"] = Plot(plots.reliability(backends, order), caption)
    for number, content in enumerate(latency, start=1):
        backends = content["backends"]
        if has(backends, "n"):
            caption = "Time per picture: every answer, the middle half, and the median"
            svg = plots.latency_distribution(backends, order)
            drawn[f"latency-{number}"] = Plot(svg, caption)
        if has(backends, "pictures_per_second"):
            caption = "Pictures a second by how many are asked at the same time"
            drawn[f"throughput-{number}"] = Plot(plots.throughput(backends, order), caption)
    return drawn

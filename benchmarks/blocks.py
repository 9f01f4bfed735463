"""Parts of a report and how they look in HTML and in Markdown."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first ``names`` columns hold names, the others figures."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1


@dataclass(frozen=True)
class Plot:
    """A plot: SVG text, the name of its file, and what it shows in words."""

    name: str
    svg: str
    caption: str


Block = Heading | Text | Table | Plot

#: Everything is in the file; the policy keeps a browser from ever asking the network.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """\
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff;
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: top; }
th { border-bottom: 2px solid #999; vertical-align: bottom; }
.name { text-align: left; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; }
figcaption { font-size: 0.875rem; color: #555; }
"""


def to_html(blocks: Sequence[Block], title: str) -> str:
    """One page that needs nothing else."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{html.escape(title)}</title>",
        f"<style>\n{_STYLE}</style>",
        *(_html(block) for block in blocks),
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def to_markdown(blocks: Sequence[Block], folder: str = "") -> str:
    """Markdown with tables; plots are files in ``folder``, relative to the text."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Plot):
        data = base64.b64encode(block.svg.encode()).decode("ascii")
        alt = html.escape(block.caption, quote=True)
        return (
            f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
            f"<figcaption>{alt}</figcaption></figure>"
        )
    kinds = [' class="name"' if i < block.names else "" for i in range(len(block.header))]
    header = "".join(
        f'<th scope="col"{kind}>{html.escape(cell)}</th>'
        for kind, cell in zip(kinds, block.header, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)
        )
        + "</tr>\n"
        for row in block.rows
    )
    return f'<div class="table"><table>\n<tr>{header}</tr>\n{rows}</table></div>'


def _markdown(block: Block, folder: str) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_escaped(block.text)}"
    if isinstance(block, Text):
        return _escaped(block.text)
    if isinstance(block, Plot):
        return f"![{_escaped(block.caption)}](<{folder}/{block.name}.svg>)"
    rulers = ["---" if i < block.names else "---:" for i in range(len(block.header))]
    lines = [block.header, rulers, *block.rows]
    return "\n".join(
        "| " + " | ".join(cell if i == 1 else _cell(cell) for cell in line) + " |"
        for i, line in enumerate(lines)
    )


def _escaped(text: str) -> str:
    """Without what Markdown would take for markup; names of files hold such characters."""
    return re.sub(r"([\\`*<>\[\]])", r"\\\1", text)


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", " ")

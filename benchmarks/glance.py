"""Cloud or here, at a glance: one table of who is how right, how fast, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import contents, cost
from .blocks import Block, Table, Text

#: Photos that get a column of their own; with more, one column holds all of their times.
MOST_PHOTOS = 3
NOT_MEASURED = "not measured: needs your key"


def local_seconds(files: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Median seconds per picture of the local backends, the library's own first."""
    seconds = {
        name: values["p50_ms"] / 1000
        for content in files
        for name, values in content["backends"].items()
        if content["kind"] == "latency" and values.get("is_local") and values.get("p50_ms")
    }
    return dict(sorted(seconds.items(), key=lambda item: item[0] != "local"))


def build(
    files: Sequence[Mapping[str, Any]],
    prices: cost.Prices | None = None,
    pictures_per_month: int = cost.DEFAULT_PICTURES,
) -> list[Block]:
    """A row per backend measured and per cloud that still sells; nothing without results.

    Args:
        files: from ``results.load``.
        prices: the bundled ones by default.
        pictures_per_month: at which pictures are paid.
    """
    files = [contents.named(content) for content in files]
    measured = dict.fromkeys(
        name for content in files for name, values in content["backends"].items() if values["n"]
    )
    if not measured:
        return []
    columns = _columns(files)
    seconds = local_seconds(files)
    costs = cost.table(prices or cost.load(), pictures_per_month, seconds) if seconds else None
    sold = _sold(costs)
    rows = []
    for name in [*measured, *(name for name in sold if name not in measured)]:
        cells = [column.get(name, contents.MISSING) for column in columns.values()]
        if name not in measured:
            cells[0] = NOT_MEASURED
        if costs:
            values = costs["local"].get(name) or sold.get(name)
            cells.append(contents.number(values and values["per_thousand"], 2))
        rows.append([name, *cells])
    header = ["backend", *columns]
    if costs:
        header.append(f"{costs['currency']} per 1,000 pictures")
    parts: list[Block] = [Table(header, rows)]
    return [*parts, Text(_prices_in_words(costs))] if costs else parts


def _columns(files: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Cells by backend, of each column by its title."""
    columns: dict[str, dict[str, str]] = {}
    for content in files:
        if content["kind"] != "accuracy":
            continue
        data = content["data"]["name"]
        right = columns.setdefault(f"right, {data} (95 % interval)", {})
        found = columns.setdefault(f"face found, {data}", {})
        for name, values in content["backends"].items():
            if values["n"]:
                ends = values["accuracy_ci95"]
                between = f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
                right[name] = contents.percent(values["accuracy"]) + between
                found[name] = contents.percent(values["faces_found"])
    for content in files:
        if content["kind"] != "latency":
            continue
        photos = content["photos"] if len(content["photos"]) <= MOST_PHOTOS else {}
        for photo, facts in photos.items():
            title = f"ms, {photo} ({facts['width']}×{facts['height']})"
            columns.setdefault(title, {}).update(
                (name, contents.number(values["photos"][photo]["p50_ms"], 0))
                for name, values in content["backends"].items()
            )
        if not photos:
            columns.setdefault(f"ms, {contents.count(len(content['photos']), 'photo')}", {}).update(
                (name, contents.number(values["p50_ms"], 0))
                for name, values in content["backends"].items()
            )
    return columns


def _sold(costs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Costs of the clouds that still sell."""
    if costs is None:
        return {}
    prices = costs["prices"]["clouds"]
    return {name: v for name, v in costs["clouds"].items() if not prices[name].get("ended")}


def _prices_in_words(costs: Mapping[str, Any]) -> str:
    machine = f"{costs['prices']['local']['machine']:g} {costs['currency']}"
    paid = []
    for name, values in _sold(costs).items():
        month = values["paid_off_in_month"]
        when = "never" if month is None else f"in month {month}"
        paid.append(
            f"{when} compared with {name} (prices of {costs['prices']['clouds'][name]['date']})"
        )
    return (
        f"Times are medians, models loaded. At {costs['pictures_per_month']:,} pictures a month; "
        f"what runs here costs electricity, and a machine of {machine} bought for it has paid for "
        f"itself {' and '.join(paid)}. Check the prices before you decide by them."
    )

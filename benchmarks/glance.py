"""Cloud or here, at a glance: one table of who is how right, how fast, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import contents
from .contents import Results, Table

#: Photos that get a column of their own; with more, one column holds all of their times.
MOST_PHOTOS = 3
NOT_MEASURED = "not measured: needs your key"


def local_seconds(files: Sequence[Results]) -> dict[str, float]:
    """Median seconds per picture of the local backends, the library's own first."""
    seconds = {
        name: values["p50_ms"] / 1000
        for content in files
        for name, values in content["backends"].items()
        if content["kind"] == "latency" and values.get("is_local") and values.get("p50_ms")
    }
    return dict(sorted(seconds.items(), key=lambda item: item[0] != "local"))


def sold(costs: Results | None) -> dict[str, Any]:
    """Costs of the clouds that still sell; without costs of any, none."""
    if costs is None:
        return {}
    prices = costs["prices"]["clouds"]
    return {name: v for name, v in costs["clouds"].items() if not prices[name].get("ended")}


def table(files: Sequence[Results], costs: Results | None) -> Table | None:
    """A row per backend measured and per cloud that still sells; None without results.

    Args:
        files: from ``results.load``, their backends ``contents.named``.
        costs: from ``cost.table``; None for no column of prices.
    """
    measured = dict.fromkeys(
        name for content in files for name, values in content["backends"].items() if values["n"]
    )
    if not measured:
        return None
    columns: dict[str, dict[str, str]] = {}
    for content in files:
        if content["kind"] == "accuracy":
            _add_accuracy(columns, content)
    for content in files:
        if content["kind"] == "latency":
            _add_times(columns, content)
    clouds = sold(costs)
    rows = []
    for name in dict.fromkeys([*measured, *clouds]):
        cells = [column.get(name, contents.MISSING) for column in columns.values()]
        if name not in measured:
            cells[0] = NOT_MEASURED
        if costs:
            values = costs["local"].get(name) or clouds.get(name)
            cells.append(contents.number(values and values["per_thousand"], 2))
        rows.append([name, *cells])
    prices = [f"{costs['currency']} per 1,000 pictures"] if costs else []
    return Table(["backend", *columns, *prices], rows)


def _add_accuracy(columns: dict[str, dict[str, str]], content: Mapping[str, Any]) -> None:
    """Cells by backend, of two columns more by their titles."""
    data = content["data"]["name"]
    right = columns.setdefault(f"right, {data} (95 % interval)", {})
    found = columns.setdefault(f"face found, {data}", {})
    for name, values in content["backends"].items():
        if values["n"]:
            ends = values["accuracy_ci95"]
            between = f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
            right[name] = contents.percent(values["accuracy"]) + between
            found[name] = contents.percent(values["faces_found"])


def _add_times(columns: dict[str, dict[str, str]], content: Mapping[str, Any]) -> None:
    photos, backends = content["photos"], content["backends"]
    titles = {
        f"ms, {photo} ({facts['width']}×{facts['height']})": {
            name: values["photos"][photo] for name, values in backends.items()
        }
        for photo, facts in photos.items()
    }
    if len(photos) > MOST_PHOTOS:
        titles = {f"ms, {contents.count(len(photos), 'photo')}": backends}
    for title, times in titles.items():
        columns.setdefault(title, {}).update(
            (name, contents.number(values["p50_ms"], 0)) for name, values in times.items()
        )

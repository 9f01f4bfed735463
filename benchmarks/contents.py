"""The figures of a report: tables of words from result files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shelly_local.results import CLASSES

Results = Mapping[str, Any]
#: What stands in each column, by its title.
Columns = Mapping[str, Callable[[Results], str]]

#: Stands where there is no figure.
MISSING = "–"
#: Hosts that are this machine: what answers there is no vendor's cloud.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: What became of pictures that do not count, in words.
_LEFT_OUT = {"unreadable": "unreadable", "failed": "failed", "not_asked": "not asked"}


class Table(NamedTuple):
    """A table; the first ``names`` columns hold names, the others figures."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1


def named(results: Results) -> dict[str, Any]:
    """The same results, with a word in the names that may be taken for what they are not."""
    names = {name: _shown(name, values) for name, values in results["backends"].items()}
    pairs = [
        pair | {key: names.get(pair[key], pair[key]) for key in ("first", "second")}
        for pair in results.get("comparisons", [])
    ]
    backends = {names[name]: values for name, values in results["backends"].items()}
    return {**results, "backends": backends, "comparisons": pairs}


def _shown(name: str, values: Results) -> str:
    host = (values.get("description") or {}).get("host")
    return f"{name} (server on this machine)" if host in LOOPBACK else name


def accuracy_title(results: Results) -> str:
    """Such as ``Accuracy: london, 204 pictures``."""
    data = results["data"]
    return f"Accuracy: {data['name']}, {count(data['asked_about'], 'picture')}"


def latency_title(results: Results) -> str:
    """Such as ``Latency: 2 photos``."""
    return f"Latency: {count(len(results['photos']), 'photo')}"


def accuracy_table(results: Results) -> Table:
    """A row of figures per backend."""
    columns: Columns = {
        "n": lambda v: str(v["n"]),
        "accuracy": lambda v: percent(v["accuracy"]),
        "95 % interval": lambda v: percent_range(v["accuracy_ci95"]),
        "of those answered": lambda v: percent(v["accuracy_answered"]),
        "faces found": lambda v: percent(v["faces_found"]),
        "macro F1": lambda v: percent(v["macro_f1"]),
        "ECE": lambda v: number((v["calibration"] or {}).get("ece"), 3),
        "Brier": lambda v: number((v["calibration"] or {}).get("brier"), 3),
        "not counted": lambda v: _not_counted(v["statuses"]),
    }
    return _table(["backend"], columns, _backends(results))


def class_table(results: Results) -> Table:
    """Precision, recall and F1 of each class, a row per class and backend."""
    backends = results["backends"]
    columns: Columns = {
        "n": lambda v: str(v.get("n", 0)),
        "precision": lambda v: percent(v.get("precision")),
        "recall": lambda v: percent(v.get("recall")),
        "F1": lambda v: percent(v.get("f1")),
    }
    labels = dict.fromkeys(label for values in backends.values() for label in values["classes"])
    rows = (
        ([label, name], values["classes"].get(label, {}))
        for label in labels
        for name, values in backends.items()
    )
    return _table(["class", "backend"], columns, rows)


def comparison_table(results: Results) -> Table:
    """McNemar's test and the interval of the difference, a row per pair."""
    columns: Columns = {
        "n": lambda v: str(v["n"]),
        "difference": lambda v: f"{100 * v['difference']:+.1f} points",
        "95 % interval": lambda v: percent_range(v["difference_ci95"]),
        "only first right": lambda v: str(v["only_first"]),
        "only second right": lambda v: str(v["only_second"]),
        "p (McNemar)": lambda v: p_value(v["p_value"]),
        "p (Holm)": lambda v: p_value(v["p_holm"]),
    }
    rows = (([f"{pair['first']} − {pair['second']}"], pair) for pair in results["comparisons"])
    return _table(["pair"], columns, rows)


_TIMES: Columns = {
    "p50 ms": lambda v: number(v.get("p50_ms"), 1),
    "p95 ms": lambda v: number(v.get("p95_ms"), 1),
    "p99 ms": lambda v: number(v.get("p99_ms"), 1),
}
_TAKEN: Columns = {
    "CPU s/picture": lambda v: number(v.get("cpu_s"), 3),
    "peak MB": lambda v: number(v.get("peak_memory_mb"), 0),
}


def latency_table(results: Results) -> Table:
    """A row per backend, all photos together."""
    columns: Columns = {
        "n": lambda v: str(v["n"]),
        **_TIMES,
        "first answer s": lambda v: number((v["cold"] or {}).get("first_answer_s"), 2),
        "whole process s": lambda v: number((v["cold"] or {}).get("process_s"), 2),
        **_TAKEN,
    }
    return _table(["backend"], columns, _backends(results))


def photo_table(results: Results) -> Table:
    """A row per photo and backend."""
    rows = (
        (
            [f"{photo} ({_pixels(facts)}, {facts['bytes'] / 1000:.0f} kB)", name],
            values["photos"].get(photo, {}),
        )
        for photo, facts in results["photos"].items()
        for name, values in results["backends"].items()
    )
    return _table(["photo", "backend"], {**_TIMES, **_TAKEN}, rows)


def throughput_table(results: Results) -> Table:
    """Pictures a second by how many are asked at the same time; no rows where not measured."""
    rates = _measured(results, "pictures_per_second")
    levels = sorted({int(level) for own in rates.values() for level in own})
    rows = [
        [name, *(number(own.get(str(level)), 1) for level in levels)] for name, own in rates.items()
    ]
    return Table(["backend", *(f"{level} at a time" for level in levels)], rows)


def phase_table(results: Results) -> Table:
    """Parts of the calls to clouds; no rows where there was none."""
    parts = _measured(results, "phases")
    names = list(dict.fromkeys(part for values in parts.values() for part in values))
    rows = [[name, *(number(own.get(part), 1) for part in names)] for name, own in parts.items()]
    return Table(["backend", *(f"{name} ms" for name in names)], rows)


def cost_table(costs: Results) -> Table:
    """Costs of clouds and of local backends."""
    currency = costs["currency"]
    rows = [
        [name, f"{values['per_thousand']:.4f}", f"{values['month']:.2f}", MISSING, ""]
        for name, values in costs["local"].items()
    ]
    for name, values in costs["clouds"].items():
        prices = costs["prices"]["clouds"][name]
        month = values["paid_off_in_month"]
        remark = f"{prices['product']}, {prices['source']}, {prices['date']}"
        rows.append(
            [
                name,
                f"{values['per_thousand']:.4f}",
                f"{values['later_month']:.2f}",
                "never" if month is None else f"month {month}",
                remark + (f". {prices['note']}" if "note" in prices else ""),
            ]
        )
    header = ["backend", f"{currency} per 1,000 pictures", f"{currency} a month",
              "a machine of one's own has paid for itself in", "price list"]  # fmt: skip
    return Table(header, rows)


def machine_text(results: Results) -> str:
    """Processor, cores, memory and system."""
    machine = results["machine"]
    memory = f", {machine['memory_gb']:.0f} GB" if machine["memory_gb"] else ""
    cores = count(machine["cpu_count"], "core")
    return f"{machine['processor']}, {cores}{memory}, {machine['system']}"


def mapping_lines(files: Sequence[Results]) -> list[str]:
    """How the words of each backend that has others became our classes."""
    lines: dict[str, str] = {}
    for name, values in (each for content in files for each in content["backends"].items()):
        description = values.get("description") or {}
        words = description.get("mapping") or {}
        parts = [f"{word} is {ours}" for word, ours in words.items() if ours not in (word, None)]
        nothing = [word for word, ours in words.items() if ours is None]
        parts += [f"it has no word for {word}" for word in nothing if word in CLASSES]
        parts += [f"{word} is no answer" for word in nothing if word not in CLASSES]
        likelihoods = description.get("likelihoods") or {}
        parts += [f"{word} counts {value:g}" for word, value in likelihoods.items()]
        if scores := description.get("scores"):
            parts.append(f"scores are {scores}")
        if parts:
            lines[name] = f"{name}: {'; '.join(parts)}."
    return list(lines.values())


def error_lines(results: Results) -> list[str]:
    """What went wrong, by backend."""
    return [
        f"{name}: {n} × {text}"
        for name, values in results["backends"].items()
        for text, n in values["errors"].items()
    ]


def plain(table: Table) -> str:
    """A table for a terminal."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def percent(share: float | None) -> str:
    """``0.934`` as ``"93.4 %"``."""
    return MISSING if share is None else f"{100 * share:.1f} %"


def percent_range(ends: Sequence[float] | None) -> str:
    """``[0.5, 0.75]`` as ``"50.0 to 75.0 %"``."""
    return MISSING if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


def number(value: float | None, decimals: int) -> str:
    """A figure, or a dash."""
    return MISSING if value is None else f"{value:.{decimals}f}"


def p_value(value: float) -> str:
    """A p-value, small ones as a bound."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def count(n: int, noun: str) -> str:
    """``"1 photo"``, ``"2,000 photos"``."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _table(
    names: Sequence[str], columns: Columns, rows: Iterable[tuple[list[str], Results]]
) -> Table:
    """A table whose rows are names and the figures of what has them."""
    cells = [[*own, *(column(values) for column in columns.values())] for own, values in rows]
    return Table([*names, *columns], cells, len(names))


def _backends(results: Results) -> Iterable[tuple[list[str], Results]]:
    return (([name], values) for name, values in results["backends"].items())


def _measured(results: Results, part: str) -> dict[str, Results]:
    """One part of the figures of the backends that have it."""
    return {name: v[part] for name, v in results["backends"].items() if v.get(part)}


def _not_counted(statuses: Mapping[str, int]) -> str:
    parts = [f"{statuses[name]} {text}" for name, text in _LEFT_OUT.items() if name in statuses]
    return ", ".join(parts) or "0"


def _pixels(facts: Results) -> str:
    return f"{facts['width']}×{facts['height']}"

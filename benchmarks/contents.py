"""What a report says: sections of text and tables from result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shelly_local.results import CLASSES

from .blocks import Table, Text

Results = Mapping[str, Any]

#: Stands where there is no figure.
MISSING = "–"
#: Hosts that are this machine: what answers there is no vendor's cloud.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: What became of pictures that do not count, in words.
_LEFT_OUT = {"unreadable": "unreadable", "failed": "failed", "not_asked": "not asked"}


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
    header = [
        "backend", "n", "accuracy", "95 % interval", "of those answered", "faces found",
        "macro F1", "ECE", "Brier", "not counted",
    ]  # fmt: skip
    rows = []
    for name, values in results["backends"].items():
        calibration = values["calibration"] or {}
        left_out = [
            f"{values['statuses'][status]} {text}"
            for status, text in _LEFT_OUT.items()
            if status in values["statuses"]
        ]
        rows.append(
            [
                name,
                str(values["n"]),
                percent(values["accuracy"]),
                percent_range(values["accuracy_ci95"]),
                percent(values["accuracy_answered"]),
                percent(values["faces_found"]),
                percent(values["macro_f1"]),
                number(calibration.get("ece"), 3),
                number(calibration.get("brier"), 3),
                ", ".join(left_out) or "0",
            ]
        )
    return Table(header, rows)


def class_table(results: Results) -> Table:
    """Precision, recall and F1 of each class, a row per class and backend."""
    backends = results["backends"]
    classes = dict.fromkeys(label for values in backends.values() for label in values["classes"])
    rows = []
    for label in classes:
        for name, values in backends.items():
            figures = values["classes"].get(label, {})
            shares = (percent(figures.get(key)) for key in ("precision", "recall", "f1"))
            rows.append([label, name, str(figures.get("n", 0)), *shares])
    return Table(["class", "backend", "n", "precision", "recall", "F1"], rows, names=2)


def comparison_table(results: Results) -> Table:
    """McNemar's test and the interval of the difference, a row per pair."""
    return Table(
        ["pair", "n", "difference", "95 % interval", "only first right", "only second right",
         "p (McNemar)", "p (Holm)"],
        [
            [
                f"{pair['first']} − {pair['second']}",
                str(pair["n"]),
                f"{100 * pair['difference']:+.1f} points",
                percent_range(pair["difference_ci95"]),
                str(pair["only_first"]),
                str(pair["only_second"]),
                p_value(pair["p_value"]),
                p_value(pair["p_holm"]),
            ]
            for pair in results["comparisons"]
        ],
    )  # fmt: skip


def latency_table(results: Results) -> Table:
    """A row per backend, all photos together."""
    header = ["backend", "n", "p50 ms", "p95 ms", "p99 ms", "first answer s", "whole process s",
              "CPU s/picture", "peak MB"]  # fmt: skip
    rows = []
    for name, values in results["backends"].items():
        cold = values["cold"] or {}
        rows.append(
            [
                name,
                str(values["n"]),
                *(number(values[key], 1) for key in ("p50_ms", "p95_ms", "p99_ms")),
                number(cold.get("first_answer_s"), 2),
                number(cold.get("process_s"), 2),
                number(values["cpu_s"], 3),
                number(values["peak_memory_mb"], 0),
            ]
        )
    return Table(header, rows)


def throughput_table(results: Results) -> Table | None:
    """Pictures a second by how many are asked at the same time; None where not measured."""
    rates = {
        name: values["pictures_per_second"]
        for name, values in results["backends"].items()
        if values["pictures_per_second"]
    }
    levels = sorted({int(level) for own in rates.values() for level in own})
    if not levels:
        return None
    return Table(
        ["backend", *(f"{level} at a time" for level in levels)],
        [
            [name, *(number(own.get(str(level)), 1) for level in levels)]
            for name, own in rates.items()
        ],
    )


def photo_table(results: Results) -> Table:
    """A row per photo and backend."""
    rows = []
    for photo, facts in results["photos"].items():
        size = f"{photo} ({facts['width']}×{facts['height']}, {facts['bytes'] / 1000:.0f} kB)"
        for name, values in results["backends"].items():
            times = values["photos"].get(photo, {})
            rows.append(
                [
                    size,
                    name,
                    *(number(times.get(key), 1) for key in ("p50_ms", "p95_ms", "p99_ms")),
                    number(times.get("cpu_s"), 3),
                    number(times.get("peak_memory_mb"), 0),
                ]
            )
    return Table(
        ["photo", "backend", "p50 ms", "p95 ms", "p99 ms", "CPU s/picture", "peak MB"],
        rows,
        names=2,
    )


def phase_table(results: Results) -> Table | None:
    """Parts of the calls to clouds; None where there was none."""
    parts = {name: v["phases"] for name, v in results["backends"].items() if v.get("phases")}
    if not parts:
        return None
    names = list(dict.fromkeys(part for values in parts.values() for part in values))
    rows = [
        [backend, *(number(values.get(name), 1) for name in names)]
        for backend, values in parts.items()
    ]
    return Table(["backend", *(f"{name} ms" for name in names)], rows)


def cost_blocks(costs: Mapping[str, Any]) -> tuple[Text, Table]:
    """Costs of clouds and of local backends, with the assumptions."""
    currency, pictures = costs["currency"], costs["pictures_per_month"]
    local = costs["prices"]["local"]
    rows = []
    for name, values in costs["local"].items():
        rows.append([name, f"{values['per_thousand']:.4f}", f"{values['month']:.2f}", MISSING, ""])
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
    assumed = (
        f"At {pictures:,} pictures a month. A machine of one's own: {local['machine']:g} "
        f"{currency}, {local['watts_idle']:g} W idle and {local['watts_busy']:g} W busy all month, "
        f"{local['electricity_per_kwh']:g} {currency} per kWh; {costs['compared_with']} takes "
        f"{1000 * costs['seconds_per_picture']:.0f} ms a picture. {local['about']} "
        f"{costs['prices']['about']}"
    )
    return Text(assumed), Table(header, rows)


def machine_text(results: Results) -> str:
    """Processor, cores, memory and system."""
    machine = results["machine"]
    memory = f", {machine['memory_gb']:.0f} GB" if machine["memory_gb"] else ""
    cores = count(machine["cpu_count"], "core")
    return f"{machine['processor']}, {cores}{memory}, {machine['system']}"


def environment_text(results: Results) -> Text:
    """Machine, versions, date and command of a result file."""
    versions = ", ".join(f"{name} {value}" for name, value in results["versions"].items())
    commit = f", commit {results['git_commit']}" if results["git_commit"] else ""
    return Text(
        f"{results['date'][:10]}; {machine_text(results)}; {versions}{commit}; "
        f"seed {results['seed']}; {results['command']}"
    )


def data_text(results: Results) -> Text:
    """What the pictures are, and what was left out."""
    data = results["data"]
    classes = ", ".join(f"{name} {n}" for name, n in data["per_class"].items())
    people = count(data["subjects"], "subject")
    parts = [f"{count(data['pictures'], 'picture')} of {people}: {classes}."]
    parts += [f"{note[0].upper()}{note[1:]}." for note in data["notes"]]
    if data["asked_about"] < data["pictures"]:
        parts.append(f"{data['asked_about']} of them, drawn at random, were asked about.")
    if data["mapped"]:
        mapped = ", ".join(f"{folder} as {label}" for folder, label in data["mapped"].items())
        parts.append(f"Folders taken for classes: {mapped}.")
    if data["left_out"]:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in data["left_out"].items())
        parts.append(f"Left out: {reasons}.")
    return Text(" ".join(parts))


def mapping_lines(files: Sequence[Results]) -> list[str]:
    """How the words of each backend that has others became our classes."""
    lines: dict[str, str] = {}
    for values_by_name in (content["backends"] for content in files):
        for name, values in values_by_name.items():
            description = values.get("description") or {}
            words = description.get("mapping") or {}
            parts = [
                f"{word} is {ours}" for word, ours in words.items() if ours not in (word, None)
            ]
            if nothing := [word for word, ours in words.items() if ours is None]:
                has_none = [word for word in nothing if word in CLASSES]
                parts += [f"it has no word for {word}" for word in has_none]
                parts += [f"{word} is no answer" for word in nothing if word not in has_none]
            if likelihoods := description.get("likelihoods"):
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

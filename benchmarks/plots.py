"""Plots of results as SVG text; needs matplotlib, which the extra ``train`` brings."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shelly_local.errors import MissingExtraError
from shelly_local.results import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Backends = Mapping[str, Mapping[str, Any]]
#: Names of backends; a backend's place gives its colour and marker, the same in every plot.
Order = Sequence[str]

#: Colours that people with any colour vision tell apart (Okabe and Ito 2008); the yellow of
#: that palette is too faint for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
#: Columns of plots of one backend each.
COLUMNS = 3
#: Photos that get a panel of their own; more would make the plot taller than a screen.
MOST_PHOTOS = 4
#: Share above which a cell of a confusion matrix is dark and its figures are white.
DARK = 0.55
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "svg.fonttype": "path",  # looks the same everywhere, whatever fonts there are
    "svg.hashsalt": "shelly",  # the same results give the same file
}


def latency_distribution(backends: Backends, order: Order = ()) -> str:
    """Times of single answers: every sample, quartiles and median, a panel per photo."""
    names = [name for name, values in backends.items() if values.get("n")]
    photos = list(dict.fromkeys(photo for name in names for photo in backends[name]["photos"]))
    with _style():
        panels = photos[:MOST_PHOTOS]
        height = 0.9 + len(panels) * (0.45 + 0.34 * len(names))
        figure = _figure(7.4, height)
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, photo in zip(grid[:, 0], panels, strict=True):
            samples = [backends[name]["photos"][photo]["samples_ms"] for name in names]
            _boxes(axes, names, samples, order)
            axes.set_title(photo, loc="left")
        low = min(min(s["samples_ms"]) for n in names for s in _samples(backends[n]))
        high = max(max(s["samples_ms"]) for n in names for s in _samples(backends[n]))
        bottom = grid[-1, 0]
        _times(bottom, low, high)
        bottom.set_xlabel("milliseconds from file bytes to answer, one picture at a time")
        return _svg(figure)


def accuracy_against_latency(accuracy: Backends, latency: Backends, order: Order = ()) -> str:
    """Accuracy with its 95 % interval against the median time, reaching to the 95th percentile."""
    names = common(accuracy, latency)
    with _style():
        figure = _figure(6.4, 4.0)
        axes = figure.subplots()
        for name in names:
            colour, marker = _look(name, order or names)
            x, tail = latency[name]["p50_ms"], latency[name]["p95_ms"]
            y = 100 * accuracy[name]["accuracy"]
            low, high = accuracy[name].get("accuracy_ci95") or (y / 100, y / 100)
            axes.errorbar(
                x,
                y,
                xerr=[[0.0], [max(tail - x, 0.0)]],
                yerr=[[max(y - 100 * low, 0.0)], [max(100 * high - y, 0.0)]],
                fmt=marker,
                color=colour,
                markersize=7,
                capsize=3,
                linewidth=1,
                label=name,
            )
        ends = [latency[name][key] for name in names for key in ("p50_ms", "p95_ms")]
        _times(axes, min(ends), max(ends))
        axes.set_ylim(0, 103)
        axes.grid(True)
        axes.set_xlabel("milliseconds per picture, median to 95th percentile")
        axes.set_ylabel("right answers, % (95 % interval)")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        return _svg(figure)


def common(accuracy: Backends, latency: Backends) -> list[str]:
    """The backends of which both accuracy and time are known."""
    return [
        name
        for name, values in accuracy.items()
        if values.get("accuracy") is not None and latency.get(name, {}).get("p50_ms")
    ]


def confusion_matrices(backends: Backends, order: Order = ()) -> str:
    """Where the pictures of each class went; every row adds up to 100 %."""
    names = [name for name, values in backends.items() if values.get("n")]
    rows = [i for i in range(len(CLASSES)) if any(sum(_row(backends[n], i)) for n in names)]
    with _style():
        columns = min(COLUMNS, len(names))
        lines = -(-len(names) // columns)
        figure = _figure(0.9 + 3.9 * columns, lines * (1.5 + 0.36 * len(rows)))
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=False):
            counts = np.array([_row(backends[name], i) for i in rows], dtype=float)
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            edges = [np.arange(length + 1) - 0.5 for length in reversed(shares.shape)]
            axes.pcolormesh(*edges, shares, cmap="Blues", vmin=0, vmax=1)  # stays sharp
            axes.invert_yaxis()
            for (y, x), share in np.ndenumerate(shares):
                if counts[y, x]:
                    colour = "white" if share > DARK else "black"
                    text = f"{100 * share:.0f}"
                    axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=8)
            axes.set_xticks(range(len(CLASSES) + 1), [*CLASSES, "no answer"])
            axes.tick_params(axis="x", labelrotation=40, length=0)
            axes.tick_params(axis="y", length=0)
            for label in axes.get_xticklabels():
                label.set_ha("right")
                label.set_rotation_mode("anchor")
            axes.set_yticks(range(len(rows)), [CLASSES[i] for i in rows])
            axes.axvline(len(CLASSES) - 0.5, color="black", linewidth=0.8)
            axes.spines[:].set_visible(False)
            axes.set_title(name, loc="left")
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        figure.supylabel("label", fontsize=9)
        figure.supxlabel("answer, % of the row", fontsize=9)
        return _svg(figure)


def reliability(backends: Backends, order: Order = ()) -> str:
    """Accuracy against confidence; a calibrated backend lies on the diagonal."""
    names = [name for name, values in backends.items() if values.get("calibration")]
    with _style():
        columns = min(COLUMNS, len(names))
        lines = -(-len(names) // columns)
        figure = _figure(0.6 + 2.9 * columns, 0.4 + 3.0 * lines)
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes, name in zip(grid.flat, names, strict=False):
            colour, _ = _look(name, order or names)
            calibration = backends[name]["calibration"]
            bins = [b for b in calibration["bins"] if b["n"]]
            most = max(b["n"] for b in bins)
            confidence = [b["confidence"] for b in bins]
            right = [b["accuracy"] for b in bins]
            axes.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=0.8)
            axes.vlines(confidence, confidence, right, color=colour, alpha=0.5)
            axes.scatter(
                confidence,
                right,
                s=[12 + 110 * b["n"] / most for b in bins],
                color=colour,
                alpha=0.85,
                linewidths=0,
            )
            axes.set_xlim(0, 1.03)
            axes.set_ylim(-0.03, 1.03)
            axes.set_aspect("equal")
            axes.grid(True)
            axes.set_title(
                f"{name}\nECE {calibration['ece']:.3f}, Brier {calibration['brier']:.3f}",
                loc="left",
                fontsize=9,
            )
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        figure.supylabel("share of right answers", fontsize=9)
        figure.supxlabel("confidence; larger dots stand for more pictures", fontsize=9)
        return _svg(figure)


def throughput(backends: Backends, order: Order = ()) -> str:
    """Pictures a second by how many are asked at the same time."""
    with _style():
        figure = _figure(6.4, 3.2)
        axes = figure.subplots()
        levels: set[int] = set()
        shown: list[float] = []
        for name, values in backends.items():
            colour, marker = _look(name, order or list(backends))
            rates = values.get("pictures_per_second") or {}
            if rates:
                shown += rates.values()
                points = sorted((int(level), rate) for level, rate in rates.items())
                levels.update(level for level, _ in points)
                axes.plot(
                    [level for level, _ in points],
                    [rate for _, rate in points],
                    marker=marker,
                    color=colour,
                    label=name,
                )
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(levels), [str(level) for level in sorted(levels)])
        axes.minorticks_off()
        if max(shown) > 20 * min(shown):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(True)
        axes.set_xlabel("pictures asked at the same time")
        axes.set_ylabel("pictures a second")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        return _svg(figure)


def _boxes(
    axes: Axes, names: Sequence[str], samples: Sequence[Sequence[float]], order: Order
) -> None:
    """A row per backend, the first one on top."""
    for index, values in enumerate(samples):
        colour, _ = _look(names[index], order or names)
        y = len(names) - 1 - index
        if not values:
            continue
        spread = (np.arange(len(values)) * 0.618) % 1.0 - 0.5  # even, and never random
        axes.scatter(values, y + 0.42 * spread, s=7, color=colour, alpha=0.45, linewidths=0)
        low, middle, high = np.percentile(values, (25, 50, 75))
        axes.hlines(y, low, high, color=colour, linewidth=5, alpha=0.5)
        axes.vlines(middle, y - 0.32, y + 0.32, color="black", linewidth=1.6)
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _times(axes: Axes, low: float, high: float) -> None:
    """An axis of milliseconds: logarithmic where the times differ much, else from 0."""
    if high > 5 * low:
        ticks = [m * 10.0**e for e in range(-2, 7) for m in (1, 2, 5)]
        axes.set_xscale("log")
        axes.set_xlim(low / 1.25, high * 1.25)
        shown = [tick for tick in ticks if low / 1.25 <= tick <= high * 1.25]
        axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
        axes.minorticks_off()
    else:
        axes.set_xlim(0, high * 1.08)


def _samples(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [photo for photo in values["photos"].values() if photo["samples_ms"]]


def _row(values: Mapping[str, Any], index: int) -> list[int]:
    return list(values["confusion"][index])


def _look(name: str, order: Order) -> tuple[str, str]:
    """Colour and marker of a backend."""
    index = list(order).index(name)
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _style() -> Any:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError(
            "plots need the package 'matplotlib'; install it with pip install matplotlib, or "
            "give --no-plots"
        ) from error
    return mpl.rc_context(STYLE)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure as NewFigure  # no window, no global state

    return NewFigure(figsize=(width, height), layout="constrained", facecolor="white")


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]  # without a document type, which names an address

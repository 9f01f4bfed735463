"""Pictures of results: learning curves, confusion matrix, reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from shelly_local.results import CLASSES

mpl.use("Agg")  # files only: no window, no display needed

from matplotlib import pyplot as plt


def confusion_matrix(counts: Sequence[Sequence[int]], title: str, file: Path) -> None:
    """Draw a confusion matrix; each row shows where the faces of one class went.

    Args:
        counts: (7, 7), rows the truth, columns the answer, in ``CLASSES`` order.
        title: what was scored.
        file: PNG to write.
    """
    matrix = np.asarray(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(CLASSES)):
        for column in range(len(CLASSES)):
            colour = "white" if shares[row, column] > 0.55 else "black"
            text = f"{shares[row, column]:.0%}\n{matrix[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(CLASSES)), CLASSES, rotation=35, ha="right")
    axes.set_yticks(range(len(CLASSES)), CLASSES)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.set_title(title)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def reliability_diagram(bins: Sequence[dict[str, Any]], ece: float, title: str, file: Path) -> None:
    """Draw accuracy against confidence; a calibrated model lies on the diagonal.

    Args:
        bins: from ``metrics.reliability_bins``.
        ece: expected calibration error.
        title: what was scored.
        file: PNG to write.
    """
    full = [b for b in bins if b["n"]]
    figure, axes = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot([b["confidence"] for b in full], [b["accuracy"] for b in full], marker="o")
    for b in full:
        axes.annotate(str(b["n"]), (b["confidence"], b["accuracy"]), fontsize=7,
                      xytext=(4, -9), textcoords="offset points")  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_title(f"{title}, ECE {ece:.3f}")
    figure.savefig(file, dpi=120)
    plt.close(figure)


def learning_curves(rows: Sequence[dict[str, float]], file: Path) -> None:
    """Draw loss and public accuracy per epoch.

    Args:
        rows: the history of a training run.
        file: PNG to write.
    """
    epochs = [row["epoch"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.plot(epochs, [row["loss"] for row in rows])
    left.set_xlabel("epoch")
    left.set_ylabel("training loss")
    for name in ("public_accuracy", "public_macro_recall"):
        right.plot(epochs, [row[name] for row in rows], label=name.replace("_", " "))
    right.set_xlabel("epoch")
    right.legend()
    figure.savefig(file, dpi=120)
    plt.close(figure)

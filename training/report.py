"""The report of a fine-tuning run: Markdown for people, JSON for programs, pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.files import write_whole
from shelly_local.results import CLASSES

from . import plots
from .dataset import Index, Take, as_dict
from .metrics import Scores, interval_by_subject, score

#: How a take is answered: from one frame, from the mean over a few, from the mean over all.
VIEWS = ("single", "few", "whole")
VIEW_TITLES = {
    "single": "single frame",
    "few": "mean over the chosen frames",
    "whole": "mean over the whole take",
}
#: An accuracy on unseen people above this smells of leakage: the same person or neighbouring
#: frames on both sides. Published results that honour people lie in the 80s and low 90s.
SUSPICIOUS_ACCURACY = 0.99


@dataclass(frozen=True)
class TakeAnswer:
    """What a model answered for one take, by view.

    Attributes:
        take: the take.
        probabilities: for each of ``VIEWS`` the mean probabilities (7,) over its frames
            with a face; None where no frame has one.
        frame: name of the single frame, for the list of misread faces.
    """

    take: Take
    probabilities: dict[str, NDArray[np.float64] | None]
    frame: str


def score_view(answers: Sequence[TakeAnswer], view: str) -> Scores:
    """Scores over takes; a take without a face in this view is wrong."""
    rows, truth, missing = [], [], []
    for answer in answers:
        probabilities = answer.probabilities[view]
        label = CLASSES.index(answer.take.emotion)
        if probabilities is None:
            missing.append(label)
        else:
            rows.append(np.log(np.maximum(probabilities, 1e-12)))
            truth.append(label)
    return score(np.array(rows).reshape(-1, len(CLASSES)), truth, missing=missing)


def right(answers: Sequence[TakeAnswer], view: str) -> list[bool]:
    """Whether each take was answered rightly."""
    found = [(answer.probabilities[view], answer.take.emotion) for answer in answers]
    return [p is not None and CLASSES[int(p.argmax())] == emotion for p, emotion in found]


def fold_entry(name: str, answers: Sequence[TakeAnswer]) -> dict[str, Any]:
    """One fold of ``report.json``: accuracy and macro F1 are those of the single frame."""
    views = {view: score_view(answers, view) for view in VIEWS}
    return {
        "name": name,
        "subjects_test": sorted({answer.take.subject for answer in answers}),
        "n": views["single"].n,
        "accuracy": views["single"].accuracy,
        "macro_f1": views["single"].macro_f1,
        "views": {
            view: {"accuracy": s.accuracy, "macro_f1": s.macro_f1} for view, s in views.items()
        },
    }


def summary(answers: Sequence[TakeAnswer]) -> dict[str, Any]:
    """Scores over the test takes of all folds, with intervals over people, for every view."""
    subjects = [answer.take.subject for answer in answers]
    result: dict[str, Any] = {}
    for view in VIEWS:
        scores = score_view(answers, view)
        result[view] = asdict(scores) | {
            "macro_f1": scores.macro_f1,
            "accuracy_ci95": interval_by_subject(right(answers, view), subjects),
        }
    return result


def build(
    *,
    index: Index,
    protocol: str,
    folds: Sequence[dict[str, Any]],
    answers: Sequence[TakeAnswer],
    before: Sequence[TakeAnswer],
    problems: dict[str, list[str]],
    warnings: Sequence[str],
    run: dict[str, Any],
) -> dict[str, Any]:
    """Everything ``report.json`` holds.

    Args:
        index: what was found on disk.
        protocol: name of the protocol.
        folds: from ``fold_entry``.
        answers: of the fine-tuned models, all folds together.
        before: of the model they started from, on the same takes.
        problems: names of frames without a crop, by reason.
        warnings: about splits and data.
        run: command, settings, date, machine, seconds.
    """
    after, earlier = summary(answers), summary(before)
    accuracies = [fold["accuracy"] for fold in folds]
    f1s = [fold["macro_f1"] for fold in folds]
    remarks = list(warnings)
    if after["single"]["accuracy"] >= SUSPICIOUS_ACCURACY:
        remarks.append(
            f"an accuracy of {after['single']['accuracy']:.1%} on unseen people smells of "
            "leakage: check that no person and no take stands on both sides."
        )
    misread = [
        {"frame": answer.frame, "take": answer.take.key, "answer": _answer(answer)}
        for answer, good in zip(answers, right(answers, "single"), strict=True)
        if not good
    ]
    return {
        "index": as_dict(index),
        "protocol": protocol,
        "folds": list(folds),
        "mean": {
            "accuracy": float(np.mean(accuracies)),
            "accuracy_sd": float(np.std(accuracies, ddof=1)) if len(folds) > 1 else 0.0,
            "accuracy_ci95": after["single"]["accuracy_ci95"],
            "macro_f1": float(np.mean(f1s)),
            "macro_f1_sd": float(np.std(f1s, ddof=1)) if len(folds) > 1 else 0.0,
        },
        "after": after,
        "before": {
            "accuracy": earlier["single"]["accuracy"],
            "accuracy_ci95": earlier["single"]["accuracy_ci95"],
            "macro_f1": earlier["single"]["macro_f1"],
            "views": earlier,
        },
        "frames_without_crop": {reason: len(names) for reason, names in problems.items()},
        "frames_without_crop_names": problems,
        "misread": misread,
        "warnings": remarks,
        "run": run,
    }


def _answer(answer: TakeAnswer) -> str:
    probabilities = answer.probabilities["single"]
    return "no face" if probabilities is None else CLASSES[int(probabilities.argmax())]


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    mean, before, index = report["mean"], report["before"], report["index"]
    low, high = mean["accuracy_ci95"]
    lines = [
        "# Fine-tuning report",
        "",
        f"`{report['run']['command']}`, {report['run']['date']}, {report['run']['machine']}",
        "",
        f"**{mean['accuracy']:.1%}** of the takes of people never seen before, from a single "
        f"frame (deviation over folds {mean['accuracy_sd']:.1%}; 95 % interval over people "
        f"{low:.1%} to {high:.1%}); macro F1 {mean['macro_f1']:.1%}. Before fine-tuning "
        f"{before['accuracy']:.1%} and {before['macro_f1']:.1%}.",
        "",
    ]
    lines += [f"> Warning: {remark}" for remark in report["warnings"]]
    lines += [
        "",
        "## Data",
        "",
        f"{index['subjects']} people, {index['takes']} takes, {index['frames']} frames; "
        f"protocol `{report['protocol']}`.",
        "",
        "| emotion | people | takes | frames |",
        "| --- | --- | --- | --- |",
    ]
    for emotion, counts in index["per_emotion"].items():
        row = f"{counts['subjects']} | {counts['takes']} | {counts['frames']}"
        lines.append(f"| {emotion} | {row} |")
    if index["left_out"]:
        left_out = ", ".join(f"{reason}: {count}" for reason, count in index["left_out"].items())
        lines += ["", f"Left out: {left_out}."]
    if report["frames_without_crop"]:
        missing = ", ".join(f"{r}: {n}" for r, n in report["frames_without_crop"].items())
        lines += ["", f"Frames without a crop: {missing} (named in `report.json`)."]
    lines += [
        "",
        "## Folds",
        "",
        "| fold | takes | accuracy | macro F1 | people tested |",
        "| --- | --- | --- | --- | --- |",
    ]
    for fold in report["folds"]:
        people = " ".join(fold["subjects_test"])
        values = f"{fold['accuracy']:.1%} | {fold['macro_f1']:.1%}"
        lines.append(f"| {fold['name']} | {fold['n']} | {values} | {people} |")
    lines += [
        "",
        "## Single frame, some frames, whole take",
        "",
        "| | accuracy | 95 % over people | macro F1 | calibration error | before: accuracy |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for view in VIEWS:
        after = report["after"][view]
        low, high = after["accuracy_ci95"]
        lines.append(
            f"| {VIEW_TITLES[view]} | {after['accuracy']:.1%} | {low:.1%} to {high:.1%} | "
            f"{after['macro_f1']:.1%} | {after['ece']:.3f} | "
            f"{before['views'][view]['accuracy']:.1%} |"
        )
    single, earlier = report["after"]["single"], before["views"]["single"]
    lines += [
        "",
        "## Classes, single frame",
        "",
        "| emotion | recall | precision | F1 | recall before |",
        "| --- | --- | --- | --- | --- |",
    ]
    for emotion, recall in single["recall"].items():
        lines.append(
            f"| {emotion} | {recall:.1%} | {single['precision'][emotion]:.1%} | "
            f"{single['f1'][emotion]:.1%} | {earlier['recall'].get(emotion, 0):.1%} |"
        )
    lines += ["", "![Confusion matrix](confusion.png)", "", "![Reliability](reliability.png)", ""]
    if report["misread"]:
        lines += [f"## Misread faces ({len(report['misread'])})", ""]
        lines += [
            f"* `{row['take']}`, `{row['frame']}`: {row['answer']}" for row in report["misread"]
        ]
    return "\n".join(lines) + "\n"


def write(report: dict[str, Any], folder: Path) -> None:
    """Write ``report.json``, ``report.md`` and the pictures."""
    single = report["after"]["single"]
    title = f"{report['protocol']}, single frame"
    plots.confusion_matrix(single["confusion"], title, folder / "confusion.png")
    plots.reliability_diagram(
        single["reliability"], single["ece"], title, folder / "reliability.png"
    )
    for name, text in (
        ("report.md", markdown(report)),
        ("report.json", json.dumps(report, indent=2, allow_nan=False) + "\n"),
    ):
        write_whole(folder / name, text.encode())

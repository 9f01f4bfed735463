"""Documents and model card say what the description of the model says, which evaluation wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shelly_local.results import CLASSES
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    text = (ROOT / "models/emotion/model.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["metrics"])


def row(file: str, beginning: str) -> str:
    """The one table row of a file that begins so."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| {beginning}")]
    assert len(rows) == 1, f"{file} has {len(rows)} rows that begin with {beginning!r}"
    return rows[0]


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        ("FER+, private part", "ferplus_private"),
        ("the same where the label of 2013 agrees", "agreed_private"),
        ("FER2013, private part", "fer2013_private"),
        ("London portraits", "photos"),
    ],
)
def test_accuracies_in_the_results(metrics: dict[str, Any], beginning: str, part: str) -> None:
    assert percent(metrics[part]["accuracy"]) in row("docs/results.md", beginning)


def test_other_figures_in_the_results(metrics: dict[str, Any]) -> None:
    assert percent(metrics["agreed_private"]["macro_recall"]) in row(
        "docs/results.md", "the same where the label of 2013 agrees"
    )
    pairs = metrics["photos"]["paired"]["happiness"]
    higher = f"{round(pairs['higher'] * pairs['n'])} of {pairs['n']}"
    assert higher in row("docs/results.md", "the same, P(happiness) higher")
    assert percent(metrics["fer2013_private"]["faces_found"]) in row(
        "docs/results.md", "tight face"
    )
    smiles = {
        sex: group["recall"]["happiness"]
        for sex, group in metrics["photos"]["groups"]["gender"].items()
    }
    text = " ".join((ROOT / "docs/results.md").read_text(encoding="utf-8").split())
    assert (
        f"{percent(smiles['female'], 0)} of the women's and {percent(smiles['male'], 0)} of the "
        "men's"
    ) in text


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        ("FER+ majority | 3", "ferplus_private"),
        ("where the label of 2013 agrees", "agreed_private"),
        ("labels of 2013", "fer2013_private"),
        ("London, whole pipeline", "photos"),
    ],
)
def test_results_in_the_model_card(metrics: dict[str, Any], beginning: str, part: str) -> None:
    values = metrics[part]
    wanted = [
        f"{values['n']:,}",
        percent(values["accuracy"]),
        percent(values["macro_recall"]),
        f"{values['ece']:.3f}",
    ]
    cells = row("models/emotion/MODEL_CARD.md", beginning).strip("| ").split(" | ")
    assert cells[1:] == wanted


def test_recall_by_class_in_the_model_card(metrics: dict[str, Any]) -> None:
    recall = metrics["ferplus_private"]["recall"]
    cells = row("models/emotion/MODEL_CARD.md", "recall").strip("| ").split(" | ")
    assert cells[1:] == [percent(recall[name], 0) for name in CLASSES]


@pytest.mark.parametrize(
    ("title", "column", "group"),
    [
        ("women", "gender", "female"),
        ("men", "gender", "male"),
        ("black", "ethnicity", "black"),
        ("east Asian", "ethnicity", "east_asian"),
        ("west Asian", "ethnicity", "west_asian"),
        ("white", "ethnicity", "white"),
    ],
)
def test_groups_in_the_model_card(
    metrics: dict[str, Any], title: str, column: str, group: str
) -> None:
    values = metrics["photos"]["groups"][column][group]
    low, high = (round(100 * bound) for bound in values["accuracy_ci95"])
    cells = row("models/emotion/MODEL_CARD.md", f"{title} (").strip("| ").split(" | ")
    assert cells[0] == f"{title} ({values['subjects']})"
    assert cells[1] == f"{percent(values['accuracy'], 0)} [{low}, {high}]"
    assert cells[2:] == [percent(values["recall"][name], 0) for name in ("happiness", "neutral")]

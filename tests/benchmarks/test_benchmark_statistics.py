"""Figures of answers that are known, against figures computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import metrics, significance
from shelly_local.results import CLASSES


def row(label: str, answer: str | None, score: float = 1.0, status: str = "answered") -> Any:
    if answer is None:
        return {"status": "no_face" if status == "answered" else status, "label": label, "faces": 0}
    rest = (1 - score) / 6
    scores = [score if name == answer else rest for name in CLASSES]
    return {"status": status, "label": label, "faces": 1, "scores": scores}


def test_figures_by_hand() -> None:
    rows = [
        *[row("happiness", "happiness")] * 3,
        row("happiness", "neutral"),
        *[row("neutral", "neutral")] * 2,
        row("neutral", "sadness"),
        row("neutral", None),
        row("sadness", "happiness", status="unsure"),
        row("sadness", None, status="refused"),
        row("fear", None, status="unreadable"),
        row("fear", None, status="failed"),
        row("fear", None, status="not_asked"),
    ]
    figures = metrics.evaluate(rows)
    assert figures["n"] == 10
    assert figures["accuracy"] == 0.5
    assert figures["accuracy_answered"] == pytest.approx(5 / 7, abs=1e-5)
    assert figures["faces_found"] == 0.8
    happiness = figures["classes"]["happiness"]
    assert (happiness["n"], happiness["precision"], happiness["recall"]) == (4, 1.0, 0.75)
    assert figures["classes"]["neutral"]["f1"] == pytest.approx(2 * 2 / (4 + 3), abs=1e-5)
    assert figures["classes"]["sadness"] == {"n": 2, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert "fear" not in figures["classes"]
    assert figures["macro_f1"] == pytest.approx((6 / 7 + 4 / 7 + 0) / 3, abs=1e-5)
    neutral, sadness = CLASSES.index("neutral"), CLASSES.index("sadness")
    assert figures["confusion"][neutral] == [0, 0, 0, 0, 2, 1, 0, 1]
    assert figures["confusion"][sadness] == [0, 0, 0, 0, 0, 0, 0, 2]
    assert figures["statuses"]["not_asked"] == 1


def test_nothing_counted() -> None:
    figures = metrics.evaluate([row("fear", None, status="failed")])
    assert figures["n"] == 0
    assert figures["accuracy"] is None
    assert figures["macro_f1"] is None
    assert figures["calibration"] is None


def test_calibration_by_hand() -> None:
    rows = [row("happiness", "happiness", 0.7)] * 3 + [row("neutral", "happiness", 0.7)]
    calibration = metrics.calibration(rows)
    assert calibration is not None
    assert calibration["ece"] == pytest.approx(0.75 - 0.7, abs=1e-5)
    right = 0.3**2 + 6 * 0.05**2
    wrong = 0.7**2 + 0.95**2 + 5 * 0.05**2
    assert calibration["brier"] == pytest.approx((3 * right + wrong) / 4, abs=1e-5)
    assert sum(b["n"] for b in calibration["bins"]) == 4
    assert len(calibration["bins"]) == 15


def test_what_scores_lack_to_one_counts_against_them() -> None:
    scores = [0.0] * 7
    scores[CLASSES.index("happiness")] = 0.6
    answered = {"status": "answered", "label": "happiness", "faces": 1, "scores": scores}
    calibration = metrics.calibration([answered])
    assert calibration is not None
    assert calibration["brier"] == pytest.approx(0.4**2 + 0.4**2)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 2 / 64), (10, 2, 2 * (1 + 12 + 66) / 4096)],
)
def test_mcnemar_of_few(only_first: int, only_second: int, p: float) -> None:
    assert significance.mcnemar_exact(only_first, only_second) == pytest.approx(p)
    assert significance.mcnemar_exact(only_second, only_first) == pytest.approx(p)


def test_mcnemar_of_thousands() -> None:
    assert significance.mcnemar_exact(1500, 1500) == 1.0
    assert 0 <= significance.mcnemar_exact(4000, 10) < 1e-300
    with pytest.raises(ValueError, match="-1"):
        significance.mcnemar_exact(-1, 3)


def test_holm() -> None:
    assert significance.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert significance.holm([]) == []


def test_intervals_are_over_subjects() -> None:
    values = [1.0, 0.0] * 100
    alone = significance.interval(values, [str(i) for i in range(200)])
    grouped = significance.interval(values, [str(i % 2) + str(i // 20) for i in range(200)])
    assert alone is not None
    assert grouped is not None
    assert alone[0] == pytest.approx(0.5 - 1.96 * (0.25 / 200) ** 0.5, abs=0.015)
    # Twenty people, each always right or always wrong, tell as much as twenty pictures.
    assert grouped[1] - grouped[0] > 2.5 * (alone[1] - alone[0])
    assert significance.interval([1.0, 0.0], ["a", "a"]) is None
    assert significance.interval(values, ["x", "y"] * 100, seed=1) == [0.0, 1.0]


def test_pairs_are_compared_on_common_pictures() -> None:
    names = [f"{i}.jpg" for i in range(12)]
    right = {
        "good": dict.fromkeys(names, True),
        "bad": {name: i < 6 for i, name in enumerate(names[:8])},
        "unasked": {},
    }
    pairs = significance.compare(right, {name: name for name in names})
    (pair,) = pairs
    assert (pair["first"], pair["second"], pair["n"]) == ("good", "bad", 8)
    assert (pair["only_first"], pair["only_second"]) == (2, 0)
    assert pair["difference"] == 0.25
    assert pair["p_value"] == pair["p_holm"] == 0.5
    low, high = pair["difference_ci95"]
    assert low <= 0.25 <= high

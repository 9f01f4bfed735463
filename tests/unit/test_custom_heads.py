"""Heads of custom classifiers: what is learnt, and what the scores mean."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from shelly_local.watson.custom.heads import Heads, train_heads
from shelly_local.watson.custom.minimise import minimise

Labels = NDArray[np.bool_]


def clusters(
    counts: list[int], distance: float, seed: int, width: int = 64
) -> tuple[NDArray[np.float64], Labels]:
    """Faces around one centre per class; the centres are the same for every seed."""
    centres = np.random.default_rng(99).normal(0, 1, (len(counts), width))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).normal(0, 1, (len(labels), width))
    return centres[labels] + noise, labels[:, None] == np.arange(len(counts))


def test_ten_faces_of_each_class_are_enough() -> None:
    heads = train_heads(*clusters([10, 10, 10], 6.0, seed=0))
    faces, positive = clusters([200, 200, 200], 6.0, seed=1)
    scores = heads.scores(faces)
    assert scores.shape == positive.shape
    assert (scores.argmax(axis=1) == positive.argmax(axis=1)).mean() > 0.95
    # At the default threshold: the right class shown, the wrong ones not.
    assert (scores >= 0.5)[positive].mean() > 0.9
    assert (scores >= 0.5)[~positive].mean() < 0.05


def test_a_half_is_a_fair_threshold_where_classes_overlap() -> None:
    heads = train_heads(*clusters([60, 60], 2.0, seed=0))
    faces, positive = clusters([2000, 2000], 2.0, seed=1)
    shown = heads.scores(faces) >= 0.5
    found, wrong = shown[positive].mean(), shown[~positive].mean()
    assert abs(found + wrong - 1.0) < 0.12  # as often missed as wrongly shown
    assert found > 0.6


def test_scores_are_probabilities() -> None:
    heads = train_heads(*clusters([100, 100], 2.5, seed=0))
    faces, positive = clusters([4000, 4000], 2.5, seed=1)
    scores = heads.scores(faces)[:, 0]
    for low in (0.2, 0.4, 0.6):
        inside = (scores >= low) & (scores < low + 0.2)
        assert abs(positive[inside, 0].mean() - scores[inside].mean()) < 0.18


def test_a_small_class_beside_a_large_one_is_shown() -> None:
    heads = train_heads(*clusters([10, 400], 6.0, seed=0))
    faces, positive = clusters([300, 300], 6.0, seed=1)
    shown = heads.scores(faces) >= 0.5
    assert shown[positive[:, 0], 0].mean() > 0.85
    assert shown[positive[:, 1], 0].mean() < 0.05


def test_faces_of_no_class_get_low_scores() -> None:
    faces, positive = clusters([40, 40, 40], 6.0, seed=0)
    heads = train_heads(faces, positive[:, :2])  # the third are negative examples
    faces, positive = clusters([200, 200, 200], 6.0, seed=1)
    shown = heads.scores(faces) >= 0.5
    assert not shown[positive[:, 2]].any(axis=1).mean() > 0.05
    assert shown[positive[:, 0], 0].mean() > 0.9


def test_a_face_may_show_two_classes() -> None:
    faces, positive = clusters([40, 40], 6.0, seed=0)
    both = np.column_stack([positive, positive[:, 0]])
    scores = train_heads(faces, both).scores(faces)
    assert np.allclose(scores[:, 0], scores[:, 2])
    assert (scores[:40].sum(axis=1) > 1.5).all()


def test_the_same_faces_give_the_same_heads() -> None:
    one, two = (train_heads(*clusters([15, 15], 3.0, seed=0)) for _ in range(2))
    assert np.array_equal(one.weights, two.weights)
    assert np.array_equal(one.biases, two.biases)


def test_labels_without_a_reason_teach_nothing() -> None:
    faces = np.random.default_rng(0).normal(0, 1, (60, 32))
    shows = np.random.default_rng(1).random(60) < 0.5
    scores = train_heads(faces, np.column_stack([shows, ~shows])).scores(
        np.random.default_rng(2).normal(0, 1, (500, 32))
    )
    assert np.isfinite(scores).all()
    assert (scores > 0.9).mean() < 0.05


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_features_that_never_vary_do_no_harm(value: float) -> None:
    faces, positive = clusters([20, 20], 6.0, seed=0)
    constant = np.full((40, 5), value)
    with_constant = train_heads(np.hstack([faces, constant]), positive)
    scores = with_constant.scores(np.hstack([faces, constant]))
    assert ((scores >= 0.5) == positive).all()
    same = train_heads(np.zeros((40, 5)), positive).scores(np.zeros((1, 5)))
    assert np.allclose(same, 0.5, atol=0.1)


def test_twenty_classes_of_a_hundred_take_seconds() -> None:
    faces, positive = clusters([100] * 20, 6.0, seed=0, width=384)
    start = time.monotonic()
    heads = train_heads(faces, positive)
    assert time.monotonic() - start < 60
    faces, positive = clusters([20] * 20, 6.0, seed=1, width=384)
    assert (heads.scores(faces).argmax(axis=1) == positive.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize(
    ("embeddings", "positive", "text"),
    [
        (np.zeros((4, 2)), np.ones((4, 1), dtype=bool), "faces that do not"),
        (np.zeros((4, 2)), np.zeros((4, 1), dtype=bool), "faces that show it"),
        (np.zeros((4, 2)), np.ones((3, 1), dtype=bool), r"\(4, 2\), \(3, 1\)"),
        (np.zeros(4), np.ones((4, 1), dtype=bool), r"\(N, D\)"),
    ],
)
def test_what_cannot_be_learnt(
    embeddings: NDArray[np.float64], positive: Labels, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        train_heads(embeddings, positive)


def test_heads_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match="weights must be"):
        Heads(np.zeros((2, 3)), np.zeros(3))


def test_the_least_of_a_bowl_is_found() -> None:
    stretch = np.array([1.0, 30.0, 900.0])

    def bowl(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        away = values - [3.0, -2.0, 0.5]
        return float((stretch * away**2).sum()), 2 * stretch * away

    assert np.allclose(minimise(bowl, np.zeros(3)), [3.0, -2.0, 0.5], atol=1e-4)

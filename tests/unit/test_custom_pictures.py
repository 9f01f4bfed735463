"""Which pictures count for which class, and which make a training fail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from shelly_local.errors import TrainingError
from shelly_local.watson.custom.pictures import Collection, Pictures, pictures_from_arrays
from shelly_local.watson.custom.records import DamagedError


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def gather(
    sent: Sequence[tuple[str, str | None]], classes: Sequence[str], earlier: Pictures | None = None
) -> dict[str, list[str]]:
    """The classes of each picture, by the picture's name, after pictures were sent."""
    return names(pictures(sent, classes, earlier), [name for name, _ in sent], classes)


def pictures(
    sent: Sequence[tuple[str, str | None]], classes: Sequence[str], earlier: Pictures | None = None
) -> Pictures:
    collection = Collection(classes, earlier)
    for name, class_name in sent:
        if not collection.again(digest(name), class_name):
            vector = np.full(3, len(name), dtype=np.float32)
            collection.add(digest(name), class_name, vector, vector, shows_face=1)
    return collection.pictures()


def names(found: Pictures, sent: Sequence[str], classes: Sequence[str]) -> dict[str, list[str]]:
    by_digest = {digest(name): name for name in sent}
    return {
        by_digest.get(row.tobytes(), "earlier"): [
            name for name, shows in zip(classes, flags, strict=True) if shows
        ]
        for row, flags in zip(found.digests, found.positive, strict=True)
    }


def test_a_picture_counts_for_the_class_it_was_sent_for() -> None:
    assert gather([("a", "smile"), ("b", "frown"), ("c", None)], ["smile", "frown"]) == {
        "a": ["smile"],
        "b": ["frown"],
        "c": [],
    }


def test_the_same_picture_twice_is_one() -> None:
    assert gather([("a", "smile"), ("a", "smile")], ["smile"]) == {"a": ["smile"]}


@pytest.mark.parametrize("sent", [[("a", "smile"), ("a", None)], [("a", None), ("a", "smile")]])
def test_a_picture_that_is_positive_and_negative_stays_positive(
    sent: list[tuple[str, str | None]],
) -> None:
    assert gather(sent, ["smile"]) == {"a": ["smile"]}


def test_a_picture_sent_again_for_a_new_class_shows_both() -> None:
    earlier = pictures([("a", "smile"), ("b", "smile"), ("c", None)], ["smile"])
    sent: list[tuple[str, str | None]] = [("a", "grin"), ("c", "grin"), ("d", "grin")]
    found = gather([*sent, ("b", None)], ["smile", "grin"], earlier)
    assert found == {
        "a": ["smile", "grin"],
        "b": ["smile"],
        "c": ["grin"],
        "d": ["grin"],
    }


def test_pictures_are_kept_as_numbers() -> None:
    kept = pictures([("a", "smile"), ("bb", None)], ["smile"])
    again = pictures_from_arrays(dict(kept.as_arrays()), classes=1)
    for name in ("embeddings", "positive", "digests"):
        assert np.array_equal(getattr(again, name), getattr(kept, name))
    assert again.embeddings.dtype == np.float32


@pytest.mark.parametrize("broken", ["embeddings", "positive", "digests"])
def test_numbers_that_do_not_fit_are_damage(broken: str) -> None:
    arrays = dict(pictures([("a", "smile")], ["smile"]).as_arrays())
    arrays[broken] = np.zeros((5, 5))
    with pytest.raises(DamagedError):
        pictures_from_arrays(arrays, classes=1)
    del arrays[broken]
    with pytest.raises(DamagedError):
        pictures_from_arrays(arrays, classes=1)


@pytest.mark.parametrize(
    ("positives", "negatives", "text"),
    [
        (4, 9, "class 'smile' has 4 pictures; at least 5"),
        (9, 4, "Only 4 pictures do not show the class 'smile'; at least 5"),
    ],
)
def test_too_few_faces(positives: int, negatives: int, text: str) -> None:
    sent: list[tuple[str, str | None]] = [(f"p{i}", "smile") for i in range(positives)]
    found = pictures([*sent, *((f"n{i}", None) for i in range(negatives))], ["smile"])
    with pytest.raises(TrainingError, match=text):
        found.check(["smile"])


def test_no_face_at_all() -> None:
    with pytest.raises(TrainingError, match="None of the pictures can be learnt from"):
        Collection(["smile"]).pictures()

"""Results as values: they check themselves and pass from process to process."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shelly_local
from shelly_local import EmotionClassifier, Face, FaceEmotion, PhotoEmotions
from shelly_local.errors import BackendError, NotAnImageError, ShellyError
from shelly_local.results import CLASSES

NOT_NUMBERS = [math.nan, math.inf, -math.inf, "0.5", None, 10**400]
FACE = Face((1.0, 2.0, 30.5, 40.0), ((1.0, 2.0),) * 5, 0.75)


def photo_of(scores: Mapping[str, float], face: Face = FACE) -> PhotoEmotions:
    return PhotoEmotions(640, 480, (FaceEmotion(face, scores),))


@pytest.fixture(scope="module")
def answer(classifier: EmotionClassifier, smiling_photo: Path) -> PhotoEmotions:
    return classifier.classify(smiling_photo)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_answer_is_pickled(answer: PhotoEmotions, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(answer, protocol))
    assert again == answer
    assert hash(again) == hash(answer)
    assert repr(again) == repr(answer)
    assert tuple(again.faces[0].scores) == CLASSES


def test_an_answer_is_copied_and_stays_immutable(answer: PhotoEmotions) -> None:
    for again in (copy.deepcopy(answer), copy.copy(answer), pickle.loads(pickle.dumps(answer))):
        assert again == answer
        scores: Any = again.faces[0].scores
        with pytest.raises(dataclasses.FrozenInstanceError):
            again.faces = ()  # type: ignore[misc]
        with pytest.raises(TypeError, match="cannot be changed"):
            scores["anger"] = 1.0
        with pytest.raises(TypeError, match="cannot be changed"):
            scores |= {"anger": 1.0}
        for method in ("clear", "popitem", "update"):
            with pytest.raises(TypeError, match="cannot be changed"):
                getattr(scores, method)()
        with pytest.raises(TypeError, match="cannot be changed"):
            del scores["anger"]
        assert again == answer


def test_an_answer_becomes_plain_data(answer: PhotoEmotions) -> None:
    data = json.loads(json.dumps(dataclasses.asdict(answer)))
    assert data["width"] == answer.width
    assert data["faces"][0]["scores"] == dict(answer.faces[0].scores)
    assert list(data["faces"][0]["scores"]) == list(CLASSES)


def _classified(photo: Path) -> PhotoEmotions:
    return EmotionClassifier(threads=1).classify(photo)


def test_a_process_pool_returns_answers_and_errors(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(_classified, smiling_photo)
        refused = pool.submit(_classified, Path(__file__))
        assert found.result() == classifier.classify(smiling_photo)
        with pytest.raises(shelly_local.ImageError):
            refused.result()


@pytest.mark.parametrize("error", [NotAnImageError("No picture."), BackendError("Late.", 504)])
def test_errors_are_pickled(error: ShellyError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.as_dict() == error.as_dict()


def test_what_to_catch_is_found_at_the_top() -> None:
    assert {"ShellyError", "ImageError"} <= set(dir(shelly_local))
    assert issubclass(shelly_local.ImageError, shelly_local.ShellyError)
    with pytest.raises(shelly_local.ShellyError):
        EmotionClassifier("nowhere")


@pytest.mark.parametrize("wrong", NOT_NUMBERS, ids=lambda wrong: f"{wrong!r:.5}")
@pytest.mark.parametrize(
    ("place", "make"),
    [
        ("box", lambda wrong: Face((1, 2, wrong, 40), FACE.landmarks, 0.5)),
        ("landmarks", lambda wrong: Face(FACE.box, ((1, 2),) * 4 + ((3, wrong),), 0.5)),
        ("confidence", lambda wrong: Face(FACE.box, FACE.landmarks, wrong)),
        ("scores", lambda wrong: FaceEmotion(FACE, {"anger": 0.5, "fear": wrong})),
    ],
    ids=["box", "landmarks", "confidence", "scores"],
)
def test_what_is_no_finite_number_is_refused(
    place: str, make: Callable[[Any], object], wrong: Any
) -> None:
    with pytest.raises(ValueError, match=rf"{place} must be .*finite number"):
        make(wrong)


@pytest.mark.parametrize("wrong", [0, -1, 640.5, math.nan, math.inf, "640", None])
def test_sides_are_whole_numbers(wrong: Any) -> None:
    for width, height in ((wrong, 480), (640, wrong)):
        with pytest.raises(ValueError, match=r"(width|height) must be a (whole|finite) number"):
            PhotoEmotions(width, height, ())


def test_any_mapping_and_any_kind_of_number_is_taken() -> None:
    plain = photo_of({"anger": 0.5, "fear": 0.25})
    points: Any = [list(point) for point in FACE.landmarks]
    numpy: Any = (np.array(FACE.box), points, np.float32(0.75))
    for scores in (
        MappingProxyType({"fear": 0.25, "anger": 0.5}),
        {"anger": np.float32(0.5), "fear": np.float64(0.25)},
        plain.faces[0].scores,
    ):
        assert photo_of(scores, Face(*numpy)) == plain
        assert hash(photo_of(scores, Face(*numpy))) == hash(plain)
    width: Any = np.int64(640)
    height: Any = 480.0
    assert repr(PhotoEmotions(width, height, plain.faces)) == repr(plain)
    assert plain.faces[0].scores == dict.fromkeys(CLASSES, 0.0) | {"anger": 0.5, "fear": 0.25}
    assert len({plain, photo_of({"anger": 0.5, "fear": 0.25}), photo_of({"anger": 0.5})}) == 2


@given(st.dictionaries(st.sampled_from(CLASSES), st.floats() | st.integers() | st.text(max_size=3)))
def test_scores_are_probabilities_or_refused(scores: dict[str, Any]) -> None:
    try:
        photo = photo_of(scores)
    except ValueError:
        return
    kept = photo.faces[0].scores
    assert dict(kept) == dict.fromkeys(CLASSES, 0.0) | scores
    assert tuple(kept) == CLASSES
    assert all(0 <= value <= 1.001 for value in kept.values())
    assert pickle.loads(pickle.dumps(photo)) == copy.deepcopy(photo) == photo
    json.loads(json.dumps(photo.as_dict(), allow_nan=False))

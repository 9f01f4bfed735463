"""The JSON of IBM's contract, built from values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shelly_local.errors import (
    FileTooLargeError,
    ImageTooSmallError,
    NotAnImageError,
    ShellyError,
    TooManyPixelsError,
    TruncatedImageError,
)
from shelly_local.results import CLASSES, Face, FaceEmotion, PhotoEmotions
from shelly_local.watson.contract.answer import class_scores, classified_images, detected_faces
from shelly_local.watson.contract.failures import error_info, images_error, no_images_error
from shelly_local.watson.contract.options import (
    MAX_LIST,
    parse_list,
    parse_threshold,
    parse_version,
    select_classifiers,
)
from shelly_local.watson.contract.types import ImageOutcome, ImageSource
from shelly_local.watson.responses import ApiException, DetailedResponse

HAPPY = dict(zip(CLASSES, (0.0104, 0.0, 0.0096, 0.6004, 0.25, 0.0496, 0.08), strict=True))
SAD = dict(zip(CLASSES, (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0), strict=True))
KNOWN = ("emotion", "default")


def photo(*faces: dict[str, float]) -> PhotoEmotions:
    box = Face(box=(10, 10, 90, 90), landmarks=((30, 40),) * 5, confidence=0.99)
    return PhotoEmotions(100, 100, tuple(FaceEmotion(box, scores) for scores in faces))


def outcome(result: PhotoEmotions | ShellyError, **source: str) -> ImageOutcome:
    return ImageOutcome(ImageSource(**source), result)  # type: ignore[typeddict-item]


def test_an_answer_has_ibms_fields_and_no_others() -> None:
    answer = classified_images([outcome(photo(HAPPY), image="me.jpg")], ["emotion"])
    assert answer == {
        "images": [
            {
                "classifiers": [
                    {
                        "classifier_id": "emotion",
                        "name": "emotion",
                        "classes": [{"class": "happiness", "score": 0.6}],
                    }
                ],
                "image": "me.jpg",
            }
        ],
        "images_processed": 1,
        "custom_classes": 0,
    }
    assert json.loads(json.dumps(answer)) == answer


def test_each_classifier_asked_for_answers_in_the_order_asked() -> None:
    answer = classified_images([outcome(photo(HAPPY))], ["default", "emotion"])
    results = answer["images"][0]["classifiers"]
    assert [(item["classifier_id"], item["name"]) for item in results] == [
        ("default", "default"),
        ("emotion", "emotion"),
    ]
    assert results[0]["classes"] == results[1]["classes"] != []


def test_scores_are_rounded_and_come_best_first() -> None:
    assert class_scores(photo(HAPPY), 0.0) == [
        {"class": "happiness", "score": 0.6},
        {"class": "neutral", "score": 0.25},
        {"class": "surprise", "score": 0.08},
        {"class": "sadness", "score": 0.05},
        {"class": "anger", "score": 0.01},
        {"class": "fear", "score": 0.01},
        {"class": "disgust", "score": 0.0},
    ]


@pytest.mark.parametrize(("threshold", "count"), [(0.25, 2), (0.6, 1), (0.601, 0), (1.0, 0)])
def test_the_threshold_is_compared_with_the_score_shown(threshold: float, count: int) -> None:
    assert len(class_scores(photo(HAPPY), threshold)) == count


def test_a_certain_class_passes_the_highest_threshold() -> None:
    assert class_scores(photo(SAD), 1.0) == [{"class": "sadness", "score": 1.0}]


def test_no_face_is_an_empty_list_with_a_warning() -> None:
    answer = classified_images([outcome(photo(), image="sea.jpg")], ["emotion"], 0.0)
    assert answer["images"][0]["classifiers"][0]["classes"] == []
    assert [item["warning_id"] for item in answer["warnings"]] == ["no_face"]
    assert answer["warnings"][0]["description"].startswith("sea.jpg: no face")


def test_several_faces_answer_with_the_first_and_a_warning() -> None:
    answer = classified_images([outcome(photo(SAD, HAPPY, HAPPY), image="us.jpg")], ["emotion"])
    assert answer["images"][0]["classifiers"][0]["classes"][0]["class"] == "sadness"
    assert answer["warnings"][0]["warning_id"] == "several_faces"
    assert "3 faces" in answer["warnings"][0]["description"]


def test_one_bad_image_leaves_the_others_answered() -> None:
    bad = outcome(NotAnImageError("It is text."), image="all.zip/notes.txt")
    answer = classified_images([bad, outcome(photo(HAPPY), image="all.zip/me.jpg")], ["emotion"])
    assert answer["images"][0] == {
        "image": "all.zip/notes.txt",
        "error": {
            "code": 400,
            "description": "Invalid/corrupted image data. Supported image file formats are GIF, "
            "JPEG, PNG, and TIFF. Supported compression format is ZIP.",
            "error_id": "input_error",
            "reason": "It is text.",
        },
        "classifiers": [],
    }
    assert "error" not in answer["images"][1]
    assert answer["images_processed"] == 2


def test_a_failure_of_every_image_is_an_exception_with_the_answer_as_body() -> None:
    with pytest.raises(ApiException, match="Invalid/corrupted") as caught:
        classified_images([outcome(TruncatedImageError("It ends."), image="a.jpg")], ["emotion"])
    error = caught.value
    assert (error.code, error.status_code, error.http_response) == (400, 400, None)
    (info,) = [image["error"] for image in error.body["images"]]
    assert error.message == str(error) == f"{info['description']} ({info['reason']})"
    assert error.body["images"][0]["image"] == "a.jpg"
    assert error.body["images_processed"] == 1
    assert error.result is error.info is error.body
    assert isinstance(error, ShellyError)
    assert error.global_transaction_id


def test_failures_that_agree_keep_their_code_and_others_are_400() -> None:
    large = outcome(FileTooLargeError("It has 11 MB."))
    with pytest.raises(ApiException) as caught:
        classified_images([large, large], ["emotion"])
    assert caught.value.code == 413
    with pytest.raises(ApiException) as caught:
        classified_images([large, outcome(NotAnImageError("It is text."))], ["emotion"])
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("error", "beginning", "error_id"),
    [
        (NotAnImageError("x"), "Invalid/corrupted image data.", "input_error"),
        (TruncatedImageError("x"), "Invalid/corrupted image data.", "input_error"),
        (ImageTooSmallError("x"), "Image resolution is smaller than the min", "input_error"),
        (FileTooLargeError("x"), "File size limit exceeded", "limit_exceeded"),
        (TooManyPixelsError("Too many"), "Too many", "limit_exceeded"),
    ],
)
def test_errors_begin_with_the_words_clients_look_for(
    error: ShellyError, beginning: str, error_id: str
) -> None:
    info = error_info(error)
    assert info["description"].startswith(beginning)
    assert (info["code"], info["error_id"]) == (error.code, error_id)


def test_no_image_is_a_nested_error() -> None:
    assert no_images_error().body == {
        "error": {
            "code": 400,
            "description": "No images were specified.",
            "error_id": "input_error",
        }
    }


def test_a_failure_of_the_request_names_each_image() -> None:
    error = images_error([{"image": "a.jpg"}, {"source_url": "http://b/"}], "No.", 404)
    assert error.code == 404
    assert [entry["error"]["description"] for entry in error.body["images"]] == ["No.", "No."]
    assert error.body["images"][1]["source_url"] == "http://b/"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, 0.5),
        ("", 0.5),
        (" ", 0.5),
        (0, 0.0),
        (0.0, 0.0),
        ("0.0", 0.0),
        ("0.6", 0.6),
        ("0,5", 0.5),
        (" .25 ", 0.25),
        ("1e-1", 0.1),
        (1, 1.0),
    ],
)
def test_threshold(value: float | str | None, expected: float) -> None:
    assert parse_threshold(value) == expected


@pytest.mark.parametrize(
    "value",
    ["high", "-0.1", "1.1", 2, float("nan"), "nan", "inf", "0_1", True, [0.5], b"0.5", "1,2,3"],
)
def test_threshold_refused(value: Any) -> None:
    with pytest.raises(
        ApiException, match=r"threshold must be a number from 0\.0 to 1\.0"
    ) as caught:
        parse_threshold(value)
    assert caught.value.code == 400
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a, b ,", ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        (["a,b", "c", "a"], ["a", "b", "c"]),
        (("a",), ["a"]),
        ('["a", "b"]', ["a", "b"]),
        ("[a", ["[a"]),
    ],
)
def test_list(value: Any, expected: list[str] | None) -> None:
    assert parse_list(value, "owners") == expected


@pytest.mark.parametrize("value", [5, ["a", 5], b"a", [None]])
def test_list_refused(value: Any) -> None:
    with pytest.raises(ApiException, match="owners must be text") as caught:
        parse_list(value, "owners")
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("ids", "owners", "expected"),
    [
        (None, None, ["default"]),
        (None, [], ["default"]),
        (None, ["IBM"], ["default"]),
        (None, ["me", "ibm"], ["default"]),
        (["emotion"], ["me"], ["emotion"]),
        (["emotion", "default"], None, ["emotion", "default"]),
    ],
)
def test_choice_of_classifiers(
    ids: list[str] | None, owners: list[str] | None, expected: list[str]
) -> None:
    assert select_classifiers(ids, owners, KNOWN, [{}]) == (expected, [])


def test_an_unknown_classifier_beside_a_known_one_is_a_warning() -> None:
    chosen, warnings = select_classifiers(["food", "emotion"], None, KNOWN, [{}])
    assert chosen == ["emotion"]
    assert [item["warning_id"] for item in warnings] == ["not_found"]
    assert "food" in warnings[0]["description"]


@pytest.mark.parametrize(
    ("ids", "owners", "code", "text"),
    [
        (["food", "dogs_1"], None, 404, "None of the requested classifier ids were found: food, d"),
        (None, ["me"], 404, "No classifiers found"),
        ([], None, 400, "Invalid Request: provided vmodel-id header must be non-empty"),
        (None, ["you"], 400, "owners may hold IBM and me, got 'you'"),
    ],
)
def test_no_classifier(
    ids: list[str] | None, owners: list[str] | None, code: int, text: str
) -> None:
    with pytest.raises(ApiException) as caught:
        select_classifiers(ids, owners, KNOWN, [{"image": "a.jpg"}])
    assert caught.value.code == code
    assert str(caught.value).startswith(text)


def test_version() -> None:
    assert parse_version("2018-03-19").isoformat() == "2018-03-19"
    assert parse_version("2016-05-20").isoformat() == "2016-05-20"


@pytest.mark.parametrize("value", ["", "latest", "2018-3-19", "2018-02-30", "20180319", None, 3])
def test_version_refused(value: Any) -> None:
    with pytest.raises(ApiException, match="version must be a date as YYYY-MM-DD") as caught:
        parse_version(value)
    assert caught.value.code == 400


def test_response_is_read_by_methods_and_by_attributes() -> None:
    answer = classified_images([outcome(photo(HAPPY))], ["emotion"])
    response = DetailedResponse(response=answer)
    assert response.get_result() is response.result is answer
    assert response.get_status_code() == response.status_code == 200
    headers = response.get_headers()
    assert headers["content-type"] == headers.get("Content-Type") == "application/json"
    assert len(headers["X-GLOBAL-TRANSACTION-ID"]) == 32
    assert list(headers) == ["Content-Type", "X-Global-Transaction-Id"]
    assert json.loads(str(response))["result"] == answer


def test_response_headers_may_be_given() -> None:
    answer = classified_images([outcome(photo(HAPPY))], ["emotion"])
    response = DetailedResponse(response=answer, headers={"X-Other": "1"}, status_code=200)
    assert dict(response.headers) == {"X-Other": "1"}
    assert "x-other" in response.headers
    assert "Content-Type" not in response.headers


@pytest.mark.parametrize("value", [",".join, json.dumps, list], ids=["commas", "JSON", "list"])
def test_a_list_has_an_end(value: Any) -> None:
    names = [f"a{number}" for number in range(MAX_LIST + 1)]
    assert parse_list(value(names[1:]), "owners") == names[1:]
    with pytest.raises(ApiException, match=f"owners names {MAX_LIST + 1} things") as caught:
        parse_list(value(names), "owners")
    assert caught.value.code == 400


def test_a_face_at_the_edge_lies_inside_the_picture() -> None:
    face = FaceEmotion(Face((-3.5, 5.2, 108.0, 90.9), (), 1.0), HAPPY)
    found = PhotoEmotions(width=100, height=80, faces=(face,))
    answer = detected_faces([ImageOutcome({}, found)])
    assert answer["images"][0]["faces"] == [
        {"face_location": {"height": 75, "left": 0, "top": 5, "width": 100}}
    ]

"""Several people, crops, live frames, and clouds behind the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from shelly_local.backends import Backend, open_backend
from shelly_local.results import CLASSES, Face, FaceEmotion, PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier, aligned_crops, find_faces
from tests.fake_clouds import FakeCloud, rekognition_error, rekognition_face, serving
from tests.http.test_webapp import assert_problem, data_url
from webapp import Classifier, create_app
from webapp.advice import Adviser
from webapp.people import is_sure, nearest


@pytest.fixture(scope="module")
def client(classifier: EmotionClassifier) -> FlaskClient:
    return create_app(classifier).test_client()


def ask(client: FlaskClient, photo: Path, **fields: Any) -> Any:
    return client.post("/advice", json={"image": data_url(photo.read_bytes())} | fields)


def test_every_person_has_an_answer(
    client: FlaskClient, classifier: EmotionClassifier, group_photo: Path
) -> None:
    answer = ask(client, group_photo, language="de").get_json()
    people = answer["people"]
    assert answer["backend"] == "local"
    assert answer["milliseconds"] > 0
    assert len(people) == answer["faces"] == 4
    for person, expected in zip(people, classifier.classify(group_photo).faces, strict=True):
        assert person["box"] == pytest.approx(expected.face.box, abs=0.01)
        assert person["emotion"] == person["nearest"][0] == expected.emotion
        assert person["score"] == person["scores"][person["emotion"]]
        assert person["sure"] is (expected.scores[expected.emotion] >= 0.5)
        assert len(set(person["nearest"])) == 2
        assert (
            person["advice"] == Adviser.load().lines(person["emotion"], "de")[person["advice_id"]]
        )
        assert "crop" not in person
    for name in ("emotion", "score", "sure", "nearest", "advice", "advice_id", "scores"):
        assert answer[name] == people[0][name]
    assert answer["face"] == {name: people[0][name] for name in ("box", "landmarks", "confidence")}


def test_people_of_one_mood_get_different_lines(client: FlaskClient, crowd_photo: Path) -> None:
    given = [
        (person["emotion"], person["advice_id"])
        for person in ask(client, crowd_photo).get_json()["people"]
    ]
    for mood in CLASSES:
        ids = [number for emotion, number in given if emotion == mood]
        assert len(set(ids)) == min(len(ids), len(Adviser.load().lines(mood)))


def test_the_line_just_read_does_not_come_again(client: FlaskClient, smiling_photo: Path) -> None:
    after = 0
    for _ in range(5):
        answer = ask(client, smiling_photo, after=after).get_json()
        assert answer["advice_id"] != after
        after = answer["advice_id"]


@pytest.mark.parametrize("photo", ["group_photo", "smiling_photo"])
def test_crops_are_what_the_model_saw(
    client: FlaskClient, classifier: EmotionClassifier, photo: str, request: pytest.FixtureRequest
) -> None:
    file: Path = request.getfixturevalue(photo)
    people = ask(client, file, crops=True).get_json()["people"]
    decoded, faces = find_faces(classifier.detector, file)
    model = classifier.model
    expected = aligned_crops(decoded.pixels, faces, size=model.size, template=model.template)
    for person, crop in zip(people, expected, strict=True):
        head, data = person["crop"].split(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert (picture.size, picture.mode) == ((model.size, model.size), "L")
            difference = np.asarray(picture).astype(int) - crop
        assert np.abs(difference).max() <= 1


def test_live_frames_get_no_advice(client: FlaskClient, smiling_photo: Path) -> None:
    answer = ask(client, smiling_photo, live=True).get_json()
    assert answer["emotion"] == "happiness"
    for part in (answer, *answer["people"]):
        assert not {"advice", "advice_id"} & set(part)


@pytest.mark.parametrize(
    ("scores", "sure", "two"),
    [
        ({"fear": 0.5, "anger": 0.3, "neutral": 0.2}, True, ["fear", "anger"]),
        ({"fear": 0.49, "anger": 0.3, "neutral": 0.21}, False, ["fear", "anger"]),
        ({"fear": 0.1, "anger": 0.2, "neutral": 0.0}, False, ["anger", "fear"]),
    ],
)
def test_sure_means_half_of_the_probability(
    scores: dict[str, float], sure: bool, two: list[str]
) -> None:
    face = FaceEmotion(Face((0, 0, 9, 9), (), 0.9), scores)
    assert (is_sure(face), nearest(face)) == (sure, two)


class Answers(Backend):
    """A backend that says the same of every photo."""

    name, title, is_local = "own", "Own", True

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        return PhotoEmotions(10, 10, (FaceEmotion(Face((0, 0, 9, 9), (), 0.9), self.scores),))

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("scores", "emotion", "sure"),
    [
        (dict.fromkeys(CLASSES, 0.0), "anger", False),
        ({"sadness": 0.2, "fear": 0.1}, "sadness", False),
        ({"contempt": 0.9, "fear": 0.1}, "fear", False),
        ({"happiness": 0.9}, "happiness", True),
    ],
    ids=["no mood", "none of these", "a mood without a word here", "one mood alone"],
)
def test_whatever_a_backend_answers_can_be_shown(
    smiling_photo: Path, scores: dict[str, float], emotion: str, sure: bool
) -> None:
    response = ask(create_app({"local": Answers(scores)}).test_client(), smiling_photo)
    assert response.status_code == 200
    answer = response.get_json()
    assert (answer["emotion"], answer["sure"]) == (emotion, sure)
    assert list(answer["scores"]) == sorted(CLASSES)  # as JSON of Flask has them
    assert len(answer["nearest"]) == 2
    assert answer["advice"]


class TestClouds:
    @pytest.fixture
    def cloud(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
        for name in ("AWS_PROFILE", "AWS_CONFIG_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        faces = [rekognition_face(0.2, 0.4, SAD=60.0, CONFUSED=40.0)]
        with serving((200, {"FaceDetails": faces})) as cloud:
            monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
            yield cloud

    @pytest.fixture
    def client(self, cloud: FakeCloud, classifier: EmotionClassifier) -> Iterator[FlaskClient]:
        rekognition = open_backend("rekognition", attempts=1, read_timeout=0.5)
        backends: dict[str, Classifier] = {"rekognition": rekognition, "local": classifier}
        yield create_app(backends).test_client()
        rekognition.close()

    def test_backends_are_listed_local_first(self, client: FlaskClient) -> None:
        assert client.get("/backends").get_json() == {
            "default": "rekognition",
            "backends": [
                {"name": "local", "title": "On this machine", "local": True},
                {"name": "rekognition", "title": "Amazon Rekognition", "local": False},
            ],
        }

    def test_the_first_one_answers_by_default(
        self, client: FlaskClient, smiling_photo: Path
    ) -> None:
        answer = ask(client, smiling_photo, crops=True).get_json()
        assert (answer["backend"], answer["emotion"]) == ("rekognition", "sadness")
        assert "crop" not in answer["people"][0]
        assert "Amazon Rekognition" in client.get("/").get_data(as_text=True)

    def test_local_can_be_chosen_and_sends_nothing(
        self, client: FlaskClient, cloud: FakeCloud, smiling_photo: Path
    ) -> None:
        answer = ask(client, smiling_photo, backend="local").get_json()
        assert (answer["backend"], answer["emotion"]) == ("local", "happiness")
        assert cloud.requests == []

    def test_live_frames_never_leave(
        self, client: FlaskClient, cloud: FakeCloud, smiling_photo: Path
    ) -> None:
        response = ask(client, smiling_photo, live=True, backend="rekognition")
        assert_problem(response, 400, "live-is-local")
        assert ask(client, smiling_photo, live=True).get_json()["backend"] == "local"
        assert cloud.requests == []

    def test_unknown_backend_names_those_there_are(
        self, client: FlaskClient, smiling_photo: Path
    ) -> None:
        response = ask(client, smiling_photo, backend="azure")
        description = assert_problem(response, 400, "unknown-backend")
        assert "'azure'" in description
        assert "local, rekognition" in description

    @pytest.mark.parametrize(
        ("answer", "status", "message"),
        [
            (rekognition_error("ThrottlingException", 400), 429, "backend-throttled"),
            (rekognition_error("InternalServerError", 500), 502, "backend-failed"),
            (rekognition_error("UnrecognizedClientException", 400), 502, "backend-key"),
            (2.0, 504, "backend-slow"),
        ],
    )
    def test_failures_have_a_code_and_local_still_answers(
        self,
        client: FlaskClient,
        cloud: FakeCloud,
        smiling_photo: Path,
        answer: Any,
        status: int,
        message: str,
    ) -> None:
        cloud.answers[:] = [answer]
        assert_problem(ask(client, smiling_photo), status, message)
        assert ask(client, smiling_photo, backend="local").status_code == 200


def test_unusable_configurations(classifier: EmotionClassifier) -> None:
    with pytest.raises(ValueError, match="default backend must be one of local; got 'ibm'"):
        create_app({"local": classifier}, {"DEFAULT_BACKEND": "ibm"})
    with pytest.raises(ValueError, match="log format must be one of text, json; got 'xml'"):
        create_app(classifier, {"REQUEST_LOG": "xml"})

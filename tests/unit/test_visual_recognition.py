"""IBM's ``classify`` call in Python, with real photos and the real model."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shelly_local.errors import ModelError, ShellyError
from shelly_local.results import CLASSES
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.watson.client import (
    ApiException,
    VisualRecognition,
    VisualRecognitionV3,
)
from shelly_local.watson.contract.types import ClassifiedImages

OLD_ID = "DefaultCustomModel_1997094634"


@pytest.fixture(scope="module")
def service(classifier: EmotionClassifier) -> VisualRecognition:
    return VisualRecognition(classifier=classifier, classifier_aliases=[OLD_ID])


@pytest.fixture(scope="module")
def blank() -> bytes:
    """A picture that holds nothing."""
    file = io.BytesIO()
    Image.new("RGB", (48, 48), "grey").save(file, "PNG")
    return file.getvalue()


def classes(answer: ClassifiedImages, image: int = 0) -> list[str]:
    return [item["class"] for item in answer["images"][image]["classifiers"][0]["classes"]]


def warning_ids(answer: ClassifiedImages) -> list[str]:
    return [item["warning_id"] for item in answer.get("warnings", [])]


def failure(service: VisualRecognition, *args: Any, **kwargs: Any) -> ApiException:
    with pytest.raises(ApiException) as caught:
        service.classify(*args, **kwargs)
    return caught.value


def test_a_smile(service: VisualRecognition, smiling_photo: Path) -> None:
    with smiling_photo.open("rb") as images_file:
        response = service.classify(images_file=images_file)
    assert response.get_status_code() == 200
    assert response.get_headers()["content-type"] == "application/json"
    answer = response.get_result()
    assert answer.keys() == {"images", "images_processed", "custom_classes"}
    assert (answer["images_processed"], answer["custom_classes"]) == (1, 0)
    image = answer["images"][0]
    assert image.keys() == {"image", "classifiers"}
    assert image["image"] == smiling_photo.name
    assert image["classifiers"][0].keys() == {"classifier_id", "name", "classes"}
    assert classes(answer) == ["happiness"]
    assert 0.5 <= image["classifiers"][0]["classes"][0]["score"] <= 1.0


def test_the_call_of_the_first_shelly(classifier: EmotionClassifier, smiling_photo: Path) -> None:
    visual_recognition = VisualRecognitionV3(
        "2018-03-19", iam_apikey="key", classifier=classifier, classifier_aliases=[OLD_ID]
    )
    with smiling_photo.open("rb") as images_file:
        answer = visual_recognition.classify(
            images_file, threshold="0.6", classifier_ids=OLD_ID
        ).get_result()
    result = answer["images"][0]["classifiers"][0]
    assert (result["classifier_id"], result["name"]) == (OLD_ID, OLD_ID)
    assert result["classes"][0]["class"] == "happiness"


def test_scores_are_those_of_the_classifier(
    service: VisualRecognition, classifier: EmotionClassifier, neutral_photo: Path
) -> None:
    answer = service.classify(images_file=neutral_photo, threshold=0).get_result()
    face = classifier.classify(neutral_photo).largest
    assert face is not None
    shown = answer["images"][0]["classifiers"][0]["classes"]
    assert {item["class"]: item["score"] for item in shown} == {
        name: round(score, 3) for name, score in face.scores.items()
    }
    assert [item["score"] for item in shown] == sorted(
        (item["score"] for item in shown), reverse=True
    )


@pytest.mark.parametrize("threshold", [0, 0.0, "0", "0.0", "0,0"])
def test_threshold_zero_shows_every_class(
    service: VisualRecognition, smiling_photo: Path, threshold: float | str
) -> None:
    answer = service.classify(smiling_photo, threshold=threshold).get_result()
    assert sorted(classes(answer)) == sorted(CLASSES)


def test_a_bad_threshold(service: VisualRecognition, smiling_photo: Path) -> None:
    error = failure(service, smiling_photo, threshold="1.5")
    assert error.code == 400
    assert "'1.5'" in error.message
    assert error.body["error"]["description"] == error.message


def test_no_face_is_an_answer(service: VisualRecognition, no_face_photo: Path) -> None:
    response = service.classify(images_file=no_face_photo)
    assert response.get_status_code() == 200
    assert classes(response.get_result()) == []
    assert warning_ids(response.get_result()) == ["no_face"]


def test_several_faces_answer_with_the_largest(
    service: VisualRecognition, classifier: EmotionClassifier, group_photo: Path
) -> None:
    answer = service.classify(images_file=group_photo, threshold=0).get_result()
    largest = max(classifier.classify(group_photo).faces, key=lambda item: item.face.area)
    assert classes(answer)[0] == largest.emotion
    assert warning_ids(answer) == ["several_faces"]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, ["default"]),
        ({"owners": ["IBM"]}, ["default"]),
        ({"owners": "me,IBM"}, ["default"]),
        ({"classifier_ids": ["emotion"]}, ["emotion"]),
        ({"classifier_ids": "default, emotion", "owners": ["me"]}, ["default", "emotion"]),
        ({"classifier_ids": [], "owners": []}, ["default"]),
    ],
)
def test_classifiers(
    service: VisualRecognition, blank: bytes, options: dict[str, Any], ids: list[str]
) -> None:
    image = service.classify(images_file=blank, **options).get_result()["images"][0]
    assert [result["classifier_id"] for result in image["classifiers"]] == ids
    assert [result["name"] for result in image["classifiers"]] == ids


def test_an_unknown_classifier(service: VisualRecognition, blank: bytes) -> None:
    error = failure(service, blank, images_filename="a.png", classifier_ids=["dogs_1"])
    assert error.code == 404
    assert error.message.startswith("None of the requested classifier ids were found: dogs_1")
    assert "emotion" in error.message
    entry = error.body["images"][0]
    assert (entry["image"], entry["error"]["code"]) == ("a.png", 404)
    answer = service.classify(blank, classifier_ids=["dogs_1", "emotion"]).get_result()
    assert warning_ids(answer) == ["not_found", "no_face"]


def test_owner_me_has_no_classifiers(service: VisualRecognition, blank: bytes) -> None:
    error = failure(service, blank, owners=["me"])
    assert (error.code, error.message[:20]) == (404, "No classifiers found")


def test_no_image(service: VisualRecognition) -> None:
    error = failure(service)
    assert (error.code, error.message) == (400, "No images were specified.")
    assert isinstance(error, ShellyError)


def test_a_text_file(service: VisualRecognition) -> None:
    error = failure(service, b"Dear Shelly", images_filename="letter.jpg")
    assert error.code == 400
    assert error.message.startswith("Invalid/corrupted image data.")
    assert error.body["images_processed"] == 1
    assert error.body["images"] == [
        {
            "image": "letter.jpg",
            "error": {
                "code": 400,
                "description": error.body["error"]["description"],
                "error_id": "input_error",
                "reason": error.body["error"]["reason"],
            },
            "classifiers": [],
        }
    ]
    assert "is not a picture in a supported format" in error.body["error"]["reason"]


def test_urls_are_off_by_default(service: VisualRecognition) -> None:
    error = failure(service, url="http://127.0.0.1/me.jpg")
    assert error.code == 400
    assert error.message.startswith("URL Fetcher error: Could not fetch URL: ")
    assert "allow_url=True" in error.message
    assert error.body["images"][0]["source_url"] == "http://127.0.0.1/me.jpg"


class QuietHandler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(301)
            self.send_header("Location", "/smile.jpg")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def site(tmp_path: Path, smiling_photo: Path) -> Iterator[str]:
    (tmp_path / "smile.jpg").write_bytes(smiling_photo.read_bytes())
    (tmp_path / "letter.jpg").write_bytes(b"Dear Shelly")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url(classifier: EmotionClassifier, site: str) -> None:
    service = VisualRecognition(classifier=classifier, allow_url="loopback")
    answer = service.classify(url=f"{site}/moved").get_result()
    image = answer["images"][0]
    assert image.keys() == {"source_url", "resolved_url", "classifiers"}
    assert image["source_url"] == f"{site}/moved"
    assert image["resolved_url"] == f"{site}/smile.jpg"
    assert classes(answer) == ["happiness"]


def test_a_url_and_a_file(classifier: EmotionClassifier, site: str, blank: bytes) -> None:
    service = VisualRecognition(classifier=classifier, allow_url="loopback")
    answer = service.classify(blank, images_filename="a.png", url=f"{site}/none").get_result()
    assert answer["images_processed"] == 2
    assert answer["images"][0]["image"] == "a.png"
    assert answer["images"][1]["source_url"] == f"{site}/none"
    assert "404" in answer["images"][1]["error"]["description"]


def test_a_url_without_a_picture(classifier: EmotionClassifier, site: str) -> None:
    error = failure(
        VisualRecognition(classifier=classifier, allow_url="loopback"), url=f"{site}/letter.jpg"
    )
    assert error.message.startswith("Invalid/corrupted image data.")
    assert error.body["images"][0]["resolved_url"] == f"{site}/letter.jpg"


def test_the_public_internet_does_not_include_this_machine(
    classifier: EmotionClassifier, site: str
) -> None:
    error = failure(VisualRecognition(classifier=classifier, allow_url=True), url=f"{site}/moved")
    assert error.code == 400
    assert "not on the public internet" in error.message


def test_ibms_constructors(classifier: EmotionClassifier, blank: bytes) -> None:
    for service in (
        VisualRecognitionV3(version="2018-03-19", authenticator=object(), classifier=classifier),
        VisualRecognitionV3("2016-05-20", api_key="key", classifier=classifier),
        VisualRecognitionV3(
            "2018-03-19", url="https://example.org", iam_apikey="key", classifier=classifier
        ),
        VisualRecognitionV3("2018-03-19", object(), service_name="x", classifier=classifier),
    ):
        service.set_service_url("https://example.org/instances/1")
        service.set_default_headers({"X-Watson-Learning-Opt-Out": "true"})
        service.set_disable_ssl_verification(True)
        answer = service.classify(
            images_file=blank,
            images_file_content_type="image/png",
            accept_language="de",
            headers={"X-Watson-Test": "1"},
        )
        assert answer.get_result()["images_processed"] == 1


def test_constructor_refusals() -> None:
    with pytest.raises(ApiException, match="'yesterday'"):
        VisualRecognition("yesterday")
    with pytest.raises(TypeError, match="iam_api_key"):
        VisualRecognition(iam_api_key="key")
    with pytest.raises(ValueError, match="'everything'"):
        VisualRecognition(allow_url="everything")  # type: ignore[arg-type]


def test_the_model_is_loaded_at_the_first_call(tmp_path: Path, blank: bytes) -> None:
    service = VisualRecognition(model=tmp_path / "missing")
    with pytest.raises(ModelError):
        service.classify(blank)


def test_threads_share_one_service(service: VisualRecognition, smiling_photo: Path) -> None:
    answers: list[list[str]] = []

    def call() -> None:
        answers.append(classes(service.classify(smiling_photo).get_result()))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [["happiness"]] * 4


def test_the_import_loads_neither_models_nor_flask() -> None:
    code = (
        "import sys, shelly_local.watson.client; "
        "print(sorted({'torch', 'flask', 'onnxruntime'} & sys.modules.keys()))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"

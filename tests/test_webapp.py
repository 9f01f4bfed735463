"""The web application as a browser or a program sees it."""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from shelly_local.classifier import EmotionClassifier
from shelly_local.results import CLASSES, PhotoEmotions
from webapp import MAX_BODY_BYTES, create_app
from webapp.advice import Adviser


@pytest.fixture(scope="module")
def app(classifier: EmotionClassifier) -> Flask:
    return create_app(classifier)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def data_url(picture: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(stream, "PNG")
    return stream.getvalue()


def ask(client: FlaskClient, picture: bytes, **arguments: Any) -> TestResponse:
    return client.post("/advice", json={"image": data_url(picture)}, **arguments)


def assert_problem(response: TestResponse, status: int, message: str) -> str:
    """The description, after checking that the answer is a problem in the agreed shape."""
    assert (response.status_code, response.get_json()["message"]) == (status, message)
    assert set(response.get_json()) == {"message", "description"}
    description = response.get_json()["description"]
    assert isinstance(description, str)
    assert len(description) > 20
    assert "Traceback" not in description
    return description


class TestPage:
    def test_greets_and_offers_a_photo_chooser(self, client: FlaskClient) -> None:
        response = client.get("/")
        page = response.get_data(as_text=True)
        assert response.status_code == 200
        assert "<title>Shelly, the Supporting Shellfish</title>" in page
        assert 'type="file"' in page
        assert "Your photo stays on this machine." in page
        assert "An expression is not a feeling." in page

    def test_says_where_the_photo_goes_when_served_from_elsewhere(
        self, classifier: EmotionClassifier
    ) -> None:
        client = create_app(classifier, {"ALLOWED_HOSTS": None}).test_client()
        page = client.get("/", headers={"Host": "sea.example:4000"}).get_data(as_text=True)
        assert "stays on this machine" not in page
        assert "Your photo goes to sea.example" in page

    @pytest.mark.parametrize("mood", CLASSES)
    def test_has_a_shelly_for_every_mood(self, client: FlaskClient, mood: str) -> None:
        assert f"/static/shelly/{mood}.svg" in client.get("/").get_data(as_text=True)
        response = client.get(f"/static/shelly/{mood}.svg")
        assert response.status_code == 200
        assert response.mimetype == "image/svg+xml"

    @pytest.mark.parametrize("path", ["/", "/health", "/static/page.js", "/nowhere"])
    def test_every_answer_restricts_the_browser(self, client: FlaskClient, path: str) -> None:
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"

    def test_health(self, client: FlaskClient) -> None:
        assert client.get("/health").get_json() == {"status": "ok"}


class TestAdvice:
    def test_a_smile_is_happiness(
        self, client: FlaskClient, classifier: EmotionClassifier, smiling_photo: Path
    ) -> None:
        response = ask(client, smiling_photo.read_bytes())
        answer = response.get_json()
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert set(answer) == {
            *("emotion", "advice", "score", "scores", "face", "faces", "width", "height")
        }
        assert answer["emotion"] == "happiness"
        assert answer["advice"] in Adviser.load().lines("happiness")
        assert set(answer["scores"]) == set(CLASSES)
        assert sum(answer["scores"].values()) == pytest.approx(1, abs=0.001)
        assert answer["score"] == max(answer["scores"].values())

        expected = classifier.classify(smiling_photo)
        assert expected.largest is not None
        assert answer["face"]["box"] == pytest.approx(expected.largest.face.box, abs=0.01)
        assert len(answer["face"]["landmarks"]) == 5
        assert answer["face"]["confidence"] > 0.9
        assert answer["faces"] == len(expected.faces)
        with Image.open(smiling_photo) as photo:
            assert (answer["width"], answer["height"]) == photo.size

    def test_a_neutral_face_is_neutral(self, client: FlaskClient, neutral_photo: Path) -> None:
        answer = ask(client, neutral_photo.read_bytes()).get_json()
        assert answer["emotion"] == "neutral"
        assert answer["advice"] in Adviser.load().lines("neutral")

    def test_line_breaks_in_base64_and_upper_case_in_the_type_are_fine(
        self, client: FlaskClient, smiling_photo: Path
    ) -> None:
        text = base64.encodebytes(smiling_photo.read_bytes()).decode()
        response = client.post("/advice", json={"image": f"data:IMAGE/JPEG;base64,{text}"})
        assert response.get_json()["emotion"] == "happiness"

    def test_photo_without_a_face(self, client: FlaskClient, no_face_photo: Path) -> None:
        response = ask(client, no_face_photo.read_bytes())
        assert "towards the camera" in assert_problem(response, 422, "no-face")

    def test_photos_asked_about_at_the_same_time_do_not_mix(
        self, app: Flask, smiling_photo: Path, neutral_photo: Path
    ) -> None:
        photos = [smiling_photo, neutral_photo] * 3
        answers: list[str] = [""] * len(photos)

        def one(index: int) -> None:
            answer = ask(app.test_client(), photos[index].read_bytes()).get_json()
            answers[index] = answer["emotion"]

        threads = [threading.Thread(target=one, args=(index,)) for index in range(len(photos))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["happiness", "neutral"] * 3


class TestProblems:
    @pytest.fixture(autouse=True)
    def _next_request_works(self, client: FlaskClient, smiling_photo: Path) -> Iterator[None]:
        """Whatever a test sends, the photo after it gets its advice."""
        yield
        assert ask(client, smiling_photo.read_bytes()).status_code == 200

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"image=1",
            b"\xff\xfe\x00",
            b"[]",
            b'"data:image/png;base64,"',
            b"null",
            b"{}",
            b'{"image": null}',
            b'{"image": 7}',
            b'{"image": ["data:image/png;base64,"]}',
            b"[" * 200_000,
        ],
    )
    def test_no_image_in_the_body(self, client: FlaskClient, body: bytes) -> None:
        response = client.post("/advice", data=body, content_type="application/json")
        assert_problem(response, 400, "missing-image")

    @pytest.mark.parametrize(
        "url", ["data:text/plain;base64,aGk=", "data:;base64,", "", "hello", ",image"]
    )
    def test_no_picture_by_its_type(self, client: FlaskClient, url: str) -> None:
        assert_problem(client.post("/advice", json={"image": url}), 400, "bad-type")

    @pytest.mark.parametrize(
        "url",
        [
            "data:image/png,hello",
            "data:image/png;base64",
            "data:image/png;base64,a",
            "data:image/png;base64,!!!!",
            "data:image/png;base64,ä",
            "data:image/png;base64,\ud800",
        ],
    )
    def test_no_base64(self, client: FlaskClient, url: str) -> None:
        response = client.post("/advice", data=json.dumps({"image": url}))
        assert_problem(response, 400, "bad-encoding")

    @pytest.mark.parametrize("picture", [b"", b"I am a text file.\n" * 50, b"\x89PNG\r\n\x1a\n"])
    def test_not_a_picture(self, client: FlaskClient, picture: bytes) -> None:
        assert_problem(ask(client, picture), 400, "bad-image")

    def test_truncated_picture(self, client: FlaskClient, smiling_photo: Path) -> None:
        picture = smiling_photo.read_bytes()
        assert_problem(ask(client, picture[: len(picture) // 2]), 400, "bad-image")

    def test_too_small(self, client: FlaskClient) -> None:
        assert_problem(ask(client, png(8, 8)), 400, "too-small")

    def test_too_many_pixels(self, client: FlaskClient) -> None:
        assert_problem(ask(client, png(40_000, 4_000)), 413, "too-large")

    def test_too_many_bytes(self, client: FlaskClient) -> None:
        response = client.post("/advice", data=b" " * (MAX_BODY_BYTES + 1))
        assert "10 MiB" in assert_problem(response, 413, "too-large")
        assert_problem(ask(client, bytes(10 * 2**20 + 1)), 413, "too-large")

    def test_unknown_path_and_wrong_method(self, client: FlaskClient) -> None:
        assert_problem(client.get("/nowhere"), 404, "not-found")
        response = client.get("/advice")
        assert_problem(response, 405, "method-not-allowed")
        assert "POST" in response.headers["Allow"]
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:81", "http://["]
    )
    def test_other_web_sites_cannot_post(
        self, client: FlaskClient, smiling_photo: Path, origin: str
    ) -> None:
        response = ask(client, smiling_photo.read_bytes(), headers={"Origin": origin})
        assert_problem(response, 403, "foreign-origin")

    def test_own_page_can_post(self, client: FlaskClient, smiling_photo: Path) -> None:
        headers = {"Origin": "http://127.0.0.1:4000", "Host": "127.0.0.1:4000"}
        assert ask(client, smiling_photo.read_bytes(), headers=headers).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:4000", "127.0.0.1.evil"])
    def test_foreign_host_names_are_refused(self, client: FlaskClient, host: str) -> None:
        response = client.get("/", headers={"Host": host})
        assert_problem(response, 403, "foreign-host")

    @pytest.mark.parametrize("host", ["localhost:4000", "LOCALHOST", "127.0.0.1", "[::1]:4000"])
    def test_loopback_host_names_are_accepted(self, client: FlaskClient, host: str) -> None:
        assert client.get("/health", headers={"Host": host}).status_code == 200


class BrokenClassifier:
    """Fails as nothing should, with a secret in its message."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        raise RuntimeError("secret detail")


def test_internal_fault_leaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = create_app(BrokenClassifier()).test_client()
    picture = png(64, 64)
    with caplog.at_level(logging.ERROR):
        response = ask(client, picture)
    assert "secret" not in assert_problem(response, 500, "general-error")
    assert "RuntimeError: secret detail" in caplog.text
    assert base64.b64encode(picture).decode()[:40] not in caplog.text
    assert client.get("/health").status_code == 200


class TestAdviser:
    def test_every_mood_has_at_least_ten_different_lines(self) -> None:
        for emotion in CLASSES:
            lines = Adviser.load().lines(emotion)
            assert len(set(lines)) == len(lines) >= 10

    def test_seed_decides_and_every_line_has_its_turn(self) -> None:
        one, two = (Adviser.load(rng=random.Random(7)) for _ in range(2))
        chosen = [one.choose("fear") for _ in range(500)]
        assert chosen == [two.choose("fear") for _ in range(500)]
        assert set(chosen) == set(one.lines("fear"))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"fear": []}, "advice for fear"),
            ({"fear": "Hold on."}, "advice for fear"),
            ({"fear": [" "]}, "advice for fear"),
            ({"joy": ["Yes!"]}, "advice must be for anger"),
        ],
    )
    def test_unusable_lines_are_refused(
        self, tmp_path: Path, change: dict[str, Any], words: str
    ) -> None:
        lines: dict[str, Any] = {emotion: ["Hello."] for emotion in CLASSES}
        path = tmp_path / "advice.json"
        path.write_text(json.dumps(lines | change), encoding="utf-8")
        with pytest.raises(ValueError, match=words):
            Adviser.load(path)

    def test_unknown_mood(self) -> None:
        with pytest.raises(ValueError, match="'boredom'"):
            Adviser.load().choose("boredom")

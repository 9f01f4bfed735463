"""The web application as a browser or a program sees it."""

from __future__ import annotations

import base64
import gzip
import io
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from shelly_local.results import CLASSES, PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier
from webapp import create_app
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


class BrokenClassifier:
    """Fails as nothing should, with a secret in its message."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        raise RuntimeError("secret detail")


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
        assert "camera=(self)" in headers["Permissions-Policy"]
        assert "microphone=()" in headers["Permissions-Policy"]
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"

    @pytest.mark.parametrize(
        "path", ["/", "/sw.js", "/static/style.css", "/static/page.js", "/static/shelly/fear.svg"]
    )
    def test_text_goes_out_compressed(self, client: FlaskClient, path: str) -> None:
        plain = client.get(path)
        packed = client.get(path, headers={"Accept-Encoding": "gzip, br"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert len(packed.data) == int(packed.headers["Content-Length"]) < 0.6 * len(plain.data)
        for response in (plain, packed):
            assert response.headers["Vary"] == "Accept-Encoding"
        if "ETag" in packed.headers:  # and is not sent again
            headers = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
            assert client.get(path, headers=headers).status_code == 304

    def test_answers_and_pictures_go_out_as_they_are(
        self, client: FlaskClient, smiling_photo: Path
    ) -> None:
        headers = {"Accept-Encoding": "gzip"}
        for response in (
            ask(client, smiling_photo.read_bytes(), headers=headers),
            client.get("/static/samples/both.jpg", headers=headers),
        ):
            assert response.status_code == 200
            assert "Content-Encoding" not in response.headers

    def test_health_and_readiness(self, client: FlaskClient) -> None:
        assert client.get("/health").get_json() == {"status": "ok"}
        response = client.get("/ready")
        assert (response.status_code, response.get_json()) == (200, {"status": "ready"})

    def test_not_ready_while_the_model_fails(self) -> None:
        client = create_app(BrokenClassifier()).test_client()
        assert_problem(client.get("/ready"), 503, "not-ready")
        assert client.get("/health").status_code == 200

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [
            ("sw.js", "text/javascript; charset=utf-8"),
            ("manifest.webmanifest", "application/manifest+json"),
        ],
    )
    def test_files_at_the_root(
        self, classifier: EmotionClassifier, tmp_path: Path, name: str, media_type: str
    ) -> None:
        (tmp_path / name).write_text("content")
        app = create_app(classifier)
        app.static_folder = str(tmp_path)
        response = app.test_client().get(f"/{name}")
        assert (response.status_code, response.data) == (200, b"content")
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers.get("Service-Worker-Allowed") == ("/" if name == "sw.js" else None)


class TestAdvice:
    def test_a_smile_is_happiness(
        self, client: FlaskClient, classifier: EmotionClassifier, smiling_photo: Path
    ) -> None:
        response = ask(client, smiling_photo.read_bytes())
        answer = response.get_json()
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert set(answer) >= {
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

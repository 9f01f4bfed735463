"""What the page answers where there is no advice to give."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shelly_local.vision.classifier import EmotionClassifier
from tests.http.test_webapp import BrokenClassifier, ask, assert_problem, data_url, png
from webapp import MAX_BODY_BYTES, create_app


@pytest.fixture(scope="module")
def app(classifier: EmotionClassifier) -> Flask:
    return create_app(classifier)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


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
        ("field", "message"),
        [
            ({"language": "fr"}, "unknown-language"),
            ({"language": 1}, "unknown-language"),
            ({"language": ["en"]}, "unknown-language"),
            ({"backend": "ibm"}, "unknown-backend"),
            ({"backend": 7}, "bad-field"),
            ({"after": -1}, "bad-field"),
            ({"after": "3"}, "bad-field"),
            ({"after": True}, "bad-field"),
            ({"crops": 1}, "bad-field"),
            ({"live": "yes"}, "bad-field"),
        ],
    )
    def test_unusable_fields(
        self, client: FlaskClient, smiling_photo: Path, field: dict[str, Any], message: str
    ) -> None:
        body = {"image": data_url(smiling_photo.read_bytes())} | field
        assert_problem(client.post("/advice", json=body), 400, message)

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("", "unknown-emotion"),
            ("emotion=joy", "unknown-emotion"),
            ("emotion=fear&language=fr", "unknown-language"),
            ("emotion=fear&after=x", "bad-field"),
            ("emotion=fear&after=-1", "bad-field"),
            ("emotion=fear&after=" + "9" * 5000, "bad-field"),
        ],
    )
    def test_unusable_queries(self, client: FlaskClient, query: str, message: str) -> None:
        assert_problem(client.get(f"/advice?{query}"), 400, message)

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
        response = client.put("/advice")
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

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_other_web_sites_are_known_by_fetch_metadata(
        self, client: FlaskClient, smiling_photo: Path, site: str
    ) -> None:
        response = ask(client, smiling_photo.read_bytes(), headers={"Sec-Fetch-Site": site})
        assert_problem(response, 403, "foreign-origin")

    def test_own_page_can_post(self, client: FlaskClient, smiling_photo: Path) -> None:
        headers = {
            "Origin": "http://127.0.0.1:4000",
            "Host": "127.0.0.1:4000",
            "Sec-Fetch-Site": "same-origin",
        }
        assert ask(client, smiling_photo.read_bytes(), headers=headers).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:4000", "127.0.0.1.evil"])
    def test_foreign_host_names_are_refused(self, client: FlaskClient, host: str) -> None:
        response = client.get("/", headers={"Host": host})
        assert_problem(response, 403, "foreign-host")

    @pytest.mark.parametrize("host", ["localhost:4000", "LOCALHOST", "127.0.0.1", "[::1]:4000"])
    def test_loopback_host_names_are_accepted(self, client: FlaskClient, host: str) -> None:
        assert client.get("/health", headers={"Host": host}).status_code == 200


def test_internal_fault_leaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = create_app(BrokenClassifier()).test_client()
    picture = png(64, 64)
    with caplog.at_level(logging.ERROR):
        response = ask(client, picture)
    assert "secret" not in assert_problem(response, 500, "general-error")
    assert "RuntimeError: secret detail" in caplog.text
    assert base64.b64encode(picture).decode()[:40] not in caplog.text
    assert client.get("/health").status_code == 200

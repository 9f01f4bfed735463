"""``/v3/classify`` as the clients of eight years send it, to the real server."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custom_pictures import zipped
from tests.watson_server import BOUNDARY, CLASSIFY, WatsonServer, form, part, raw_part, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    options = ("--classifier-alias", "DefaultCustomModel_1997094634")
    with running(*options, data_dir=tmp_path_factory.mktemp("data")) as running_server:
        yield running_server


@pytest.fixture
def photo(smiling_photo: Path) -> bytes:
    return smiling_photo.read_bytes()


@pytest.fixture
def picture(photo: bytes) -> bytes:
    return part("images_file", photo, "me.jpg", "image/jpeg")


@pytest.mark.parametrize(
    "base",
    ["", "/visual-recognition/api", "/instances/0a-1b", "/visual-recognition/api/instances/x"],
)
def test_every_base(server: WatsonServer, picture: bytes, base: str) -> None:
    reply = server.send(base + CLASSIFY, picture)
    assert reply.status == 200
    assert list(reply.classes) == ["happiness"]


def test_the_answer_has_ibms_shape(server: WatsonServer, picture: bytes) -> None:
    reply = server.send(CLASSIFY, picture)
    assert set(reply.json) == {"images", "images_processed", "custom_classes"}
    (image,) = reply.json["images"]
    (result,) = image["classifiers"]
    score = result["classes"][0]["score"]
    assert result["classes"] == [{"class": "happiness", "score": score}]
    assert image["image"] == "me.jpg"
    assert (result["classifier_id"], result["name"]) == ("default", "default")
    assert score == round(score, 3) > 0.9
    assert reply.json["images_processed"] == 1
    assert reply.json["custom_classes"] == 0
    assert reply.headers["Content-Type"] == "application/json"
    assert len(reply.headers["X-Global-Transaction-Id"]) >= 16
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def test_a_preflight_of_a_browser(server: WatsonServer) -> None:
    reply = server.ask("OPTIONS", CLASSIFY, headers={"Origin": "https://example.org"})
    assert reply.status == 200
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([part("threshold", "0.0")], 7),
        ([part("threshold", "0", kind="application/json")], 7),
        ([part("threshold", "0,0")], 7),
        ([part("threshold", "0.5", kind="text/plain")], 1),
        ([part("threshold", "1")], 0),
        ([part("threshold", "")], 1),
        ([part("parameters", '{"threshold": 0}', kind="application/json")], 7),
        ([part("parameters", '{"threshold": 0}', "parameters.json", "application/json")], 7),
        ([part("parameters", '{"threshold": 0}'), part("threshold", "1.0")], 0),
    ],
)
def test_thresholds(server: WatsonServer, picture: bytes, parts: list[bytes], shown: int) -> None:
    reply = server.send(CLASSIFY, picture, *parts)
    assert (reply.status, len(reply.classes)) == (200, shown)


@pytest.mark.parametrize(
    "parts",
    [
        [part("classifier_ids", "emotion,default")],
        [part("classifier_ids", "emotion, default", kind="application/json")],
        [part("classifier_ids", "emotion"), part("classifier_ids", "default")],
        [part("classifier_ids", '["emotion", "default"]', kind="application/json")],
        [part("parameters", '{"classifier_ids": ["emotion", "default"], "owners": ["me"]}')],
        [part("parameters", '{"classifier_ids": "emotion,default"}')],
        [part("owners", "me"), part("classifier_ids", "emotion,default")],
    ],
)
def test_lists_of_classifiers(server: WatsonServer, picture: bytes, parts: list[bytes]) -> None:
    reply = server.send(CLASSIFY, picture, *parts)
    found = [entry["classifier_id"] for entry in reply.json["images"][0]["classifiers"]]
    assert found == ["emotion", "default"]


def test_the_query_of_a_post(server: WatsonServer, picture: bytes) -> None:
    path = f"{CLASSIFY}&classifier_ids=emotion&threshold=0&api_key=any"
    assert len(server.send(path, picture).classes) == 7
    # The form comes before the query.
    assert len(server.send(path, picture, part("threshold", "0.5")).classes) == 1


def test_an_id_of_a_program_that_is_known_by_an_alias(server: WatsonServer, picture: bytes) -> None:
    reply = server.send(CLASSIFY, picture, part("classifier_ids", "DefaultCustomModel_1997094634"))
    (result,) = reply.json["images"][0]["classifiers"]
    assert result["classifier_id"] == result["name"] == "DefaultCustomModel_1997094634"


@pytest.mark.parametrize(
    ("disposition", "shown"),
    [
        ('name="images_file"; filename="./res/me.jpg"', "./res/me.jpg"),
        ('name="images_file"; filename="_"', "_"),
        ('name="images_file"', None),
        ("name=images_file; filename=me.jpg; filename*=utf-8''me.jpg", "me.jpg"),
        ('name="images_file"; filename="grüße.jpg"', "grüße.jpg"),
        ("name=\"images_file\"; filename*=utf-8''gr%C3%BC%C3%9Fe.jpg", "grüße.jpg"),
        ("name=images_file; filename=x.jpg; filename*=utf-8''gr%C3%BC%C3%9Fe.jpg", "grüße.jpg"),
    ],
)
def test_names_of_uploads(
    server: WatsonServer, photo: bytes, disposition: str, shown: str | None
) -> None:
    upload = raw_part(f"Content-Disposition: form-data; {disposition}", photo)
    reply = server.send(CLASSIFY, upload)
    assert reply.status == 200
    assert reply.json["images"][0].get("image") == shown
    assert list(reply.classes) == ["happiness"]


def test_a_chunked_form_without_its_length(server: WatsonServer, picture: bytes) -> None:
    reply = server.send(CLASSIFY, picture, part("threshold", "0"), chunked=True)
    assert len(reply.classes) == 7


@pytest.mark.parametrize("level", [1, 9])
def test_a_compressed_form(server: WatsonServer, picture: bytes, level: int) -> None:
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Encoding": "gzip",
    }
    reply = server.ask("POST", CLASSIFY, gzip.compress(form(picture), level), headers)
    assert list(reply.classes) == ["happiness"]


def test_a_zip_and_what_systems_put_into_it(
    server: WatsonServer, photo: bytes, neutral_photo: Path, no_face_photo: Path
) -> None:
    archive = zipped(
        [
            ("people/", b""),
            ("people/smile.jpg", photo),
            ("__MACOSX/people/._smile.jpg", b"junk"),
            (".DS_Store", b"junk"),
            ("neutral.jpg", neutral_photo.read_bytes()),
            ("cat.jpg", no_face_photo.read_bytes()),
            ("text.jpg", b"no picture"),
        ]
    )
    reply = server.send(CLASSIFY, part("images_file", archive, "all.zip", "application/zip"))
    assert reply.status == 200
    images = {image["image"]: image for image in reply.json["images"]}
    assert list(images) == [f"all.zip/{n}" for n in
                            ("people/smile.jpg", "neutral.jpg", "cat.jpg", "text.jpg")]  # fmt: skip
    assert images["all.zip/text.jpg"]["error"]["code"] == 400
    assert images["all.zip/text.jpg"]["classifiers"] == []
    assert images["all.zip/cat.jpg"]["classifiers"][0]["classes"] == []
    assert reply.json["images_processed"] == 4
    assert [warning["warning_id"] for warning in reply.json["warnings"]] == ["no_face"]


def test_more_than_twenty_pictures(server: WatsonServer, photo: bytes) -> None:
    archive = zipped([(f"{number}.jpg", photo) for number in range(21)])
    reply = server.send(CLASSIFY, part("images_file", archive, "many.zip"))
    assert reply.json["images_processed"] == 20
    assert reply.json["warnings"][0]["warning_id"] == "limit_reached"


@pytest.mark.parametrize("language", ["de", "pt-br", "xx", "en-US,en;q=0.5"])
def test_class_names_stay_english(server: WatsonServer, picture: bytes, language: str) -> None:
    reply = server.send(CLASSIFY, picture, headers={"Accept-Language": language})
    assert list(reply.classes) == ["happiness"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html"])
def test_no_answer_is_refused_by_accept(server: WatsonServer, picture: bytes, accept: str) -> None:
    assert server.send(CLASSIFY, picture, headers={"Accept": accept}).status == 200


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    data_dir = tmp_path_factory.mktemp("data")
    with running("--allow-url", "loopback", data_dir=data_dir) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def address(smiling_photo: Path) -> Iterator[str]:
    photo = smiling_photo.read_bytes()

    class Pictures(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/me.jpg")
            elif self.path == "/inside":
                self.send_response(302)
                self.send_header("Location", "http://10.0.0.1/me.jpg")
            else:
                self.send_response(200 if self.path == "/me.jpg" else 404)
            self.end_headers()
            if self.path == "/me.jpg":
                self.wfile.write(photo)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as pictures:
        threading.Thread(target=pictures.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{pictures.server_port}"
        pictures.shutdown()


class TestUrl:
    """Pictures by their address."""

    def test_off_unless_switched_on(self, server: WatsonServer, address: str) -> None:
        reply = server.send(CLASSIFY, part("url", f"{address}/me.jpg", kind="text/plain"))
        assert reply.status == 400
        (image,) = reply.json["images"]
        assert image["source_url"] == f"{address}/me.jpg"
        assert "switched off" in image["error"]["description"]

    def test_get_and_post(self, fetching: WatsonServer, address: str) -> None:
        path = f"{CLASSIFY}&url={address}/me.jpg"
        for reply in (
            fetching.get(path),
            fetching.send(CLASSIFY, part("url", f"{address}/me.jpg")),
            fetching.send(path, part("classifier_ids", "emotion")),
            fetching.send(CLASSIFY, part("parameters", json.dumps({"url": f"{address}/me.jpg"}))),
        ):
            assert reply.status == 200
            assert list(reply.classes) == ["happiness"]
            (image,) = reply.json["images"]
            assert image["source_url"] == image["resolved_url"] == f"{address}/me.jpg"
            assert "image" not in image

    def test_beside_a_file_and_redirected(
        self, fetching: WatsonServer, address: str, picture: bytes
    ) -> None:
        reply = fetching.send(CLASSIFY, picture, part("url", f"{address}/moved"))
        file, fetched = reply.json["images"]
        assert file["image"] == "me.jpg"
        assert fetched["source_url"] == f"{address}/moved"
        assert fetched["resolved_url"] == f"{address}/me.jpg"
        assert reply.json["images_processed"] == 2

    @pytest.mark.parametrize("target", ["http://10.0.0.1/x.jpg", "http://[fd00::1]/", "/inside"])
    def test_private_addresses(self, fetching: WatsonServer, address: str, target: str) -> None:
        url = address + target if target.startswith("/") else target
        reply = fetching.send(CLASSIFY, part("url", url))
        assert reply.status == 400
        description = reply.json["images"][0]["error"]["description"]
        assert description.startswith("URL Fetcher error: Could not fetch URL: ")

    def test_a_bad_url_beside_a_good_file(
        self, fetching: WatsonServer, address: str, picture: bytes
    ) -> None:
        reply = fetching.send(CLASSIFY, picture, part("url", f"{address}/none.jpg"))
        assert reply.status == 200
        assert "error" in reply.json["images"][1]


def test_zlib_is_no_gzip(server: WatsonServer, picture: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}
    reply = server.ask("POST", CLASSIFY, zlib.compress(picture), headers)
    assert (reply.status, reply.json["error"]["description"]) == (400, "The body is no gzip data.")


def test_any_well_formed_version(server: WatsonServer, picture: bytes) -> None:
    for version in ("2016-05-19", "2016-05-20", "2019-03-27", "2026-11-24"):
        assert server.send(f"/v3/classify?version={version}", picture).status == 200

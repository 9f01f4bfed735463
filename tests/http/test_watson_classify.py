"""``/v3/classify`` as the clients of eight years send it, to the real server."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

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
        # With backslashes as they are, as most clients send them, and escaped, as curl does.
        ('name="images_file"; filename="C:\\new\\me.jpg"', "C:\\new\\me.jpg"),
        ('name="images_file"; filename="C:\\\\a\\"b.jpg"', 'C:\\a"b.jpg'),
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


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "JPEG"])
def test_formats_of_pictures(server: WatsonServer, photo: bytes, kind: str) -> None:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as picture:
        picture.thumbnail((400, 400))
        # Lying on its side, with a note that says so.
        exif = Image.Exif()
        if kind == "JPEG":
            picture = picture.rotate(90, expand=True)
            exif[0x0112] = 6  # turn by 90 degrees clockwise (Exif 2.3, orientation)
        picture.save(buffer, kind, exif=exif)
    # The bytes tell what it is, not the name.
    reply = server.send(CLASSIFY, part("images_file", buffer.getvalue(), "x.zip", "text/plain"))
    assert list(reply.classes) == ["happiness"]


def test_what_is_to_be_ignored(server: WatsonServer, picture: bytes) -> None:
    headers = {
        "X-Watson-Test": "1",
        "X-Watson-Learning-Opt-Out": "1",
        "X-IBMCloud-SDK-Analytics": "service_name=visual_recognition;service_version=V3",
        "User-Agent": "watson-apis-python-sdk-5.3.1",
    }
    reply = server.send(f"{CLASSIFY}&colour=red", picture, part("mood", "good"), headers=headers)
    assert list(reply.classes) == ["happiness"]


def test_the_form_of_a_client_of_2016(server: WatsonServer, photo: bytes) -> None:
    # Owners are always sent, ids win; a buffer has no name; the key is in the query.
    options = part("parameters", '{"classifier_ids": ["default"], "owners": ["me", "IBM"]}',
                   kind="application/json")  # fmt: skip
    path = "/visual-recognition/api/v3/classify?api_key=any&version=2016-05-20"
    reply = server.send(path, options, part("images_file", photo, kind="image/jpeg"))
    (result,) = reply.json["images"][0]["classifiers"]
    assert result["classifier_id"] == "default"
    assert "image" not in reply.json["images"][0]


def test_owners_in_the_query_and_unknown_ids_beside_known(
    server: WatsonServer, picture: bytes
) -> None:
    assert server.send(f"{CLASSIFY}&owners=IBM", picture).status == 200
    assert server.send(f"{CLASSIFY}&owners=me", picture).status == 404
    reply = server.send(CLASSIFY, picture, part("classifier_ids", "explicit,emotion"))
    assert reply.status == 200
    (result,) = reply.json["images"][0]["classifiers"]
    assert result["classifier_id"] == "emotion"
    (warning,) = reply.json["warnings"]
    assert warning["warning_id"] == "not_found"
    assert "explicit" in warning["description"]


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


def test_zlib_is_no_gzip(server: WatsonServer, picture: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}
    reply = server.ask("POST", CLASSIFY, zlib.compress(picture), headers)
    assert (reply.status, reply.json["error"]["description"]) == (400, "The body is no gzip data.")


def test_any_well_formed_version(server: WatsonServer, picture: bytes) -> None:
    for version in ("2016-05-19", "2016-05-20", "2019-03-27", "2026-11-24"):
        assert server.send(f"/v3/classify?version={version}", picture).status == 200

"""Errors in the shapes of IBM's service, at the real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.custom_pictures import zipped
from tests.watson_server import (
    BOUNDARY,
    CLASSIFIERS,
    CLASSIFY,
    VERSION,
    WatsonServer,
    form,
    part,
    raw_part,
    running,
)

MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data")) as running_server:
        yield running_server


@pytest.fixture
def picture(smiling_photo: Path) -> bytes:
    return part("images_file", smiling_photo.read_bytes(), "me.jpg")


@pytest.mark.parametrize("version", ["", "version=", "version=2018", "version=2018-02-30", "v=1"])
@pytest.mark.parametrize("path", ["/v3/classify", "/v3/classifiers"])
def test_a_missing_or_malformed_version(server: WatsonServer, path: str, version: str) -> None:
    reply = server.get(f"{path}?{version}")
    assert reply.status == reply.json["error"]["code"] == 400
    assert "YYYY-MM-DD" in reply.json["error"]["description"]
    assert reply.json["error"]["error_id"] == "input_error"


@pytest.mark.parametrize(
    ("method", "path", "status", "beginning"),
    [
        ("POST", "/v4/analyze", 404, "Resource not found: /v4/analyze. This server speaks version"),
        ("GET", "/instances/x/v4/collections/y", 404, "Resource not found: /v4/collections/y"),
        ("GET", "/v3/recognize_text", 404, "Resource not found: /v3/recognize_text"),
        ("GET", "/nothing", 404, "Resource not found: /nothing"),
        ("PUT", CLASSIFY, 405, "The method is not allowed"),
        ("GET", f"/v3/classifiers/x_123456789?{VERSION}", 404, "Resource not found: "),
        ("DELETE", f"/v3/classifiers/x_123456789?{VERSION}", 404, "Resource not found: "),
        ("POST", f"/v3/classifiers/x_123456789?{VERSION}", 404, "Resource not found: "),
        ("GET", f"/v3/classifiers/..%2F..%2Fetc?{VERSION}", 404, "Resource not found: "),
        ("GET", f"/v3/classifiers/a%2Fb%20c?{VERSION}", 404, "Resource not found: "),
    ],
)
def test_what_is_not_there(
    server: WatsonServer, method: str, path: str, status: int, beginning: str
) -> None:
    reply = server.ask(method, path)
    assert reply.status == reply.json["code"] == status
    assert set(reply.json) == {"code", "error"}
    assert reply.json["error"].startswith(beginning)


@pytest.mark.parametrize(
    ("parts", "beginning"),
    [
        ([], "No images were specified."),
        ([part("images_file", b"", "")], "No images were specified."),
        ([part("threshold", "0.5"), part("images_file", b"")], "No images were specified."),
        ([part("images_file", b"x", "a.jpg"), part("images_file", b"x", "b.jpg")], "Only one"),
        ([part("images_file", b"x", "x"), part("parameters", "[1]")], "parameters must be a JSON"),
        ([part("images_file", b"x", "x"), part("parameters", "{")], "parameters is no JSON"),
        ([part("images_file", b"x", "x"), part("threshold", "high")], "threshold must be a number"),
        ([part("images_file", b"x", "x"), part("threshold", "1.5")], "threshold must be a number"),
        ([part("images_file", b"x", "x"), part("threshold", b"\xff")], "threshold is no UTF-8"),
        ([part("images_file", b"x", "x"), part("owners", "you")], "owners may hold IBM and me"),
        ([part("images_file", b"x", "x"), part("owners", "I" * 70_000)], "owners is too long"),
        ([part("parameters", '{"url": 5}')], "url must be text"),
    ],
)
def test_requests_at_fault(server: WatsonServer, parts: list[bytes], beginning: str) -> None:
    reply = server.send(CLASSIFY, *parts)
    assert reply.status == reply.json["error"]["code"] == 400
    assert reply.json["error"]["description"].startswith(beginning)


def test_no_body_at_all(server: WatsonServer) -> None:
    for headers in ({}, {"Content-Type": "application/json"}, MULTIPART):
        reply = server.ask("POST", CLASSIFY, b"", headers)
        assert reply.status == reply.json["error"]["code"] == 400
    # Some clients announce JSON and send nothing.
    nothing = {"Content-Type": "application/json"}
    assert server.ask("GET", CLASSIFIERS, headers=nothing).status == 200
    gone = server.ask("DELETE", f"/v3/classifiers/x_123456789?{VERSION}", headers=nothing)
    assert gone.status == 404


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "code", "beginning"),
    [
        (b"This is text.", 400, "Invalid/corrupted image data. "),
        (png(64)[:60], 400, "Invalid/corrupted image data. "),
        (png(16), 400, "Image resolution is smaller than the minimum limit"),
        (png(64) + bytes(10 * 2**20), 413, "File size limit exceeded"),
        (b"PK\x03\x04" + bytes(100), 400, "Invalid/corrupted image data. "),
        (zipped([]), 400, "Invalid/corrupted image data. "),
        (zipped([("a.jpg", b"x"), ("b.jpg", b"y")]), 400, "Invalid/corrupted image data. "),
    ],
)
def test_pictures_at_fault(server: WatsonServer, data: bytes, code: int, beginning: str) -> None:
    reply = server.send(CLASSIFY, part("images_file", data, "x.jpg"))
    assert reply.status == code
    for image in reply.json["images"]:
        assert image["error"]["code"] == code
        assert image["error"]["description"].startswith(beginning)
        assert image["classifiers"] == []
    assert reply.json["images_processed"] == len(reply.json["images"])


def test_unknown_and_empty_classifier_ids(server: WatsonServer, picture: bytes) -> None:
    reply = server.send(CLASSIFY, picture, part("classifier_ids", "dogs_123456789,cats"))
    assert reply.status == 404
    error = reply.json["images"][0]["error"]
    assert error["description"].startswith(
        "None of the requested classifier ids were found: dogs_123456789, cats"
    )
    reply = server.send(CLASSIFY, picture, part("classifier_ids", ""))
    assert reply.status == 400
    error = reply.json["images"][0]["error"]
    assert error["description"].startswith("Invalid Request: provided vmodel-id header must be")
    reply = server.send(CLASSIFY, picture, part("owners", "me"))
    assert reply.status == 404
    assert reply.json["images"][0]["error"]["description"].startswith("No classifiers found")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"x", {}, 415),
        (b"x", {"Content-Type": "multipart/form-data"}, 400),
        (form(part("a", "b"))[:-10], MULTIPART, 400),
        (b"--wrong\r\n\r\n", MULTIPART, 400),
        (b"\x00" * 1000, MULTIPART, 400),
        (b"x", {**MULTIPART, "Content-Encoding": "br"}, 415),
        (b"x", {**MULTIPART, "Content-Encoding": "gzip"}, 400),
        (form(*[part("x", "y")] * 1001), MULTIPART, 413),
    ],
)
def test_bodies_at_fault(
    server: WatsonServer, body: bytes, headers: dict[str, str], status: int
) -> None:
    for path in (CLASSIFY, CLASSIFIERS):
        reply = server.ask("POST", path, body, headers)
        assert reply.status == reply.json["error"]["code"] == status
        assert reply.json["error"]["description"]


def test_parts_without_a_name(server: WatsonServer, picture: bytes) -> None:
    nameless = raw_part("Content-Disposition: form-data", b"x")
    assert server.send(CLASSIFY, picture, nameless).status == 200
    reply = server.send(CLASSIFIERS, nameless, part("name", "x"))
    assert (reply.status, reply.json["error"]["code"]) == (400, 400)


def test_customers_without_a_name(server: WatsonServer) -> None:
    for query in ("", "&customer_id="):
        reply = server.ask("DELETE", f"/v3/user_data?{VERSION}{query}")
        assert (reply.status, reply.json["error"]["code"]) == (400, 400)


def test_every_answer_has_a_transaction_and_cors(server: WatsonServer) -> None:
    replies = [server.get("/nothing"), server.get(CLASSIFY), server.get(CLASSIFIERS)]
    ids = {reply.headers["X-Global-Transaction-Id"] for reply in replies}
    assert len(ids) == 3
    assert {reply.headers["Access-Control-Allow-Origin"] for reply in replies} == {"*"}


@pytest.mark.parametrize("name", ["classifier_ids", "owners"])
def test_lists_that_are_strange(server: WatsonServer, smiling_photo: Path, name: str) -> None:
    picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
    for value in ("[" * 60_000, '["\\ud800"]', ",".join(f"x{n}" for n in range(1_001))):
        reply = server.send(CLASSIFY, picture, part(name, value))
        assert reply.status in (400, 404)
        assert len(reply.body) < 10_000
    many = [part(name, ",".join(f"x{m}_{n}" for n in range(900))) for m in range(12)]
    reply = server.send(CLASSIFY, picture, part(name, "default"), *many)
    assert reply.status == 400
    assert "at most" in reply.body.decode() or "too long" in reply.body.decode()


def test_unknown_ids_beside_a_known_one(server: WatsonServer, smiling_photo: Path) -> None:
    picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
    ids = ",".join(["default", *(f"x_{n}" for n in range(900))])
    reply = server.send(CLASSIFY, picture, part("classifier_ids", ids))
    assert list(reply.classes) == ["happiness"]
    assert len(reply.json["warnings"]) == 900


def test_a_file_name_without_end(server: WatsonServer) -> None:
    reply = server.send(CLASSIFY, part("images_file", b"x", "a" * 1_000_000))
    assert (reply.status, reply.json["error"]["code"]) == (413, 413)


def test_media_types_ignore_case(server: WatsonServer, smiling_photo: Path) -> None:
    picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
    kind = {"Content-Type": f"Multipart/Form-Data; boundary={BOUNDARY}"}
    assert list(server.send(CLASSIFY, picture, headers=kind).classes) == ["happiness"]
    kind = {"Content-Type": "Application/X-WWW-Form-URLencoded"}
    reply = server.ask("POST", "/identity/token", b"apikey=x", kind)
    assert reply.status == 200


def test_a_file_name_of_another_encoding(server: WatsonServer, smiling_photo: Path) -> None:
    sent = form(part("images_file", smiling_photo.read_bytes(), "NAME"))
    for encoded, shown in ((b"m\xfcde.jpg", "müde.jpg"), ("müde.jpg".encode(), "müde.jpg")):
        reply = server.ask(
            "POST",
            CLASSIFY,
            sent.replace(b"NAME", encoded),
            {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        )
        assert reply.status == 200
        assert reply.json["images"][0]["image"] == shown

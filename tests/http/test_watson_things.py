"""Things instead of faces: ``default``, ``food``, ``detect_faces`` and custom classifiers."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.watson_server import CLASSIFIERS, CLASSIFY, VERSION, WatsonServer, part, running

FACES = f"/v3/detect_faces?{VERSION}"
TEXT = (
    "Invalid/corrupted image data. Supported image file formats are GIF, JPEG, PNG, and TIFF. "
    "Supported compression format is ZIP."
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    data_dir = tmp_path_factory.mktemp("data")
    with running("--allow-url", "loopback", data_dir=data_dir, default="general") as found:
        yield found


def picture(path: Path) -> bytes:
    return part("images_file", path.read_bytes(), path.name, "image/jpeg")


def test_a_cat_is_a_cat(server: WatsonServer, no_face_photo: Path) -> None:
    reply = server.send(CLASSIFY, picture(no_face_photo))
    (found,) = reply.json["images"][0]["classifiers"]
    assert found["classifier_id"] == "default"
    by_name = {each["class"]: each for each in found["classes"]}
    assert {"cat", "animal"} <= set(by_name)
    assert by_name["cat"]["type_hierarchy"].startswith("/animal/")
    assert by_name["animal"]["score"] >= by_name["cat"]["score"] > 0.5
    assert any(name.endswith(" color") for name in by_name)
    assert 5 <= len(found["classes"]) <= 12
    assert not {"happiness", "neutral", "face"} & set(by_name)
    assert "warnings" not in reply.json


def test_a_large_face_adds_a_person_with_a_mood(server: WatsonServer, smiling_photo: Path) -> None:
    found = server.send(CLASSIFY, picture(smiling_photo)).classes
    assert {"person", "face", "happiness"} <= set(found)


def test_food(server: WatsonServer, no_face_photo: Path) -> None:
    asked = server.send(f"{CLASSIFY}&classifier_ids=food", picture(no_face_photo))
    assert list(asked.classes) == ["non-food"]


def test_emotion_by_its_name_and_explicit_not(
    server: WatsonServer, smiling_photo: Path, no_face_photo: Path
) -> None:
    path = f"{CLASSIFY}&classifier_ids=emotion&threshold=0"
    assert len(server.send(path, picture(smiling_photo)).classes) == 7
    assert server.send(path, picture(no_face_photo)).classes == {}
    refused = server.send(f"{CLASSIFY}&classifier_ids=explicit", picture(smiling_photo))
    assert refused.status == 404
    assert "nothing on this machine can tell" in refused.json["images"][0]["error"]["description"]


def test_a_picture_that_is_none_in_the_words_that_programs_compare(server: WatsonServer) -> None:
    reply = server.send(CLASSIFY, part("images_file", b"Dear Shelly", "a.jpg"))
    assert reply.status == 400
    error = reply.json["images"][0]["error"]
    assert error["description"] == TEXT
    assert "supported are JPEG" in error["reason"]
    assert reply.json["error"] == error


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "image/jpeg", ""])
def test_a_body_that_is_the_picture(server: WatsonServer, no_face_photo: Path, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    body = no_face_photo.read_bytes()
    assert "cat" in server.ask("POST", CLASSIFY, body, headers).classes


@pytest.mark.parametrize(
    "path",
    [
        f"/visual-recognition/api//v3/classify?{VERSION}",
        f"/v3/classify/?{VERSION}",
        f"/visual-recognition/api//v3/classify/?{VERSION}",
    ],
)
def test_slashes_too_many(server: WatsonServer, no_face_photo: Path, path: str) -> None:
    assert "cat" in server.send(path, picture(no_face_photo)).classes


def test_a_user_by_the_name_of_the_first_manuals(tmp_path: Path, smiling_photo: Path) -> None:
    with running(data_dir=tmp_path, env={"SHELLY_APIKEY": "s3cret"}) as locked:
        for user, status in (("apiKey", 200), ("apikey", 200), ("root", 401)):
            text = base64.b64encode(f"{user}:s3cret".encode()).decode()
            asked = locked.ask("GET", CLASSIFIERS, headers={"Authorization": f"Basic {text}"})
            assert asked.status == status


class TestFaces:
    def test_where_they_are(self, server: WatsonServer, smiling_photo: Path) -> None:
        reply = server.send(FACES, picture(smiling_photo))
        assert reply.json["images_processed"] == 1
        (image,) = reply.json["images"]
        assert image["image"] == smiling_photo.name
        (face,) = image["faces"]
        assert set(face) == {"face_location"}
        place = face["face_location"]
        with Image.open(smiling_photo) as photo:
            width, height = photo.size
        assert all(isinstance(value, int) for value in place.values())
        assert 0 <= place["left"] < place["left"] + place["width"] <= width
        assert 0 <= place["top"] < place["top"] + place["height"] <= height
        assert place["width"] > width / 10

    def test_none_and_a_zip(
        self, server: WatsonServer, smiling_photo: Path, no_face_photo: Path
    ) -> None:
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.write(smiling_photo, "a.jpg")
            archive.write(no_face_photo, "b.jpg")
            archive.writestr("c.jpg", b"Dear Shelly")
        reply = server.send(FACES, part("images_file", zipped.getvalue(), "all.zip"))
        assert [len(image["faces"]) for image in reply.json["images"]] == [1, 0, 0]
        assert reply.json["images"][2]["error"]["description"] == TEXT

    def test_by_a_url_and_errors(self, server: WatsonServer) -> None:
        reply = server.get(f"{FACES}&url=http://127.0.0.1:9/a.jpg")
        assert reply.status == 400
        assert "URL Fetcher error" in reply.json["images"][0]["error"]["description"]
        reply = server.get(f"{FACES}&url=http://nowhere.invalid/a.jpg")
        error = reply.json["images"][0]["error"]
        assert error["description"] == (
            "URL Fetcher error: Could not fetch URL: Unable to resolve host name"
        )
        assert "nowhere.invalid" in error["reason"]
        owners = server.send(f"{CLASSIFY}&owners=me", part("images_file", drawn(True, 1), "a.jpg"))
        assert owners.status in (200, 404)
        assert server.get(FACES).json["error"]["description"] == "No images were specified."


def drawn(stripes: bool, seed: int) -> bytes:
    """A picture of stripes or of blots, with noise."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:160, :160]
    if stripes:
        shape = np.sin((across + 20 * seed) / random.uniform(4, 8)) > 0
    else:
        centre = random.uniform(50, 110, 2)
        shape = (down - centre[0]) ** 2 + (across - centre[1]) ** 2 < random.uniform(25, 45) ** 2
    colour = random.uniform(0, 255, 3)
    pixels = np.where(shape[..., None], colour, 255 - colour) + random.normal(0, 8, (160, 160, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


def zipped_drawings(draw: Callable[[int], bytes], first: int, count: int = 12) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for seed in range(first, first + count):
            archive.writestr(f"{seed}.jpg", draw(seed))
    return file.getvalue()


def created(server: WatsonServer, name: str, **zips: bytes) -> dict[str, str]:
    parts = [part(f"{each}_positive_examples", data, "a.zip") for each, data in zips.items()]
    reply = server.send(CLASSIFIERS, part("name", name), *parts)
    assert reply.status == 200
    found: dict[str, str] = server.settled(reply.json["classifier_id"])
    return found


def test_a_custom_classifier_of_things(server: WatsonServer) -> None:
    found = created(
        server,
        "Shapes",
        stripes=zipped_drawings(lambda seed: drawn(True, seed), 0),
        blots=zipped_drawings(lambda seed: drawn(False, seed), 100),
    )
    assert found["status"] == "ready"
    assert found["explanation"].startswith("Learnt from whole pictures: ")
    assert "of 24 that were looked at" in found["explanation"]  # enough of them to know
    path = f"{CLASSIFY}&classifier_ids={found['classifier_id']}"
    for seed in range(50, 56):
        for stripes in (True, False):
            reply = server.send(path, part("images_file", drawn(stripes, seed), "a.jpg"))
            assert list(reply.classes) == ["stripes" if stripes else "blots"]
            assert "warnings" not in reply.json


def test_told_to_learn_from_faces_where_there_are_none(server: WatsonServer) -> None:
    stripes = zipped_drawings(lambda seed: drawn(True, seed), 0)
    blots = zipped_drawings(lambda seed: drawn(False, seed), 0)
    parts = [
        part("stripes_positive_examples", stripes, "a.zip"),
        part("blots_positive_examples", blots, "a.zip"),
    ]
    told = {"X-Shelly-Learn-From": "faces"}
    reply = server.send(CLASSIFIERS, part("name", "Shapes"), *parts, headers=told)
    found = server.settled(reply.json["classifier_id"])
    assert found["status"] == "failed"
    assert "too few faces" in found["explanation"]
    refused = server.send(
        CLASSIFIERS, part("name", "Shapes"), *parts, headers={"X-Shelly-Learn-From": "ears"}
    )
    assert refused.status == 400
    assert "auto, faces, pictures, both; got 'ears'" in refused.json["error"]["description"]


def test_classes_that_cannot_be_told_apart(server: WatsonServer) -> None:
    found = created(
        server,
        "Chance",
        this=zipped_drawings(lambda seed: drawn(seed % 2 == 0, seed), 0),
        that=zipped_drawings(lambda seed: drawn(seed % 2 == 0, seed), 200),
    )
    assert found["status"] == "failed"
    assert "no better than chance" in found["explanation"]

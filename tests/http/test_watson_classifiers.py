"""Custom classifiers over HTTP, at the real server and at two of them."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custom_pictures import OTHERS, neutral, smiling, zipped
from tests.watson_server import (
    CLASSIFIERS,
    CLASSIFY,
    VERSION,
    WatsonServer,
    part,
    running,
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[WatsonServer]:
    with running(data_dir=data_dir) as running_server:
        yield running_server


def smile(filename: str | None = "smile.zip") -> bytes:
    return part("smile_positive_examples", zipped(smiling()), filename, "application/zip")


def calm(filename: str | None = "calm.zip") -> bytes:
    return part("calm_positive_examples", zipped(neutral()), filename, "application/zip")


def path_of(classifier_id: str) -> str:
    return f"/v3/classifiers/{classifier_id}?{VERSION}"


@pytest.fixture(scope="module")
def trained(server: WatsonServer) -> str:
    reply = server.send(CLASSIFIERS, part("name", "Smile or calm"), smile("_"), calm(None))
    assert reply.status == 200
    created = reply.json
    assert created["status"] == "training"
    classifier_id: str = created["classifier_id"]
    assert classifier_id.startswith("Smileorcalm_")
    # It is in the list at once.
    listed = server.get(CLASSIFIERS).json["classifiers"]
    assert classifier_id in [entry["classifier_id"] for entry in listed]
    assert server.settled(classifier_id)["status"] == "ready"
    return classifier_id


def test_people_it_was_not_trained_on(server: WatsonServer, trained: str) -> None:
    for photo in sorted(OTHERS.rglob("*.jpg")):
        wanted = "smile" if photo.stem.endswith("smiling") else "calm"
        picture = part("images_file", photo.read_bytes(), photo.name)
        reply = server.send(CLASSIFY, picture, part("classifier_ids", trained))
        assert list(reply.classes) == [wanted], photo
        assert reply.json["custom_classes"] == 2


def test_what_is_said_of_it(server: WatsonServer, trained: str) -> None:
    found = server.get(path_of(trained)).json
    assert (found["name"], found["status"]) == ("Smile or calm", "ready")
    assert {entry["class"] for entry in found["classes"]} == {"smile", "calm"}
    assert found["core_ml_enabled"] is False
    assert found["created"].endswith("Z")
    assert found["created"][-5] == "."
    brief = server.get(CLASSIFIERS).json["classifiers"]
    assert {frozenset(entry) for entry in brief} == {frozenset(["classifier_id", "name", "status"])}
    verbose = server.get(f"{CLASSIFIERS}&verbose=true").json["classifiers"]
    assert {"classes", "created", "core_ml_enabled"} <= set(verbose[0])
    reply = server.get(path_of(f"{trained}/core_ml_model"), Accept="application/octet-stream")
    assert (reply.status, reply.json["code"]) == (404, 404)


def test_no_field_beyond_ibms(server: WatsonServer, trained: str) -> None:
    # Models of some SDKs refuse what they do not know.
    found = server.get(path_of(trained)).json
    assert set(found) == {"classifier_id", "name", "owner", "status", "core_ml_enabled",
                          "created", "updated", "classes", "explanation"}  # fmt: skip
    assert found["updated"] == found["created"]
    assert uuid.UUID(found["owner"])
    assert re.fullmatch(r"Smileorcalm_[1-9]\d{8,9}", trained)
    assert int(trained.split("_")[1]) < 2**31


def test_names_and_what_a_zip_holds_besides(server: WatsonServer) -> None:
    """Two of the same name, other scripts, folders and what macOS adds."""
    files = [("Bilder/", b""), ("__MACOSX/Bilder/._1.jpg", b"junk"), (".DS_Store", b"junk")]
    faces = [(f"Bilder/{path.name}", path.read_bytes()) for path in smiling()]
    parts = [
        part("name", "Лица 顔"),
        part("lächeln_positive_examples_positive_examples", zipped([*files, *faces]), "_"),
        calm("calm"),
    ]
    ids = []
    for _ in range(2):
        reply = server.send(CLASSIFIERS, *parts)
        assert reply.json["name"] == "Лица 顔"
        ids.append(reply.json["classifier_id"])
        assert re.fullmatch(r"classifier_\d{9,10}", ids[-1])
    busy = server.send(path_of(ids[1]), calm())
    assert (busy.status, busy.json["error"]["code"]) == (409, 409)
    assert ids[0] != ids[1]
    for classifier_id in ids:
        found = server.settled(classifier_id)
        assert found["status"] == "ready"
        # The last suffix is what ends the name of the class.
        assert {entry["class"] for entry in found["classes"]} == {
            "lächeln_positive_examples",
            "calm",
        }
        assert server.ask("DELETE", path_of(classifier_id)).status == 200


def test_an_update_with_nothing(server: WatsonServer, trained: str) -> None:
    before = server.get(path_of(trained)).json
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        reply = server.ask("POST", path_of(trained), b"" if not headers else iter(()), headers)
        assert (reply.status, reply.json["error"]["code"]) == (400, 400)
        assert reply.json["error"]["description"].startswith("Cannot execute learning task. : ")
    assert server.get(path_of(trained)).json == before


def test_owners(server: WatsonServer, trained: str, smiling_photo: Path) -> None:
    picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
    reply = server.send(CLASSIFY, picture, part("owners", "IBM"), part("owners", "me"))
    ids = [entry["classifier_id"] for entry in reply.json["images"][0]["classifiers"]]
    assert ids[0] == "default"
    assert trained in ids
    # All classes, and each on its own: the sum is not 1.
    reply = server.send(CLASSIFY, picture, part("classifier_ids", trained), part("threshold", "0"))
    assert set(reply.classes) == {"smile", "calm"}


def test_update_answers_as_before_until_it_is_done(
    server: WatsonServer, smiling_photo: Path
) -> None:
    reply = server.send(
        CLASSIFIERS, part("name", "grows"), smile(), part("negative_examples", zipped(neutral()))
    )
    classifier_id = reply.json["classifier_id"]
    assert server.settled(classifier_id)["classes"] == [{"class": "smile"}]
    updated = server.send(path_of(classifier_id), calm("calm"))
    assert updated.json["status"] == "retraining"
    picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
    during = server.send(CLASSIFY, picture, part("classifier_ids", classifier_id))
    assert "smile" in during.classes
    done = server.settled(classifier_id)
    assert {entry["class"] for entry in done["classes"]} == {"smile", "calm"}
    assert done["retrained"] == done["updated"] >= done["created"]

    assert server.ask("DELETE", path_of(classifier_id)).json == {}
    for method in ("GET", "DELETE"):
        gone = server.ask(method, path_of(classifier_id))
        assert (gone.status, gone.json["code"]) == (404, 404)
        assert gone.json["error"].startswith("Resource not found")


def test_headers_of_privacy(server: WatsonServer, data_dir: Path) -> None:
    labels = {"X-Watson-Learning-Opt-Out": "1", "X-Watson-Metadata": "customer_id=anna%20b"}
    reply = server.send(CLASSIFIERS, part("name", "private"), smile(), calm(), headers=labels)
    classifier_id = reply.json["classifier_id"]
    assert server.settled(classifier_id)["status"] == "ready"
    refused = server.send(path_of(classifier_id), smile())
    assert refused.status == 400
    assert refused.json["error"]["description"].startswith("Cannot execute learning task. : ")
    other = server.ask("DELETE", f"/v3/user_data?{VERSION}&customer_id=somebody")
    assert (other.status, other.json) == (200, {})
    assert server.get(path_of(classifier_id)).status == 200
    assert server.ask("DELETE", f"/v3/user_data?{VERSION}&customer_id=anna%20b").status == 200
    assert server.get(path_of(classifier_id)).status == 404
    assert not [file for file in data_dir.rglob("*") if classifier_id in file.name]


@pytest.mark.parametrize(
    ("parts", "beginning"),
    [
        ([smile(), calm()], "Cannot execute learning task. : A classifier needs a name"),
        ([part("name", "x")], "Cannot execute learning task. : "),
        ([part("name", "x"), smile()], "Cannot execute learning task. : "),
        (
            [part("name", "x"), smile(), smile()],
            "Cannot execute learning task. : The class 'smile'",
        ),
        (
            [part("name", "x"), part("a-b_positive_examples", b"PK"), calm()],
            "Cannot execute learning task. : The class name 'a-b' has -",
        ),
        (
            [part("name", "x"), part("_positive_examples", b"PK"), calm()],
            "Cannot execute learning task. : a class name",
        ),
        (
            [part("name", "x"), part("a_positive_examples", b"no zip", "a.zip"), calm()],
            "Cannot execute learning task. : ",
        ),
        (
            [part("name", "x"), part("a_positive_examples", zipped(smiling()[:9])), calm()],
            "Cannot execute learning task. : ",
        ),
    ],
)
def test_a_class_that_cannot_be_learnt(
    server: WatsonServer, parts: list[bytes], beginning: str
) -> None:
    before = server.get(CLASSIFIERS).json
    reply = server.send(CLASSIFIERS, *parts)
    assert reply.status == 400
    assert reply.json["error"]["code"] == 400
    assert reply.json["error"]["description"].startswith(beginning)
    assert server.get(CLASSIFIERS).json == before


def test_pictures_without_a_face_are_counted(server: WatsonServer, no_face_photo: Path) -> None:
    cats = zipped([(f"{n}.jpg", no_face_photo.read_bytes() + bytes([n])) for n in range(12)])
    reply = server.send(
        CLASSIFIERS,
        part("name", "cats"),
        part("cat_positive_examples", cats),
        calm(),
        headers={"X-Shelly-Learn-From": "faces"},
    )
    failed = server.settled(reply.json["classifier_id"])
    assert failed["status"] == "failed"
    assert "too few faces" in failed["explanation"]
    assert "of 22 pictures show a face" in failed["explanation"]
    picture = part("images_file", smiling()[0].read_bytes(), "me.jpg")
    reply = server.send(CLASSIFY, picture, part("classifier_ids", failed["classifier_id"]))
    assert reply.status == 404
    assert reply.json["images"][0]["error"]["description"].startswith(
        "None of the requested classifier ids were found: "
    )


def test_two_servers_on_one_folder(server: WatsonServer, data_dir: Path, trained: str) -> None:
    with running(data_dir=data_dir) as second:
        assert second.get(path_of(trained)).json == server.get(path_of(trained)).json
        reply = second.send(CLASSIFIERS, part("name", "of the second"), smile(), calm())
        classifier_id = reply.json["classifier_id"]
        # The first sees it at once, and may be the one that is asked about it.
        assert server.get(path_of(classifier_id)).json["status"] in ("training", "ready")
        assert server.settled(classifier_id)["status"] == "ready"
        picture = part("images_file", smiling()[0].read_bytes(), "me.jpg")
        asked = part("classifier_ids", classifier_id)
        assert (
            server.send(CLASSIFY, picture, asked).json == second.send(CLASSIFY, picture, asked).json
        )
        assert server.ask("DELETE", path_of(classifier_id)).status == 200
        assert second.get(path_of(classifier_id)).status == 404


def test_a_stopped_server_finishes_its_training(tmp_path: Path) -> None:
    with running(data_dir=tmp_path) as first:
        reply = first.send(CLASSIFIERS, part("name", "late"), smile(), calm())
        classifier_id = reply.json["classifier_id"]
        os.kill(first.process.pid, signal.SIGTERM)
        assert first.process.wait(60) == 0
    with running(data_dir=tmp_path) as second:
        assert second.get(path_of(classifier_id)).json["status"] == "ready"

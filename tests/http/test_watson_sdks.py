"""Programs written for IBM's own SDKs, of five generations, at the real server.

Each goes through everything that its SDK can ask: pictures in all ways, a classifier of its own
from creation to deletion, and mistakes. It is told an address and a key, as it was by IBM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shelly_local.results import CLASSES
from tests.custom_pictures import OTHERS, neutral, smiling, zipped
from tests.ibm_sdks import SDKS, NotInstalledError, Sdk, run
from tests.watson_server import WatsonServer, running

KEY = "s3cret"
Seen = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    env = {"SHELLY_APIKEY": KEY}
    with running(data_dir=tmp_path_factory.mktemp("data"), env=env) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data")) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs upload: people to train on, and two photos of one who is not."""
    folder = tmp_path_factory.mktemp("files")
    person = [OTHERS / "064-smiling.jpg", OTHERS / "064-neutral.jpg"]
    (folder / "smile.zip").write_bytes(zipped(smiling()))
    (folder / "calm.zip").write_bytes(zipped(neutral()))
    (folder / "photos.zip").write_bytes(
        zipped([(f"cars/{path.name}", path.read_bytes()) for path in person])
    )
    (folder / "smiling.jpg").write_bytes(person[0].read_bytes())
    (folder / "neutral.jpg").write_bytes(person[1].read_bytes())
    (folder / "text.txt").write_text("This is no picture.", encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=SDKS, ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    found: Sdk = request.param
    return found


@pytest.fixture(scope="module")
def seen(
    sdk: Sdk,
    server: WatsonServer,
    open_server: WatsonServer,
    files: Path,
    pytestconfig: pytest.Config,
) -> Seen:
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("ibm-sdks")
    try:
        return run(sdk, cache, server.url, KEY, open_server.url, files)
    except NotInstalledError as error:
        pytest.skip(str(error))


def classes(answer: Seen, image: int = 0, classifier: int = 0) -> dict[str, float]:
    found = answer["images"][image]["classifiers"][classifier]["classes"]
    return {entry["class"]: entry["score"] for entry in found}


def error_of(failed: Seen, code: int, sdk: Sdk) -> Any:
    """The answer's body, of an exception with this code."""
    assert failed["code"] == code
    assert failed["message"]
    if sdk.style != "node-4":  # it does not give the headers away
        assert failed["transaction"]
    return json.loads(failed["body"])


def test_pictures(seen: Seen) -> None:
    assert list(classes(seen["file"])) == ["happiness"]
    assert seen["file"]["images"][0]["image"] == "smiling.jpg"
    assert (seen["file"]["images_processed"], seen["file"]["custom_classes"]) == (1, 0)
    assert set(classes(seen["all"])) == set(CLASSES)
    ids = [entry["classifier_id"] for entry in seen["ids"]["images"][0]["classifiers"]]
    assert ids == ["emotion", "default"]
    assert [image["image"] for image in seen["zip"]["images"]] == [
        "photos.zip/cars/064-smiling.jpg",
        "photos.zip/cars/064-neutral.jpg",
    ]
    assert list(classes(seen["zip"], 1)) == ["neutral"]
    assert seen["named"]["images"][0]["image"] == "grüße.jpg"
    assert classes(seen["named"]) == classes(seen["file"])


def test_what_is_peculiar_to_one(seen: Seen, sdk: Sdk) -> None:
    if sdk.style == "python-5":
        # It takes the number 0 for nothing, so that the server's own threshold counts.
        assert seen["number"] == seen["file"]
    if sdk.style == "python-2":
        # It renews its token with another one, and not with the key.
        assert seen["renewed"]["new"]
        assert seen["renewed"]["found"] == {"classifiers": []}
    if sdk.language == "node":
        assert seen["buffer"]["images"][0]["image"] == "_"
        assert classes(seen["buffer"]) == classes(seen["file"])


def test_life_of_a_classifier(seen: Seen) -> None:
    created = seen["created"]
    assert (created["name"], created["status"]) == ("Smile or calm", "training")
    assert created["classifier_id"].startswith("Smileorcalm_")
    assert seen["listed"]["classifiers"] == [
        {name: created[name] for name in ("classifier_id", "name", "status")}
    ]
    assert seen["ready"]["status"] == "ready"
    assert seen["ready"]["classes"] == [{"class": "smile"}]
    assert seen["updated"]["status"] == "retraining"
    assert seen["retrained"]["status"] == "ready"
    assert {entry["class"] for entry in seen["retrained"]["classes"]} == {"smile", "calm"}
    assert seen["verbose"] == {"classifiers": [seen["retrained"]]}
    assert seen["deleted"] in ({}, None)
    assert seen["labelled"]["name"] == "Anna's"
    assert seen["user_data"] in ({}, None)
    assert seen["at_the_end"] == {"classifiers": []}


def test_answers_of_a_classifier(seen: Seen) -> None:
    for photo, wanted in (("smiling", "smile"), ("neutral", "calm")):
        assert list(classes(seen[photo])) == [wanted]
        assert seen[photo]["custom_classes"] == 2
    results = seen["owners"]["images"][0]["classifiers"]
    assert [entry["classifier_id"] for entry in results] == [
        "default",
        seen["created"]["classifier_id"],
    ]
    assert list(classes(seen["owners"], classifier=1)) == ["smile"]


def test_errors(seen: Seen, sdk: Sdk) -> None:
    """Section by section in IBM's four shapes, and what the exceptions say of them."""
    nested = error_of(seen["no_images"], 400, sdk)
    assert nested["error"]["description"].startswith("No images were specified.")
    for name in ("one_class", "bad_class"):
        description = error_of(seen[name], 400, sdk)["error"]["description"]
        assert description.startswith("Cannot execute learning task. : ")
    for name, code, beginning in (
        ("url", 400, "URL Fetcher error: Could not fetch URL: "),
        ("unknown_id", 404, "None of the requested classifier ids were found: "),
        ("no_picture", 400, "Invalid/corrupted image data."),
    ):
        (image,) = error_of(seen[name], code, sdk)["images"]
        assert image["error"]["description"].startswith(beginning)
    assert seen["core_ml"]["code"] == 404
    for name in ("gone", "deleted_again"):
        flat = error_of(seen[name], 404, sdk)
        assert flat["code"] == 404
        assert flat["error"].startswith("Resource not found")
        # The one shape whose text every SDK shows.
        assert seen[name]["message"] == flat["error"]
    if sdk.style == "python-2":
        assert seen["no_images"]["message"].startswith("No images were specified.")


def test_keys(seen: Seen, sdk: Sdk) -> None:
    # All else was asked with a token that the SDK got by itself.
    assert seen["wrong_key"]["code"] == 401
    assert seen["bearer"] == {"classifiers": []}
    if sdk.style in ("python-4", "python-5", "node-6"):
        assert seen["basic"] == {"classifiers": []}
        assert seen["wrong_basic"]["code"] == 401


def test_without_a_key(seen: Seen, sdk: Sdk) -> None:
    assert seen["without_key"] == seen["file"]
    if sdk.style in ("python-4", "python-5", "node-6"):
        assert seen["environment"] == seen["file"]

"""The backend ``ibm`` against a running ``shelly serve``: IBM's SDK, our server, our model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelly_local.backends import BackendError, open_backend
from shelly_local.commands import main as cli
from shelly_local.errors import ImageError
from shelly_local.vision.classifier import EmotionClassifier
from tests.watson_server import WatsonServer, running

KEY = "a key of one's own"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data"), env={"SHELLY_APIKEY": KEY}) as found:
        yield found


@pytest.fixture
def basic(server: WatsonServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Address and key where IBM's SDK looks for them."""
    monkeypatch.delenv("SHELLY_IBM_CLASSIFIER_ID", raising=False)
    monkeypatch.setenv("VISUAL_RECOGNITION_URL", server.url)
    monkeypatch.setenv("VISUAL_RECOGNITION_AUTH_TYPE", "basic")
    monkeypatch.setenv("VISUAL_RECOGNITION_USERNAME", "apikey")
    monkeypatch.setenv("VISUAL_RECOGNITION_PASSWORD", KEY)
    return monkeypatch


@pytest.fixture
def token(basic: pytest.MonkeyPatch, server: WatsonServer) -> pytest.MonkeyPatch:
    """As IBM's keys were used last: the SDK changes them for a token first."""
    basic.setenv("VISUAL_RECOGNITION_AUTH_TYPE", "iam")
    basic.setenv("VISUAL_RECOGNITION_AUTH_URL", server.url)
    basic.setenv("VISUAL_RECOGNITION_APIKEY", KEY)
    return basic


def test_it_answers_as_the_model_here(
    basic: pytest.MonkeyPatch,
    classifier: EmotionClassifier,
    portrait_photos: list[Path],
    no_face_photo: Path,
) -> None:
    backend = open_backend("ibm")
    for file in portrait_photos:
        data = file.read_bytes()
        there, here = backend.classify(data).largest, classifier.classify(data).largest
        assert there is not None
        assert here is not None
        # IBM's scores have three decimals.
        assert there.scores == pytest.approx(here.scores, abs=0.002)
    assert backend.classify(no_face_photo.read_bytes()).faces == ()


def test_with_a_token(token: pytest.MonkeyPatch, smiling_photo: Path) -> None:
    photo = open_backend("ibm").classify(smiling_photo.read_bytes())
    assert photo.largest is not None
    assert photo.largest.emotion == "happiness"


@pytest.mark.parametrize("way", ["basic", "token"])
def test_a_wrong_key_is_a_wrong_key(
    way: str, request: pytest.FixtureRequest, smiling_photo: Path
) -> None:
    environment: pytest.MonkeyPatch = request.getfixturevalue(way)
    environment.setenv("VISUAL_RECOGNITION_PASSWORD", "another")
    environment.setenv("VISUAL_RECOGNITION_APIKEY", "another")
    with pytest.raises(BackendError, match="refused the key") as caught:
        open_backend("ibm").classify(smiling_photo.read_bytes())
    assert caught.value.code == 401
    assert "another" not in str(caught.value)


def test_a_classifier_that_is_not_there(basic: pytest.MonkeyPatch, smiling_photo: Path) -> None:
    basic.setenv("SHELLY_IBM_CLASSIFIER_ID", "DefaultCustomModel_1")
    with pytest.raises((BackendError, ImageError), match="DefaultCustomModel_1"):
        open_backend("ibm").classify(smiling_photo.read_bytes())


def test_on_the_command_line_and_in_a_benchmark(
    basic: pytest.MonkeyPatch,
    smiling_photo: Path,
    neutral_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["classify", "--backend", "ibm", "--json", str(smiling_photo)]) == 0
    assert json.loads(capsys.readouterr().out)["faces"][0]["emotion"] == "happiness"
    for label, photo in (("happiness", smiling_photo), ("neutral", neutral_photo)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "026.jpg").write_bytes(photo.read_bytes())
    output = tmp_path / "accuracy.json"
    options = ["--backends", "local,ibm", "--allow-cloud", "--json", str(output)]
    assert cli.main(["benchmark", "accuracy", "--data", str(tmp_path / "photos"), *options]) == 0
    backends = json.loads(output.read_text())["backends"]
    assert backends["ibm"]["confusion"] == backends["local"]["confusion"]
    assert backends["ibm"]["description"]["host"] == "127.0.0.1"
    assert KEY not in output.read_text()

"""``shelly classify --backend``: a cloud's answers on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shelly_local.commands import main as cli
from tests.fake_clouds import rekognition_error, rekognition_face, serving

FACES = [
    rekognition_face(0.2, 0.4, HAPPY=80.0, CALM=20.0),
    rekognition_face(0.7, 0.1, CONFUSED=90.0, SAD=10.0),
]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Keys where Amazon's SDK looks for them."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_cloud_answers_in_every_format(
    keys: pytest.MonkeyPatch,
    smiling_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving((200, {"FaceDetails": FACES})) as cloud:
        keys.setenv("AWS_ENDPOINT_URL", cloud.url)
        photo = str(smiling_photo)
        assert cli.main(["classify", photo, "--backend", "rekognition"]) == 0
        table = capsys.readouterr()
        keys.setenv("SHELLY_BACKEND", "rekognition")
        assert cli.main(["classify", photo, "--json", "--annotate", str(tmp_path)]) == 0
        row = json.loads(capsys.readouterr().out)
        assert cli.main(["classify", photo, "--csv"]) == 0
        rows = capsys.readouterr().out.splitlines()
    assert "happiness" in table.out
    assert "no answer" in table.out
    assert "the photos are sent to Amazon Rekognition" in table.err
    assert [face["emotion"] for face in row["faces"]] == ["happiness", None]
    assert row["faces"][0]["scores"]["neutral"] == 0.2
    assert len(rows) == 3
    assert (tmp_path / smiling_photo.name).exists()


def test_a_cloud_that_fails_costs_a_line_and_never_the_batch(
    keys: pytest.MonkeyPatch,
    smiling_photo: Path,
    neutral_photo: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = rekognition_error("AccessDeniedException", 400)
    with serving(refused, (200, {"FaceDetails": FACES})) as cloud:
        keys.setenv("AWS_ENDPOINT_URL", cloud.url)
        photos = [str(smiling_photo), str(neutral_photo)]
        assert cli.main(["classify", *photos, "--json", "--backend", "rekognition"]) == 1
    captured = capsys.readouterr()
    first, second = map(json.loads, captured.out.splitlines())
    assert first["error"]["code"] == 401
    assert len(second["faces"]) == 2
    assert "refused the credentials (AccessDeniedException)" in captured.err


def test_wrong_choices_are_named(
    smiling_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["classify", str(smiling_photo), "--backend", "watson"]) == 1
    assert "unknown backend 'watson'; choose from local, ibm" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["classify", str(smiling_photo), "--backend", "google", "--model", str(tmp_path)])
    assert "--model is for the backend local, not for 'google'" in capsys.readouterr().err

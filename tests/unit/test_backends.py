"""Clouds behind the local call: vendors' real SDKs, real HTTP, fake services."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from shelly_local import backends
from shelly_local.backends import Backend, BackendError, UnknownBackendError, open_backend
from shelly_local.commands.main import main
from shelly_local.errors import ImageError
from shelly_local.results import CLASSES, PhotoEmotions
from shelly_local.watson.client import ApiException, VisualRecognition
from tests.cloud_fixtures import CLOUDS, FAILURES, HAPPY, NO_FACE, Opener
from tests.conftest import ROOT
from tests.fake_clouds import (
    CUT,
    closed_port,
    google_answer,
    google_face,
    rekognition_face,
    serving,
    watson_answer,
)


@pytest.mark.parametrize("name", CLOUDS)
def test_an_answer_becomes_ours(name: str, open_at: Opener, smiling_photo: Path) -> None:
    data = smiling_photo.read_bytes()
    with serving(HAPPY[name]) as cloud:
        backend = open_at(name, cloud.url)
        photo = backend.classify(data)
        description = backend.describe()
        backend.close()
    assert photo.largest is not None
    assert photo.largest.emotion == "happiness"
    assert photo.largest.answered
    with Image.open(smiling_photo) as image:
        assert (photo.width, photo.height) == image.size
    assert set(description["mapping"].values()) | {None} >= {"happiness"}
    assert description["host"] == "127.0.0.1"
    assert "secret" not in json.dumps(description)
    assert not backend.is_local


@pytest.mark.parametrize("name", CLOUDS)
def test_no_face_is_an_ordinary_answer(name: str, open_at: Opener, no_face_photo: Path) -> None:
    with serving(NO_FACE[name]) as cloud:
        assert open_at(name, cloud.url).classify(no_face_photo.read_bytes()).faces == ()


def test_amazon_orders_faces_and_keeps_confusion_apart(
    open_at: Opener, smiling_photo: Path
) -> None:
    faces = [
        rekognition_face(0.1, 0.1, CONFUSED=70.0, SAD=20.0, UNKNOWN=10.0),
        rekognition_face(0.5, 0.4, CALM=90.0, ANGRY=10.0),
    ]
    with serving((200, {"FaceDetails": faces})) as cloud:
        photo = open_at("rekognition", cloud.url).classify(smiling_photo.read_bytes())
        sent = json.loads(cloud.requests[0][2])
    large, small = photo.faces
    assert large.emotion == "neutral"
    assert large.scores["neutral"] == pytest.approx(0.9)
    assert large.face.box[0] == pytest.approx(0.5 * photo.width)
    assert len(large.face.landmarks) == 5
    assert large.face.landmarks[0][0] < large.face.landmarks[1][0]
    assert not small.answered
    assert small.scores["sadness"] == pytest.approx(0.2)
    assert sent["Attributes"] == ["DEFAULT", "EMOTIONS"]


def test_google_without_a_mood_gives_no_answer(open_at: Opener, smiling_photo: Path) -> None:
    faces = [google_face(10, 30), google_face(60, 90, sorrow="LIKELY", anger="POSSIBLE")]
    with serving(google_answer(*faces)) as cloud:
        photo = open_at("google", cloud.url).classify(smiling_photo.read_bytes())
    assert photo.faces[0].emotion == "sadness"
    assert photo.faces[0].scores["sadness"] == pytest.approx(0.75 / 1.25)
    assert photo.faces[0].face.landmarks[0][0] < photo.faces[0].face.landmarks[1][0]
    assert not photo.faces[1].answered


def test_watson_is_asked_for_every_class_of_the_classifier(
    open_at: Opener, smiling_photo: Path
) -> None:
    with serving(watson_answer(anger=0.9, fear=0.6)) as cloud:
        backend = open_at("ibm", cloud.url, classifier_id="Mood_7")
        photo = backend.classify(smiling_photo.read_bytes())
        path, _, body = cloud.requests[0]
    assert path == "/v3/classify?version=2018-03-19"
    assert b"Mood_7" in body
    assert b'name="threshold"' in body
    assert photo.largest is not None
    assert photo.largest.scores["anger"] == pytest.approx(0.6)
    assert photo.largest.face.box == (0, 0, photo.width, photo.height)


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize(("kind", "code"), [("throttled", 429), ("broken", 502), ("key", 401)])
def test_a_failure_of_the_service_has_its_code(
    name: str, kind: str, code: int, open_at: Opener, smiling_photo: Path
) -> None:
    with serving(FAILURES[kind][name]) as cloud, pytest.raises(BackendError) as caught:
        open_at(name, cloud.url).classify(smiling_photo.read_bytes())
    assert caught.value.code == code
    assert caught.value.__cause__ is not None
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", CLOUDS)
def test_a_picture_that_is_refused_is_the_pictures_fault(
    name: str, open_at: Opener, smiling_photo: Path
) -> None:
    with serving(FAILURES["picture"][name]) as cloud, pytest.raises(ImageError):
        open_at(name, cloud.url).classify(smiling_photo.read_bytes())


@pytest.mark.parametrize("name", CLOUDS)
def test_an_answer_cut_off_or_late_or_never_is_an_error(
    name: str, open_at: Opener, smiling_photo: Path
) -> None:
    data = smiling_photo.read_bytes()
    with serving(CUT) as cloud, pytest.raises(BackendError) as cut:
        open_at(name, cloud.url).classify(data)
    with serving(1.5) as cloud, pytest.raises(BackendError) as late:
        open_at(name, cloud.url, read_timeout=0.3).classify(data)
    with pytest.raises(BackendError) as nobody:
        open_at(name, closed_port()).classify(data)
    assert (cut.value.code, late.value.code, nobody.value.code) == (502, 504, 502)


def test_photos_are_sent_upright_and_small_enough(open_at: Opener, smiling_photo: Path) -> None:
    """A sideways GIF-like format that no service takes becomes an upright JPEG."""
    import base64

    with Image.open(smiling_photo) as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by a quarter
        buffer = io.BytesIO()
        image.convert("RGB").resize((300, 200)).save(buffer, "TIFF", exif=exif)
    with serving(HAPPY["rekognition"]) as cloud:
        photo = open_at("rekognition", cloud.url).classify(buffer.getvalue())
        sent = base64.b64decode(json.loads(cloud.requests[0][2])["Image"]["Bytes"])
    with Image.open(io.BytesIO(sent)) as image:
        assert image.format == "JPEG"
        assert image.size == (200, 300) == (photo.width, photo.height)


def test_a_text_file_is_refused_before_anything_is_sent(open_at: Opener) -> None:
    with serving(HAPPY["google"]) as cloud:
        for name in CLOUDS:
            with pytest.raises(ImageError):
                open_at(name, cloud.url).classify(b"no picture")
        assert cloud.requests == []


def test_watson_programs_can_ask_a_cloud(open_at: Opener, smiling_photo: Path) -> None:
    with serving(HAPPY["rekognition"], FAILURES["throttled"]["rekognition"]) as cloud:
        service = VisualRecognition(backend=open_at("rekognition", cloud.url))
        result = service.classify(smiling_photo).get_result()
        assert result["images"][0]["classifiers"][0]["classes"] == [
            {"class": "happiness", "score": 0.8}
        ]
        with pytest.raises(ApiException, match="throttling") as caught:
            service.classify(smiling_photo)
    assert caught.value.code == 429


def test_the_local_backend_answers_as_the_classifier(classifier: Any, smiling_photo: Path) -> None:
    backend = open_backend("local", classifier=classifier)
    data = smiling_photo.read_bytes()
    assert backend.classify(data) == classifier.classify(data)
    assert set(backend.describe()["mapping"]) == set(CLASSES)
    with pytest.raises(ValueError, match="threads must be"):
        open_backend("local", threads=0)


def test_unknown_and_unconfigured_backends_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownBackendError, match="'watson'; choose from local, ibm, rekognition"):
        open_backend("watson")
    for name in ("VISUAL_RECOGNITION_URL", "SHELLY_GOOGLE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(BackendError, match="set VISUAL_RECOGNITION_URL"):
        open_backend("ibm")
    assert "ibm" not in backends.configured()
    assert "google" not in backends.configured()
    monkeypatch.setenv("VISUAL_RECOGNITION_URL", "http://127.0.0.1:9")
    assert backends.configured()[:2] == ["local", "ibm"]


def test_a_profile_that_is_not_there_is_no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "rekognition" not in backends.configured()


class AlwaysCalm(Backend):
    """A vendor of one's own: this is all it takes."""

    name, title, is_local = "calm", "Always calm", True

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        return PhotoEmotions(width=1, height=1, faces=())

    def describe(self) -> dict[str, Any]:
        return {"title": self.title, "mapping": {}}


def test_a_backend_of_ones_own_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_registered", {})
    backends.register("calm", AlwaysCalm)
    assert "calm" in backends.known()
    assert open_backend("calm").classify(b"").faces == ()
    with pytest.raises(ValueError, match="comes along"):
        backends.register("local", AlwaysCalm)


def test_a_package_adds_a_backend_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_shelly.py").write_text(
        "from tests.unit.test_backends import AlwaysCalm\n\n"
        "class Acme(AlwaysCalm):\n    name = 'acme'\n"
    )
    metadata = tmp_path / "acme_shelly-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-shelly\nVersion: 1.0\n")
    entry = "[shelly_local.backends]\nacme = acme_shelly:Acme\n"
    (metadata / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "acme" in backends.known()
    assert open_backend("acme").name == "acme"


def documented_vendor() -> str:
    """The code below "A new vendor takes one class" in docs/clouds.md."""
    text = (ROOT / "docs" / "clouds.md").read_text(encoding="utf-8")
    return text.split("A new vendor takes one class")[1].split("```python\n")[1].split("```")[0]


def test_the_vendor_of_the_documents_works(
    monkeypatch: pytest.MonkeyPatch,
    smiling_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sdk = ModuleType("acme_sdk")
    error = type("Error", (Exception,), {})
    wrong_key = type("WrongKey", (error,), {})
    small = SimpleNamespace(x=1, y=2, width=30, height=40, smile=0.1, confidence=0.9)
    large = SimpleNamespace(x=1, y=2, width=60, height=80, smile=0.9, confidence=0.9)

    def faces(photo: bytes) -> SimpleNamespace:
        if not photo.startswith(b"\xff\xd8"):
            raise wrong_key if photo == b"key" else error
        return SimpleNamespace(width=640, height=480, faces=[small, large])

    for name, value in (("Error", error), ("WrongKey", wrong_key), ("faces", faces)):
        setattr(sdk, name, value)
    sdk.HOST = "acme.example"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_sdk", sdk)
    monkeypatch.setattr(backends, "_registered", {})
    code = documented_vendor()
    assert len(code.splitlines()) < 100
    exec(code, {})

    backend = open_backend("acme")
    assert [round(face.face.area) for face in backend.classify(b"\xff\xd8").faces] == [4800, 1200]
    for photo, status in ((b"key", 401), (b"else", 502)):
        with pytest.raises(BackendError) as caught:
            backend.classify(photo)
        assert caught.value.code == status
        assert caught.value.__cause__ is not None
    assert main(["classify", "--backend", "acme", "--json", str(smiling_photo)]) == 0
    assert json.loads(capsys.readouterr().out)["faces"][0]["emotion"] == "happiness"
    assert main(["classify", "--backend", "acme", "--csv", str(smiling_photo)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3  # its two classes are all it has
    (tmp_path / "photos/happiness").mkdir(parents=True)
    (tmp_path / "photos/happiness/1.jpg").write_bytes(smiling_photo.read_bytes())
    arguments = ["benchmark", "accuracy", "--data", str(tmp_path / "photos")]
    with pytest.raises(SystemExit):  # what does not say that it is local is a cloud
        main([*arguments, "--backends", "acme"])
    assert "--allow-cloud" in capsys.readouterr().err
    assert main([*arguments, "--backends", "acme", "--allow-cloud"]) == 0
    assert "100.0 %" in capsys.readouterr().out

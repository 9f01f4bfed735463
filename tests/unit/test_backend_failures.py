"""Services that throttle, break, dawdle or babble, with retries on; SDKs that are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelly_local.backends import Backend, BackendError
from shelly_local.errors import ImageError
from tests.cloud_fixtures import CLOUDS, FAILURES, HAPPY, Opener
from tests.conftest import PICTURES
from tests.fake_clouds import CUT, FakeCloud, closed_port, serving


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("kind", ["throttled", "broken"])
def test_what_passes_is_waited_out(
    name: str, kind: str, open_at: Opener, smiling_photo: Path
) -> None:
    with serving(FAILURES[kind][name], HAPPY[name]) as cloud:
        photo = open_at(name, cloud.url, attempts=3).classify(smiling_photo.read_bytes())
        assert len(cloud.requests) == 2
        assert cloud.requests[0][2] == cloud.requests[1][2]  # the whole photo again
    assert photo.largest is not None
    assert photo.largest.emotion == "happiness"


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize(("kind", "code"), [("throttled", 429), ("broken", 502)])
def test_what_stays_is_told_after_as_many_tries_as_allowed(
    name: str, kind: str, code: int, open_at: Opener, smiling_photo: Path
) -> None:
    with serving(FAILURES[kind][name]) as cloud:
        with pytest.raises(BackendError) as caught:
            open_at(name, cloud.url, attempts=2).classify(smiling_photo.read_bytes())
        assert len(cloud.requests) == 2
    assert caught.value.code == code
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", CLOUDS)
def test_a_wrong_key_or_picture_is_not_tried_again(
    name: str, open_at: Opener, smiling_photo: Path
) -> None:
    for kind, error in (("key", BackendError), ("picture", ImageError)):
        with serving(FAILURES[kind][name]) as cloud:
            with pytest.raises(error):
                open_at(name, cloud.url, attempts=4).classify(smiling_photo.read_bytes())
            assert len(cloud.requests) == 1


@pytest.mark.parametrize("name", CLOUDS)
def test_slow_and_absent_services_are_told_apart_with_retries(
    name: str, open_at: Opener, smiling_photo: Path
) -> None:
    data = smiling_photo.read_bytes()
    with serving(1.5) as cloud, pytest.raises(BackendError, match="did not answer in time") as late:
        open_at(name, cloud.url, attempts=2, read_timeout=0.3).classify(data)
    with pytest.raises(BackendError, match="cannot be reached") as nobody:
        open_at(name, closed_port(), attempts=2).classify(data)
    assert (late.value.code, nobody.value.code) == (504, 502)


def test_google_tries_again_after_a_broken_connection(open_at: Opener, smiling_photo: Path) -> None:
    with serving(CUT, HAPPY["google"]) as cloud:
        photo = open_at("google", cloud.url, attempts=2).classify(smiling_photo.read_bytes())
    assert photo.largest is not None


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>please log in</html>"),  # as networks of hotels do
        (200, b""),
        (200, []),
        (200, None),
        (200, {}),
        (200, {"images": [{}], "FaceDetails": [{"BoundingBox": {}}], "responses": []}),
        (302, b""),
        (503, b"<html>" + 5000 * b"x"),
    ],
    ids=["page", "empty", "list", "null", "object", "half", "redirect", "proxy"],
)
def test_answers_in_another_shape_are_errors_of_the_service(
    name: str, answer: tuple[int, Any], open_at: Opener, smiling_photo: Path
) -> None:
    with serving(answer) as cloud, pytest.raises(BackendError) as caught:
        open_at(name, cloud.url).classify(smiling_photo.read_bytes())
    assert caught.value.code == 502
    assert caught.value.__cause__ is not None
    assert len(str(caught.value)) < 400


#: What stands where a number belongs, as JSON; Google's SDK takes the latter for numbers.
NOT_NUMBERS = ["NaN", "Infinity", "-Infinity", "-0.5", '"x"', "[]", "{}", "1e999"]
NO_JSON_NUMBERS = ['"0.5"', "null", "true"]


@pytest.fixture
def small_photo() -> Path:
    return PICTURES / "people/026-smiling.jpg"


def _with(answer: tuple[int, Any], place: tuple[str | int, ...], text: str) -> tuple[int, bytes]:
    """The answer with other JSON at a place in it."""
    content = json.loads(json.dumps(answer[1]))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = "PLACE"
    return 200, json.dumps(content).replace('"PLACE"', text).encode()


WATSON = ("images", 0, "classifiers", 0, "classes", 0)
AMAZON, GOOGLE = ("FaceDetails", 0), ("responses", 0, "faceAnnotations", 0)
NUMBERS: list[tuple[str, tuple[str | int, ...]]] = [
    ("ibm", (*WATSON, "score")),
    ("rekognition", (*AMAZON, "Confidence")),
    ("rekognition", (*AMAZON, "Emotions", 0, "Confidence")),
    ("rekognition", (*AMAZON, "BoundingBox", "Width")),
    ("rekognition", (*AMAZON, "BoundingBox", "Height")),
    ("google", (*GOOGLE, "detectionConfidence")),
]


def assert_refused(
    backend: Backend, cloud: FakeCloud, photo: Path, answers: dict[str, tuple[int, Any]]
) -> None:
    """Every one of the answers is an error of the service."""
    for answer in answers.values():
        cloud.answers[:] = [answer]
        with pytest.raises(BackendError, match="not as documented") as caught:
            backend.classify(photo.read_bytes())
        assert caught.value.code == 502
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("name", "place"), NUMBERS)
def test_what_is_no_number_is_an_error_of_the_service(
    name: str, place: tuple[str | int, ...], open_at: Opener, small_photo: Path
) -> None:
    texts = [*NOT_NUMBERS, *([] if name == "google" else NO_JSON_NUMBERS)]
    with serving(HAPPY[name]) as cloud:
        answers = {text: _with(HAPPY[name], place, text) for text in texts}
        assert_refused(open_at(name, cloud.url), cloud, small_photo, answers)


#: Coordinates, which may be negative: a box may reach past the edge of the photo.
COORDINATES: list[tuple[str, tuple[str | int, ...]]] = [
    ("rekognition", (*AMAZON, "BoundingBox", "Left")),
    ("rekognition", (*AMAZON, "Landmarks", 0, "X")),
    ("google", (*GOOGLE, "boundingPoly", "vertices", 0, "x")),
    ("google", (*GOOGLE, "landmarks", 0, "position", "x")),
]


@pytest.mark.parametrize(("name", "place"), COORDINATES)
def test_what_is_no_coordinate_is_an_error_of_the_service(
    name: str, place: tuple[str | int, ...], open_at: Opener, small_photo: Path
) -> None:
    texts = ['"NaN"', "NaN", "1e999", '"x"', "[]", "1e308"]
    with serving(HAPPY[name]) as cloud:
        answers = {text: _with(HAPPY[name], place, text) for text in texts}
        assert_refused(open_at(name, cloud.url), cloud, small_photo, answers)


MISSING: dict[str, list[tuple[str | int, ...]]] = {
    "ibm": [(*WATSON, "score"), (*WATSON, "class"), ("images", 0, "classifiers", 0, "classes")],
    "rekognition": [
        (*AMAZON, "BoundingBox"),
        (*AMAZON, "BoundingBox", "Top"),
        (*AMAZON, "Confidence"),
        (*AMAZON, "Emotions", 0, "Type"),
        (*AMAZON, "Landmarks", 0, "Y"),
    ],
    "google": [(*GOOGLE, "boundingPoly")],
}


@pytest.mark.parametrize("name", CLOUDS)
def test_what_is_missing_or_nested_deeply_is_an_error_of_the_service(
    name: str, open_at: Opener, small_photo: Path
) -> None:
    answers: dict[str, tuple[int, Any]] = {"deep nesting": (200, b"[" * 200_000)}
    for place in MISSING[name]:
        content = json.loads(json.dumps(HAPPY[name][1]))
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        answers[f"nothing at {place}"] = (200, content)
    with serving(HAPPY[name]) as cloud:
        assert_refused(open_at(name, cloud.url), cloud, small_photo, answers)


#: Any JSON, a lone surrogate and what is no JSON for most readers among it.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("name", CLOUDS)
def test_whatever_a_service_answers_is_faces_or_an_error(
    name: str, open_at: Opener, small_photo: Path
) -> None:
    places: list[tuple[str | int, ...]] = [
        *(place for other, place in [*NUMBERS, *COORDINATES] if other == name),
        *(place[:length] for place in MISSING[name] for length in range(1, len(place) + 1)),
    ]
    photo = small_photo.read_bytes()
    with serving(HAPPY[name]) as cloud:
        backend = open_at(name, cloud.url)

        @settings(max_examples=30, deadline=None)
        @given(st.sampled_from(places), JSON)
        def ask(place: tuple[str | int, ...], value: Any) -> None:
            cloud.answers[:] = [_with(HAPPY[name], place, json.dumps(value))]
            with suppress(BackendError, ImageError):
                answer = backend.classify(photo)
                json.dumps(answer.as_dict(), allow_nan=False)

        ask()


def test_google_without_a_network(
    open_at: Opener, smiling_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the server of keys is not there is no wrong key: asking again later makes sense."""
    names = ("client_id", "client_secret", "refresh_token")
    file = tmp_path / "application_default_credentials.json"
    file.write_text(json.dumps({"type": "authorized_user", **dict.fromkeys(names, "secret")}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("HTTPS_PROXY", closed_port())
    with pytest.raises(BackendError, match="server of credentials cannot be reached") as caught:
        open_at("google", "vision.googleapis.com").classify(smiling_photo.read_bytes())
    assert caught.value.code == 502


@pytest.mark.parametrize(
    ("name", "package"), [("ibm", "ibm_watson"), ("rekognition", "boto3"), ("google", "google")]
)
def test_a_missing_sdk_gives_the_line_that_installs_it(
    name: str, package: str, smiling_photo: Path
) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from shelly_local import backends\nfrom shelly_local.commands import main\n"
        f"assert {name!r} not in backends.configured()\n"
        f"sys.exit(main.main(['classify', {str(smiling_photo)!r}, '--backend', {name!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'shelly-local[cloud]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

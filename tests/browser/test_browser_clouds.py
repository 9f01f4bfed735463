"""Clouds behind the page: asking before a photo leaves, side by side, and clouds that fail."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from shelly_local.backends import open_backend
from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import (
    choose,
    expect_happiness,
    expect_trouble,
    hand_over,
    percents,
    take_screenshot,
)
from tests.fake_clouds import (
    FakeCloud,
    google_answer,
    google_face,
    rekognition_error,
    rekognition_face,
    serving,
    watson_answer,
)

GPS = 0x8825  # EXIF tag of the place
SAD = (200, {"FaceDetails": [rekognition_face(0.3, 0.4, SAD=70.0, CALM=30.0)]})
UNDECIDED = (200, {"FaceDetails": [rekognition_face(0.3, 0.4, SAD=45.0, CALM=40.0, FEAR=15.0)]})


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with serving(SAD) as cloud:
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        yield cloud


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    with serving(google_answer(google_face(200, 200, joy="VERY_LIKELY"))) as cloud:
        monkeypatch.setenv("SHELLY_GOOGLE_ENDPOINT", cloud.url)
        yield cloud


@pytest.fixture
def page(
    open_page: OpenPage, serve: Callable[..., Server], amazon: FakeCloud, google: FakeCloud
) -> Iterator[Page]:
    """The page of a server with two clouds beside the local model."""
    backends = {
        "rekognition": open_backend("rekognition", attempts=1, read_timeout=6.0),
        "google": open_backend("google", attempts=1, read_timeout=6.0),
    }
    yield open_page(serve(backends, DEFAULT_BACKEND="local").url)
    for backend in backends.values():
        backend.close()


def ask_amazon(page: Page, photo: Path, reply: str = "Yes, send it") -> None:
    page.get_by_role("radio", name="Amazon Rekognition").check()
    choose(page, photo)
    page.get_by_role("dialog").get_by_role("button", name=reply, exact=True).click()


class TestConsent:
    def test_page_asks_first_and_names_who_answered(
        self, page: Page, amazon: FakeCloud, smiling_photo: Path
    ) -> None:
        page.get_by_role("radio", name="Amazon Rekognition").check()
        expect(page.locator("#privacy")).to_contain_text("Amazon Rekognition would get your photo")
        choose(page, smiling_photo)
        dialog = page.get_by_role("dialog", name="May this photo leave your machine?")
        expect(dialog).to_contain_text("Amazon Rekognition must get a copy")
        expect(dialog.get_by_role("button", name="No, look here instead")).to_be_focused()
        take_screenshot(page, "consent")
        # Another photo must wait until the question about this one is answered.
        hand_over(page, "paste", smiling_photo.read_bytes(), "me.jpg", "image/jpeg")
        assert amazon.requests == []
        dialog.get_by_role("button", name="Yes, send it").click()
        expect(page.get_by_role("status")).to_contain_text("I can see sadness.")
        expect(page.locator("#by")).to_contain_text("Answered by Amazon Rekognition in")
        expect(page.locator("#crop")).to_be_hidden()  # a cloud has none
        assert percents(page)["sadness"] == 70
        assert len(amazon.requests) == 1

    def test_look_here_instead_sends_nothing(
        self, page: Page, amazon: FakeCloud, smiling_photo: Path
    ) -> None:
        ask_amazon(page, smiling_photo, "No, look here instead")
        expect_happiness(page)
        expect(page.locator("#by")).to_contain_text("Answered on this machine")
        assert amazon.requests == []

    def test_escape_sends_nothing(self, page: Page, amazon: FakeCloud, smiling_photo: Path) -> None:
        page.get_by_role("radio", name="Amazon Rekognition").check()
        choose(page, smiling_photo)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("status")).to_contain_text("I sent nothing anywhere.")
        assert amazon.requests == []
        page.get_by_role("button", name="Look on this machine").click()
        expect_happiness(page)

    def test_switching_offers_to_ask_again(self, page: Page, smiling_photo: Path) -> None:
        choose(page, smiling_photo)
        expect_happiness(page)
        page.get_by_role("radio", name="Google Cloud Vision").check()
        expect(page.get_by_role("status")).to_contain_text("Shall Google Cloud Vision look")
        page.get_by_role("button", name="Ask again").click()
        page.get_by_role("dialog").get_by_role("button", name="Yes, send it").click()
        expect(page.locator("#by")).to_contain_text("Answered by Google Cloud Vision in")


def test_cloud_is_not_told_where_a_photo_was_taken(
    page: Page, amazon: FakeCloud, smiling_photo: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(GPS)[1] = "N"  # the latitude's half of the globe
    path = tmp_path / "holiday.jpg"
    with Image.open(smiling_photo) as photo:
        photo.resize((600, 600)).save(path, exif=exif)  # small enough to go as it is
    with Image.open(path) as photo:
        assert GPS in photo.getexif()
    ask_amazon(page, path)
    expect(page.get_by_role("status")).to_contain_text("I can see sadness.")
    ((_, _, body),) = amazon.requests
    with Image.open(io.BytesIO(base64.b64decode(json.loads(body)["Image"]["Bytes"]))) as sent:
        assert sent.size == (600, 600)
        assert GPS not in sent.getexif()


def test_side_by_side(
    page: Page, amazon: FakeCloud, google: FakeCloud, smiling_photo: Path
) -> None:
    choose(page, smiling_photo)
    expect_happiness(page)
    page.get_by_role("button", name="Compare all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Amazon Rekognition and Google Cloud Vision")
    dialog.get_by_role("button", name="Yes, send it").click()
    expect(page.get_by_role("status")).to_contain_text("Here is what everyone says.")
    columns = page.get_by_role("article")
    expect(columns.get_by_role("heading", level=3)).to_have_text(
        ["On this machine", "Amazon Rekognition", "Google Cloud Vision"]
    )
    expect(columns.locator(".verdict").nth(0)).to_contain_text("happiness")
    expect(columns.locator(".verdict").nth(1)).to_have_text("sadness, 70%")
    expect(columns.locator(".verdict").nth(2)).to_contain_text("happiness")
    went = "You let this photo go to Amazon Rekognition and Google Cloud Vision."
    expect(page.locator("#privacy")).to_have_text(went)
    for time in columns.locator(".time").all_inner_texts():
        assert time.endswith(" ms")
    for bars in columns.locator(".scores").all():
        expect(bars.locator("li")).to_have_count(7)
    take_screenshot(page, "compare")
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    take_screenshot(page, "compare-320")
    assert len(amazon.requests) == len(google.requests) == 1

    page.get_by_role("button", name="Deutsch").click()
    expect(columns.locator(".verdict").nth(1)).to_have_text("Traurigkeit, 70\xa0%")


def test_watson_server_gets_the_photo_under_its_own_address(
    open_page: OpenPage, serve: Callable[..., Server], smiling_photo: Path
) -> None:
    with serving(watson_answer(happiness=0.9, neutral=0.1)) as watson:
        backend = open_backend("ibm", url=watson.url, attempts=1)
        page = open_page(serve({"ibm": backend}, DEFAULT_BACKEND="ibm").url)
        expect(page.locator("#privacy")).to_contain_text("Watson Visual Recognition at 127.0.0.1")
        choose(page, smiling_photo)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Watson Visual Recognition at 127.0.0.1 must get a copy")
        assert watson.requests == []
        dialog.get_by_role("button", name="Yes, send it").click()
        expect_happiness(page)
        expect(page.locator("#by")).to_contain_text("Answered by Watson Visual Recognition at")
        expect(page.locator(".box")).to_be_hidden()  # Watson does not tell where the face is
        assert len(watson.requests) == 1
        page.get_by_role("button", name="Compare all").click()
        verdicts = page.get_by_role("article").locator(".verdict")
        expect(verdicts.nth(1)).to_have_text("happiness, 90%")
        backend.close()


def test_one_that_fails_leaves_the_others(
    page: Page, amazon: FakeCloud, smiling_photo: Path
) -> None:
    amazon.answers[:] = [rekognition_error("ThrottlingException", 400)]
    choose(page, smiling_photo)
    page.get_by_role("button", name="Compare all").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes, send it").click()
    verdicts = page.get_by_role("article").locator(".verdict")
    expect(verdicts.nth(0)).to_contain_text("happiness")
    expect(verdicts.nth(1)).to_contain_text("Amazon Rekognition has had too many questions.")
    expect(verdicts.nth(2)).to_contain_text("happiness")


def test_unsure_names_the_two_nearest(page: Page, amazon: FakeCloud, smiling_photo: Path) -> None:
    amazon.answers[:] = [UNDECIDED]
    ask_amazon(page, smiling_photo)
    status = page.get_by_role("status")
    expect(status).to_contain_text("I am not sure. It could be sadness (45%) or neutral (40%).")
    expect(status).to_contain_text("Just in case:")
    expect(page.locator("#scores .top")).to_have_count(0)
    take_screenshot(page, "unsure")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (rekognition_error("ThrottlingException", 400), "has had too many questions."),
        (rekognition_error("InternalServerError", 500), "cannot answer at the moment."),
        (rekognition_error("UnrecognizedClientException", 400), "does not accept its key."),
    ],
)
def test_cloud_that_fails_offers_this_machine(
    page: Page, amazon: FakeCloud, smiling_photo: Path, answer: Any, sentence: str
) -> None:
    amazon.answers[:] = [answer]
    ask_amazon(page, smiling_photo)
    expect_trouble(page, f"Amazon Rekognition {sentence}")
    if "key" in sentence:
        take_screenshot(page, "cloud-error")
    page.get_by_role("button", name="Look on this machine").click()
    expect_happiness(page)


def test_slow_cloud_can_be_given_up(page: Page, amazon: FakeCloud, smiling_photo: Path) -> None:
    amazon.answers[:] = [8.0]  # seconds
    ask_amazon(page, smiling_photo)
    expect(page.get_by_role("status")).to_contain_text("Amazon Rekognition is having a look")
    expect(page.get_by_role("status")).to_contain_text("Amazon Rekognition takes its time.")
    page.get_by_role("button", name="Look on this machine").click()
    expect_happiness(page)
    page.wait_for_timeout(1500)  # the cloud gives up meanwhile, which must change nothing
    expect_happiness(page)

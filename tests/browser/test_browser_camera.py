"""The camera: a photo, the live view, and a camera that cannot be had (see browser_video)."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from shelly_local.results import PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier
from tests.browser_fixtures import OTHER_HOST, OpenPage, Server
from tests.browser_steps import expect_trouble, take_screenshot, wait_until
from tests.browser_video import PICTURES


@pytest.fixture
def page(open_page: OpenPage) -> Any:
    return open_page(permissions=["camera"])


def switch_on(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    wait_until(page, "document.getElementById('video').videoWidth > 0")


def is_on(page: Page) -> bool:
    return bool(page.evaluate("document.getElementById('video').srcObject !== null"))


def test_photo_of_the_camera(page: Page) -> None:
    switch_on(page)
    take_screenshot(page, "camera")
    page.get_by_role("button", name="Take the photo").click()
    expect(page.get_by_role("status")).to_contain_text("I can see")
    expect(page.locator("#advice")).not_to_be_empty()
    expect(page.get_by_role("img", name="Your photo")).to_be_visible()
    expect(page.locator(".box")).to_have_count(1)
    assert not is_on(page)
    expect(page.get_by_role("button", name="Camera")).to_be_focused()


def test_live_view_follows_the_face(page: Page) -> None:
    questions: list[dict[str, Any]] = []
    under_way = most = 0

    def begin(request: Any) -> None:
        nonlocal under_way, most
        if request.url.endswith("/advice"):
            questions.append(json.loads(request.post_data or ""))
            under_way += 1
            most = max(most, under_way)

    def end(request: Any) -> None:
        nonlocal under_way
        under_way -= request.url.endswith("/advice")

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    switch_on(page)
    page.get_by_role("button", name="Watch live").click()
    expect(page.get_by_text("Live pictures stay with Shelly")).to_be_visible()

    # The film shows a happy face and another one, for 3 s each.
    mood = page.locator("#shelly")
    expect(mood).to_have_attribute("data-mood", "happiness")
    expect(page.get_by_role("status")).to_contain_text("Take my advice:")
    expect(page.locator("#badge")).to_contain_text("per second")
    expect(page.locator(".box")).to_be_visible()
    take_screenshot(page, "live")
    expect(mood).not_to_have_attribute("data-mood", "happiness")
    expect(mood).to_have_attribute("data-mood", "happiness")

    stop = page.get_by_role("button", name="Stop the camera")
    stop.click()
    expect(page.get_by_role("status")).to_contain_text("The camera is off.")
    expect(page.locator("#badge")).to_be_hidden()
    expect(page.locator("#seen")).to_be_hidden()
    assert not is_on(page)

    assert len(questions) > 5
    assert all(question["live"] and question["backend"] == "local" for question in questions)
    assert most == 1
    asked = len(questions)
    page.wait_for_timeout(700)
    assert len(questions) == asked


class Slow:
    """The local model on a slow machine: a second for each frame."""

    def __init__(self, classifier: EmotionClassifier) -> None:
        self._classifier = classifier

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        time.sleep(1)
        return self._classifier.classify(photo)


def test_live_view_adapts_to_a_slow_machine_and_never_freezes(
    open_page: OpenPage, serve: Callable[..., Server], classifier: EmotionClassifier
) -> None:
    page = open_page(serve({"local": Slow(classifier)}).url, permissions=["camera"])
    widths: list[int] = []

    def measure(request: Any) -> None:
        if request.url.endswith("/advice"):
            data = json.loads(request.post_data or "")["image"].split(",")[1]
            with Image.open(io.BytesIO(base64.b64decode(data))) as frame:
                widths.append(frame.width)

    page.on("request", measure)
    switch_on(page)
    page.get_by_role("button", name="Watch live").click()
    # Between two answers the page goes on drawing: a frozen one would draw once or twice.
    expect(page.locator("#badge")).to_contain_text("per second")
    drawn = page.evaluate(
        """() => new Promise((resolve) => {
          const end = performance.now() + 900;
          let count = 0;
          const next = () => {
            count += 1;
            if (performance.now() < end) requestAnimationFrame(next);
            else resolve(count);
          };
          next();
        })"""
    )
    assert drawn > 8
    for _ in range(200):
        if widths and widths[-1] < widths[0]:
            break
        page.wait_for_timeout(50)
    assert widths[-1] < widths[0]
    assert widths == sorted(widths, reverse=True)
    assert 0.2 < float(page.locator("#rate").inner_text().split()[2]) < 1


def test_camera_that_is_not_allowed(open_page: OpenPage) -> None:
    page = open_page(permissions=[])
    page.get_by_role("button", name="Camera").click()
    expect_trouble(page, "I may not use the camera.")
    expect(page.get_by_role("button", name="Camera")).to_be_enabled()


def test_phone_uses_its_own_camera(open_page: OpenPage, serve: Callable[..., Server]) -> None:
    # A browser lends no camera to a page that comes over http from another machine.
    server = serve(ALLOWED_HOSTS=None)
    page = open_page(f"http://{OTHER_HOST}:{server.port}/")
    expect(page.locator("#privacy")).to_have_text(
        f"Your photo goes to {OTHER_HOST} and no further, and is not kept there."
    )
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Camera").click()
    assert chooser.value.element.get_attribute("capture") == "user"
    chooser.value.set_files(PICTURES / "astronaut.jpg")
    expect(page.locator("#by")).to_contain_text(f"Answered by Shelly on {OTHER_HOST} in")

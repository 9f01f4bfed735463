"""The camera: a photo, the live view, and a camera that cannot be had (see browser_video)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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

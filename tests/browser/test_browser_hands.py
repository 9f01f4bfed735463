"""Fast hands and changed minds: pressing twice, and switching while an answer is awaited."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from shelly_local.results import CLASSES, FaceEmotion, PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier
from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import choose, expect_happiness, wait_until
from webapp.advice import Adviser

#: Counts, from the first script of the page on, what it must give back: cameras and the
#: addresses of pictures, which keep them in memory.
WATCH = """
  window.streams = [];
  window.addresses = new Set();
  if (navigator.mediaDevices) {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wishes) => {
      const stream = await open(wishes);
      window.streams.push(stream);
      return stream;
    };
  }
  const make = URL.createObjectURL.bind(URL);
  const revoke = URL.revokeObjectURL.bind(URL);
  URL.createObjectURL = (blob) => {
    const address = make(blob);
    window.addresses.add(address);
    return address;
  };
  URL.revokeObjectURL = (address) => {
    window.addresses.delete(address);
    revoke(address);
  };
"""
CAMERAS_ON = (
    "streams.filter((it) => it.getTracks().some((track) => track.readyState === 'live')).length"
)
#: Presses a button twice within one moment.
TWICE = "(id) => { document.getElementById(id).click(); document.getElementById(id).click(); }"


class Held:
    """The local model, which answers when it is told to."""

    def __init__(self, classifier: EmotionClassifier) -> None:
        self._classifier = classifier
        self.go = threading.Event()

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        self.go.wait(30)
        return self._classifier.classify(photo)


class Doubtful:
    """The local model with its certainty taken away: 40 % for its best class, 30 % for fear."""

    def __init__(self, classifier: EmotionClassifier) -> None:
        self._classifier = classifier

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        seen = self._classifier.classify(photo)
        faces = tuple(FaceEmotion(face.face, self._doubt(face)) for face in seen.faces)
        return PhotoEmotions(seen.width, seen.height, faces)

    def _doubt(self, face: FaceEmotion) -> dict[str, float]:
        best = face.emotion
        return {name: {best: 0.4, "fear": 0.3}.get(name, 0.06) for name in CLASSES}


@pytest.fixture
def page(open_page: OpenPage) -> Any:
    return open_page(permissions=["camera"], before=WATCH)


@pytest.fixture
def held(classifier: EmotionClassifier) -> Held:
    return Held(classifier)


def test_camera_pressed_twice_leaves_no_camera_on(page: Page) -> None:
    page.evaluate(TWICE, "camera")
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    wait_until(page, "streams.length === 2")
    wait_until(page, f"{CAMERAS_ON} === 1")
    page.get_by_role("button", name="Stop the camera").click()
    assert page.evaluate(CAMERAS_ON) == 0


def test_photo_taken_twice_is_asked_about_once(page: Page) -> None:
    questions: list[str] = []
    page.on("request", lambda request: questions.append(request.url))
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    page.evaluate(TWICE, "shoot")
    expect(page.get_by_role("status")).to_contain_text("Take my advice:")
    assert len([url for url in questions if url.endswith("/advice")]) == 1
    assert page.evaluate(CAMERAS_ON) == 0


def test_double_click_on_live_does_not_stop_it(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    live = page.get_by_role("button", name="Watch live")
    expect(live).to_be_visible()
    live.scroll_into_view_if_needed()
    place = live.bounding_box()
    assert place is not None
    # The button to stop moves here as soon as this one has made way.
    page.mouse.dblclick(place["x"] + place["width"] - 3, place["y"] + place["height"] / 2)
    expect(page.get_by_role("status")).to_contain_text("Take my advice:")
    expect(page.locator("#badge")).to_be_visible()
    assert page.evaluate(CAMERAS_ON) == 1


def test_sample_while_the_camera_opens_leaves_it_off(page: Page) -> None:
    page.evaluate("document.getElementById('camera').click()")
    page.evaluate("document.getElementById('sample').click()")
    expect(page.locator("#advice")).not_to_be_empty()
    wait_until(page, "streams.length === 1")
    wait_until(page, f"{CAMERAS_ON} === 0")
    expect(page.locator("#photo")).to_be_visible()


def test_camera_closed_while_a_frame_is_under_way(
    open_page: OpenPage, serve: Callable[..., Server], held: Held
) -> None:
    page = open_page(serve({"local": held}).url, permissions=["camera"], before=WATCH)
    page.get_by_role("button", name="Camera").click()
    with page.expect_request("**/advice"):
        page.get_by_role("button", name="Watch live").click()
    page.wait_for_timeout(500)  # longer than a double click
    page.get_by_role("button", name="Stop the camera").click()
    held.go.set()
    page.wait_for_timeout(500)  # the answer comes, and nobody asked for it any more
    expect(page.get_by_role("status")).to_have_text(
        "The camera is off. Shall I look at something else?"
    )
    expect(page.locator("#seen")).to_be_hidden()
    expect(page.locator(".box")).to_have_count(0)
    assert page.evaluate(CAMERAS_ON) == 0


def test_live_view_keeps_no_picture(page: Page, smiling_photo: Path) -> None:
    for _ in range(3):
        choose(page, smiling_photo)
        expect_happiness(page)
    assert page.evaluate("addresses.size") == 1  # of the photo that is shown
    page.get_by_role("button", name="Camera").click()
    answers: list[str] = []
    page.on("requestfinished", lambda request: answers.append(request.url))
    page.get_by_role("button", name="Watch live").click()
    for _ in range(200):
        if len(answers) > 5:
            break
        page.wait_for_timeout(50)
    assert len(answers) > 5
    assert page.evaluate("addresses.size") == 0


def test_live_view_admits_that_it_is_not_sure(
    open_page: OpenPage, serve: Callable[..., Server], classifier: EmotionClassifier
) -> None:
    page = open_page(serve({"local": Doubtful(classifier)}).url, permissions=["camera"])
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Watch live").click()
    status = page.get_by_role("status")
    expect(status).to_contain_text("I am not sure. It could be happiness or fear.")
    expect(status).to_contain_text("Just in case:")
    expect(page.locator("#scores .top")).to_have_count(0)


def test_no_line_comes_twice_in_a_row(page: Page, smiling_photo: Path) -> None:
    """Not with the next photo of the same face either, for which nobody pressed "another"."""
    questions: list[Request] = []
    page.on("request", lambda request: questions.append(request))
    given: list[int] = []
    for _ in range(3):
        with page.expect_response("**/advice") as response:
            choose(page, smiling_photo)
        given.append(response.value.json()["advice_id"])
        expect_happiness(page)
    with page.expect_response("**/advice?**") as response:
        page.get_by_role("button", name="Another one").click()
    asked = [
        json.loads(one.post_data or "").get("after")
        for one in questions
        if one.url.endswith("/advice")
    ]
    assert asked == [None, *given[:2]]
    assert f"after={given[2]}" in response.value.url
    assert all(one != other for one, other in pairwise(given))


def test_another_one_pressed_twice_shows_one_line(page: Page, smiling_photo: Path) -> None:
    choose(page, smiling_photo)
    expect_happiness(page)
    page.evaluate(
        """() => {
          window.lines = [document.getElementById("advice").textContent];
          new MutationObserver(() => lines.push(document.getElementById("advice").textContent))
            .observe(document.getElementById("advice"), { childList: true });
        }"""
    )
    answers: list[str] = []
    page.on("requestfinished", lambda request: answers.append(request.url))
    for count in (2, 4, 6):
        page.evaluate(TWICE, "another")
        for _ in range(200):
            if len(answers) >= count:
                break
            page.wait_for_timeout(20)
        wait_until(page, f"lines.length > {count // 2}")
    lines: list[str] = page.evaluate("lines")
    assert len(lines) == 4  # the first one, and one for each time
    assert all(one != other for one, other in pairwise(lines))


def test_samples_pressed_twice_show_the_second(page: Page) -> None:
    first: list[Route] = []
    page.route("**/samples/astronaut.jpg", lambda route: first.append(route))  # and it waits
    page.evaluate(TWICE, "sample")
    expect(page.locator("#advice")).not_to_be_empty()
    shown = page.locator("#photo").get_attribute("src")
    first[0].continue_()
    page.wait_for_timeout(700)  # it comes, and nobody wants it any more
    assert page.locator("#photo").get_attribute("src") == shown
    expect(page.locator("#advice")).not_to_be_empty()


def test_language_switched_while_an_answer_is_awaited(
    open_page: OpenPage, serve: Callable[..., Server], held: Held, smiling_photo: Path
) -> None:
    page = open_page(serve({"local": held}).url)
    with page.expect_request("**/advice"):
        choose(page, smiling_photo)
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("status")).to_have_text("Lass mich mal sehen …")
    with page.expect_response("**/advice?**language=de**"):
        held.go.set()
    expect(page.get_by_role("status")).to_contain_text("Ich sehe Freude! Mein Rat:")
    assert page.locator("#advice").inner_text() in Adviser.load().lines("happiness", "de")


def test_backend_switched_while_an_answer_is_awaited(
    open_page: OpenPage,
    serve: Callable[..., Server],
    held: Held,
    classifier: EmotionClassifier,
    smiling_photo: Path,
) -> None:
    server = serve({"local": classifier, "elsewhere": held}, DEFAULT_BACKEND="elsewhere")
    page = open_page(server.url)
    choose(page, smiling_photo)
    page.get_by_role("dialog").get_by_role("button", name="Yes, send it").click()
    expect(page.get_by_role("status")).to_contain_text("elsewhere is having a look")
    page.get_by_role("radio", name="On this machine").check()
    expect_happiness(page)
    expect(page.locator("#by")).to_contain_text("Answered on this machine")
    held.go.set()
    page.wait_for_timeout(500)
    expect(page.locator("#by")).to_contain_text("Answered on this machine")


def test_open_crop_follows_the_next_answer(
    open_page: OpenPage,
    serve: Callable[..., Server],
    classifier: EmotionClassifier,
    smiling_photo: Path,
) -> None:
    page = open_page(serve({"elsewhere": classifier}, DEFAULT_BACKEND="local").url)
    choose(page, smiling_photo)
    expect_happiness(page)
    page.get_by_text("What I really looked at").click()
    crop = page.get_by_role("img", name="The face as the model saw it")
    expect(crop).to_be_visible()
    page.get_by_role("radio", name="elsewhere").check()
    page.get_by_role("button", name="Ask again").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes, send it").click()
    expect(page.locator("#by")).to_contain_text("Answered by elsewhere")
    expect(crop).to_be_hidden()
    page.get_by_role("radio", name="On this machine").check()
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("#by")).to_contain_text("Answered on this machine")
    expect(crop).to_be_visible()

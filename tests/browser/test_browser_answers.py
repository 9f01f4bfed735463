"""What the page makes of an answer: several people, more advice, the crop, and no answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from shelly_local.results import PhotoEmotions
from shelly_local.vision.classifier import EmotionClassifier
from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import (
    choose,
    expect_happiness,
    expect_mood,
    expect_trouble,
    take_screenshot,
)


def test_another_face_can_be_chosen(
    page: Page, group_photo: Path, classifier: EmotionClassifier
) -> None:
    faces = classifier.classify(group_photo).faces
    choose(page, group_photo)
    expect(page.get_by_text("I found 4 faces.")).to_be_visible()
    boxes = page.locator(".box")
    expect(boxes).to_have_count(4)
    for index, face in enumerate(faces):
        box = page.get_by_role("button", name=f"Face {index + 1} of 4: {face.emotion}")
        box.click()
        expect(box).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".box.chosen")).to_have_count(1)
        expect_mood(page, face.emotion)
    boxes.nth(1).focus()
    page.keyboard.press("Enter")
    expect(boxes.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(boxes.nth(1)).to_be_focused()
    take_screenshot(page, "several")


def test_another_line_is_never_the_same(page: Page, smiling_photo: Path) -> None:
    choose(page, smiling_photo)
    expect_happiness(page)
    advice = page.locator("#advice")
    for _ in range(4):
        line = advice.inner_text()
        page.get_by_role("button", name="Another one").click()
        expect(advice).not_to_have_text(line)
        expect(page.get_by_role("button", name="Another one")).to_be_focused()


def test_crop_is_shown_on_request(page: Page, group_photo: Path) -> None:
    choose(page, group_photo)
    crop = page.get_by_role("img", name="The face as the model saw it")
    expect(page.locator("#seen")).to_be_visible()
    expect(crop).to_be_hidden()
    page.get_by_text("What I really looked at").click()
    expect(crop).to_be_visible()
    assert crop.evaluate("image => image.decode().then(() => image.naturalWidth)") > 32
    first = crop.get_attribute("src")
    page.locator(".box").nth(1).click()
    expect(crop).not_to_have_attribute("src", first or "")
    take_screenshot(page, "crop")


def test_no_face_says_how_to_do_better(page: Page, no_face_photo: Path) -> None:
    choose(page, no_face_photo)
    expect_trouble(page, "I cannot find a face in this photo.")
    expect(page.get_by_role("status")).to_contain_text("looks towards the camera")
    expect(page.get_by_role("img", name="Your photo")).to_be_visible()
    take_screenshot(page, "no-face")


class Gated:
    """The classifier behind a barrier."""

    def __init__(self, classifier: EmotionClassifier) -> None:
        self._classifier = classifier
        self.barrier = threading.Event()
        self.fail = False

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        self.barrier.wait(30)
        if self.fail:
            raise RuntimeError("a defect")
        return self._classifier.classify(photo)


@pytest.fixture
def gated(classifier: EmotionClassifier) -> Gated:
    return Gated(classifier)


def test_busy_server_can_be_asked_again(
    open_page: OpenPage, serve: Callable[..., Server], gated: Gated, smiling_photo: Path
) -> None:
    url = serve({"local": gated}, THREADS=1, QUEUE=0).url
    first, second = open_page(url), open_page(url)
    choose(first, smiling_photo)
    expect(first.get_by_role("status")).to_contain_text("Let me have a look")
    first.wait_for_timeout(300)  # until its question has come in
    choose(second, smiling_photo)
    expect_trouble(second, "I am looking at as many photos as I can.")
    gated.barrier.set()
    expect_happiness(first)
    second.get_by_role("button", name="Try again").click()
    expect_happiness(second)


def test_defect_of_the_server_is_explained(
    open_page: OpenPage, serve: Callable[..., Server], gated: Gated, smiling_photo: Path
) -> None:
    gated.fail = True
    gated.barrier.set()
    page = open_page(serve({"local": gated}).url)
    choose(page, smiling_photo)
    expect_trouble(page, "Something went wrong inside me.")


def test_newer_photo_replaces_a_question_under_way(
    open_page: OpenPage,
    serve: Callable[..., Server],
    gated: Gated,
    smiling_photo: Path,
    no_face_photo: Path,
) -> None:
    page = open_page(serve({"local": gated}).url)
    choose(page, no_face_photo)
    page.wait_for_timeout(300)
    choose(page, smiling_photo)
    gated.barrier.set()
    expect_happiness(page)
    page.wait_for_timeout(500)  # the first answer comes, and nobody asked for it any more
    expect_happiness(page)

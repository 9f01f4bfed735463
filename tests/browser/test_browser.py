"""The page in a real browser: every way in for a photo, and the answer to it."""

from __future__ import annotations

from pathlib import Path

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from shelly_local.results import CLASSES
from tests.browser_fixtures import OpenPage
from tests.browser_steps import (
    choose,
    expect_happiness,
    expect_trouble,
    hand_over,
    percents,
    take_screenshot,
)


def test_chosen_photo_gets_advice(page: Page, smiling_photo: Path) -> None:
    expect(page).to_have_title("Shelly, the Supporting Shellfish")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "I’m Shelly, the Supporting Shellfish."
    )
    expect(page.get_by_role("img", name="Shelly, a scallop")).to_be_visible()
    expect(page.get_by_text("Your photo stays on this machine.")).to_be_visible()
    take_screenshot(page, "start")

    choose(page, smiling_photo)
    expect_happiness(page)
    expect(page.get_by_role("img", name="Your photo")).to_be_visible()
    expect(page.get_by_role("img", name="Shelly, a scallop with a pearl")).to_have_accessible_name(
        "Shelly, a scallop with a pearl and a bow tie, laughs"
    )
    expect(page.locator("#aside")).to_contain_text("% sure")
    expect(page.locator("#by")).to_contain_text("Answered on this machine in")
    expect(page.get_by_text("An expression is not a feeling.")).to_be_visible()
    numbers = percents(page)
    assert list(numbers) == list(CLASSES)
    assert sum(numbers.values()) == pytest.approx(100, abs=len(CLASSES) / 2)
    assert max(numbers, key=lambda mood: numbers[mood]) == "happiness"

    # The box lies on the photo and covers a good part of it, but not all.
    photo = page.locator("#photo").bounding_box()
    box = page.locator(".box").bounding_box()
    assert photo is not None
    assert box is not None
    assert photo["x"] <= box["x"] + box["width"] / 2 <= photo["x"] + photo["width"]
    assert photo["y"] <= box["y"] + box["height"] / 2 <= photo["y"] + photo["height"]
    assert 0.1 * photo["width"] < box["width"] < photo["width"]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_dropped_and_pasted_photos(page: Page, smiling_photo: Path, event: str) -> None:
    hand_over(page, event, smiling_photo.read_bytes(), "me.jpg", "image/jpeg")
    expect_happiness(page)


def test_text_that_is_dropped_is_no_picture(page: Page) -> None:
    hand_over(page, "drop", "Dear diary", "", "")
    expect_trouble(page, "There is no picture in that.")


def test_sample_pictures(page: Page) -> None:
    sample = page.get_by_role("button", name="Sample")
    sample.click()
    expect_happiness(page)
    take_screenshot(page, "answer")
    page.emulate_media(color_scheme="dark")
    take_screenshot(page, "answer-dark")
    with page.expect_response("**/advice"):
        sample.click()
    with page.expect_response("**/advice"):
        sample.click()
    expect(page.locator(".box")).to_have_count(2)
    sample.click()  # the first one again
    expect(page.locator(".box")).to_have_count(1)
    expect_happiness(page)


def test_phone_in_german_at_night(open_page: OpenPage) -> None:
    page = open_page(
        viewport={"width": 390, "height": 844}, locale="de-DE", color_scheme="dark", has_touch=True
    )
    sample = page.get_by_role("button", name="Beispiel")
    for count in (1, 1, 2):
        sample.tap()
        expect(page.locator(".box")).to_have_count(count)
    page.locator(".box").nth(1).tap()
    expect(page.get_by_role("status")).to_contain_text("Mein Rat:")
    expect(page.locator(".box").nth(1)).to_have_attribute("aria-pressed", "true")
    take_screenshot(page, "phone")


class TestHeic:
    @pytest.fixture
    def heic(self, smiling_photo: Path, tmp_path: Path) -> Path:
        path = tmp_path / "IMG_0001.HEIC"
        with Image.open(smiling_photo) as photo:
            pillow_heif.from_pillow(photo.resize((640, 640))).save(path)
        return path

    def test_works_where_the_server_can_read_it(self, page: Page, heic: Path) -> None:
        choose(page, heic)
        expect_happiness(page)
        expect(page.get_by_text("Your browser cannot show this picture")).to_be_visible()
        expect(page.locator(".box")).to_be_visible()
        take_screenshot(page, "heic")

    def test_says_what_to_do_where_it_cannot(self, page: Page, heic: Path) -> None:
        heic.write_bytes(heic.read_bytes()[:400])  # as good as without the HEIC package
        choose(page, heic)
        expect_trouble(page, "This is a HEIC photo")
        expect(page.get_by_role("status")).to_contain_text("Most Compatible")


def test_language_of_the_browser_decides(open_page: OpenPage) -> None:
    assert open_page(locale="de-AT").locator("html").get_attribute("lang") == "de"
    assert open_page(locale="fr-FR").locator("html").get_attribute("lang") == "en"

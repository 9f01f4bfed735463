"""For everyone: keyboard, screen reader, every width, dark, both languages, few bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FileChooser, Page, expect

from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import choose, expect_happiness, expect_trouble, take_screenshot

TEXTS = Path(__file__).parents[1] / "webapp" / "static" / "texts"
#: The id of what has the focus, or the language of a button, or the first link.
FOCUSED = "(({ id, lang }) => id || lang || 'skip')(document.activeElement)"
#: What the page may load from opening to the first answer, in bytes.
MOST_BYTES = 150_000


def assert_accessible(page: Page) -> None:
    """axe-core finds no fault."""
    faults = Axe().run(page).response["violations"]
    found = [(fault["id"], node["html"]) for fault in faults for node in fault["nodes"]]
    assert found == []


def texts(language: str) -> dict[str, str]:
    """The texts of a language, read as the JSON that they nearly are."""
    source = (TEXTS / f"{language}.js").read_text(encoding="utf-8")
    pairs = re.findall(r'^  "?([\w.-]+)"?: ("(?:[^"\\]|\\.)*"),$', source, re.MULTILINE)
    assert len(pairs) == source.count("\n  ")  # each line is one
    return {key: json.loads(text) for key, text in pairs}


def test_both_languages_have_every_text() -> None:
    english, german = texts("en"), texts("de")
    assert list(english) == list(german)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german[key])), key
        assert text != german[key] or key == "camera.badge", key


def test_keyboard_is_enough(page: Page, smiling_photo: Path) -> None:
    choosers: list[FileChooser] = []
    # Listening from the start: the browser needs a moment before it hands choosers over.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate(FOCUSED))
    assert order == ["skip", "en", "de", "file", "camera", "sample"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    outline = page.locator("label[for=file]").evaluate("it => getComputedStyle(it).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    for _ in range(100):
        if choosers:
            break
        page.wait_for_timeout(50)
    choosers[0].set_files(smiling_photo)
    expect_happiness(page)
    expect(page.locator("#file")).to_be_focused()
    page.keyboard.press("Shift+Tab")  # back to what Shelly says
    another = page.get_by_role("button", name="Another one")
    expect(another).to_be_focused()
    line = page.locator("#advice").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#advice")).not_to_have_text(line)
    expect(another).to_be_focused()


def test_no_accessibility_fault_in_any_state(
    open_page: OpenPage, group_photo: Path, no_face_photo: Path
) -> None:
    page = open_page(permissions=["camera"])
    assert_accessible(page)
    choose(page, group_photo)
    expect(page.locator("#seen")).to_be_visible()
    page.get_by_text("What I really looked at").click()
    expect(page.locator("#crop-image")).to_be_visible()
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    assert_accessible(page)
    choose(page, no_face_photo)
    expect(page.locator("#bubble")).to_have_class("bubble wrong")
    assert_accessible(page)
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Watch live").click()
    expect(page.locator("#seen")).to_be_visible()
    page.get_by_role("button", name="Deutsch").click()
    assert_accessible(page)


def test_no_accessibility_fault_with_clouds(
    open_page: OpenPage, serve: Callable[..., Server], classifier: Any, smiling_photo: Path
) -> None:
    # The local model under another name is a cloud to the page.
    page = open_page(serve({"elsewhere": classifier}, DEFAULT_BACKEND="local").url)
    choose(page, smiling_photo)
    expect_happiness(page)
    page.get_by_role("button", name="Compare all").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("dialog").get_by_role("button", name="Yes, send it").click()
    expect(page.get_by_role("status")).to_contain_text("Here is what everyone says.")
    assert_accessible(page)


def test_nothing_moves_for_those_who_asked_for_calm(open_page: OpenPage) -> None:
    moving = "document.getAnimations().filter((it) => it.playState === 'running').length"
    assert open_page(reduced_motion="reduce").evaluate(moving) == 0
    assert open_page(reduced_motion="no-preference").evaluate(moving) > 5


def test_text_goes_in_as_text(
    open_page: OpenPage, serve: Callable[..., Server], classifier: Any
) -> None:
    name = "<img src=x onerror=alert(1)>"
    page = open_page(serve({name: classifier}, DEFAULT_BACKEND="local").url)
    expect(page.get_by_role("radio", name=name)).to_be_visible()
    expect(page.locator("#backends img")).to_have_count(0)


def test_answer_is_announced(page: Page, smiling_photo: Path) -> None:
    status = page.get_by_role("status")
    expect(status).to_have_attribute("aria-live", "polite")
    choose(page, smiling_photo)
    expect_happiness(page)
    expect(page.get_by_role("main")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("list")).to_match_aria_snapshot("""
        - list:
          - listitem: /anger \\d+%/
          - listitem: /disgust \\d+%/
          - listitem: /fear \\d+%/
          - listitem: /happiness >?\\d+%/
          - listitem: /neutral \\d+%/
          - listitem: /sadness \\d+%/
          - listitem: /surprise \\d+%/
    """)


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_width_scrolls_sideways(open_page: OpenPage, smiling_photo: Path, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 640}, locale="de-DE")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    take_screenshot(page, f"start-{width}")
    page.get_by_label("Foto wählen").set_input_files(smiling_photo)
    expect(page.get_by_role("status")).to_contain_text("Ich sehe Freude!")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bubble = page.locator("#bubble").bounding_box()
    assert bubble is not None
    assert 0 <= bubble["y"] < 640  # the answer came into view
    take_screenshot(page, f"answer-{width}")


def test_language_can_be_switched_and_is_remembered(page: Page, smiling_photo: Path) -> None:
    choose(page, smiling_photo)
    expect_happiness(page)
    english = page.locator("#advice").inner_text()
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Ich bin Shelly, die mitfühlende Muschel."
    )
    expect(page).to_have_title("Shelly, die mitfühlende Muschel")
    status = page.get_by_role("status")
    expect(status).to_contain_text("Ich sehe Freude! Mein Rat:")
    expect(page.locator("#advice")).not_to_have_text(english)
    expect(page.locator("#scores .top .name")).to_have_text("Freude")
    # No text of the page is left in English.
    shown = page.locator("body").inner_text()
    for key, text in texts("en").items():
        if len(text) > 8 and "{" not in text:
            assert text not in shown, key
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_contain_text("die mitfühlende Muschel")


def test_errors_are_in_the_language_of_the_page(open_page: OpenPage, no_face_photo: Path) -> None:
    page = open_page(locale="de-DE")
    page.get_by_label("Foto wählen").set_input_files(no_face_photo)
    expect_trouble(page, "Ich finde kein Gesicht auf diesem Foto.")


def test_whole_page_is_small(open_page: OpenPage, smiling_photo: Path) -> None:
    """``pytest -s`` prints the number that README names."""
    sizes: dict[str, int] = {}

    def weigh(response: Any) -> None:
        if not response.url.startswith(("data:", "blob:")):
            sizes[response.url] = len(response.body())

    page = open_page(on_response=weigh)
    choose(page, smiling_photo)
    expect_happiness(page)
    page.locator("#scores").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    print(f"\n{sum(sizes.values()):,} bytes in {len(sizes)} files until the first answer")
    assert len([url for url in sizes if "/static/" in url]) > 20
    assert sum(sizes.values()) <= MOST_BYTES

"""English and German: every text in both, and no word on the page that is in neither."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from shelly_local.results import CLASSES
from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import choose, expect_happiness, expect_trouble
from tests.conftest import ROOT
from webapp.advice import Adviser

TEXTS = ROOT / "webapp" / "static" / "texts"


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


#: What is visible and has a letter, with what only a screen reader gets to know.
WRITTEN = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement, textContent } = walker.currentNode;
    if (parentElement.checkVisibility() && !parentElement.closest("#languages, noscript")) {
      found.push(textContent);
    }
  }
  for (const element of document.querySelectorAll("[aria-label], [alt], [title]")) {
    if (!element.checkVisibility() || element.closest("#languages button")) continue;
    for (const name of ["aria-label", "alt", "title"]) found.push(element.getAttribute(name) ?? "");
  }
  const texts = [...found, document.title].map((text) => text.trim());
  return texts.filter((text) => /\\p{L}/u.test(text) && !/^[0-9.,]+\\s(ms|Sek\\.)$/.test(text));
}"""


def test_every_word_of_the_page_comes_from_the_texts(
    open_page: OpenPage,
    serve: Callable[..., Server],
    classifier: Any,
    group_photo: Path,
    no_face_photo: Path,
) -> None:
    """A language that marks its texts shows what is written elsewhere."""
    marked = {key: f"«{text}»" for key, text in texts("de").items()}

    def speak_marked(route: Route) -> None:
        body = f"export default {json.dumps(marked)};"
        route.fulfill(body=body, content_type="text/javascript")

    def assert_marked() -> None:
        advice = {line for mood in CLASSES for line in Adviser.load().lines(mood, "de")}
        bare = [text for text in page.evaluate(WRITTEN) if "«" not in text]
        assert [text for text in bare if text not in advice | {"Shelly", "Elsewhere 3"}] == []

    server = serve({"Elsewhere 3": classifier}, DEFAULT_BACKEND="local")
    page = open_page(server.url, permissions=["camera"])
    page.route("**/texts/de.js", speak_marked)
    page.get_by_role("button", name="Deutsch").click()
    expect(page).to_have_title(re.compile("«"))
    assert_marked()
    page.locator("#file").set_input_files(group_photo)
    expect(page.locator("#advice")).not_to_be_empty()
    page.locator("summary").click()
    expect(page.locator("#crop-image")).to_be_visible()
    assert_marked()
    page.locator("#compare-all").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_marked()
    page.locator("dialog button[value=yes]").click()
    expect(page.locator("#columns .time").nth(1)).not_to_be_empty()
    assert_marked()
    page.locator("#file").set_input_files(no_face_photo)
    expect(page.locator("#bubble")).to_have_class("bubble wrong")
    assert_marked()
    page.locator("#camera").click()
    page.locator("#live").click()
    expect(page.locator("#advice")).not_to_be_empty()
    assert_marked()


def test_errors_are_in_the_language_of_the_page(open_page: OpenPage, no_face_photo: Path) -> None:
    page = open_page(locale="de-DE")
    page.get_by_label("Foto wählen").set_input_files(no_face_photo)
    expect_trouble(page, "Ich finde kein Gesicht auf diesem Foto.")

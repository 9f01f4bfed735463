"""For everyone: keyboard, screen reader, every width, dark, few bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FileChooser, Page, Response, expect

from shelly_local.results import CLASSES
from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import choose, expect_happiness, expect_trouble, take_screenshot

#: The id of what has the focus, or the language of a button, or the first link.
FOCUSED = "(({ id, lang }) => id || lang || 'skip')(document.activeElement)"
#: For axe-core: the one rule that a colour scheme can break.
COLOURS = {"runOnly": ["color-contrast"]}
#: What the page may load from opening to the first answer, in bytes.
MOST_BYTES = 150_000


def assert_accessible(page: Page) -> None:
    """axe-core finds no fault, neither in the light nor, where colours differ, in the dark."""
    found = []
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        options = COLOURS if scheme == "dark" else {}
        faults = Axe().run(page, options=options).response["violations"]
        found += [
            (scheme, fault["id"], node["html"]) for fault in faults for node in fault["nodes"]
        ]
    assert found == []


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
    choose(page, no_face_photo)
    expect(page.locator("#bubble")).to_have_class("bubble wrong")
    assert_accessible(page)
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    assert_accessible(page)
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


def test_no_accessibility_fault_without_the_server(
    open_page: OpenPage, serve: Callable[..., Server], smiling_photo: Path
) -> None:
    server = serve()
    page = open_page(server.url)
    server.stop()
    choose(page, smiling_photo)
    expect_trouble(page, "I cannot reach my own server")
    assert_accessible(page)


#: Ratios of contrast (WCAG 2.2, 1.4.3) of what is written on the sea, which axe-core cannot see:
#: the smallest one over the colours of the upper half, with and without a ray of light.
SEA_CONTRAST = """([mood, names]) => {
  document.body.dataset.mood = mood;
  const style = getComputedStyle(document.body);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const colour = (name) => style.getPropertyValue(name);
  return names.map((name) => Math.min(
    ...["--sea-1", "--sea-2"].flatMap((sea) => [[colour(sea)], [colour(sea), colour("--foam")]])
      .map((under) => [light(paint(...under)), light(paint(colour(name)))])
      .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)),
  ));
}"""


def test_contrast_of_what_is_written_on_the_sea(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for mood in CLASSES:
            ink, coral = page.evaluate(SEA_CONTRAST, [mood, ["--ink", "--coral-deep"]])
            assert ink >= 4.5, (scheme, mood)
            # The name in the first heading and in the corner: large text (1.4.3).
            assert coral >= 3, (scheme, mood)


def test_keyboard_alone_runs_the_camera(open_page: OpenPage) -> None:
    page = open_page(permissions=["camera"])
    page.get_by_role("button", name="Camera").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Watch live")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop the camera")).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("Take my advice:")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_contain_text("The camera is off.")
    expect(page.get_by_role("button", name="Camera")).to_be_focused()


def test_keyboard_alone_asks_a_cloud(
    open_page: OpenPage, serve: Callable[..., Server], classifier: Any, smiling_photo: Path
) -> None:
    page = open_page(serve({"elsewhere": classifier}, DEFAULT_BACKEND="local").url)
    choose(page, smiling_photo)
    expect_happiness(page)
    page.get_by_role("radio", name="On this machine").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="elsewhere")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Compare all")).to_be_focused()
    page.keyboard.press("Enter")
    # Pressing Enter once more than needed sends nothing anywhere.
    no = page.get_by_role("dialog").get_by_role("button", name="No", exact=True)
    expect(no).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("I sent nothing anywhere.")
    page.get_by_role("button", name="Compare all").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Here is what everyone says.")


def test_small_faces_can_be_tapped(open_page: OpenPage, crowd_photo: Path) -> None:
    page = open_page(viewport={"width": 320, "height": 640}, has_touch=True)
    choose(page, crowd_photo)
    boxes = page.locator(".box")
    expect(boxes.nth(1)).to_be_visible()
    sizes = boxes.evaluate_all(
        """(all) => all.map((box) => {
          const { insetBlockStart, insetInlineStart } = getComputedStyle(box, "::after");
          const [y, x] = [insetBlockStart, insetInlineStart].map(parseFloat);
          return Math.min(box.clientWidth - 2 * x, box.clientHeight - 2 * y);
        })"""
    )
    assert len(sizes) > 20
    assert min(sizes) >= 23.5  # pixels (WCAG 2.2, 2.5.8), less rounding
    boxes.nth(5).tap()
    expect(boxes.nth(5)).to_have_attribute("aria-pressed", "true")
    take_screenshot(page, "crowd-320")


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


def test_whole_page_is_small(open_page: OpenPage, smiling_photo: Path) -> None:
    """``pytest -s`` prints the numbers."""
    responses: list[Response] = []
    page = open_page(on_response=lambda response: responses.append(response))
    choose(page, smiling_photo)
    expect_happiness(page)
    page.locator("#scores").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    own = [it for it in responses if not it.url.startswith(("data:", "blob:"))]
    loaded = sum(it.request.sizes()["responseBodySize"] for it in own)
    unpacked = sum(len(it.body()) for it in own)
    print(f"\n{len(own)} files until the first answer: {loaded:,} bytes, {unpacked:,} unpacked")
    assert len([it for it in own if "/static/" in it.url]) > 20
    assert loaded > 30_000  # the font alone is 21,000
    assert loaded <= MOST_BYTES

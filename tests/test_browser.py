"""The page in a real browser, as a user meets it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Page, expect, sync_playwright

from shelly_local.classifier import EmotionClassifier
from shelly_local.results import CLASSES
from webapp import create_app
from webapp.server import addresses, create_server

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Keep the browser from doing anything but showing the page.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Time for one answer, in milliseconds; generous, for slow machines.
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def url(classifier: EmotionClassifier) -> Iterator[str]:
    server = create_server(create_app(classifier), port=0)
    threading.Thread(target=server.run, daemon=True).start()
    ((host, port),) = addresses(server)
    yield f"http://{host}:{port}/"
    server.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"no browser found; install one of {', '.join(BROWSERS)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page, just opened; fails a test with a script error or a request elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            errors.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    page.goto(url)
    yield page
    context.close()

    own = urlsplit(url).netloc
    foreign = [
        request
        for request in requests
        # data: and blob: are made and read inside the page
        if urlsplit(request).scheme not in {"data", "blob"} and urlsplit(request).netloc != own
    ]
    assert requests
    assert foreign == []
    assert errors == []


def take_screenshot(page: Page, name: str, folder: Path) -> None:
    folder = Path(os.environ.get("SHELLY_SCREENSHOTS") or folder)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def expect_happiness(page: Page) -> None:
    expect(page.locator("#say")).to_contain_text("I can see your happiness! Take my advice: ")
    expect(page.locator("#aside")).to_contain_text("% sure")
    shelly = page.get_by_role("img", name="Shelly, a scallop")
    expect(shelly).to_have_attribute("data-mood", "happiness")
    assert (shelly.get_attribute("src") or "").endswith("/happiness.svg")


def test_photo_gets_advice(page: Page, smiling_photo: Path, tmp_path: Path) -> None:
    expect(page).to_have_title("Shelly, the Supporting Shellfish")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "I'm Shelly, the Supporting Shellfish."
    )
    ask = page.get_by_role("button", name="Ask Shelly")
    expect(ask).to_be_disabled()
    expect(page.locator("#shelly")).to_have_attribute("data-mood", "neutral")
    take_screenshot(page, "start", tmp_path)

    page.get_by_label("Choose a photo").set_input_files(smiling_photo)
    expect(page.get_by_role("img", name="Your photo")).to_be_visible()
    expect(ask).to_be_enabled()
    ask.click()

    expect_happiness(page)
    rows = page.locator("#scores li")
    expect(rows).to_have_count(len(CLASSES))
    percents = [int(text.rstrip("%")) for text in rows.locator(".percent").all_inner_texts()]
    assert sum(percents) == pytest.approx(100, abs=len(CLASSES) / 2)
    assert percents[CLASSES.index("happiness")] == max(percents)
    expect(page.locator("#scores li.top .name")).to_have_text("happiness")
    expect(page.get_by_text("An expression is not a feeling.")).to_be_visible()

    # The box lies on the photo and covers a good part of it, but not all.
    photo = page.locator("#photo").bounding_box()
    box = page.locator("#face .line").bounding_box()
    assert photo is not None
    assert box is not None
    assert photo["x"] <= box["x"] + box["width"] / 2 <= photo["x"] + photo["width"]
    assert photo["y"] <= box["y"] + box["height"] / 2 <= photo["y"] + photo["height"]
    assert 0.1 * photo["width"] < box["width"] < photo["width"]
    take_screenshot(page, "answer", tmp_path)

    page.emulate_media(color_scheme="dark")
    take_screenshot(page, "answer-dark", tmp_path)


def test_keyboard_is_enough(page: Page, smiling_photo: Path) -> None:
    choosers: list[FileChooser] = []
    # Listening from the start: the browser needs a moment before it hands choosers over.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    outline = page.locator("#drop").evaluate("label => getComputedStyle(label).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not choosers and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    choosers[0].set_files(smiling_photo)
    ask = page.get_by_role("button", name="Ask Shelly")
    expect(ask).to_be_enabled()
    page.keyboard.press("Tab")
    expect(ask).to_be_focused()
    page.keyboard.press("Enter")
    expect_happiness(page)
    expect(ask).to_be_focused()


def test_text_file_named_jpg_is_explained_and_the_next_photo_works(
    page: Page, smiling_photo: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "holiday.jpg"
    fake.write_text("Dear diary, today I was a picture.\n" * 20, encoding="utf-8")
    chooser, ask = page.locator("#file"), page.get_by_role("button", name="Ask Shelly")
    chooser.set_input_files(fake)
    ask.click()
    expect(page.locator("#bubble")).to_have_class("bubble error")
    expect(page.get_by_role("status")).to_contain_text("not a picture")
    expect(page.locator("#shelly")).to_have_attribute("data-mood", "neutral")
    expect(page.locator("#result")).to_be_hidden()
    take_screenshot(page, "error", tmp_path)

    chooser.set_input_files(smiling_photo)
    ask.click()
    expect_happiness(page)
    expect(page.locator("#bubble")).to_have_class("bubble")


def test_photo_above_the_limit_is_made_smaller(
    page: Page, smiling_photo: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.bmp"
    with Image.open(smiling_photo) as photo:
        # Uncompressed, 3 bytes a pixel: 2200 x 2200 are 14.5 MB, more than 10 MiB.
        photo.convert("RGB").resize((2200, 2200)).save(large)
    page.locator("#file").set_input_files(large)
    page.get_by_role("button", name="Ask Shelly").click()
    expect_happiness(page)


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_width_scrolls_sideways(
    page: Page, smiling_photo: Path, tmp_path: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 640})
    page.locator("#file").set_input_files(smiling_photo)
    page.get_by_role("button", name="Ask Shelly").click()
    expect_happiness(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    take_screenshot(page, f"answer-{width}", tmp_path)

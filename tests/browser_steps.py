"""What a user does and sees on the page, step by step."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser_fixtures import SCREENSHOTS, TIMEOUT_MS

POLL_MS = 50


def choose(page: Page, photo: Path) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo)


def hand_over(page: Page, event: str, content: bytes | str, name: str, kind: str) -> None:
    """Drop or paste a file, or a text where ``content`` is one.

    A browser lets no program drop or paste a real file, so the event is made in the page.
    """
    page.evaluate(
        """([event, content, isText, name, type]) => {
          const transfer = new DataTransfer();
          if (isText) transfer.setData("text/plain", content);
          else {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type }));
          }
          const options = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(event === "drop"
            ? new DragEvent("drop", { ...options, dataTransfer: transfer })
            : new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
        }""",
        [
            event,
            content if isinstance(content, str) else base64.b64encode(content).decode(),
            isinstance(content, str),
            name,
            kind,
        ],
    )


def wait_until(page: Page, expression: str) -> None:
    """Wait for a JavaScript expression to hold.

    Playwright's own ``wait_for_function`` evaluates in the page, which its policy forbids.
    """
    for _ in range(TIMEOUT_MS // POLL_MS):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(POLL_MS)
    raise AssertionError(f"still not true: {expression}")


def expect_mood(page: Page, mood: str) -> None:
    expect(page.locator("#shelly")).to_have_attribute("data-mood", mood)
    expect(page.locator("#scores .top")).to_have_attribute("data-mood", mood)


def expect_happiness(page: Page) -> None:
    status = page.get_by_role("status")
    expect(status).to_contain_text("I can see happiness!")
    expect(status).to_contain_text("Take my advice:")
    expect(page.locator("#advice")).not_to_be_empty()
    expect_mood(page, "happiness")


def expect_trouble(page: Page, text: str) -> None:
    expect(page.locator("#bubble")).to_have_class("bubble wrong")
    expect(page.get_by_role("status")).to_contain_text(text)
    expect(page.locator("#seen")).to_be_hidden()


def percents(page: Page) -> dict[str, float]:
    """The numbers beside the bars, by mood."""
    rows: list[Any] = page.locator("#scores li").all()
    return {
        row.get_attribute("data-mood"): float(row.locator(".percent").inner_text().strip(">%\xa0"))
        for row in rows
    }


def take_screenshot(page: Page, name: str) -> None:
    """The whole page on a screen as high as it is: what is fixed to the screen fills it."""
    SCREENSHOTS.mkdir(exist_ok=True)
    size = page.viewport_size
    assert size is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(100)  # the lazy pictures that have just come into view
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size(size)

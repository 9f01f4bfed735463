"""The installed page, with its server gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser_fixtures import OpenPage, Server
from tests.browser_steps import (
    choose,
    expect_happiness,
    expect_trouble,
    take_screenshot,
    wait_until,
)
from tests.conftest import ROOT

STATIC = ROOT / "webapp" / "static"
#: Between two knocks of the page at the server's door.
KNOCK_MS = 3000
STORED = """async () => {
  const addresses = [];
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) {
      addresses.push(new URL(request.url).pathname);
    }
  }
  return addresses;
}"""


def open_installed(open_page: OpenPage, url: str) -> Page:
    page: Page = open_page(url, service_workers="allow")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    wait_until(page, "navigator.serviceWorker.controller !== null")
    return page


def test_page_opens_with_the_server_down_and_says_so(
    open_page: OpenPage, serve: Callable[..., Server], smiling_photo: Path
) -> None:
    server = serve()
    page = open_installed(open_page, server.url)
    choose(page, smiling_photo)
    expect_happiness(page)
    server.stop()

    page.reload()
    expect_trouble(page, "I cannot reach my own server")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("#shelly svg")).to_be_visible()
    assert page.evaluate("document.fonts.check('16px Fredoka')")
    take_screenshot(page, "offline")
    choose(page, smiling_photo)
    expect_trouble(page, "I cannot reach my own server")

    serve(port=server.port)  # and it answers the question that waits
    expect_happiness(page)

    stored: list[Any] = page.evaluate(STORED)
    assert "/" in stored
    assert not [path for path in stored if path.startswith(("/advice", "/backends", "/health"))]
    assert not [path for path in stored if "samples" in path]


def test_every_file_of_the_page_is_kept(open_page: OpenPage, serve: Callable[..., Server]) -> None:
    page = open_installed(open_page, serve().url)
    kept = {f"/static/{path.relative_to(STATIC)}" for path in STATIC.rglob("*.*")}
    kept = {path for path in kept if path.endswith((".js", ".css", ".svg", ".woff2"))}
    assert set(page.evaluate(STORED)) == kept - {"/static/sw.js"} | {"/", "/manifest.webmanifest"}


def test_update_replaces_what_was_kept(
    open_page: OpenPage, serve: Callable[..., Server], tmp_path: Path
) -> None:
    static = tmp_path / "static"
    shutil.copytree(STATIC, static)
    server = serve()
    server.app.static_folder = str(static)
    page = open_installed(open_page, server.url)
    page.evaluate(
        "caches.open('shelly-page').then((it) => it.put('/static/gone.js', new Response('old')))"
    )
    for path in (static / "texts" / "en.js", static / "sw.js"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("Show me a face.", "Show me your face!") + "// new\n")

    page.reload()
    expect(page.get_by_text("Show me your face!")).to_be_visible()
    wait_until(page, f"({STORED})().then((them) => !them.includes('/static/gone.js'))")
    server.stop()
    page.reload()
    expect_trouble(page, "I cannot reach my own server")
    expect(page.get_by_text("Show me your face!")).to_be_visible()


def test_server_that_goes_while_the_page_is_open(
    open_page: OpenPage, serve: Callable[..., Server], smiling_photo: Path
) -> None:
    server = serve()
    page = open_page(server.url)
    server.stop()
    choose(page, smiling_photo)
    expect_trouble(page, "I cannot reach my own server")
    serve(port=server.port)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Try again").click()
    expect_happiness(page)
    page.wait_for_timeout(KNOCK_MS + 500)  # waiting for the server is over
    assert len([url for url in asked if url.endswith("/advice")]) == 1


def test_page_can_be_installed(open_page: OpenPage, server_url: str) -> None:
    page = open_installed(open_page, server_url)
    session = page.context.new_cdp_session(page)
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # The browser of a test is a private one, which installs nothing.
    assert {error["errorId"] for error in errors} <= {"in-incognito"}
    address = page.locator("link[rel=manifest]").get_attribute("href")
    manifest = json.loads(page.request.get(server_url.rstrip("/") + str(address)).body())
    assert manifest["display"] == "standalone"
    assert {icon["sizes"] for icon in manifest["icons"]} >= {"192x192", "512x512"}
    for icon in manifest["icons"]:
        response = page.request.get(server_url.rstrip("/") + icon["src"])
        assert response.headers["content-type"].split(";")[0] == icon["type"]

"""One browser and one server for all tests of the page, and a fresh page for each test."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shelly_local.vision.classifier import EmotionClassifier
from tests.browser_video import write_video
from webapp import Classifier, create_app
from webapp.server import addresses, create_server

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: A name of this machine that the browser takes for another one, as a phone would.
OTHER_HOST = "shelly.test"
#: Keep the browser from doing anything but showing the page; its camera plays a file.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    f"--host-resolver-rules=MAP {OTHER_HOST} 127.0.0.1",
]
#: Time for one answer, in milliseconds; generous, for slow machines.
TIMEOUT_MS = 30_000
#: Words of errors in the console that are not the page's: service workers blocked by the test,
#: and a header that browsers heed only at secure addresses.
EXPECTED = ("Service Worker registration", "Cross-Origin-Opener-Policy header has been ignored")
SCREENSHOTS = Path(__file__).parent / "screenshots"

#: Opens the page in a context of its own: keyword arguments of ``Browser.new_context``;
#: ``url`` for another server; ``on_response``, called with each response from the first on;
#: ``before``, a script that runs before those of the page.
OpenPage = Callable[..., Any]


class Server:
    """The application on a port of its own, in a thread."""

    def __init__(self, backends: Any, config: dict[str, Any] | None = None, port: int = 0) -> None:
        self.app = create_app(backends, config)
        self._server = create_server(self.app, port=port)
        ((host, self.port),) = addresses(self._server)
        self.url = f"http://{host}:{self.port}/"
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away, so that a browser finds nobody."""
        self._server.close()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()


@pytest.fixture(scope="session")
def server_url(classifier: EmotionClassifier) -> Iterator[str]:
    server = Server(classifier)
    yield server.url
    server.stop()


@pytest.fixture
def serve(classifier: EmotionClassifier) -> Iterator[Callable[..., Server]]:
    """Further servers: other backends beside the local one, other settings."""
    servers: list[Server] = []

    def start(
        backends: dict[str, Classifier] | None = None, port: int = 0, **config: Any
    ) -> Server:
        servers.append(Server({"local": classifier} | (backends or {}), config, port))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    # Imported here so that tests without a browser do without Playwright.
    from playwright.sync_api import expect, sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"no browser found; install one of {', '.join(BROWSERS)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    video = write_video(tmp_path_factory.mktemp("camera") / "faces.mjpeg")
    camera = f"--use-file-for-fake-video-capture={video}"
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, camera])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, server_url: str) -> Iterator[OpenPage]:
    """Opens pages; fails a test with a script error or a request to anybody else."""
    contexts: list[Any] = []
    requests: list[str] = []
    errors: list[str] = []
    own = {urlsplit(server_url).netloc}

    def watch_console(message: Any) -> None:
        # A refused question is an error to the browser's console, and expected by the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    def open_one(
        url: str = server_url,
        on_response: Callable[[Any], None] | None = None,
        before: str | None = None,
        **options: Any,
    ) -> Any:
        settings = {
            "viewport": {"width": 1280, "height": 900},
            "reduced_motion": "reduce",
            "service_workers": "block",
            "locale": "en-GB",
        } | options
        context = browser.new_context(**settings)
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        context.on("request", lambda request: requests.append(request.url))
        if before:
            context.add_init_script(before)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", watch_console)
        own.add(urlsplit(url).netloc)
        if on_response:
            page.on("response", on_response)
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    # data: and blob: are made and read inside the page.
    sent = [urlsplit(url) for url in requests]
    foreign = [url for url in sent if url.scheme not in {"data", "blob"} and url.netloc not in own]
    assert foreign == []
    assert [error for error in errors if not any(words in error for words in EXPECTED)] == []


@pytest.fixture
def page(open_page: OpenPage) -> Any:
    """The page, just opened, in English."""
    return open_page()

"""How quick the page is: ``python -m tests.browser_speed [--presses N] [--seconds S]``.

A real headless browser and a server on this machine, the sample pictures and the film of
``browser_video``. Prints one JSON object: p50 and p95 of the time from pressing "Sample" to the
answer on the screen, in milliseconds, and the answers per second of the live view.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from shelly_local.vision.classifier import EmotionClassifier
from tests.browser_fixtures import ARGUMENTS, BROWSERS, Server
from tests.browser_video import write_video

#: Presses the button and waits until the bars have been drawn; the time in milliseconds.
PRESS = """async () => {
  const start = performance.now();
  const frame = () => new Promise(requestAnimationFrame);
  document.getElementById("sample").click();
  do await frame(); while (!document.body.classList.contains("busy"));
  while (document.body.classList.contains("busy")) await frame();
  await frame();
  return performance.now() - start;
}"""


def press_to_answer(browser: Browser, url: str, presses: int) -> list[float]:
    """Milliseconds from each press to its answer, the first one, which warms up, left out."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    times = [float(page.evaluate(PRESS)) for _ in range(presses + 1)]
    page.context.close()
    return times[1:]


def live_rate(browser: Browser, url: str, seconds: float) -> float:
    """Answers per second of the live view."""
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    answers: list[str] = []
    page.goto(url)
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Watch live").click()
    page.wait_for_selector("#seen:not([hidden])")
    page.on("requestfinished", lambda request: answers.append(request.url))
    page.wait_for_timeout(1000 * seconds)
    context.close()
    return len([url for url in answers if url.endswith("/advice")]) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="How quick the page is, in a real browser.")
    parser.add_argument("--presses", type=int, default=50, help="of the button (default: 50)")
    parser.add_argument("--seconds", type=float, default=15, help="of live view (default: 15)")
    arguments = parser.parse_args()
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        parser.error(f"no browser found; install one of {', '.join(BROWSERS)}")
    server = Server(EmotionClassifier())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        video = write_video(Path(folder) / "faces.mjpeg")
        camera = ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={video}"]
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *camera])
        times = press_to_answer(browser, server.url, arguments.presses)
        rate = live_rate(browser, server.url, arguments.seconds)
        browser.close()
    server.stop()
    p50, p95 = np.percentile(times, [50, 95])
    result = {"presses": len(times), "p50_ms": round(p50), "p95_ms": round(p95)}
    print(json.dumps(result | {"live_per_second": round(rate, 1)}))


if __name__ == "__main__":
    main()

"""Files of every kind, as people hand them over: large, moving, printed, nameless, damaged."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser_fixtures import OpenPage
from tests.browser_steps import choose, expect_happiness, expect_trouble, hand_over

ORIENTATION = 0x0112  # of EXIF
TURN_RIGHT = 6  # "row 0 is the right side": shown upright after a quarter turn clockwise
#: Bytes of a photo of 12 megapixels after the browser has shrunk it: a second over weak wireless.
MOST_BYTES = 700_000
#: Remembers what each address of a blob stands for; the page's policy lets nobody fetch one.
NOTE_BLOBS = """
  window.blobs = {};
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => {
    const address = make(blob);
    window.blobs[address] = blob;
    return address;
  };
"""


def sent_bytes(request: Any) -> bytes:
    """The picture inside a question to the server."""
    header, data = json.loads(request.post_data or "")["image"].split(",", 1)
    assert header == "data:image/jpeg;base64"
    return base64.b64decode(data)


def noisy(photo: Path, width: int, height: int) -> Image.Image:
    """A photo enlarged to a camera's size, with grain that a JPEG cannot leave out."""
    with Image.open(photo) as small:
        side = min(width, height)
        canvas = Image.new("RGB", (width, height), "grey")
        canvas.paste(small.convert("RGB").resize((side, side)))
    grain = Image.effect_noise((width // 4, height // 4), 60).resize((width, height)).convert("RGB")
    return Image.blend(canvas, grain, 0.1)


def test_phone_photo_is_turned_and_shrunk_before_it_is_sent(
    page: Page, smiling_photo: Path, tmp_path: Path
) -> None:
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = TURN_RIGHT
    upright = noisy(smiling_photo, 3000, 4000)  # 12 megapixels
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=90)
    assert path.stat().st_size > 2 * MOST_BYTES

    with page.expect_request("**/advice") as asked:
        choose(page, path)
    expect_happiness(page)
    sent = sent_bytes(asked.value)
    assert len(sent) < MOST_BYTES
    with Image.open(io.BytesIO(sent)) as picture:
        assert picture.size == (1200, 1600)
        assert ORIENTATION not in picture.getexif()
    photo_box = page.locator("#photo").bounding_box()
    face_box = page.locator(".box").bounding_box()
    assert photo_box is not None
    assert face_box is not None
    assert photo_box["height"] > photo_box["width"]
    assert face_box["y"] + face_box["height"] < photo_box["y"] + 0.75 * photo_box["height"]


def test_forty_megapixels(page: Page, smiling_photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    noisy(smiling_photo, 7300, 5500).save(path, quality=60)
    with page.expect_request("**/advice") as asked:
        choose(page, path)
    expect_happiness(page)
    with Image.open(io.BytesIO(sent_bytes(asked.value))) as picture:
        assert max(picture.size) == 1600


def test_small_photo_goes_as_it_is(page: Page, smiling_photo: Path) -> None:
    with page.expect_request("**/advice") as asked:
        choose(page, smiling_photo)
    assert sent_bytes(asked.value) == smiling_photo.read_bytes()


def test_moving_picture_is_still_and_answered_for_what_is_shown(
    open_page: OpenPage, smiling_photo: Path, tmp_path: Path
) -> None:
    page = open_page(before=NOTE_BLOBS)
    path = tmp_path / "party.gif"
    with Image.open(smiling_photo) as photo:
        first = photo.convert("RGB").resize((480, 480))
    frames = [first, Image.new("RGB", first.size, "red")]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)
    with page.expect_request("**/advice") as asked:
        choose(page, path)
    expect_happiness(page)
    with Image.open(io.BytesIO(sent_bytes(asked.value))) as picture:
        assert picture.format == "JPEG"  # of the first frame, and the page shows the same
    shown = page.locator("#photo").get_attribute("src")
    assert page.evaluate("(address) => blobs[address].type", shown) == "image/jpeg"


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_photo_for_print_and_without_colour(
    page: Page, smiling_photo: Path, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "print.jpg"
    with Image.open(smiling_photo) as photo:
        photo.convert(mode).save(path)
    choose(page, path)
    expect_happiness(page)
    expect(page.get_by_role("img", name="Your photo")).to_be_visible()


def test_picture_with_holes(page: Page, smiling_photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut-out.webp"
    with Image.open(smiling_photo) as photo:
        cut = photo.convert("RGBA").resize((600, 600))
    cut.paste((0, 0, 0, 0), (0, 0, 600, 40))
    cut.save(path)
    choose(page, path)
    expect_happiness(page)


def test_photo_that_does_not_say_what_it_is(page: Page, smiling_photo: Path) -> None:
    hand_over(page, "drop", smiling_photo.read_bytes(), "IMG_0001", "")
    expect_happiness(page)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("holiday.jpg", b"Dear diary, today I was a picture.\n" * 20, "I cannot read that picture"),
        ("empty.jpg", b"", "I cannot read that picture"),
        ("empty.heic", b"", "I cannot read that picture"),
        ("half.jpg", None, "I cannot read that picture"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "I cannot"),
        ("diary.txt", b"Dear diary", "That file is not a picture."),
        ("empty.txt", b"", "That file is not a picture."),
        ("heavy.jpg", bytes(11 * 2**20), "That picture is too large for me."),
    ],
)
def test_files_that_are_no_photos(
    page: Page,
    smiling_photo: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    sentence: str,
) -> None:
    path = tmp_path / name
    if content is None:
        content = smiling_photo.read_bytes()[:300]  # the transfer broke off early
    path.write_bytes(content)
    choose(page, path)
    expect_trouble(page, sentence)
    expect(page.locator("#shelly")).to_have_attribute("data-mood", "neutral")
    choose(page, smiling_photo)  # and the next photo works
    expect_happiness(page)
    expect(page.locator("#bubble")).to_have_class("bubble")


def test_speck(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "speck.png"
    Image.new("RGB", (8, 8), "grey").save(path)
    choose(page, path)
    expect_trouble(page, "too small for me to see anything")

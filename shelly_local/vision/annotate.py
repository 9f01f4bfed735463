"""Draws what was found into a copy of a photo: boxes, landmarks and labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from shelly_local.files import replacing
from shelly_local.results import FaceEmotion, PhotoEmotions, percentage

# Yellow on black and white on black stand out from any skin, hair and background.
LINE_COLOUR = (255, 214, 0)
EDGE_COLOUR = (0, 0, 0)
TEXT_COLOUR = (255, 255, 255)

#: "happiness 93 %" set in this share of the face's width is about as wide as the face.
TEXT_PER_FACE_WIDTH = 1 / 8
#: Line width as a share of the face's width.
LINE_PER_FACE_WIDTH = 1 / 100
#: Labels of small faces stay readable when the whole picture is seen on a screen: letters
#: have at least this share of its longer side, and at least this many pixels.
MIN_TEXT_PER_SIDE = 1 / 100
MIN_TEXT_SIZE = 12

#: 90 of 100: no visible artefacts around the letters, a fraction of the size of 100.
JPEG_QUALITY = 90
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
PNG_SUFFIXES = frozenset({".png"})


def annotate(pixels: NDArray[np.uint8], emotions: PhotoEmotions) -> Image.Image:
    """Draw box, landmarks and label of every face into a copy of the photo.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB, upright and in full size, so
            that the coordinates of ``emotions`` fit it.
        emotions: what was found in the photo.

    Returns:
        An RGB image of the same size. Lines and letters grow with the face; each label
        lies wholly inside the picture, as long as that is wide enough for letters.
    """
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    # Smallest first, and labels after all boxes: the largest face is never covered.
    faces = emotions.faces[::-1]
    for face in faces:
        _draw_outline(draw, face, image.size)
    for face in faces:
        _draw_label(draw, face, image.size)
    return image


def save(image: Image.Image, file: Path) -> None:
    """Write the picture as PNG or, unless the suffix says so, as JPEG.

    The file appears whole or not at all, its folder is made when needed, and it holds
    no metadata: neither the place nor the time of the photo.

    Raises:
        OSError: the file cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        if file.suffix.lower() in PNG_SUFFIXES:
            image.save(temporary, format="PNG")
        else:
            image.save(temporary, format="JPEG", quality=JPEG_QUALITY)


def copy_files(folder: Path, photos: Iterable[Path]) -> list[Path]:
    """The file of each annotated copy: the tree of the photos, within ``folder``.

    ``me.png`` and ``me.jpeg`` keep their names; ``me.webp``, a format that is not
    written, becomes ``me.webp.jpg`` and so does not meet the copy of ``me.jpg``. Of two
    photos with the same path the second becomes ``me-2.jpg``.

    Args:
        folder: of the copies.
        photos: path of each photo, relative to the folder or file that was named.
    """
    files: dict[Path, None] = {}
    for photo in photos:
        known = photo.suffix.lower() in JPEG_SUFFIXES | PNG_SUFFIXES
        file = first = folder / (photo if known else photo.with_name(f"{photo.name}.jpg"))
        number = 1
        while file in files:
            number += 1
            file = first.with_name(f"{first.stem}-{number}{first.suffix}")
        files[file] = None
    return list(files)


def label(face: FaceEmotion) -> str:
    """The text at a face: ``"happiness 93 %"``."""
    if not face.answered:
        return "no answer"
    return f"{face.emotion} {percentage(face.scores[face.emotion])}"


def _draw_outline(draw: ImageDraw.ImageDraw, face: FaceEmotion, size: tuple[int, int]) -> None:
    """Draw landmarks and box; of a box that reaches past the picture, what lies inside."""
    left, top, right, bottom = face.face.box
    width = max(1, round((right - left) * LINE_PER_FACE_WIDTH))
    x0, y0 = min(max(left, 0), size[0] - 1), min(max(top, 0), size[1] - 1)
    x1, y1 = min(max(right, x0), size[0] - 1), min(max(bottom, y0), size[1] - 1)
    draw.rectangle((x0 - width, y0 - width, x1 + width, y1 + width), None, EDGE_COLOUR, 3 * width)
    draw.rectangle((x0, y0, x1, y1), None, LINE_COLOUR, width)
    for x, y in face.face.landmarks:
        draw.circle((x, y), 2 * width, LINE_COLOUR, EDGE_COLOUR, max(1, width // 2))


def _draw_label(draw: ImageDraw.ImageDraw, face: FaceEmotion, size: tuple[int, int]) -> None:
    """Put the label above the box, else below it, else at the top inside it."""
    x0, y0, x1, y1 = face.face.box
    text, font, margin = _set_in_type(draw, label(face), x1 - x0, size)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin

    above, below = y0 - height, y1
    if above >= 0:
        y = above
    elif below + height <= size[1]:
        y = below
    else:
        y = y0
    x = min(max(x0, 0), max(size[0] - width, 0))
    y = min(max(y, 0), max(size[1] - height, 0))
    draw.rectangle((x, y, x + width - 1, y + height - 1), EDGE_COLOUR)
    draw.text((x + margin - left, y + margin - top), text, TEXT_COLOUR, font)


def _set_in_type(
    draw: ImageDraw.ImageDraw, text: str, face_width: float, size: tuple[int, int]
) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont, int]:
    """The label's text, font and margin in pixels, scaled to the face and the picture.

    A picture too narrow for the text gets it in two lines or, at last, smaller letters.
    """
    wanted = max(face_width * TEXT_PER_FACE_WIDTH, max(size) * MIN_TEXT_PER_SIDE, MIN_TEXT_SIZE)
    text_size = round(wanted)
    while True:
        font = ImageFont.load_default(text_size)
        margin = max(1, text_size // 5)
        for layout in (text, text.replace(" ", "\n", 1)):
            left, top, right, bottom = draw.textbbox((0, 0), layout, font=font)
            if right - left + 2 * margin <= size[0] and bottom - top + 2 * margin <= size[1]:
                return layout, font, margin
        if text_size == 1:
            return text, font, margin
        text_size = max(1, int(text_size * 0.9))

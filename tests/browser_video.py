"""A film for the browser's camera: two public-domain portraits in turn."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps

PICTURES = Path(__file__).parent / "pictures"
#: In order of appearance; the model sees a happy face and a neutral one.
FILM = ("astronaut.jpg", "hopper.jpg")
WIDTH, HEIGHT = 480, 360
#: How long each portrait stays: Chromium plays such a file at 30 frames per second.
FRAMES_EACH = 30 * 3


def write_video(path: Path) -> Path:
    """Write a Motion JPEG file: JPEG pictures, one after the other."""
    with path.open("wb") as video:
        for name in FILM:
            with Image.open(PICTURES / name) as portrait:
                # The upper part, where the face is.
                frame = ImageOps.fit(portrait.convert("RGB"), (WIDTH, HEIGHT), centering=(0.5, 0.1))
            stream = io.BytesIO()
            frame.save(stream, "JPEG", quality=85)
            video.write(stream.getvalue() * FRAMES_EACH)
    return path

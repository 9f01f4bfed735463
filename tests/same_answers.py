"""The answers to all test pictures, as they were when they were last written down.

    python -m tests.same_answers --write    after a change that is meant to change answers

Exact on the kind of processor and with the libraries they were written with: 8-bit arithmetic
and JPEG decoders differ a little from kind to kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import PIL
from PIL import Image, ImageOps

from shelly_local.vision.classifier import EmotionClassifier

PICTURES = Path(__file__).parent / "pictures"
#: Many small pictures of one kind, of which variants would tell nothing more.
ONLY_AS_THEY_ARE = PICTURES / "london"
ANSWERS = Path(__file__).with_name("answers.json")
#: EXIF tag and its value for a picture that a viewer turns by 90 degrees to the right.
_ORIENTATION, _TO_THE_RIGHT = 0x0112, 6


def machine() -> str:
    """A digest of what numbers depend on beside this project: processor and libraries."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        flags = platform.processor()
    versions = (onnxruntime.__version__, np.__version__, PIL.__version__)
    return hashlib.sha256(" ".join((platform.machine(), flags, *versions)).encode()).hexdigest()


def variants(file: Path) -> Iterator[tuple[str, bytes]]:
    """A picture as it is, at half its size, as PNG, and turned with EXIF that turns it back."""
    yield "as it is", file.read_bytes()
    if file.parent.parent == ONLY_AS_THEY_ARE:
        return
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    yield "half", _encoded(upright.reduce(2), "BMP")
    yield "png", _encoded(upright, "PNG")
    exif = Image.Exif()
    exif[_ORIENTATION] = _TO_THE_RIGHT
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    yield "turned", _encoded(turned, "JPEG", quality=95, exif=exif)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"compress_level": 1} if kind == "PNG" else {}), **options)
    return buffer.getvalue()


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """What each variant of each picture is answered, as plain data in full precision."""
    classifier = EmotionClassifier(threads=1)
    for file in sorted(PICTURES.rglob("*.jpg")):
        for variant, photo in variants(file):
            name = f"{file.relative_to(PICTURES).as_posix()}, {variant}"
            answer = dataclasses.asdict(classifier.classify(photo))
            yield name, json.loads(json.dumps(answer))


def write() -> None:
    """Write the answers down; one picture a line, so that differences can be read."""
    lines = [f"  {json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers()]
    content = f'{{"machine": "{machine()}",\n "answers": {{\n' + ",\n".join(lines) + "\n}}\n"
    ANSWERS.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", required=True, help="write them anew")
    parser.parse_args()
    write()

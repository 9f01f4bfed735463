"""How many large faces the fast search finds, in made-up pictures of which that is known.

    python -m benchmarks.search FOLDER [--pictures N] [--pixels 160] [--pyramid-factor 0.709]

Each picture shows one or two portraits of FOLDER, head and shoulders, at sizes that the fast
search looks for, turned by up to 20 degrees, some of them dark, on a plain or textured ground,
as a JPEG of any quality. The same seed makes the same pictures. Settings of the search can be
changed to see what they are worth.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from shelly_local.batch.inputs import find_photos
from shelly_local.batch.writers import complain
from shelly_local.errors import ImageError, ShellyError
from shelly_local.vision import detector as detection
from shelly_local.vision.classifier import DETECTION_SIDE, find_faces
from shelly_local.vision.detector import FaceDetector
from shelly_local.vision.images import decode

from .results import write

#: Longer side of a picture, in pixels, from a small upload to what cameras send reduced.
SIDES = (360, 1600)
#: Width of the first face, as a share of the longer side: just above what the search promises, up
#: to a portrait; the second may be as small as a passer-by.
SHARES, SECOND_SHARES = (0.168, 0.45), (0.126, 0.3)
#: How far around the box of a face a portrait is cut, as a share of the box's width.
SURROUNDINGS = (0.25, 0.8)
MAX_DEGREES = 20.0
#: Places tried for the faces of a picture; a second one that finds none is left out.
ATTEMPTS = 30
#: Fewer, and a large face would be smaller than P-Net's window.
MIN_PIXELS = 100
#: Half of a face's height, as a share of its width.
TALL = 0.65
#: A found face is the right one if its middle is this near, as a share of the face's width.
NEAR = 0.4


@dataclass(frozen=True)
class Portrait:
    """A photo of one person, RGB, and the box of the face: x0, y0, x1, y1."""

    image: Image.Image
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """A JPEG, and the middle and width of each face, in pixels: x, y, width."""

    data: bytes
    faces: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        pictures: how many were searched.
        answered: in how many a large face was found; the others take the thorough search.
        faces: in the pictures answered.
        found: of these faces.
        false: found where there is no face.
    """

    pictures: int
    answered: int
    faces: int
    found: int
    false: int


def portraits(photos: Iterable[str], detector: FaceDetector) -> list[Portrait]:
    """The photos with one face, as the thorough search sees it.

    Raises:
        ShellyError: there is none.
    """
    chosen = []
    for photo in tqdm(list(photos), desc="portraits", disable=None):
        try:
            decoded, faces = find_faces(detector, photo, large_first=False)
        except ImageError as error:
            complain(error.description)
            continue
        if faces:  # the largest is meant: a wall may look like a small one
            chosen.append(Portrait(Image.fromarray(decoded.pixels), faces[0].box))
    if not chosen:
        raise ShellyError("No photo there shows a face.")
    return chosen


def ground(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """One colour, or a sharp or blurred texture."""
    kind = random.integers(4)
    if kind == 0:
        red, green, blue = random.integers(0, 256, 3).tolist()
        return Image.new("RGB", size, (red, green, blue))
    cells = int(random.choice([4, 12, 40, 160]))
    noise = random.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
    ground = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    return ground.filter(ImageFilter.GaussianBlur(3)) if kind == 1 else ground


def make(sources: Sequence[Portrait], random: np.random.Generator) -> Picture:
    """A picture of one or two of the portraits, of which the second hides nothing of a face."""
    longer = int(random.integers(SIDES[0], SIDES[1] + 1))
    shorter = int(longer * random.uniform(0.56, 1.0))
    size = (longer, shorter) if random.random() < 0.5 else (shorter, longer)
    picture = ground(size, random)
    faces: list[tuple[float, float, float]] = []
    wanted = 1 if random.random() < 0.6 else 2
    for _ in range(ATTEMPTS):
        if len(faces) == wanted:
            break
        share = random.uniform(*(SECOND_SHARES if faces else SHARES))
        source = sources[int(random.integers(len(sources)))]
        x0, y0, x1, y1 = source.box
        scale = share * longer / (x1 - x0)
        around = random.uniform(*SURROUNDINGS) * (x1 - x0)
        left, top = int(max(x0 - around, 0)), int(max(y0 - around, 0))
        right = int(min(x1 + around, source.image.width))
        bottom = int(min(y1 + around, source.image.height))
        width, height = round((right - left) * scale), round((bottom - top) * scale)
        part = source.image.crop((left, top, right, bottom))
        part = part.resize((width, height), Image.Resampling.LANCZOS)
        degrees = random.uniform(-MAX_DEGREES, MAX_DEGREES)
        part = part.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(200, 200, 200))
        if random.random() < 0.4:
            dark = random.uniform(0.35, 0.9)
            part = Image.fromarray((np.asarray(part) * dark).astype(np.uint8))
        x = int(random.uniform(0, max(size[0] - width, 1)))
        y = int(random.uniform(0, max(size[1] - height, 1)))
        # Turned about the middle of the part, the middle of the face moves a little.
        middle = complex((x0 + x1) / 2 - left, (y0 + y1) / 2 - top) * scale
        turned = (middle - complex(width, height) / 2) * np.exp(-1j * np.radians(degrees))
        middle_x = x + turned.real + width / 2
        middle_y = y + turned.imag + height / 2
        fits = width <= size[0] and height <= size[1]
        hides = any(
            x < a + b / 2
            and a - b / 2 < x + width
            and y < c + TALL * b
            and c - TALL * b < y + height
            for a, c, b in faces
        )
        if not fits or hides:
            continue
        picture.paste(part, (x, y))
        faces.append((middle_x, middle_y, share * longer))
    if not faces:
        return make(sources, random)  # a wide portrait for a low picture
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(random.integers(50, 96)))
    return Picture(file.getvalue(), tuple(faces))


def look(pictures: Iterable[Picture], detector: FaceDetector) -> Found:
    """Search pictures for large faces and count."""
    total = answered = faces = found = false = 0
    for picture in pictures:
        total += 1
        photo = decode(picture.data, max_side=DETECTION_SIDE, rough_side=detection.PROMINENT_SIDE)
        boxes = [face.box for face in detector.detect_prominent(photo.pixels)]
        if not boxes:
            continue
        answered += 1
        faces += len(picture.faces)
        across, down = photo.scale
        middles = [((x0 + x1) / 2 * across, (y0 + y1) / 2 * down) for x0, y0, x1, y1 in boxes]
        right = [
            {n for n, (x, y) in enumerate(middles) if abs(complex(x - a, y - b)) < NEAR * width}
            for a, b, width in picture.faces
        ]
        found += sum(map(bool, right))
        false += len(boxes) - len(set().union(*right))
    return Found(total, answered, faces, found, false)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pictures, search them, print."""
    usual = detection.PROMINENT
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description="How many large faces the fast search finds.",
        epilog="examples:\n  python -m benchmarks.search portraits\n"
        "  python -m benchmarks.search portraits --pixels 160 --json small.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="portraits, one person in each")
    add("--pictures", type=int, default=300, metavar="N", help="(default: %(default)s)")
    add("--seed", type=int, default=0, help="(default: %(default)s)")
    add("--pixels", type=int, default=detection.PROMINENT_SIDE, metavar="N",
        help="a picture is searched at N to 2 N - 1 pixels (default: %(default)s)")  # fmt: skip
    add("--pyramid-factor", type=float, default=usual.pyramid_factor, metavar="SHARE",
        help="each level's side as a share of the one before (default: %(default)s)")  # fmt: skip
    add("--overlaps", type=float, nargs=4, default=usual.overlaps, metavar="SHARE",
        help="above which the weaker window goes: within a level, between levels, after R-Net, "
        f"after O-Net (default: {' '.join(map(str, usual.overlaps))})")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    if arguments.pictures < 1:
        parser.error(f"--pictures must be at least 1, not {arguments.pictures}")
    if arguments.pixels < MIN_PIXELS:
        parser.error(f"--pixels must be at least {MIN_PIXELS}, not {arguments.pixels}")
    if not 0.1 <= arguments.pyramid_factor <= 0.9:
        parser.error(f"--pyramid-factor must lie in 0.1..0.9, got {arguments.pyramid_factor}")
    if not all(0 < share <= 1 for share in arguments.overlaps):
        parser.error(f"--overlaps must lie above 0 and up to 1, got {arguments.overlaps}")
    try:
        detector = FaceDetector()
        found = find_photos([str(arguments.folder)])
        sources = portraits((photo.name for photo in found), detector)
        detection.PROMINENT_SIDE = arguments.pixels
        detection.PROMINENT = replace(
            usual, pyramid_factor=arguments.pyramid_factor, overlaps=tuple(arguments.overlaps)
        )
        random = np.random.default_rng(arguments.seed)
        made = (make(sources, random) for _ in range(arguments.pictures))
        result = look(tqdm(made, "pictures", arguments.pictures, disable=None), detector)
        print(
            f"{result.pictures} pictures of {len(sources)} portraits: {result.answered} answered "
            f"at once; of their {result.faces} faces {result.found} found, {result.false} false."
        )
        if arguments.json:
            settings: dict[str, Any] = {
                "pixels": arguments.pixels,
                **asdict(detection.PROMINENT),
            }
            write({"settings": settings, **asdict(result)}, arguments.json)
    except ShellyError as error:
        complain(error.description)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""How many portraits are read the right side up when the photo lies on its side or on its head.

    python -m benchmarks.speed.turned FOLDER [--side 1350] [--share 1.0] [--detection fast]

Each portrait of FOLDER is answered as it is, and again as a JPEG without EXIF in each quarter
turn. What is found upright is what is expected: with ``--share`` the portrait fills only a part
of a textured picture. The same seed makes the same pictures.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from shelly_local.batch.inputs import find_photos
from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError
from shelly_local.results import PhotoEmotions
from shelly_local.vision.classifier import DETECTIONS, EmotionClassifier
from shelly_local.vision.images import decode
from shelly_local.vision.turned import turned_back

from ..results import write

#: A face is the right side up if its landmarks lie this near to those of the upright photo on
#: average, as a share of the distance of the eyes.
NEAR = 0.15
#: Probability from which on a wrong mood is a confident one, as the page names moods.
CONFIDENT = 0.5
TURNS = {0: "upright", 1: "90° to the left", 2: "upside down", 3: "90° to the right"}


@dataclass
class Count:
    """What was answered in one turn.

    Attributes:
        photos: portraits with a face upright.
        right: of these, how many have their largest face where it is, the right side up.
        same_mood: with the mood of the upright photo.
        wrong: with another mood and a probability of 0.5 or more.
        none: without any face.
    """

    photos: int = 0
    right: int = 0
    same_mood: int = 0
    wrong: int = 0
    none: int = 0


def distance(found: PhotoEmotions, expected: PhotoEmotions, turns: int) -> float:
    """How far the landmarks of the largest face lie off on average, in distances of the eyes.

    Args:
        found: in the photo turned anticlockwise by quarters; its largest face is meant.
        expected: in the photo as it is.
        turns: 0 to 3.
    """
    assert found.largest is not None
    assert expected.largest is not None
    width, height = expected.width, expected.height
    back = turned_back(found.largest.face, turns, width, height)
    points, known = np.array(back.landmarks), np.array(expected.largest.face.landmarks)
    eyes = np.linalg.norm(known[1] - known[0])
    return float(np.linalg.norm(points - known, axis=1).mean() / eyes)


def count(images: Iterable[Image.Image], classifier: EmotionClassifier) -> dict[int, Count]:
    """Answers by quarter turns anticlockwise; images without a face upright are left out."""
    counts = {turns: Count() for turns in TURNS}
    for image in images:
        expected = classifier.classify(_jpeg(image, 0))
        if expected.largest is None:
            continue
        for turns, result in counts.items():
            found = classifier.classify(_jpeg(image, turns))
            result.photos += 1
            if found.largest is None:
                result.none += 1
                continue
            same = found.largest.emotion == expected.largest.emotion
            result.right += distance(found, expected, turns) <= NEAR
            result.same_mood += same
            result.wrong += not same and max(found.largest.scores.values()) >= CONFIDENT
    return counts


def laid_out(image: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """A picture of which an image fills a share of the longer side, somewhere."""
    if share >= 1:
        return image
    width = round(max(image.size) / share)
    picture = ground((width, width * 2 // 3), random)
    free = picture.width - image.width, max(picture.height - image.height, 0)
    picture.paste(image, (int(random.integers(free[0] + 1)), int(random.integers(free[1] + 1))))
    return picture


def _jpeg(image: Image.Image, turns: int) -> bytes:
    buffer = io.BytesIO()
    turned = image.rotate(90 * turns, expand=True)  # by quarters no pixel is interpolated
    turned.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def ground(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """One colour, or a sharp or blurred texture."""
    kind = random.integers(4)
    if kind == 0:
        red, green, blue = random.integers(0, 256, 3).tolist()
        return Image.new("RGB", size, (red, green, blue))
    cells = int(random.choice([4, 12, 40, 160]))
    noise = random.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
    texture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    return texture.filter(ImageFilter.GaussianBlur(3)) if kind == 1 else texture


def main(argv: Sequence[str] | None = None) -> int:
    """Turn the portraits, classify them, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.turned",
        description="How many portraits are read the right side up in each quarter turn.",
        epilog="examples:\n  python -m benchmarks.speed.turned portraits\n"
        "  python -m benchmarks.speed.turned portraits --side 400 --share 0.3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="portraits, one person in each")
    add("--side", type=int, metavar="N",
        help="reduce portraits to N pixels (default: as they are)")  # fmt: skip
    add("--share", type=float, default=1.0, metavar="SHARE",
        help="of the picture's longer side that portraits fill (default: %(default)s)")  # fmt: skip
    add("--detection", choices=DETECTIONS, default=DETECTIONS[0],
        help="how faces are looked for (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, help="of the grounds (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    if not 0.05 <= arguments.share <= 1:
        parser.error(f"--share must lie in 0.05..1, got {arguments.share}")
    if arguments.side is not None and arguments.side < 64:
        parser.error(f"--side must be at least 64, not {arguments.side}")
    try:
        classifier = EmotionClassifier(detection=arguments.detection)
        photos = [photo.name for photo in find_photos([str(arguments.folder)])]
        random = np.random.default_rng(arguments.seed)
        decoded = (Image.fromarray(decode(each, max_side=arguments.side).pixels) for each in photos)
        images = (laid_out(image, arguments.share, random) for image in decoded)
        counts = count(tqdm(images, "portraits", len(photos), disable=None), classifier)
        for turns, result in counts.items():
            print(
                f"{TURNS[turns]}: of {result.photos} portraits {result.right} the right side up, "
                f"{result.same_mood} with the mood of the upright photo, {result.wrong} with "
                f"another at {CONFIDENT} or more, {result.none} without a face."
            )
        if arguments.json:
            by_name = {TURNS[turns]: asdict(result) for turns, result in counts.items()}
            write({"detection": arguments.detection, "turns": by_name}, arguments.json)
    except ShellyError as error:
        complain(error.description)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

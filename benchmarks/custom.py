"""How long custom classifiers take: from create to ready, and photos classified meanwhile.

    python -m benchmarks.custom PHOTO... [--classes 2 7 20] [--pictures 100] [--json FILE]

The photos need one face each; pictures are made from them by shifting, turning, lighting and
reducing, so that all differ. What is learnt from them says nothing of accuracy: it is time
that is measured, which depends on the number and size of the pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import random
import statistics
import tempfile
import time
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

from shelly_local import VisualRecognition, __version__

#: Longer side of the pictures in pixels: that of pictures which people gather for training.
SIDE = 512
#: Classifications of a photo before training, for comparison.
IDLE_ROUNDS = 20


def make_zip(photos: list[Image.Image], count: int, rng: random.Random) -> bytes:
    """A zip file of ``count`` different pictures."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            photo = photos[number % len(photos)]
            picture = photo.rotate(rng.uniform(-10, 10), fillcolor="grey")
            shift = [rng.randint(-20, 20) for _ in range(2)]
            picture = picture.transform(
                picture.size, Image.Transform.AFFINE, (1, 0, shift[0], 0, 1, shift[1])
            )
            picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.3))
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=85)
            archive.writestr(f"{number:04d}.jpg", file.getvalue())
    return buffer.getvalue()


def measure(
    service: VisualRecognition, zips: list[bytes], photo: Path
) -> dict[str, float | int | str]:
    """Train one classifier, classifying a photo again and again meanwhile."""
    start = time.perf_counter()
    created = service.create_classifier(
        f"{len(zips)} classes", {f"class{number}": data for number, data in enumerate(zips)}
    ).get_result()
    accepted = time.perf_counter() - start
    meanwhile = []
    while True:
        before = time.perf_counter()
        service.classify(photo)
        meanwhile.append(time.perf_counter() - before)
        found = service.get_classifier(created["classifier_id"]).get_result()
        if found["status"] in ("ready", "failed"):
            break
        time.sleep(0.5)
    total = time.perf_counter() - start
    service.delete_classifier(created["classifier_id"])
    if found["status"] == "failed":
        raise SystemExit(f"Training failed: {found['explanation']}")
    return {
        "classes": len(zips),
        "megabytes": round(sum(map(len, zips)) / 2**20, 1),
        "create_s": round(accepted, 2),
        "ready_s": round(total, 1),
        "classify_meanwhile_ms": round(1000 * statistics.median(meanwhile)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.custom", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="one face each")
    parser.add_argument(
        "--classes", nargs="+", type=int, default=[2, 7, 20], metavar="N", help="default: 2 7 20"
    )
    parser.add_argument(
        "--pictures", type=int, default=100, metavar="N", help="per class, default: 100"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    if min(arguments.classes) < 2 or not 10 <= arguments.pictures <= 10_000:
        parser.error("--classes must be at least 2, --pictures 10 to 10000")
    photos = []
    for path in arguments.photos:
        with Image.open(path) as photo:
            photo.thumbnail((SIDE, SIDE))
            photos.append(photo.convert("RGB"))
    rng = random.Random(0)
    zips = [
        make_zip(photos[number % len(photos) :] + photos, arguments.pictures, rng)
        for number in range(max(arguments.classes))
    ]
    report: dict[str, Any] = {
        "version": __version__,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "pictures_per_class": arguments.pictures,
    }
    with tempfile.TemporaryDirectory() as folder:
        service = VisualRecognition(data_dir=folder)
        idle = []
        for _ in range(IDLE_ROUNDS):
            before = time.perf_counter()
            service.classify(arguments.photos[0])
            idle.append(time.perf_counter() - before)
        report["classify_idle_ms"] = round(1000 * statistics.median(idle[1:]))
        report["trainings"] = [
            measure(service, zips[:count], arguments.photos[0]) for count in arguments.classes
        ]
        service.close()
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

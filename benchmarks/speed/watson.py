"""The Watson server: from create to ready, and photos a second for so many clients, over HTTP.

    python -m benchmarks.speed.watson PHOTO... [--classes 2 7 20] [--pictures 100]
        [--clients 1 8 32] [--seconds 10] [--json FILE]

Starts ``shelly serve`` in a process of its own. The photos need one face each; training pictures
are made from them by shifting, turning and lighting, so that all differ. What is learnt from them
says nothing of accuracy: it is time that is measured, which depends on number and size of the
pictures. Clients classify the first photo, each one request after the other and every request on
a connection of its own, as IBM's SDKs do; first without and then beside a training. Memory is
read from Linux' /proc, and missing elsewhere.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import json
import random
import time
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from shelly_local import __version__

from ..children import memory_mb
from ..results import machine
from .servers import CLASSIFIERS, EMOTION, MULTIPART, VERSION, Server, ask, form, load, running

#: Longer side of the training pictures in pixels: that of pictures which people gather.
SIDE = 512
#: Seconds between two questions whether a training has ended.
POLL = 0.2


def answer_of(server: Server, method: str, path: str, body: bytes | None = None) -> Any:
    """The status and the JSON of an answer, on a connection of its own."""
    with closing(server.connect()) as connection:
        status, content = ask(connection, method, path, body)
    return status, json.loads(content)


def training_memory(server: Server) -> float | None:
    """Largest resident memory so far of the server's training process, in 10^6 bytes."""
    trainings = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{server.pid}\n" in status.read_text(encoding="utf-8"):
                trainings.append(memory_mb(process=status.parent.name) or 0.0)
        except OSError:
            continue  # that process has just ended
    return max(trainings, default=None)


def make_zip(photos: Sequence[Image.Image], count: int, rng: random.Random, hue: float) -> bytes:
    """A zip file of ``count`` different pictures with a strip of a hue, 0 to 1, that tells them."""
    strip = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 1.0, 0.8))
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
            picture.paste(strip, (0, 0, picture.width // 6, picture.height))
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=85)
            archive.writestr(f"{number:04d}.jpg", file.getvalue())
    return buffer.getvalue()


def create(server: Server, zips: Sequence[bytes]) -> str:
    """Begin a training; the classifier's id."""
    examples = {f"class{n}_positive_examples": content for n, content in enumerate(zips)}
    status, created = answer_of(
        server, "POST", CLASSIFIERS, form({"name": b"benchmark", **examples})
    )
    if status != 200:
        raise SystemExit(f"the server refused a classifier: {created}")
    return str(created["classifier_id"])


def state(server: Server, classifier_id: str) -> str:
    """The status of a classifier, which must not have failed."""
    _, found = answer_of(server, "GET", f"/v3/classifiers/{classifier_id}?{VERSION}")
    if found["status"] == "failed":
        raise SystemExit(f"training failed: {found['explanation']}")
    return str(found["status"])


def train(server: Server, zips: Sequence[bytes]) -> dict[str, Any]:
    """Train one classifier with nothing beside it."""
    start = time.perf_counter()
    classifier_id = create(server, zips)
    answered = time.perf_counter() - start
    memory: float | None = None
    while state(server, classifier_id) != "ready":
        memory = training_memory(server) or memory
        time.sleep(POLL)
    total = time.perf_counter() - start
    answer_of(server, "DELETE", f"/v3/classifiers/{classifier_id}?{VERSION}")
    return {
        "classes": len(zips),
        "megabytes": round(sum(map(len, zips)) / 1e6, 1),
        "answered_s": round(answered, 2),
        "ready_s": round(total, 1),
        "training_memory_mb": memory,
    }


def classify(server: Server, photo: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """Let so many clients classify for so long."""
    body = form({"images_file": photo})
    figures = load(server, EMOTION, body, MULTIPART, clients=clients, seconds=seconds)
    return figures | {"server_memory_mb": memory_mb(process=server.pid)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.watson", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="one face each")
    parser.add_argument(
        "--classes", nargs="+", type=int, default=[2, 7, 20], metavar="N", help="default: 2 7 20"
    )
    parser.add_argument(
        "--pictures", type=int, default=100, metavar="N", help="per class, default: 100"
    )
    parser.add_argument(
        "--clients", nargs="+", type=int, default=[1, 8, 32], metavar="N", help="default: 1 8 32"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of each number of clients, default: 10"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    if min(arguments.classes) < 2 or not 10 <= arguments.pictures <= 10_000:
        parser.error("--classes must be at least 2, --pictures 10 to 10000")
    if min(arguments.clients) < 1 or arguments.seconds <= 0:
        parser.error("--clients must be at least 1, --seconds more than 0")
    photos = []
    for path in arguments.photos:
        with Image.open(path) as photo:
            photos.append(ImageOps.contain(photo.convert("RGB"), (SIDE, SIDE)))
    rng = random.Random(0)
    zips = [
        make_zip(
            photos[number % len(photos) :] + photos,
            arguments.pictures,
            rng,
            number / max(arguments.classes),
        )
        for number in range(max(arguments.classes))
    ]
    photo_bytes = arguments.photos[0].read_bytes()
    report: dict[str, Any] = {
        "version": __version__,
        "date": date.today().isoformat(),
        "machine": machine(),
        "pictures_per_class": arguments.pictures,
        "trainings": [],
        "alone": [],
        "beside_a_training": [],
    }
    # A server each, as the largest memory is that since its start.
    for count in arguments.classes:
        with running() as server:
            report["trainings"].append(train(server, zips[:count]))
    for clients in arguments.clients:
        with running() as server:
            report["alone"].append(classify(server, photo_bytes, clients, arguments.seconds))
    for clients in arguments.clients:
        with running() as server:
            classifier_id = create(server, zips)
            figures = classify(server, photo_bytes, clients, arguments.seconds)
            # Otherwise part of it was measured beside nothing.
            figures["training_went_on"] = state(server, classifier_id) == "training"
            report["beside_a_training"].append(figures)
            answer_of(server, "DELETE", f"/v3/classifiers/{classifier_id}?{VERSION}")
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The Watson server: from create to ready, and photos a second for so many clients, over HTTP.

    python -m benchmarks.watson PHOTO... [--classes 2 7 20] [--pictures 100]
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
import http.client
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from shelly_local import __version__

from .results import machine
from .siblings import SEARCH_PATH
from .timing import percentiles

#: Longer side of the training pictures in pixels: that of pictures which people gather.
SIDE = 512
VERSION = "version=2018-03-19"
CLASSIFY, CLASSIFIERS = f"/v3/classify?{VERSION}", f"/v3/classifiers?{VERSION}"
BOUNDARY = "shelly-benchmark-boundary"
#: Seconds between two questions whether a training has ended.
POLL = 0.2
#: Seconds for any one answer.
TIMEOUT = 120.0


class Server:
    """A running server, and what its processes take."""

    def __init__(self, process: subprocess.Popen[str], authority: str) -> None:
        self.authority = authority
        self._process = process

    def ask(self, method: str, path: str, parts: Mapping[str, bytes] | None = None) -> Any:
        """The status and the JSON of an answer, on a connection of its own."""
        connection = http.client.HTTPConnection(self.authority, timeout=TIMEOUT)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if parts else {}
        try:
            connection.request(method, path, form(parts) if parts else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def peaks(self) -> tuple[float | None, float | None]:
        """Largest resident memory so far of server and training process, in 10^6 bytes."""
        server = _peak(Path(f"/proc/{self._process.pid}/status"))
        wanted = f"PPid:\t{self._process.pid}\n"
        trainings = []
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if wanted in status.read_text(encoding="utf-8"):
                    trainings.append(_peak(status) or 0.0)
            except OSError:
                continue  # that process has just ended
        return server, max(trainings, default=None)


@contextmanager
def running() -> Iterator[Server]:
    """``shelly serve`` on a free port, with an empty folder of classifiers."""
    paths = [str(SEARCH_PATH), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment.pop("SHELLY_APIKEY", None)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "shelly_local", "serve", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--data-dir", folder], stdout=subprocess.PIPE, text=True, env=environment
        )
        try:
            assert process.stdout
            found = re.search(r"http://([^/]+)/", process.stdout.readline())
            if found is None:
                raise SystemExit("the server did not start")
            yield Server(process, found[1])
        finally:
            process.terminate()
            process.wait()


def form(parts: Mapping[str, bytes]) -> bytes:
    """The body of a multipart form."""
    pieces = []
    for name, content in parts.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        pieces += [head.encode(), content, b"\r\n"]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def make_zip(photos: Sequence[Image.Image], count: int, rng: random.Random) -> bytes:
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


def create(server: Server, zips: Sequence[bytes]) -> str:
    """Begin a training; the classifier's id."""
    examples = {f"class{n}_positive_examples": content for n, content in enumerate(zips)}
    status, created = server.ask("POST", CLASSIFIERS, {"name": b"benchmark", **examples})
    if status != 200:
        raise SystemExit(f"the server refused a classifier: {created}")
    return str(created["classifier_id"])


def state(server: Server, classifier_id: str) -> str:
    """The status of a classifier, which must not have failed."""
    _, found = server.ask("GET", f"/v3/classifiers/{classifier_id}?{VERSION}")
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
        memory = server.peaks()[1] or memory
        time.sleep(POLL)
    total = time.perf_counter() - start
    server.ask("DELETE", f"/v3/classifiers/{classifier_id}?{VERSION}")
    return {
        "classes": len(zips),
        "megabytes": round(sum(map(len, zips)) / 1e6, 1),
        "answered_s": round(answered, 2),
        "ready_s": round(total, 1),
        "training_memory_mb": memory,
    }


def load(server: Server, photo: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """Let so many clients classify for so long."""
    body = {"images_file": photo}
    times: list[float] = []
    refused = 0
    guard = threading.Lock()
    start = time.perf_counter()
    end = start + seconds

    def client() -> None:
        nonlocal refused
        while (before := time.perf_counter()) < end:
            status, _ = server.ask("POST", CLASSIFY, body)
            with guard:
                if status == 200:
                    times.append(time.perf_counter() - before)
                else:
                    refused += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    return {
        "clients": clients,
        "answers": len(times),
        "refused": refused,
        "per_second": round(len(times) / took, 1),
        **percentiles([1000 * each for each in times]),
        "server_memory_mb": server.peaks()[0],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.watson", description=(__doc__ or "").partition("\n")[0]
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
        make_zip(photos[number % len(photos) :] + photos, arguments.pictures, rng)
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
            report["alone"].append(load(server, photo_bytes, clients, arguments.seconds))
    for clients in arguments.clients:
        with running() as server:
            classifier_id = create(server, zips)
            figures = load(server, photo_bytes, clients, arguments.seconds)
            # Otherwise part of it was measured beside nothing.
            figures["training_went_on"] = state(server, classifier_id) == "training"
            report["beside_a_training"].append(figures)
            server.ask("DELETE", f"/v3/classifiers/{classifier_id}?{VERSION}")
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _peak(status: Path) -> float | None:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
    except OSError:
        return None
    return round(int(found[1]) * 1024 / 1e6, 1) if found else None


if __name__ == "__main__":
    main()

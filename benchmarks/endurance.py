"""Many photos: over HTTP against the same in this process, and memory in the long run."""

from __future__ import annotations

import http.client
import io
import itertools
import os
import re
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from shelly_local import EmotionClassifier
from shelly_local.errors import ImageError, ShellyError

from .side_by_side import analyse_many

#: Programs that ask at the same time.
CLIENTS = 8
#: Photos of one measurement, by each of both ways.
PHOTOS = 64
#: Rounds of both ways in turn, after one that is discarded.
ROUNDS = 5
#: Photos after which memory counts as settled.
SETTLED = 1_000
#: Longer sides, in pixels, that the photos of the long run are reduced to: many shapes.
SIDES = tuple(range(160, 352, 16))


def http_ratio(photo: bytes) -> dict[str, float]:
    """Photos a second by ``shelly serve`` with ``CLIENTS`` clients, and by ``analyse_many``.

    All run on all cores; the clients, which share them, count on the server's side.
    """
    single = EmotionClassifier(threads=1)

    def here() -> None:
        for answer in analyse_many(single, [photo] * PHOTOS):
            if isinstance(answer, ImageError):
                raise answer

    def asked(port: int) -> Callable[[], None]:
        def there() -> None:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(lambda _: _ask(port, photo), range(CLIENTS)))

        return there

    with _server() as port:
        ways = (here, asked(port))
        rounds = [[_rate(way) for way in ways] for _ in range(ROUNDS + 1)][1:]
    inside, over_http = (float(np.median(column)) for column in zip(*rounds, strict=True))
    return {
        "photos_per_second": round(inside, 2),
        "http_photos_per_second": round(over_http, 2),
        "http_ratio": round(over_http / inside, 3),
    }


def memory_growth(photos: Sequence[bytes], count: int) -> dict[str, float]:
    """Resident memory after ``SETTLED`` and after ``count`` small photos of many shapes.

    Raises:
        ValueError: ``count`` is not above ``SETTLED``.
    """
    if count <= SETTLED:
        raise ValueError(f"more than {SETTLED:,} photos are needed, got {count:,}")
    small = [_reduced(photo, side) for side in SIDES for photo in photos]
    stream = itertools.islice(itertools.cycle(small), count)
    answers = analyse_many(EmotionClassifier(threads=1), stream)
    settled = 0.0
    for number, _ in enumerate(tqdm(answers, total=count, desc="long run", disable=None), 1):
        if number == SETTLED:
            settled = _resident_megabytes()
    last = _resident_megabytes()
    return {
        "photos": count,
        "settled_mb": round(settled, 1),
        "end_mb": round(last, 1),
        "growth_mb": round(last - settled, 1),
    }


def _rate(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return PHOTOS / (time.perf_counter() - start)


@contextmanager
def _server() -> Iterator[int]:
    """``shelly serve`` on a free port, with a data folder of its own and without a key."""
    command = [sys.executable, "-m", "shelly_local", "serve", "--port", "0", "--backend", "local"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SHELLY_")}
    with (
        tempfile.TemporaryDirectory() as data,
        subprocess.Popen(
            [*command, "--data-dir", data], env=environment, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = re.search(r":(\d+)/", process.stdout.readline())
            if address is None:
                raise ShellyError("shelly serve did not start")
            yield int(address[1])
        finally:
            process.terminate()


def _ask(port: int, photo: bytes) -> None:
    """One client's share of the photos, over one connection."""
    boundary = secrets.token_hex(16)
    body = b"".join(
        [
            f"--{boundary}\r\nContent-Disposition: form-data; ".encode(),
            b'name="images_file"; filename="photo.jpg"\r\n\r\n',
            photo,
            f"\r\n--{boundary}--\r\n".encode(),
        ]
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(PHOTOS // CLIENTS):
        connection.request("POST", "/v3/classify?version=2018-03-19", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise ShellyError(f"shelly serve answered {answer.status}: {content[:200]!r}")
    connection.close()


def _reduced(photo: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        image.thumbnail((side, side))
        content = io.BytesIO()
        image.convert("RGB").save(content, "JPEG", quality=90)
    return content.getvalue()


def _resident_megabytes() -> float:
    """Resident memory in 10^6 bytes; its peak where the system does not tell."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6

"""Many photos: over HTTP against the same in this process, and memory in the long run."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
from PIL import Image
from tqdm import tqdm

from shelly_local import EmotionClassifier
from shelly_local.errors import ShellyError

from ..children import memory_mb
from ..timing import measure
from .servers import EMOTION, Server, ask, form, running

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
    """Photos a second by ``shelly serve`` with ``CLIENTS`` clients, and in this process.

    All run on all cores; the clients, which share them, count on the server's side.
    """
    single = EmotionClassifier(threads=1)
    with running() as server, ThreadPoolExecutor(CLIENTS) as clients:
        ways = {
            "here": lambda: list(_classified(single, [photo] * PHOTOS)),
            "there": lambda: list(clients.map(lambda _: _ask(server, photo), range(CLIENTS))),
        }
        samples = measure(ways, ROUNDS, warm_up=1, rest_s=0)
    inside, over_http = (
        1000 * PHOTOS / float(np.median([sample.wall_ms for sample in samples[way]]))
        for way in ways
    )
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
    answers = _classified(EmotionClassifier(threads=1), stream)
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


def _classified(classifier: EmotionClassifier, photos: Iterable[bytes]) -> Iterator[object]:
    """Answers by a thread per core, in order; few photos are handed over ahead."""
    stream = iter(photos)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(itertools.islice(stream, PHOTOS)):
            yield from pool.map(classifier.analyse, some)


def _ask(server: Server, photo: bytes) -> None:
    """One client's share of the photos, over one connection."""
    body = form({"images_file": photo})
    with closing(server.connect()) as connection:
        for _ in range(PHOTOS // CLIENTS):
            status, content = ask(connection, "POST", EMOTION, body)
            if status != 200:
                raise ShellyError(f"shelly serve answered {status}: {content[:200]!r}")


def _reduced(photo: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        image.thumbnail((side, side))
        content = io.BytesIO()
        image.convert("RGB").save(content, "JPEG", quality=90)
    return content.getvalue()


def _resident_megabytes() -> float:
    """Resident memory in 10^6 bytes; its peak where the system does not tell."""
    return memory_mb("VmRSS") or 0.0

"""Watson's general side: custom classifiers of things, and tags a second, over HTTP.

    python -m benchmarks.speed.things FOLDER [--train 40] [--splits 5] [--clients 1 8 32]
        [--seconds 5]

FOLDER has a folder of pictures for each class. Of each class ``--train`` pictures, drawn at random,
go to ``shelly serve`` as a zip file to learn from, and it is asked about the others, once for each
split. Then clients ask ``default``, which says what a picture shows, about the first picture. And
every picture is asked about, by ``default`` and by ``emotion``, with threshold 0: how many get a
mood.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shelly_local.errors import DataError
from shelly_local.results import CLASSES

from ..children import memory_mb
from .servers import CLASSIFIERS, CLASSIFY, MULTIPART, VERSION, Server, ask, form, load, running

#: Seconds between two questions whether a training has ended.
POLL = 0.1


def pictures_of(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each class.

    Raises:
        DataError: there are not two folders with pictures.
    """
    found = {
        each.name: sorted(
            file for file in each.iterdir() if file.suffix.lower() in (".jpg", ".png")
        )
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }
    found = {name: files for name, files in found.items() if files}
    if len(found) < 2:
        raise DataError(f"{folder} must hold a folder of .jpg or .png files for each class")
    return found


def _zipped(files: Sequence[Path]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return content.getvalue()


def _json(server: Server, method: str, path: str, body: bytes | None = None) -> Any:
    connection = server.connect()
    try:
        _, content = ask(connection, method, path, body, MULTIPART)
        return json.loads(content)
    finally:
        connection.close()


def scores(server: Server, file: Path, classifier: str) -> dict[str, float]:
    """What a classifier says about a picture, whatever the score."""
    path = f"{CLASSIFY}&threshold=0&classifier_ids={classifier}"
    answer = _json(server, "POST", path, form({"images_file": file.read_bytes()}))
    classes = answer["images"][0]["classifiers"][0]["classes"]
    return {entry["class"]: entry["score"] for entry in classes}


def split(
    server: Server, pictures: Mapping[str, Sequence[Path]], train: int, seed: int
) -> dict[str, Any]:
    """Train on some and ask about the others."""
    random = np.random.default_rng(seed)
    parts, asked = {"name": b"things"}, []
    for name, files in pictures.items():
        order = [files[index] for index in random.permutation(len(files))]
        parts[f"{name}_positive_examples"] = _zipped(order[:train])
        asked += [(file, name) for file in order[train:]]
    start = time.perf_counter()
    made = _json(server, "POST", CLASSIFIERS, form(parts))
    while made["status"] == "training":
        time.sleep(POLL)
        made = _json(server, "GET", f"/v3/classifiers/{made['classifier_id']}?{VERSION}")
    seconds = time.perf_counter() - start
    if made["status"] != "ready":
        raise DataError(f"the training failed: {made.get('explanation')}")
    start = time.perf_counter()
    answers = [(scores(server, file, made["classifier_id"]), name) for file, name in asked]
    each = (time.perf_counter() - start) / len(asked)
    return {
        "right": sum(max(found, key=found.__getitem__) == name for found, name in answers),
        "one class": sum(sum(s >= 0.5 for s in found.values()) == 1 for found, _ in answers),
        "asked": len(asked),
        "ready": seconds,
        "ms": 1000 * each,
        "explanation": made["explanation"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.things",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a folder for each class")
    parser.add_argument("--train", type=int, default=40, help="of each class (default: 40)")
    parser.add_argument("--splits", type=int, default=5, help="how often (default: 5)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each number of clients")
    arguments = parser.parse_args(argv)
    try:
        pictures = pictures_of(arguments.folder)
        with running() as server:
            rest = memory_mb(process=str(server.pid))
            found = [
                split(server, pictures, arguments.train, seed) for seed in range(arguments.splits)
            ]
            for each in found:
                print(
                    f"{each['right']} of {each['asked']} right, one class for {each['one class']}, "
                    f"ready in {each['ready']:.1f} s, {each['ms']:.0f} ms a picture. "
                    f"{each['explanation']}"
                )
            asked = sum(each["asked"] for each in found)
            right, one = (
                100 * sum(each[what] for each in found) / asked for what in ("right", "one class")
            )
            print(f"mean: {right:.1f} % right, one class for {one:.1f} %")
            files = [file for each in pictures.values() for file in each]
            body = form({"images_file": files[0].read_bytes()})
            for clients in arguments.clients:
                busy = load(
                    server, CLASSIFY, body, MULTIPART, clients=clients, seconds=arguments.seconds
                )
                print(
                    f"default, {clients} clients: {busy['per_second']} a second, "
                    f"{busy['refused']} refused"
                )
            print(f"memory: {rest} MB at first, at most {memory_mb(process=str(server.pid))} MB")
            for classifier in ("default", "emotion"):
                moods = [
                    file for file in files if set(CLASSES) & set(scores(server, file, classifier))
                ]
                print(f"{classifier}: {len(moods)} of {len(files)} pictures with a mood:")
                for file in moods:
                    print(f"  {file.relative_to(arguments.folder)}")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

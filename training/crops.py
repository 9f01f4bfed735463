"""Aligned crops of many frames, made in parallel and kept on disk by ``crop_cache``."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shelly_local.batch.workers import interrupts_held, start_workers
from shelly_local.errors import DataError, ShellyError
from shelly_local.vision.classifier import aligned_crops, find_faces
from shelly_local.vision.detector import FaceDetector

from .crop_cache import CropCache, Framing
from .dataset import Frame
from .frames import Reader, place

#: Reasons for a frame to have no crop.
NO_FACE, UNREADABLE = "no face", "unreadable"
#: Frames of one task of a worker: few enough that an interrupt is obeyed within seconds.
_CHUNK = 8


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of frames, in the order of the frames.

    Attributes:
        images: uint8 (N, size, size), grey; black where no face was found.
        found: bool (N,), whether there is a crop.
        problems: labels of the frames without one, by reason (``NO_FACE``, ``UNREADABLE``).
    """

    images: NDArray[np.uint8]
    found: NDArray[np.bool_]
    problems: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.images)


def extract(
    frames: Sequence[Frame],
    cache: Path,
    *,
    model: Framing,
    workers: int | None = None,
    progress: bool = True,
) -> Crops:
    """The largest face of each frame, cut out exactly as in use.

    Crops in the cache are reused, wherever their pictures lie now; the others are made, and kept
    even if the run is interrupted: the same call goes on. Frames that cannot be read are tried
    again in the next run.

    Args:
        frames: the pictures.
        cache: folder for the crops, made if needed. It holds faces: under MUG's licence it
            must not be shared.
        model: an ``EmotionModel``, or what frames faces alike.
        workers: processes; one per core by default. A script that uses more than one needs
            the guard ``if __name__ == "__main__"``.
        progress: show a bar with crops per second, if there is a terminal, and name the
            unreadable frames with the reason.

    Raises:
        DataError: the cache cannot be written, its disk is too small, or a worker died.
        ModelError: the detector is missing or damaged.
        ValueError: ``workers`` is less than 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    kept = CropCache(cache, model)
    problems: dict[Frame, str] = {}
    with Reader() as reader:
        pictures = {frame: _hash(frame, reader, problems) for frame in frames}
    missing = {
        picture: frame
        for frame, picture in pictures.items()
        if frame not in problems and picture not in kept.crops
    }
    if missing:
        kept.prepare(len(missing))
        _make(
            list(missing.items()), model, kept, problems, workers or os.cpu_count() or 1, progress
        )
    images = np.zeros((len(frames), kept.size, kept.size), dtype=np.uint8)
    found = np.zeros(len(frames), dtype=bool)
    names: dict[str, list[str]] = {NO_FACE: [], UNREADABLE: []}
    for index, frame in enumerate(frames):
        crop = kept.crops.get(pictures[frame])
        if crop is not None:
            images[index], found[index] = crop, True
        elif pictures[frame] in kept.crops:
            names[NO_FACE].append(frame.label)
        else:
            names[UNREADABLE].append(frame.label)
            if progress:
                reason = problems.get(frame) or problems[missing[pictures[frame]]]
                print(f"{place(frame)}: {reason}", file=sys.stderr)
    return Crops(images, found, names)


def _hash(frame: Frame, reader: Reader, problems: dict[Frame, str]) -> bytes:
    """SHA-256 of a picture's bytes; empty if it cannot be read."""
    try:
        if frame.path.exists() and not frame.path.is_file():  # a pipe might never end
            raise DataError("not a regular file")
        return hashlib.sha256(reader.read(frame)).digest()
    except (ShellyError, OSError, ValueError) as error:
        problems[frame] = str(error)
        return b""


@dataclass(frozen=True)
class _Result:
    """What became of one picture.

    Attributes:
        picture: SHA-256 of its bytes.
        frame: where it lies.
        crop: uint8 (size, size); None without a face.
        problem: why it is unreadable.
    """

    picture: bytes
    frame: Frame
    crop: NDArray[np.uint8] | None = None
    problem: str = ""


class _Cropper:
    """Makes crops, with a detector of its own."""

    def __init__(self, size: int, template: NDArray[np.float64]) -> None:
        self._size, self._template = size, template
        self._detector = FaceDetector(threads=1)
        self._reader = Reader()

    def run(self, chunk: list[tuple[bytes, Frame]]) -> list[_Result]:
        return [self._crop(picture, frame) for picture, frame in chunk]

    def _crop(self, picture: bytes, frame: Frame) -> _Result:
        try:
            content = self._reader.read(frame)
            if hashlib.sha256(content).digest() != picture:
                return _Result(picture, frame, problem="it changes while it is read")
            photo, faces = find_faces(self._detector, content)
        except ShellyError as error:
            return _Result(picture, frame, problem=str(error))
        crops = aligned_crops(photo.pixels, faces[:1], size=self._size, template=self._template)
        return _Result(picture, frame, crops[0] if faces else None)


_framing: tuple[int, NDArray[np.float64]] | None = None
_cropper: _Cropper | None = None


def _start_worker(*framing: Any) -> None:
    """First thing in a worker process."""
    global _framing
    _framing = framing


def _work(chunk: list[tuple[bytes, Frame]]) -> list[_Result]:
    """Crops of a chunk, in a worker process."""
    global _cropper
    if _cropper is None:
        assert _framing is not None
        _cropper = _Cropper(*_framing)
    return _cropper.run(chunk)


def _results(
    chunks: list[list[tuple[bytes, Frame]]], model: Framing, workers: int
) -> Generator[list[_Result], None, None]:
    """Results chunk by chunk; closing ends the workers."""
    framing = model.size, model.template
    if workers == 1:
        yield from map(_Cropper(*framing).run, chunks)
        return
    pool = start_workers(workers, _start_worker, framing)
    try:
        with interrupts_held():
            results = pool.map(_work, chunks)
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def _make(
    missing: list[tuple[bytes, Frame]],
    model: Framing,
    kept: CropCache,
    problems: dict[Frame, str],
    workers: int,
    progress: bool,
) -> None:
    """Make the missing crops; whatever ends it, what is done is kept."""
    chunks = [missing[i : i + _CHUNK] for i in range(0, len(missing), _CHUNK)]
    results = _results(chunks, model, min(workers, len(chunks)))
    bar = tqdm(total=len(missing), desc="crops", unit=" crops", disable=None if progress else True)
    try:
        with bar, closing(results):
            for chunk in results:
                for result in chunk:
                    if result.problem:
                        problems[result.frame] = result.problem
                    else:
                        kept.add(result.picture, result.crop)
                bar.update(len(chunk))
    except BrokenProcessPool as error:
        raise DataError(
            f"A worker process died, perhaps for want of memory; {workers} were running. The "
            "finished crops are kept: give the same command with fewer workers."
        ) from error
    finally:
        kept.flush()

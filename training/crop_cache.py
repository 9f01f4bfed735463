"""Crops on disk, found by the content of their pictures.

The cache holds faces. Those of a licensed database, such as MUG, stay under its licence:
keep the cache as private as the pictures, do not share it, do not publish it.

Crops lie in shards of up to ``SHARD``, in a folder per detector, template and size; in it a
crop is found by the SHA-256 of its picture's bytes. A changed picture or template thus makes
a new crop, and a picture that was moved or copied keeps its own. Each shard is complete or
not there: it is written under another name first, and zip's checksums tell a damaged one,
whose crops are made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import DataError
from shelly_local.files import write_whole
from shelly_local.vision.classifier import DETECTION_SIDE
from shelly_local.vision.detector import identity_of

#: Frames in a shard, and so the most that a kill can lose: a minute or two of work.
SHARD = 1000
#: To be raised when decoding or alignment changes crops while weights stay.
RECIPE = 3
#: Seconds after which a half-written shard belongs to no run any more.
_ABANDONED = 600.0
#: Bytes of a SHA-256.
_HASH = 32
#: Arrays of a shard.
_ARRAYS = ("pictures", "found", "images")

Crop = NDArray[np.uint8]


class Framing(Protocol):
    """What decides how a crop is cut; an ``EmotionModel`` has it."""

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""

    @property
    def template(self) -> NDArray[np.float64]:
        """(5, 2), where the landmarks go, in units of the side."""


def framing_key(framing: Framing) -> str:
    """Names all that decides a crop besides its picture: detector, template, size."""
    template = np.asarray(framing.template, dtype=float).tolist()
    parts = [RECIPE, DETECTION_SIDE, identity_of(), template, framing.size]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class CropCache:
    """The crops of one framing on disk, and those not yet written.

    Args:
        folder: the cache, shared by all framings. Nothing is written outside of it.
        framing: how the crops are cut.

    Attributes:
        size: side of a crop in pixels.
        crops: SHA-256 of a picture to its crop, uint8 (size, size); None without a face.
    """

    def __init__(self, folder: Path, framing: Framing) -> None:
        self.size = framing.size
        self.crops: dict[bytes, Crop | None] = {}
        self._root = folder
        self._folder = folder / f"crops-{framing_key(framing)}"
        self._new: list[bytes] = []
        for shard in sorted(self._folder.glob("*.npz")):
            self._load(shard)

    def _load(self, shard: Path) -> None:
        try:
            with np.load(shard, allow_pickle=False) as arrays:
                pictures, found, images = (arrays[name] for name in _ARRAYS)
            count = len(pictures)
            shapes = [pictures.shape, found.shape, images.shape]
            kinds = [pictures.dtype, found.dtype, images.dtype]
            wanted = [(count, _HASH), (count,), (count, self.size, self.size)]
            if shapes != wanted or kinds != [np.uint8, np.bool_, np.uint8]:
                raise ValueError("not a shard of crops")
        except OSError as error:
            print(f"{shard} cannot be read, its crops are made again: {error}", file=sys.stderr)
            return
        except Exception:  # on damage numpy and zipfile raise nearly every built-in error
            print(f"{shard} is damaged, its crops are made again.", file=sys.stderr)
            with suppress(OSError):
                shard.unlink()
            return
        for picture, has_face, image in zip(pictures, found, images, strict=True):
            self.crops[picture.tobytes()] = image if has_face else None

    def prepare(self, count: int) -> None:
        """Make sure that crops can be written.

        Args:
            count: how many there will be.

        Raises:
            DataError: the folder cannot be made or written, or its disk is too small.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Faces under a licence should not slip into a repository.
            (self._folder / ".gitignore").write_text("*\n")
            for partial in self._folder.glob("*.part"):
                if time.time() - partial.stat().st_mtime > _ABANDONED:
                    partial.unlink()
            with tempfile.TemporaryFile(dir=self._folder):
                pass
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise self._unwritable(error) from error
        needed = count * (self.size**2 + _HASH + 1)
        if free < needed:
            raise DataError(
                f"The cache folder {self._root} needs {needed / 1e6:,.0f} MB for {count:,} "
                f"crops; its disk has {free / 1e6:,.0f} MB left."
            )

    def add(self, picture: bytes, crop: Crop | None) -> None:
        """Remember the crop of a picture.

        Raises:
            DataError: a shard is full and cannot be written.
        """
        self.crops[picture] = crop
        self._new.append(picture)
        if len(self._new) >= SHARD:
            self.flush()

    def flush(self) -> None:
        """Write what is not yet on disk.

        Raises:
            DataError: it cannot be written.
        """
        if not self._new:
            return
        crops = [self.crops[picture] for picture in self._new]
        images = np.zeros((len(crops), self.size, self.size), dtype=np.uint8)
        for image, crop in zip(images, crops, strict=True):
            if crop is not None:
                image[:] = crop
        shard = io.BytesIO()
        np.savez(
            shard,
            pictures=np.frombuffer(b"".join(self._new), np.uint8).reshape(-1, _HASH),
            found=np.array([crop is not None for crop in crops], dtype=bool),
            images=images,
        )
        try:
            write_whole(self._folder / f"{uuid.uuid4().hex}.npz", shard.getvalue())
        except OSError as error:
            raise self._unwritable(error) from error
        self._new = []

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"The cache folder {self._root} cannot be written: {error.strerror or error}. "
            "Crops that are finished are kept."
        )

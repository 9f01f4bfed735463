"""Landmarks of FER2013 faces, found once, kept beside the run, turned into alignments."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from shelly_local.files import replacing
from shelly_local.vision.alignment import similarity_transform
from shelly_local.vision.detector import Detector, FaceDetector, identity_of

from .fer2013 import SIDE

#: Side to which the 48-pixel faces are enlarged before the search, in pixels.
ENLARGED_SIDE = 192
#: An alignment that changes the framing more than this is a mistake of the detector.
MAX_SCALE, MAX_DEGREES, MAX_SHIFT = 1.6, 40.0, 0.25
_CHUNK = 200

_detector: FaceDetector | None = None


def find(image: NDArray[np.uint8], detector: Detector) -> NDArray[np.float32]:
    """Landmarks of one 48x48 face in units of its side: float32 (5, 2), NaN without a face."""
    size = (ENLARGED_SIDE, ENLARGED_SIDE)
    large = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pixels = np.asarray(large)
    faces = [face for face, _ in detector.examined(pixels, detector.detect(pixels)[:1])]
    if not faces:
        return np.full((5, 2), np.nan, dtype=np.float32)
    landmarks = np.array(faces[0].landmarks) / ENLARGED_SIDE
    return landmarks.astype(np.float32)


def _find_all(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Landmarks of a chunk, in a worker process with a detector of its own."""
    global _detector
    _detector = _detector or FaceDetector(threads=1)
    return np.stack([find(image, _detector) for image in images])


def find_all(images: NDArray[np.uint8], cache: Path) -> NDArray[np.float32]:
    """Landmarks of many faces, found on all cores and remembered.

    Args:
        images: uint8 (N, 48, 48).
        cache: folder for the result; its file name depends on pictures and detector.

    Returns:
        float32 (N, 5, 2) in units of the side; NaN where no face was found.
    """
    key = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    key.update(identity_of().encode())
    file = cache / f"landmarks-{key.hexdigest()[:16]}.npy"
    if file.exists():
        found: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return found
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts: Iterator[NDArray[np.float32]] = pool.map(
            _find_all, (images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK))
        )
        bar = tqdm(total=len(images), desc="landmarks", disable=None)
        landmarks = []
        for part in parts:
            landmarks.append(part)
            bar.update(len(part))
        bar.close()
    found = np.concatenate(landmarks)
    with replacing(file) as partial, partial.open("wb") as stream:
        np.save(stream, found)
    return found


def alignments(landmarks: NDArray[np.float32], template: ArrayLike) -> Tensor:
    """For each face the transform from the aligned crop to its picture.

    Args:
        landmarks: (N, 5, 2) in units of the picture's side, NaN where unknown.
        template: (5, 2) in units of the crop's side.

    Returns:
        float32 (N, 2, 3) for ``torch.nn.functional.affine_grid``; where landmarks are
        unknown the picture stays as it is.
    """
    matrices = np.tile(np.eye(2, 3), (len(landmarks), 1, 1))
    for index, points in enumerate(landmarks):
        if not plausible(points, template):
            continue
        to_crop = similarity_transform(points, template)
        # From 0..1 in the crop to 0..1 in the picture, then both to -1..1.
        to_picture = np.linalg.inv(np.vstack([to_crop, [0.0, 0.0, 1.0]]))[:2]
        linear = to_picture[:, :2]
        matrices[index] = np.column_stack([linear, 2 * to_picture[:, 2] + linear.sum(axis=1) - 1])
    return torch.from_numpy(matrices.astype(np.float32))


def plausible(landmarks: NDArray[np.float32], template: ArrayLike) -> bool:
    """Whether landmarks of a FER2013 face are near the template: the faces are framed alike.

    Args:
        landmarks: (5, 2) in units of the side, NaN where no face was found.
        template: (5, 2) in units of the side.
    """
    if np.isnan(landmarks).any():
        return False
    to_crop = similarity_transform(landmarks, template)
    scale = float(np.hypot(to_crop[0, 0], to_crop[1, 0]))
    degrees = abs(float(np.degrees(np.arctan2(to_crop[1, 0], to_crop[0, 0]))))
    moved = np.abs(to_crop[:, :2] @ [0.5, 0.5] + to_crop[:, 2] - 0.5).max()
    return bool(1 / MAX_SCALE < scale < MAX_SCALE and degrees < MAX_DEGREES and moved < MAX_SHIFT)


def align_all(images: NDArray[np.uint8], matrices: Tensor | None) -> Tensor:
    """Crops without any change at random, uint8 (N, 1, 48, 48).

    Args:
        images: uint8 (N, 48, 48).
        matrices: from ``alignments``; None shows the whole pictures.
    """
    if matrices is None:
        return torch.from_numpy(images).unsqueeze(1)
    crops = []
    for start in range(0, len(images), 1024):
        batch = torch.from_numpy(images[start : start + 1024]).unsqueeze(1).float()
        grid = torch.nn.functional.affine_grid(
            matrices[start : start + 1024], [len(batch), 1, SIDE, SIDE], align_corners=False
        )
        crop = torch.nn.functional.grid_sample(
            batch, grid, padding_mode="border", align_corners=False
        )
        crops.append(crop.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(crops)

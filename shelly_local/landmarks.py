"""Steady landmarks: O-Net asked again, on windows that the landmarks themselves define.

MTCNN places landmarks once, in the window at which its cascade happened to arrive. Another
reduction of the same photo leads to another window, and the landmarks move by 2 % of the
distance of the eyes (median), up to 5 %. Windows laid out from the landmarks forget where the
cascade came from; averaging over a few of them leaves 0.2 %. It is how cascaded
shape regression works (Cao et al. 2012, "Face Alignment by Explicit Shape Regression").
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from shelly_local.alignment import FER2013_TEMPLATE, align, similarity_transform, zoomed
from shelly_local.results import Face

#: Side of O-Net's window, in pixels.
WINDOW = 48
#: Sizes of the face in the windows of each round, of the size in FER2013, where landmarks lie
#: as in the windows that MTCNN cuts out: first one window to come near, then three whose errors
#: differ. Two rounds of three move the landmarks of 102 portraits no less than these do.
ROUNDS = ((1.0,), (0.9, 1.0, 1.1))
#: All windows are cut from one upright patch around the face: its side, in pixels, and the size
#: of the face in it. Patch and windows average two samples a pixel and direction (``alignment``):
#: with one, landmarks move twice as far when a photo is halved.
PATCH, PATCH_ZOOM, SAMPLES = 96, 0.7, 2
#: Landmarks that move farther than this share of the eyes' distance are no face's (portraits: at
#: most 0.06); what the cascade said is kept.
MOST_MOVED = 0.5


def steady(session: InferenceSession, pixels: NDArray[np.uint8], face: Face) -> Face:
    """The same face with landmarks that hardly depend on how it was found.

    Args:
        session: O-Net; see ``faces``.
        pixels: uint8 (H, W, 3), RGB.
        face: as MTCNN found it.
    """
    template = zoomed(FER2013_TEMPLATE, PATCH_ZOOM)
    patch = align(pixels, face.landmarks, size=PATCH, template=template, samples=SAMPLES)
    to_patch = _matrix(face.landmarks, template * PATCH)
    start = points = _moved(np.asarray(face.landmarks), to_patch)
    farthest = MOST_MOVED * PATCH * float(template[1, 0] - template[0, 0])
    for zooms in ROUNDS:
        templates = [zoomed(FER2013_TEMPLATE, zoom) for zoom in zooms]
        windows = [
            align(patch, points, size=WINDOW, template=each, samples=SAMPLES) for each in templates
        ]
        inputs = np.stack(windows).transpose(0, 3, 1, 2).astype(np.float32)
        _, shares, _ = session.run(None, {"pictures": np.ascontiguousarray(inputs)})
        # Five x, then five y, as shares of the window.
        found = shares.reshape(-1, 2, 5).transpose(0, 2, 1) * WINDOW
        to_windows = [_matrix(points, each * WINDOW) for each in templates]
        points = np.mean(
            [_moved_back(p, m) for p, m in zip(found, to_windows, strict=True)], axis=0
        )
        if not np.linalg.norm(points - start, axis=1).mean() <= farthest:
            return face
    landmarks = _moved_back(points, to_patch)
    return replace(face, landmarks=tuple((float(x), float(y)) for x, y in landmarks))


def _matrix(source: object, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity transform as a homogeneous matrix, (3, 3)."""
    points = np.asarray(source, dtype=np.float64)
    return np.vstack([similarity_transform(points, target), [0.0, 0.0, 1.0]])


def _moved(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def _moved_back(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return _moved(points, np.asarray(np.linalg.inv(matrix), dtype=np.float64))

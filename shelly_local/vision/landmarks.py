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

from shelly_local.results import Face
from shelly_local.vision.alignment import (
    FER2013_TEMPLATE,
    cut_out,
    inverted,
    similarity_transform,
    upright_square,
    zoomed,
)

#: Side of O-Net's window, in pixels.
WINDOW = 48
#: Sizes of the face in the windows of each round, of the size in FER2013, where landmarks lie
#: as in the windows that MTCNN cuts out: first one window to come near, then four whose errors
#: differ. Three take 0.4 ms less, and leave a portrait of a face between two moods 0.021 off.
ROUNDS = ((1.0,), (0.85, 0.95, 1.05, 1.15))
#: All windows are cut from one square around the face: its side in pixels, for an upright face,
#: and the size of the face in it. It is grey, as the training pictures are, which takes a third
#: less time than colours. With 128 pixels, portraits at half their size are answered
#: further off.
PATCH, PATCH_ZOOM = 160, 0.7
#: Samples a pixel of a window and direction. With one, landmarks move twice as far when a photo
#: is halved.
SAMPLES = 2
#: Where the landmarks go in the windows of each round, in pixels.
_TEMPLATES = tuple(
    tuple(zoomed(FER2013_TEMPLATE, zoom) * WINDOW for zoom in zooms) for zooms in ROUNDS
)
#: Landmarks that move farther than this share of the eyes' distance are no face's (portraits: at
#: most 0.06); what the cascade said is kept.
MOST_MOVED = 0.5


def steady(session: InferenceSession, pixels: NDArray[np.uint8], face: Face) -> tuple[Face, float]:
    """The same face with landmarks that hardly depend on how it was found.

    Args:
        session: O-Net; see ``faces``.
        pixels: uint8 (H, W, 3), RGB.
        face: as MTCNN found it.

    Returns:
        The face, and O-Net's mean probability of a face in the last windows, 0 to 1; 0 where
        the landmarks moved too far and are those of ``face``.
    """
    to_patch = similarity_transform(face.landmarks, zoomed(FER2013_TEMPLATE, PATCH_ZOOM) * PATCH)
    patch, to_patch = upright_square(pixels, to_patch, size=PATCH)
    start = points = _moved(np.asarray(face.landmarks), to_patch)
    farthest = MOST_MOVED * float(np.linalg.norm(start[1] - start[0]))
    for templates in _TEMPLATES:
        to_windows = [similarity_transform(points, template) for template in templates]
        windows = [cut_out(patch, each, size=WINDOW, samples=SAMPLES) for each in to_windows]
        inputs = np.repeat(np.stack(windows)[:, None], 3, axis=1).astype(np.float32)
        _, shares, probability = session.run(None, {"pictures": inputs})
        # Five x, then five y, as shares of the window.
        found = shares.reshape(-1, 2, 5).transpose(0, 2, 1) * WINDOW
        points = np.mean(
            [_moved(each, inverted(m)) for each, m in zip(found, to_windows, strict=True)], axis=0
        )
        if not np.linalg.norm(points - start, axis=1).mean() <= farthest:
            return face, 0.0
    landmarks = _moved(points, inverted(to_patch))
    steadied = replace(face, landmarks=tuple((float(x), float(y)) for x, y in landmarks))
    return steadied, float(probability.mean())


def _moved(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])

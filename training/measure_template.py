"""Measure where the landmarks lie in FER2013 pictures: the template for real photos.

    python -m training.measure_template --fer2013 DIR

FER2013 faces come already cropped. A photo must be cropped alike or the model sees faces
of another size and place than it learnt from: ``shelly_local.vision.alignment`` maps landmarks to
the mean position measured here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shelly_local.errors import DataError
from shelly_local.vision.detector import FaceDetector

from . import fer2013
from .landmarks import find
from .options import Command, exit_code

NAMES = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
#: Which landmark each one becomes in the mirror.
MIRRORED = [1, 0, 2, 4, 3]


def measure(images: NDArray[np.uint8], detector: FaceDetector) -> NDArray[np.float64]:
    """Landmarks of the pictures in which a face is found, in units of the side.

    Args:
        images: uint8 (N, 48, 48).

    Returns:
        float64 (M, 5, 2), M <= N.
    """
    found = [find(image, detector) for image in tqdm(images, desc="faces", disable=None)]
    landmarks = np.array(found, dtype=np.float64).reshape(-1, 5, 2)
    return landmarks[~np.isnan(landmarks).any(axis=(1, 2))]


def symmetrical(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median landmarks (M, 5, 2) to (5, 2), alike for a face and its mirror image.

    The median, because some of these faces are profiles and some finds are wrong;
    symmetrical, because half of the training pictures are mirrored.
    """
    middle = np.median(landmarks, axis=0)
    mirrored = middle[MIRRORED] * [-1, 1] + [1, 0]
    return np.asarray((middle + mirrored) / 2)


def main(argv: list[str] | None = None) -> int:
    """Print mean and deviation of the landmarks."""
    does = "Mean landmarks of FER2013 faces."
    parser = Command("measure_template", does, "--fer2013 data/fer2013 --count 500")
    parser.path("--fer2013", "DIR", "folder of FER2013 and FER+", required=True)
    parser.value("--count", 2000, "pictures of the training part")
    arguments = parser.parse_args(argv)

    def work() -> None:
        images = fer2013.load(arguments.fer2013, "train").images
        chosen = np.random.default_rng(0).permutation(len(images))[: arguments.count]
        landmarks = measure(images[chosen], FaceDetector())
        if not len(landmarks):
            raise DataError("no face was found in these pictures")
        print(f"faces found in {len(landmarks)} of {len(chosen)} pictures; units of the side:")
        middles, deviations = symmetrical(landmarks), landmarks.std(axis=0)
        for name, (x, y), (dx, dy) in zip(NAMES, middles, deviations, strict=True):
            print(f"{name:18}  x {x:.4f} ± {dx:.4f}   y {y:.4f} ± {dy:.4f}")

    return exit_code(work)


if __name__ == "__main__":
    raise SystemExit(main())

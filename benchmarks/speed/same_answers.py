"""Whether the fast path answers as the reference path does, photo by photo.

The reference is ``detection="thorough"``: faces are looked for on all levels of the pyramid, in a
photo decoded in full (one of more than 2,560 pixels is halved while it is decoded). The fast path
is ``EmotionClassifier`` as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shelly_local.batch.inputs import PICTURE_SUFFIXES
from shelly_local.errors import ImageError
from shelly_local.results import FaceEmotion
from shelly_local.vision.classifier import EmotionClassifier

#: Largest difference of a probability that counts as the same answer.
TOLERANCE = 0.02
#: Overlap (intersection over union) from which on two boxes are the same face.
SAME_FACE_IOU = 0.5


@dataclass(frozen=True)
class Comparison:
    """One photo, answered by both.

    Attributes:
        photo: the name of its file.
        fast, reference: number of faces.
        largest_found: whether both found the reference's largest face, or both nothing.
        same_mood: whether the faces that both found have the same best class.
        difference: largest difference of a probability among those faces, 0 to 1.
        missed: widths of the reference's faces that the fast path lacks, as shares of the
            photo's longer side.
    """

    photo: str
    fast: int
    reference: int
    largest_found: bool
    same_mood: bool
    difference: float
    missed: tuple[float, ...]

    @property
    def same(self) -> bool:
        """Whether both answered the same."""
        near = self.difference <= TOLERANCE
        return self.largest_found and self.same_mood and near and not self.missed


def compare_folder(folder: Path) -> dict[str, Any]:
    """Both answers to every picture below a folder: counts, quantiles of the differences, and
    under ``differing`` a row for each that differs. What cannot be decoded is left out.
    """
    fast, reference = EmotionClassifier(), EmotionClassifier(detection="thorough")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
    found = (_compare(file, fast, reference) for file in tqdm(files, "pictures", disable=None))
    rows = [row for row in found if row is not None]
    differences = np.array([each.difference for each in rows] or [0.0])
    return {
        "folder": folder.name,
        "photos": len(rows),
        "largest_face_differs": sum(not each.largest_found for each in rows),
        "number_of_faces_differs": sum(each.fast != each.reference for each in rows),
        "moods_differ": sum(not each.same_mood for each in rows),
        "above_tolerance": int((differences > TOLERANCE).sum()),
        "largest_difference": round(float(differences.max()), 4),
        "difference_p95": round(float(np.quantile(differences, 0.95)), 4),
        "difference_median": round(float(np.median(differences)), 4),
        "differing": [asdict(row) for row in rows if not row.same],
    }


def _compare(
    photo: Path, fast: EmotionClassifier, reference: EmotionClassifier
) -> Comparison | None:
    """Both answers to a photo; None where it cannot be decoded."""
    content = photo.read_bytes()
    try:
        found, expected = fast.classify(content), reference.classify(content)
    except ImageError:
        return None
    pairs = [(face, _match(face, found.faces)) for face in expected.faces]
    both = [(face, match) for face, match in pairs if match is not None]
    longer = max(expected.width, expected.height)
    differences = [abs(a.scores[name] - b.scores[name]) for a, b in both for name in a.scores]
    return Comparison(
        photo=photo.name,
        fast=len(found.faces),
        reference=len(expected.faces),
        largest_found=pairs[0][1] is not None if pairs else not found.faces,
        same_mood=all(face.emotion == match.emotion for face, match in both),
        difference=round(max(differences, default=0.0), 4),
        missed=tuple(
            (face.face.box[2] - face.face.box[0]) / longer for face, match in pairs if match is None
        ),
    )


def _match(face: FaceEmotion, others: Iterable[FaceEmotion]) -> FaceEmotion | None:
    best = max(others, key=lambda other: _overlap(face, other), default=None)
    return best if best is not None and _overlap(face, best) >= SAME_FACE_IOU else None


def _overlap(first: FaceEmotion, second: FaceEmotion) -> float:
    a, b = first.face.box, second.face.box
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    common = width * height
    return common / (first.face.area + second.face.area - common)

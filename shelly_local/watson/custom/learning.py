"""What a custom classifier learns from: faces, whole pictures or both, as the pictures tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import TrainingError
from shelly_local.watson.custom.heads import KINDS, Heads, train_heads

#: Share of the pictures of every class that must show a face for faces to be learnt from.
FACES_SHARE = 0.8
#: What cross-validation must gain for pictures, or both, to be preferred to faces alone: whoever
#: sends faces means faces, and what lies behind them may differ by chance.
_LEAST_GAIN = 0.1
#: Loss of scores that tell nothing, and the share of it from which on a classifier is no better.
_CHANCE_LOSS, _CHANCE_SHARE = float(np.log(2.0)), 0.97
#: Fewest faces on each side of a class.
_MIN_FACES = 5


def inputs(
    kind: str, faces: NDArray[np.float32], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What heads of a kind are computed from.

    Args:
        kind: one of ``KINDS``.
        faces: (N, D), embeddings of faces, zero where there is none.
        features: (N, E), of ``vision.encoder``.

    Returns:
        (N, D), (N, E) or (N, D + E). Embeddings of faces alone stay as they are, all others have
        length 1, so that none counts more.
    """
    if kind == "faces":
        return faces
    if kind == "pictures":
        return _unit(features)
    return np.concatenate([_unit(faces), _unit(features)], axis=1)


def learn(
    faces: NDArray[np.float32],
    features: NDArray[np.float32],
    shows_face: NDArray[np.int8],
    positive: NDArray[np.bool_],
    way: str = "auto",
) -> tuple[Heads, str]:
    """The heads, and a sentence on what they were learnt from.

    Args:
        faces, features: see :func:`inputs`; E is 0 where the pictures are not known any more.
        shows_face: (N,), see ``pictures.Pictures``.
        positive: (N, C), see ``heads.train_heads``.
        way: one of ``names.WAYS``.

    Raises:
        TrainingError: too few faces where nothing else is known, or cross-validation is no better
            than chance.
    """
    has_face, looked_at = shows_face == 1, int((shows_face >= 0).sum())
    which = "" if looked_at == len(shows_face) else f" of {len(shows_face)} that were looked at"
    shown = f"{int(has_face.sum())} of {looked_at} pictures{which} show a face"
    if way == "faces" or not features.shape[1]:
        if not all(_enough_faces(has_face, column) for column in positive.T):
            raise TrainingError(f"There are too few faces to learn from them ({shown}).")
        best = _fit("faces", faces, features, has_face, positive)
    elif way in KINDS:
        best = _fit(way, faces, features, np.ones_like(has_face), positive)
    elif not _shows_faces(has_face, positive):
        best = _fit("pictures", faces, features, np.ones_like(has_face), positive)
    else:
        # All on the same rows, so that the losses can be compared.
        best = _fit("faces", faces, features, has_face, positive)
        for kind in ("both", "pictures"):
            other = _fit(kind, faces, features, has_face, positive)
            if other.loss < best.loss * (1 - _LEAST_GAIN):
                best = other
    if best.loss > _CHANCE_SHARE * _CHANCE_LOSS:
        raise TrainingError(
            "The classes cannot be told apart: in cross-validation the classifier is no better "
            f"than chance ({shown})."
        )
    what = {"faces": "faces", "pictures": "whole pictures", "both": "faces and whole pictures"}
    return best, f"Learnt from {what[best.kind]}: {shown}."


def _shows_faces(has_face: NDArray[np.bool_], positive: NDArray[np.bool_]) -> bool:
    return all(
        has_face[column].mean() >= FACES_SHARE and _enough_faces(has_face, column)
        for column in positive.T
    )


def _enough_faces(has_face: NDArray[np.bool_], column: NDArray[np.bool_]) -> bool:
    return bool(min(has_face[column].sum(), has_face[~column].sum()) >= _MIN_FACES)


def _fit(
    kind: str,
    faces: NDArray[np.float32],
    features: NDArray[np.float32],
    rows: NDArray[np.bool_],
    positive: NDArray[np.bool_],
) -> Heads:
    return train_heads(inputs(kind, faces[rows], features[rows]), positive[rows], kind)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)

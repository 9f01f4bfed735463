"""FER2013 as tensors: pictures, targets, weights and alignment on the training device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from shelly_local.errors import DataError
from shelly_local.results import CLASSES

from .fer2013 import Faces

#: Expressions that FER+ has few pictures of: its voters call many of them anger or surprise.
RARE_CLASSES = ("disgust", "fear")


def to_tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (N, 48, 48) to a uint8 tensor (N, 1, 48, 48) on the device."""
    return torch.from_numpy(images).unsqueeze(1).to(device)


@dataclass(frozen=True)
class TrainingData:
    """The training part on the device.

    Attributes:
        pictures: uint8 (N, 1, 48, 48).
        targets: float (N, 7), rows sum to 1.
        weights: float (N,), how much each picture counts.
        alignment: float (N, 2, 3) for ``augment``, or None.
    """

    pictures: Tensor
    targets: Tensor
    weights: Tensor
    alignment: Tensor | None


def prepare(
    faces: Faces,
    alignment: Tensor | None,
    device: torch.device,
    *,
    balance: float,
    label_share: float,
    rare_label_share: float,
    smile_label_share: float,
    label_smoothing: float,
    teachers: Tensor | None = None,
    teacher_share: float = 0.0,
) -> TrainingData:
    """Targets and weights of the training part.

    Args:
        faces: the training part.
        alignment: from ``training.landmarks.alignments``, or None.
        device: where the result lies.
        balance: a picture counts by (mean frequency / frequency of its classes) to this power.
        label_share: share of the 2013 label in the target, the rest are votes.
        rare_label_share: the same where that label is one of ``RARE_CLASSES`` and at least
            one person voted for it.
        smile_label_share: the same where that label is happiness: faint smiles.
        label_smoothing: share of the uniform distribution mixed in.
        teachers: float (N, 7), probabilities of other models, or None.
        teacher_share: share of them in the target.

    Raises:
        DataError: a class has no picture.
    """
    votes, counts = (torch.from_numpy(array) for array in faces.soft_targets())
    labels = F.one_hot(torch.from_numpy(faces.labels), votes.shape[1]).float()
    shares = torch.full((len(labels), 1), label_share)
    for name in (*RARE_CLASSES, "happiness"):
        column = CLASSES.index(name)
        chosen = (torch.from_numpy(faces.labels) == column) & (votes[:, column] > 0)
        share = smile_label_share if name == "happiness" else rare_label_share
        shares[chosen] = max(share, label_share)
    targets = votes * (1 - shares) + labels * shares
    for column, name in enumerate(CLASSES):
        if not bool((targets[:, column] * counts > 0).any()):
            raise DataError(f"no training picture shows {name}; every class needs some.")
    frequency = (targets * counts[:, None]).sum(0) / counts.sum()
    rarity = (1 / (len(frequency) * frequency.clamp(min=1e-4))).pow(balance)
    weights = counts * (targets * rarity).sum(1)
    if teachers is not None:
        targets = targets * (1 - teacher_share) + teachers * teacher_share
    targets = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    return TrainingData(
        to_tensor(faces.images, device),
        targets.to(device),
        (weights / weights.mean()).to(device),
        None if alignment is None else alignment.to(device),
    )


def first(faces: Faces, count: int) -> Faces:
    """The first rows of a part."""
    return Faces(faces.images[:count], faces.labels[:count], faces.votes[:count])

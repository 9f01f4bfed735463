"""FER2013 as tensors: pictures, targets, weights and alignment on the training device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from shelly_local.errors import DataError
from shelly_local.results import CLASSES

from .fer2013 import Faces
from .settings import Settings

#: Expressions that FER+ has few pictures of: its voters call many of them anger or surprise.
RARE_CLASSES = ("disgust", "fear")


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
    settings: Settings,
    teachers: Tensor | None = None,
) -> TrainingData:
    """Targets and weights of the training part.

    Args:
        faces: the training part.
        alignment: from ``training.landmarks.alignments``, or None.
        device: where the result lies.
        settings: the shares of labels, teachers and the uniform distribution in the targets, and
            the balance of the classes.
        teachers: float (N, 7), probabilities of other models, or None.

    Raises:
        DataError: a class has no picture.
    """
    votes, counts = (torch.from_numpy(array) for array in faces.soft_targets())
    labels = F.one_hot(torch.from_numpy(faces.labels), votes.shape[1]).float()
    shares = torch.full((len(labels), 1), settings.label_share)
    for name in (*RARE_CLASSES, "happiness"):
        column = CLASSES.index(name)
        chosen = (torch.from_numpy(faces.labels) == column) & (votes[:, column] > 0)
        rare = name in RARE_CLASSES
        share = settings.rare_label_share if rare else settings.smile_label_share
        shares[chosen] = max(share, settings.label_share)
    targets = votes * (1 - shares) + labels * shares
    for column, name in enumerate(CLASSES):
        if not bool((targets[:, column] * counts > 0).any()):
            raise DataError(f"no training picture shows {name}; every class needs some.")
    frequency = (targets * counts[:, None]).sum(0) / counts.sum()
    rarity = (1 / (len(frequency) * frequency.clamp(min=1e-4))).pow(settings.balance)
    weights = counts * (targets * rarity).sum(1)
    if teachers is not None:
        targets = targets * (1 - settings.teacher_share) + teachers * settings.teacher_share
    smoothing = settings.label_smoothing
    targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    return TrainingData(
        torch.from_numpy(faces.images).unsqueeze(1).to(device),
        targets.to(device),
        (weights / weights.mean()).to(device),
        None if alignment is None else alignment.to(device),
    )


def first(faces: Faces, count: int) -> Faces:
    """The first rows of a part."""
    return Faces(faces.images[:count], faces.labels[:count], faces.votes[:count])

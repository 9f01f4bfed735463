"""Answers of finished models, to learn from beside the votes (Hinton et al. 2015)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from shelly_local.results import CLASSES
from shelly_local.vision.model import DESCRIPTION_FILE
from shelly_local.vision.onnx import read_description

from . import networks
from .export import load_network
from .landmarks import align_all
from .precision import autocast


def read_teachers(text: str) -> list[tuple[Path, float]]:
    """``"a:3,b"`` to the folders and their weights; a teacher without one weighs 1.

    Raises:
        ValueError: a weight is not above 0, or one folder is empty.
        ModelError: a folder is no model directory.
    """
    teachers = []
    for part in text.split(","):
        folder, colon, weight = part.rpartition(":")
        # A colon can belong to the path, as in C:\models.
        if colon and re.fullmatch(r"\d+(\.\d*)?|\.\d+", weight):
            part, value = folder, float(weight)
        else:
            value = 1.0
        if not part or value <= 0:
            raise ValueError(
                f"--teachers takes folders separated by commas, each with a weight above 0 "
                f"behind a colon if it has one (a:3,b), got {text!r}"
            )
        read_description(Path(part) / DESCRIPTION_FILE)  # said now, and not after minutes
        teachers.append((Path(part), value))
    return teachers


def teacher_probabilities(
    teachers: Sequence[tuple[Path, float]],
    images: NDArray[np.uint8],
    alignment: Tensor | None,
    device: torch.device,
    precision: str = "float32",
) -> Tensor:
    """Weighted mean probabilities of several models, each over the face and its mirror image.

    Every teacher gets the crops that it was trained on: models that differ in this, too,
    err differently, and their mean is better than each.

    Args:
        teachers: model directories with PyTorch weights, and what each counts in the mean.
        images: uint8 (N, 48, 48), as they were cropped by the authors of FER2013.
        alignment: float (N, 2, 3) from ``training.landmarks.alignments``, for teachers that want
            faces aligned; None shows them the whole pictures.
        device: where to compute.
        precision: "bfloat16" computes in that; probabilities move by 0.001 (root mean square).

    Returns:
        float32 (N, 7) on the CPU, rows sum to 1.

    Raises:
        ModelError: a model is missing or damaged.
    """
    total = torch.zeros(len(images), len(CLASSES))
    for folder, weight in tqdm(teachers, desc="teachers", disable=None):
        description = read_description(folder / DESCRIPTION_FILE)
        settings = description.get("training", {}).get("settings", {})
        matrices = alignment if settings.get("alignment") == "landmarks" else None
        pictures = align_all(images, matrices)
        teacher = load_network(folder).to(device)
        with autocast(device, precision):
            logits = torch.from_numpy(networks.predict(teacher, pictures))
        total += weight * (logits / description["temperature"]).softmax(1)
    return total / sum(weight for _, weight in teachers)

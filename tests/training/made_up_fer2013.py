"""A made-up FER2013 that every network can learn, and a short training on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import fer2013


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FER2013's layout: noise with a bar whose height tells the class, ten votes each."""
    folder = tmp_path_factory.mktemp("fer2013")
    generator = np.random.default_rng(5)
    for part, count in (("train", 280), ("public", 70), ("private", 70)):
        labels = np.arange(count, dtype=np.uint8) % 7
        images = generator.normal(110, 8, (count, 48, 48))
        for image, label in zip(images, labels, strict=True):
            image[5 * label + 4 : 5 * label + 10, 10:38] += 90
        images = images.clip(0, 255).astype(np.uint8)
        votes = np.zeros((count, 10), np.uint8)
        votes[np.arange(count), np.array(fer2013.CLASS_COLUMNS)[labels]] = 10
        np.savez(folder / f"{part}.npz", images=images, labels=labels, votes=votes)
    return folder


def options(data: Path, out: Path, epochs: int = 4) -> list[str]:
    """The command line of a training that is right in nearly all faces at the end."""
    return [
        *("--fer2013", str(data), "--out", str(out), "--network", "small", "--device", "cpu"),
        *("--epochs", str(epochs), "--batch-size", "40", "--learning-rate", "0.05"),
        *("--ema-decay", "0.8", "--warmup-epochs", "0.5", "--alignment", "none"),
    ]

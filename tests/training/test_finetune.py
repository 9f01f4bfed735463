"""Fitting a network to faces: learning, warming up, stopping."""

from __future__ import annotations

import numpy as np
import torch

from training import networks
from training.distributed import World
from training.finetune import FitSettings, Samples, fit


def samples(count: int, seed: int) -> Samples:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 7
    images = generator.integers(0, 60, (count, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 8, 10:38] += 150
    return Samples(images, labels)


def test_from_scratch_learns_too() -> None:
    torch.manual_seed(0)
    settings = FitSettings(mode="scratch", epochs=8, batch_size=32)
    world = World(0, 1, torch.device("cpu"))
    fitted = fit(networks.build("small"), samples(280, 1), samples(70, 2), settings, world)
    assert fitted.history[-1]["validation_accuracy"] > 0.8
    assert fitted.best_epoch > 0


def test_the_rate_of_all_layers_warms_up() -> None:
    """The longer the warm-up, the less an epoch changes."""
    torch.manual_seed(0)
    start = networks.build("small")
    world = World(0, 1, torch.device("cpu"))
    moved = []
    for warmup in (0.0, 1.0, 100.0):
        settings = FitSettings(head_epochs=0, epochs=1, batch_size=32, warmup_epochs=warmup)
        fitted = fit(start, samples(280, 1), samples(70, 2), settings, world)
        before, after = (row["validation_loss"] for row in fitted.history)
        moved.append(abs(after - before))
    assert moved[0] > moved[1] > 10 * moved[2] > 0


def test_stopping_keeps_the_best_epoch() -> None:
    """Labels without any sense: validation gets worse, and the first state stays."""
    torch.manual_seed(0)
    start = networks.build("small")
    senseless = Samples(samples(140, 1).images, np.random.default_rng(0).permutation(140) % 7)
    settings = FitSettings(head_epochs=0, epochs=30, rate=0.02, patience=2, batch_size=32)
    world = World(0, 1, torch.device("cpu"))
    fitted = fit(start, senseless, samples(70, 2), settings, world)
    best = min(fitted.history, key=lambda row: row["validation_loss"])
    assert fitted.best_epoch == best["epoch"]
    assert len(fitted.history) < 31, "it stopped before the last epoch"

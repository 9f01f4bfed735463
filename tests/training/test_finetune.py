"""Fitting a network to faces: learning, warming up, stopping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from training import networks
from training.distributed import World
from training.finetune import Fit, FitSettings, Samples, finish, fit, load


def samples(count: int, seed: int) -> Samples:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 7
    images = generator.integers(0, 60, (count, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 8, 10:38] += 150
    return Samples(images, labels)


def fitted_to(start: torch.nn.Module, train: Samples, settings: FitSettings) -> Fit:
    run = load(start, train, samples(70, 2), settings, World(0, 1, torch.device("cpu")))
    fit(run)
    return run


def test_from_scratch_learns_too() -> None:
    torch.manual_seed(0)
    settings = FitSettings(mode="scratch", epochs=8, batch_size=32)
    fitted = fitted_to(networks.build("small"), samples(280, 1), settings)
    assert fitted.state.history[-1]["validation_accuracy"] > 0.8
    assert fitted.best["epoch"] > 0


def test_the_rate_of_all_layers_warms_up() -> None:
    """The longer the warm-up, the less an epoch changes."""
    torch.manual_seed(0)
    start = networks.build("small")
    moved = []
    for warmup in (0.0, 1.0, 100.0):
        settings = FitSettings(head_epochs=0, epochs=1, batch_size=32, warmup_epochs=warmup)
        fitted = fitted_to(start, samples(280, 1), settings)
        before, after = (row["validation_loss"] for row in fitted.state.history)
        moved.append(abs(after - before))
    assert moved[0] > moved[1] > 10 * moved[2] > 0


def test_stopping_keeps_the_best_epoch() -> None:
    """Labels without any sense: validation gets worse, and an earlier state stays."""
    torch.manual_seed(0)
    start = networks.build("small")
    senseless = Samples(samples(140, 1).images, np.random.default_rng(0).permutation(140) % 7)
    settings = FitSettings(head_epochs=0, epochs=30, rate=0.02, patience=2, batch_size=32)
    fitted = fitted_to(start, senseless, settings)
    stopped = fitted.state.history[-1]["epoch"]
    assert stopped - fitted.best["epoch"] == settings.patience
    others = samples(70, 2)
    logits = networks.predict(finish(fitted), torch.from_numpy(others.images).unsqueeze(1))
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(others.labels))
    assert float(loss) == pytest.approx(fitted.best["validation_loss"], rel=1e-4)
    assert len(fitted.state.history) < 31, "it stopped before the last epoch"

"""Flat minima: where gradients are taken, and that the weights come back from there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from shelly_local.vision.model import EmotionModel
from tests.training.test_pretrain import data, losses, options
from training import networks, pretrain, sharpness

__all__ = ["data"]  # a fixture, for pytest to find


def test_gradients_are_taken_uphill_and_applied_to_the_weights_as_they_were() -> None:
    torch.manual_seed(0)
    model = networks.build("small").train()
    pictures, labels = torch.rand(14, 1, 48, 48) * 255, torch.arange(14) % 7

    def loss() -> torch.Tensor:
        # Dropout would answer differently each time.
        torch.manual_seed(1)
        return torch.nn.functional.cross_entropy(model(pictures)[0], labels)

    weights = [parameter.detach().clone() for parameter in model.parameters()]
    statistics = [buffer.clone() for buffer in model.buffers() if buffer.is_floating_point()]
    with sharpness.statistics_kept(model):
        here = loss()
        torch.autograd.backward(here)
        before = sharpness.climb(model, 0.1)
        way = sum(
            (p.detach() - w).square().sum()
            for p, w in zip(model.parameters(), weights, strict=True)
        )
        assert float(way) ** 0.5 == pytest.approx(0.1, rel=1e-3)
        assert loss() > here
    sharpness.go_back(model, before)
    assert all(map(torch.equal, model.parameters(), weights))
    kept = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    assert all(map(torch.equal, kept, statistics))
    with torch.no_grad():
        loss()
    assert not all(map(torch.equal, kept, statistics)), "afterwards they go on"


def test_training_looks_for_flat_minima(data: Path, tmp_path: Path) -> None:
    for radius in ("0", "0.05"):
        command = [*options(data, tmp_path / radius), "--sharpness-radius", radius]
        assert pretrain.main(command) == 0
    plain, flat = losses(tmp_path / "0"), losses(tmp_path / "0.05")
    assert flat[0] != plain[0]
    assert flat[-1] < flat[0]
    trained = EmotionModel(tmp_path / "0.05" / "model").description["training"]
    assert "--sharpness-radius 0.05" in trained["command"]
    # Uphill is only where gradients are taken: without a learning rate the weights stay.
    model = tmp_path / "0.05" / "model"
    again = [*options(data, tmp_path / "again"), "--sharpness-radius", "0.05", "--epochs", "1"]
    assert pretrain.main([*again, "--init", str(model), "--learning-rate", "0"]) == 0
    begun, ended = (
        load_file(folder / "model.safetensors") for folder in (model, tmp_path / "again" / "model")
    )
    assert np.array_equal(begun["head.weight"], ended["head.weight"])

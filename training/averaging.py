"""Exponential moving average of the weights of a network in training."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights, and statistics of batch norm, towards the current ones.

    Args:
        average: a copy of ``model``, changed in place.
        model: the network in training.
        decay: what remains of the average at each step, 0..1.
        step: how many steps the average has seen: early on it must forget the random start.
    """
    decay = min(decay, (step + 1) / (step + 10))
    averaged = [*average.parameters(), *average.buffers()]
    current = [*model.parameters(), *model.buffers()]
    for old, new in zip(averaged, current, strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)

"""Layers that see the whole batch although each process computes a share of it.

Batch norm takes its statistics from all processes, and dropout its noise from one draw for all
rows, so that several processes learn what one would, within rounding.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from .distributed import World


def convert(model: nn.Module, world: World) -> nn.Module:
    """Let batch norm and dropout of a network see the whole batch.

    Args:
        model: changed in place; its parameters stay the same objects.
        world: the processes; with one there is nothing to do.

    Returns:
        The network.
    """
    if world.size == 1:
        return model
    for name, child in model.named_children():
        setattr(model, name, convert(child, world))
    if isinstance(model, nn.BatchNorm2d):
        return _norm(model, world)
    if type(model) is nn.Dropout:
        return WholeDropout(model.p, world)
    return model


def _norm(layer: nn.BatchNorm2d, world: World) -> nn.Module:
    if world.device.type == "cuda":
        make: Any = nn.SyncBatchNorm.convert_sync_batchnorm
        return cast(nn.Module, make(layer))
    whole = WholeBatchNorm(layer.num_features, layer.eps, layer.momentum)
    whole.weight, whole.bias = layer.weight, layer.bias
    whole.running_mean, whole.running_var = layer.running_mean, layer.running_var
    whole.num_batches_tracked = layer.num_batches_tracked
    return whole


class WholeBatchNorm(nn.BatchNorm2d):
    """``nn.SyncBatchNorm`` for CPUs, for which PyTorch has none."""

    def forward(self, features: Tensor) -> Tensor:
        """As ``nn.BatchNorm2d``: float (N, C, H, W) to the same."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(features)
        wide = features.float() if features.dtype in (torch.bfloat16, torch.half) else features
        count = _sum_over_processes(wide.new_tensor(wide.numel() / wide.shape[1]))
        mean = _sum_over_processes(wide.sum((0, 2, 3))) / count
        centred = wide - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normed = centred * scale[:, None, None] + self.bias[:, None, None]
        return normed.to(features.dtype)


class WholeDropout(nn.Module):
    """``nn.Dropout`` whose noise is that of one process with the whole batch.

    Every process draws the noise of all rows from the same seed and takes its own.

    Args:
        share: of the values that become 0.
        world: the processes.
    """

    def __init__(self, share: float, world: World) -> None:
        super().__init__()
        self.share, self.world = share, world

    def forward(self, values: Tensor) -> Tensor:
        """As ``nn.Dropout``: float (N, ...) to the same."""
        if not self.training or self.share == 0:
            return values
        rows = int(self.world.total(torch.tensor(len(values), device=values.device)))
        noise = torch.empty((rows, *values.shape[1:]), dtype=values.dtype, device=values.device)
        noise.bernoulli_(1 - self.share).div_(1 - self.share)
        return values * self.world.share(noise)


def _sum_over_processes(value: Tensor) -> Tensor:
    """The sum, through which gradients flow to all processes."""
    # Not every build of PyTorch has it, and one process needs it not.
    from torch.distributed.nn.functional import all_reduce

    total: Tensor = all_reduce(value)  # type: ignore[no-untyped-call]
    return total

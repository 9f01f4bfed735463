"""Flat minima: gradients taken where the loss nearby is worst (SAM, Foret et al. 2021).

Weights whose neighbours answer as well as they do generalise better, above all where labels
are noisy. Each step first moves the weights a short way uphill, takes the gradient there, and
applies it to the weights as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

#: The way uphill is found on this share of a batch: a third of the time a second full pass
#: takes, and no worse (Du et al. 2022, "Efficient Sharpness-aware Minimization").
CLIMBING_SHARE = 0.25

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


@torch.no_grad()
def climb(model: nn.Module, radius: float) -> list[Tensor]:
    """Move the weights by ``radius`` along their gradients, towards a higher loss.

    Args:
        model: changed in place; its gradients are used up.
        radius: length of the way, over all parameters together (Euclidean norm).

    Returns:
        The weights as they were, for ``go_back``.
    """
    parameters = list(model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    moved = [(p, p.grad) for p in parameters if p.grad is not None]
    lengths = [torch.linalg.vector_norm(gradient) for _, gradient in moved]
    # A gradient of zero gives no direction; 1e-12 keeps it from giving NaN.
    scale = radius / (torch.linalg.vector_norm(torch.stack(lengths)) + 1e-12)
    for parameter, gradient in moved:
        parameter.add_(gradient * scale)
    model.zero_grad(set_to_none=True)
    return before


@torch.no_grad()
def go_back(model: nn.Module, before: list[Tensor]) -> None:
    """Give the model the weights that ``climb`` returned; gradients stay."""
    for parameter, old in zip(model.parameters(), before, strict=True):
        parameter.copy_(old)


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch norm's running statistics are for pictures at the weights that stay."""
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

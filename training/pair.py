"""Two networks with one last layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shelly_local.results import CLASSES


class PairNet(nn.Module):
    """Two networks with one last layer: the mean of their logits is linear in both embeddings.

    Networks that differ err differently, so that their mean is better than each (Hansen and
    Salamon 1990); as one network, it is exported, fine-tuned and loaded like any other.

    Args:
        first, second: networks of ``training.networks``; their last layers are left out.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        width = last_layer(first).in_features + last_layer(second).in_features
        for member in (first, second):
            member.add_module("head", nn.Identity())
        self.members = nn.ModuleList([first, second])
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(width, len(CLASSES))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """As ``ExpressionNet.forward``."""
        embedding = torch.cat([member(pictures)[1] for member in self.members], dim=1)
        return self.head(self.dropout(embedding)), embedding


def last_layer(network: nn.Module) -> nn.Linear:
    """The layer that turns a network's embedding into logits."""
    head = network.get_submodule("head")
    if not isinstance(head, nn.Linear):
        raise ValueError(f"{type(network).__name__} has no linear last layer")
    return head


@torch.no_grad()
def pair(first: nn.Module, second: nn.Module, scales: tuple[float, float]) -> PairNet:
    """One network that answers as the mean of two.

    Args:
        first, second: finished networks; they are used up.
        scales: what divides the logits of each: temperatures make them comparable.
    """
    heads = last_layer(first), last_layer(second)
    both = PairNet(first, second)
    shares = [0.5 / scale for scale in scales]
    weights = [head.weight * share for head, share in zip(heads, shares, strict=True)]
    both.head.weight.copy_(torch.cat(weights, dim=1))
    both.head.bias.copy_(heads[0].bias * shares[0] + heads[1].bias * shares[1])
    return both

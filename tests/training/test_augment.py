"""Random changes to training faces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.augment import _blur, _compress, _lower_resolution


def test_blur_and_compression_change_some_pictures_and_keep_the_range() -> None:
    generator = torch.Generator().manual_seed(8)
    pictures = torch.rand(200, 1, 48, 48, generator=generator) * 255
    for change in (_blur, _compress):
        changed = change(pictures, generator)
        share = (changed != pictures).flatten(1).any(1).float().mean()
        assert 0.05 < share < 0.35
        assert changed.shape == pictures.shape
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 255


def test_compression_keeps_what_jpeg_keeps() -> None:
    """A flat picture stays as it is within one step of quantisation, fine noise goes."""
    generator = torch.Generator().manual_seed(8)
    flat = torch.full((200, 1, 48, 48), 100.0)
    assert (_compress(flat, generator) - flat).abs().max() < 6
    noisy = flat + torch.randn(flat.shape, generator=generator) * 4
    compressed = _compress(noisy, generator)
    changed = (compressed != noisy).flatten(1).any(1)
    assert compressed[changed].std() < 0.8 * noisy[changed].std()


def steepest(change: Callable[[Tensor, torch.Generator], Tensor], side: int) -> float:
    """Mean over changed pictures of an edge's steepest step, as a share of the edge."""
    edge = torch.zeros(64, 1, side, side)
    edge[..., side // 2 :] = 255
    steps: list[Tensor] = []
    for seed in range(12):
        changed = change(edge, torch.Generator().manual_seed(seed))
        some = (changed != edge).flatten(1).any(1)
        steps.append((changed[some].diff(dim=-1) / 255).abs().flatten(1).max(1).values)
    return float(torch.cat(steps).mean())


def test_changes_grow_with_the_side() -> None:
    """A face of twice the side is blurred nearly twice as wide, and keeps its share of pixels."""
    assert 0.5 < steepest(_blur, 96) / steepest(_blur, 48) < 0.75
    assert 0.85 < steepest(_lower_resolution, 96) / steepest(_lower_resolution, 48) < 1.15

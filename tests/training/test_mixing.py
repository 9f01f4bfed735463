"""Blends of faces and of their targets."""

from __future__ import annotations

import torch
from torch import Tensor

from training.mixing import mix


def patterns() -> tuple[Tensor, Tensor]:
    """64 pictures, bright above or bright on the left, of very different contrast; one-hot."""
    above = torch.zeros(48, 48)
    above[:24] = 1
    kinds = torch.arange(64) % 2
    pictures = torch.stack([above if kind == 0 else above.T for kind in kinds])[:, None]
    contrast = torch.linspace(20, 200, 64)[:, None, None, None]
    return 30 + pictures * contrast, torch.eye(7)[kinds]


def parts(pictures: Tensor) -> Tensor:
    """How much of each of the two patterns is in each picture, (N, 2), rows sum to 1."""
    rows = pictures[:, 0, :24].mean((1, 2)) - pictures[:, 0, 24:].mean((1, 2))
    columns = pictures[:, 0, :, :24].mean((1, 2)) - pictures[:, 0, :, 24:].mean((1, 2))
    both = torch.stack([rows, columns], dim=1)
    return both / both.sum(1, keepdim=True)


def test_a_blend_shows_what_its_target_says() -> None:
    pictures, targets = patterns()
    weights = torch.ones(64)
    blends, answers, counts = mix(pictures, targets, weights, 1.0, torch.Generator().manual_seed(1))
    assert torch.allclose(parts(blends), answers[:, :2], atol=1e-4)
    between = (answers[:, 0] > 0.1) & (answers[:, 0] < 0.9)
    assert between.sum() > 16
    assert torch.allclose(counts, weights)


def test_others_stay_as_they_are() -> None:
    pictures, targets = patterns()
    weights = torch.linspace(0.5, 2, 64)
    for share, least, most in ((0.0, 64, 64), (0.5, 20, 44)):
        generator = torch.Generator().manual_seed(2)
        blends, answers, counts = mix(pictures, targets, weights, share, generator)
        same = (blends == pictures).flatten(1).all(1)
        assert least <= same.sum() <= most
        assert torch.equal(answers[same], targets[same])
        assert torch.equal(counts[same], weights[same])


def test_a_picture_that_does_not_count_has_no_say() -> None:
    pictures, targets = patterns()
    weights = targets[:, 0].clone()  # of the second kind none
    generator = torch.Generator().manual_seed(3)
    _, answers, counts = mix(pictures, targets, weights, 1.0, generator)
    assert torch.allclose(answers[counts > 0, 0], torch.ones(int((counts > 0).sum())))
    assert ((counts >= 0) & (counts <= 1)).all()
    assert torch.isfinite(answers).all()

"""Blends of two faces with blended targets: mixup (Zhang et al. 2018, arXiv:1710.09412).

Aligned faces lie on each other, so a blend looks like a face with an expression between two:
of a smile and a neutral face, a faint smile.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Least deviation of a picture in grey levels, as in ``networks.StandardisePicture``.
LEAST_DEVIATION = 8.0
#: Mean and deviation of a blend's pictures in grey levels, so that the one with more contrast has
#: no larger part than the other; the network takes no notice of them.
MEAN, DEVIATION = 128.0, 50.0


def mix(
    pictures: Tensor, targets: Tensor, weights: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Blend some of the pictures of a batch, each with another one of it.

    Args:
        pictures: float (N, 1, H, W), grey levels 0..255.
        targets: float (N, 7), rows sum to 1.
        weights: float (N,).
        share: of the pictures that are blended, drawn anew each time. The other picture's part
            is uniform in 0..1.
        generator: CPU source of all randomness.

    Returns:
        Pictures, targets and weights of the same shapes.
    """
    count = len(pictures)
    blended = torch.rand(count, generator=generator) < share
    parts = torch.rand(count, generator=generator) * blended
    others = torch.randperm(count, generator=generator).to(pictures.device)
    parts = parts.to(pictures.device)
    centred = pictures - pictures.mean((1, 2, 3), keepdim=True)
    deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=LEAST_DEVIATION)
    alike = centred / deviation * DEVIATION + MEAN
    part = parts[:, None, None, None]
    faces = torch.where(part > 0, alike * (1 - part) + alike[others] * part, pictures)
    # Each picture has as much of a say in the target as it would have alone.
    own, other = (1 - parts) * weights, parts * weights[others]
    mixed = own + other
    answer = (targets * own[:, None] + targets[others] * other[:, None]) / mixed[:, None].clamp(
        min=1e-6
    )
    return faces, torch.where(parts[:, None] > 0, answer, targets), mixed

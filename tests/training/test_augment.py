"""Random changes to training faces."""

from __future__ import annotations

import torch

from training.augment import _blur, _compress, augment


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


def test_augmentation_is_repeatable_and_in_range() -> None:
    pictures = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(1)) * 255
    first = augment(pictures, torch.Generator().manual_seed(2))
    again = augment(pictures, torch.Generator().manual_seed(2))
    other = augment(pictures, torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == pictures.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 255


def test_a_share_of_the_pictures_is_only_mirrored() -> None:
    pictures = torch.rand(64, 1, 48, 48, generator=torch.Generator().manual_seed(1)) * 255
    for share, least, most in ((0.0, 64, 64), (0.5, 20, 44), (1.0, 0, 0)):
        changed = augment(pictures, torch.Generator().manual_seed(2), share=share)
        same = [
            torch.allclose(after, before, atol=0.1)
            or torch.allclose(after, before.flip(-1), atol=0.1)
            for before, after in zip(pictures, changed, strict=True)
        ]
        assert least <= sum(same) <= most

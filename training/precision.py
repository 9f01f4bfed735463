"""16 bits instead of 32: in training where the hardware is faster with them, and in the files.

Training computes in bfloat16 what PyTorch's autocast deems safe; weights stay in float32. Files
hold the weights of convolutions in IEEE 754 binary16, computed with in 32 bits in use. They are
rounded once, in the network itself, so that PyTorch and ONNX hold the very same numbers; 11
significant bits move probabilities by about a thousandth, answers hardly ever.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

#: How far weights may be from weight times scale before something else must have changed them.
TOLERANCE = 1e-4


def best_precision(device: torch.device) -> str:
    """bfloat16 where the hardware multiplies it faster than float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    fast = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return "bfloat16" if fast else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A block that computes in bfloat16 if that is the precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round the weights of all convolutions to numbers that 16 bits can hold, in place."""
    for parameter in _convolutions(network).values():
        # Beyond 65504 half precision has only infinity; no trained weight is near it.
        parameter.copy_(parameter.half().float())


def store_half(file: Path, network: nn.Module) -> None:
    """Store the convolutions of an exported network in 16 bits; ONNX Runtime widens them on load.

    The exporter has multiplied each weight by the scale of its batch norm. Rounding that
    product would give other numbers than PyTorch has, so the file gets the weight in 16 bits
    and the scale in 32, and the graph multiplies them: constants, computed once at load.

    Args:
        file: ONNX of ``network``, whose weights went through ``round_weights``; replaced.
        network: the same in PyTorch.

    Raises:
        ValueError: a weight in the file is not a scaled weight of the network.
    """
    model = onnx.load(file)
    weights = _convolutions(network)
    nodes = []
    for tensor in list(model.graph.initializer):
        if tensor.name not in weights:
            continue
        weight = weights[tensor.name].detach().cpu().numpy()
        scaled = numpy_helper.to_array(tensor)
        scale = _scale(weight, scaled)
        if np.abs(weight * scale - scaled).max() > TOLERANCE * np.abs(scaled).max():
            raise ValueError(f"{tensor.name} in {file} is not a scaled weight of the network")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(weight.astype(np.float16), f"{name}_half"))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        nodes += [
            helper.make_node("Cast", [f"{name}_half"], [f"{name}_wide"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_wide", f"{name}_scale"], [name]),
        ]
    for position, node in enumerate(nodes):
        model.graph.node.insert(position, node)
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _convolutions(network: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.weight": module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    }


def _scale(weight: NDArray[np.float32], scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """The factor of each output channel, float32 (C, 1, 1, 1), by least squares."""
    flat, product = (array.reshape(len(array), -1).astype(float) for array in (weight, scaled))
    energy = (flat**2).sum(axis=1)
    factors = (flat * product).sum(axis=1) / np.where(energy > 0, energy, 1.0)
    scale: NDArray[np.float32] = factors.reshape(-1, 1, 1, 1).astype(np.float32)
    return scale

"""In which precision a device trains fastest."""

from __future__ import annotations

import torch


def best_precision(device: torch.device) -> str:
    """bfloat16 where the hardware multiplies it faster than float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    fast = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return "bfloat16" if fast else "float32"

"""Checkpoints of a training run: written whole or not at all, read with care."""

from __future__ import annotations

import copy
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shelly_local.errors import TrainingError
from shelly_local.files import write_whole

from . import export, networks
from .settings import Settings


@dataclass
class TrainingState:
    """What a checkpoint holds: with the settings, enough to go on as if never stopped."""

    model: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    history: list[dict[str, float]]


def new_state(settings: Settings, device: torch.device) -> TrainingState:
    """Fresh weights for these settings."""
    torch.manual_seed(settings.seed)
    model = networks.build(settings.network)
    if Path(settings.init).is_dir():
        model = export.load_network(Path(settings.init), settings.network)
    elif settings.init != "random":
        taken = networks.load_backbone(model, settings.network, settings.init)
        print(f"{taken} tensors of {settings.init} to begin with.")
    model = model.to(device)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.SGD(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=True,
    )
    return TrainingState(model, copy.deepcopy(model).eval(), optimiser, [])


def save_checkpoint(path: Path, state: TrainingState, settings: dict[str, Any]) -> None:
    """Write the state whole or not at all: a killed run never leaves half a file.

    Raises:
        OSError: it cannot be written, as on a full disk; an earlier checkpoint stays.
    """
    packed = io.BytesIO()  # written to a file by torch, a full disk would be a RuntimeError
    torch.save(
        {
            "settings": settings,
            "model": state.model.state_dict(),
            "average": state.average.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "history": state.history,
        },
        packed,
    )
    write_whole(path, packed.getvalue())


def load_checkpoint(path: Path, state: TrainingState, settings: dict[str, Any]) -> None:
    """Go on from a checkpoint of the same settings.

    Raises:
        TrainingError: the file is damaged or belongs to other settings.
    """
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path} cannot be read ({error}); delete it to begin anew.") from error
    if saved["settings"] != settings:
        differing = sorted(
            name for name, value in settings.items() if saved["settings"].get(name) != value
        )
        raise TrainingError(
            f"{path} belongs to a run with other settings ({', '.join(differing)}); "
            "give another --out, or delete it to begin anew."
        )
    state.model.load_state_dict(saved["model"])
    state.average.load_state_dict(saved["average"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.history = saved["history"]


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """The curves as CSV, one row an epoch."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)

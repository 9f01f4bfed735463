"""What a fine-tuning run tells while it goes, and about itself afterwards."""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import torch
from torch import nn

from . import splits
from .dataset import Frame
from .distributed import World
from .finetune import FitSettings

#: Faces of MUG's size cut out a second on one core.
CROPS_PER_CORE = 6.0


def say(world: World, text: str) -> None:
    """Print, but only once however many processes there are."""
    if world.is_main:
        print(text, flush=True)


def print_epoch(row: dict[str, float], total: int) -> None:
    """One line an epoch."""
    print(
        f"  epoch {row['epoch']:2.0f}/{total}  loss {row['loss']:.3f}  validation loss "
        f"{row['validation_loss']:.3f}, accuracy {row['validation_accuracy']:.1%}",
        flush=True,
    )


def estimate(
    network: nn.Module,
    learn: dict[str, list[Frame]],
    views: dict[str, dict[str, list[Frame]]],
    parts: Sequence[splits.Split],
    settings: FitSettings,
    world: World,
    side: int,
) -> str:
    """How long it will take: the fits at most, from a timed step; crops by their number."""
    frames = {f for chosen in (learn, *views.values()) for fs in chosen.values() for f in fs}
    cutting = math.ceil(len(frames) / (CROPS_PER_CORE * (os.cpu_count() or 1)) / 60)
    count = sum(len(chosen) for chosen in learn.values())
    batch = torch.zeros(settings.batch_size, 1, side, side, device=world.device)
    model = network.to(world.device).eval()  # batch norm must keep its statistics
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.autograd.backward(model(batch)[0].sum())
        if world.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    model.zero_grad(set_to_none=True)
    model.cpu()
    rate = settings.batch_size / min(times) * world.size
    fits = len(parts) + (len(parts) > 1)
    epochs = settings.epochs if settings.mode != "head" else settings.head_epochs
    minutes = math.ceil(fits * epochs * count / rate / 60)
    return (
        f"{len(frames):,} faces to cut out, unless they are in the cache: about {cutting} "
        f"minutes.\n{count:,} faces to learn from, {rate:,.0f} a second on {world.device.type}: "
        f"at most about {minutes} minutes for {fits} fits."
    )


def describe_run(
    arguments: argparse.Namespace, settings: FitSettings, world: World, seconds: float
) -> dict[str, Any]:
    """Command, settings, date, machine and time for the report; paths are left out."""
    command = f"python -m training.train --data DIR --out DIR --protocol {arguments.protocol}"
    if arguments.test_subjects:
        command += f" --test-subjects {' '.join(arguments.test_subjects)}"
    command += f" --frames {arguments.frames} -k {arguments.k} --onsets {arguments.onsets}"
    command += f" --seed {settings.seed}" + (
        f" --folds {arguments.folds}" if arguments.protocol == "kfold" else ""
    )
    return {
        "command": command,
        "settings": asdict(settings),
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {world.size} process(es), "
        f"{world.device.type}",
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "seconds": round(seconds, 1),
    }

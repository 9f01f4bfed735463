"""Fit a network to faces of some people, and stop when others no longer gain.

Head first, with the features as they are, then all layers at a lower rate. Batch norm keeps
its statistics from pretraining: a few hundred faces of a few people are no better source.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from shelly_local.errors import TrainingError
from shelly_local.results import CLASSES

from . import networks
from .augment import augment
from .checkpoints import TrainingState, load_checkpoint, save_checkpoint
from .distributed import World
from .settings import setting


@dataclass(frozen=True)
class FitSettings:
    """Everything that decides the fitted weights."""

    head_epochs: int = setting(
        4, "epochs in which only the last layer learns, before all do; 0 begins with all at once"
    )
    head_rate: float = setting(3e-3, "rate of the last layer in these")
    epochs: int = setting(20, "most epochs in which all layers learn; early stopping ends sooner")
    rate: float = setting(
        3e-4,
        "rate of all layers, falling as half a cosine; less where the first epochs make it worse",
    )
    warmup_epochs: float = setting(
        1.0,
        "epochs in which that rate is reached: Adam's first steps are as long as later ones, but "
        "their direction is that of a single batch",
    )
    patience: int = setting(5, "epochs without gain on the validation people before stopping")
    batch_size: int = setting(64, "pictures a step; less where memory is short")
    weight_decay: float = setting(0.01, "of AdamW; more where few people are learnt by heart")
    balance: float = setting(
        0.5,
        "pictures of rare classes count more, by (mean frequency / frequency) to this power: 0 "
        "serves accuracy alone, 1 all classes alike",
    )
    precision: str = setting(
        "float32",
        '"float64" is slow, and exact enough that any number of processes learns the same; in '
        '"float32" rounding grows from step to step',
    )
    seed: int = setting(0, "of all that is random")
    #: ``"all"`` layers, only the last one (``"head"``), or all of them from random weights
    #: (``"scratch"``).
    mode: str = "all"


#: Root mean square of a convolution's weights from which on it learns at the full rate, which
#: then moves them by 2.5 % a step. Weight decay in five rounds of pretraining has left the last
#: convolutions at 0.004 to 0.01. On the made-up tree of the tests (two halves of its people)
#: 0.012 with a warm-up ends at 94 and 96 %, 0.02 without one at 94 and 79 %, 0.03 with one at
#: 84 % (first half).
TYPICAL_WEIGHT = 0.012
MODES = ("all", "head", "scratch")
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Samples:
    """Crops with their classes.

    Attributes:
        images: uint8 (N, side, side).
        labels: int64 (N,), indices into ``CLASSES``.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class Fit:
    """A fitted network.

    Attributes:
        model: at the epoch with the least validation loss.
        history: one row an epoch: ``epoch``, ``loss``, ``validation_loss``,
            ``validation_accuracy``.
        best_epoch: the epoch of ``model``; 0 is the state before the first.
    """

    model: nn.Module
    history: list[dict[str, float]]
    best_epoch: int


def fit(
    start: nn.Module,
    train: Samples,
    validation: Samples,
    settings: FitSettings,
    world: World,
    *,
    checkpoint: Path | None = None,
    report: Callable[[dict[str, float], int], None] | None = None,
) -> Fit:
    """Fit a copy of ``start``.

    Args:
        start: the network to begin with; it is not changed.
        train: faces to learn from.
        validation: faces of other people, for stopping.
        settings: see ``FitSettings``.
        world: this process among all, from ``distributed.join``.
        checkpoint: file that makes the run resumable; removed when it is done.
        report: called with each row of the history and the most epochs there can be.

    Raises:
        TrainingError: no faces, an unknown mode or precision, or a loss that is no number.
    """
    if not len(train) or not len(validation):
        raise TrainingError(
            f"{len(train)} faces to learn from and {len(validation)} to validate: need both."
        )
    if settings.mode not in MODES:
        raise TrainingError(f"unknown mode {settings.mode!r}; choose from {', '.join(MODES)}")
    if settings.precision not in PRECISIONS:
        raise TrainingError(
            f"unknown precision {settings.precision!r}; choose from {', '.join(PRECISIONS)}"
        )
    torch.manual_seed(settings.seed)
    dtype = PRECISIONS[settings.precision]
    model = copy.deepcopy(start).to(world.device, dtype)
    if settings.mode == "scratch":
        model.apply(_reset)
    head_epochs = 0 if settings.mode == "scratch" else settings.head_epochs
    total = head_epochs + (0 if settings.mode == "head" else settings.epochs)
    optimiser = torch.optim.AdamW(_groups(model), weight_decay=settings.weight_decay)
    state = TrainingState(model, copy.deepcopy(model), optimiser, [])
    tag = {"settings": repr(settings), "train": len(train), "world": world.size}
    if checkpoint is not None and checkpoint.exists():
        load_checkpoint(checkpoint, state, tag)
    weights = _class_weights(train.labels, settings.balance).to(world.device, dtype)
    images = torch.from_numpy(train.images).unsqueeze(1)
    labels = torch.from_numpy(train.labels)
    if not state.history:
        state.history.append(_row(0, math.nan, model, validation, world))
    best = min(state.history, key=lambda row: row["validation_loss"])
    for epoch in range(len(state.history), total + 1):
        if epoch - best["epoch"] > settings.patience and epoch > head_epochs + 1:
            break
        only_head = epoch <= head_epochs
        model.requires_grad_(not only_head)
        _head(model).requires_grad_(True)
        model.train(settings.mode == "scratch")
        loss = _epoch(state, images, labels, weights, settings, world, epoch, head_epochs, total)
        row = _row(epoch, loss, model, validation, world)
        state.history.append(row)
        if row["validation_loss"] < best["validation_loss"]:
            best = row
            state.average.load_state_dict(model.state_dict())  # here: the best so far
        if checkpoint is not None and world.is_main:
            save_checkpoint(checkpoint, state, tag)
        world.wait()
        if report is not None and world.is_main:
            report(row, total)
    if checkpoint is not None and world.is_main:
        checkpoint.unlink(missing_ok=True)
    return Fit(state.average.eval().float().cpu(), state.history, int(best["epoch"]))


def _epoch(
    state: TrainingState,
    images: Tensor,
    labels: Tensor,
    weights: Tensor,
    settings: FitSettings,
    world: World,
    epoch: int,
    head_epochs: int,
    total: int,
) -> float:
    """One pass over the training faces; returns the weighted mean loss over all processes."""
    # Seeded by the epoch: a resumed run, and each process, sees the same order.
    generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
    order = torch.randperm(len(labels), generator=generator)
    batches = torch.split(order, settings.batch_size)
    losses, counts = weights.new_zeros(()), weights.new_zeros(())
    mixed = world.device.type == "cuda" and weights.dtype == torch.float32
    for step, batch in enumerate(batches):
        done = epoch - 1 + step / len(batches)
        if epoch <= head_epochs:
            rate = settings.head_rate
        else:
            part = (done - head_epochs) / max(total - head_epochs, 1)
            rate = settings.rate * 0.5 * (1 + math.cos(math.pi * part))
            if settings.mode != "scratch" and settings.warmup_epochs > 0:
                passed = done - head_epochs + 1 / len(batches)
                rate *= min(passed / settings.warmup_epochs, 1.0)
        if settings.mode == "scratch":
            rate *= 10  # random weights have farther to go
        for group in state.optimiser.param_groups:
            group["lr"] = rate * group["step"]
        # The whole batch is changed at random, then shared out: as one process would do.
        inputs = world.share(augment(images[batch].float(), generator))
        inputs = inputs.to(world.device, weights.dtype)
        wanted = world.share(labels[batch]).to(world.device)
        with torch.autocast(world.device.type, enabled=mixed):
            logits, _ = state.model(inputs)
        each = F.cross_entropy(logits.to(weights.dtype), wanted, reduction="none") * weights[wanted]
        mass = weights[labels[batch].to(world.device)].sum()
        # Gradients are averaged over the processes; times their number gives the sum.
        loss = each.sum() / mass * world.size
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} in epoch {epoch}; lower the rate.")
        state.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        world.average_gradients(state.model)
        state.optimiser.step()
        losses += world.total(each.detach().sum())
        counts += mass
    return float(losses / counts)


def _row(
    epoch: int, loss: float, model: nn.Module, validation: Samples, world: World
) -> dict[str, float]:
    logits = torch.from_numpy(
        networks.predict(model, torch.from_numpy(validation.images).unsqueeze(1))
    )
    labels = torch.from_numpy(validation.labels)
    return {
        "epoch": epoch,
        "loss": loss,
        "validation_loss": float(F.cross_entropy(logits, labels)),
        "validation_accuracy": float((logits.argmax(1) == labels).float().mean()),
    }


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Parameters with the size of their steps, as a share of the rate.

    Adam moves every weight by about its rate, however small the weight. Pretraining with weight
    decay leaves the convolutions at the end of a network at a tenth of those at its beginning,
    where batch norm hides it; a step that suits the ones would throw the others far off. So steps
    shrink with the weights (relative step sizes, Shazeer and Stern 2018).
    """
    groups: list[dict[str, object]] = []
    for parameter in model.parameters():
        size = float(parameter.detach().square().mean().sqrt())
        step = min(size / TYPICAL_WEIGHT, 1.0) if parameter.ndim == 4 else 1.0
        groups.append({"params": [parameter], "step": step})
    return groups


def _class_weights(labels: NDArray[np.int64], balance: float) -> Tensor:
    """Weight of each class; the mean over the faces is 1. A class without faces gets 0."""
    counts = torch.from_numpy(np.bincount(labels, minlength=len(CLASSES))).float()
    weights = torch.where(counts > 0, counts.clamp(min=1).pow(-balance), torch.zeros(()))
    return weights * counts.sum() / (weights * counts).sum()


def _head(model: nn.Module) -> nn.Module:
    head: nn.Module = model.get_submodule("head")
    return head


def _reset(module: nn.Module) -> None:
    """New random weights for every layer that has its own."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
        module.reset_parameters()

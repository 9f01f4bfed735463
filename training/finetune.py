"""Fit a network to faces of some people, and stop when others no longer gain.

Head first, with the features as they are, then all layers at a lower rate. Batch norm keeps
its statistics from pretraining: a few hundred faces of a few people are no better source.
Reads top to bottom: ``load`` a network and the faces, ``fit`` it, ``finish`` with the best epoch.
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
    """A network that is being fitted, or has been.

    Attributes:
        settings: all that decides the weights.
        world: this process among all.
        state: the network, as its ``average`` that of the best epoch so far, and one row of
            history an epoch: ``epoch``, ``loss``, ``validation_loss``, ``validation_accuracy``;
            epoch 0 is the state before the first.
        validation: faces of other people, for stopping.
        images, labels: uint8 (N, 1, side, side) and int64 (N,), what is learnt from.
        weights: of the classes, (7,), on the device in the precision of the fit.
        head_epochs: epochs in which only the last layer learns.
        total: the most epochs there can be.
    """

    settings: FitSettings
    world: World
    state: TrainingState
    validation: Samples
    images: Tensor
    labels: Tensor
    weights: Tensor
    head_epochs: int
    total: int

    @property
    def best(self) -> dict[str, float]:
        """The row of the least validation loss."""
        return min(self.state.history, key=lambda row: row["validation_loss"])


def load(
    start: nn.Module, train: Samples, validation: Samples, settings: FitSettings, world: World
) -> Fit:
    """A copy of a network to fit, with an optimiser.

    Args:
        start: the network to begin with; it is not changed.
        train: faces to learn from.
        validation: faces of other people, for stopping.
        settings: see ``FitSettings``.
        world: this process among all, from ``distributed.joined``.

    Raises:
        TrainingError: no faces.
    """
    if not len(train) or not len(validation):
        raise TrainingError(
            f"{len(train)} faces to learn from and {len(validation)} to validate: need both."
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
    weights = _class_weights(train.labels, settings.balance).to(world.device, dtype)
    images, labels = torch.from_numpy(train.images).unsqueeze(1), torch.from_numpy(train.labels)
    return Fit(settings, world, state, validation, images, labels, weights, head_epochs, total)


def fit(
    run: Fit,
    *,
    checkpoint: Path | None = None,
    report: Callable[[dict[str, float], int], None] | None = None,
) -> None:
    """Train until the validation people no longer gain, or to the last epoch.

    Args:
        run: from ``load``; its state is changed.
        checkpoint: file that makes the run resumable; removed when it is done.
        report: called with each row of the history and the most epochs there can be.

    Raises:
        TrainingError: a loss that is no number.
    """
    settings, world, state = run.settings, run.world, run.state
    tag = {"settings": repr(settings), "train": len(run.labels), "world": world.size}
    if checkpoint is not None and checkpoint.exists():
        load_checkpoint(checkpoint, state, tag)
    if not state.history:
        state.history.append(_row(0, math.nan, run))
    for epoch in range(len(state.history), run.total + 1):
        if epoch - run.best["epoch"] > settings.patience and epoch > run.head_epochs + 1:
            break
        state.model.requires_grad_(epoch > run.head_epochs)
        state.model.get_submodule("head").requires_grad_(True)
        state.model.train(settings.mode == "scratch")
        row = _row(epoch, _epoch(run, epoch), run)
        state.history.append(row)
        if run.best is row:
            state.average.load_state_dict(state.model.state_dict())  # here: the best so far
        if checkpoint is not None and world.is_main:
            save_checkpoint(checkpoint, state, tag)
        world.wait()
        if report is not None and world.is_main:
            report(row, run.total)
    if checkpoint is not None and world.is_main:
        checkpoint.unlink(missing_ok=True)


def finish(run: Fit) -> nn.Module:
    """The network of the best epoch, in float32 on the CPU."""
    return run.state.average.eval().float().cpu()


def _epoch(run: Fit, epoch: int) -> float:
    """One pass over the training faces; returns the weighted mean loss over all processes."""
    settings, world, labels, weights = run.settings, run.world, run.labels, run.weights
    # Seeded by the epoch: a resumed run, and each process, sees the same order.
    generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
    order = torch.randperm(len(labels), generator=generator)
    batches = torch.split(order, settings.batch_size)
    losses, counts = weights.new_zeros(()), weights.new_zeros(())
    mixed = world.device.type == "cuda" and weights.dtype == torch.float32
    for step, batch in enumerate(batches):
        rate = _rate(run, epoch - 1 + step / len(batches), 1 / len(batches))
        for group in run.state.optimiser.param_groups:
            group["lr"] = rate * group["step"]
        # The whole batch is changed at random, then shared out: as one process would do.
        inputs = world.share(augment(run.images[batch].float(), generator))
        inputs = inputs.to(world.device, weights.dtype)
        wanted = world.share(labels[batch]).to(world.device)
        with torch.autocast(world.device.type, enabled=mixed):
            logits, _ = run.state.model(inputs)
        each = F.cross_entropy(logits.to(weights.dtype), wanted, reduction="none") * weights[wanted]
        mass = weights[labels[batch].to(world.device)].sum()
        # Gradients are averaged over the processes; times their number gives the sum.
        loss = each.sum() / mass * world.size
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(f"the loss is {float(loss)} in epoch {epoch}; lower the rate.")
        run.state.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        world.average_gradients(run.state.model)
        run.state.optimiser.step()
        losses += world.total(each.detach().sum())
        counts += mass
    return float(losses / counts)


def _rate(run: Fit, done: float, step: float) -> float:
    """The rate after so many epochs, in steps of so much of one."""
    settings, passed = run.settings, done - run.head_epochs
    if passed < 0:
        return settings.head_rate
    part = passed / max(run.total - run.head_epochs, 1)
    rate = settings.rate * 0.5 * (1 + math.cos(math.pi * part))
    if settings.mode == "scratch":
        return rate * 10  # random weights have farther to go
    if settings.warmup_epochs > 0:
        rate *= min((passed + step) / settings.warmup_epochs, 1.0)
    return rate


def _row(epoch: int, loss: float, run: Fit) -> dict[str, float]:
    images = torch.from_numpy(run.validation.images).unsqueeze(1)
    logits = torch.from_numpy(networks.predict(run.state.model, images))
    labels = torch.from_numpy(run.validation.labels)
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


def _reset(module: nn.Module) -> None:
    """New random weights for every layer that has its own."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
        module.reset_parameters()

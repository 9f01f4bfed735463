"""Train the default model on FER2013 pictures with the FER+ votes as soft targets.

    python -m training.pretrain --fer2013 DIR
    torchrun --nproc-per-node 2 -m training.pretrain --fer2013 DIR    # two GPUs

Reads top to bottom: ``load`` the data and the state, ``fit`` epoch by epoch, ``finish`` with the
model directory. Every setting stands in ``training/settings.py`` with its reason. A killed run
goes on from its last finished epoch when the same command is given again, and ends with the same
weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from shelly_local.errors import TrainingError
from shelly_local.vision.alignment import FER2013_TEMPLATE, zoomed

from . import export, fer2013, networks, plots
from .augment import augment, strengths
from .checkpoints import TrainingState, load_checkpoint, new_state, save_checkpoint, write_history
from .data import TrainingData, first, prepare
from .distillation import read_teachers, teacher_probabilities
from .distributed import World, joined
from .landmarks import align_all, alignments, find_all
from .metrics import fit_temperature, score
from .options import command_line, exit_code, parse, without_folders
from .precision import autocast, best_precision
from .settings import Settings

#: Faces that tell batch norms without statistics what they get: enough for three digits.
SETTLE_FACES = 1024
#: The network, or the same compiled: pictures to logits and embedding.
Forward = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Run:
    """A training as it stands.

    Attributes:
        out: folder of checkpoint and curves.
        settings: all that decides the weights.
        world: the processes that train together.
        state: networks, optimiser and history; ``fit`` goes on from it.
        last: the epoch after which to end.
        data: the training part, on the device.
        public: uint8 (N, 1, 48, 48), faces of the public part as the model gets them.
        truth: int64 (N,), what most voters say of them.
        template: (5, 2), where their landmarks lie, in units of the side.
    """

    out: Path
    settings: Settings
    world: World
    state: TrainingState
    last: int
    data: TrainingData
    public: Tensor
    truth: NDArray[np.int64]
    template: NDArray[np.float64]


def load(
    folder: Path,
    out: Path,
    settings: Settings,
    world: World,
    *,
    cache: Path | None = None,
    stop_after: int | None = None,
) -> Run:
    """Read the data, and the state of an earlier run of the same settings if there is one.

    Args:
        folder: FER2013 and FER+; see ``training/fer2013.py``.
        out: checkpoint and curves; made if missing.
        settings: see there.
        world: the processes that train together.
        cache: folder for the landmarks; None for ``out``.
        stop_after: epochs after which to end, however many the schedule has.
    """
    parts = {name: fer2013.load(folder, name) for name in ("train", "public")}
    if settings.limit:
        parts = {name: first(faces, settings.limit) for name, faces in parts.items()}
    out.mkdir(parents=True, exist_ok=True)
    state = new_state(settings, world.device)
    if (out / "checkpoint.pt").exists():
        load_checkpoint(out / "checkpoint.pt", state, asdict(settings))
        print(f"Going on after epoch {len(state.history)} of {settings.epochs}.")
    last = min(settings.epochs, stop_after or settings.epochs)
    asked = settings.teachers and len(state.history) < last  # a finished run asks them no more
    chosen = read_teachers(settings.teachers) if asked else []

    alignment: dict[str, Tensor | None] = dict.fromkeys(parts)
    template = zoomed(FER2013_TEMPLATE, settings.zoom)
    if settings.alignment == "landmarks":
        for name, faces in parts.items():
            with world.main_first():  # it finds the landmarks, the others read them
                alignment[name] = alignments(find_all(faces.images, cache or out), template)
    train, public = parts["train"], parts["public"]
    teachers = None
    if chosen:
        teachers = teacher_probabilities(
            chosen, train.images, alignment["train"], world.device, settings.precision
        )
    data = prepare(train, alignment["train"], world.device, settings, teachers)
    truth, valid = public.majority()
    faces_seen = align_all(public.images, alignment["public"])[valid]
    if settings.init.endswith(".json") and not state.history:
        some = align_all(train.images[:SETTLE_FACES], alignment["train"])
        networks.settle(state.model, some.to(world.device))
        state.average.load_state_dict(state.model.state_dict())
    return Run(out, settings, world, state, last, data, faces_seen, truth[valid], template)


def fit(run: Run, *, compiled: bool = False) -> None:
    """Train to the end, with a checkpoint and a line of the curves after each epoch.

    Args:
        run: from ``load``; its state is changed.
        compiled: let ``torch.compile`` fuse the network's steps; needs a C++ compiler.
    """
    settings, state, world = run.settings, run.state, run.world
    print(
        f"Training {settings.network!r} on {len(run.data.pictures):,} pictures, "
        f"{settings.epochs} epochs, {world.device.type}, {settings.precision}."
    )
    if world.size > 1 and world.device.type == "cuda":
        # Statistics over the whole batch, as one process has them; PyTorch has it for GPUs only.
        state.model = nn.SyncBatchNorm.convert_sync_batchnorm(state.model)  # type: ignore[no-untyped-call]
    forward: Forward = torch.compile(state.model) if compiled else state.model
    for epoch in range(len(state.history), run.last):
        start = time.perf_counter()
        loss = train_epoch(state, forward, run.data, settings, world)
        seconds = time.perf_counter() - start
        with autocast(world.device, settings.precision):
            public = score(networks.predict(state.average, run.public), run.truth)
        state.history.append(
            {
                "epoch": epoch + 1,
                "loss": round(loss, 5),
                "public_accuracy": round(public.accuracy, 5),
                "public_macro_recall": round(public.macro_recall, 5),
                "seconds": round(seconds, 1),
            }
        )
        if not world.is_main:
            continue
        save_checkpoint(run.out / "checkpoint.pt", state, asdict(settings))
        write_history(run.out / "history.csv", state.history)
        left = seconds * (settings.epochs - epoch - 1) / 60
        print(
            f"epoch {epoch + 1:3d}/{settings.epochs}  loss {loss:.4f}  public FER+ "
            f"{public.accuracy:.2%} (macro recall {public.macro_recall:.2%})  "
            f"{seconds:.0f} s, {left:.0f} min left",
            flush=True,
        )


def train_epoch(
    state: TrainingState, forward: Forward, data: TrainingData, settings: Settings, world: World
) -> float:
    """One pass over the training part; returns the mean loss.

    Args:
        state: its model is trained; its history says which epoch this is.
        forward: the model, or the same compiled.
        data: all pictures, on the device.
        settings: see there.
        world: with several processes each computes its share of every batch.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    epoch = len(state.history)
    # Seeded by the epoch, so that a resumed run sees the same pictures in the same order.
    generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
    torch.manual_seed((settings.seed * 100_003 + epoch) * world.size + world.rank)  # dropout
    order = torch.randperm(len(data.pictures), generator=generator)
    device = data.pictures.device
    batches = torch.split(order, settings.batch_size)
    if len(batches) > 1 and len(batches[-1]) < settings.batch_size:
        batches = batches[:-1]  # a compiled network wants one size; others come next epoch
    state.model.train()
    total = torch.zeros((), device=device)
    quiet = None if world.is_main else True
    bar = tqdm(batches, desc=f"epoch {epoch + 1}/{settings.epochs}", leave=False, disable=quiet)
    for step, batch in enumerate(bar):
        rate = learning_rate(settings, epoch + step / len(batches))
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        chosen = batch.to(device)
        alignment = None if data.alignment is None else data.alignment[chosen]
        pictures = data.pictures[chosen].float()
        pictures = augment(pictures, generator, alignment, settings.augmented_share)
        # Divided by the weight of the whole batch: the mean over processes is its loss.
        weights = data.weights[chosen]
        weights = world.share(weights * world.size / weights.sum().clamp(min=1e-6))
        inputs = world.share(pictures).to(memory_format=torch.channels_last)
        state.optimiser.zero_grad(set_to_none=True)
        with autocast(device, settings.precision):
            logits, _ = forward(inputs)
        targets = world.share(data.targets[chosen])
        loss = (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum()
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {epoch + 1}; lower --learning-rate "
                f"(now {settings.learning_rate}). The last good checkpoint is kept."
            )
        torch.autograd.backward(loss)
        world.average_gradients(state.model)
        state.optimiser.step()
        update_average(state.average, state.model, settings.ema_decay, epoch * len(batches) + step)
        total += loss.detach()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return float(world.total(total)) / world.size / len(batches)


def learning_rate(settings: Settings, epoch: float) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * (epoch + 0.05) / (settings.warmup_epochs + 0.05)
    done = (epoch - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights, and statistics of batch norm, towards the current ones.

    Args:
        average: a copy of ``model``, changed in place.
        model: the network in training.
        decay: what remains of the average at each step, 0..1.
        step: how many steps the average has seen: early on it must forget the random start.
    """
    decay = min(decay, (step + 1) / (step + 10))
    averaged = [*average.parameters(), *average.buffers()]
    current = [*model.parameters(), *model.buffers()]
    for old, new in zip(averaged, current, strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def finish(run: Run, folder: Path, command: str) -> None:
    """Fit the temperature on the public part, and write the averaged network as a model.

    Args:
        run: after ``fit``.
        folder: model directory.
        command: how to train it again.
    """
    plots.learning_curves(run.state.history, run.out / "curves.png")
    logits = networks.predict(run.state.average, run.public)
    temperature = fit_temperature(logits, run.truth)
    export.write_model(
        run.state.average.cpu(),
        folder,
        faces=run.public,
        template=run.template,
        temperature=temperature,
        command=command,
        settings=asdict(without_folders(run.settings)) | {"augmentation": strengths()},
        metrics={"ferplus_public": export.summary(score(logits, run.truth, temperature))},
    )


def main(argv: list[str] | None = None) -> int:
    """Train, export, and say where the model is."""
    arguments = parse(argv, Settings)
    settings = Settings(**{f.name: getattr(arguments, f.name) for f in fields(Settings)})
    target: Path = arguments.model or arguments.out / "model"

    def work() -> None:
        with joined(arguments.device) as world:
            asked = settings.precision
            precision = best_precision(world.device) if asked == "auto" else asked
            run = load(
                arguments.fer2013,
                arguments.out,
                replace(settings, precision=precision),
                world,
                stop_after=arguments.stop_after,
            )
            fit(run, compiled=arguments.compile)
            if not world.is_main:
                return
            command = command_line(run.settings, Settings())
            if arguments.stop_after:
                command += f" --stop-after {arguments.stop_after}"
            finish(run, target, command)
        print(
            f"The model is in {target}. Score it with: python -m training.evaluate --model {target}"
        )

    return exit_code(work, "The same command goes on after the last finished epoch.")


if __name__ == "__main__":
    raise SystemExit(main())

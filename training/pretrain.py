"""Train the default model on FER2013 pictures with the FER+ votes as soft targets.

    python -m training.pretrain --fer2013 DIR
    torchrun --nproc-per-node 2 -m training.pretrain --fer2013 DIR    # two GPUs

Reads top to bottom: data, one epoch, the schedule, the checkpoint, the export. Every setting
stands in ``training/settings.py`` with its reason. A killed run goes on from its last
finished epoch when the same command is given again, and ends with the same weights.
"""

from __future__ import annotations

import math
import sys
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

from shelly_local.errors import ShellyError, TrainingError
from shelly_local.vision.alignment import FER2013_TEMPLATE, zoomed

from . import distributed, export, fer2013, networks, plots, whole_batch
from .augment import augment, strengths
from .averaging import update_average
from .checkpoints import TrainingState, load_checkpoint, new_state, save_checkpoint, write_history
from .data import TrainingData, first, prepare
from .distillation import read_teachers, teacher_probabilities
from .distributed import World
from .landmarks import align_all, alignments, find_all
from .metrics import Scores, fit_temperature, score
from .mixing import mix
from .options import command_line, parse, without_folders
from .precision import best_precision
from .settings import Settings

#: Faces that tell batch norms without statistics what they get: enough for three digits.
SETTLE_FACES = 1024


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        model: the averaged network.
        temperature: fitted on the public part.
        public: scores there, with that temperature.
        faces: uint8 (N, 1, side, side), the faces of the public part as the model gets them.
        template: (5, 2), where their landmarks lie, in units of the side.
    """

    model: nn.Module
    temperature: float
    public: Scores
    faces: Tensor
    template: NDArray[np.float64]


def learning_rate(settings: Settings, epoch: float) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * (epoch + 0.05) / (settings.warmup_epochs + 0.05)
    done = (epoch - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def weighted_loss(
    forward: Callable[[Tensor], tuple[Tensor, Tensor]],
    inputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    settings: Settings,
) -> Tensor:
    """Sum of the weighted cross-entropies of float (N, 1, H, W) with targets (N, 7)."""
    enabled = settings.precision == "bfloat16"
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=enabled):
        logits, _ = forward(inputs)
    return (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum()


def train_epoch(
    state: TrainingState,
    forward: Callable[[Tensor], tuple[Tensor, Tensor]],
    data: TrainingData,
    settings: Settings,
    world: World,
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
    torch.manual_seed(settings.seed * 100_003 + epoch)  # dropout
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
        pictures = augment(pictures, generator, alignment, settings.augmented_share, settings.side)
        targets, weights = data.targets[chosen], data.weights[chosen]
        if settings.mixed_share:
            pictures, targets, weights = mix(
                pictures, targets, weights, settings.mixed_share, generator
            )
        # Divided by the weight of the whole batch: the mean over processes is its loss.
        weights = weights * world.size / weights.sum().clamp(min=1e-6)
        inputs = world.share(pictures).to(memory_format=torch.channels_last)
        targets, weights = world.share(targets), world.share(weights)
        state.optimiser.zero_grad(set_to_none=True)
        loss = weighted_loss(forward, inputs, targets, weights, settings)
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


def train(
    folder: Path,
    out: Path,
    settings: Settings,
    world: World,
    *,
    compiled: bool = False,
    cache: Path | None = None,
    stop_after: int | None = None,
) -> Trained:
    """Train to the end (or go on from the checkpoint in ``out``).

    Args:
        folder: FER2013 and FER+; see ``training/fer2013.py``.
        out: checkpoint and curves; made if missing.
        settings: see there.
        world: the processes that train together.
        compiled: let ``torch.compile`` fuse the network's steps; needs a C++ compiler.
        cache: folder for the landmarks; None for ``out``.
        stop_after: epochs after which to end, however many the schedule has.

    Returns:
        The averaged network and how it does on the public part.
    """
    parts = {name: fer2013.load(folder, name) for name in ("train", "public")}
    if settings.limit:
        parts = {name: first(faces, settings.limit) for name, faces in parts.items()}
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    state = new_state(settings, world.device)
    if checkpoint.exists():
        load_checkpoint(checkpoint, state, asdict(settings))
        print(f"Going on after epoch {len(state.history)} of {settings.epochs}.")

    last = min(settings.epochs, stop_after or settings.epochs)
    asked = settings.teachers and len(state.history) < last  # a finished run asks them no more
    chosen = read_teachers(settings.teachers) if asked else []
    alignment: dict[str, Tensor | None] = dict.fromkeys(parts)
    template = zoomed(FER2013_TEMPLATE, settings.zoom)
    if settings.alignment == "landmarks":
        for name, faces in parts.items():
            if not world.is_main:
                world.wait()  # for the landmarks that the first process finds
            alignment[name] = alignments(find_all(faces.images, cache or out), template)
            if world.is_main:
                world.wait()
    teachers = None
    if chosen:
        teachers = teacher_probabilities(
            chosen, parts["train"].images, alignment["train"], world.device, settings.precision
        )
    data = prepare(
        parts["train"],
        alignment["train"],
        world.device,
        balance=settings.balance,
        label_share=settings.label_share,
        rare_label_share=settings.rare_label_share,
        smile_label_share=settings.smile_label_share,
        label_smoothing=settings.label_smoothing,
        teachers=teachers,
        teacher_share=settings.teacher_share,
    )
    truth, valid = parts["public"].majority()
    truth = truth[valid]
    public_pictures = align_all(parts["public"].images, alignment["public"], settings.side)[valid]
    print(
        f"Training {settings.network!r} on {len(data.pictures):,} pictures, "
        f"{settings.epochs} epochs, {world.device.type}, {settings.precision}."
    )
    if settings.init.endswith(".json") and not state.history:
        some = align_all(parts["train"].images[:SETTLE_FACES], alignment["train"], settings.side)
        networks.settle(state.model, some.to(world.device))
        state.average.load_state_dict(state.model.state_dict())
    # Statistics over the whole batch, as one process has them.
    state.model = whole_batch.convert(state.model, world)
    forward: Callable[[Tensor], tuple[Tensor, Tensor]] = state.model
    if compiled:
        forward = torch.compile(forward)
    for epoch in range(len(state.history), last):
        start = time.perf_counter()
        loss = train_epoch(state, forward, data, settings, world)
        seconds = time.perf_counter() - start
        with torch.autocast(
            world.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"
        ):
            public = score(networks.predict(state.average, public_pictures), truth)
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
        save_checkpoint(checkpoint, state, asdict(settings))
        write_history(out / "history.csv", state.history)
        left = seconds * (settings.epochs - epoch - 1) / 60
        print(
            f"epoch {epoch + 1:3d}/{settings.epochs}  loss {loss:.4f}  public FER+ "
            f"{public.accuracy:.2%} (macro recall {public.macro_recall:.2%})  "
            f"{seconds:.0f} s, {left:.0f} min left",
            flush=True,
        )
    if world.is_main:
        plots.learning_curves(out / "history.csv", out / "curves.png")
    logits = networks.predict(state.average, public_pictures)
    temperature = fit_temperature(logits, truth)
    scores = score(logits, truth, temperature)
    return Trained(state.average, temperature, scores, public_pictures, template)


def main(argv: list[str] | None = None) -> int:
    """Train, export, and say where the model is."""
    arguments = parse(argv, Settings)
    settings = Settings(
        **{field.name: getattr(arguments, field.name) for field in fields(Settings)}
    )
    world: World | None = None
    try:
        world = distributed.join(arguments.device)
        if settings.precision == "auto":
            settings = replace(settings, precision=best_precision(world.device))
        trained = train(
            arguments.fer2013,
            arguments.out,
            settings,
            world,
            compiled=arguments.compile,
            stop_after=arguments.stop_after,
        )
        if not world.is_main:
            return 0
        target = arguments.model or arguments.out / "model"
        export.write_model(
            trained.model.cpu(),
            target,
            faces=trained.faces,
            template=trained.template,
            temperature=trained.temperature,
            command=command_line(settings, Settings())
            + (f" --stop-after {arguments.stop_after}" if arguments.stop_after else ""),
            settings=asdict(without_folders(settings)) | {"augmentation": strengths()},
            metrics={"ferplus_public": export.summary(trained.public)},
        )
    except (ShellyError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nStopped. The same command goes on after the last finished epoch, from "
            f"{arguments.out}.",
            file=sys.stderr,
        )
        return 130
    finally:
        if world:
            distributed.leave(world)
    print(f"The model is in {target}. Score it with: python -m training.evaluate --model {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

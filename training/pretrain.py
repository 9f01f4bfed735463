"""Train the default model on FER2013 pictures with the FER+ votes as soft targets.

    python -m training.pretrain --fer2013 DIR

Reads top to bottom: settings, data, one epoch, the schedule, the checkpoint, the export.
Every setting stands in ``Settings`` with its reason. A killed run goes on from its last
finished epoch when the same command is given again, and ends with the same weights.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from shelly_local.alignment import FER2013_TEMPLATE

from . import export, fer2013, networks, plots
from .augment import augment
from .checkpoints import (
    TrainingError,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    write_history,
)
from .data import TrainingData, first, prepare
from .landmarks import align_all, alignments, find_all
from .metrics import Scores, fit_temperature, score

ALIGNMENTS = ("landmarks", "none")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the resulting weights."""

    network: str = "medium"
    #: Passes over the 27,700 pictures: 35 minutes on two cores.
    epochs: int = 24
    #: Small enough that batch statistics still regularise, large enough to fill two cores.
    batch_size: int = 128
    #: Peak rate of SGD with Nesterov momentum, reached after the warm-up, then cosine to 0.
    learning_rate: float = 0.1
    warmup_epochs: float = 2.0
    momentum: float = 0.9
    #: On convolutions and the last layer only; not on biases and batch norm.
    weight_decay: float = 5e-4
    #: Exponential moving average of the weights, per step; averages about five epochs.
    ema_decay: float = 0.999
    #: "landmarks" aligns each face as photos are in use; "none" takes it as it was cropped.
    alignment: str = "none"
    #: Pictures of rare classes count more, by (mean frequency / frequency) to this power:
    #: 0 serves accuracy alone, 1 all classes alike.
    balance: float = 0.0
    #: Share of the 2013 label mixed into the votes: it knows more disgust and fear.
    label_share: float = 0.0
    #: Share of a uniform distribution mixed into the votes: ten voters are a small sample.
    label_smoothing: float = 0.02
    seed: int = 0
    #: Only the first pictures of each part, for trials and tests; 0 means all of them.
    limit: int = 0


def new_state(settings: Settings, device: torch.device) -> TrainingState:
    """Fresh weights for these settings."""
    torch.manual_seed(settings.seed)
    model = networks.build(settings.network).to(device)
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


def learning_rate(settings: Settings, epoch: float) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * (epoch + 0.05) / (settings.warmup_epochs + 0.05)
    done = (epoch - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def train_epoch(state: TrainingState, data: TrainingData, settings: Settings) -> float:
    """One pass over the training part; returns the mean loss.

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
    state.model.train()
    total = torch.zeros(())
    bar = tqdm(batches, desc=f"epoch {epoch + 1}/{settings.epochs}", leave=False, disable=None)
    for step, batch in enumerate(bar):
        rate = learning_rate(settings, epoch + step / len(batches))
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        chosen = batch.to(device)
        alignment = None if data.alignment is None else data.alignment[chosen]
        inputs = augment(data.pictures[chosen].float(), generator, alignment)
        inputs = inputs.to(memory_format=torch.channels_last)
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            logits, _ = state.model(inputs)
        losses = F.cross_entropy(logits.float(), data.targets[chosen], reduction="none")
        weights = data.weights[chosen]
        loss = (losses * weights).sum() / weights.sum().clamp(min=1e-6)
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {epoch + 1}; lower --learning-rate "
                f"(now {settings.learning_rate}). The last good checkpoint is kept."
            )
        state.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        state.optimiser.step()
        update_average(state, settings.ema_decay, epoch * len(batches) + step)
        total += loss.detach().cpu()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return float(total / len(batches))


@torch.no_grad()
def update_average(state: TrainingState, decay: float, step: int) -> None:
    """Move the averaged weights towards the current ones; batch statistics are copied."""
    # Early on the average must not remember the random start.
    decay = min(decay, (step + 1) / (step + 10))
    for weight, newest in zip(state.average.parameters(), state.model.parameters(), strict=True):
        weight.lerp_(newest, 1 - decay)
    for averaged, current in zip(state.average.buffers(), state.model.buffers(), strict=True):
        if averaged.dtype.is_floating_point:
            averaged.lerp_(current, 1 - decay)
        else:
            averaged.copy_(current)


def train(
    folder: Path, out: Path, settings: Settings, device: torch.device
) -> tuple[nn.Module, float, Scores]:
    """Train to the end (or go on from the checkpoint in ``out``).

    Returns:
        The averaged network, the temperature fitted on the public part, and the scores
        there with that temperature.
    """
    parts = {name: fer2013.load(folder, name) for name in ("train", "public")}
    if settings.limit:
        parts = {name: first(faces, settings.limit) for name, faces in parts.items()}
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    state = new_state(settings, device)
    if checkpoint.exists():
        load_checkpoint(checkpoint, state, asdict(settings))
        print(f"Going on after epoch {len(state.history)} of {settings.epochs}.")

    alignment: dict[str, Tensor | None] = dict.fromkeys(parts)
    if settings.alignment == "landmarks":
        for name, faces in parts.items():
            alignment[name] = alignments(find_all(faces.images, out), FER2013_TEMPLATE)
    data = prepare(
        parts["train"],
        alignment["train"],
        device,
        balance=settings.balance,
        label_share=settings.label_share,
        label_smoothing=settings.label_smoothing,
    )
    truth, valid = parts["public"].majority()
    truth = truth[valid]
    public_pictures = align_all(parts["public"].images, alignment["public"])[valid].to(device)
    print(
        f"Training {settings.network!r} on {len(data.pictures):,} pictures, "
        f"{settings.epochs} epochs, {device.type}."
    )
    for epoch in range(len(state.history), settings.epochs):
        start = time.perf_counter()
        loss = train_epoch(state, data, settings)
        seconds = time.perf_counter() - start
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
        save_checkpoint(checkpoint, state, asdict(settings))
        write_history(out / "history.csv", state.history)
        left = seconds * (settings.epochs - epoch - 1) / 60
        print(
            f"epoch {epoch + 1:3d}/{settings.epochs}  loss {loss:.4f}  public FER+ "
            f"{public.accuracy:.2%} (macro recall {public.macro_recall:.2%})  "
            f"{seconds:.0f} s, {left:.0f} min left",
            flush=True,
        )
    plots.learning_curves(out / "history.csv", out / "curves.png")
    logits = networks.predict(state.average, public_pictures)
    temperature = fit_temperature(logits, truth)
    return state.average, temperature, score(logits, truth, temperature)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Command line; every field of ``Settings`` is an option."""
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain",
        description="Train the default model on FER2013 with the FER+ votes.",
        epilog="example:\n"
        "  python -m training.pretrain --fer2013 data/fer2013 --model models/emotion",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--fer2013",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with fer2013.csv and fer2013new.csv, or the .npz files",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/pretrain"),
        metavar="DIR",
        help="checkpoints and curves (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="where the finished model goes (default: OUT/model)",
    )
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu, cuda or cuda:N (default: %(default)s)",
    )
    for field in fields(Settings):
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(field.default), default=field.default,
                            help=f"(default: {field.default})")  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.network not in networks.NETWORKS:
        known = ", ".join(sorted(networks.NETWORKS))
        parser.error(f"unknown network {arguments.network!r}; choose from {known}")
    if arguments.alignment not in ALIGNMENTS:
        known = ", ".join(ALIGNMENTS)
        parser.error(f"unknown alignment {arguments.alignment!r}; choose from {known}")
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {arguments.epochs}")
    return arguments


def command_line(settings: Settings) -> str:
    """The command that gives this model again, with the options that are not the default."""
    options = [
        f" --{field.name.replace('_', '-')} {getattr(settings, field.name)}"
        for field in fields(Settings)
        if getattr(settings, field.name) != field.default
    ]
    return "python -m training.pretrain --fer2013 DIR" + "".join(options)


def main(argv: list[str] | None = None) -> int:
    """Train, export, and say where the model is."""
    arguments = parse_arguments(argv)
    settings = Settings(
        **{field.name: getattr(arguments, field.name) for field in fields(Settings)}
    )
    try:
        device = torch.device(arguments.device)
        model, temperature, public = train(arguments.fer2013, arguments.out, settings, device)
        target = arguments.model or arguments.out / "model"
        export.write_model(
            model.cpu(),
            target,
            temperature=temperature,
            command=command_line(settings),
            settings=asdict(settings),
            metrics={
                "ferplus_public": {
                    "n": public.n,
                    "accuracy": public.accuracy,
                    "macro_recall": public.macro_recall,
                    "recall": public.recall,
                    "ece": public.ece,
                }
            },
        )
    except (fer2013.DataError, TrainingError, export.ExportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nStopped. The same command goes on after the last finished epoch, from "
            f"{arguments.out}.",
            file=sys.stderr,
        )
        return 130
    print(f"The model is in {target}. Score it with: python -m training.evaluate --model {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

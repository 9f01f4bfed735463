"""Fine-tune the default model on MUG, or any labelled pictures of people, and report.

    python -m training.train --data DIR --out DIR

Index, split by person, cut out faces, fit, answer for people never seen, write the report and
a model directory that ``shelly`` takes with ``--model``. A killed run goes on where it was when
the same command is given again. Several GPUs or machines: start it through ``torchrun``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import nn

from shelly_local.errors import DataError
from shelly_local.results import CLASSES
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.model import EmotionModel

from . import export, finetune, frames, mug, networks, report, splits
from .answers import Faces, answer_takes, choose, cut_out, thinned
from .checkpoints import write_history
from .dataset import Frame, Index, Take, summary
from .distributed import World, joined
from .finetune import PRECISIONS, FitSettings, Samples
from .metrics import fit_temperature
from .mug_names import SUFFIXES_OPTION, parse_suffixes
from .options import Command, exit_code
from .progress import describe_run, estimate, print_epoch, say
from .report import TakeAnswer

PROTOCOLS = ("kfold", "lfdm", "holdout")
MUG_NOTICE = (
    "pictures of the MUG Facial Expression Database or others given with --data; whether weights "
    "trained on MUG may be published is for its owners to say"
)


def run(arguments: argparse.Namespace, settings: FitSettings, world: World) -> None:
    """The whole run: index to report and model."""
    begin = time.perf_counter()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    start_model = EmotionModel(arguments.start)
    network = export.load_network(arguments.start)
    index = mug.index(arguments.data, suffixes=arguments.suffixes)
    say(world, summary(index))
    parts = make_splits(arguments, index)
    warnings = splits.warnings(parts, index)
    say(world, splits.describe(parts, index))
    for warning in warnings:
        say(world, f"warning: {warning}")

    onsets = frames.neutral_from_onsets(index.takes, arguments.onsets) if arguments.onsets else ()
    distance = None
    if frames.RULES[arguments.frames].needs_distance:
        distance = frames.distance_by_landmarks(EmotionClassifier(arguments.start))
    learn = choose((*index.takes, *onsets), arguments.frames, arguments.k, distance)
    views = {
        "single": choose(index.takes, arguments.frames, 1, distance),
        "few": choose(index.takes, arguments.frames, arguments.k, distance),
        "whole": thinned(index.takes, arguments.whole_take),
    }
    say(world, estimate(network, learn, views, parts, settings, world, start_model.size))
    faces, problems = cut_out(
        [learn, *views.values()],
        start_model,
        arguments.cache or out / "crops",
        world,
        workers=arguments.workers,
    )

    answers: list[TakeAnswer] = []
    before: list[TakeAnswer] = []
    folds = []
    fitted, temperature = network, start_model.temperature
    takes_to_learn = (*index.takes, *onsets)
    for split in parts:
        say(world, f"{split.name}: {len(split.train)} people to learn from")
        fitted, temperature = fit_split(
            network, split, takes_to_learn, learn, faces, settings, world, out
        )
        tested = splits.select(index, split.test)
        fold = answer_takes(fitted, tested, views, faces, temperature)
        answers += fold
        before += answer_takes(network, tested, views, faces, start_model.temperature)
        folds.append(report.fold_entry(split.name, fold))
        say(world, f"  accuracy {folds[-1]['accuracy']:.1%}, macro F1 {folds[-1]['macro_f1']:.1%}")
    if len(parts) > 1:
        say(world, "everybody: the model to use")
        everybody = splits.everybody(index, seed=settings.seed)
        fitted, temperature = fit_split(
            network, everybody, takes_to_learn, learn, faces, settings, world, out
        )
    if not world.is_main:
        return
    result = report.build(
        index=index,
        protocol=arguments.protocol,
        folds=folds,
        answers=answers,
        before=before,
        problems=problems,
        warnings=warnings,
        run=describe_run(arguments, settings, world, time.perf_counter() - begin),
    )
    report.write(result, out)
    export.write_model(
        fitted.cpu(),
        out / "model",
        faces=torch.from_numpy(faces.images[faces.found]).unsqueeze(1),
        template=start_model.template,
        temperature=temperature,
        command=result["run"]["command"],
        settings=start_model.description["training"]["settings"] | {"fit": asdict(settings)},
        metrics={"protocol": arguments.protocol, "mean": result["mean"]},
        data=f"{start_model.description['training']['data']}; then {MUG_NOTICE}",
        name="shelly-emotion-finetuned",
    )
    mean, low_high = result["mean"], result["mean"]["accuracy_ci95"]
    print(
        f"\naccuracy {mean['accuracy']:.1%} (95 % over people {low_high[0]:.1%} to "
        f"{low_high[1]:.1%}), before {result['before']['accuracy']:.1%}\n"
        f"report: {out / 'report.md'}\nuse it: shelly web --model {out / 'model'}"
    )


def make_splits(arguments: argparse.Namespace, index: Index) -> list[splits.Split]:
    """The splits of the protocol that was asked for."""
    if arguments.protocol == "kfold":
        return splits.kfold(index, folds=arguments.folds, seed=arguments.seed)
    if arguments.protocol == "lfdm":
        return [splits.lfdm(index, seed=arguments.seed)]
    if arguments.test_subjects:
        return [splits.holdout(index, test_subjects=arguments.test_subjects, seed=arguments.seed)]
    return [splits.holdout(index, test_share=arguments.test_share, seed=arguments.seed)]


def fit_split(
    network: nn.Module,
    split: splits.Split,
    takes: Sequence[Take],
    learn: dict[str, list[Frame]],
    faces: Faces,
    settings: FitSettings,
    world: World,
    out: Path,
) -> tuple[nn.Module, float]:
    """Fit on the people of a split; or read the weights if an earlier run got so far."""
    part = {
        name: faces.samples([t for t in takes if t.subject in set(people)], learn)
        for name, people in (("train", split.train), ("validation", split.validation))
    }
    present = {CLASSES[label] for label in part["train"].labels}
    lacking = sorted({t.emotion for t in takes} - present)
    if lacking:
        raise DataError(f"{split.name}: no face with {', '.join(lacking)} to learn from.")
    done = out / f"{split.name}.safetensors"
    if done.exists():
        fitted = export.read_network(done, network, settings, split)
        if fitted is not None:
            say(world, f"  taken from {done}")
            return fitted, calibrate(fitted, part["validation"])
    fitting = finetune.load(network, part["train"], part["validation"], settings, world)
    finetune.fit(fitting, checkpoint=out / f"{split.name}.checkpoint.pt", report=print_epoch)
    fitted = finetune.finish(fitting)
    if world.is_main:
        write_history(out / f"{split.name}.csv", fitting.state.history)
        export.save_network(done, fitted, settings, split)
    world.wait()
    return fitted, calibrate(fitted, part["validation"])


def calibrate(model: nn.Module, validation: Samples) -> float:
    """Temperature fitted on the validation people."""
    pictures = torch.from_numpy(validation.images).unsqueeze(1)
    return fit_temperature(networks.predict(model, pictures), validation.labels)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line; every field of ``FitSettings`` is an option."""
    parser = Command(
        "train",
        "Fine-tune the default model on MUG, or any labelled pictures of people, and report.",
        "--data MUG --out runs/mug",
        "--data MUG --out runs/lfdm --protocol lfdm",
        "--data MUG --out runs/h --protocol holdout --test-subjects 001 002",
        "  torchrun --nproc-per-node 2 -m training.train --data MUG --out runs/mug\n",
    )
    held = "MUG's folder, a folder of pictures per class, or training zips"
    parser.path("--data", "DIR", held, required=True)
    parser.path("--out", "DIR", "report, model and checkpoints", required=True)
    parser.path("--start", "DIR", "model to start from (default: the bundled one)")
    parser.value(
        "--protocol",
        "kfold",
        "who is tested on: kfold, everybody once; lfdm, the split of the literature; holdout, "
        "the people you name or a share",
        choices=PROTOCOLS,
    )
    parser.value("--folds", 5, "of kfold")
    tested = "people to test on, for holdout"
    parser.add_argument("--test-subjects", nargs="+", metavar="ID", help=tested)
    parser.value("--test-share", splits.TEST_SHARE, "share of the people to test on, for holdout")
    rules = sorted(frames.RULES)
    parser.value("--frames", "around-apex", "which frames of a take", choices=rules)
    parser.value("-k", frames.DEFAULT_K, "frames of a take to learn from")
    onsets = "first frames of other takes to learn as neutral; 0 for none"
    parser.value("--onsets", 1, onsets, metavar="N")
    parser.value(
        "--whole-take",
        16,
        "frames that stand for a whole take, spread evenly; 0 for every one, which costs most of "
        "the time",
        metavar="N",
    )
    parser.add_argument("--suffixes", type=parse_suffixes, metavar="A,B", **SUFFIXES_OPTION)
    parser.path("--cache", "DIR", "crops of faces (default: OUT/crops)")
    parser.add_argument(
        "--workers", type=int, help="processes that cut out faces (default: one per core)"
    )
    parser.device()
    parser.set_defaults(mode="all")
    for name, mode, text in (
        ("--from-scratch", "scratch", "begin with random weights, for comparison"),
        ("--freeze", "head", "train the last layer only, for comparison"),
    ):
        parser.add_argument(name, dest="mode", action="store_const", const=mode, help=text)
    parser.settings(FitSettings, {"precision": tuple(PRECISIONS)})
    arguments = parser.parse_args(argv)
    if arguments.k < 1:
        parser.error(f"-k must be at least 1, not {arguments.k}")
    if arguments.test_subjects and arguments.protocol != "holdout":
        parser.error(f"--test-subjects needs --protocol holdout, not {arguments.protocol}")
    if not 0 < arguments.test_share < 1:
        parser.error(f"--test-share must lie between 0 and 1, not {arguments.test_share}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and turn failures into one line and an exit code."""
    arguments = parse_arguments(argv)
    settings = FitSettings(**{f.name: getattr(arguments, f.name) for f in fields(FitSettings)})

    def work() -> None:
        with joined(arguments.device) as world:
            run(arguments, settings, world)

    return exit_code(work, "The same command goes on from here.")


if __name__ == "__main__":
    raise SystemExit(main())

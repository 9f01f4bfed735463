"""How the commands of this package end, and the command line of ``training.pretrain``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from shelly_local.errors import ShellyError

from .settings import Settings

ALLOWED = {"alignment": ("landmarks", "none"), "precision": ("auto", "bfloat16", "float32")}
EXAMPLES = """\
examples:
  python -m training.pretrain --fer2013 data/fer2013 --model models/emotion
  python -m training.pretrain --fer2013 data/fer2013 --network torchvision/mobilenet_v3_small
                              --init default          ImageNet weights, downloaded
  python -m training.pretrain --fer2013 data/fer2013 --network face_resnet
                              --init MANIFEST.json    dlib's face recognition
  python -m training.pretrain --fer2013 data/fer2013 --network small
                              --teachers runs/a/model:2,runs/b/model   distillation; the
                              first one counts twice
  torchrun --nproc-per-node 2 -m training.pretrain --fer2013 data/fer2013     two GPUs

Ctrl-C stops after the last finished epoch; the same command goes on from there.
"""


def exit_code(work: Callable[[], int | None], stopped: str = "Nothing was written.") -> int:
    """Do the work of a command; what goes wrong becomes one line and an exit code.

    Args:
        work: returns the exit code, None for 0.
        stopped: what to say about a run that Ctrl-C has stopped.

    Returns:
        That of the work, 1 after an error, 130 after Ctrl-C.
    """
    try:
        return work() or 0
    except (ShellyError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nStopped. {stopped}", file=sys.stderr)
        return 130


def add_settings(
    parser: argparse.ArgumentParser, settings: type[Any], allowed: Mapping[str, Sequence[str]]
) -> None:
    """Make every field of some settings that has a help text an option.

    Args:
        parser: gets the options.
        settings: a dataclass whose fields come from ``settings.setting``.
        allowed: the values that some of them may have.
    """
    for field in fields(settings):
        if "help" not in field.metadata:
            continue
        kind, choices = type(field.default), allowed.get(field.name)
        default = "none" if field.default == "" else field.default
        text = f"{field.metadata['help']} (default: {default})"
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=kind,
            default=field.default,
            choices=choices,
            metavar=None if choices else kind.__name__.upper(),
            help=text.replace("%", "%%"),
        )


def parse(argv: list[str] | None, settings: type[Settings]) -> argparse.Namespace:
    """Read the command line of ``training.pretrain``: every field of its settings is an option.

    Raises:
        SystemExit: by argparse, with a message, for wrong usage.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain",
        description="Train the default model on FER2013 with the FER+ votes.",
        epilog=EXAMPLES,
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
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="a fifth faster after a minute's start, where a C++ compiler is installed",
    )
    parser.add_argument(
        "--stop-after",
        type=int,
        metavar="N",
        help="end after N epochs of the schedule all the same, such as for another round",
    )
    add_settings(parser, settings, ALLOWED)
    arguments = parser.parse_args(argv)
    shares = [field.name for field in fields(settings) if field.name.endswith("_share")]
    for name in (*shares, "label_smoothing"):
        value = getattr(arguments, name)
        if not 0 <= value <= 1:
            parser.error(f"--{name.replace('_', '-')} must lie in 0..1, got {value}")
    for name in ("epochs", "stop_after"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    return arguments


def without_folders(settings: Settings) -> Settings:
    """The settings with the last two parts of each path: where one's files lie is private."""
    return replace(
        settings,
        init="/".join(Path(settings.init).parts[-2:]),
        teachers=",".join("/".join(Path(t).parts[-2:]) for t in settings.teachers.split(",")),
    )


def command_line(settings: Settings, default: Settings) -> str:
    """The command that gives this model again, with the options that are not the default."""
    settings = without_folders(settings)
    options = [
        f" --{field.name.replace('_', '-')} {getattr(settings, field.name)}"
        for field in fields(settings)
        if getattr(settings, field.name) != getattr(default, field.name)
    ]
    return "python -m training.pretrain --fer2013 DIR" + "".join(options)

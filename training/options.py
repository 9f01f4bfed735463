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


class Command(argparse.ArgumentParser):
    """The command line of ``python -m training.NAME``.

    Args:
        name: of the module.
        does: what the command does.
        examples: command lines, such as ``"--data MUG"``, or a whole text.
    """

    def __init__(self, name: str, does: str, *examples: str) -> None:
        program = f"python -m training.{name}"
        lines = [text if "\n" in text else f"  {program} {text}" for text in examples]
        super().__init__(
            prog=program,
            description=does,
            epilog="\n".join(["examples:", *lines]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def path(self, name: str, metavar: str, text: str, **more: Any) -> None:
        """An option whose value is a file or a folder."""
        self.add_argument(name, type=Path, metavar=metavar, help=text, **more)

    def value(self, name: str, default: Any, text: str, **more: Any) -> None:
        """An option with a default, which the help text tells."""
        shown = "none" if default == "" else default
        text = f"{text} (default: {shown})".replace("%", "%%")
        kind = type(default) if isinstance(default, (int, float, str)) else Path
        self.add_argument(name, type=kind, default=default, help=text, **more)

    def flag(self, name: str, text: str) -> None:
        """An option without a value."""
        self.add_argument(name, action="store_true", help=text.replace("%", "%%"))

    def device(self) -> None:
        """The option that says where to compute."""
        self.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")

    def settings(self, kind: type[Any], allowed: Mapping[str, Sequence[str]]) -> None:
        """An option for every field of a dataclass that comes from ``settings.setting``.

        Args:
            kind: the dataclass.
            allowed: the values that some of the fields may have.
        """
        for field in fields(kind):
            if "help" in field.metadata:
                choices = allowed.get(field.name)
                metavar = None if choices else type(field.default).__name__.upper()
                name, text = "--" + field.name.replace("_", "-"), field.metadata["help"]
                self.value(name, field.default, text, choices=choices, metavar=metavar)


def parse(argv: list[str] | None, settings: type[Settings]) -> argparse.Namespace:
    """Read the command line of ``training.pretrain``: every field of its settings is an option.

    Raises:
        SystemExit: by argparse, with a message, for wrong usage.
    """
    does = "Train the default model on FER2013 with the FER+ votes."
    parser = Command("pretrain", does, EXAMPLES)
    held = "folder with fer2013.csv and fer2013new.csv, or the .npz files"
    parser.path("--fer2013", "DIR", held, required=True)
    parser.value("--out", Path("runs/pretrain"), "checkpoints and curves", metavar="DIR")
    parser.path("--model", "DIR", "where the finished model goes (default: OUT/model)")
    parser.device()
    parser.flag(
        "--compile", "a fifth faster after a minute's start, where a C++ compiler is installed"
    )
    ends = "end after N epochs of the schedule all the same, such as for another round"
    parser.add_argument("--stop-after", type=int, metavar="N", help=ends)
    parser.settings(settings, ALLOWED)
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

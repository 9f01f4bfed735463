"""``shelly models``: list, describe and verify model directories."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from shelly_local.batch.writers import complain, printable
from shelly_local.errors import ModelError

#: Weights files of a model that are verified; each may be large, and named again and again.
MAX_WEIGHTS_FILES = 16

DESCRIPTION = """\
List the expression models that come with Shelly, and those in the folders given, and verify
each: its description, the SHA-256 of its weights, and that it runs.
"""

EXAMPLES = """\
examples:
  shelly models                     what is installed
  shelly models runs/mug/model      the result of a training
  shelly models --json              the same for programs, with all figures

Exit codes: 0 all sound, 1 a model is damaged or missing, 2 wrong usage.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``shelly models`` to the parser of ``shelly``."""
    parser = subparsers.add_parser(
        "models",
        help="list, describe and verify models",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folders", metavar="DIR", nargs="*", type=Path, help="model directories")
    parser.add_argument("--json", action="store_true", help="write JSON Lines, one model a line")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Describe each model; a damaged one costs a line and the exit code, not the others."""
    from shelly_local.vision.model import DEFAULT_MODEL
    from shelly_local.vision.onnx import bundled_model

    exit_code = 0
    for folder in (bundled_model(DEFAULT_MODEL), *arguments.folders):
        try:
            description, size = _verified(folder)
        except ModelError as error:
            exit_code = 1
            complain(error.description)
            if arguments.json:
                print(json.dumps({"path": str(folder), "error": error.as_dict()}), flush=True)
            continue
        if arguments.json:
            print(json.dumps({"path": str(folder), **description}), flush=True)
        else:
            print("\n".join(_lines(folder, description, size)), flush=True)
    return exit_code


def _verified(folder: Path) -> tuple[dict[str, Any], int]:
    """The description of a model whose weights are all as described and which runs, and the
    bytes of those weights.
    """
    from shelly_local.vision.model import EmotionModel
    from shelly_local.vision.onnx import load_weights

    description = EmotionModel(folder).description
    if len(description["weights"]) > MAX_WEIGHTS_FILES:
        raise ModelError(
            f"The description in {folder} names {len(description['weights'])} weights files; "
            f"at most {MAX_WEIGHTS_FILES} are read."
        )
    size = sum(len(load_weights(folder, description, name)) for name in description["weights"])
    return description, size


def _lines(folder: Path, description: dict[str, Any], size: int) -> list[str]:
    """A description for people; what it holds beside what was verified may be anything."""
    training, metrics = (
        entry if isinstance(entry, dict) else {}
        for entry in (description.get("training"), description.get("metrics"))
    )
    lines = [
        f"{folder}: {description.get('name', 'without a name')}, verified",
        f"  classes   {', '.join(description['classes'])}",
        f"  input     {description['input']['width']} x {description['input']['height']} pixels, "
        f"{description['input']['colour']}",
        f"  weights   {size / 1e6:.1f} MB in {len(description['weights'])} file(s), SHA-256 right",
        f"  trained   {training.get('date', 'at an unknown date')}: "
        f"{training.get('command', 'by an unknown command')}",
        f"  data      {training.get('data', 'unknown')}",
    ]
    for name, values in metrics.items():
        accuracy = values.get("accuracy") if isinstance(values, dict) else None
        if isinstance(accuracy, int | float) and 0 <= accuracy <= 1:
            faces = f" of {values['n']}" if "n" in values else ""
            lines.append(f"  measured  {name}: {accuracy:.1%} right{faces}")
    return [printable(line) for line in lines]

"""What each choice of the recipe is worth: one short training per choice, all else alike.

    python -m training.ablation --fer2013 DIR --out runs/ablation

Every row changes one setting of the base and gets the same number of epochs. Finished rows
are kept, a stopped row goes on where it was. The table is ``OUT/ablation.md``; figures are of
the public part, since choices are made by them. Short trainings rank choices; what a full
training reaches is more.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from shelly_local.vision.model import EmotionModel

from . import fer2013, pretrain
from .data import first
from .distributed import World, joined
from .evaluate import score_fer2013
from .options import Command, exit_code
from .precision import best_precision
from .quantise import crops_for
from .settings import Settings

#: A name for each row, and what it changes. None of them changes the number of epochs.
ROWS: dict[str, dict[str, Any]] = {
    "base": {},
    "faces as they were cropped, not aligned": {"alignment": "none"},
    "framed as FER2013 frames faces": {"zoom": 1.0},
    "half of the pictures not changed at random": {"augmented_share": 0.5},
    "classes not balanced": {"balance": 0.0},
    "classes balanced in full": {"balance": 1.0},
    "no label of 2013 for rare classes": {"rare_label_share": 0.0},
    "no label of 2013 for faint smiles": {"smile_label_share": 0.0},
    "2 % label smoothing": {"label_smoothing": 0.02},
    "no average of the weights": {"ema_decay": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "half the learning rate": {"learning_rate": 0.05},
    "labels of 2013 alone": {"label_share": 1.0},
}


def run_row(
    data: Path, out: Path, settings: Settings, world: World, *, compiled: bool
) -> dict[str, float]:
    """Train one row and score it on the public part.

    Returns:
        ``ferplus``, ``macro_recall``, ``agreed`` and ``fer2013``: accuracies and the mean
        recall over classes, 0..1.
    """
    run = pretrain.load(data, out, settings, world, cache=out.parent)
    pretrain.fit(run, compiled=compiled)
    pretrain.finish(run, out / "model", "python -m training.ablation")
    faces = fer2013.load(data, "public")
    if settings.limit:
        faces = first(faces, settings.limit)
    model = EmotionModel(out / "model")
    scores = score_fer2013(model, faces, crops_for(model, faces.images, out.parent))
    return {
        "ferplus": scores["ferplus"].accuracy,
        "macro_recall": scores["ferplus"].macro_recall,
        "agreed": scores["agreed"].accuracy,
        "fer2013": scores["fer2013"].accuracy,
    }


def table(results: dict[str, dict[str, float]]) -> str:
    """The finished rows as Markdown."""
    lines = [
        "| change | FER+ | macro recall | agreed rows | labels of 2013 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, values in results.items():
        cells = " | ".join(f"{value:.1%}" for value in values.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Run the rows that are not finished and print the table."""
    does = "What each choice of the recipe is worth, by short trainings."
    parser = Command("ablation", does, "--fer2013 data/fer2013 --epochs 8")
    parser.path("--fer2013", "DIR", "folder of FER2013 and FER+", required=True)
    parser.value("--out", Path("runs/ablation"), "table and trained models", metavar="DIR")
    parser.value("--network", "medium", "as of training.pretrain")
    parser.value("--epochs", 8, "of each row")
    parser.value("--limit", 0, "first pictures only, for trials; 0 for all")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="these only (default: all)")
    parser.device()
    parser.flag("--compile", "as in training.pretrain")
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.rows or ()) - set(ROWS))
    if unknown:
        parser.error(f"unknown row {unknown[0]!r}; choose from {', '.join(map(repr, ROWS))}")
    file: Path = arguments.out / "ablation.json"
    results: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}

    def work() -> None:
        with joined(arguments.device) as world:
            base = Settings(
                network=arguments.network,
                epochs=arguments.epochs,
                precision=best_precision(world.device),
                limit=arguments.limit,
            )
            for number, (name, change) in enumerate(ROWS.items()):
                if name in results or (arguments.rows and name not in arguments.rows):
                    continue
                print(f"Row {number + 1} of {len(ROWS)}: {name}")
                out, settings = arguments.out / f"row-{number:02d}", replace(base, **change)
                results[name] = run_row(
                    arguments.fer2013, out, settings, world, compiled=arguments.compile
                )
                file.write_text(json.dumps(results, indent=2) + "\n")
                (arguments.out / "ablation.md").write_text(table(results))
        print(table(results))

    return exit_code(work, "The same command goes on from here.")


if __name__ == "__main__":
    raise SystemExit(main())

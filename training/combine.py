"""Make one model of two: their mean answers better than each.

    python -m training.combine --fer2013 DIR --models runs/face/model runs/large/model --out DIR

The two are joined in front of a common last layer (``pair.PairNet``); the temperature is
fitted anew on FER2013's public part. Nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from shelly_local.errors import ModelError
from shelly_local.model import EmotionModel

from . import export, fer2013, networks
from .landmarks import align_all, alignments, find_all
from .metrics import fit_temperature, score
from .pair import pair

#: What a model of two networks is called, by the names of the two.
PAIRS = {("face_resnet", "large"): "face_pair"}


def combine(folder: Path, models: tuple[Path, Path], out: Path, cache: Path) -> str:
    """Join two models and write the result.

    Args:
        folder: FER2013 and FER+; see ``training/fer2013.py``.
        models: their model directories, with PyTorch weights.
        out: the new model directory.
        cache: folder for landmarks.

    Returns:
        How it does on the public part, for people.

    Raises:
        ModelError: a model is missing, damaged, or not one of ``PAIRS``.
        ValueError: the two want different crops.
        DataError, ExportError, OSError: see ``fer2013.load`` and ``export.write_model``.
    """
    first, second = (EmotionModel(model) for model in models)
    settings = [dict(each.description["training"]["settings"]) for each in (first, second)]
    names = settings[0]["network"], settings[1]["network"]
    if names not in PAIRS:
        known = " or ".join(" and ".join(each) for each in PAIRS)
        raise ModelError(f"{' and '.join(names)} make no known pair; {known} do.")
    if not np.array_equal(first.template, second.template):
        raise ValueError("the two models want different crops: train them with the same --zoom")
    both = pair(
        export.load_network(models[0]),
        export.load_network(models[1]),
        (first.temperature, second.temperature),
    ).eval()
    public = fer2013.load(folder, "public")
    truth, valid = public.majority()
    matrices = alignments(find_all(public.images, cache), first.template)
    faces = align_all(public.images, matrices)[torch.from_numpy(valid)]
    logits = networks.predict(both, faces)
    temperature = fit_temperature(logits, truth[valid])
    scores = score(logits, truth[valid], temperature)
    export.write_model(
        both,
        out,
        faces=faces,
        template=first.template,
        temperature=temperature,
        command="python -m training.combine --fer2013 DIR --models "
        + " ".join("/".join(model.parts[-2:]) for model in models),
        settings={**settings[0], "network": PAIRS[names], "members": settings},
        metrics={"ferplus_public": export.summary(scores)},
    )
    return f"public FER+ {scores.accuracy:.2%} (macro recall {scores.macro_recall:.2%})"


def main(argv: list[str] | None = None) -> int:
    """Join two models and say how the result does."""
    parser = argparse.ArgumentParser(
        prog="python -m training.combine", description="Make one model of two."
    )
    parser.add_argument("--fer2013", type=Path, required=True, metavar="DIR")
    parser.add_argument("--models", type=Path, required=True, nargs=2, metavar="MODEL",
                        help="model directories, networks face_resnet and large")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, default=Path("runs"), metavar="DIR",
                        help="for landmarks (default: %(default)s)")  # fmt: skip
    arguments = parser.parse_args(argv)
    try:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        models = arguments.models[0], arguments.models[1]
        print(combine(arguments.fer2013, models, arguments.out, arguments.cache))
    except (
        fer2013.DataError, export.ExportError, ModelError, ValueError, KeyError, OSError
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"The model is in {arguments.out}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

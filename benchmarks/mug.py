"""How long a whole MUG takes to train on: crops and fits per second, and what follows.

    python -m benchmarks.mug PHOTO... [--json FILE]

The photos, of one face each, are enlarged to MUG's 896x896 pixels and saved as JPEG of the
size that MUG's frames have; both rates are measured on them. Needs the extra ``train`` and an
otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.results import processor
from shelly_local.vision.model import EmotionModel
from training import crops, export
from training.dataset import Frame
from training.distributed import join
from training.finetune import FitSettings, Samples, fit

#: MUG as distributed: frames are 896x896 JPEGs of about 290 kB; 52 people, about 1,000 takes,
#: 73,000 frames.
SIDE, JPEG_QUALITY = 896, 95
MUG_FRAMES, MUG_TAKES = 73_000, 1_000
#: Frames of a take that are learnt from, folds, and epochs of a fit, as ``training.train`` has
#: them by default.
FRAMES_PER_TAKE, FOLDS = 5, 5
#: Frames cut out, and faces of one timed epoch.
COUNT = 120
FACES = 1024


def crops_per_second(photos: list[Path]) -> float:
    """Faces cut out a second, on all cores, starting the processes included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = []
        for number in range(COUNT):
            file = folder / f"img_{number:04}.jpg"
            with Image.open(photos[number % len(photos)]) as photo:
                # A pixel more each time: the cache must not know the picture.
                size = (SIDE, SIDE + number // len(photos))
                photo.convert("RGB").resize(size).save(file, quality=JPEG_QUALITY)
            frames.append(Frame(file))
        start = time.perf_counter()
        made = crops.extract(frames, folder / "cache", model=EmotionModel(), progress=False)
        seconds = time.perf_counter() - start
    if not made.found.all():
        raise SystemExit(f"a face was found in {made.found.sum()} of {COUNT} frames only")
    return COUNT / seconds


def faces_per_second(device: str | None) -> float:
    """Faces learnt from a second, all layers, augmentation included."""
    generator = np.random.default_rng(0)
    side = EmotionModel().size
    images = generator.integers(0, 256, (FACES, side, side), dtype=np.uint8)
    learn = Samples(images, np.arange(FACES) % 7)
    check = Samples(images[:64], np.arange(64) % 7)
    world = join(device)
    network = export.load_network()
    times = []
    for epochs in (1, 3):
        settings = FitSettings(head_epochs=0, epochs=epochs)
        start = time.perf_counter()
        fit(network, learn, check, settings, world)
        times.append(time.perf_counter() - start)
    return 2 * FACES / (times[1] - times[0])


def main(argv: list[str] | None = None) -> int:
    """Measure, compute, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mug",
        description="Time that a whole MUG would take.",
        epilog="example: python -m benchmarks.mug tests/pictures/smiling.jpg",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="one face each")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    crop_rate = crops_per_second(arguments.photos)
    fit_rate = faces_per_second(arguments.device)
    settings = FitSettings()
    epochs = settings.head_epochs + settings.epochs
    faces = MUG_TAKES * (FRAMES_PER_TAKE + 1)  # and one onset as neutral
    results = {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "torch": str(torch.__version__),
        "crops_per_second": round(crop_rate, 1),
        "faces_learnt_per_second": round(fit_rate),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "whole_mug": {
            "crops_of_all_frames_minutes": round(MUG_FRAMES / crop_rate / 60),
            "crops_of_16_frames_a_take_minutes": round(16 * MUG_TAKES / crop_rate / 60),
            "one_fit_minutes_at_most": round(faces * epochs / fit_rate / 60),
            "five_folds_and_everybody_minutes_at_most": round(
                (FOLDS + 1) * faces * epochs / fit_rate / 60
            ),
        },
        "cores": os.cpu_count(),
    }
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

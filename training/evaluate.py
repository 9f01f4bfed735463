"""Score a model directory: on FER2013's private part, and on photos through the pipeline.

    python -m training.evaluate --fer2013 DIR --photos TREE --json scores.json

``--photos`` is a folder with one folder of photos per class. Where photos in different class
folders have the same file name they are taken to show the same person, and the probability
of the class is compared between them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shelly_local.classifier import EmotionClassifier
from shelly_local.errors import ShellyError
from shelly_local.model import EmotionModel
from shelly_local.results import CLASSES
from training import fer2013
from training.metrics import Scores, score

#: Names of the parts in the table.
TITLES = {
    "ferplus": "FER+ majority",
    "agreed": "FER+ where the 2013 label agrees",
    "fer2013": "FER2013, labels of 2013",
    "photos": "photos, whole pipeline",
}


def score_fer2013(model: EmotionModel, faces: fer2013.Faces) -> dict[str, Scores]:
    """Scores on 48x48 faces by the FER+ majority, on agreed rows, and by the 2013 labels.

    The faces go to the model as they are: FER2013 is cropped already.
    """
    probabilities = model.predict(faces.images).probabilities
    logits = np.log(np.maximum(probabilities, 1e-12))
    truth, valid = faces.majority()
    agreed = valid & (truth == faces.labels)
    return {
        "ferplus": score(logits[valid], truth[valid]),
        "agreed": score(logits[agreed], truth[agreed]),
        "fer2013": score(logits, faces.labels),
    }


def find_photos(tree: Path) -> dict[str, list[Path]]:
    """The photos of each class folder.

    Raises:
        DataError: no class folder, or an empty one.
    """
    if not tree.is_dir():
        raise fer2013.DataError(f"{tree} is not a folder; give one with a folder per class.")
    photos = {
        name: sorted(p for p in (tree / name).iterdir() if p.is_file() and p.name[0] != ".")
        for name in CLASSES
        if (tree / name).is_dir()
    }
    if not photos:
        raise fer2013.DataError(f"{tree} has no folder named after a class: {', '.join(CLASSES)}.")
    for name, files in photos.items():
        if not files:
            raise fer2013.DataError(f"the class folder {tree / name} holds no photo.")
    return photos


def score_photos(
    classifier: EmotionClassifier, photos: dict[str, list[Path]]
) -> tuple[Scores, dict[str, Any]]:
    """Scores of the largest face of each photo; a photo without a face counts as wrong.

    Returns:
        The scores, and what belongs to photos only: ``faces_found`` (share), ``paired`` (for
        each class, how often it is more probable on its own photo than on another of the
        same file name) and ``unreadable`` (file names).
    """
    rows, truth, unreadable = [], [], []
    by_photo: dict[tuple[str, str], float] = {}
    every = {(name, file) for name, files in photos.items() for file in files}
    for name, file in tqdm(sorted(every), desc="photos", disable=None):
        try:
            face = classifier.classify(file).largest
        except ShellyError as error:
            print(f"{file}: {error}", file=sys.stderr)
            unreadable.append(str(file))
            continue
        if face is not None:
            rows.append([face.scores[c] for c in CLASSES])
            truth.append(CLASSES.index(name))
            for c in photos:
                by_photo[(f"{name}:{c}", file.stem)] = face.scores[c]
    logits = np.log(np.maximum(np.array(rows).reshape(-1, len(CLASSES)), 1e-12))
    scores = score(logits, np.array(truth, dtype=np.int64))
    total = len(every) - len(unreadable)
    found = len(rows) / total if total else 0.0
    counted = Counter(name for name, file in every if str(file) not in unreadable)
    answered = Counter(CLASSES[index] for index in truth)
    recall = {c: scores.recall.get(c, 0.0) * answered[c] / counted[c] for c in photos if counted[c]}
    scores = replace(
        scores,
        n=total,
        accuracy=scores.accuracy * found,
        recall=recall,
        macro_recall=float(np.mean(list(recall.values()))) if recall else 0.0,
    )
    paired = {}
    for c in photos:
        pairs = [
            (by_photo[(f"{c}:{c}", stem)], by_photo[(f"{other}:{c}", stem)])
            for other in photos
            for stem in sorted({file.stem for file in photos[c]})
            if other != c and {(f"{c}:{c}", stem), (f"{other}:{c}", stem)} <= by_photo.keys()
        ]
        if pairs:
            higher = sum(own > others for own, others in pairs)
            paired[c] = {"n": len(pairs), "higher": higher / len(pairs)}
    return scores, {"faces_found": found, "paired": paired, "unreadable": unreadable}


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as text."""
    lines = [f"{'':34}{'n':>6}{'accuracy':>10}{'macro recall':>14}{'ECE':>8}"]
    for part, values in results.items():
        lines.append(
            f"{TITLES[part]:34}{values['n']:>6}{values['accuracy']:>10.2%}"
            f"{values['macro_recall']:>14.2%}{values['ece']:>8.3f}"
        )
        lines.append(
            "    recall: " + ", ".join(f"{c} {r:.1%}" for c, r in values["recall"].items())
        )
        if part == "photos":
            lines.append(f"    faces found: {values['faces_found']:.1%}")
            for c, pair in values["paired"].items():
                lines.append(
                    f"    P({c}) higher on the {c} photo of a pair: "
                    f"{pair['higher']:.1%} of {pair['n']}"
                )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print the table and write the JSON file."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Score a model on FER2013's private part and on photos.",
        epilog="example:\n"
        "  python -m training.evaluate --fer2013 data/fer2013 --photos data/london",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the bundled model")
    parser.add_argument("--fer2013", type=Path, metavar="DIR", help="folder of FER2013 and FER+")
    parser.add_argument(
        "--part",
        choices=("public", "private"),
        default="private",
        help="part of FER2013; choose by public, report private (default)",
    )
    parser.add_argument("--photos", type=Path, metavar="TREE", help="a folder of photos per class")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args(argv)
    if not arguments.fer2013 and not arguments.photos:
        parser.error("nothing to score: give --fer2013 DIR, --photos TREE or both")
    results: dict[str, dict[str, Any]] = {}
    unreadable: list[str] = []
    try:
        classifier = EmotionClassifier(arguments.model)
        if classifier.classes != CLASSES:
            raise fer2013.DataError(f"the model's classes are {', '.join(classifier.classes)}.")
        if arguments.fer2013:
            faces = fer2013.load(arguments.fer2013, arguments.part)
            scores = score_fer2013(classifier.model, faces)
            results.update({part: values.as_dict() for part, values in scores.items()})
        if arguments.photos:
            photo_scores, extra = score_photos(classifier, find_photos(arguments.photos))
            results["photos"] = photo_scores.as_dict() | extra
            unreadable = extra["unreadable"]
    except (fer2013.DataError, ShellyError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 1 if unreadable else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Score a model directory: on FER2013's private part, and on photos through the pipeline.

    python -m training.evaluate --fer2013 DIR --photos TREE --json scores.json

``--photos`` is a folder with one folder of photos per class. Where photos in different class
folders have the same file name they are taken to show the same person, and the probability
of the class is compared between them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shelly_local.files import write_whole
from shelly_local.vision.alignment import align
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.model import DESCRIPTION_FILE, EmotionModel

from . import fer2013
from .landmarks import find, plausible
from .metrics import Scores, score
from .options import Command, exit_code
from .photos import by_group, classify_photos, find_photos, pairs, read_groups, score_outcomes

#: Names of the parts in the table.
TITLES = {
    "ferplus": "FER+ majority",
    "agreed": "FER+ where the 2013 label agrees",
    "fer2013": "FER2013, labels of 2013",
    "photos": "photos, whole pipeline",
}


def crops_of(
    faces: fer2013.Faces, classifier: EmotionClassifier
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """The 48x48 faces as the model wants them, of the same shape.

    A model trained on aligned faces gets them aligned by the detector, as it gets photos;
    where no face is found, and for other models, the picture stays as it was cropped.

    Returns:
        The crops, and ``{"faces_found": share}`` where the detector was asked: in how many of
        these tight crops, enlarged to 192 pixels, it finds the face.
    """
    model = classifier.model
    settings = model.description.get("training", {}).get("settings", {})
    crops = faces.images.copy()
    if settings.get("alignment") != "landmarks":
        return crops, {}
    found = 0
    for index, image in enumerate(tqdm(faces.images, desc="faces", disable=None)):
        landmarks = find(image, classifier.detector)
        found += not np.isnan(landmarks).any()
        if plausible(landmarks, model.template):
            crops[index] = align(
                image, landmarks * fer2013.SIDE, size=model.size, template=model.template
            )
    return crops, {"faces_found": found / max(len(crops), 1)}


def score_fer2013(
    model: EmotionModel, faces: fer2013.Faces, crops: NDArray[np.uint8]
) -> dict[str, Scores]:
    """Scores on 48x48 faces by the FER+ majority, on agreed rows, and by the 2013 labels."""
    probabilities = model.predict(crops).probabilities
    logits = np.log(np.maximum(probabilities, 1e-12))
    truth, valid = faces.majority()
    agreed = valid & (truth == faces.labels)
    return {
        "ferplus": score(logits[valid], truth[valid]),
        "agreed": score(logits[agreed], truth[agreed]),
        "fer2013": score(logits, faces.labels),
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as text."""
    lines = [f"{'':34}{'n':>6}{'accuracy':>10}{'macro recall':>14}{'ECE':>8}"]
    for part, values in results.items():
        lines.append(
            f"{TITLES[part]:34}{values['n']:>6}{values['accuracy']:>10.2%}"
            f"{values['macro_recall']:>14.2%}{values['ece']:>8.3f}"
        )
        lines += [
            f"    {c:10} precision {values['precision'].get(c, 0):6.1%}  recall {recall:6.1%}"
            f"  F1 {values['f1'].get(c, 0):6.1%}"
            for c, recall in values["recall"].items()
        ]
        if "faces_found" in values:
            lines.append(f"    faces found: {values['faces_found']:.1%}")
        if part == "photos":
            for c, pair in values["paired"].items():
                lines.append(
                    f"    P({c}) higher on the {c} photo of a pair: "
                    f"{pair['higher']:.1%} of {pair['n']}"
                )
            for column, groups in values.get("groups", {}).items():
                for group, v in groups.items():
                    low, high = v["accuracy_ci95"]
                    recalls = ", ".join(f"{c} {r:.0%}" for c, r in v["recall"].items())
                    lines.append(
                        f"    {column} {group} ({v['subjects']} people): accuracy "
                        f"{v['accuracy']:.1%} [{low:.1%}, {high:.1%}]; recall {recalls}"
                    )
    return "\n".join(lines)


def record(results: dict[str, dict[str, Any]], file: Path, part: str) -> None:
    """Write the main figures into a model's description, whole or not at all."""
    description = json.loads(file.read_text(encoding="utf-8"))
    names = ("n", "accuracy", "macro_recall", "recall", "ece", "faces_found", "paired", "groups")
    for name, values in results.items():
        title = name if name == "photos" else f"{name}_{part}"
        description["metrics"][title] = {key: values[key] for key in names if key in values}
    text = json.dumps(_rounded(description), indent=2, ensure_ascii=False) + "\n"
    write_whole(file, text.encode())


def _rounded(value: Any) -> Any:
    """Floats to five decimals, in any nesting: more would be noise."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value


def draw(results: dict[str, dict[str, Any]], folder: Path) -> None:
    """A confusion matrix and a reliability diagram of each part, as PNG."""
    from . import plots

    folder.mkdir(parents=True, exist_ok=True)
    for part, values in results.items():
        title = TITLES[part]
        plots.confusion_matrix(values["confusion"], title, folder / f"{part}-confusion.png")
        file = folder / f"{part}-reliability.png"
        plots.reliability_diagram(values["reliability"], values["ece"], title, file)


def main(argv: list[str] | None = None) -> int:
    """Print the table and write the JSON file."""
    does = "Score a model on FER2013's private part and on photos."
    parser = Command("evaluate", does, "--fer2013 data/fer2013 --photos data/london")
    parser.path("--model", "DIR", "default: the bundled model")
    parser.path("--fer2013", "DIR", "folder of FER2013 and FER+")
    part = "part of FER2013; choose by public, report private"
    parser.value("--part", "private", part, choices=("public", "private"))
    parser.path("--photos", "TREE", "a folder of photos per class")
    people = "groups of the people in the photos: file name without suffix, then groups"
    parser.path("--groups", "CSV", people)
    parser.path("--plots", "DIR", "draw confusion matrix and reliability diagram")
    parser.flag("--record", "write the figures into the description of the model, too")
    parser.path("--json", "FILE", "write the results here")
    arguments = parser.parse_args(argv)
    if not arguments.fer2013 and not arguments.photos:
        parser.error("nothing to score: give --fer2013 DIR, --photos TREE or both")

    def work() -> int:
        results: dict[str, dict[str, Any]] = {}
        unreadable: list[str] = []
        groups = read_groups(arguments.groups) if arguments.groups else {}
        classifier = EmotionClassifier(arguments.model)
        if arguments.fer2013:
            faces = fer2013.load(arguments.fer2013, arguments.part)
            crops, found_share = crops_of(faces, classifier)
            scores = score_fer2013(classifier.model, faces, crops)
            results.update({part: asdict(values) for part, values in scores.items()})
            results["fer2013"] |= found_share
        if arguments.photos:
            outcomes, unreadable = classify_photos(classifier, find_photos(arguments.photos))
            found = sum(outcome.scores is not None for outcome in outcomes)
            results["photos"] = asdict(score_outcomes(outcomes)) | {
                "faces_found": found / len(outcomes) if outcomes else 0.0,
                "paired": pairs(outcomes),
                "unreadable": unreadable,
            }
            if groups:
                results["photos"]["groups"] = by_group(outcomes, groups)
        print(table(results))
        if arguments.record:
            record(results, classifier.model.folder / DESCRIPTION_FILE, arguments.part)
        if arguments.plots:
            draw(results, arguments.plots)
        if arguments.json:
            write_whole(arguments.json, (json.dumps(results, indent=2) + "\n").encode())
        return 1 if unreadable else 0

    return exit_code(work)


if __name__ == "__main__":
    raise SystemExit(main())

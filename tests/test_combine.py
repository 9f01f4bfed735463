"""Two models in one: the mean of their answers, exported and loaded like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shelly_local.model import EmotionModel
from shelly_local.results import CLASSES
from training import combine, export, fer2013, networks
from training.pair import pair


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Parts in the layout of FER2013 with the votes of FER+: noise."""
    random = np.random.default_rng(0)
    folder = tmp_path / "fer2013"
    folder.mkdir()
    for part in ("train", "public", "private"):
        votes = np.zeros((14, len(fer2013.VOTE_COLUMNS)), np.uint8)
        labels = np.arange(14) % 7
        for row, label in zip(votes, labels, strict=True):
            row[fer2013.VOTE_COLUMNS.index(CLASSES[label])] = 10
        images = random.integers(0, 256, (14, 48, 48)).astype(np.uint8)
        np.savez(folder / f"{part}.npz", images=images, labels=labels.astype(np.uint8), votes=votes)
    return folder


def model_directory(folder: Path, network: str, seed: int, temperature: float) -> Path:
    """A model with random weights, with what training writes of its settings."""
    torch.manual_seed(seed)
    faces = torch.randint(0, 256, (8, 1, 48, 48), dtype=torch.uint8)
    export.write_model(
        networks.build(network).eval(),
        folder,
        faces=faces,
        template=EmotionModel().template,
        temperature=temperature,
        command="a test",
        settings={"network": network, "alignment": "landmarks"},
        metrics={},
    )
    return folder


def test_a_pair_answers_as_the_mean_of_both() -> None:
    torch.manual_seed(0)
    first, second = networks.build("face_resnet").eval(), networks.build("large").eval()
    faces = torch.rand(4, 1, 48, 48) * 255
    with torch.no_grad():
        (a, one), (b, two) = first(faces), second(faces)
        logits, embedding = pair(first, second, (2.0, 0.5)).eval()(faces)
    assert torch.allclose(logits, (a / 2.0 + b / 0.5) / 2, atol=1e-4)
    assert torch.allclose(embedding, torch.cat([one, two], dim=1), atol=1e-5)


def test_two_models_become_one(data: Path, tmp_path: Path) -> None:
    models = [
        model_directory(tmp_path / "face" / "model", "face_resnet", 0, 1.2),
        model_directory(tmp_path / "large" / "model", "large", 1, 0.9),
    ]
    out = tmp_path / "out"
    command = ["--fer2013", str(data), "--models", *map(str, models), "--out", str(out)]
    assert combine.main([*command, "--cache", str(tmp_path)]) == 0
    model = EmotionModel(out)
    training = model.description["training"]
    assert training["settings"]["network"] == "face_pair"
    assert training["command"].endswith("--models face/model large/model")
    assert str(tmp_path) not in str(model.description)
    images = fer2013.load(data, "public").images
    first, second = (EmotionModel(each).predict(images) for each in models)
    answer = model.predict(images)
    assert answer.embedding.shape == (14, 256 + 384)
    # Probabilities of the mean of logits, at a new temperature: a geometric mean, to a power.
    mean = (np.log(first.probabilities) + np.log(second.probabilities)) / (2 * model.temperature)
    wanted = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    assert answer.probabilities == pytest.approx(wanted, abs=0.01)
    logits, _ = export.load_network(out)(torch.zeros(2, 1, 48, 48))
    assert logits.shape == (2, len(CLASSES))


def test_models_that_do_not_go_together_are_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = model_directory(tmp_path / "small", "small", 0, 1.0)
    for models, message in (
        ((small, small), "small and small make no known pair; face_resnet and large do"),
        ((small, tmp_path / "nothing"), "nothing is not a model directory"),
    ):
        command = ["--fer2013", str(data), "--models", *map(str, models)]
        assert combine.main([*command, "--out", str(tmp_path / "out")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

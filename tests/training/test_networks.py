"""Networks by name, weights to begin with, and half precision in the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from shelly_local.errors import ModelError
from shelly_local.vision.alignment import FER2013_TEMPLATE
from shelly_local.vision.model import EmotionModel
from training import export, networks
from training.distillation import teacher_probabilities
from training.efficientnet import EMBEDDING, EfficientNetLite0
from training.precision import round_weights, store_half
from training.pretrain import update_average

NAMES = (*sorted(networks.NETWORKS), "torchvision/mobilenet_v3_small", "torchvision/resnet18")


def faces(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(count, 1, 48, 48, generator=generator) * 255


def write(network: torch.nn.Module, name: str, folder: Path) -> Path:
    settings = {"network": name, "alignment": "none"}
    export.write_model(
        network, folder, faces=faces().byte(), template=FER2013_TEMPLATE, temperature=1.5,
        command="test", settings=settings, metrics={},
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_network_answers_seven_logits_and_an_embedding(name: str) -> None:
    network = networks.build(name).eval()
    with torch.no_grad():
        logits, embedding = network(faces(3))
    assert logits.shape == (3, 7)
    assert embedding.ndim == 2
    assert torch.allclose(network.get_submodule("head")(embedding), logits, atol=1e-5)


def test_efficientnet_takes_the_published_weights_and_gives_embeddings() -> None:
    network = EfficientNetLite0().eval()
    assert len(network.state_dict()) == 294
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 96, 96)).shape == (2, EMBEDDING)


def test_weights_to_begin_with_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = networks.build("face_resnet").get_submodule("backbone").state_dict()
    torch.save(source | {"fc.weight": torch.zeros(1000, 256)}, tmp_path / "faces.pth")
    source = {key: tensor.contiguous() for key, tensor in source.items()}
    save_file(source, tmp_path / "faces.safetensors")
    for name in ("faces.pth", "faces.safetensors"):
        network = networks.build("face_resnet")
        taken = networks.load_backbone(network, "face_resnet", str(tmp_path / name))
        assert taken == len(source)
        loaded = network.get_submodule("backbone").state_dict()
        assert all(torch.equal(loaded[key], source[key]) for key in source)


def test_a_wrong_file_to_begin_with_is_named(tmp_path: Path) -> None:
    network = networks.build("face_resnet")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth is not for 'face_resnet': it lacks"):
        networks.load_backbone(network, "face_resnet", str(tmp_path / "other.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text.pth is no state dict"):
        networks.load_backbone(network, "face_resnet", str(tmp_path / "text.pth"))
    with pytest.raises(ValueError, match="has no default weights; give the path"):
        networks.load_backbone(network, "face_resnet", "default")
    with pytest.raises(ValueError, match="'small' begins with random weights"):
        networks.load_backbone(networks.build("small"), "small", "default")


def test_the_average_forgets_the_random_start_and_then_moves_slowly() -> None:
    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(average.weight, 5.0)
    torch.nn.init.constant_(model.weight, 1.0)
    for step in range(200):
        update_average(average, model, 0.9, step)
    assert average.weight.item() == pytest.approx(1.0, abs=1e-3)
    torch.nn.init.constant_(model.weight, 2.0)
    update_average(average, model, 0.9, 200)
    assert average.weight.item() == pytest.approx(1.1, abs=1e-3)


def test_both_files_hold_the_rounded_weights(tmp_path: Path) -> None:
    """The ONNX file, its PyTorch twin and the rounded network answer alike, at half the size."""
    torch.manual_seed(2)
    network = networks.build("medium").eval()
    folder = write(network, "medium", tmp_path / "model")
    size = sum(parameter.numel() for parameter in network.parameters())
    for name in ("model.onnx", "model.safetensors"):
        assert (folder / name).stat().st_size < 2.1 * size
    round_weights(network)
    twin = export.load_network(folder)
    for name, tensor in network.state_dict().items():
        assert torch.equal(twin.state_dict()[name], tensor)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    answers = session.run(["logits"], {"faces": faces().numpy()})[0]
    with torch.no_grad():
        wanted = network(faces())[0].numpy()
    assert np.abs(answers - wanted).max() < 1e-4


def test_weights_that_are_no_multiple_are_refused(tmp_path: Path) -> None:
    network, other = networks.build("small").eval(), networks.build("small").eval()
    for one in (network, other):
        round_weights(one)
    export.export_onnx(network, tmp_path / "model.onnx", faces().byte())
    torch.onnx.export(network, (faces(),), str(tmp_path / "plain.onnx"), dynamo=True, verbose=False)
    with pytest.raises(ValueError, match="not a scaled weight"):
        store_half(tmp_path / "plain.onnx", other)


def test_teachers_answer_with_the_crops_they_learnt_from(tmp_path: Path) -> None:
    torch.manual_seed(3)
    folder = write(networks.build("small").eval(), "small", tmp_path / "teacher")
    images = faces(4)[:, 0].to(torch.uint8).numpy()
    others = torch.full((4, 2, 3), 9.0)  # shows pixels beyond the corner
    wanted = EmotionModel(folder).predict(images).probabilities
    cpu = torch.device("cpu")
    answers = teacher_probabilities([(folder, 1.0), (folder, 0.5)], images, others, cpu)
    assert np.abs(answers.numpy() - wanted).max() < 1e-3
    second = write(networks.build("small").eval(), "small", tmp_path / "second")
    mixed = 0.75 * wanted + 0.25 * EmotionModel(second).predict(images).probabilities
    answers = teacher_probabilities([(folder, 3.0), (second, 1.0)], images, others, cpu)
    assert np.abs(answers.numpy() - mixed).max() < 1e-3
    assert np.abs(wanted - mixed).max() > 2e-3, "the second teacher has a say"
    answers = teacher_probabilities([(folder, 1.0)], images, others, cpu, "bfloat16")
    assert 0 < np.abs(answers.numpy() - wanted).max() < 0.02
    with pytest.raises(ModelError):
        teacher_probabilities([(tmp_path / "none", 1.0)], images, others, cpu)

"""Weights of dlib's face network, from a TensorFlow.js manifest into PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from training import face_resnet, networks


def write_manifest(folder: Path, without: str = "") -> Path:
    """A manifest with the tensors of ``@vladmandic/face-api`` and random values.

    Every other tensor is stored in 8 bits, in two files, as TensorFlow.js may do.
    """
    random = np.random.default_rng(0)
    layers = [("conv32_down", (7, 7, 3, 32))]
    channels = 32
    for width, count in face_resnet.STAGES:
        names = ([] if width == 32 else ["down"]) + [str(index + 1) for index in range(count)]
        for name in names:
            layers.append((f"conv{width}_{name}/conv1", (3, 3, channels, width)))
            layers.append((f"conv{width}_{name}/conv2", (3, 3, width, width)))
            channels = width
    entries: list[dict[str, Any]] = []
    content = b""
    for layer, shape in layers:
        for name, size in (
            ("conv/filters", shape),
            ("conv/bias", shape[3:]),
            ("scale/weights", shape[3:]),
            ("scale/biases", shape[3:]),
        ):
            if f"{layer}/{name}" == without:
                continue
            entry: dict[str, Any] = {"name": f"{layer}/{name}", "shape": list(size)}
            if len(entries) % 2:
                entry["quantization"] = {"dtype": "uint8", "scale": 0.001, "min": -0.1}
                content += random.integers(0, 256, size).astype(np.uint8).tobytes()
            else:
                content += random.normal(0, 0.05, size).astype(np.float32).tobytes()
            entries.append(entry)
    (folder / "a.bin").write_bytes(content[:1000])
    (folder / "b.bin").write_bytes(content[1000:])
    manifest = folder / "weights_manifest.json"
    manifest.write_text(json.dumps([{"paths": ["a.bin", "b.bin"], "weights": entries}]))
    return manifest


def test_tensors_keep_their_values(tmp_path: Path) -> None:
    values = np.array([0.5, -2.0], dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(values.tobytes() + bytes([0, 10]))
    packed = {"name": "b", "shape": [2, 1], "quantization": {"scale": 0.5, "min": -1.0}}
    weights = [{"name": "a", "shape": [2]}, packed]
    manifest = tmp_path / "m.json"
    manifest.write_text(json.dumps([{"paths": ["w.bin"], "weights": weights}]))
    tensors = face_resnet.read_tensors(manifest)
    assert tensors["a"].tolist() == [0.5, -2.0]
    assert tensors["b"].tolist() == [[-1.0], [4.0]]


def test_the_first_layers_compute_what_dlib_computes(tmp_path: Path) -> None:
    """Convolution, scale and offset, for a grey picture in all three colours."""
    manifest = write_manifest(tmp_path)
    network = networks.build("face_resnet").eval()
    assert networks.load_backbone(network, "face_resnet", str(manifest)) > 100
    backbone = network.get_submodule("backbone")
    tensors = {name: torch.from_numpy(t) for name, t in face_resnet.read_tensors(manifest).items()}
    picture = torch.randn(1, 1, 112, 112)
    filters = tensors["conv32_down/conv/filters"].permute(3, 2, 0, 1)
    bias = tensors["conv32_down/conv/bias"]
    wanted = functional.conv2d(picture.expand(-1, 3, -1, -1), filters, bias, stride=2)
    for name in ("weights", "biases"):
        tensor = tensors[f"conv32_down/scale/{name}"][None, :, None, None]
        wanted = wanted * tensor if name == "weights" else wanted + tensor
    with torch.no_grad():
        found = backbone.get_submodule("stem_norm")(backbone.get_submodule("stem")(picture))
    assert torch.allclose(found, wanted, atol=1e-3)


def test_measured_statistics_change_no_answer(tmp_path: Path) -> None:
    """And afterwards batch norms see zero mean and unit variance, as in training."""
    network = networks.build("face_resnet").eval()
    networks.load_backbone(network, "face_resnet", str(write_manifest(tmp_path)))
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (16, 1, 48, 48), generator=generator, dtype=torch.uint8)
    with torch.no_grad():
        before = network(faces.float())[1]
        networks.settle(network, faces)
        after = network.eval()(faces.float())[1]
        trained = network.train()(faces.float())[1]
    scale = before.abs().max()
    assert torch.allclose(before, after, atol=float(1e-3 * scale))
    assert torch.allclose(before, trained, atol=float(0.02 * scale))


def test_other_files_are_refused(tmp_path: Path) -> None:
    network = networks.build("face_resnet")
    text = tmp_path / "text.json"
    text.write_text("no JSON")
    with pytest.raises(ValueError, match="no weights manifest"):
        networks.load_backbone(network, "face_resnet", str(text))
    manifest = write_manifest(tmp_path, without="conv128_1/conv2/conv/filters")
    with pytest.raises(ValueError, match=r"does not hold dlib's face network.*conv128_1"):
        networks.load_backbone(network, "face_resnet", str(manifest))
    (tmp_path / "b.bin").unlink()
    with pytest.raises(OSError, match=r"b\.bin"):
        networks.load_backbone(network, "face_resnet", str(manifest))
    whole = write_manifest(tmp_path)
    (tmp_path / "b.bin").write_bytes(b"short")
    with pytest.raises(ValueError, match="no weights manifest"):
        networks.load_backbone(network, "face_resnet", str(whole))

"""Export MTCNN's three networks from facenet-pytorch 2.5.3 to ONNX.

    python -m training.export_mtcnn --out models/mtcnn

The weights lie inside the package facenet-pytorch (MIT licence), converted there from the
networks of Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks". The exported networks are rewritten for speed (``mtcnn_graph``) and
checked against the original ones in torch on random input.
"""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

import facenet_pytorch
import numpy as np
import onnxruntime
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from torch import nn

from .export import ExportError, write_description
from .mtcnn_graph import MEAN, SCALE, Streamlined
from .options import Command, exit_code

LICENCE_FILE = "LICENSE.md"
#: Largest difference between torch and ONNX Runtime that rounding explains.
TOLERANCE = 1e-4

NETWORKS: dict[str, tuple[type[nn.Module], int, list[str]]] = {
    "pnet": (PNet, 120, ["regression", "probability"]),
    "rnet": (RNet, 24, ["regression", "probability"]),
    "onet": (ONet, 48, ["regression", "landmarks", "probability"]),
}


def load(name: str) -> nn.Module:
    """A network with the weights that lie in the installed package."""
    network = NETWORKS[name][0](pretrained=False)
    package = Path(facenet_pytorch.__file__).parent
    weights = torch.load(package / "data" / f"{name}.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval()


def export(name: str, out: Path) -> Path:
    """Write one network as ONNX, with free batch size and, for P-Net, free picture size."""
    network = load(name)
    _, side, outputs = NETWORKS[name]
    example = torch.rand(2, 3, side, side + (8 if name == "pnet" else 0)) * 255
    batch = torch.export.Dim("batch", min=1, max=4096)
    sizes: dict[int, object] = {0: batch}
    if name == "pnet":
        sizes[2] = torch.export.Dim("height", min=12, max=16384)
        sizes[3] = torch.export.Dim("width", min=12, max=16384)
    file = out / f"{name}.onnx"
    torch.onnx.export(
        Streamlined(network).eval(),
        (example,),
        str(file),
        input_names=["pictures"],
        output_names=outputs,
        dynamic_shapes=(sizes,),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    check(network, file, side)
    return file


def check(network: nn.Module, file: Path, side: int) -> None:
    """Compare with the original network in torch on batches of several sizes."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, side, side), (7, side, side)]
    if file.stem == "pnet":
        shapes += [(1, 12, 12), (1, 37, 211), (3, 240, 135)]
    for batch, height, width in shapes:
        pictures = torch.rand(batch, 3, height, width, generator=generator) * 255
        with torch.no_grad():
            *others, probability = network((pictures - MEAN) * SCALE)
        wanted = [*others, probability[:, 1:]]
        answers = session.run(None, {"pictures": pictures.numpy()})
        for want, got in zip(wanted, answers, strict=True):
            worst = float(np.abs(want.numpy() - got).max())
            if worst > TOLERANCE:
                raise ExportError(f"{file.name}: {worst:.2g} off for input {tuple(pictures.shape)}")


def main(argv: list[str] | None = None) -> int:
    """Export the three networks, their licence and their description."""
    does = "Export MTCNN from facenet-pytorch 2.5.3 to ONNX."
    parser = Command("export_mtcnn", does, "--out models/mtcnn")
    parser.value("--out", Path("models/mtcnn"), "where the three files go", metavar="DIR")
    out: Path = parser.parse_args(argv).out

    def work() -> None:
        out.mkdir(parents=True, exist_ok=True)
        files = {name: export(name, out) for name in NETWORKS}
        package = distribution("facenet-pytorch")
        licence = next(f for f in package.files or [] if f.name.startswith("LICENSE"))
        shutil.copyfile(str(package.locate_file(licence)), out / LICENCE_FILE)
        write_description(
            out / "mtcnn.json",
            {
                "format": 1,
                "name": "mtcnn",
                "source": f"facenet-pytorch {package.version}, facenet_pytorch/data/*.pt",
                "paper": "Zhang et al. 2016, Joint Face Detection and Alignment Using Multitask "
                "Cascaded Convolutional Networks, doi:10.1109/LSP.2016.2603342",
                "licence": f"MIT, see {LICENCE_FILE}",
                "command": "python -m training.export_mtcnn --out models/mtcnn",
            },
            files,
        )
        for file in files.values():
            print(f"{file}  {file.stat().st_size:,} bytes")

    return exit_code(work)


if __name__ == "__main__":
    raise SystemExit(main())

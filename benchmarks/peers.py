"""What others would install instead, behind the same interface, so that one run times all.

* ``peer:facenet-mobilenet``: facenet-pytorch's ``MTCNN(keep_all=True)`` on the whole picture
  and torchvision's ``mobilenet_v3_small`` on each face, both as their documentation shows.
  The network has random weights: its time is right, its answers mean nothing.
* ``peer:fer``: the package ``fer`` as its README shows, ``FER().detect_emotions``.
* ``peer:hsemotion-onnx``: the package ``hsemotion-onnx`` on the faces that MTCNN finds. It
  fetches its weights from the network when they are missing, which is not done here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shelly_local.errors import MissingExtraError, ModelError, NotAnImageError, ShellyError
from shelly_local.results import CLASSES, Face, FaceEmotion, PhotoEmotions

#: Side in pixels of the faces that ``mobilenet_v3_small`` gets in torchvision's recipe, and
#: mean and deviation of the colours there.
MOBILENET_SIDE = 224
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Our names of the classes of ``fer``.
FER_CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
#: The default of hsemotion-onnx, and where it keeps its weights.
HSEMOTION_MODEL = "enet_b0_8_best_vgaf"
HSEMOTION_FOLDER = Path("~/.hsemotion")
#: As its authors' demonstration sets it, in pixels.
HSEMOTION_MIN_FACE = 40


class _Peer:
    """What the peers have in common: a local classifier with a name."""

    is_local = True
    time_only = False
    thread_safe = False  # none of them promises it

    def __init__(self, name: str, packages: Sequence[str]) -> None:
        self.name = name
        self._packages = packages

    def describe(self) -> dict[str, Any]:
        """The versions of its packages, as far as they are installed under these names."""
        versions = {}
        for package in self._packages:
            with suppress(PackageNotFoundError):
                versions[package] = version(package)
        return {"versions": versions}

    def close(self) -> None:
        """Nothing to close."""


class FacenetMobilenet(_Peer):
    """MTCNN on the whole picture and a network of random weights on each face."""

    time_only = True
    thread_safe = True

    def __init__(self) -> None:
        super().__init__("peer:facenet-mobilenet", ("facenet-pytorch", "torch", "torchvision"))
        import torch
        from facenet_pytorch import MTCNN
        from torchvision.models import mobilenet_v3_small

        self._torch = torch
        self._mtcnn = MTCNN(keep_all=True)
        self._network = mobilenet_v3_small(num_classes=len(CLASSES)).eval()

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """Faces with meaningless scores."""
        picture = _rgb(photo)
        torch = self._torch
        boxes, confidences, landmarks = self._mtcnn.detect(picture, landmarks=True)
        if boxes is None:
            return PhotoEmotions(picture.width, picture.height, ())
        size = (MOBILENET_SIDE, MOBILENET_SIDE)
        crops = np.stack([np.asarray(_crop(picture, box).resize(size)) for box in boxes])
        values = (crops / 255.0 - IMAGENET_MEAN) / np.array(IMAGENET_DEVIATION)
        with torch.inference_mode():
            batch = torch.from_numpy(values.transpose(0, 3, 1, 2)).float()
            rows = self._network(batch).softmax(dim=1).numpy()
        return _answer(
            picture,
            [
                (box, float(confidence), points, dict(zip(CLASSES, row, strict=True)))
                for box, confidence, points, row in zip(
                    boxes, confidences, landmarks, rows.astype(float), strict=True
                )
            ],
        )


class Fer(_Peer):
    """The package ``fer`` with its default detector and network."""

    def __init__(self) -> None:
        super().__init__("peer:fer", ("fer", "tensorflow", "tensorflow-cpu"))
        self._cv2 = import_module("cv2")
        self._detector = import_module("fer.fer").FER()

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """Faces and their scores."""
        pixels = self._cv2.imdecode(np.frombuffer(photo, np.uint8), self._cv2.IMREAD_COLOR)
        if pixels is None:
            raise NotAnImageError("OpenCV cannot decode the picture")
        height, width = pixels.shape[:2]
        faces = []
        for found in self._detector.detect_emotions(pixels):
            x, y, w, h = (float(value) for value in found["box"])
            total = sum(found["emotions"].values()) or 1.0  # it rounds to two decimals
            scores = {FER_CLASSES[k]: float(v) / total for k, v in found["emotions"].items()}
            # Its cascade gives neither a confidence nor landmarks.
            faces.append(((x, y, x + w, y + h), 1.0, (), scores))
        return _answer(Image.new("L", (width, height)), faces)


class HsemotionOnnx(_Peer):
    """The package ``hsemotion-onnx`` on faces of facenet-pytorch's MTCNN."""

    def __init__(self, weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__("peer:hsemotion-onnx", ("hsemotion-onnx", "facenet-pytorch"))
        from facenet_pytorch import MTCNN

        facial_emotions: Any = import_module("hsemotion_onnx.facial_emotions")
        file = Path(weights or HSEMOTION_FOLDER / f"{HSEMOTION_MODEL}.onnx").expanduser()
        if not file.is_file():
            raise ModelError(
                f"the weights of {self.name} are not at {file}; put {HSEMOTION_MODEL}.onnx of "
                "its authors there, or name the file with --hsemotion-weights"
            )
        facial_emotions.get_model_path = lambda model: str(file)
        self._mtcnn = MTCNN(keep_all=True, post_process=False, min_face_size=HSEMOTION_MIN_FACE)
        self._recognizer = facial_emotions.HSEmotionRecognizer(model_name=HSEMOTION_MODEL)

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """Faces and their scores; contempt, which we do not have, is no answer."""
        picture = _rgb(photo)
        boxes, confidences, landmarks = self._mtcnn.detect(picture, landmarks=True)
        faces = []
        for box, confidence, points in zip(
            *((boxes, confidences, landmarks) if boxes is not None else ((), (), ())), strict=True
        ):
            _, row = self._recognizer.predict_emotions(
                np.asarray(_crop(picture, box)), logits=False
            )
            names = [self._recognizer.idx_to_class[i].casefold() for i in range(len(row))]
            scores = {n: float(v) for n, v in zip(names, row, strict=True) if n in CLASSES}
            faces.append((box, float(confidence), points, scores))
        return _answer(picture, faces)


#: Peers by name: how to open each, and the line that installs it.
_PEERS: dict[str, tuple[Callable[..., Any], str]] = {
    "peer:facenet-mobilenet": (FacenetMobilenet, 'pip install "shelly-local[train]"'),
    "peer:fer": (Fer, 'pip install fer==25.10.3 "setuptools<81"'),
    "peer:hsemotion-onnx": (
        HsemotionOnnx,
        "pip install hsemotion-onnx==0.3.1 facenet-pytorch onnx opencv-python-headless",
    ),
}
NAMES = tuple(_PEERS)


def open_peer(name: str, **options: Any) -> Any:
    """Open a peer.

    Raises:
        ContenderError: no such peer.
        MissingExtraError: its packages are not installed; the message says how.
        ModelError: its weights are not there.
    """
    if name not in _PEERS:
        from .contenders import ContenderError, unknown_name

        raise ContenderError(unknown_name(name))
    make, line = _PEERS[name]
    try:
        return make(**options)
    except ImportError as error:
        raise MissingExtraError(
            f"the package {error.name or str(error)!r} is missing; install it with: {line}"
        ) from error
    except ShellyError:
        raise
    except Exception as error:
        raise ShellyError(f"{name} cannot be opened: {type(error).__name__}: {error}") from error


def _rgb(photo: bytes) -> Image.Image:
    """Decode as programs of a few lines do: the whole picture, upright."""
    try:
        with Image.open(io.BytesIO(photo)) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise NotAnImageError(f"Pillow cannot decode the picture: {error}") from error


def _crop(picture: Image.Image, box: Sequence[float]) -> Image.Image:
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    x0, y0 = min(max(x0, 0), picture.width - 1), min(max(y0, 0), picture.height - 1)
    return picture.crop(
        (x0, y0, max(min(x1, picture.width), x0 + 1), max(min(y1, picture.height), y0 + 1))
    )


def _answer(picture: Image.Image, found: Sequence[tuple[Any, float, Any, Any]]) -> PhotoEmotions:
    """Faces from boxes, confidences, landmarks and scores, largest first."""
    faces = []
    for box, confidence, points, scores in found:
        x0, y0, x1, y1 = (float(value) for value in box)
        landmarks = tuple((float(x), float(y)) for x, y in points)
        face = Face((x0, y0, x1, y1), landmarks, min(max(confidence, 0.0), 1.0))
        faces.append(FaceEmotion(face, scores))
    faces.sort(key=lambda face: face.face.area, reverse=True)
    return PhotoEmotions(picture.width, picture.height, tuple(faces))

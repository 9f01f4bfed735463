"""From a photo to probabilities, with the bundled models and real photos."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from shelly_local import CLASSES, EmotionClassifier
from shelly_local.errors import ImageError, ModelError
from shelly_local.results import Face, FaceEmotion, PhotoEmotions
from shelly_local.vision.detector import identity_of
from shelly_local.vision.images import decode
from shelly_local.vision.onnx import DEVICES


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def only_face(result: PhotoEmotions) -> FaceEmotion:
    assert len(result.faces) == 1
    return result.faces[0]


def test_a_smile_and_a_neutral_face(
    classifier: EmotionClassifier, smiling_photo: Path, neutral_photo: Path
) -> None:
    smile = only_face(classifier.classify(smiling_photo))
    neutral = only_face(classifier.classify(neutral_photo))
    assert smile.emotion == "happiness"
    assert neutral.emotion == "neutral"
    assert smile.scores["happiness"] > 0.8
    assert tuple(smile.scores) == CLASSES
    assert sum(smile.scores.values()) == pytest.approx(1, abs=1e-4)


def test_path_bytes_and_file_answer_alike(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    by_path = classifier.classify(smiling_photo)
    assert classifier.classify(str(smiling_photo)) == by_path
    assert classifier.classify(smiling_photo.read_bytes()) == by_path
    with smiling_photo.open("rb") as file:
        assert classifier.classify(file) == by_path


def test_box_and_landmarks_are_in_pixels_of_the_photo(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    """Whether the photo is reduced for the search or not."""
    with Image.open(smiling_photo) as image:
        large = classifier.classify(jpeg(image.resize((4050, 4050))))
        small = classifier.classify(jpeg(image.resize((405, 405))))
    assert (large.width, large.height) == (4050, 4050)
    assert (small.width, small.height) == (405, 405)
    large_box = np.array(only_face(large).face.box) / 10
    assert np.abs(large_box - only_face(small).face.box).max() < 0.05 * 405
    x0, y0, x1, y1 = only_face(large).face.box
    for x, y in only_face(large).face.landmarks:
        assert x0 < x < x1
        assert y0 < y < y1


def test_a_photo_on_its_side_is_turned_by_its_exif_orientation(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    with Image.open(smiling_photo) as image:
        upright = image.crop((200, 200, 1150, 1350))
        exif = Image.Exif()
        exif[274] = 6
        turned = jpeg(upright.transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())
    expected = only_face(classifier.classify(jpeg(upright)))
    result = classifier.classify(turned)
    assert (result.width, result.height) == upright.size
    assert np.abs(np.array(only_face(result).face.box) - expected.face.box).max() < 15
    assert only_face(result).emotion == "happiness"


def test_every_face_of_a_group_largest_first(
    classifier: EmotionClassifier, group_photo: Path
) -> None:
    faces = classifier.classify(group_photo).faces
    assert len(faces) == 4
    areas = [face.face.area for face in faces]
    assert areas == sorted(areas, reverse=True)


def test_thirty_faces(classifier: EmotionClassifier, crowd_photo: Path) -> None:
    result = classifier.classify(crowd_photo)
    assert len(result.faces) == 30


def test_no_face_is_an_ordinary_answer(classifier: EmotionClassifier, no_face_photo: Path) -> None:
    result = classifier.classify(no_face_photo)
    assert result.faces == ()
    assert result.largest is None
    assert result.as_dict() == {"width": 451, "height": 300, "faces": []}


def test_forty_megapixels(classifier: EmotionClassifier, smiling_photo: Path) -> None:
    with Image.open(smiling_photo) as image:
        photo = image.resize((6325, 6325), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=60)
    result = classifier.classify(buffer.getvalue())
    assert (result.width, result.height) == (6325, 6325)
    assert only_face(result).emotion == "happiness"


def test_many_threads_share_one_model(
    classifier: EmotionClassifier, portrait_photos: list[Path]
) -> None:
    alone = [classifier.classify(photo) for photo in portrait_photos]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(classifier.classify, portrait_photos * 4))
    assert together == alone * 4


def test_a_bad_photo_is_an_error_and_the_next_one_works(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    with pytest.raises(ImageError):
        classifier.classify(b"This is a text file.")
    assert only_face(classifier.classify(smiling_photo)).emotion == "happiness"


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a model directory"):
        EmotionClassifier(tmp_path)


def test_results_are_immutable_and_check_themselves(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    result = classifier.classify(smiling_photo)
    face = only_face(result)
    with pytest.raises(AttributeError):
        face.face = face.face  # type: ignore[misc]
    with pytest.raises(TypeError):
        face.scores["anger"] = 1.0  # type: ignore[index]
    for wrong in ({"anger": 0.9, "fear": 0.3}, {"anger": 0.9, "fear": -0.1}, {}):
        with pytest.raises(ValueError, match="sum to 1"):
            FaceEmotion(face.face, wrong)
    assert FaceEmotion(face.face, {"anger": 0.6, "fear": 0.1}).answered
    assert not FaceEmotion(face.face, {"anger": 0.3, "fear": 0.1}).answered
    with pytest.raises(ValueError, match="five points"):
        Face((0, 0, 1, 1), ((0, 0),), 0.5)
    with pytest.raises(ValueError, match="x0 < x1"):
        Face((1, 0, 1, 1), ((0, 0),) * 5, 0.5)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Face((0, 0, 1, 1), ((0, 0),) * 5, 1.5)


def test_the_crop_is_upright_whatever_the_pose(
    classifier: EmotionClassifier, smiling_photo: Path
) -> None:
    """A head held askew gives nearly the same answer as one held straight."""
    straight = only_face(classifier.classify(smiling_photo)).scores["happiness"]
    image = Image.fromarray(decode(smiling_photo).pixels)
    for degrees in (-25, 25):
        askew = image.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor="white")
        turned = only_face(classifier.classify(jpeg(askew))).scores["happiness"]
        assert abs(turned - straight) < 0.1


def test_fast_and_thorough_detection_agree_on_portraits(
    classifier: EmotionClassifier, portrait_photos: list[Path]
) -> None:
    thorough = EmotionClassifier(detection="thorough")
    for photo in portrait_photos:
        fast, slow = classifier.classify(photo).faces[0], thorough.classify(photo).faces[0]
        assert fast.emotion == slow.emotion
        assert fast.scores == pytest.approx(slow.scores, abs=0.02)


def test_an_unknown_detection_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"fast.*thorough.*'slow'"):
        EmotionClassifier(detection="slow")


class OneBox:
    """A detector of somebody else's: it knows where the face of one photo is."""

    identity = "one box"

    def __init__(self, face: Face) -> None:
        self._face = face

    def detect(self, pixels: NDArray[np.uint8]) -> list[Face]:
        return [self._face]

    def detect_prominent(self, pixels: NDArray[np.uint8]) -> list[Face]:
        return []

    def examined(self, pixels: NDArray[np.uint8], faces: list[Face]) -> list[tuple[Face, float]]:
        return [(face, 1.0) for face in faces]


def test_a_detector_of_ones_own(classifier: EmotionClassifier, smiling_photo: Path) -> None:
    buffer = io.BytesIO()  # of a size that is not reduced: boxes are the same in both
    with Image.open(smiling_photo) as image:
        image.convert("RGB").resize((600, 600)).save(buffer, "PNG")
    known = classifier.classify(buffer.getvalue())
    assert known.largest
    own = EmotionClassifier(detector=OneBox(known.largest.face))
    found = own.classify(buffer.getvalue())
    assert [face.face for face in found.faces] == [known.largest.face]
    assert found.faces[0].emotion == "happiness"


def test_a_detector_names_itself() -> None:
    identity = EmotionClassifier().detector.identity
    assert identity == EmotionClassifier().detector.identity == identity_of()
    assert len(identity) == 64


def test_where_networks_run(classifier: EmotionClassifier, smiling_photo: Path) -> None:
    here = EmotionClassifier(device="cpu").classify(smiling_photo)
    assert here == classifier.classify(smiling_photo)
    with pytest.raises(ValueError, match=r"device must be one of cpu, cuda, .*; got 'tpu'"):
        EmotionClassifier(device="tpu")
    missing = [name for name, provider in DEVICES.items() if provider not in
               onnxruntime.get_available_providers()]  # fmt: skip
    assert missing
    with pytest.raises(ModelError, match=f"does not run on '{missing[0]}'; it has: cpu"):
        EmotionClassifier(device=missing[0])

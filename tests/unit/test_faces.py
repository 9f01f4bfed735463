"""The detector against facenet-pytorch's own, and on ordinary and odd pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from facenet_pytorch import MTCNN
from numpy.typing import NDArray
from PIL import Image

from shelly_local.errors import ModelError
from shelly_local.results import Face
from shelly_local.vision.detector import FaceDetector
from shelly_local.vision.images import decode
from tests.conftest import crowd


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def reference() -> MTCNN:
    return MTCNN(keep_all=True, min_face_size=20, device="cpu")


def overlap(a: Face, box: NDArray[np.floating]) -> float:
    """Intersection over union of two boxes."""
    first = np.maximum(a.box[:2], box[:2])
    last = np.minimum(a.box[2:], box[2:])
    common = np.prod(np.maximum(last - first, 0))
    return float(common / (a.area + np.prod(box[2:] - box[:2]) - common))


def assert_same_faces(pixels: NDArray[np.uint8], detector: FaceDetector, reference: MTCNN) -> int:
    """Both find the same faces: box overlap at least 0.9, landmarks within 3 % of the width."""
    boxes, _, landmarks = reference.detect(Image.fromarray(pixels), landmarks=True)
    faces = detector.detect(pixels, min_face=20)
    assert boxes is not None
    assert len(faces) == len(boxes)
    for box, points in zip(boxes.astype(float), landmarks.astype(float), strict=True):
        nearest = max(faces, key=lambda face: overlap(face, box))
        assert overlap(nearest, box) >= 0.9
        distance = np.linalg.norm(np.array(nearest.landmarks) - points, axis=1)
        assert distance.max() <= 0.03 * (box[2] - box[0])
    return len(boxes)


@pytest.mark.parametrize("side", [1350, 640, 333])
def test_same_faces_as_facenet_pytorch(
    portrait_photos: list[Path], detector: FaceDetector, reference: MTCNN, side: int
) -> None:
    for photo in portrait_photos:
        pixels = decode(photo, max_side=side).pixels
        assert assert_same_faces(pixels, detector, reference) >= 1


def test_same_faces_as_facenet_pytorch_in_a_crowd(
    crowd_photo: Path, detector: FaceDetector, reference: MTCNN
) -> None:
    assert assert_same_faces(decode(crowd_photo).pixels, detector, reference) >= 30


def test_same_face_when_turned_and_dark(
    smiling_photo: Path, detector: FaceDetector, reference: MTCNN
) -> None:
    image = Image.fromarray(decode(smiling_photo, max_side=700).pixels)
    turned = image.rotate(20, fillcolor="white").point(lambda level: level // 3)
    assert assert_same_faces(np.asarray(turned), detector, reference) == 1


def test_largest_face_comes_first(detector: FaceDetector) -> None:
    photo = crowd(2, 1, 300)
    photo.paste(photo.crop((300, 0, 600, 300)).resize((150, 150)), (300, 0))
    faces = detector.detect(np.asarray(photo))
    assert len(faces) >= 2
    areas = [face.area for face in faces]
    assert areas == sorted(areas, reverse=True)


def test_no_face_is_an_ordinary_answer(no_face_photo: Path, detector: FaceDetector) -> None:
    assert detector.detect(decode(no_face_photo).pixels) == []


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (12, 12), (32, 32), (40, 600), (600, 13)])
def test_tiny_and_narrow_pictures_have_no_face(
    detector: FaceDetector, shape: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detector.detect(noise) == []


@pytest.mark.parametrize("side", [300, 64])
def test_a_photo_cut_to_the_face_box(
    portrait_photos: list[Path], detector: FaceDetector, side: int
) -> None:
    for photo in portrait_photos:
        pixels = decode(photo).pixels
        face = detector.detect(pixels)[0]
        x0, y0, x1, y1 = (max(round(value), 0) for value in face.box)
        tight = Image.fromarray(pixels[y0:y1, x0:x1])
        found = detector.detect(np.asarray(tight.resize((side, side))))
        assert len(found) == 1
        expected = (np.array(face.landmarks) - [x0, y0]) / [x1 - x0, y1 - y0] * side
        distance = np.linalg.norm(np.array(found[0].landmarks) - expected, axis=1)
        assert distance.max() < 0.15 * side


def tight_crops(pixels: NDArray[np.uint8], face: Face) -> Iterator[Image.Image]:
    """The inner face, without hair, ears and chin, turned a little, sharp and blurred."""
    left_eye, right_eye, _, left_mouth, right_mouth = (np.array(p) for p in face.landmarks)
    for angle in (-12, 0, 12):
        middle = (left_eye + right_mouth) / 2
        turned = Image.fromarray(pixels).rotate(
            angle, center=(middle[0], middle[1]), resample=Image.Resampling.BILINEAR
        )
        for margin in (0.4, 0.6):
            space = margin * (right_eye[0] - left_eye[0])
            edges = (
                round(min(left_eye[0], left_mouth[0]) - space),
                round(left_eye[1] - space),
                round(max(right_eye[0], right_mouth[0]) + space),
                round(left_mouth[1] + space),
            )
            for resolution in (48, 160):
                yield turned.crop(edges).resize((resolution, resolution)).resize((200, 200))


def test_the_second_look_finds_tight_faces_that_plain_mtcnn_misses(
    portrait_photos: list[Path], detector: FaceDetector, reference: MTCNN
) -> None:
    found, found_by_reference, total = 0, 0, 0
    for photo in portrait_photos:
        pixels = decode(photo).pixels
        for crop in tight_crops(pixels, detector.detect(pixels)[0]):
            total += 1
            found += bool(detector.detect(np.asarray(crop)))
            found_by_reference += reference.detect(crop)[0] is not None
    assert found_by_reference < 0.95 * total
    assert found >= 0.97 * total


def test_wrong_arrays_are_refused(detector: FaceDetector) -> None:
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(np.zeros((50, 50), dtype=np.uint8))
    with pytest.raises(ValueError, match="float32"):
        detector.detect(np.zeros((50, 50, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="min_face"):
        detector.detect(np.zeros((50, 50, 3), dtype=np.uint8), min_face=5)


def test_a_missing_detector_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mtcnn\.json"):
        FaceDetector(tmp_path)


def assert_alike(found: list[Face], expected: list[Face]) -> None:
    """Boxes of a quick search are coarser; landmarks are steadied in either case."""
    assert len(found) == len(expected)
    for face, same in zip(found, expected, strict=True):
        assert overlap(face, np.array(same.box)) > 0.8


def test_prominent_faces_are_those_of_the_whole_search(
    portrait_photos: list[Path], detector: FaceDetector
) -> None:
    for photo in portrait_photos:
        pixels = decode(photo, max_side=1280).pixels
        prominent, every = detector.detect_prominent(pixels), detector.detect(pixels)
        widest = every[0].box[2] - every[0].box[0]
        assert_alike(prominent, every[:1] if widest >= max(pixels.shape) / 6 else [])


def test_passers_by_beside_a_prominent_face_are_left_out(
    smiling_photo: Path, detector: FaceDetector
) -> None:
    person = Image.fromarray(decode(smiling_photo, max_side=800).pixels)
    photo = Image.new("RGB", (1280, 800), "white")
    photo.paste(person, (0, 0))
    photo.paste(person.resize((person.width // 6, person.height // 6)), (1000, 100))
    pixels = np.asarray(photo)
    every = detector.detect(pixels)
    assert len(every) == 2
    assert_alike(detector.detect_prominent(pixels), every[:1])


@pytest.mark.parametrize("side", [1280, 640])
def test_a_face_half_as_wide_as_a_prominent_one_is_found_beside_it(
    smiling_photo: Path, detector: FaceDetector, side: int
) -> None:
    person = Image.fromarray(decode(smiling_photo, max_side=side * 5 // 8).pixels)
    photo = Image.new("RGB", (side, side * 5 // 8), "white")
    photo.paste(person, (0, 0))
    photo.paste(person.resize((person.width // 2, person.height // 2)), (person.width, 0))
    pixels = np.asarray(photo)
    every = detector.detect(pixels)
    prominent = detector.detect_prominent(pixels)
    assert len(every) == 2
    assert_alike(prominent, every)


def test_a_crowd_has_no_prominent_face(crowd_photo: Path, detector: FaceDetector) -> None:
    assert detector.detect_prominent(decode(crowd_photo, max_side=1280).pixels) == []

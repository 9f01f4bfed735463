"""Custom classifiers from the first call to the answer, on real faces and the real model."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shelly_local import VisualRecognition
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.watson.responses import ApiException
from tests.custom_pictures import OTHERS, neutral, settled, smiling, zipped

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

FROM_FACES = {"X-Shelly-Learn-From": "faces"}


@pytest.fixture
def service(classifier: EmotionClassifier, tmp_path: Path) -> Iterator[VisualRecognition]:
    found = VisualRecognition(classifier=classifier, data_dir=tmp_path / "data")
    yield found
    found.close(wait=False)


@pytest.fixture(scope="module")
def trained(
    classifier: EmotionClassifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[VisualRecognition, str]]:
    """A service with a classifier for smiles, learnt from ten people."""
    service = VisualRecognition(classifier=classifier, data_dir=tmp_path_factory.mktemp("data"))
    created = service.create_classifier(
        "Smiles or not", {"smile": zipped(smiling()), "plain": zipped(neutral())}
    ).get_result()
    settled(service.custom_classifiers, created["classifier_id"])
    yield service, created["classifier_id"]
    service.close(wait=False)


def pictures_without_a_face(count: int) -> list[tuple[str, bytes]]:
    found = []
    for number in range(count):
        sea_and_sky = Image.new("RGB", (64, 64), "skyblue")
        sea_and_sky.paste("navy", (0, 20 + number, 64, 64))
        file = io.BytesIO()
        sea_and_sky.save(file, "PNG")
        found.append((f"{number}.png", file.getvalue()))
    return found


def create(service: VisualRecognition, **options: Any) -> str:
    examples = {"smile": zipped(smiling()), "plain": zipped(neutral())}
    answer = service.create_classifier("Test", examples, **options)
    return answer.get_result()["classifier_id"]


def scores(service: VisualRecognition, photo: Path, classifier_id: str) -> dict[str, float]:
    answer = service.classify(photo, threshold=0, classifier_ids=classifier_id).get_result()
    (result,) = answer["images"][0]["classifiers"]
    return {item["class"]: item["score"] for item in result["classes"]}


def refusal(call: Any, *arguments: Any, **options: Any) -> ApiException:
    with pytest.raises(ApiException) as caught:
        call(*arguments, **options)
    return caught.value


@pytest.mark.parametrize("photo", sorted(OTHERS.glob("*.jpg")), ids=lambda path: path.stem)
def test_people_it_was_not_trained_on(trained: tuple[VisualRecognition, str], photo: Path) -> None:
    service, classifier_id = trained
    answer = service.classify(photo, classifier_ids=classifier_id).get_result()
    (result,) = answer["images"][0]["classifiers"]
    assert (result["classifier_id"], result["name"]) == (classifier_id, "Smiles or not")
    right = "smile" if photo.stem.endswith("smiling") else "plain"
    assert [item["class"] for item in result["classes"]] == [right]
    assert answer["custom_classes"] == 2


def test_what_is_said_of_a_classifier(service: VisualRecognition) -> None:
    examples = {"smile": zipped(smiling()), "plain": zipped(neutral())}
    answer = service.create_classifier("Smiles or not", examples)
    created = answer.get_result()
    assert answer.get_status_code() == 200
    assert created["status"] == "training"
    assert re.fullmatch(r"Smilesornot_\d{9,10}", created["classifier_id"])
    brief = {key: created[key] for key in ("classifier_id", "name", "status")}
    assert service.list_classifiers().get_result() == {"classifiers": [brief]}
    found = settled(service.custom_classifiers, created["classifier_id"])
    assert found == service.get_classifier(created["classifier_id"]).get_result()
    assert found.keys() == {
        *("classifier_id", "name", "owner", "status", "core_ml_enabled", "created", "updated"),
        *("classes", "explanation"),
    }
    assert found["explanation"] == "Learnt from faces: 20 of 20 pictures show a face."
    assert found["status"] == "ready"
    assert found["core_ml_enabled"] is False
    assert found["classes"] == [{"class": "smile"}, {"class": "plain"}]
    assert found["created"] == found["updated"]
    assert TIME.fullmatch(found["created"])
    assert service.list_classifiers(verbose=True).get_result() == {"classifiers": [found]}
    assert service.delete_classifier(created["classifier_id"]).get_result() == {}
    assert service.list_classifiers().get_result() == {"classifiers": []}


def test_owners_and_ids(trained: tuple[VisualRecognition, str], smiling_photo: Path) -> None:
    service, classifier_id = trained

    def answering(**options: Any) -> tuple[list[str], int]:
        answer = service.classify(smiling_photo, **options).get_result()
        results = answer["images"][0]["classifiers"]
        return [item["classifier_id"] for item in results], answer["custom_classes"]

    assert answering() == (["default"], 0)
    assert answering(owners=["me"]) == ([classifier_id], 2)
    assert answering(owners="me,IBM") == (["default", classifier_id], 2)
    assert answering(classifier_ids=[classifier_id, "emotion"]) == ([classifier_id, "emotion"], 2)
    assert answering(classifier_ids=classifier_id, owners="IBM") == ([classifier_id], 2)
    assert answering(classifier_ids=[classifier_id], threshold=1) == ([classifier_id], 2)


def test_a_photo_without_a_face(
    trained: tuple[VisualRecognition, str], no_face_photo: Path
) -> None:
    service, classifier_id = trained
    answer = service.classify(no_face_photo, classifier_ids=classifier_id, threshold=0).get_result()
    assert answer["images"][0]["classifiers"][0]["classes"] == []
    assert [item["warning_id"] for item in answer["warnings"]] == ["no_face"]


def test_an_id_that_cannot_answer(service: VisualRecognition, smiling_photo: Path) -> None:
    classifier_id = create(service)
    error = refusal(service.classify, smiling_photo, classifier_ids=classifier_id)
    assert error.code == 404
    assert f"Classifier {classifier_id} is still training" in str(error)
    beside = service.classify(smiling_photo, classifier_ids=["emotion", classifier_id])
    assert "still training" in beside.get_result()["warnings"][0]["description"]
    assert refusal(service.classify, smiling_photo, owners=["me"]).code == 404


def test_one_class_and_negative_examples(service: VisualRecognition) -> None:
    answer = service.create_classifier(
        "Smiles", smile_positive_examples=zipped(smiling()), negative_examples=zipped(neutral())
    ).get_result()
    found = settled(service.custom_classifiers, answer["classifier_id"])
    assert found["status"] == "ready"
    assert found["classes"] == [{"class": "smile"}]
    assert scores(service, OTHERS / "030-smiling.jpg", answer["classifier_id"])["smile"] > 0.5
    assert scores(service, OTHERS / "030-neutral.jpg", answer["classifier_id"])["smile"] < 0.5


def test_an_update_adds_a_class(service: VisualRecognition) -> None:
    classifier_id = create(service)
    first = settled(service.custom_classifiers, classifier_id)
    before = scores(service, OTHERS / "030-smiling.jpg", classifier_id)
    # Half of the smiles are split off, as a class of their own.
    examples = {"grin": zipped([*smiling()[:5], *OTHERS.glob("*-smiling.jpg")])}
    updating = service.update_classifier(classifier_id, examples).get_result()
    assert updating["status"] == "retraining"
    assert scores(service, OTHERS / "030-smiling.jpg", classifier_id) == before
    error = refusal(service.update_classifier, classifier_id, examples)
    assert error.code == 409
    assert "is retraining; wait until it is ready" in str(error)
    found = settled(service.custom_classifiers, classifier_id)
    assert found["classes"] == [{"class": "smile"}, {"class": "plain"}, {"class": "grin"}]
    assert found["created"] == first["created"] < found["retrained"] == found["updated"]
    after = scores(service, OTHERS / "030-smiling.jpg", classifier_id)
    assert after["grin"] > 0.5 > after["plain"]
    # Pictures sent for both are no counter-examples of either.
    assert scores(service, smiling()[0], classifier_id)["smile"] > 0.5


def test_an_update_that_fails_leaves_the_old_version(service: VisualRecognition) -> None:
    classifier_id = create(service)
    settled(service.custom_classifiers, classifier_id)
    before = scores(service, OTHERS / "030-smiling.jpg", classifier_id)
    seas = {"sea": zipped(pictures_without_a_face(12))}
    service.update_classifier(classifier_id, seas, headers=FROM_FACES)
    found = settled(service.custom_classifiers, classifier_id)
    assert found["status"] == "ready"
    assert found["explanation"].startswith("Retraining failed, the earlier version answers: ")
    assert "too few faces to learn from them (20 of 32 pictures" in found["explanation"]
    assert found["classes"] == [{"class": "smile"}, {"class": "plain"}]
    assert "retrained" not in found
    assert scores(service, OTHERS / "030-smiling.jpg", classifier_id) == before
    service.update_classifier(classifier_id, {"smile": zipped(smiling())})
    found = settled(service.custom_classifiers, classifier_id)
    assert found["explanation"].startswith("Learnt from faces: ")


def test_too_few_faces_are_counted(service: VisualRecognition) -> None:
    seas = zipped([*pictures_without_a_face(9), *smiling()[:3]])
    answer = service.create_classifier(
        "Seas", {"sea": seas, "plain": zipped(neutral())}, headers=FROM_FACES
    )
    found = settled(service.custom_classifiers, answer.get_result()["classifier_id"])
    assert found["status"] == "failed"
    assert found["explanation"] == (
        "There are too few faces to learn from them (13 of 22 pictures show a face)."
    )
    error = refusal(service.update_classifier, found["classifier_id"], {"sea": zipped(smiling())})
    assert "has failed and cannot be updated" in str(error)


def test_negative_examples_without_a_face_are_fine_beside_two_classes(
    service: VisualRecognition,
) -> None:
    landscape = zipped(pictures_without_a_face(10))
    assert (
        settled(service.custom_classifiers, create(service, negative_examples=landscape))["status"]
        == "ready"
    )


def test_opting_out_keeps_nothing(service: VisualRecognition, tmp_path: Path) -> None:
    classifier_id = create(service, headers={"X-Watson-Learning-Opt-Out": "true"})
    assert settled(service.custom_classifiers, classifier_id)["status"] == "ready"
    assert scores(service, OTHERS / "030-smiling.jpg", classifier_id)["smile"] > 0.5
    assert not list((tmp_path / "data").rglob("pictures-*"))
    error = refusal(service.update_classifier, classifier_id, {"smile": zipped(smiling())})
    assert error.code == 400
    assert "created with learning opted out" in str(error)


def test_opting_out_later_removes_what_was_kept(service: VisualRecognition, tmp_path: Path) -> None:
    classifier_id = create(service)
    settled(service.custom_classifiers, classifier_id)
    assert list((tmp_path / "data").rglob("pictures-*"))
    headers = {"X-Watson-Learning-Opt-Out": "1"}
    more = {"smile": zipped(smiling())}
    service.update_classifier(classifier_id, more, headers=headers)
    assert settled(service.custom_classifiers, classifier_id)["status"] == "ready"
    assert not list((tmp_path / "data").rglob("pictures-*"))
    assert refusal(service.update_classifier, classifier_id, more).code == 400


def test_a_customers_data_are_deleted(service: VisualRecognition, tmp_path: Path) -> None:
    def labelled(customer: str) -> dict[str, str]:
        return {"X-Watson-Metadata": f"customer_id={customer}"}

    first = create(service, headers=labelled("anna"))
    second = create(service, headers=labelled("bert"))
    third = create(service)
    for classifier_id in (first, second, third):
        settled(service.custom_classifiers, classifier_id)
    service.update_classifier(second, {"smile": zipped(smiling())}, headers=labelled("anna"))
    assert service.delete_user_data("nobody").get_result() == {}
    assert service.delete_user_data("anna").get_result() == {}
    left = service.list_classifiers().get_result()["classifiers"]
    assert [item["classifier_id"] for item in left] == [third]
    assert [path.name for path in (tmp_path / "data" / "classifiers").iterdir()] == [third]


def test_core_ml_is_not_enabled(trained: tuple[VisualRecognition, str]) -> None:
    service, classifier_id = trained
    error = refusal(service.get_core_ml_model, classifier_id)
    assert error.code == 404
    assert error.body == {"code": 404, "error": str(error)}
    assert "Core ML is not enabled" in str(error)


@pytest.mark.parametrize("name", ["none_1234567890", "../../etc", "", "a/b", "x\0y_1", "." * 500])
def test_an_unknown_classifier(trained: tuple[VisualRecognition, str], name: str) -> None:
    service, _ = trained
    for call in (service.get_classifier, service.delete_classifier, service.get_core_ml_model):
        error = refusal(call, name)
        assert error.code == 404
        assert error.body == {"code": 404, "error": str(error)}
        assert str(error).startswith("Resource not found")
    assert refusal(service.update_classifier, name, {"a": b""}).code == 404


def test_classify_goes_on_while_two_trainings_wait(
    service: VisualRecognition, smiling_photo: Path
) -> None:
    ids = [create(service) for _ in range(2)]
    statuses = [service.get_classifier(name).get_result()["status"] for name in ids]
    answer = service.classify(smiling_photo).get_result()
    assert answer["images"][0]["classifiers"][0]["classes"]
    assert statuses == ["training", "training"]
    assert [settled(service.custom_classifiers, name)["status"] for name in ids] == ["ready"] * 2


def test_deleting_during_training(service: VisualRecognition, tmp_path: Path) -> None:
    first, second = create(service), create(service)
    service.delete_classifier(first)
    assert settled(service.custom_classifiers, second)["status"] == "ready"
    assert refusal(service.get_classifier, first).code == 404
    assert [path.name for path in (tmp_path / "data" / "classifiers").iterdir()] == [second]


def test_a_program_that_ends_finishes_its_training(
    classifier: EmotionClassifier, tmp_path: Path
) -> None:
    program = (
        "import sys; from shelly_local import VisualRecognition\n"
        "from tests.custom_pictures import *\n"
        "VisualRecognition(data_dir=sys.argv[1]).create_classifier(\n"
        "    'Test', {'smile': zipped(smiling()), 'plain': zipped(neutral())})\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    service = VisualRecognition(classifier=classifier, data_dir=tmp_path)
    (found,) = service.list_classifiers().get_result()["classifiers"]
    assert found["status"] == "ready"

"""Model directories of strangers, whose hashes are right and whose content is not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from shelly_local import cli, onnx_file
from shelly_local.classifier import EmotionClassifier
from shelly_local.errors import ModelError
from shelly_local.model import EmotionModel
from shelly_local.results import CLASSES
from shelly_local.runtime import MAX_DESCRIPTION_BYTES, MAX_WEIGHTS_BYTES, bundled_model
from tests.tiny_models import SIDE, description, network, tensor, write

#: Seconds within which a folder is loaded or refused, in a process of its own.
PATIENCE = 20.0


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(ModelError, match=message) as caught:
        yield
    assert len(str(caught.value)) < 1000


def models_command(folder: Path) -> subprocess.CompletedProcess[str]:
    """``shelly models`` in a process of its own, which is ended if it hangs."""
    return subprocess.run(
        [sys.executable, "-m", "shelly_local", "models", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=Path(__file__).parents[1],
    )


def test_a_sound_folder_is_loaded_and_answers(tmp_path: Path) -> None:
    model = EmotionModel(write(tmp_path / "model"), threads=1)
    faces = np.full((3, SIDE, SIDE), 200, np.uint8)
    prediction = model.predict(faces)
    assert model.classes == CLASSES
    assert prediction.probabilities == pytest.approx(np.full((3, 7), 1 / 7))
    assert prediction.embedding.shape == (3, 4)


def branch() -> onnx.GraphProto:
    """A graph that keeps a condition as it is."""
    condition = helper.make_tensor_value_info("kept", TensorProto.BOOL, [])
    node = helper.make_node("Constant", [], ["kept"], value=helper.make_tensor(
        "true", TensorProto.BOOL, [], [True]
    ))  # fmt: skip
    return helper.make_graph([node], "branch", [], [condition])


def endless_loop() -> onnx.ModelProto:
    """A loop whose condition stays true, before the answer."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["condition_in"], ["condition_out"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition_in", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("condition_out", TensorProto.BOOL, [])],
    )
    loop = helper.make_node("Loop", ["", "true"], [], body=body)
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    return network(more_nodes=[loop], more_tensors=[true])


def with_function() -> onnx.ModelProto:
    model = network()
    node = helper.make_node("Identity", ["x"], ["y"])
    opset = helper.make_opsetid("", 17)
    model.functions.append(helper.make_function("own", "Same", ["x"], ["y"], [node], [opset]))
    return model


def with_external(location: str) -> onnx.ModelProto:
    model = network()
    first = model.graph.initializer[0]
    first.ClearField("raw_data")
    first.data_location = TensorProto.EXTERNAL
    first.external_data.add(key="location", value=location)
    return model


def with_external_constant() -> onnx.ModelProto:
    hidden = tensor("hidden", 1)
    hidden.external_data.add(key="location", value="/dev/zero")
    return network(more_nodes=[helper.make_node("Constant", [], ["unused"], value=hidden)])


def with_sparse() -> onnx.ModelProto:
    model = network()
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            tensor("huge", 1), helper.make_tensor("i", TensorProto.INT64, [1], [0]), [10**10]
        )
    )
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (endless_loop(), "loops and branches"),
        (
            network(
                more_nodes=[
                    helper.make_node(
                        "If", ["sums"], ["c"], then_branch=branch(), else_branch=branch()
                    )
                ]
            ),
            "loops and branches",
        ),
        (with_function(), "functions"),
        (with_external("../../secret"), "weights in another file"),
        (with_external("/dev/zero"), "weights in another file"),
        (with_external("*/_ORT_MEM_ADDR_/*"), "weights in another file"),
        (with_external_constant(), "weights in another file"),
        (with_sparse(), "sparse tensors"),
        (network(classes=3), r"logits of 2 faces must be float32 \(2, 7\)"),
        (network(kind=TensorProto.DOUBLE), "must be float32"),
        (network(kind=TensorProto.INT64), "must be float32"),
        (
            network(
                more_nodes=[helper.make_node("ConstantOfShape", ["huge"], ["zeros"])],
                more_tensors=[helper.make_tensor("huge", TensorProto.INT64, [1], [10**15])],
            ),
            "do not fit|cannot load",
        ),
        (network().SerializeToString().replace(b"MatMul", b"MatM\xffl"), "cannot load"),
        (network(value=float("nan")), "NaN or infinity"),
        (network(value=float("inf")), "NaN or infinity"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_plain_network_is_refused(
    tmp_path: Path, model: onnx.ModelProto | bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "model", model)
    with refused(message):
        EmotionModel(folder, threads=1)
    assert capfd.readouterr() == ("", "")  # ONNX Runtime, too, has its say only in the error


def test_an_endless_loop_does_not_run(tmp_path: Path) -> None:
    """With a subprocess, since a loop within ONNX Runtime cannot be interrupted."""
    done = models_command(write(tmp_path / "model", endless_loop()))
    assert done.returncode == 1
    assert "loops and branches" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_graph_hidden_behind_another_name_is_found() -> None:
    """Protocol buffers merge what comes twice; readers differ in numbers that are too long."""
    twice = network().SerializeToString() + endless_loop().SerializeToString()
    with pytest.raises(ValueError, match="loops and branches"):
        onnx_file.check(twice)
    subgraph = b"\xb2\x80\x80\x80\x10\x00"  # field 6 in 32 bits, another in more
    node = b"\x2a" + bytes([len(subgraph)]) + subgraph
    graph = b"\x0a" + bytes([len(node)]) + node
    with pytest.raises(ValueError, match="field of number"):
        onnx_file.check(b"\x3a" + bytes([len(graph)]) + graph)


def test_a_file_in_the_format_of_onnx_runtime_is_refused(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(
        network().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    folder = write(tmp_path / "model", (tmp_path / "model.ort").read_bytes())
    with refused("cannot be loaded|cannot load"):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize(
    "content",
    [b"\x00", b"\x3a\xff\xff\xff\xff\x7f", b"\x0b", b"\xff" * 11, b"\x3a\x05\x0a", b"\x08"],
)
def test_damaged_protocol_buffers_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path / "model", content)
    with refused("the ONNX file (has|is cut off)"):
        EmotionModel(folder, threads=1)


def test_a_file_of_very_many_fields_is_refused_in_time() -> None:
    with pytest.raises(ValueError, match="more than 200,000 fields"):
        onnx_file.check(b"\x08\x01" * 300_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_network_or_refused(content: bytes) -> None:
    """What the check takes for a network, ONNX Runtime's own reader may still refuse."""
    for data in (content, b"\x3a" + bytes([min(len(content), 127)]) + content):
        with suppress(ValueError):
            onnx_file.check(data)


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a pipe"])
def test_only_regular_files_are_read(tmp_path: Path, name: str, kind: str) -> None:
    folder = write(tmp_path / "model")
    file = folder / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(tmp_path / "pipe")
        file.symlink_to(tmp_path / "pipe")
    done = models_command(folder)
    assert done.returncode == 1
    assert f"{name} is no regular file" in done.stderr
    assert "Traceback" not in done.stderr


def test_links_to_regular_files_are_followed(tmp_path: Path) -> None:
    """Caches of downloads and mounted volumes consist of links."""
    store = write(tmp_path / "store")
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "model.onnx"):
        (folder / name).symlink_to(store / name)
    assert EmotionModel(folder, threads=1).size == SIDE


@pytest.mark.parametrize(
    ("name", "most"), [("model.json", MAX_DESCRIPTION_BYTES), ("model.onnx", MAX_WEIGHTS_BYTES)]
)
def test_large_files_are_refused_unread(tmp_path: Path, name: str, most: int) -> None:
    folder = write(tmp_path / "model")
    with (folder / name).open("r+b") as file:
        file.truncate(10**13)  # a hole, which takes no place
    with refused(f"{name} has 10,000,000,000,000 bytes; at most {most:,} are allowed"):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize(
    "name",
    ["model\0.onnx", "\udcff.onnx", "\ud800", "", ".", "..", "a/b", "/dev/zero", "x" * 5000,
     7, None, []],
)  # fmt: skip
def test_strange_names_of_weights_are_refused(tmp_path: Path, name: Any) -> None:
    folder = write(tmp_path / "model", weights={"emotion": {"file": name, "sha256": "0"}})
    with pytest.raises(ModelError):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize("folder", ["nul\0", "\ud800"])
def test_strange_names_of_folders_are_refused(folder: str) -> None:
    with pytest.raises(ModelError):
        EmotionModel(folder)


def test_a_file_in_place_of_a_folder_is_told_in_a_sentence() -> None:
    file = bundled_model("emotion") / "model.onnx"
    with refused(r"model\.onnx is not a model directory but a file; give the folder"):
        EmotionModel(file)


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a":' * 100_000, '{"a": [' + "[" * 32 + "]" * 32 + "]}"],
    ids=["lists", "objects", "a little too deep"],
)
def test_deep_nesting_is_told_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.json").write_text(content, encoding="utf-8")
    with refused("nested too deeply; 32 levels are allowed"):
        EmotionModel(tmp_path)


@pytest.mark.parametrize(
    "classes",
    [[*CLASSES, "contempt"], list(reversed(CLASSES)), CLASSES[:6], ["a"] * 7, "anger", None, {}],
)
def test_other_classes_are_refused_by_name(tmp_path: Path, classes: Any) -> None:
    folder = write(tmp_path / "model", classes=classes)
    with refused(re.escape(", ".join(CLASSES)) + ", in this order"):
        EmotionModel(folder, threads=1)


@pytest.mark.parametrize("value", [0.5, 0, "8", None, True, 10**30, 1e400, [8], {"x": 1}, -8])
@pytest.mark.parametrize("place", ["width", "height"])
def test_a_side_is_a_whole_number_in_bounds(tmp_path: Path, place: str, value: Any) -> None:
    entry = description()["input"] | {place: value}
    folder = write(tmp_path / "model", input=entry)
    with refused("width and height of input"):
        EmotionModel(folder, threads=1)


def test_a_side_that_the_network_has_not_is_refused(tmp_path: Path) -> None:
    entry = description()["input"] | {"width": 16, "height": 16}
    with refused("do not fit"):
        EmotionModel(write(tmp_path / "model", input=entry), threads=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", float("nan")), ("temperature", True), ("temperature", 10**400),
        ("mirror", 1), ("mirror", "yes"), ("outputs", {"logits": 1, "embedding": "embedding"}),
        ("outputs", []), ("input", "faces"),
        ("template", [[float("nan"), 0.4]] * 5), ("template", [[0.5, 0.5]] * 5),
        ("template", [[0, 0], [1e300, 0], [0, 1], [0, 2], [1, 1]]), ("template", "five"),
        ("template", [[0.3, 0.4], [0.7]]), ("weights", []), ("weights", {"emotion": 3}),
    ],
)  # fmt: skip
def test_entries_of_other_types_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    folder = write(tmp_path / "model", **{name: value})
    with pytest.raises(ModelError):
        EmotionModel(folder, threads=1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
PLACES = [(name,) for name in description()] + [
    ("input", "width"), ("input", "name"), ("outputs", "logits"), ("template", 0),
    ("weights", "emotion"), ("weights", "emotion", "file"), ("weights", "emotion", "sha256"),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(PLACES), JSON, min_size=1, max_size=3))
def test_any_description_is_loaded_or_refused(changes: dict[tuple[Any, ...], Any]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = write(Path(temporary))
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        for place, value in sorted(changes.items(), key=lambda change: -len(change[0])):
            inner = described
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
        try:
            model = EmotionModel(folder, threads=1)
        except ModelError:
            return
        assert model.predict(np.zeros((1, SIDE, SIDE), np.uint8)).probabilities.shape == (1, 7)


@given(JSON | st.text().map(lambda text: "\ud800" + text))
def test_any_json_is_a_description_or_refused(content: Any) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "model.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ModelError):
            EmotionModel(temporary)


def test_what_a_stranger_says_of_a_model_is_shown_or_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"a": {"accuracy": "all"}, "b": 1, "c": {"accuracy": 10**400}, "d": {"accuracy": 0.5}}
    folder = write(tmp_path / "model", name="\x1b[2J\ud800", training=["x"], metrics=metrics)
    assert cli.main(["models", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b[2J\ud800, verified" in shown
    assert "at an unknown date" in shown
    assert shown.endswith("  measured  d: 50.0% right\n")


def test_many_weights_files_are_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "model")
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    entry = described["weights"]["emotion"]
    described["weights"] |= {f"again{number}": entry for number in range(1000)}
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    assert cli.main(["models", str(folder)]) == 1
    assert "names 1001 weights files; at most 16 are read" in capsys.readouterr().err


def test_a_network_that_fails_on_some_faces_is_an_error_of_the_model(tmp_path: Path) -> None:
    """Sound for the blank face of the check, not a number for others."""
    model = network(more_tensors=[tensor("one", 1, value=1e-2)])
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("Sub", ["one", "sums"], ["rest"]))
    model.graph.node.append(helper.make_node("Log", ["rest"], ["logits"]))
    loaded = EmotionModel(write(tmp_path / "model", model), threads=1)
    with refused("NaN or infinity"):
        loaded.predict(np.full((1, SIDE, SIDE), 255, np.uint8))


@pytest.mark.parametrize("threads", [-1, 0, 1.5, "2", True, 10**6, 10**30])
def test_numbers_of_threads_that_are_none_are_refused(threads: Any) -> None:
    for make in (EmotionModel, EmotionClassifier):
        with pytest.raises(ValueError, match=r"threads must be a whole number from 1 to 1024"):
            make(threads=threads)


def test_whole_numbers_of_threads_are_taken(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    for threads in (None, 1, 2, np.int64(1)):
        model = EmotionModel(folder, threads=threads)
        assert model.description["weights"]["emotion"]["sha256"] == digest

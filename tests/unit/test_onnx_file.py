"""Files that hold more than a network, or less; none of them runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from shelly_local.vision import onnx_file
from shelly_local.vision.model import EmotionModel
from tests.tiny_models import SIDE, models_command, network, refused, tensor, write


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


def test_a_network_that_fails_on_some_faces_is_an_error_of_the_model(tmp_path: Path) -> None:
    """Sound for the blank face of the check, not a number for others."""
    model = network(more_tensors=[tensor("one", 1, value=1e-2)])
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("Sub", ["one", "sums"], ["rest"]))
    model.graph.node.append(helper.make_node("Log", ["rest"], ["logits"]))
    loaded = EmotionModel(write(tmp_path / "model", model), threads=1)
    with refused("NaN or infinity"):
        loaded.predict(np.full((1, SIDE, SIDE), 255, np.uint8))

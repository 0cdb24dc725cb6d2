"""onnxruntime is given what it can load."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from nmc.frontend import onnxruntime_source, read_model
from nmc.ir.graph import Array
from tests.nmc.frontend.models import FLOAT, noise, single


def run(source: str | bytes, x: Array) -> Array:
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def test_a_file_that_is_old_enough_is_passed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(single("Relu", {"x": noise(3)}), path)
    assert onnxruntime_source(read_model(path)) == str(path)


def test_the_newest_stamp_is_lowered(tmp_path: Path) -> None:
    """Also of a model whose weights lie beside it."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    ends = [helper.make_tensor_value_info(n, FLOAT, [1, s]) for n, s in (("x", 4), ("y", 3))]
    weights = onnx.numpy_helper.from_array(noise(4, 3), "w")
    proto = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights]))
    path = tmp_path / "net.onnx"
    onnx.save(copy.deepcopy(proto), path, save_as_external_data=True, size_threshold=0)
    x = noise(1, 4)
    expected = np.maximum(x @ noise(4, 3), 0)
    np.testing.assert_allclose(run(onnxruntime_source(read_model(path)), x), expected, rtol=1e-5)
    read = read_model(proto)
    np.testing.assert_allclose(run(onnxruntime_source(read), x), expected, rtol=1e-5)
    assert read.proto == proto

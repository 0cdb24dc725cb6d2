"""Sequences of tensors are resolved while importing."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from nmc.frontend import import_model
from nmc.ir.graph import Array
from tests.nmc.frontend.models import FLOAT, agree, model, noise, opaque_ops, problem


def i64(*numbers: int) -> Array:
    return np.asarray(numbers, np.int64)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_unbind_and_stack(keepdims: int) -> None:
    """x.unbind(1), the second and the last of it doubled and stacked, as old exporters write it."""
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=keepdims),
        helper.make_node("SequenceAt", ["s", "one"], ["a"]),
        helper.make_node("SequenceAt", ["s", "last"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("SequenceConstruct", ["c", "a"], ["t"]),
        helper.make_node("SequenceInsert", ["t", "b", "one"], ["u"]),
        helper.make_node("ConcatFromSequence", ["u"], ["y"], axis=-1, new_axis=1),
    ]
    constants = {"one": np.asarray(1), "last": np.asarray(-1)}
    proto = model(nodes, [("x", FLOAT, [2, 3, 4])], ["y"], constants)
    assert not opaque_ops(import_model(proto))
    agree(proto, {"x": noise(2, 3, 4)})


@pytest.mark.parametrize("sizes", [np.asarray(2), i64(2, 3)])
def test_chunks(sizes: Array) -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x", "n"], ["s"], axis=-1),
        helper.make_node("SequenceErase", ["s", "zero"], ["t"]),
        helper.make_node("SequenceLength", ["s"], ["length"]),
        helper.make_node("ConcatFromSequence", ["t"], ["y"], axis=1),
    ]
    constants = {"n": sizes, "zero": np.asarray(0)}
    proto = model(nodes, [("x", FLOAT, [2, 5])], ["y", "length"], constants)
    agree(proto, {"x": noise(2, 5)})


def test_a_computed_position_is_refused() -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"]),
        helper.make_node("SequenceAt", ["s", "i"], ["y"]),
    ]
    proto = model(nodes, [("x", FLOAT, [2, 5]), ("i", 7, [])], ["y"])
    found = problem(proto)
    assert found.code == "unsupported-operator"
    assert "position is computed while running" in found.message


def test_a_sequence_can_not_leave() -> None:
    nodes = [helper.make_node("SplitToSequence", ["x"], ["y"])]
    proto = model(nodes, [("x", FLOAT, [2, 5])], ["y"])
    assert "only tensors can leave" in problem(proto).message

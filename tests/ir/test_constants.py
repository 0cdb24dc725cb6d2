"""Constants stored as floats or as integers."""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import is_dequantized_constant, real_constant, stored_integers
from nmc.ir.graph import Graph, TensorType, Value
from nmc.ir.types import emit


def per_axis(graph: Graph) -> Value:
    data = graph.constant("w", np.array([[1, 2, 3], [4, 5, 6]], np.int8))
    scale = graph.constant("s", np.array([0.5, 2], np.float32))
    zero = graph.constant("z", np.array([1, -1], np.int8))
    return emit(graph, ops.DequantizeAxis(0), [data, scale, zero], "real")


def test_floats_are_themselves() -> None:
    value = Graph("g").constant("c", np.array([1.5], np.float32))
    assert real_constant(value) is value.data
    assert stored_integers(value) is None


def test_per_axis() -> None:
    value = per_axis(Graph("g"))
    stored = stored_integers(value)
    assert stored is not None
    np.testing.assert_array_equal(stored.centred, [[0, 1, 2], [5, 6, 7]])
    assert stored.scale.shape == stored.zero_point.shape == (2, 1)
    np.testing.assert_array_equal(real_constant(value), [[0, 0.5, 1], [10, 12, 14]])


def test_per_tensor() -> None:
    graph = Graph("g")
    data = graph.constant("w", np.array([0, 255], np.uint8))
    value = emit(graph, ops.Dequantize(0.5, 128), [data], "real")
    np.testing.assert_array_equal(real_constant(value), [-64, 63.5])


def test_activations_are_not_constant() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("u8", (2,)))
    value = emit(graph, ops.Dequantize(0.5, 128), [x], "real")
    assert value.producer is not None
    assert not is_dequantized_constant(value.producer)
    assert real_constant(value) is None
    assert stored_integers(value) is None
    assert real_constant(x) is None

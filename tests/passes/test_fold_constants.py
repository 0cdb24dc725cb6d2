"""What is folded, and what stays as it is."""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph, TensorType, Value
from nmc.ir.types import emit
from nmc.ir.verify import verify_graph
from nmc.passes.fold_constants import FoldConstants


def fold(graph: Graph) -> bool:
    changed = FoldConstants().run(Design(graph, target=None), Report())  # type: ignore[arg-type]
    assert verify_graph(graph) == []
    return changed


def with_input() -> tuple[Graph, Value]:
    graph = Graph("g")
    return graph, graph.add_input("x", TensorType("f32", (3,)))


def test_a_chain_of_constants_becomes_one_of_the_same_name() -> None:
    graph, x = with_input()
    a = graph.constant("a", np.array([1, 2, 3], np.float32))
    total = emit(graph, ops.Add(), [a, emit(graph, ops.Neg(), [a], "minus")], "total")
    graph.outputs.append(emit(graph, ops.Mul(), [x, total], "y"))
    assert fold(graph)
    assert [node.op.name for node in graph] == ["mul"]
    assert graph.nodes[0].operand(1) is total
    assert total.array.tolist() == [0, 0, 0]
    assert not fold(graph)


def test_an_output_that_depends_on_nothing_is_a_constant() -> None:
    graph, _ = with_input()
    graph.outputs.append(emit(graph, ops.Exp(), [graph.constant("a", np.zeros(2, "f4"))], "y"))
    assert fold(graph)
    assert len(graph) == 0
    assert graph.outputs[0].name == "y"
    assert graph.outputs[0].array.tolist() == [1, 1]


def test_quantised_weights_stay_integers() -> None:
    graph, x = with_input()
    w = graph.constant("w", np.array([[1], [2], [3]], np.int8))
    turned = emit(graph, ops.Reshape((3, 1)), [w], "turned")
    reals = emit(graph, ops.Dequantize(0.5, 0), [turned], "reals")
    graph.outputs.append(emit(graph, ops.MatMul(), [x, reals], "y"))
    assert fold(graph)
    assert [node.op.name for node in graph] == ["dequantize", "matmul"]
    assert graph.nodes[0].x.type.dtype == "i8"


def test_small_numbers_are_not_blown_up_to_images() -> None:
    graph, _ = with_input()
    one = graph.constant("one", np.ones((1, 1), np.float32))
    graph.outputs += [
        emit(graph, ops.Expand((300, 300)), [one], "image"),
        emit(graph, ops.Expand((100, 100)), [one], "icon"),
    ]
    assert fold(graph)
    assert [node.output.name for node in graph] == ["image"]
    assert graph.outputs[1].array.shape == (100, 100)


def test_opaque_nodes_stay() -> None:
    graph, _ = with_input()
    a = graph.constant("a", np.zeros(2, np.float32))
    y = graph.value("y", TensorType("f32", (2,)))
    graph.append(ops.Onnx("Twice", "", 1), [a], [y])
    graph.outputs.append(y)
    assert not fold(graph)
    assert len(graph) == 1

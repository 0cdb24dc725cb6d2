"""partition: what runs where, and the reason that the report gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.diagnostics import Report, Severity
from nmc.ir.graph import Graph, Node, TensorType, Unit, Value
from nmc.ir.types import emit
from nmc.passes.partition import Partition
from tests.passes.designs import design_of


def partitioned(graph: Graph, host_ops: bool = True) -> Report:
    report = Report()
    Partition().run(design_of(graph, host_ops=host_ops), report)
    return report


def image(graph: Graph, *shape: int, dtype: str = "f32") -> Value:
    return graph.add_input("x", TensorType(dtype, shape))


def floats(graph: Graph, *shape: int) -> Value:
    return graph.constant("c", np.ones(shape, np.float32))


def opaque(graph: Graph, x: Value, name: str = "TopK", dtype: str = "f32") -> Value:
    y = graph.value(name.lower(), TensorType(dtype, x.type.shape))
    graph.append(ops.Onnx(name, "", 18), [x], [y])
    return y


def alone(op: ops.Op, *shape: int, constants: tuple[tuple[int, ...], ...] = ()) -> Node:
    """The node of a graph that has no other, after the pass."""
    graph = Graph("g")
    x = image(graph, *shape)
    y = emit(graph, op, [x, *(floats(graph, *c) for c in constants)], "y")
    graph.outputs.append(y)
    partitioned(graph)
    return graph.nodes[-1]


WINDOW2 = ((1, 1), (0,) * 4, (1, 1))
WINDOW3 = ((1,) * 3, (0,) * 6, (1,) * 3)

ON_CHIP: dict[str, tuple[ops.Op, tuple[int, ...], tuple[tuple[int, ...], ...], str]] = {
    "conv": (ops.Conv(*WINDOW2), (1, 2, 4, 4), ((3, 2, 3, 3),), Unit.CROSSBAR),
    "conv1d": (ops.Conv((2,), (1, 1), (2,)), (1, 2, 9), ((3, 2, 3),), Unit.CROSSBAR),
    "depthwise": (ops.Conv(*WINDOW2, 4), (1, 4, 4, 4), ((4, 1, 3, 3),), Unit.CROSSBAR),
    "tokens": (ops.MatMul(), (1, 7, 4), ((4, 5),), Unit.CROSSBAR),
    "unary": (ops.Mish(), (1, 4), (), Unit.VECTOR),
    "scalar": (ops.Div(), (1, 4, 2, 2), ((),), Unit.VECTOR),
    "per channel": (ops.Add(), (1, 4, 2, 2), ((4, 1, 1),), Unit.VECTOR),
    "full": (ops.Mul(), (1, 4, 2, 2), ((1, 4, 2, 2),), Unit.VECTOR),
    "pow": (ops.Pow(), (1, 4), ((1,),), Unit.VECTOR),
    "prelu": (ops.PRelu(), (1, 4, 2, 2), ((4, 1, 1),), Unit.VECTOR),
    "softmax": (ops.Softmax(1), (1, 4, 2, 2), (), Unit.VECTOR),
    "softmax of tokens": (ops.Softmax(2), (1, 7, 4), (), Unit.VECTOR),
    "layer_norm": (ops.LayerNorm(2), (1, 7, 4), ((4,), (4,)), Unit.VECTOR),
    "max_pool": (ops.MaxPool((2, 2), *WINDOW2), (1, 2, 4, 4), (), Unit.VECTOR),
    "avg_pool": (ops.AvgPool((2,), (2,), (0, 0), (1,)), (1, 2, 4), (), Unit.VECTOR),
    "global mean": (ops.Reduce("mean", (2, 3)), (1, 2, 4, 4), (), Unit.VECTOR),
    "mean, channels last": (ops.Reduce("mean", (1, 2)), (1, 4, 4, 2), (), Unit.VECTOR),
    "mean of tokens": (ops.Reduce("sum", (1,), False), (1, 7, 4), (), Unit.VECTOR),
    "pad": (ops.Pad((0, 0, 1, 1, 0, 0, 1, 0)), (1, 2, 4, 4), (), Unit.VECTOR),
    "resize": (ops.Resize((1, 1, 2, 3)), (1, 2, 4, 4), (), Unit.VECTOR),
    "slice": (ops.Slice((0,), (3,), (2,), (2,)), (1, 2, 4, 4), (), Unit.VECTOR),
}

ON_HOST: dict[str, tuple[ops.Op, tuple[int, ...], tuple[tuple[int, ...], ...], str]] = {
    "conv3d": (ops.Conv(*WINDOW3), (1, 2, 4, 4, 4), ((3, 2, 3, 3, 3),), "over 3 axes"),
    "batch": (ops.Conv(*WINDOW2), (2, 2, 4, 4), ((3, 2, 3, 3),), "one sample at a time"),
    "batched product": (ops.MatMul(), (1, 2, 4), ((1, 4, 5),), "3 axes, a matrix has 2"),
    "spread": (ops.Add(), (1, 4, 1, 1), ((1, 4, 3, 3),), "to a larger tensor"),
    "softmax of rows": (ops.Softmax(2), (1, 4, 2, 2), (), "not along axis 2"),
    "layer_norm of two axes": (ops.LayerNorm(1), (1, 7, 4), ((7, 4),), "last axis alone"),
    "mean of channels": (ops.Reduce("mean", (1,)), (1, 4, 2, 2), (), "no reduce mean"),
    "prod": (ops.Reduce("prod", (2, 3)), (1, 4, 2, 2), (), "no reduce prod"),
    "reflect": (ops.Pad((0, 0, 1, 1) * 2, "reflect"), (1, 2, 4, 4), (), "mode reflect"),
    "pad channels": (ops.Pad((0, 1, 0, 0) * 2), (1, 2, 4, 4), (), "batch or channels"),
    "crop": (ops.Pad((0, 0, -1, 0, 0, 0, 0, 0)), (1, 2, 4, 4), (), "negative padding"),
    "backwards": (ops.Slice((3,), (-1,), (2,), (-1,)), (1, 2, 4, 4), (), "backwards"),
    "lrn": (ops.Lrn(3), (1, 4, 2, 2), (), "no unit computes lrn"),
    "arg_max": (ops.ArgMax(1), (1, 4), (), "no i64 activations"),
    "empty": (ops.Relu(), (1, 0), (), "has no rows"),
}


@pytest.mark.parametrize("case", ON_CHIP)
def test_the_chip_can(case: str) -> None:
    op, shape, constants, unit = ON_CHIP[case]
    node = alone(op, *shape, constants=constants)
    if ops_that_carry(op):  # without a neighbour that computes, they are the host's
        assert node.why == "only passes numbers on, with no operation of the chip beside it"
    else:
        assert node.unit == unit
        assert node.why


def ops_that_carry(op: ops.Op) -> bool:
    return isinstance(op, ops.Pad | ops.Resize | ops.Slice)


@pytest.mark.parametrize("case", [name for name, c in ON_CHIP.items() if ops_that_carry(c[0])])
def test_the_chip_moves_for_a_neighbour(case: str) -> None:
    op, shape, _, _ = ON_CHIP[case]
    graph = Graph("g")
    y = emit(graph, op, [emit(graph, ops.Relu(), [image(graph, *shape)], "r")], "y")
    graph.outputs.append(y)
    partitioned(graph)
    assert [node.unit for node in graph] == [Unit.VECTOR, Unit.VECTOR]


@pytest.mark.parametrize("case", ON_HOST)
def test_the_host_must(case: str) -> None:
    op, shape, constants, reason = ON_HOST[case]
    node = alone(op, *shape, constants=constants)
    assert node.unit == Unit.HOST
    assert reason in node.why


def test_a_matrix_tells_its_size() -> None:
    node = alone(ops.Conv(*WINDOW2, 4), 1, 4, 4, 4, constants=((8, 1, 3, 3),))
    assert node.why == "4 constant 9x2 matrices"


def test_activations_as_weights() -> None:
    graph = Graph("g")
    a = graph.add_input("a", TensorType("f32", (4, 4)))
    graph.outputs.append(emit(graph, ops.MatMul(), [a, a], "y"))
    partitioned(graph)
    assert graph.nodes[0].unit == Unit.HOST
    assert "constant matrix on the right" in graph.nodes[0].why


def test_nan_weights_are_not_programmed() -> None:
    graph = Graph("g")
    w = graph.constant("w", np.full((4, 2), np.nan, np.float32))
    graph.outputs.append(emit(graph, ops.MatMul(), [image(graph, 1, 4), w], "y"))
    partitioned(graph)
    assert graph.nodes[0].why == "its weights are not finite"


@pytest.mark.parametrize(
    ("shape", "unit"), [((1, 4, 1, 1), Unit.VECTOR), ((1, 1, 3, 3), Unit.HOST)]
)
def test_two_activations(shape: tuple[int, ...], unit: str) -> None:
    graph = Graph("g")
    a = graph.add_input("a", TensorType("f32", (1, 4, 3, 3)))
    b = graph.add_input("b", TensorType("f32", shape))
    graph.outputs.append(emit(graph, ops.Mul(), [a, b], "y"))
    partitioned(graph)
    assert graph.nodes[0].unit == unit


Chain = Callable[[Graph, Value], Value]


def between(graph: Graph, x: Value) -> Value:
    """A reshape, a quantize and its inverse: nothing that a chip would be asked for."""
    x = emit(graph, ops.Reshape((2, 2)), [x], "r")
    return emit(graph, ops.Dequantize(0.5, 3), [emit(graph, ops.Quantize(0.5, 3), [x], "q")], "d")


def test_numbers_are_not_carried_to_the_chip_and_back() -> None:
    graph = Graph("g")
    x = opaque(graph, image(graph, 1, 4), "TopK")
    graph.outputs.append(opaque(graph, between(graph, x), "NonZero"))
    partitioned(graph)
    assert {node.unit for node in graph} == {Unit.HOST}


def test_numbers_are_carried_for_one_that_computes() -> None:
    graph = Graph("g")
    x = opaque(graph, image(graph, 1, 4), "TopK")
    y = emit(graph, ops.Relu(), [between(graph, x)], "relu")
    graph.outputs.append(opaque(graph, y, "NonZero"))
    partitioned(graph)
    assert [node.unit for node in graph] == [Unit.HOST, *[Unit.VECTOR] * 4, Unit.HOST]


@pytest.mark.parametrize("name", ["MatMul", "TopK"])
def test_dequantised_constants_go_with_who_needs_them(name: str) -> None:
    graph = Graph("g")
    x = image(graph, 1, 4)
    w = emit(graph, ops.Dequantize(0.5, 0), [graph.constant("w", np.ones((4, 2), np.int8))], "w.r")
    y = emit(graph, ops.MatMul(), [x, w], "y")
    graph.outputs.append(y)
    if name == "TopK":
        graph.outputs.append(opaque(graph, w))
    partitioned(graph)
    assert graph.nodes[0].unit == (Unit.HOST if name == "TopK" else Unit.VECTOR)
    assert y.producer is not None
    assert y.producer.unit == Unit.CROSSBAR


def test_bytes_cast_to_floats_are_stored_integers() -> None:
    graph = Graph("g")
    x = emit(graph, ops.Cast("f32"), [image(graph, 1, 4, dtype="u8")], "real")
    graph.outputs.append(emit(graph, ops.Relu(), [x], "y"))
    partitioned(graph)
    assert [node.unit for node in graph] == [Unit.VECTOR, Unit.VECTOR]


def three_hosts() -> Graph:
    graph = Graph("g")
    x = opaque(graph, opaque(graph, image(graph, 1, 4)))
    graph.outputs.append(opaque(graph, x, "NonZero"))
    return graph


def test_one_note_per_kind() -> None:
    notes = list(partitioned(three_hosts()))
    assert [n.severity for n in notes] == [Severity.NOTE] * 2
    assert notes[0].message == "`TopK` runs on the host, 2 nodes: no unit computes TopK"
    assert notes[1].message == "`NonZero` runs on the host, 1 node: no unit computes NonZero"


def test_denied_hosts_are_errors_with_a_remedy() -> None:
    report = partitioned(three_hosts(), host_ops=False)
    assert [e.code for e in report.errors] == ["host-operator"] * 2
    assert all(e.remedy for e in report.errors)

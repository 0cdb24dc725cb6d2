"""lower-conv-transpose: same numbers, by convolutions that compute no inserted zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.ir import ops
from nmc.ir.costs import macs
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph, TensorType, Value
from nmc.ir.interpreter import run_graph
from nmc.ir.types import emit
from nmc.passes.lower_conv_transpose import LowerConvTranspose
from tests.passes.designs import design_of, kinds


@dataclass(frozen=True)
class Case:
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int
    group: int
    inputs: int
    outputs: int
    pads: tuple[int, ...]
    extra: tuple[int, ...]
    bias: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rank, stride = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    group = draw(st.integers(1, 3))
    sizes = tuple(draw(st.integers(1, 5)) for _ in range(rank))
    kernel = tuple(draw(st.integers(1, 6)) for _ in range(rank))
    extra = tuple(draw(st.integers(0, stride - 1)) for _ in range(rank))
    full = [(n - 1) * stride + k + e for n, k, e in zip(sizes, kernel, extra, strict=True)]
    begins = tuple(draw(st.integers(0, min(n - 1, 7))) for n in full)
    ends = tuple(draw(st.integers(0, n - 1 - b)) for n, b in zip(full, begins, strict=True))
    return Case(
        sizes,
        kernel,
        stride,
        group,
        group * draw(st.integers(1, 2)),
        group * draw(st.integers(1, 2)),
        begins + ends,
        extra,
        draw(st.booleans()),
    )


def build(case: Case, weights: str = "float") -> Graph:
    rng = np.random.default_rng(7)
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, case.inputs, *case.sizes)))
    shape = (case.inputs, case.outputs // case.group, *case.kernel)
    if weights == "float":
        w = graph.constant("w", rng.standard_normal(shape).astype(np.float32))
    else:
        w = integers(graph, rng.integers(-127, 128, shape).astype(np.int8), per_channel=True)
    bias: list[Value | None] = []
    if case.bias:
        bias = [graph.constant("b", rng.standard_normal(case.outputs).astype(np.float32))]
    rank = len(case.sizes)
    op = ops.ConvTranspose((case.stride,) * rank, case.pads, (1,) * rank, case.extra, case.group)
    graph.outputs.append(emit(graph, op, [x, w, *bias], "y"))
    return graph


def integers(graph: Graph, data: np.ndarray, per_channel: bool) -> Value:
    if not per_channel:
        return emit(graph, ops.Dequantize(0.25, 3), [graph.constant("w", data)], "w.real")
    scale = np.linspace(0.1, 0.7, data.shape[1], dtype=np.float32)
    zeros = np.zeros(data.shape[1], np.int8)
    operands = [graph.constant("w", data), graph.constant("s", scale), graph.constant("z", zeros)]
    return emit(graph, ops.DequantizeAxis(1), operands, "w.real")


def compare(graph: Graph) -> None:
    """The same output, name and type after lowering, and no transposed convolution left."""
    x = np.random.default_rng(1).standard_normal(graph.inputs[0].type.shape).astype(np.float32)
    before = run_graph(graph, {"x": x})["y"]
    type_ = graph.outputs[0].type
    assert LowerConvTranspose().run(design_of(graph), Report())
    assert "conv_transpose" not in kinds(graph)
    assert graph.outputs[0].name == "y"
    assert graph.outputs[0].type == type_
    after = run_graph(graph, {"x": x})["y"]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-4)


@given(cases())
@settings(max_examples=150)
def test_same_result(case: Case) -> None:
    compare(build(case))


@given(cases())
@settings(max_examples=40)
def test_integers_stay_integers(case: Case) -> None:
    graph = build(case, "integers")
    compare(graph)
    (conv,) = [n for n in graph if isinstance(n.op, ops.Conv)]
    producer = conv.operand(1).producer
    assert producer is not None
    assert producer.x.array.dtype == np.int8


def test_a_zero_point_is_no_zero_of_the_gaps() -> None:
    """A kernel of 3 by stride 2 has a gap, which must hold the real number 0."""
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 1, 3)))
    w = integers(graph, np.array([[[1, 2, 3]]], np.int8), per_channel=False)
    op = ops.ConvTranspose((2,), (0, 0), (1,), (1,))
    graph.outputs.append(emit(graph, op, [x, w], "y"))
    compare(graph)


@pytest.mark.parametrize(
    ("strides", "dilations"), [((1, 2), (1, 1)), ((2, 2), (1, 2)), ((2, 2, 2), (1, 1, 1))]
)
def test_what_does_not_fit_is_left(strides: tuple[int, ...], dilations: tuple[int, ...]) -> None:
    rank = len(strides)
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 2, *[4] * rank)))
    w = graph.constant("w", np.ones((2, 3, *[3] * rank), np.float32))
    op = ops.ConvTranspose(strides, (0,) * (2 * rank), dilations, (0,) * rank)
    graph.outputs.append(emit(graph, op, [x, w], "y"))
    assert not LowerConvTranspose().run(design_of(graph), Report())
    assert kinds(graph) == ["conv_transpose"]


def test_variable_weights_are_left() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 1, 4)))
    w = graph.add_input("w", TensorType("f32", (1, 1, 3)))
    op = ops.ConvTranspose((2,), (0, 0), (1,), (0,))
    graph.outputs.append(emit(graph, op, [x, w], "y"))
    assert not LowerConvTranspose().run(design_of(graph), Report())


def test_multiplies_no_inserted_zeros() -> None:
    """A 4x4 kernel by stride 2 is four 2x2 kernels: as many products as the op itself counts."""
    case = Case((8, 8), (4, 4), 2, 1, 3, 5, (1, 1, 1, 1), (0, 0), bias=False)
    graph = build(case)
    (node,) = graph.nodes
    wanted = macs(node)
    compare(graph)
    rim = (9 / 8) ** 2  # one more position per axis, of which half the rows are cropped
    assert sum(map(macs, graph)) == wanted * rim


def test_functions_that_follow_come_before_the_unfolding() -> None:
    graph = build(Case((5, 5), (3, 3), 2, 1, 2, 4, (1, 1, 1, 1), (0, 0), bias=True))
    (y,) = graph.outputs
    y.name = "before"
    graph.outputs = [
        emit(graph, ops.Tanh(), [emit(graph, ops.Relu(), [y], "r")], "y.1"),
    ]
    graph.outputs[0].name = "y"
    compare(graph)
    assert kinds(graph) == ["conv", "relu", "tanh", "depth_to_space", "slice"]

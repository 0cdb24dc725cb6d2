"""What is exported for the host computes, in onnxruntime, what the Graph's interpreter computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.backends.host import OrtHost
from nmc.backends.onnx_export import RULES, export_onnx
from nmc.ir import ops
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import DTYPES, Array, Graph, TensorType, Value
from nmc.ir.interpreter import run_graph
from nmc.ir.ops import OPS, Op
from nmc.ir.types import emit

Shape = tuple[int, ...]

HOST = OrtHost()
"""One for all tests: a session is loaded once."""


def some(seed: int, dtype: str, shape: Shape) -> Array:
    """Random data: any integers for bytes, small ones for wider types, floats around zero."""
    rng = np.random.default_rng(seed)
    if dtype in ("u8", "i8"):
        info = np.iinfo(DTYPES[dtype])
        return rng.integers(info.min, info.max + 1, shape).astype(DTYPES[dtype])
    if dtype[0] in "iu":
        return rng.integers(0 if dtype[0] == "u" else -9, 10, shape).astype(DTYPES[dtype])
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.normal(0, 2, shape).astype(DTYPES[dtype])


def graph_of(op: Op, *operands: tuple[str, Shape] | Array) -> Graph:
    """One node: inputs for the types, constants for the arrays."""
    graph = Graph("one")
    values: list[Value] = []
    for i, operand in enumerate(operands):
        if isinstance(operand, np.ndarray):
            values.append(graph.constant(f"c{i}", operand))
        else:
            values.append(graph.add_input(f"x{i}", TensorType(*operand)))
    graph.outputs = [emit(graph, op, values, "y")]
    return graph


def on_host(graph: Graph, inputs: dict[str, Array]) -> dict[str, Array]:
    model = export_onnx(graph.nodes, graph.inputs, graph.outputs, graph.name)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    return HOST.run(model, inputs)


def agree(graph: Graph, inputs: dict[str, Array], tolerance: float = 2e-6) -> None:
    expected = run_graph(graph, inputs, host=HOST)
    got = on_host(graph, inputs)
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        if array.dtype.kind == "f":
            # The size of the largest sets the scale: sums cancel.
            scale = tolerance * max(1.0, float(np.abs(array[np.isfinite(array)]).max(initial=0)))
            np.testing.assert_allclose(got[name], array, rtol=tolerance, atol=scale)
        else:
            np.testing.assert_array_equal(got[name], array)


F = "f32"
IMAGE = (F, (1, 4, 6, 5))
W1 = some(1, F, (6, 2, 3))
QW = some(2, "i8", (6, 2, 3, 3))
WINDOW: dict[str, Any] = {"strides": (2, 1), "pads": (1, 0, 1, 2), "dilations": (1, 2)}
PLAIN: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
POOL: dict[str, Any] = {
    "kernel": (3, 2),
    "strides": (2, 2),
    "pads": (1, 0, 1, 1),
    "dilations": (1, 1),
}
MULTIPLIER = np.abs(some(3, F, (6,))) * np.float32(1e-3)
BIAS = some(4, "i32", (6,)) * 100

CASES: list[tuple[Op, list[tuple[str, Shape] | Array]]] = [
    (ops.Conv(**WINDOW, group=2), [IMAGE, some(5, F, (6, 2, 3, 2)), some(6, F, (6,))]),
    (ops.Conv((1,), (1, 1), (1,)), [(F, (2, 2, 9)), W1]),
    (ops.Conv((1,), (1, 1), (1,)), [("f64", (2, 2, 9)), W1.astype(np.float64)]),
    (
        ops.ConvTranspose((2, 2), (1, 0, 0, 1), (1, 1), (1, 0), 2),
        [IMAGE, some(7, F, (4, 3, 3, 2)), some(8, F, (6,))],
    ),
    (ops.MatMul(), [(F, (2, 3, 4)), (F, (4, 5))]),
    (ops.MatMul(), [("i64", (3, 4)), ("i64", (4,))]),
    (ops.BatchNorm(1e-3), [IMAGE, *(np.abs(some(s, F, (4,))) for s in range(4))]),
    (ops.InstanceNorm(1e-3), [IMAGE, some(1, F, (4,)), some(2, F, (4,))]),
    (ops.LayerNorm(2, 1e-3), [(F, (2, 3, 4, 5)), some(1, F, (4, 5)), some(2, F, (4, 5))]),
    (ops.LayerNorm(1), [(F, (2, 3, 4)), some(1, F, (4,)), some(2, F, (3, 1))]),
    (ops.LayerNorm(2), [(F, (2, 3, 4)), some(1, F, (4,))]),
    (ops.Lrn(3, 1e-2, 0.7, 1.5), [IMAGE]),
    (ops.Lrn(4, 0.5, 0.6), [IMAGE]),
    (ops.Softmax(1), [IMAGE]),
    (ops.Softmax(0), [("f64", (5, 3))]),
    (ops.LogSoftmax(3), [IMAGE]),
    (ops.MaxPool(**POOL), [IMAGE]),
    (ops.MaxPool((3, 2), (2, 2), (1, 0, 1, 1), (1, 2), True), [IMAGE]),
    (ops.MaxPool(**POOL), [("u8", (1, 2, 6, 5))]),
    (ops.MaxPool(**POOL), [("i8", (1, 2, 6, 5))]),
    (ops.AvgPool(**POOL), [IMAGE]),
    (ops.AvgPool(**POOL, count_include_pad=True), [IMAGE]),
    (ops.AvgPool(**POOL, ceil_mode=True), [IMAGE]),
    (ops.AvgPool((3, 2), (2, 2), (1, 0, 1, 1), (1, 2)), [IMAGE]),
    (ops.ArgMax(1), [IMAGE]),
    (ops.ArgMax(2, False, True), [("u8", (3, 2, 9))]),
    (ops.Reshape((4, 30)), [IMAGE]),
    (ops.Reshape((0, 7)), [(F, (2, 0))]),
    (ops.Reshape(()), [(F, (1, 1))]),
    (ops.Transpose((0, 2, 3, 1)), [IMAGE]),
    (ops.Transpose(()), [(F, ())]),
    (ops.Concat(1), [IMAGE, (F, (1, 2, 6, 5))]),
    (ops.Slice((1, 0), (5, 3), (2, 1), (2, 1)), [IMAGE]),
    (ops.Slice((5,), (-1,), (2,), (-2,)), [IMAGE]),
    (ops.Pad((0, 0, 1, 2, 0, 1, 0, 3), "constant", 1.5), [IMAGE]),
    (ops.Pad((3, -1, -3, 0)), [(F, (2, 4))]),
    (ops.Pad((1, -1, 1, 2), "reflect"), [(F, (3, 6))]),
    (ops.Pad((1, -1, 1, 2), "edge"), [("i64", (3, 6))]),
    (ops.Pad((1, 0, 1, 2), "wrap"), [("i16", (3, 6))]),
    (ops.Expand((3, 1, 5)), [(F, (4, 1))]),
    (ops.Gather(1), [IMAGE, np.array([[0, -1], [3, 3]])]),
    (ops.DepthToSpace(2), [IMAGE]),
    (ops.DepthToSpace(2, "CRD"), [("u8", (1, 8, 2, 3))]),
    (ops.SpaceToDepth(2), [("i32", (1, 3, 4, 6))]),
    (ops.Resize((1, 1, 2, 3)), [IMAGE]),
    (ops.Resize((1, 1, 2, 3)), [("i64", (1, 4, 3, 3))]),
    (ops.Cast("f64"), [(F, (3, 4))]),
    (ops.Cast("i32"), [(F, (3, 4))]),
    (ops.Cast("f16"), [(F, (3, 4))]),
    (ops.Cast("f32"), [("bool", (5,))]),
    (ops.Quantize(0.05, 7), [IMAGE]),
    (ops.Quantize(0.02, -3, "i8"), [IMAGE]),
    (ops.Dequantize(0.05, 7), [("u8", (3, 4))]),
    (ops.Dequantize(0.05, -7), [("i8", (3, 4))]),
    (ops.Dequantize(0.05, 0), [("i32", (3, 4))]),
    (ops.Dequantize(0.05, 3), [("i32", (3, 4))]),
    (
        ops.DequantizeAxis(1),
        [some(1, "i8", (3, 4)), np.abs(some(2, F, (4,))) + 1, some(3, "i8", (4,))],
    ),
    (
        ops.DequantizeAxis(0),
        [some(1, "i32", (3, 4)), np.abs(some(2, F, (3,))) + 1, some(3, "i32", (3,))],
    ),
    (ops.FlipSign(), [("u8", (300,))]),
    (ops.FlipSign(), [("i8", (300,))]),
    (ops.QConv(**WINDOW, group=2, x_zero_point=9, y_zero_point=100, lo=20, hi=240),
     [("u8", (1, 4, 7, 8)), QW, BIAS, MULTIPLIER]),
    (ops.QConv(**PLAIN, group=2, x_zero_point=0, out="f32"),
     [("u8", (1, 4, 7, 8)), QW, BIAS, MULTIPLIER]),
    (ops.QConv((1,), (2, 2), (1,), 1, 128), [("u8", (1, 2, 9)), QW[:, :, 0], BIAS, MULTIPLIER]),
    (ops.QMatMul(5, 100), [("u8", (2, 3, 7)), some(1, "i8", (7, 6)), BIAS, MULTIPLIER]),
    (ops.QMatMul(5, out="f32"), [("u8", (3, 7)), some(1, "i8", (7, 6)), BIAS, MULTIPLIER]),
    (ops.QAvgPool(**POOL, scale=0.7, x_zero_point=9, y_zero_point=4), [("u8", (1, 3, 6, 5))]),
    (
        ops.QAvgPool(
            **POOL, scale=1.3, x_zero_point=9, y_zero_point=4, ceil_mode=True,
            count_include_pad=True,
        ),
        [("u8", (1, 3, 6, 5))],
    ),
    (ops.QReduceMean((2, 3), True, 0.9, 9, 4), [("u8", (1, 3, 6, 5))]),
    (ops.QReduceMean((1,), False, 0.9, 9, 4), [("u8", (2, 3, 6))]),
    (ops.Lut(), [("u8", (3, 4)), some(1, "u8", (256,))]),
]  # fmt: skip

POSITIVE = (ops.Log, ops.Sqrt, ops.Pow)
INTEGER_UNARY = (ops.Relu(), ops.Clip(-2.5, 4.5), ops.Abs(), ops.Neg(), ops.Sign())


def instance(op: type[Op]) -> Op:
    return ops.Clip(-1.0, 1.5) if op is ops.Clip else op()


def check(op: Op, operands: Sequence[tuple[str, Shape] | Array]) -> None:
    graph = graph_of(op, *operands)
    inputs = {v.name: some(11 + i, v.type.dtype, v.type.shape) for i, v in enumerate(graph.inputs)}
    if isinstance(op, POSITIVE):
        inputs = {name: np.abs(array) for name, array in inputs.items()}
    agree(graph, inputs)


@pytest.mark.parametrize(("op", "operands"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_op(op: Op, operands: list[tuple[str, Shape] | Array]) -> None:
    check(op, operands)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("op", [op for op in OPS if issubclass(op, ops.Unary)])
def test_unary(op: type[Op], dtype: str) -> None:
    check(instance(op), [(dtype, (3, 40))])


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16", "i32", "i64", "u32"])
@pytest.mark.parametrize("op", INTEGER_UNARY, ids=lambda op: op.name)
def test_unary_on_integers(op: Op, dtype: str) -> None:
    if isinstance(op, ops.Neg) and dtype[0] == "u":
        pytest.skip("the negative of an unsigned number is no number")
    check(op, [(dtype, (30,))])


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "i64", "u8", "i16"])
@pytest.mark.parametrize(
    "op", [op for op in OPS if issubclass(op, ops.Binary) and op is not ops.PRelu]
)
def test_binary(op: type[Op], dtype: str) -> None:
    if op in (ops.Div, ops.Pow):
        divisor = np.array([1, 2, 3, 2], DTYPES[dtype])
        check(op(), [(dtype, (2, 3, 4)), divisor])
    else:
        check(op(), [(dtype, (2, 1, 4)), (dtype, (3, 1))])


def test_prelu() -> None:
    check(ops.PRelu(), [IMAGE, some(1, F, (4, 1, 1))])


REDUCTIONS = [
    "sum",
    "mean",
    "max",
    "min",
    "prod",
    "l1",
    "l2",
    "sum_square",
    "log_sum",
    "log_sum_exp",
]


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "u8"])
@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("axes", [(1,), (0, 2), ()])
def test_reduce(kind: str, axes: Shape, dtype: str) -> None:
    graph = graph_of(ops.Reduce(kind, axes, bool(len(axes) % 2)), (dtype, (2, 3, 4)))
    data = np.abs(some(1, dtype, (2, 3, 4)))
    data = np.minimum(data, 4).astype(data.dtype) + np.array(1, data.dtype)
    agree(graph, {"x0": data})


def test_every_op_is_exported_and_tested() -> None:
    assert set(RULES) == set(OPS) - {ops.Onnx}
    elsewhere = {op for op in OPS if issubclass(op, ops.Unary | ops.Binary)}
    assert {type(op) for op, _ in CASES} | elsewhere | {ops.Reduce, ops.Onnx} == set(OPS)


CHAIN = [
    lambda g, x: emit(g, ops.Relu(), [x], "relu"),
    lambda g, x: emit(g, ops.Add(), [x, g.constant("c", some(1, F, (4, 1, 1)))], "add"),
    lambda g, x: emit(g, ops.Conv((1, 1), (1, 1, 1, 1), (1, 1)),
                      [x, g.constant("w", some(2, F, (4, 4, 3, 3)) / 6)], "conv"),
    lambda g, x: emit(g, ops.Softmax(1), [x], "softmax"),
    lambda g, x: emit(g, ops.Reduce("mean", (2,)), [x], "mean"),
    lambda g, x: emit(g, ops.Concat(3), [x, x], "concat"),
    lambda g, x: emit(g, ops.Mul(), [x, x], "square"),
    lambda g, x: emit(g, ops.Transpose((0, 1, 3, 2)), [x], "transpose"),
]  # fmt: skip


@settings(max_examples=25)
@given(st.lists(st.sampled_from(CHAIN), min_size=2, max_size=7), st.integers(0, 99))
def test_random_graphs(steps: list, seed: int) -> None:  # type: ignore[type-arg]
    graph = Graph("random")
    x = graph.add_input("x", TensorType(F, (1, 4, 5, 3)))
    seen = [x]
    for step in steps:
        seen.append(step(graph, seen[-1]))
    graph.outputs = [seen[-1], seen[len(seen) // 2]]
    agree(graph, {"x": some(seed, F, (1, 4, 5, 3))}, 1e-5)


def test_same_graph_same_bytes() -> None:
    def model() -> bytes:
        graph = graph_of(ops.QMatMul(5, 9), ("u8", (3, 7)), some(1, "i8", (7, 6)), BIAS, MULTIPLIER)
        return export_onnx(graph.nodes, graph.inputs, graph.outputs, "one")

    assert model() == model()
    proto = onnx.load_from_string(model())
    assert proto.ir_version == 10
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 21)]


def test_part_of_a_graph() -> None:
    graph = Graph("three")
    x = graph.add_input("x", TensorType(F, (3,)))
    a = emit(graph, ops.Relu(), [x], "a")
    b = emit(graph, ops.Neg(), [a], "b")
    emit(graph, ops.Exp(), [b], "c")
    model = export_onnx(graph.nodes[1:2], [a], [b], "middle")
    result = HOST.run(model, {"a": np.array([1, 2, 3], np.float32)})
    np.testing.assert_array_equal(result["b"], [-1, -2, -3])


def test_names_of_ours_step_aside() -> None:
    graph = Graph("names")
    x = graph.add_input("nmc.constant", TensorType(F, (4,)))
    graph.outputs = [emit(graph, ops.Reshape((2, 2)), [x], "nmc.reshape")]
    agree(graph, {"nmc.constant": some(1, F, (4,))})


# Opaque operators


def opaque_graph(
    kind: str, version: int, shapes: Sequence[TensorType], results: Sequence[TensorType],
    attributes: str = "[]", domain: str = "", constants: Sequence[Array] = (),
) -> Graph:  # fmt: skip
    graph = Graph("opaque")
    inputs = [graph.add_input(f"x{i}", t) for i, t in enumerate(shapes)]
    inputs += [graph.constant(f"c{i}", a) for i, a in enumerate(constants)]
    outputs = [graph.value(f"y{i}", t) for i, t in enumerate(results)]
    graph.append(ops.Onnx(kind, domain, version, attributes), inputs, outputs)
    graph.outputs = outputs
    return graph


def test_opaque_operator_beside_ours() -> None:
    attributes = '[{"i":"0","name":"axis","type":"INT"}]'
    graph = opaque_graph("CumSum", 14, [TensorType(F, (3, 2))], [TensorType(F, (3, 2))], attributes,
                         constants=[np.array(0)])  # fmt: skip
    graph.nodes[0].op = ops.Onnx("CumSum", "", 14)
    graph.outputs = [emit(graph, ops.Neg(), [graph.outputs[0]], "z")]
    x = some(1, F, (3, 2))
    np.testing.assert_allclose(on_host(graph, {"x0": x})["z"], -np.cumsum(x, 0), rtol=1e-6)


def test_lstm_of_an_old_opset() -> None:
    types = [TensorType(F, s) for s in ((3, 1, 2), (1, 8, 2), (1, 8, 2))]
    attributes = '[{"i":"2","name":"hidden_size","type":"INT"}]'
    graph = opaque_graph("LSTM", 7, types, [TensorType(F, (3, 1, 1, 2))], attributes)
    result = on_host(graph, {v.name: some(i, F, v.type.shape) for i, v in enumerate(graph.inputs)})
    assert result["y0"].shape == (3, 1, 1, 2)


LINEAR = '[{"name":"mode","s":"bGluZWFy","type":"STRING"}]'
SCALES = np.array([1, 1, 2, 3], np.float32)


@pytest.mark.parametrize(("kind", "version"), [("Upsample", 9), ("Resize", 10)])
def test_resizing_of_an_old_opset_keeps_its_meaning(kind: str, version: int) -> None:
    types = [TensorType(F, (1, 1, 4, 3))], [TensorType(F, (1, 1, 8, 9))]
    graph = opaque_graph(kind, version, *types, LINEAR, constants=[SCALES])
    x = some(1, F, (1, 1, 4, 3))
    node = onnx.helper.make_node(kind, ["x0", "c0"], ["y0"], mode="linear")
    then = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node], "then",
            [onnx.helper.make_tensor_value_info("x0", 1, (1, 1, 4, 3))],
            [onnx.helper.make_tensor_value_info("y0", 1, (1, 1, 8, 9))],
            [onnx.numpy_helper.from_array(SCALES, "c0")],
        ),
        opset_imports=[onnx.helper.make_opsetid("", version)], ir_version=5,
    ).SerializeToString()  # fmt: skip
    np.testing.assert_allclose(
        on_host(graph, {"x0": x})["y0"], HOST.run(then, {"x0": x})["y0"], rtol=1e-6
    )


def test_newer_operators_raise_the_version() -> None:
    graph = opaque_graph("Swish", 24, [TensorType(F, (3,))], [TensorType(F, (3,))])
    model = onnx.load_from_string(export_onnx(graph.nodes, graph.inputs, graph.outputs, "one"))
    assert [o.version for o in model.opset_import] == [24]


def test_other_domains_are_imported() -> None:
    graph = opaque_graph("Gelu", 1, [TensorType(F, (3,))], [TensorType(F, (3,))],
                         domain="com.microsoft")  # fmt: skip
    x = some(1, F, (3,))
    result = HOST.run(export_onnx(graph.nodes, graph.inputs, graph.outputs, "one"), {"x0": x})
    assert result["y0"].shape == (3,)


def test_two_versions_of_a_domain_are_refused() -> None:
    graph = opaque_graph("Scaler", 1, [TensorType(F, (3,))], [TensorType(F, (3,))],
                         domain="ai.onnx.ml")  # fmt: skip
    result = graph.value("z", TensorType(F, (3,)))
    graph.append(ops.Onnx("Scaler", "ai.onnx.ml", 3), graph.outputs, [result])
    with pytest.raises(NmcError, match="versions 1 and 3") as caught:
        export_onnx(graph.nodes, graph.inputs, [result], "two")
    assert [d.code for d in caught.value.diagnostics] == ["unsupported-operator"]


def test_what_cannot_be_brought_up_is_refused() -> None:
    graph = opaque_graph("ConcatFromSequence", 3, [TensorType(F, (3,))], [TensorType(F, (3,))])
    with pytest.raises(NmcError, match="ConcatFromSequence"):
        HOST.run(export_onnx(graph.nodes, graph.inputs, graph.outputs, "one"), {})

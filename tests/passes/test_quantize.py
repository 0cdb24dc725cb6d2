"""quantize: each pattern that becomes integers, each edge, each diagnostic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.diagnostics import NmcError, Report
from nmc.ir.graph import Array, Graph, Node, Quant, TensorType, Unit, Value
from nmc.ir.interpreter import run_graph, run_graph_batch
from nmc.ir.target import Target
from nmc.ir.types import emit
from nmc.ir.verify import verify_graph
from nmc.passes.partition import Partition
from nmc.passes.quantize import Quantize
from tests.passes.designs import design_of, exact_target, kinds, normal_inputs

WINDOW = ((1, 1), (1, 1, 1, 1), (1, 1))
WANTED_DB = 27


def new_graph(*shape: int, dtype: str = "f32") -> tuple[Graph, Value]:
    graph = Graph("g")
    return graph, graph.add_input("x", TensorType(dtype, shape))


def normal(graph: Graph, *shape: int, scale: float = 1.0, seed: int = 3) -> Value:
    data = np.random.default_rng(seed).standard_normal(shape) * scale
    return graph.constant("c", data.astype(np.float32))


def conv(graph: Graph, x: Value, outputs: int = 4, seed: int = 3) -> Value:
    w = normal(graph, outputs, x.type.shape[1], 3, 3, scale=0.3, seed=seed)
    b = normal(graph, outputs, seed=seed)
    return emit(graph, ops.Conv(*WINDOW), [x, w, b], "conv")


def quantized(
    graph: Graph,
    *results: Value,
    calibration: bool = True,
    target: Target | None = None,
    report: Report | None = None,
) -> Graph:
    """The graph with these results after partition and quantize, verified."""
    graph.outputs.extend(results)
    wanted = [(v.name, v.type) for v in graph.outputs]
    data = normal_inputs(graph, 32) if calibration else None
    design = design_of(graph, target, data)
    report = Report() if report is None else report
    Partition().run(design, report)
    Quantize().run(design, report)
    assert verify_graph(graph) == []
    assert [(v.name, v.type) for v in graph.outputs] == wanted
    assert all(node.unit for node in graph)
    check_unshared(graph)
    return graph


def check_unshared(graph: Graph) -> None:
    """No chip node shares a dequantize with another user."""
    for node in graph:
        if isinstance(node.op, ops.Dequantize):
            users = list(node.output.users)
            shared = len(users) + (node.output in graph.outputs) > 1
            assert not shared or all(user.unit == Unit.HOST for user in users)


def snr_db(wanted: Array, found: Array) -> float:
    error = ((wanted.astype(np.float64) - found) ** 2).sum()
    return float(10 * np.log10((wanted.astype(np.float64) ** 2).sum() / max(error, 1e-30)))


def check(build: Callable[[Graph, Value], Sequence[Value]], *shape: int) -> Graph:
    """Build a float graph twice, quantise one, and demand nearly the same results."""
    plain, x = new_graph(*shape)
    plain.outputs.extend(build(plain, x))
    inputs = normal_inputs(plain, 16, seed=9)
    wanted = run_graph_batch(plain, inputs)
    graph, x = new_graph(*shape)
    quantized(graph, *build(graph, x))
    found = run_graph_batch(graph, inputs)
    for name, array in wanted.items():
        assert snr_db(array, found[name]) > WANTED_DB, name
    return graph


def the(graph: Graph, kind: type[ops.Op]) -> Node:
    (node,) = [node for node in graph if isinstance(node.op, kind)]
    return node


# Matrices and what follows them


def test_relu_after_conv_is_a_bound() -> None:
    graph = check(lambda g, x: [emit(g, ops.Relu(), [conv(g, x)], "y")], 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv", "dequantize"]
    op = the(graph, ops.QConv).op
    assert isinstance(op, ops.QConv)
    assert (op.y_zero_point, op.lo, op.hi) == (0, 0, 255)  # the range is that after the relu


def test_relu6_bounds_both_sides() -> None:
    graph = check(lambda g, x: [emit(g, ops.Clip(-0.5, 0.5), [conv(g, x)], "y")], 1, 3, 6, 6)
    op = the(graph, ops.QConv).op
    assert isinstance(op, ops.QConv)
    assert 0 <= op.lo < op.y_zero_point < op.hi <= 255


def test_other_functions_after_conv_are_tables() -> None:
    graph = check(lambda g, x: [emit(g, ops.Tanh(), [conv(g, x)], "y")], 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv", "lut", "dequantize"]


def test_results_of_matrices_leave_as_floats() -> None:
    graph = check(lambda g, x: [conv(g, x)], 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv"]


def test_softmax_takes_a_matrix_result_as_floats() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.MatMul(), [x, normal(g, 8, 5)], "m")
        y = emit(g, ops.Add(), [y, normal(g, 5)], "a")
        return [emit(g, ops.Softmax(1), [y], "y")]

    graph = check(build, 1, 8)
    assert kinds(graph) == ["quantize", "qmatmul", "softmax"]


def test_views_carry_floats_to_the_host_or_out() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.Transpose((0, 2, 3, 1)), [conv(g, x)], "t")
        return [emit(g, ops.Reshape((36, 4)), [y], "y")]

    graph = check(build, 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv", "transpose", "reshape"]


def test_constant_added_to_a_product_is_its_bias() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.MatMul(), [x, normal(g, 8, 5)], "m")
        y = emit(g, ops.Sub(), [y, normal(g, 1, 5)], "a")
        return [emit(g, ops.Relu(), [y], "y")]

    graph = check(build, 7, 8)
    assert kinds(graph) == ["quantize", "qmatmul", "dequantize"]


def test_a_result_that_is_used_twice() -> None:
    """Out of the graph and into another matrix: one kind of result, integers."""

    def build(g: Graph, x: Value) -> list[Value]:
        y = conv(g, x)
        return [y, conv(g, y, seed=4)]

    graph = check(build, 1, 3, 6, 6)
    assert Counter(kinds(graph)) == {"quantize": 1, "qconv": 2, "dequantize": 1}


def test_a_relu_with_another_user_of_its_operand_is_a_table() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = conv(g, x)
        return [conv(g, emit(g, ops.Relu(), [y], "r"), seed=4), conv(g, y, seed=5)]

    graph = check(build, 1, 3, 6, 6)
    assert Counter(kinds(graph)) == {"quantize": 1, "qconv": 3, "lut": 1}


# Functions of one tensor


def test_swish_in_two_nodes_is_one_table() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = conv(g, x)
        y = emit(g, ops.Mul(), [y, emit(g, ops.Sigmoid(), [y], "s")], "swish")
        return [conv(g, y, seed=4)]

    graph = check(build, 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv", "lut", "qconv"]


def test_a_chain_with_scalars_is_one_table() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        half, two = (g.constant("k", np.array(v, np.float32)) for v in (0.5, 2.0))
        y = emit(g, ops.Sub(), [half, emit(g, ops.Abs(), [conv(g, x)], "a")], "s")
        y = emit(g, ops.Pow(), [y, two], "p")
        return [conv(g, emit(g, ops.Exp(), [emit(g, ops.Neg(), [y], "n")], "e"), seed=4)]

    graph = check(build, 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv", "lut", "qconv"]


def test_steps_of_a_function_that_others_need_are_tables_of_their_own() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        s = emit(g, ops.Sigmoid(), [conv(g, x)], "s")
        return [s, emit(g, ops.Softplus(), [s], "y")]

    graph = check(build, 1, 3, 6, 6)
    assert Counter(kinds(graph)) == {"quantize": 1, "qconv": 1, "lut": 2, "dequantize": 2}
    luts = [node for node in graph if isinstance(node.op, ops.Lut)]
    assert luts[0].x is luts[1].x


# Rowwise operations


def test_add_and_relu_stay_floats_between_their_own_recodings() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        a, b = conv(g, x), conv(g, x, seed=4)
        y = emit(g, ops.Relu(), [emit(g, ops.Add(), [a, b], "s")], "r")
        return [conv(g, y, seed=5), conv(g, y, seed=6)]

    graph = check(build, 1, 3, 6, 6)
    expected = ["quantize", "qconv", "dequantize", "qconv", "dequantize", "add", "relu"]
    assert Counter(kinds(graph)) == Counter([*expected, "quantize", "qconv", "qconv"])


def test_scale_and_shift_of_channels_are_not_stored_between() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.Mul(), [x, normal(g, 3, 1, 1)], "m")
        y = emit(g, ops.Add(), [y, normal(g, 3, 1, 1, seed=4)], "a")
        return [conv(g, emit(g, ops.Relu(), [y], "r"))]

    graph = check(build, 1, 3, 6, 6)
    expected = ["quantize", "dequantize", "mul", "add", "relu", "quantize", "qconv"]
    assert kinds(graph) == expected


def test_a_gate_per_channel() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = conv(g, x)
        m = emit(g, ops.Reduce("mean", (2, 3)), [y], "mean")
        return [emit(g, ops.Mul(), [y, emit(g, ops.Sigmoid(), [m], "s")], "y")]

    graph = check(build, 1, 3, 6, 6)
    expected = ["quantize", "qconv", "qreduce_mean", "lut", "dequantize", "dequantize", "mul"]
    assert Counter(kinds(graph)) == Counter(expected)


def test_layer_norm_and_softmax() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.LayerNorm(2), [x, normal(g, 8), normal(g, 8)], "n")
        y = emit(g, ops.MatMul(), [y, normal(g, 8, 5)], "m")
        return [emit(g, ops.LogSoftmax(2), [y], "y")]

    graph = check(build, 1, 7, 8)
    expected = ["quantize", "dequantize", "layer_norm", "quantize", "qmatmul", "log_softmax"]
    assert kinds(graph) == expected


# Averages and movers


def test_averages() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.Abs(), [x], "a")
        y = emit(g, ops.AvgPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)), [y], "p")
        return [emit(g, ops.Reduce("sum", (2, 3), False), [y], "y")]

    graph = check(build, 1, 3, 9, 9)
    assert kinds(graph) == ["quantize", "lut", "qavg_pool", "qreduce_mean", "dequantize"]


def test_movers_work_on_integers_and_keep_their_meaning() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.MaxPool((2, 2), (2, 2), (0,) * 4, (1, 1)), [conv(g, x)], "p")
        y = emit(g, ops.Pad((0, 0, 1, 1, 0, 0, 0, 0), value=0.5), [y], "pad")
        y = emit(g, ops.Slice((0,), (3,), (1,), (2,)), [y], "s")
        y = emit(g, ops.Resize((1, 1, 2, 2)), [y], "up")
        return [emit(g, ops.Reduce("max", (2, 3), False), [y], "y")]

    graph = check(build, 1, 3, 8, 8)
    quants = {v.type.quant for v in graph.values() if v.type.dtype == "u8"}
    assert len(quants) == 2  # the input's and the convolution's
    pad = the(graph, ops.Pad)
    assert isinstance(pad.op, ops.Pad)
    assert pad.x.type.quant is not None
    stored = (pad.op.value - pad.x.type.quant.zero_point) * pad.x.type.quant.scale
    assert stored == pytest.approx(0.5, abs=pad.x.type.quant.scale / 2)


def test_padding_beyond_what_was_seen_widens_the_range() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.Relu(), [conv(g, x)], "r")
        return [conv(g, emit(g, ops.Pad((0, 0, 1, 1) * 2, value=-9.0), [y], "pad"))]

    graph, x = new_graph(1, 3, 6, 6)
    quantized(graph, *build(graph, x))
    quant = the(graph, ops.Pad).x.type.quant
    assert quant is not None
    assert (0 - quant.zero_point) * quant.scale == pytest.approx(-9, rel=0.01)


def test_operands_of_a_concatenation_share_its_scale() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        parts = [conv(g, x), emit(g, ops.Relu(), [conv(g, x, seed=4)], "r")]
        return [conv(g, emit(g, ops.Concat(1), parts, "cat"), seed=5)]

    graph = check(build, 1, 3, 6, 6)
    assert kinds(graph) == ["quantize", "qconv", "qconv", "concat", "qconv"]


def test_an_operand_with_other_users_keeps_its_own_scale() -> None:
    def build(g: Graph, x: Value) -> list[Value]:
        a = emit(g, ops.Relu(), [conv(g, x)], "a")
        b = emit(g, ops.Mul(), [conv(g, a, seed=4), normal(g, 1)], "b")
        return [conv(g, emit(g, ops.Concat(1), [a, b], "cat"), seed=5)]

    graph = check(build, 1, 3, 6, 6)
    cat = the(graph, ops.Concat)
    producers = [v.producer.op.name for v in cat.operands if v.producer]
    assert producers == ["lut", "lut"]  # a requantised, b's function
    quants = {v.type.quant for v in cat.operands}
    assert quants == {cat.output.type.quant}


# The edges: host, inputs, results, constants


def add_host(graph: Graph, x: Value) -> Value:
    y = graph.value("host", x.type)
    graph.append(ops.Onnx("Mystery", "", 1), [x], [y])
    return y


def halve(node: Node, arrays: Sequence[Array | None]) -> Sequence[Array]:
    assert arrays[0] is not None
    return [arrays[0] / 2]


def test_the_host_between_two_matrices() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    y = add_host(graph, emit(graph, ops.Relu(), [conv(graph, x)], "r"))
    graph.outputs.append(conv(graph, y))
    inputs = normal_inputs(graph, 8)
    wanted = run_graph_batch(graph, inputs, host=halve)["conv.1"]
    design = design_of(graph, None, inputs)
    design.host = halve
    Partition().run(design, Report())
    Quantize().run(design, Report())
    assert kinds(graph) == ["quantize", "qconv", "dequantize", "onnx", "quantize", "qconv"]
    host = the(graph, ops.Onnx)
    assert host.x.type.dtype == host.output.type.dtype == "f32"
    found = run_graph_batch(graph, inputs, host=halve)["conv.1"]
    assert snr_db(wanted, found) > WANTED_DB


def test_results_keep_their_names_even_when_something_else_had_them() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    y = emit(graph, ops.Relu(), [conv(graph, x)], "y")
    quantized(graph, y, conv(graph, y, seed=4))
    assert graph.outputs[0].producer is not None
    assert isinstance(graph.outputs[0].producer.op, ops.Dequantize)
    assert {v.name for v in graph.values() if v.type.dtype == "u8"} == {"x.q", "y.q"}


def test_integers_are_named_after_the_reals_that_they_replace() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    y = emit(graph, ops.Relu(), [conv(graph, x)], "first")
    quantized(graph, conv(graph, y, seed=4))
    assert the(graph, ops.Quantize).output.name == "x.q"
    assert [v.name for v in graph.values() if v.type.quant] == ["x.q", "first"]


def test_origins_of_all_that_was_fused_are_kept() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    y = emit(graph, ops.Relu(), [conv(graph, x)], "y")
    for node in graph:
        node.origin = (node.loc,)
    quantized(graph, y)
    assert [loc.op for loc in the(graph, ops.QConv).origin] == ["conv", "relu"]


def test_an_input_that_is_a_result() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    quantized(graph, x, conv(graph, x))
    assert graph.outputs[0] is graph.inputs[0]


def test_zero_activations_have_a_scale() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    dead = emit(
        graph, ops.Relu(), [emit(graph, ops.Neg(), [emit(graph, ops.Abs(), [x], "a")], "n")], "r"
    )
    quantized(graph, conv(graph, dead))
    out = run_graph(graph, {"x": np.ones((1, 3, 6, 6), np.float32)})["conv"]
    assert np.isfinite(out).all()


# Numbers of the machine


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_narrow_inputs(bits: int) -> None:
    """No matrix ever gets an integer that its converters can't apply, whatever comes in."""

    def build(g: Graph, x: Value) -> list[Value]:
        y = emit(g, ops.Relu(), [conv(g, x)], "r")
        y = emit(g, ops.AvgPool((2, 2), (1, 1), (0,) * 4, (1, 1)), [y], "p")
        y = emit(g, ops.Add(), [conv(g, y, seed=4), y], "s")
        y = emit(g, ops.Tanh(), [conv(g, y, seed=5)], "t")
        return [conv(g, y, seed=6)]

    graph, x = new_graph(1, 3, 6, 6)
    quantized(graph, *build(graph, x), target=exact_target(input_bits=bits))
    names = [node.x.name for node in graph if isinstance(node.op, ops.QConv)]
    assert len(names) == 4
    inputs = {"x": normal_inputs(graph, 4)["x"] * 100}
    found = run_graph_batch(graph, inputs, keep=names)
    assert all(found[name].max() < 1 << bits for name in names)
    assert any(found[name].max() == (1 << bits) - 1 for name in names)


@pytest.mark.parametrize("bits", [2, 5])
def test_narrow_weights(bits: int) -> None:
    graph, x = new_graph(1, 3, 6, 6)
    quantized(graph, conv(graph, x), target=exact_target(weight_bits=bits))
    w = the(graph, ops.QConv).operand(1).array
    assert np.abs(w).max() == (1 << (bits - 1)) - 1


def test_accumulators_that_could_overflow_are_refused() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 80_000)))
    w = graph.constant("w", np.ones((80_000, 1), np.float32))
    report = Report()
    quantized(graph, emit(graph, ops.MatMul(), [x, w], "y"), report=report)
    assert [e.code for e in report.errors] == ["accumulator-overflow"]


def test_calibration_is_needed() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    with pytest.raises(NmcError, match="calibration-needed: 1 activations"):
        quantized(graph, conv(graph, x), calibration=False)


def test_strange_calibration_is_left_out_and_said() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    graph.outputs.append(conv(graph, x))
    data = normal_inputs(graph, 8)
    data["x"][0, 0, 0, 0] = np.nan
    design, report = design_of(graph, None, data), Report()
    Partition().run(design, report)
    Quantize().run(design, report)
    (found,) = report
    assert (found.code, found.severity) == ("calibration-needed", "warning")
    assert "1 elements of %x" in found.message


# Models that bring their own integers


def stored_matrix(graph: Graph, data: Array, scale: float, zero: int = 0) -> Value:
    return emit(graph, ops.Dequantize(scale, zero), [graph.constant("w", data)], "w.real")


def stored_real(graph: Graph, x: Value, quant: Quant, dtype: str = "u8") -> Value:
    q = emit(graph, ops.Quantize(quant.scale, quant.zero_point, dtype), [x], f"{x.name}_q")
    return emit(graph, ops.Dequantize(quant.scale, quant.zero_point), [q], f"{x.name}_dq")


def own_model(
    dtype: str = "u8", weights: Array | None = None, zero: int = 0
) -> tuple[Graph, Array]:
    """A quantised product of another tool, of u8 or i8 from end to end; and its weights."""
    rng = np.random.default_rng(0)
    graph, x = new_graph(1, 40, dtype=dtype)
    shift = 0 if dtype == "u8" else -128
    real = emit(graph, ops.Dequantize(0.02, 100 + shift), [x], "x_dq")
    data = rng.integers(-127, 128, (40, 9)).astype(np.int8) if weights is None else weights
    y = emit(graph, ops.MatMul(), [real, stored_matrix(graph, data, 0.03, zero)], "m")
    bias = graph.constant("b", rng.integers(-500, 500, 9).astype(np.int32))
    scale = float(np.float32(0.02) * np.float32(0.03))
    y = emit(graph, ops.Add(), [y, emit(graph, ops.Dequantize(scale, 0), [bias], "b_dq")], "a")
    y = emit(graph, ops.Relu(), [y], "r")
    y = emit(graph, ops.Quantize(0.05, 7 + shift, dtype), [y], "y")
    graph.outputs.append(y)
    return graph, data


def run_model(graph: Graph, dtype: str, seed: int = 1) -> Array:
    info = np.iinfo(np.uint8 if dtype == "u8" else np.int8)
    x = np.random.default_rng(seed).integers(info.min, info.max + 1, (50, 40))
    return run_graph_batch(graph, {"x": x.astype(info.dtype)})["y"]


@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_a_models_own_integers_are_kept(dtype: str) -> None:
    wanted = run_model(own_model(dtype)[0], dtype).astype(int)
    graph, data = own_model(dtype)
    design, report = design_of(graph), Report()
    Partition().run(design, report)
    Quantize().run(design, report)
    assert verify_graph(graph) == []
    assert list(report) == []
    flips = ["flip_sign"] if dtype == "i8" else []
    assert kinds(graph) == [*flips, "qmatmul", *flips]
    assert (graph.inputs[0].type.dtype, graph.outputs[0].type.dtype) == (dtype, dtype)
    node = the(graph, ops.QMatMul)
    np.testing.assert_array_equal(node.operand(1).array, data)
    found = run_model(graph, dtype).astype(int)
    assert np.abs(found - wanted).max() <= 1  # floats round sums, integers don't
    assert (found == wanted).mean() > 0.99


def test_weights_with_a_zero_point() -> None:
    data = np.random.default_rng(5).integers(10, 240, (40, 9)).astype(np.uint8)
    wanted = run_model(own_model("u8", data, 120)[0], "u8").astype(int)
    graph, _ = own_model("u8", data, 120)
    design, report = design_of(graph), Report()
    Partition().run(design, report)
    Quantize().run(design, report)
    assert list(report) == []
    np.testing.assert_array_equal(the(graph, ops.QMatMul).operand(1).array, data - 120.0)
    assert np.abs(run_model(graph, "u8").astype(int) - wanted).max() <= 1


def test_weights_beyond_the_machines_are_changed_with_one_warning() -> None:
    data = np.random.default_rng(5).integers(0, 256, (40, 9)).astype(np.uint8)
    wanted = run_model(own_model("u8", data, 100)[0], "u8").astype(int)
    graph, _ = own_model("u8", data, 100)
    design, report = design_of(graph), Report()
    Partition().run(design, report)
    Quantize().run(design, report)
    assert [d.code for d in report] == ["unsupported-width"]
    assert not report.failed
    assert np.abs(run_model(graph, "u8").astype(int) - wanted).mean() < 2


def test_a_model_of_8_bits_on_a_machine_of_fewer() -> None:
    graph, _ = own_model()
    design, report = design_of(graph, exact_target(input_bits=4)), Report()
    Partition().run(design, report)
    Quantize().run(design, report)
    assert [d.code for d in report.errors] == ["unsupported-width"]


def test_weights_of_8_bits_on_a_machine_of_fewer() -> None:
    graph, _ = own_model()
    design, report = design_of(graph, exact_target(weight_bits=4)), Report()
    Partition().run(design, report)
    Quantize().run(design, report)
    assert [d.code for d in report.errors] == ["unsupported-width"]


def test_two_results_that_become_the_same_integers() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    quant = Quant(0.1, 100)
    y = conv(graph, stored_real(graph, x, Quant(0.05, 128)))
    first = emit(graph, ops.Quantize(quant.scale, quant.zero_point), [y], "first")
    real = emit(graph, ops.Dequantize(quant.scale, quant.zero_point), [first], "real")
    again = emit(graph, ops.Quantize(quant.scale, quant.zero_point), [real], "again")
    quantized(graph, first, again, calibration=False)
    found = run_graph(graph, {"x": np.ones((1, 3, 6, 6), np.float32)})
    np.testing.assert_array_equal(found["first"], found["again"])


def test_movers_between_equal_recodings_commute() -> None:
    graph, x = new_graph(1, 4, 6, 6)
    quant = Quant(0.1, 100)
    y = stored_real(graph, x, quant)
    y = emit(graph, ops.MaxPool((2, 2), (2, 2), (0,) * 4, (1, 1)), [y], "p")
    y = stored_real(graph, y, quant)
    y = emit(graph, ops.Reshape((1, 36)), [y], "f")
    quantized(graph, stored_real(graph, y, quant), calibration=False)
    assert kinds(graph) == ["quantize", "max_pool", "reshape", "dequantize"]


def test_recoding_with_other_numbers_is_a_table() -> None:
    graph, x = new_graph(1, 3, 6, 6)
    y = stored_real(graph, stored_real(graph, x, Quant(0.1, 100)), Quant(0.2, 50))
    quantized(graph, conv(graph, y), calibration=False)
    assert kinds(graph) == ["quantize", "lut", "qconv"]
    table = the(graph, ops.Lut).operand(1).array
    assert table[100] == 50
    assert table[120] == 60


def test_a_models_scales_reach_through_movers_to_where_they_are_missing() -> None:
    """Conv, pool, quantize: the convolution gives the integers that the pool would have."""
    graph, x = new_graph(1, 3, 6, 6)
    y = conv(graph, stored_real(graph, x, Quant(0.05, 128)))
    y = emit(graph, ops.MaxPool((2, 2), (2, 2), (0,) * 4, (1, 1)), [y], "p")
    quantized(graph, stored_real(graph, y, Quant(0.1, 90)), calibration=False)
    assert kinds(graph) == ["quantize", "qconv", "max_pool", "dequantize"]
    assert the(graph, ops.QConv).output.type.quant == Quant(0.1, 90)


def test_concatenation_of_two_scales_into_a_third() -> None:
    graph, x = new_graph(1, 4)
    parts = [stored_real(graph, x, Quant(s, z)) for s, z in ((0.1, 100), (0.2, 50))]
    y = stored_real(graph, emit(graph, ops.Concat(1), parts, "cat"), Quant(0.1, 100))
    eye = graph.constant("eye", np.eye(8, dtype=np.float32))
    quantized(graph, emit(graph, ops.MatMul(), [y, eye], "y"), calibration=False)
    assert Counter(kinds(graph)) == {"quantize": 2, "lut": 1, "concat": 1, "qmatmul": 1}
    inputs = {"x": np.array([[1.0, -2.0, 3.0, 0.0]], np.float32)}
    found = run_graph(graph, inputs)["y"]
    np.testing.assert_allclose(found, [[1, -2, 3, 0, 1, -2, 3, 0]], atol=0.06)


def test_a_part_that_the_model_left_in_floats_is_calibrated() -> None:
    """Only the missing scale is found; the model's own stay as they are."""
    graph, x = new_graph(1, 3, 6, 6)
    quant = Quant(0.05, 128)
    y = emit(graph, ops.Tanh(), [conv(graph, stored_real(graph, x, quant))], "t")
    quantized(graph, stored_real(graph, y, Quant(0.01, 128)))
    assert kinds(graph) == ["quantize", "qconv", "lut", "dequantize"]
    assert the(graph, ops.QConv).x.type.quant == quant
    assert the(graph, ops.Lut).output.type.quant == Quant(0.01, 128)


def test_a_value_that_is_quantised_and_also_taken_raw() -> None:
    """Who takes it raw on the chip takes the model's integers; there is nothing to calibrate."""
    graph, x = new_graph(1, 3, 6, 6)
    y = conv(graph, stored_real(graph, x, Quant(0.05, 128)))
    a = conv(graph, stored_real(graph, y, Quant(0.1, 128)), seed=4)
    b = conv(graph, y, seed=5)
    quantized(graph, a, b, calibration=False)
    assert Counter(kinds(graph)) == {"quantize": 1, "qconv": 3}


def test_bytes_taken_as_numbers() -> None:
    graph, x = new_graph(1, 3, 6, 6, dtype="u8")
    y = emit(graph, ops.Cast("f32"), [x], "real")
    quantized(graph, conv(graph, y), calibration=False)
    assert kinds(graph) == ["qconv"]
    op = the(graph, ops.QConv).op
    assert isinstance(op, ops.QConv)
    assert op.x_zero_point == 0

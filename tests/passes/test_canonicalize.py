"""Canonical form: each rewrite, that the function stays, and that what can't be rewritten stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir import ops
from nmc.ir.design import Design
from nmc.ir.diagnostics import Loc, Report
from nmc.ir.graph import Array, Graph, Quant, TensorType, Value
from nmc.ir.graph_text import print_graph
from nmc.ir.interpreter import run_graph
from nmc.ir.ops import Op
from nmc.ir.types import emit
from nmc.ir.verify import verify_graph
from nmc.passes.canonicalize import Canonicalize
from tests.strategies import float_graphs, sample


class Net:
    """Builds a graph with one input, values being passed on from call to call."""

    def __init__(self, *shape: int) -> None:
        self.graph = Graph("g")
        self.x = self.graph.add_input("x", TensorType("f32", shape))

    def __call__(self, op: Op, *inputs: Value | Array | float | None, name: str = "v") -> Value:
        values = [self.value(v) for v in inputs]
        return emit(self.graph, op, values, name, [Loc(node=name, op=op.name)])

    def value(self, given: Value | Array | float | None) -> Value | None:
        if given is None or isinstance(given, Value):
            return given
        if isinstance(given, float):
            given = np.array(given, np.float32)
        return self.graph.constant("c", given)

    def conv(self, x: Value, outputs: int, kernel: int = 3, pad: int = 0, group: int = 1) -> Value:
        w = rand(outputs, x.type.shape[1] // group, kernel, kernel)
        return self(ops.Conv((1, 1), (pad,) * 4, (1, 1), group), x, w, rand(outputs))

    def norm(self, x: Value) -> Value:
        c = x.type.shape[1]
        return self(ops.BatchNorm(), x, rand(c), rand(c), rand(c), np.abs(rand(c)) + 1)


def rand(*shape: int) -> Array:
    rng = np.random.default_rng((17, *shape))
    return rng.normal(size=shape).astype(np.float32)


def canonical(graph: Graph) -> bool:
    changed = Canonicalize().run(Design(graph, target=None), Report())  # type: ignore[arg-type]
    assert verify_graph(graph) == []
    return changed


def agree(before: Mapping[str, Array], after: Mapping[str, Array]) -> None:
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=2e-4, atol=2e-4)


Build = Callable[[Net], Value]
IMAGE = (1, 4, 6, 6)


def batch_norm_after(kind: str) -> Build:
    def build(net: Net) -> Value:
        if kind == "transposed":
            op = ops.ConvTranspose((2, 1), (1, 1, 1, 1), (1, 1), (0, 0), 2)
            return net.norm(net(op, net.x, rand(4, 3, 3, 3)))
        return net.norm(net.conv(net.x, 4, group=4 if kind == "depthwise" else 1))

    return build


def written_hard_swish(order: int) -> Build:
    def build(net: Net) -> Value:
        x = net(ops.Tanh(), net.x)
        clip = net(ops.Clip(0.0, 6.0), net(ops.Add(), x, 3.0))
        if order == 0:
            return net(ops.Div(), net(ops.Mul(), x, clip), 6.0)
        if order == 1:
            return net(ops.Mul(), net(ops.Div(), clip, 6.0), x)
        return net(ops.Mul(), x, net(ops.HardSigmoid(1 / 6, 0.5), x))

    return build


def written_gelu(order: int) -> Build:
    def build(net: Net) -> Value:
        x = net(ops.Tanh(), net.x)
        erf = net(ops.Erf(), net(ops.Div(), x, 2.0**0.5))
        if order == 0:
            return net(ops.Mul(), net(ops.Mul(), x, net(ops.Add(), erf, 1.0)), 0.5)
        if order == 1:
            return net(ops.Mul(), net(ops.Mul(), 0.5, x), net(ops.Add(), 1.0, erf))
        return net(ops.Mul(), x, net(ops.Mul(), 0.5, net(ops.Add(), erf, 1.0)))

    return build


def written_layer_norm(power: bool, reciprocal: bool) -> Build:
    def build(net: Net) -> Value:
        mean = ops.Reduce("mean", (3,), True)
        d = net(ops.Sub(), net.x, net(mean, net.x))
        square = net(ops.Pow(), d, 2.0) if power else net(ops.Mul(), d, d)
        root = net(ops.Sqrt(), net(ops.Add(), net(mean, square), 1e-5))
        if reciprocal:
            y = net(ops.Mul(), d, net(ops.Reciprocal(), root))
        else:
            y = net(ops.Div(), d, root)
        return net(ops.Add(), net(ops.Mul(), y, rand(6)), rand(6))

    return build


def pad(net: Net, value: float = 0.0, x: Value | None = None) -> Value:
    return net(ops.Pad((0, 0, 1, 0, 0, 0, 1, 2), "constant", value), x or net.x)


NHWC, NCHW = ops.Transpose((0, 2, 3, 1)), ops.Transpose((0, 3, 1, 2))
POOL: dict[str, Any] = {"kernel": (3, 3), "strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
PIECES = [ops.Slice((a,), (b,), (1,), (1,)) for a, b in ((0, 1), (1, 3), (3, 4))]

CASES: dict[str, tuple[Build, str]] = {
    # scales and shifts
    "batch_norm after conv": (batch_norm_after("conv"), "conv"),
    "batch_norm after depthwise conv": (batch_norm_after("depthwise"), "conv"),
    "batch_norm after grouped conv_transpose": (batch_norm_after("transposed"), "conv_transpose"),
    "batch_norm alone": (lambda n: n.norm(n.x), "mul add"),
    "batch_norm between activations": (
        lambda n: n(ops.Relu(), n.norm(n(ops.Tanh(), n.x))),
        "tanh mul add relu",
    ),
    "batch_norm of a conv with another user": (
        lambda n: n(ops.Add(), n.norm(y := n.conv(n.x, 4)), y),
        "conv mul add add",
    ),
    "batch_norm after matmul and bias": (
        lambda n: n.norm(
            n(ops.Add(), n(ops.MatMul(), n(ops.Reshape((1, 144)), n.x), rand(144, 5)), rand(5))
        ),
        "reshape matmul add",
    ),
    "mul and add of channels after conv": (
        lambda n: n(ops.Add(), n(ops.Mul(), n.conv(n.x, 3), rand(3, 1, 1)), rand(1, 3, 1, 1)),
        "conv",
    ),
    "sub and div of numbers after conv": (
        lambda n: n(ops.Div(), n(ops.Sub(), n.conv(n.x, 3), 2.0), 3.0),
        "conv",
    ),
    "a constant minus a conv": (lambda n: n(ops.Sub(), 2.0, n.conv(n.x, 3)), "conv"),
    "a shift of places stays": (
        lambda n: n(ops.Add(), n.conv(n.x, 3), rand(1, 4)),
        "conv add",
    ),
    "mul after matmul": (
        lambda n: n(ops.Mul(), n(ops.MatMul(), n.x, rand(6, 5)), rand(5)),
        "matmul",
    ),
    "bias after matmul stays": (
        lambda n: n(ops.Add(), n(ops.MatMul(), n.x, rand(6, 5)), rand(5)),
        "matmul add",
    ),
    "normalised input": (
        lambda n: n(ops.Div(), n(ops.Sub(), n(ops.Div(), n.x, 255.0), rand(4, 1, 1)), 2.0),
        "mul add",
    ),
    "division by zero stays": (lambda n: n(ops.Div(), n.x, np.zeros(6, np.float32)), "div"),
    "neutral": (
        lambda n: n(ops.Add(), n(ops.Mul(), n(ops.Relu(), n.x), 1.0), np.zeros((4, 1, 1), "f4")),
        "relu",
    ),
    "neutral but broadcasting stays": (
        lambda n: n(ops.Mul(), n(ops.Relu(), n.x), np.ones((2, 4, 6, 6), np.float32)),
        "relu mul",
    ),
    "powers": (
        lambda n: n(ops.Pow(), n(ops.Pow(), n(ops.Pow(), n.x, 2.0), 1.0), 0.5),
        "mul sqrt",
    ),
    "a number before conv": (lambda n: n.conv(n(ops.Div(), n.x, 255.0), 3, pad=1), "conv"),
    "a number before a flattened matrix": (
        lambda n: n(ops.MatMul(), n(ops.Reshape((1, 144)), n(ops.Mul(), n.x, 0.5)), rand(144, 5)),
        "reshape matmul",
    ),
    "a scale of channels before conv stays": (
        lambda n: n.conv(n(ops.Mul(), n.x, rand(4, 1, 1)), 3),
        "mul conv",
    ),
    "a shift before conv": (lambda n: n.conv(n(ops.Add(), n.x, rand(4, 1, 1)), 3), "conv"),
    "a shift before a grouped conv": (
        lambda n: n(
            ops.Conv((1, 1), (0,) * 4, (1, 1), 2),
            n(ops.Sub(), n.x, rand(1, 4, 1, 1)),
            rand(6, 2, 2, 2),
        ),
        "conv",
    ),
    "a shift before a conv that pads stays": (
        lambda n: n.conv(n(ops.Add(), n.x, rand(4, 1, 1)), 3, pad=1),
        "add conv",
    ),
    "a shift of rows before conv stays": (
        lambda n: n.conv(n(ops.Add(), n.x, rand(6, 1)), 3),
        "add conv",
    ),
    "a shift of channels before a flattened matrix": (
        lambda n: n(
            ops.MatMul(), n(ops.Reshape((1, 144)), n(ops.Add(), n.x, rand(4, 1, 1))), rand(144, 5)
        ),
        "reshape matmul add",
    ),
    "a shift of places before matmul stays": (
        lambda n: n(ops.MatMul(), n(ops.Add(), n.x, rand(6, 6)), rand(6, 5)),
        "add matmul",
    ),
    # padding
    "pad before conv": (lambda n: n.conv(pad(n), 3, pad=1), "conv"),
    "pad with another value before conv stays": (lambda n: n.conv(pad(n, 1.0), 3), "pad conv"),
    "two pads before conv": (lambda n: n.conv(pad(n, x=pad(n)), 3), "conv"),
    "pad of channels before conv stays": (
        lambda n: n.conv(n(ops.Pad((0, 1, 0, 0, 0, 1, 0, 0)), n.x), 3),
        "pad conv",
    ),
    "reflection before conv stays": (
        lambda n: n.conv(n(ops.Pad((0, 0, 1, 1, 0, 0, 1, 1), "reflect"), n.x), 3),
        "pad conv",
    ),
    "pad before avg_pool": (lambda n: n(ops.AvgPool(**POOL), pad(n)), "avg_pool"),
    "pad before avg_pool that does not count it stays": (
        lambda n: n(ops.AvgPool(**{**POOL, "pads": (1,) * 4}), pad(n)),
        "pad avg_pool",
    ),
    "pad before max_pool stays": (lambda n: n(ops.MaxPool(**POOL), pad(n)), "pad max_pool"),
    "pad of a relu before max_pool": (
        lambda n: n(ops.MaxPool(**POOL), pad(n, x=n(ops.Relu(), n.x))),
        "relu max_pool",
    ),
    "pad below all before max_pool": (
        lambda n: n(ops.MaxPool(**POOL), pad(n, -np.inf)),
        "max_pool",
    ),
    "pad as wide as the window before max_pool stays": (
        lambda n: n(ops.MaxPool(**{**POOL, "kernel": (2, 2)}), pad(n, -np.inf)),
        "pad max_pool",
    ),
    "pad through quantisation into conv": (
        lambda n: n.conv(n(ops.Dequantize(0.02, 7), n(ops.Quantize(0.02, 7), pad(n))), 3),
        "quantize dequantize conv",
    ),
    "average of the whole image": (
        lambda n: n(ops.AvgPool(**{**POOL, "kernel": (6, 6)}), n.x),
        "reduce",
    ),
    # moving
    "reshapes": (
        lambda n: n(ops.Reshape((1, 144)), n(ops.Reshape((4, 36)), n(ops.Reshape((144,)), n.x))),
        "reshape",
    ),
    "transposes that cancel": (
        lambda n: n(NCHW, n(ops.Relu(), n(NHWC, n(ops.Tanh(), n.x)))),
        "tanh relu",
    ),
    "transposes that cancel around constants and branches": (
        lambda n: n(
            NCHW,
            n(
                ops.Concat(3),
                n(ops.Mul(), n(NHWC, n(ops.Tanh(), n.x)), rand(4)),
                n(NHWC, n(ops.Relu(), n.x)),
            ),
        ),
        "tanh relu mul concat",
    ),
    "a sum of transposes": (
        lambda n: n(NCHW, n(ops.Add(), n(NHWC, n(ops.Tanh(), n.x)), n(NHWC, n(ops.Relu(), n.x)))),
        "tanh relu add",
    ),
    "a transpose that only reshapes": (
        lambda n: n(
            ops.Transpose((0, 3, 1, 2)),
            n(ops.Slice((0,), (1,), (3,), (1,)), n(NHWC, n.x)),
        ),
        "transpose slice reshape",
    ),
    "slices of slices": (
        lambda n: n(
            ops.Slice((2, 1), (-1, 3), (2, 1), (-2, 1)),
            n(ops.Slice((1, 1), (6, 6), (2, 3), (2, 1)), n.x),
        ),
        "slice",
    ),
    "the last row alone": (lambda n: n(ops.Gather(2), n.x, np.array(-1)), "slice reshape"),
    "every other pixel": (lambda n: n(ops.Gather(3), n.x, np.array([1, 3, 5])), "slice"),
    "pixels in another order stay": (
        lambda n: n(ops.Gather(3), n.x, np.array([3, 1, 5])),
        "gather",
    ),
    "pieces put together": (
        lambda n: n(ops.Relu(), n(ops.Concat(1), *(n(piece, n.x) for piece in PIECES))),
        "relu",
    ),
    "some pieces put together": (
        lambda n: n(ops.Concat(1), *(n(piece, n.x) for piece in PIECES[:2])),
        "slice",
    ),
    "pieces out of order stay": (
        lambda n: n(ops.Concat(1), *(n(piece, n.x) for piece in PIECES[::-1])),
        "slice slice slice concat",
    ),
    "one side of a concat": (
        lambda n: n(PIECES[1], n(ops.Concat(1), n(PIECES[0], n.x), n(ops.Relu(), n.x))),
        "relu slice",
    ),
    "concats": (
        lambda n: n(ops.Concat(1), n(ops.Concat(1), n(ops.Relu(), n.x), n.x), n.x),
        "relu concat",
    ),
    "moves of nothing": (
        lambda n: n(
            ops.Relu(),
            n(
                ops.Pad((0,) * 8),
                n(ops.Resize((1,) * 4), n(ops.Expand(IMAGE), n(ops.Reshape(IMAGE), n.x))),
            ),
        ),
        "relu",
    ),
    "stored integers that are stored again": (
        lambda n: n(
            ops.Dequantize(0.1, 3),
            n(ops.Quantize(0.1, 3), n(ops.Dequantize(0.1, 3), n(ops.Quantize(0.1, 3), n.x))),
        ),
        "quantize dequantize",
    ),
    "stored otherwise stays": (
        lambda n: n(ops.Quantize(0.2, 3), n(ops.Dequantize(0.1, 3), n(ops.Quantize(0.1, 3), n.x))),
        "quantize dequantize quantize",
    ),
    # matrices
    "weights on the left": (
        lambda n: n(ops.MatMul(), rand(5, 6), n.x),
        "transpose matmul transpose",
    ),
    "weights on the left of one column": (
        lambda n: n(ops.MatMul(), rand(5, 144), n(ops.Reshape((144, 1)), n.x)),
        "reshape matmul reshape",
    ),
    "weights with needless axes": (lambda n: n(ops.MatMul(), n.x, rand(1, 1, 6, 5)), "matmul"),
    "weights without columns": (lambda n: n(ops.MatMul(), n.x, rand(6)), "matmul reshape"),
    "a stack of matrices stays": (lambda n: n(ops.MatMul(), n.x, rand(4, 6, 5)), "matmul"),
    # functions
    "relu twice": (lambda n: n(ops.Relu(), n(ops.Relu(), n.x)), "relu"),
    "relu then clip": (lambda n: n(ops.Clip(-1.0, 6.0), n(ops.Relu(), n.x)), "clip"),
    "clip then relu": (lambda n: n(ops.Relu(), n(ops.Clip(-1.0, np.inf), n.x)), "relu"),
    "clips that don't meet": (
        lambda n: n(ops.Clip(2.0, 3.0), n(ops.Clip(-1.0, 1.0), n.x)),
        "clip",
    ),
    "relu of what is not negative": (
        lambda n: n(ops.Relu(), n(ops.MaxPool(**POOL), n(ops.Sigmoid(), n.x))),
        "sigmoid max_pool",
    ),
    "min and max with numbers": (lambda n: n(ops.Min(), n(ops.Max(), n.x, 0.0), 6.0), "clip"),
    "max with channels stays": (lambda n: n(ops.Max(), n.x, rand(4, 1, 1)), "max"),
    "prelu of one slope": (
        lambda n: n(ops.PRelu(), n.x, np.full((4, 1, 1), 0.5, np.float32)),
        "leaky_relu",
    ),
    "prelu of many slopes stays": (lambda n: n(ops.PRelu(), n.x, rand(4, 1, 1)), "prelu"),
    "no slope": (lambda n: n(ops.LeakyRelu(0.0), n.x), "relu"),
    "hard_sigmoid": (
        lambda n: n(ops.Div(), n(ops.Clip(0.0, 6.0), n(ops.Add(), n.x, 3.0)), 6.0),
        "hard_sigmoid",
    ),
    "hard_sigmoid of a line": (
        lambda n: n(ops.Clip(0.0, 1.0), n(ops.Add(), n(ops.Mul(), n.x, 0.2), 0.5)),
        "hard_sigmoid",
    ),
    "a clip to other bounds stays": (
        lambda n: n(ops.Div(), n(ops.Clip(0.0, 6.0), n(ops.Add(), n.x, 3.0)), 5.0),
        "add clip mul",
    ),
    "swish stays": (
        lambda n: n(ops.Mul(), y := n(ops.Tanh(), n.x), n(ops.Sigmoid(), y)),
        "tanh sigmoid mul",
    ),
    **{f"hard_swish {i}": (written_hard_swish(i), "tanh hard_swish") for i in range(3)},
    **{f"gelu {i}": (written_gelu(i), "tanh gelu") for i in range(3)},
    **{
        f"layer_norm {p} {r}": (written_layer_norm(p, r), "layer_norm")
        for p in (False, True)
        for r in (False, True)
    },
    # constants
    "constants are folded": (
        lambda n: n(ops.Mul(), n.x, n(ops.Add(), rand(6), n(ops.Exp(), rand(6)))),
        "mul",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rewrite(name: str) -> None:
    build, expected = CASES[name]
    net = Net(*IMAGE)
    net.graph.outputs.append(build(net))
    names = [v.name for v in net.graph.outputs]
    feed = {"x": sample(net.x, 5)}
    before = run_graph(net.graph, feed)
    canonical(net.graph)
    assert " ".join(node.op.name for node in net.graph) == expected
    assert [v.name for v in net.graph.outputs] == names
    agree(before, run_graph(net.graph, feed))
    assert not canonical(net.graph)


def test_an_origin_is_kept_for_each_node_absorbed() -> None:
    net = Net(*IMAGE)
    conv = net(ops.Conv((1, 1), (0,) * 4, (1, 1)), net.x, rand(3, 4, 1, 1), name="the conv")
    scaled = net(ops.Mul(), conv, 2.0, name="the scale")
    net.graph.outputs.append(net(ops.Add(), scaled, 1.0, name="the shift"))
    canonical(net.graph)
    (node,) = net.graph.nodes
    assert [loc.node for loc in node.origin] == ["the conv", "the scale", "the shift"]


def test_quantised_weights_stay_integers() -> None:
    net = Net(1, 6)
    w = net.graph.constant("w", np.arange(12, dtype=np.int8).reshape(2, 6))
    scale, zero = rand(2) ** 2, np.zeros(2, np.int8)
    reals = net(ops.DequantizeAxis(0), w, scale, zero)
    y = net(ops.MatMul(), net.x, net(ops.Transpose((1, 0)), reals))
    net.graph.outputs.append(net(ops.Mul(), y, rand(2)))
    feed = {"x": sample(net.x, 5)}
    before = run_graph(net.graph, feed)
    canonical(net.graph)
    agree(before, run_graph(net.graph, feed))
    dequantize, product, _ = net.graph.nodes
    assert dequantize.op == ops.DequantizeAxis(1)
    assert dequantize.x.type == TensorType("i8", (6, 2))
    assert isinstance(product.op, ops.MatMul)


def test_a_shift_goes_into_a_conv_of_quantised_weights() -> None:
    net = Net(*IMAGE)
    w = net.graph.constant("w", np.arange(8, dtype=np.int8).reshape(2, 4, 1, 1))
    reals = net(ops.Dequantize(0.1, 0), w)
    y = net(ops.Conv((1, 1), (0,) * 4, (1, 1)), net.x, reals)
    net.graph.outputs.append(net(ops.Mul(), net(ops.Add(), y, rand(2, 1, 1)), rand(2, 1, 1)))
    feed = {"x": sample(net.x, 5)}
    before = run_graph(net.graph, feed)
    canonical(net.graph)
    assert [node.op.name for node in net.graph] == ["dequantize", "conv", "mul"]
    agree(before, run_graph(net.graph, feed))


def test_stored_integers_move_as_integers() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("u8", (1, 2, 3, 4), Quant(0.5, 3)))
    real = emit(graph, ops.Dequantize(0.5, 3), [emit(graph, NHWC, [x], "t")], "r")
    graph.outputs.append(emit(graph, NCHW, [emit(graph, ops.Relu(), [real], "f")], "y"))
    canonical(graph)
    assert [node.op.name for node in graph] == ["dequantize", "relu"]


def test_outputs_keep_their_names_and_inputs_stay() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (2, 3)))
    same = emit(graph, ops.Reshape((2, 3)), [x], "same")
    relu = emit(graph, ops.Relu(), [x], "relu")
    again = emit(graph, ops.Relu(), [relu], "again")
    graph.outputs += [same, again, x]
    text_of_outputs = [v.name for v in graph.outputs]
    canonical(graph)
    assert [v.name for v in graph.outputs] == text_of_outputs
    assert [node.op.name for node in graph] == ["reshape", "relu"]


def test_dead_nodes_are_dropped() -> None:
    net = Net(2, 3)
    net(ops.Tanh(), net(ops.Exp(), net.x))
    net.graph.outputs.append(net(ops.Relu(), net.x))
    assert canonical(net.graph)
    assert [node.op.name for node in net.graph] == ["relu"]


@given(float_graphs(), st.integers(0, 2**32 - 1))
def test_random_networks_stay_the_same_function(graph: Graph, seed: int) -> None:
    feeds = {v.name: sample(v, seed) for v in graph.inputs}
    before = run_graph(graph, feeds)
    canonical(graph)
    agree(before, run_graph(graph, feeds))
    assert not any(isinstance(n.op, ops.BatchNorm | ops.Sub | ops.Div) for n in graph)
    text = print_graph(graph)
    assert not canonical(graph)
    assert print_graph(graph) == text

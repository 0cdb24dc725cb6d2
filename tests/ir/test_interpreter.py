"""The interpreter against onnxruntime, op by op, and on whole graphs one by one and in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir import interpreter, ops
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Array, Graph, Node, TensorType, dtype_name
from nmc.ir.interpreter import run_graph, run_graph_batch
from nmc.ir.kernels import KERNELS
from nmc.ir.ops import OPS, Op
from nmc.ir.types import RULES, emit
from tests.strategies import float_graphs, sample

ort.set_default_logger_severity(3)


def floats(*shape: int, seed: int = 0, scale: float = 2.0) -> Array:
    rng = np.random.default_rng((seed, *shape))
    return (scale * rng.normal(size=shape)).astype(np.float32)


def bytes_(*shape: int, seed: int = 0, dtype: str = "u1") -> Array:
    info = np.iinfo(dtype)
    rng = np.random.default_rng((seed, *shape))
    return rng.integers(info.min, info.max, size=shape, endpoint=True, dtype=np.dtype(dtype))


@dataclass(frozen=True)
class Case:
    """One op on operands, and the ONNX node that means the same."""

    op: Op
    operands: Sequence[Array]
    onnx_op: str
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    onnx_operands: Sequence[Any] | None = None
    exact: bool = False

    def __str__(self) -> str:
        return f"{self.op}"


def pool(op: str, **attributes: Any) -> Case:
    ours: Any = ops.MaxPool if op == "MaxPool" else ops.AvgPool
    kernel = attributes.get("kernel", (3, 2))
    strides = attributes.get("strides", (2, 2))
    pads = attributes.get("pads", (1, 0, 1, 1))
    dilations = attributes.get("dilations", (1, 1))
    more = {k: attributes[k] for k in ("ceil_mode", "count_include_pad") if k in attributes}
    theirs: dict[str, Any] = {k: int(v) for k, v in more.items()}
    return Case(
        ours(kernel, strides, pads, dilations, **more),
        [floats(2, 3, 8, 7)],
        op,
        {
            "kernel_shape": kernel,
            "strides": strides,
            "pads": pads,
            "dilations": dilations,
            **theirs,
        },
    )


def conv(
    group: int, kernel: tuple[int, ...], window: tuple[tuple[int, ...], ...], *sizes: int
) -> Case:
    strides, pads, dilations = window
    return Case(
        ops.Conv(strides, pads, dilations, group),
        [floats(2, 4, *sizes), floats(6, 4 // group, *kernel), floats(6)],
        "Conv",
        {"strides": strides, "pads": pads, "dilations": dilations, "group": group},
    )


def transposed(group: int, window: tuple[tuple[int, ...], ...], padding: tuple[int, ...]) -> Case:
    strides, pads, dilations = window
    return Case(
        ops.ConvTranspose(strides, pads, dilations, padding, group),
        [floats(2, 4, 5, 6), floats(4, 3, 3, 2), floats(3 * group)],
        "ConvTranspose",
        {
            "strides": strides,
            "pads": pads,
            "dilations": dilations,
            "group": group,
            "output_padding": padding,
        },
    )


def unary(op: ops.Unary, name: str, *, positive: bool = False, **attributes: Any) -> Case:
    x = floats(3, 50, scale=3.0)
    return Case(op, [np.abs(x) if positive else x], name, attributes)


def reduction(kind: str, name: str) -> Case:
    x = np.abs(floats(2, 3, 4, 5)) + 0.5
    op = ops.Reduce(kind, (1, 3), False)
    if name == "ReduceSum":  # the first whose axes became an operand
        return Case(op, [x], name, {"keepdims": 0}, [x, np.array([1, 3])])
    return Case(op, [x], name, {"keepdims": 0, "axes": [1, 3]})


IMAGE = floats(2, 8, 4, 6)
CASES = [
    conv(1, (3, 2), ((2, 1), (1, 0, 2, 1), (1, 2)), 9, 8),
    conv(2, (1, 1), ((1, 1), (0, 0, 0, 0), (1, 1)), 5, 5),
    conv(1, (3,), ((2,), (1, 1), (1,)), 11),
    conv(2, (2, 2, 2), ((1, 1, 2), (0, 0, 1, 1, 0, 0), (1, 1, 1)), 4, 4, 5),
    transposed(1, ((2, 1), (1, 0, 0, 1), (1, 1)), (1, 0)),
    transposed(2, ((2, 3), (0, 0, 0, 0), (2, 1)), (0, 0)),
    transposed(1, ((1, 1), (2, 1, 2, 1), (1, 1)), (0, 0)),
    Case(ops.MatMul(), [floats(2, 3, 4, 5), floats(3, 5, 6)], "MatMul"),
    Case(ops.MatMul(), [floats(2, 4, 5), floats(5)], "MatMul"),
    Case(ops.Add(), [floats(2, 3, 4), floats(3, 1)], "Add", exact=True),
    Case(ops.Sub(), [floats(2, 3, 4), floats(3, 1)], "Sub", exact=True),
    Case(ops.Mul(), [floats(2, 3, 4), floats(3, 1)], "Mul", exact=True),
    Case(ops.Div(), [floats(2, 3, 4), floats(3, 1)], "Div", exact=True),
    Case(ops.Div(), [np.arange(-9, 9, dtype=np.int32), np.full(18, 4, np.int32)], "Div"),
    Case(ops.Min(), [floats(2, 3, 4), floats(3, 1)], "Min", exact=True),
    Case(ops.Max(), [floats(2, 3, 4), floats(3, 1)], "Max", exact=True),
    Case(ops.Pow(), [np.abs(floats(2, 3)), floats(3)], "Pow"),
    Case(ops.PRelu(), [floats(2, 3, 4), floats(3, 1)], "PRelu", exact=True),
    unary(ops.Relu(), "Relu"),
    unary(ops.LeakyRelu(0.125), "LeakyRelu", alpha=0.125),
    Case(
        ops.Clip(-1.0, 2.0),
        [floats(3, 50)],
        "Clip",
        {},
        [floats(3, 50), np.float32(-1), np.float32(2)],
        exact=True,
    ),
    unary(ops.Sigmoid(), "Sigmoid"),
    unary(ops.HardSigmoid(0.25, 0.5), "HardSigmoid", alpha=0.25, beta=0.5),
    unary(ops.HardSwish(), "HardSwish"),
    unary(ops.Tanh(), "Tanh"),
    unary(ops.Exp(), "Exp"),
    unary(ops.Log(), "Log", positive=True),
    unary(ops.Sqrt(), "Sqrt", positive=True),
    unary(ops.Reciprocal(), "Reciprocal"),
    unary(ops.Abs(), "Abs"),
    unary(ops.Neg(), "Neg"),
    unary(ops.Sign(), "Sign"),
    unary(ops.Erf(), "Erf"),
    unary(ops.Gelu(), "Gelu"),
    unary(ops.Gelu("tanh"), "Gelu", approximate="tanh"),
    unary(ops.Elu(0.5), "Elu", alpha=0.5),
    unary(ops.Selu(), "Selu"),
    unary(ops.Celu(0.75), "Celu", alpha=0.75),
    unary(ops.Softplus(), "Softplus"),
    unary(ops.Softsign(), "Softsign"),
    unary(ops.Mish(), "Mish"),
    unary(ops.ThresholdedRelu(0.5), "ThresholdedRelu", alpha=0.5),
    unary(ops.Floor(), "Floor"),
    unary(ops.Ceil(), "Ceil"),
    Case(ops.Round(), [np.arange(-4, 4, 0.25, dtype=np.float32)], "Round", exact=True),
    Case(
        ops.BatchNorm(1e-3),
        [IMAGE, floats(8), floats(8, seed=1), floats(8, seed=2), np.abs(floats(8, seed=3))],
        "BatchNormalization",
        {"epsilon": 1e-3},
    ),
    Case(
        ops.InstanceNorm(1e-3),
        [IMAGE, floats(8), floats(8, seed=1)],
        "InstanceNormalization",
        {"epsilon": 1e-3},
    ),
    Case(
        ops.LayerNorm(2, 1e-3),
        [IMAGE, floats(4, 6), floats(4, 6, seed=1)],
        "LayerNormalization",
        {"axis": 2, "epsilon": 1e-3},
    ),
    Case(ops.LayerNorm(3), [IMAGE, floats(6)], "LayerNormalization", {"axis": 3}),
    Case(
        ops.Lrn(5, 0.1, 0.75, 2.0),
        [IMAGE],
        "LRN",
        {"size": 5, "alpha": 0.1, "beta": 0.75, "bias": 2.0},
    ),
    Case(ops.Softmax(1), [IMAGE], "Softmax", {"axis": 1}),
    Case(ops.LogSoftmax(2), [IMAGE], "LogSoftmax", {"axis": 2}),
    pool("MaxPool"),
    pool("MaxPool", ceil_mode=True),
    pool("MaxPool", dilations=(2, 3), pads=(1, 1, 0, 0)),
    pool("AveragePool"),
    pool("AveragePool", ceil_mode=True, kernel=(3, 3), strides=(2, 3), pads=(1, 1, 1, 1)),
    pool("AveragePool", count_include_pad=True),
    pool("AveragePool", count_include_pad=True, ceil_mode=True, kernel=(3, 3), strides=(3, 2)),
    pool("AveragePool", dilations=(2, 3), pads=(1, 1, 0, 0)),
    reduction("sum", "ReduceSum"),
    reduction("mean", "ReduceMean"),
    reduction("max", "ReduceMax"),
    reduction("min", "ReduceMin"),
    reduction("prod", "ReduceProd"),
    reduction("l1", "ReduceL1"),
    reduction("l2", "ReduceL2"),
    reduction("sum_square", "ReduceSumSquare"),
    reduction("log_sum", "ReduceLogSum"),
    reduction("log_sum_exp", "ReduceLogSumExp"),
    Case(ops.ArgMax(1), [IMAGE], "ArgMax", {"axis": 1}, exact=True),
    Case(
        ops.ArgMax(1, False, True),
        [np.round(IMAGE)],
        "ArgMax",
        {"axis": 1, "keepdims": 0, "select_last_index": 1},
        exact=True,
    ),
    Case(ops.Reshape((16, 24)), [IMAGE], "Reshape", {}, [IMAGE, np.array([16, 24])], exact=True),
    Case(ops.Transpose((2, 0, 3, 1)), [IMAGE], "Transpose", {"perm": [2, 0, 3, 1]}, exact=True),
    Case(ops.Concat(1), [IMAGE, IMAGE[:, :3]], "Concat", {"axis": 1}, exact=True),
    Case(
        ops.Slice((7, 1), (-1, 5), (1, 3), (-2, 3)),
        [IMAGE],
        "Slice",
        {},
        [IMAGE, np.array([7, 1]), np.array([-99, 5]), np.array([1, 3]), np.array([-2, 3])],
        exact=True,
    ),
    *(
        Case(
            ops.Pad((0, 1, -1, 2, 0, 0, 3, -2), mode, value),
            [IMAGE],
            "Pad",
            {"mode": mode},
            [IMAGE, np.array([0, 1, -1, 2, 0, 0, 3, -2]), np.float32(value)],
            exact=True,
        )
        for mode, value in (("constant", 1.5), ("edge", 0.0))
    ),
    Case(
        ops.Pad((0, 0, 1, 2, 0, 0, 3, 2), "reflect"),
        [IMAGE],
        "Pad",
        {"mode": "reflect"},
        [IMAGE, np.array([0, 0, 1, 2, 0, 0, 3, 2])],
        exact=True,
    ),
    Case(
        ops.Pad((0, 0, 1, 2, 0, 0, 3, 2), "wrap"),
        [IMAGE],
        "Pad",
        {"mode": "wrap"},
        [IMAGE, np.array([0, 0, 1, 2, 0, 0, 3, 2])],
        exact=True,
    ),
    Case(
        ops.Expand((3, 2, 4)),
        [floats(2, 1)],
        "Expand",
        {},
        [floats(2, 1), np.array([3, 2, 4])],
        exact=True,
    ),
    Case(ops.Gather(1), [IMAGE, np.array([[0, 7], [-1, 3]])], "Gather", {"axis": 1}, exact=True),
    Case(ops.DepthToSpace(2), [IMAGE], "DepthToSpace", {"blocksize": 2}, exact=True),
    Case(
        ops.DepthToSpace(2, "CRD"),
        [IMAGE],
        "DepthToSpace",
        {"blocksize": 2, "mode": "CRD"},
        exact=True,
    ),
    Case(ops.SpaceToDepth(2), [IMAGE], "SpaceToDepth", {"blocksize": 2}, exact=True),
    Case(
        ops.Resize((1, 1, 2, 3)),
        [IMAGE],
        "Resize",
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        [IMAGE, np.array([], np.float32), np.array([1, 1, 2, 3], np.float32)],
        exact=True,
    ),
    Case(ops.Cast("i32"), [floats(3, 50)], "Cast", {"to": onnx.TensorProto.INT32}, exact=True),
    Case(
        ops.Quantize(0.037, 12),
        [floats(3, 500)],
        "QuantizeLinear",
        {},
        [floats(3, 500), np.float32(0.037), np.uint8(12)],
        exact=True,
    ),
    Case(
        ops.Quantize(0.037, -12, "i8"),
        [floats(3, 500)],
        "QuantizeLinear",
        {},
        [floats(3, 500), np.float32(0.037), np.int8(-12)],
        exact=True,
    ),
    Case(
        ops.Dequantize(0.037, 12),
        [bytes_(300)],
        "DequantizeLinear",
        {},
        [bytes_(300), np.float32(0.037), np.uint8(12)],
        exact=True,
    ),
    Case(
        ops.DequantizeAxis(1),
        [bytes_(3, 4, dtype="i1"), np.abs(floats(4)), bytes_(4, dtype="i1", seed=1)],
        "DequantizeLinear",
        {"axis": 1},
        exact=True,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_agrees_with_onnxruntime(case: Case) -> None:
    (ours,) = run_op(case.op, case.operands)
    theirs = run_onnx(case.onnx_op, case.onnx_operands or case.operands, case.attributes)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if case.exact:
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def run_op(op: Op, operands: Sequence[Array]) -> list[Array]:
    """Through the front door: types are inferred, and what is computed must have them."""
    graph = Graph("one")
    values = [
        graph.add_input(f"x{i}", TensorType(dtype_name(x.dtype), x.shape))
        for i, x in enumerate(operands)
    ]
    out = emit(graph, op, values, "y")
    graph.outputs.append(out)
    result = run_graph(graph, {v.name: x for v, x in zip(values, operands, strict=True)})["y"]
    assert result.shape == out.type.shape
    assert result.dtype == out.type.numpy
    return [result]


def run_onnx(op: str, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Array:
    names = ["" if not a.size else f"x{i}" for i, a in enumerate(map(np.asarray, operands))]
    feeds = {n: np.asarray(a) for n, a in zip(names, operands, strict=True) if n}
    node = onnx.helper.make_node(op, names, ["y"], **attributes)
    inputs = [
        onnx.helper.make_tensor_value_info(
            n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape
        )
        for n, a in feeds.items()
    ]
    kind = onnx.helper.make_empty_tensor_value_info("y")
    graph = onnx.helper.make_graph([node], "one", inputs, [kind])
    version = 20 if op == "Gelu" else 17 if op.startswith("Reduce") else 19
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", version)], ir_version=9
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: Array = session.run(None, feeds)[0]
    return result


OWN = {ops.FlipSign, ops.QConv, ops.QMatMul, ops.QAvgPool, ops.QReduceMean, ops.Lut, ops.Onnx}


def test_every_op_has_a_rule_a_kernel_and_a_case() -> None:
    computed = set(OPS) - {ops.Onnx}
    assert set(RULES) == computed
    assert set(KERNELS) == computed
    assert {type(case.op) for case in CASES} == set(OPS) - OWN


# Ops of our own


@pytest.mark.parametrize("group", [1, 2, 6])
@pytest.mark.parametrize("zero_point", [0, 113])
def test_qconv_is_onnxruntimes_qlinearconv(group: int, zero_point: int) -> None:
    x, w = bytes_(2, 6, 9, 8), bytes_(12, 6 // group, 3, 2, dtype="i1")
    bias = np.random.default_rng(1).integers(-(2**14), 2**14, 12, dtype=np.int32)
    x_scale, w_scale, y_scale = np.float32(0.02), np.abs(floats(12)) * 0.01, np.float32(0.5)
    window: dict[str, Any] = {
        "strides": (2, 1),
        "pads": (1, 0, 1, 2),
        "dilations": (1, 2),
        "group": group,
    }
    op = ops.QConv(**window, x_zero_point=zero_point, y_zero_point=7)
    multiplier = (x_scale * w_scale / y_scale).astype(np.float32)
    (ours,) = run_op(op, [x, w, bias, multiplier])
    theirs = run_onnx(
        "QLinearConv",
        [
            x,
            x_scale,
            np.uint8(zero_point),
            w,
            w_scale.astype(np.float32),
            np.zeros(12, np.int8),
            y_scale,
            np.uint8(7),
            bias,
        ],
        window,
    )
    np.testing.assert_array_equal(ours, theirs)
    assert 0.05 < np.mean((ours > 0) & (ours < 255)) < 1


def test_qmatmul_is_onnxruntimes_qlinearmatmul() -> None:
    x, w = bytes_(2, 5, 40), bytes_(40, 7, dtype="i1")
    x_scale, w_scale, y_scale = np.float32(0.02), np.float32(0.013), np.float32(0.6)
    op = ops.QMatMul(x_zero_point=100, y_zero_point=90)
    multiplier = np.full(7, x_scale * w_scale / y_scale, np.float32)
    (ours,) = run_op(op, [x, w, np.zeros(7, np.int32), multiplier])
    theirs = run_onnx(
        "QLinearMatMul",
        [x, x_scale, np.uint8(100), w, w_scale, np.int8(0), y_scale, np.uint8(90)],
        {},
    )
    np.testing.assert_array_equal(ours, theirs)


def test_qconv_in_float_scales_exact_sums() -> None:
    x, w = bytes_(1, 700, 4, 4), bytes_(3, 700, 3, 3, dtype="i1")
    bias = np.array([5, -(2**20), 0], np.int32)
    op = ops.QConv((1, 1), (0, 0, 0, 0), (1, 1), 1, x_zero_point=31, out="f32")
    (ours,) = run_op(op, [x, w, bias, np.ones(3, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64) - 31, (3, 3), (2, 3))
    acc = np.einsum("nchwij,mcij->nmhw", windows, w.astype(np.int64)) + bias.reshape(3, 1, 1)
    assert np.abs(acc).max() > 2**20
    np.testing.assert_array_equal(ours, acc.astype(np.float32))


def test_qavg_pool_rounds_the_exact_average() -> None:
    x = bytes_(1, 3, 7, 7)
    op = ops.QAvgPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 0.75, 10, 20, True)
    (ours,) = run_op(op, [x])
    reals = (x.astype(np.float32) - 10).astype(np.float32)
    (means,) = run_op(ops.AvgPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), True), [reals])
    expected = np.clip(np.rint(means.astype(np.float64) * 0.75) + 20, 0, 255)
    # A float32 multiplier may turn a near tie the other way: never by more than one.
    assert np.abs(ours - expected).max() <= 1
    assert np.mean(ours == expected) > 0.9


def test_qreduce_mean_over_space_is_qavg_pool_of_one_window() -> None:
    x = bytes_(2, 3, 4, 5)
    (mean,) = run_op(ops.QReduceMean((2, 3), True, 1.25, 99, 3), [x])
    pooled = ops.QAvgPool((4, 5), (1, 1), (0, 0, 0, 0), (1, 1), 1.25, 99, 3)
    np.testing.assert_array_equal(mean, run_op(pooled, [x])[0])


def test_lut_and_flip_sign() -> None:
    x, table = bytes_(40), bytes_(256, seed=1)
    np.testing.assert_array_equal(run_op(ops.Lut(), [x, table])[0], table[x])
    (signed,) = run_op(ops.FlipSign(), [x])
    np.testing.assert_array_equal(signed.astype(int), x.astype(int) - 128)
    np.testing.assert_array_equal(run_op(ops.FlipSign(), [signed])[0], x)


# Whole graphs


@given(float_graphs(), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_batch_is_its_samples(graph: Graph, count: int, seed: int) -> None:
    feeds = {
        v.name: np.concatenate([sample(v, (seed, i)) for i in range(count)]) for v in graph.inputs
    }
    keep = [node.output.name for node in graph]
    together = run_graph_batch(graph, feeds, keep=keep)
    for i in range(count):
        alone = run_graph(graph, {n: a[i : i + 1] for n, a in feeds.items()}, keep=keep)
        for name, array in alone.items():
            np.testing.assert_allclose(together[name][i : i + 1], array, rtol=1e-5, atol=1e-5)


def test_a_batch_runs_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = relu_graph()
    feeds = {"x": floats(7, 3)}
    whole = run_graph_batch(graph, feeds)["y"]
    monkeypatch.setattr(interpreter, "CHUNK_BYTES", 2 * 16 * 12)
    np.testing.assert_array_equal(run_graph_batch(graph, feeds)["y"], whole)
    np.testing.assert_array_equal(whole, np.maximum(feeds["x"], 0))


def relu_graph(op: Op | None = None) -> Graph:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 3)))
    graph.outputs.append(emit(graph, op or ops.Relu(), [x], "y"))
    return graph


def opaque_graph() -> Graph:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 3)))
    types = [TensorType("f32", (1, 3)), TensorType("f32", (3,))]
    outputs = [graph.value(n, t) for n, t in zip("ab", types, strict=True)]
    graph.append(ops.Onnx("Twice", "", 1), [x, None], outputs)
    graph.outputs += outputs
    return graph


def test_opaque_nodes_run_on_the_host() -> None:
    seen: list[Node] = []

    def host(node: Node, arrays: Sequence[Array | None]) -> Sequence[Array]:
        seen.append(node)
        (x, absent) = arrays
        assert absent is None
        assert x is not None
        return [2 * x, x[0]]

    x = floats(3, 3)
    results = run_graph_batch(opaque_graph(), {"x": x}, host=host)
    np.testing.assert_array_equal(results["a"], 2 * x)
    np.testing.assert_array_equal(results["b"], x.reshape(-1))
    assert len(seen) == 3


def test_opaque_nodes_without_a_host_are_refused() -> None:
    with pytest.raises(NmcError, match="unsupported-operator: `Twice`"):
        run_graph(opaque_graph(), {"x": floats(1, 3)})


def test_an_output_that_no_input_reaches_is_repeated_for_each_sample() -> None:
    graph = relu_graph()
    graph.outputs.append(graph.constant("c", floats(1, 2)))
    results = run_graph_batch(graph, {"x": floats(4, 3)})
    np.testing.assert_array_equal(results["c"], np.repeat(floats(1, 2), 4, axis=0))


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "no data for input %x"),
        ({"x": np.zeros((1, 4), np.float32)}, r"the data has shape \[1,4\]"),
        ({"x": np.zeros((1, 3), np.float64)}, "the data has dtype float64"),
        ({"x": np.zeros((0, 3), np.float32)}, r"the data has shape \[0,3\]"),
    ],
)
@pytest.mark.parametrize("run", [run_graph, run_graph_batch])
def test_inputs_that_do_not_fit_are_refused(
    feed: dict[str, Array], message: str, run: Callable[..., dict[str, Array]]
) -> None:
    with pytest.raises(NmcError, match=f"bad-data-shape.*{message}"):
        run(relu_graph(), feed)


def test_a_gather_outside_its_table_is_refused() -> None:
    with pytest.raises(NmcError, match=r"bad-value.*outside the 8 elements of axis 1"):
        run_op(ops.Gather(1), [IMAGE, np.array([0, 8])])

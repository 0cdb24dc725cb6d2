"""Lowering rules against onnxruntime, for forms that ONNX's own suite does not have.

The suite (tests/conformance) covers the current version of each operator; here are older versions,
contributed operators, normal forms that other parts rely on, and forms that must stay opaque.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nmc.frontend import import_model
from nmc.frontend.rules import RULES
from nmc.ir import ops
from nmc.ir.graph import Array, Graph
from tests.nmc.frontend.models import (
    FLOAT,
    agree,
    model,
    noise,
    opaque_ops,
    ort_outputs,
    our_outputs,
    problem,
    single,
)

RNG = np.random.default_rng(7)


def i64(*numbers: int) -> Array:
    return np.asarray(numbers, np.int64)


def f32(*numbers: float) -> Array:
    return np.asarray(numbers, np.float32)


def scalar(number: float, dtype: Any = np.float32) -> Array:
    return np.asarray(number, dtype)


def bytes_like(*shape: int, dtype: Any = np.uint8) -> Array:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph]


# Matrices


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_conv_auto_pad(auto_pad: str, rank: int, stride: int) -> None:
    x = {"x": noise(1, 2, *(7, 6, 5)[:rank])}
    weights = {"w": noise(4, 2, *(3, 2, 2)[:rank]), "b": noise(4)}
    strides = [stride] * rank
    proto = single("Conv", x, weights, auto_pad=auto_pad, strides=strides)
    assert names(import_model(proto)) == ["conv"]
    agree(proto, x)


def test_conv_in_groups_with_dilation() -> None:
    x = {"x": noise(2, 4, 9, 8)}
    agree(
        single("Conv", x, {"w": noise(6, 2, 3, 2)}, group=2, dilations=[2, 3], pads=[1, 2, 0, 1]), x
    )


def test_conv_whose_kernel_is_not_that_of_its_weights() -> None:
    proto = single("Conv", {"x": noise(1, 2, 5, 5)}, {"w": noise(1, 2, 3, 3)}, kernel_shape=[3, 5])
    assert "kernel_shape (3, 5)" in problem(proto).message


@pytest.mark.parametrize("indices", [3, -4])
def test_gather_beyond_the_end(indices: int) -> None:
    found = problem(single("Gather", {"x": noise(3, 2)}, {"i": i64(indices)}))
    assert found.code == "unsupported-operator"
    assert "none of 3" in found.message


@pytest.mark.parametrize(
    "attributes",
    [
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"output_shape": [10, 12], "strides": [2, 3]},
        {"output_padding": [1, 0], "strides": [2, 2], "pads": [1, 0, 1, 1]},
        {"dilations": [2, 1]},
        {"group": 2},
    ],
)
def test_conv_transpose(attributes: dict[str, Any]) -> None:
    x = {"x": noise(1, 4, 5, 4)}
    proto = single("ConvTranspose", x, {"w": noise(4, 3, 3, 3), "b": noise(3)}, **attributes)
    if attributes.get("group") == 2:
        proto = single("ConvTranspose", x, {"w": noise(4, 3, 3, 3), "b": noise(6)}, **attributes)
    assert names(import_model(proto)) == ["conv_transpose"]
    agree(proto, x)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0), (1.0, 0.0)])
def test_gemm(trans_a: int, trans_b: int, alpha: float, beta: float) -> None:
    x = {"x": noise(3, 2) if trans_a else noise(2, 3)}
    w = noise(4, 3) if trans_b else noise(3, 4)
    flags: dict[str, Any] = {"transA": trans_a, "transB": trans_b, "alpha": alpha, "beta": beta}
    agree(single("Gemm", x, {"w": w, "c": noise(4)}, **flags), x)
    agree(single("Gemm", {**x, "w": w}, {"c": noise(2, 1)}, **flags), {**x, "w": w})
    agree(single("Gemm", x, {"w": w}, **flags), x)


def test_constant_weights_of_gemm_need_no_op() -> None:
    x = {"x": noise(1, 3)}
    proto = single("Gemm", x, {"w": noise(4, 3), "c": noise(4)}, transB=1, alpha=2.0, beta=3.0)
    assert names(import_model(proto)) == ["matmul", "add"]


@pytest.mark.parametrize("per_axis", [False, True])
def test_stored_weights_of_gemm_are_turned_as_integers(per_axis: bool) -> None:
    scale = f32(0.1, 0.2, 0.3, 0.4) if per_axis else scalar(0.1)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=0),
        helper.make_node("Gemm", ["x", "w", "c"], ["y"], transB=1),
    ]
    constants = {"q": bytes_like(4, 3, dtype=np.int8), "s": scale, "c": noise(4)}
    proto = model(nodes, [("x", FLOAT, [1, 3])], ["y"], constants)
    graph = import_model(proto)
    dequantize = "dequantize_axis" if per_axis else "dequantize"
    assert names(graph) == [dequantize, "matmul", "add"]
    assert graph.nodes[0].x.type.shape == (3, 4)
    agree(proto, {"x": noise(1, 3)})


# Elementwise


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
def test_variadic(op: str, count: int) -> None:
    inputs = {f"x{i}": noise(2, 3, seed=i) for i in range(count)}
    agree(single(op, inputs), inputs)


@pytest.mark.parametrize(
    ("opset", "constants", "attributes"),
    [
        (10, {}, {"min": -0.5, "max": 0.25}),
        (7, {}, {"max": 0.25}),
        (17, {"lo": scalar(-0.5), "hi": scalar(0.25)}, {}),
        (17, {"lo": scalar(-0.5)}, {}),
        (17, {}, {}),
    ],
)
def test_clip_has_bounds_as_attributes(
    opset: int, constants: dict[str, Array], attributes: dict[str, Any]
) -> None:
    x = {"x": noise(2, 3)}
    proto = single("Clip", x, constants, opset=opset, **attributes)
    assert names(import_model(proto)) == ["clip"]
    agree(proto, x)


def test_clip_with_an_absent_lower_bound() -> None:
    x = {"x": noise(2, 3)}
    proto = single("Clip", x, {"hi": scalar(0.1)}, order=["x", "", "hi"])
    (only,) = import_model(proto).nodes
    assert only.op == ops.Clip(-np.inf, 0.1)
    agree(proto, x)


@pytest.mark.parametrize("order", [["x", "lo", "hi"], ["x", "lo"], ["x", "", "hi"]])
def test_clip_with_computed_bounds_is_maximum_and_minimum(order: list[str]) -> None:
    given = {"x": noise(5), "lo": scalar(-0.3), "hi": scalar(0.2)}
    inputs = {name: given[name] for name in order if name}
    proto = single("Clip", inputs, order=order)
    assert set(names(import_model(proto))) <= {"max", "min"}
    agree(proto, inputs)


def test_attributes_are_the_decimals_that_were_meant() -> None:
    """protobuf keeps 0.01 as a float32; texts of graphs should not say 0.009999999776482582."""
    (only,) = import_model(single("LeakyRelu", {"x": noise(2)}, alpha=0.3)).nodes
    assert only.op == ops.LeakyRelu(0.3)


def test_prelu_with_slopes_per_channel() -> None:
    x = {"x": noise(1, 3, 4, 4)}
    agree(single("PRelu", x, {"slope": noise(3, 1, 1)}), x)


def test_casts_between_floats_vanish() -> None:
    x = {"x": noise(3)}
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["h"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["f"], ["y"], to=TensorProto.INT32),
    ]
    assert names(import_model(model(nodes, [("x", FLOAT, [3])], ["y"]))) == ["cast"]
    agree(single("Cast", x, to=TensorProto.INT64), x)


# Normalisation


@pytest.mark.parametrize("opset", [7, 11, 12])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_softmax_before_opset_13_flattens(op: str, axis: int | None, opset: int) -> None:
    x = {"x": noise(2, 3, 4)}
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    agree(single(op, x, opset=opset, **attributes), x)


def test_softmax_over_channels_of_an_old_classifier_needs_no_reshape() -> None:
    proto = single("Softmax", {"x": noise(1, 10, 1, 1)}, opset=9)
    (only,) = import_model(proto).nodes
    assert only.op == ops.Softmax(1)


@pytest.mark.parametrize("opset", [18, 21])
def test_group_norm(opset: int) -> None:
    parameters = 2 if opset == 18 else 4
    x = {"x": noise(2, 4, 3, 3)}
    constants = {"s": noise(parameters), "b": noise(parameters, seed=1)}
    proto = single("GroupNormalization", x, constants, opset=opset, num_groups=2)
    assert not opaque_ops(import_model(proto))
    agree(proto, x)


@pytest.mark.parametrize("axis", [-1, 1])
def test_layer_norm(axis: int) -> None:
    x = {"x": noise(2, 3, 4)}
    shape = (4,) if axis == -1 else (3, 4)
    constants = {"s": noise(*shape), "b": noise(*shape, seed=1)}
    agree(single("LayerNormalization", x, constants, axis=axis), x)
    agree(single("LayerNormalization", x, {"s": constants["s"]}, axis=axis), x)


def test_layer_norm_whose_statistics_are_used_stays_opaque() -> None:
    proto = single(
        "LayerNormalization", {"x": noise(2, 4)}, {"s": noise(4)}, outputs=["y", "m", "d"]
    )
    assert opaque_ops(import_model(proto)) == ["LayerNormalization"]


def test_mean_variance_normalization() -> None:
    x = {"x": noise(2, 3, 4, 4)}
    agree(single("MeanVarianceNormalization", x, axes=[0, 2, 3]), x)


# Pooling and reduction


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "strides": [2, 3]},
        {"kernel_shape": [2, 2], "auto_pad": "VALID", "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    ],
)
def test_pooling(op: str, attributes: dict[str, Any]) -> None:
    x = {"x": noise(1, 2, 8, 7)}
    agree(single(op, x, **attributes), x)


def test_max_pool_whose_indices_are_used_stays_opaque() -> None:
    x = {"x": noise(1, 1, 4, 4)}
    proto = single("MaxPool", x, outputs=["y", "i"], kernel_shape=[2, 2])
    assert opaque_ops(import_model(proto)) == ["MaxPool"]
    agree(proto, x)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pooling_is_a_reduction(op: str) -> None:
    x = {"x": noise(1, 2, 4, 3)}
    proto = single(op, x)
    assert names(import_model(proto)) == ["reduce"]
    agree(proto, x)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [None, [-1], [0, 2]])
def test_reduction_with_axes_as_attribute(axes: list[int] | None, keepdims: int) -> None:
    x = {"x": noise(2, 3, 4)}
    attributes: dict[str, Any] = {"keepdims": keepdims} | ({"axes": axes} if axes else {})
    for op in ("ReduceMean", "ReduceSum", "ReduceL2", "ReduceLogSumExp"):
        agree(single(op, x, opset=11, **attributes), x)


def test_reducing_nothing_when_told_so() -> None:
    x = {"x": noise(2, 3)}
    agree(single("ReduceSum", x, noop_with_empty_axes=1), x)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_places_of_extremes(op: str) -> None:
    x = {"x": np.round(noise(3, 4), 0)}
    for last in (0, 1):
        agree(single(op, x, axis=-1, keepdims=0, select_last_index=last), x)


# Shape


@pytest.mark.parametrize("opset", [9, 11, 13, 18])
def test_split_in_all_its_forms(opset: int) -> None:
    x = {"x": noise(2, 6)}
    outputs = ["a", "b"]
    sized: dict[str, Any] = {"split": [2, 4]} if opset < 13 else {}
    constants = {} if opset < 13 else {"sizes": i64(2, 4)}
    proto = single("Split", x, constants, outputs=outputs, opset=opset, axis=1, **sized)
    assert names(import_model(proto)) == ["slice", "slice"]
    agree(proto, x)
    equal: dict[str, Any] = {"num_outputs": 2} if opset == 18 else {}
    agree(single("Split", x, outputs=outputs, opset=opset, axis=-1, **equal), x)


def test_an_uneven_split_makes_the_last_part_smaller() -> None:
    x = {"x": noise(7)}
    agree(single("Split", x, outputs=["a", "b", "c"], opset=18, num_outputs=3), x)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [-1], [1], [1]),
        ([-1], [-100], [0], [-1]),
        ([5, 0], [0, 1 << 62], [1, 0], [-2, 3]),
        ([0, 2], [9, 3], [-1, -2], [2, 1]),
        ([4], [2], [1], [1]),
    ],
)
def test_slice(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    x = {"x": noise(4, 6)}
    constants = {"s": i64(*starts), "e": i64(*ends), "a": i64(*axes), "t": i64(*steps)}
    agree(single("Slice", x, constants), x)


def test_slice_with_attributes() -> None:
    x = {"x": noise(4, 6)}
    agree(single("Slice", x, opset=9, starts=[1, -3], ends=[100, -1], axes=[0, 1]), x)
    agree(single("Slice", x, opset=9, starts=[1], ends=[3]), x)


def test_pad_in_all_its_forms() -> None:
    x = {"x": noise(2, 3)}
    agree(single("Pad", x, opset=10, pads=[0, 1, 1, 0], value=2.5), x)
    agree(single("Pad", x, {"p": i64(0, 1, 1, 0), "v": scalar(2.5)}, opset=13), x)
    for mode in ("reflect", "edge"):
        agree(single("Pad", x, {"p": i64(1, 2, 0, 1)}, mode=mode), x)
    constants = {"p": i64(1, 2), "v": scalar(0.5), "a": i64(-1)}
    agree(single("Pad", x, constants, opset=18), x)
    agree(single("Pad", x, {"p": i64(0, -1, 1, 0)}), x)


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(opset: int) -> None:
    x = {"x": noise(1, 3, 1)}
    by: dict[str, Any] = {"axes": [-1]} if opset == 11 else {}
    constants = {"a": i64(-1)} if opset == 13 else {}
    for op in ("Squeeze", "Unsqueeze"):
        agree(single(op, x, constants, opset=opset, **by), x)
    agree(single("Squeeze", x, opset=opset), x)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_flatten(axis: int) -> None:
    x = {"x": noise(2, 3, 4)}
    agree(single("Flatten", x, axis=axis), x)


@pytest.mark.parametrize("shape", [(0, -1), (-1, 4), (0, 0, 2, 2), (24,)])
def test_reshape(shape: tuple[int, ...]) -> None:
    x = {"x": noise(2, 3, 4)}
    agree(single("Reshape", x, {"s": i64(*shape)}), x)


def test_expand_goes_both_ways() -> None:
    x = {"x": noise(3, 1)}
    agree(single("Expand", x, {"s": i64(2, 1, 4)}), x)
    agree(single("Expand", x, {"s": i64(1)}), x)


@pytest.mark.parametrize("repeats", [(1, 1), (2, 1), (2, 3)])
def test_tile_is_concatenation(repeats: tuple[int, int]) -> None:
    x = {"x": noise(2, 3)}
    proto = single("Tile", x, {"r": i64(*repeats)})
    assert set(names(import_model(proto))) <= {"concat", "reshape"}
    agree(proto, x)


@pytest.mark.parametrize("indices", [i64(0, -1), np.asarray(-2), i64(2, 2, 1).reshape(3, 1)])
def test_gather_by_constants(indices: Array) -> None:
    x = {"x": noise(3, 4)}
    graph = import_model(single("Gather", x, {"i": indices}, axis=0))
    assert all((value.array >= 0).all() for value in graph.constants())
    for axis in (0, -1):
        agree(single("Gather", x, {"i": indices}, axis=axis), x)


def test_gather_by_computed_indices() -> None:
    inputs = {"x": noise(3, 4), "i": i64(2, 0)}
    proto = single("Gather", inputs, axis=1)
    assert names(import_model(proto)) == ["gather"]
    agree(proto, inputs)


# Resize


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
        {"coordinate_transformation_mode": "pytorch_half_pixel"},
    ],
)
def test_nearest_by_whole_factors(attributes: dict[str, Any]) -> None:
    x = {"x": noise(1, 2, 3, 4)}
    order = ["x", "", "s"]
    proto = single("Resize", x, {"s": f32(1, 1, 2, 3)}, order=order, **attributes)
    (only,) = import_model(proto).nodes
    assert only.op == ops.Resize((1, 1, 2, 3))
    agree(proto, x)


def test_resize_to_sizes() -> None:
    x = {"x": noise(1, 2, 3, 4)}
    proto = single("Resize", x, {"n": i64(1, 2, 6, 4)}, order=["x", "", "", "n"])
    (only,) = import_model(proto).nodes
    assert only.op == ops.Resize((1, 1, 2, 1))
    agree(proto, x)


@pytest.mark.parametrize(("op", "opset"), [("Upsample", 7), ("Upsample", 9), ("Resize", 10)])
def test_old_resizing(op: str, opset: int) -> None:
    x = {"x": noise(1, 2, 3, 4)}
    given: dict[str, Any] = {"scales": [1.0, 1.0, 2.0, 2.0]} if opset == 7 else {}
    constants = {} if opset == 7 else {"s": f32(1, 1, 2, 2)}
    proto = single(op, x, constants, opset=opset, mode="nearest", **given)
    assert names(import_model(proto)) == ["resize"]
    agree(proto, x)


def test_nearest_by_whole_steps_down_is_a_slice() -> None:
    x = {"x": noise(1, 1, 8, 6)}
    how: dict[str, Any] = {
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    proto = single("Resize", x, {"s": f32(1, 1, 0.5, 0.5)}, order=["x", "", "s"], **how)
    assert names(import_model(proto)) == ["slice"]
    agree(proto, x)


@pytest.mark.parametrize(
    ("scale", "attributes"),
    [
        (2.0, {"mode": "linear"}),
        (2.0, {"mode": "cubic"}),
        (1.5, {}),
        (3.0, {"coordinate_transformation_mode": "align_corners"}),
    ],
)
def test_other_resizing_stays_opaque(scale: float, attributes: dict[str, Any]) -> None:
    x = {"x": noise(1, 1, 4, 4)}
    constants = {"s": f32(1, 1, scale, scale)}
    proto = single("Resize", x, constants, order=["x", "", "s"], **attributes)
    assert opaque_ops(import_model(proto)) == ["Resize"]
    agree(proto, x)


# Quantised operators


SCALES = {"xs": scalar(0.02), "ws": scalar(0.005), "ys": scalar(0.05)}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(signed: bool, per_channel: bool) -> None:
    dtype = np.int8 if signed else np.uint8
    x = {"x": bytes_like(1, 3, 6, 6, dtype=dtype)}
    constants = {
        "xs": SCALES["xs"],
        "xz": scalar(3, dtype),
        "w": bytes_like(4, 3, 3, 3, dtype=np.int8),
        "ws": f32(0.004, 0.005, 0.006, 0.007) if per_channel else SCALES["ws"],
        "wz": np.zeros(4 if per_channel else (), np.int8),
        "ys": scalar(0.5),
        "yz": scalar(10, dtype),
        "b": RNG.integers(-1000, 1000, 4).astype(np.int32),
    }
    proto = single("QLinearConv", x, constants, pads=[1, 1, 1, 1])
    graph = import_model(proto)
    kind = "dequantize_axis" if per_channel else "dequantize"
    assert names(graph) == ["dequantize", kind, kind, "conv", "quantize"]
    assert {v.type.dtype for v in graph.constants()} <= {"i8", "i32", "f32"}
    agree(proto, x)


@pytest.mark.parametrize("per_column", [False, True])
def test_qlinear_matmul(per_column: bool) -> None:
    x = {"x": bytes_like(2, 8)}
    constants = {
        "xs": SCALES["xs"],
        "xz": scalar(120, np.uint8),
        "w": bytes_like(8, 3, dtype=np.int8),
        "ws": f32(0.004, 0.005, 0.006) if per_column else SCALES["ws"],
        "wz": np.zeros(3 if per_column else (), np.int8),
        "ys": scalar(0.2),
        "yz": scalar(100, np.uint8),
    }
    agree(single("QLinearMatMul", x, constants), x)


def microsoft(op: str, inputs: dict[str, Array], order: list[str], **attributes: Any) -> None:
    """Demand that a quantised operator of onnxruntime is lowered, and right to one quantum."""
    stored = {name: x for name, x in inputs.items() if name in {"x", "z"}}
    constants = {name: x for name, x in inputs.items() if name not in stored}
    proto = single(op, stored, constants, order=order, domain="com.microsoft")
    made = (helper.make_attribute(name, value) for name, value in attributes.items())
    proto.graph.node[0].attribute.extend(made)
    assert not opaque_ops(import_model(proto))
    (ours,), (theirs,) = our_outputs(proto, stored), ort_outputs(proto, stored)
    assert ours.dtype == theirs.dtype
    assert np.abs(ours.astype(float) - theirs.astype(float)).max() <= 1


QUANTISED = {
    "xs": scalar(0.02),
    "xz": scalar(128, np.uint8),
    "zs": scalar(0.03),
    "zz": scalar(100, np.uint8),
    "ys": scalar(0.04),
    "yz": scalar(90, np.uint8),
}


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_qlinear_binary(op: str) -> None:
    inputs = {"x": bytes_like(2, 3), "z": bytes_like(2, 3), **QUANTISED}
    microsoft(op, inputs, ["x", "xs", "xz", "z", "zs", "zz", "ys", "yz"])


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("QLinearSigmoid", {}),
        ("QLinearLeakyRelu", {"alpha": 0.2}),
        ("QLinearGlobalAveragePool", {}),
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("QLinearSoftmax", {"axis": -1, "opset": 13}),
    ],
)
def test_qlinear_unary(op: str, attributes: dict[str, Any]) -> None:
    order = ["x", "xs", "xz", "ys", "yz"]
    microsoft(op, {"x": bytes_like(1, 2, 4, 4), **QUANTISED}, order, **attributes)


def test_qlinear_concat() -> None:
    inputs = {"x": bytes_like(1, 2), "z": bytes_like(1, 3), **QUANTISED}
    microsoft("QLinearConcat", inputs, ["ys", "yz", "x", "xs", "xz", "z", "zs", "zz"], axis=1)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("stored", [False, True])
def test_qgemm(trans_b: int, stored: bool) -> None:
    weights = bytes_like(5, 4, dtype=np.int8)
    inputs = {
        "x": bytes_like(2, 5),
        **QUANTISED,
        "w": weights.T.copy() if trans_b else weights,
        "ws": f32(0.01, 0.02, 0.03, 0.04),
        "wz": np.zeros(4, np.int8),
        "c": RNG.integers(-100, 100, 4).astype(np.int32),
    }
    order = ["x", "xs", "xz", "w", "ws", "wz", "c", *(["ys", "yz"] if stored else [])]
    microsoft("QGemm", inputs, order, transB=trans_b)


def test_scales_that_are_computed_stay_with_the_host() -> None:
    inputs = {"x": noise(2, 3), "s": scalar(0.1)}
    proto = single("QuantizeLinear", inputs, {"z": scalar(3, np.uint8)})
    assert opaque_ops(import_model(proto)) == ["QuantizeLinear"]
    agree(proto, inputs)


def test_float_weights_of_a_qdq_pair_become_integers() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], axis=0),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["r"], axis=0),
        helper.make_node("Conv", ["x", "r"], ["y"]),
    ]
    constants = {"w": noise(2, 3, 1, 1), "s": f32(0.01, 0.02), "z": np.zeros(2, np.int8)}
    proto = model(nodes, [("x", FLOAT, [1, 3, 2, 2])], ["y"], constants)
    graph = import_model(proto)
    assert names(graph) == ["dequantize_axis", "conv"]
    assert graph.nodes[0].x.type.dtype == "i8"
    agree(proto, {"x": noise(1, 3, 2, 2)})


def test_blocked_weights_become_floats() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=0, block_size=2),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    constants = {"q": bytes_like(4, 3, dtype=np.int8), "s": np.abs(noise(2, 3))}
    proto = model(nodes, [("x", FLOAT, [1, 4])], ["y"], constants, opset=21)
    assert names(import_model(proto)) == ["matmul"]
    agree(proto, {"x": noise(1, 4)})


# Fused operators of onnxruntime


@pytest.mark.parametrize(
    ("activation", "given"),
    [("Relu", []), ("LeakyRelu", [0.1]), ("Clip", [-0.5, 0.5]), ("Sigmoid", [])],
)
def test_fused_conv(activation: str, given: list[float]) -> None:
    x = {"x": noise(1, 2, 4, 4)}
    more: dict[str, Any] = {"activation_params": given} if given else {}
    constants = {"w": noise(3, 2, 3, 3), "b": noise(3)}
    how: dict[str, Any] = {"domain": "com.microsoft", "activation": activation}
    agree(single("FusedConv", x, constants, **how, **more), x)


def test_fused_matmul() -> None:
    x = {"x": noise(2, 3, 4)}
    constants = {"w": noise(2, 5, 3)}
    how: dict[str, Any] = {"domain": "com.microsoft", "transA": 1, "transB": 1, "alpha": 0.5}
    agree(single("FusedMatMul", x, constants, **how), x)


@pytest.mark.parametrize("op", ["Gelu", "FastGelu", "QuickGelu", "BiasGelu"])
def test_gelus(op: str) -> None:
    x = {"x": noise(2, 4)}
    constants = {"b": noise(4)} if op in {"BiasGelu", "FastGelu"} else {}
    agree(single(op, x, constants, domain="com.microsoft"), x)


# Classical models


def test_linear_regressor() -> None:
    x = {"x": noise(2, 3)}
    how: dict[str, Any] = {"coefficients": [*range(6)], "intercepts": [1.0, 2.0], "targets": 2}
    how["coefficients"] = [float(c) for c in how["coefficients"]]
    agree(single("LinearRegressor", x, domain="ai.onnx.ml", **how), x)


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_linear_classifier(transform: str) -> None:
    x = {"x": noise(4, 2)}
    how: dict[str, Any] = {
        "coefficients": [0.5, -1.0, 2.0, 0.25, -0.5, 1.0],
        "intercepts": [0.1, -0.2, 0.3],
        "classlabels_ints": [3, 1, 7],
        "post_transform": transform,
    }
    proto = single("LinearClassifier", x, outputs=["l", "p"], domain="ai.onnx.ml", **how)
    assert not opaque_ops(import_model(proto))
    agree(proto, x)


def test_scaler() -> None:
    x = {"x": noise(2, 3)}
    how: dict[str, Any] = {"offset": [0.5, 1.0, -1.0], "scale": [2.0, 0.5, 3.0]}
    agree(single("Scaler", x, domain="ai.onnx.ml", **how), x)


def test_every_rule_is_of_an_operator_that_there_is() -> None:
    known = {(s.domain, s.name) for s in onnx.defs.get_all_schemas_with_history()}
    standard = {key for key in RULES if key[0] != "com.microsoft"}
    assert standard <= known

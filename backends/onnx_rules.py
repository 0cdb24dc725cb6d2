"""How float and shape operations are spelt in ONNX: one rule per op, by role.

A rule appends nodes and returns the name of the result, which the last of them defines.  Where
onnxruntime has no kernel for an element type, the operands travel in one that it has (`carried`);
float64 then passes through float32, which is all the precision that such operators have there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nmc.backends.onnx_builder import Builder, element_type
from nmc.ir import ops
from nmc.ir.graph import DTYPES, Node, Value
from nmc.ir.ops import OPS

__all__ = ["FLOAT_RULES", "Rule"]

Rule = Callable[[Builder, Any, Node], str]

FLOATS = frozenset({"f32", "f64"})
COMMON = FLOATS | {"i32", "i64"}

KERNELS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "ReduceSum", "ReduceProd"), COMMON),
    **dict.fromkeys(("Min", "Max", "Clip"), COMMON | {"u32", "u64"}),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ArgMax", "Neg"), COMMON | {"i8"}),
    **dict.fromkeys(("Abs", "Sign"), frozenset(DTYPES) - {"f16", "bool"}),
    **dict.fromkeys(("Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Reciprocal"), FLOATS),
    **dict.fromkeys(("Floor", "Ceil", "Round", "Softmax", "LogSoftmax"), FLOATS),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth", "BatchNormalization"), FLOATS),
    "Pad": COMMON | {"i8", "u8", "u32", "u64", "bool"},
    "MaxPool": FLOATS | {"i8", "u8"},
    "MatMul": COMMON | {"u32", "u64"},
    "Relu": FLOATS | {"i8", "i32"},
    "Resize": frozenset({"f32", "i8", "u8", "i32"}),
}
"""Element types that an operator has in every onnxruntime that we support; others have f32."""

CARRIERS: dict[str, tuple[str, ...]] = {
    "f16": ("f32",),
    "f64": ("f32",),
    "bool": ("i32", "f32"),
    **dict.fromkeys(("i8", "u8", "i16", "u16"), ("i32", "i64", "f32")),
    "i32": ("i64", "f64", "f32"),
    "u32": ("i64", "f64", "f32"),
    "i64": ("f64", "f32"),
    "u64": ("i64", "f64", "f32"),
}
"""In which element types values may travel, the best first."""


def carrier(kind: str, dtype: str) -> str:
    known = KERNELS.get(kind, frozenset({"f32"}))
    return dtype if dtype in known else next(d for d in CARRIERS[dtype] if d in known)


def carried(
    b: Builder, kind: str, operands: Sequence[Value], *, to: str = "", **attributes: Any
) -> str:
    """The operator on operands of one element type, and its result in that type (or `to`)."""
    dtype = operands[0].type.dtype
    via = carrier(kind, dtype)
    names = [travelling(b, value, via) for value in operands]
    result = b.add(kind, names, **attributes)
    return result if to or via == dtype else b.cast(result, dtype)


def travelling(b: Builder, value: Value, via: str) -> str:
    return value.name if value.type.dtype == via else b.cast(value.name, via)


# Matrices


def window(op: ops.Conv | ops.ConvTranspose) -> dict[str, Any]:
    return {
        "strides": op.strides,
        "pads": op.pads,
        "dilations": op.dilations,
        "group": op.group,
    }


def conv(b: Builder, op: ops.Conv, node: Node) -> str:
    return carried(b, "Conv", node.operands, **window(op))


def conv_transpose(b: Builder, op: ops.ConvTranspose, node: Node) -> str:
    extra = {"output_padding": op.output_padding, **window(op)}
    return carried(b, "ConvTranspose", node.operands, **extra)


# Elementwise


def same_name(kind: str) -> Rule:
    return lambda b, _, node: carried(b, kind, node.operands)


def power(b: Builder, _: ops.Pow, node: Node) -> str:
    base, exponent = node.operands
    via = carrier("Pow", base.type.dtype)
    other = carrier("Pow", exponent.type.dtype)
    result = b.add("Pow", [travelling(b, base, via), travelling(b, exponent, other)])
    return result if via == base.type.dtype else b.cast(result, base.type.dtype)


def with_attributes(kind: str, *names: str) -> Rule:
    """An operator whose attributes have the names of the op's fields."""

    def rule(b: Builder, op: ops.Op, node: Node) -> str:
        return carried(b, kind, node.operands, **{name: getattr(op, name) for name in names})

    return rule


def clip(b: Builder, op: ops.Clip, node: Node) -> str:
    dtype = node.x.type.dtype
    if dtype in ("f16", "f32", "f64"):
        low = "" if math.isinf(op.lo) and op.lo < 0 else b.scalar(op.lo, dtype)
        high = "" if math.isinf(op.hi) and op.hi > 0 else b.scalar(op.hi, dtype)
        return b.add("Clip", [node.x.name, low, high])
    via = carrier("Clip", dtype)
    info = np.iinfo(DTYPES[dtype])
    least = info.min if op.lo <= info.min else min(math.ceil(op.lo), info.max)
    most = info.max if op.hi >= info.max else max(math.floor(op.hi), info.min)
    bounds = [b.scalar(least, via), b.scalar(most, via)]
    result = b.add("Clip", [travelling(b, node.x, via), *bounds])
    return result if via == dtype else b.cast(result, dtype)


def negative(b: Builder, _: ops.Neg, node: Node) -> str:
    dtype = node.x.type.dtype
    if dtype != "u64":
        return carried(b, "Neg", node.operands)
    wide = b.add("Neg", [b.cast(node.x.name, "i64")])  # wraps around as numpy does
    return b.cast(wide, dtype)


UNARY: dict[type[ops.Op], Rule] = {
    ops.Relu: same_name("Relu"),
    ops.LeakyRelu: with_attributes("LeakyRelu", "alpha"),
    ops.Clip: clip,
    ops.Sigmoid: same_name("Sigmoid"),
    ops.HardSigmoid: with_attributes("HardSigmoid", "alpha", "beta"),
    ops.HardSwish: same_name("HardSwish"),
    ops.Neg: negative,
    ops.Gelu: with_attributes("Gelu", "approximate"),
    ops.Elu: with_attributes("Elu", "alpha"),
    ops.Selu: with_attributes("Selu", "alpha", "gamma"),
    ops.Celu: with_attributes("Celu", "alpha"),
    ops.ThresholdedRelu: with_attributes("ThresholdedRelu", "alpha"),
}


# Normalisation


def layer_norm(b: Builder, op: ops.LayerNorm, node: Node) -> str:
    """Scale and shift apart where they don't have the shape that the operator asks for."""
    x, scale = node.x, node.operand(1)
    inner = x.type.shape[op.axis :]
    axis: dict[str, Any] = {"axis": op.axis, "epsilon": op.epsilon}
    if all(v.type.shape == inner for v in node.operands[1:]):
        return carried(b, "LayerNormalization", node.operands, **axis)
    ones = b.constant(np.ones(inner, np.float32))
    normal = b.add("LayerNormalization", [travelling(b, x, "f32"), ones], **axis)
    result = b.add("Mul", [normal, travelling(b, scale, "f32")])
    if len(node.operands) > 2:
        result = b.add("Add", [result, travelling(b, node.operand(2), "f32")])
    return result if x.type.dtype == "f32" else b.cast(result, x.type.dtype)


def lrn(b: Builder, op: ops.Lrn, node: Node) -> str:
    if op.size % 2:
        return with_attributes("LRN", "size", "alpha", "beta", "bias")(b, op, node)
    # onnxruntime knows odd sizes alone: the mean of squares as a pool over channels.
    dtype, shape = node.x.type.dtype, node.x.type.shape
    x = travelling(b, node.x, "f32")
    flat = b.add("Reshape", [b.add("Mul", [x, x]), b.constant((shape[0], 1, shape[1], -1))])
    before = (op.size - 1) // 2
    pads = (before, 0, op.size - 1 - before, 0)
    mean = b.add("AveragePool", [flat], kernel_shape=(op.size, 1), pads=pads, count_include_pad=1)
    scaled = b.add("Mul", [b.add("Reshape", [mean, b.constant(shape)]), b.scalar(op.alpha, "f32")])
    total = b.add("Add", [scaled, b.scalar(op.bias, "f32")])
    result = b.add("Div", [x, b.add("Pow", [total, b.scalar(op.beta, "f32")])])
    return result if dtype == "f32" else b.cast(result, dtype)


# Pooling and reduction


def max_pool(b: Builder, op: ops.MaxPool, node: Node) -> str:
    return carried(b, "MaxPool", node.operands, **pooling(op))


def avg_pool(b: Builder, op: ops.AvgPool, node: Node) -> str:
    counting = {"count_include_pad": int(op.count_include_pad), **pooling(op)}
    return carried(b, "AveragePool", node.operands, **counting)


def pooling(op: ops.MaxPool | ops.AvgPool) -> dict[str, Any]:
    return {
        "kernel_shape": op.kernel,
        "strides": op.strides,
        "pads": op.pads,
        "dilations": op.dilations,
        "ceil_mode": int(op.ceil_mode),
    }


REDUCTIONS = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "l1": "ReduceL1",
    "l2": "ReduceL2",
    "sum_square": "ReduceSumSquare",
    "log_sum": "ReduceLogSum",
    "log_sum_exp": "ReduceLogSumExp",
}
EXACT_REDUCTIONS = ("sum", "prod", "l1", "sum_square")
INTEGER_STEPS = {"l1": "Abs", "sum_square": "Mul"}


def reduce(b: Builder, op: ops.Reduce, node: Node) -> str:
    if node.x.type.dtype[0] in "iu" and op.kind in INTEGER_STEPS:
        return reduce_integers(b, op, node)
    kind = REDUCTIONS[op.kind]
    dtype = node.x.type.dtype
    via = carrier(kind, dtype)
    if dtype[0] in "iu" and op.kind not in (*EXACT_REDUCTIONS, "max", "min"):
        via = "f64" if op.kind == "mean" else "f32"
    return reduced(b, op, node, kind, via, travelling(b, node.x, via))


def reduce_integers(b: Builder, op: ops.Reduce, node: Node) -> str:
    """Reductions that have no integer kernel, as a sum of what they sum."""
    x = travelling(b, node.x, "i64")
    terms = b.add("Abs", [x]) if op.kind == "l1" else b.add("Mul", [x, x])
    return reduced(b, op, node, "ReduceSum", "i64", terms)


def reduced(b: Builder, op: ops.Reduce, node: Node, kind: str, via: str, x: str) -> str:
    axes = op.axes
    if not axes:
        # No axes mean nothing to the operator; an axis of one element is the same to it.
        x = b.add("Reshape", [x, b.constant((*node.x.type.shape, 1))], allowzero=1)
        axes = (len(node.x.type.shape),)
    keep = int(op.keepdims and bool(op.axes))
    result = b.add(kind, [x, b.constant(axes)], keepdims=keep)
    return result if via == node.x.type.dtype else b.cast(result, node.x.type.dtype)


def arg_max(b: Builder, op: ops.ArgMax, node: Node) -> str:
    flags = {"keepdims": int(op.keepdims), "select_last_index": int(op.select_last)}
    return carried(b, "ArgMax", node.operands, to="i64", axis=op.axis, **flags)


# Shape


def reshape(b: Builder, op: ops.Reshape, node: Node) -> str:
    return b.add("Reshape", [node.x.name, b.constant(op.shape)], allowzero=1)


def transpose(b: Builder, op: ops.Transpose, node: Node) -> str:
    return b.add("Transpose", [node.x.name], perm=op.perm or None)


def concat(b: Builder, op: ops.Concat, node: Node) -> str:
    return b.add("Concat", [v.name for v in node.operands], axis=op.axis)


def slice_(b: Builder, op: ops.Slice, node: Node) -> str:
    # An end of -1 is the element before the first, which ONNX reaches from the other side.
    ends = [
        -node.x.type.shape[axis] - 1 if end < 0 else end
        for end, axis in zip(op.ends, op.axes, strict=True)
    ]
    parameters = [b.constant(part) for part in (op.starts, ends, op.axes, op.steps)]
    return b.add("Slice", [node.x.name, *parameters])


def pad(b: Builder, op: ops.Pad, node: Node) -> str:
    """Growing and cropping apart: constants first grow, repeating modes first crop."""
    rank, dtype = len(node.x.type.shape), node.x.type.dtype
    via = carrier("Pad", dtype)
    result = travelling(b, node.x, via)
    grown = [max(p, 0) for p in op.pads]
    cut = [max(-p, 0) for p in op.pads]
    if op.mode != "constant":
        result = cropped(b, result, cut, node.x.type.shape)
    filler = [b.scalar(op.value, via)] if op.mode == "constant" else []
    result = b.add("Pad", [result, b.constant(grown), *filler], mode=op.mode)
    if op.mode == "constant":
        sizes = [size + grown[i] + grown[rank + i] for i, size in enumerate(node.x.type.shape)]
        result = cropped(b, result, cut, sizes)
    return result if via == dtype else b.cast(result, dtype)


def cropped(b: Builder, x: str, cut: Sequence[int], sizes: Sequence[int]) -> str:
    if not any(cut):
        return x
    rank = len(sizes)
    ends = [max(size - after, before) for size, before, after in zip(sizes, cut, cut[rank:])]  # noqa: B905
    return b.add("Slice", [x, b.constant(cut[:rank]), b.constant(ends)])


def expand(b: Builder, op: ops.Expand, node: Node) -> str:
    return b.add("Expand", [node.x.name, b.constant(op.shape)])


def gather(b: Builder, op: ops.Gather, node: Node) -> str:
    return b.add("Gather", [v.name for v in node.operands], axis=op.axis)


def resize(b: Builder, op: ops.Resize, node: Node) -> str:
    dtype = node.x.type.dtype
    via = carrier("Resize", dtype)
    scales = b.constant(np.array(op.factors, np.float32))
    result = b.add(
        "Resize",
        [travelling(b, node.x, via), "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return result if via == dtype else b.cast(result, dtype)


def cast(b: Builder, op: ops.Cast, node: Node) -> str:
    return b.add("Cast", [node.x.name], to=element_type(op.to))


def depth_to_space(b: Builder, op: ops.DepthToSpace, node: Node) -> str:
    return carried(b, "DepthToSpace", node.operands, blocksize=op.block, mode=op.mode)


def space_to_depth(b: Builder, op: ops.SpaceToDepth, node: Node) -> str:
    return carried(b, "SpaceToDepth", node.operands, blocksize=op.block)


FLOAT_RULES: dict[type[ops.Op], Rule] = {
    # matrices
    ops.Conv: conv,
    ops.ConvTranspose: conv_transpose,
    ops.MatMul: same_name("MatMul"),
    # elementwise
    **{op: same_name(op.__name__) for op in OPS if issubclass(op, ops.Unary)},
    **UNARY,
    **{op: same_name(op.__name__) for op in OPS if issubclass(op, ops.Binary)},
    ops.Pow: power,
    ops.PRelu: same_name("PRelu"),
    # normalisation
    ops.BatchNorm: with_attributes("BatchNormalization", "epsilon"),
    ops.InstanceNorm: with_attributes("InstanceNormalization", "epsilon"),
    ops.LayerNorm: layer_norm,
    ops.Lrn: lrn,
    ops.Softmax: with_attributes("Softmax", "axis"),
    ops.LogSoftmax: with_attributes("LogSoftmax", "axis"),
    # pooling and reduction
    ops.MaxPool: max_pool,
    ops.AvgPool: avg_pool,
    ops.Reduce: reduce,
    ops.ArgMax: arg_max,
    # shape
    ops.Reshape: reshape,
    ops.Transpose: transpose,
    ops.Concat: concat,
    ops.Slice: slice_,
    ops.Pad: pad,
    ops.Expand: expand,
    ops.Gather: gather,
    ops.DepthToSpace: depth_to_space,
    ops.SpaceToDepth: space_to_depth,
    ops.Resize: resize,
    ops.Cast: cast,
}
"""How each op but those of numbers is spelt; `same_name` where ONNX has the class's name."""

"""Rules of types of the ops that compute: matrices, elementwise, normalisation, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nmc.ir import ops
from nmc.ir.graph import DTYPES, TensorType
from nmc.ir.types_checks import (
    FLOATS,
    INTEGERS,
    Misfit,
    broadcast,
    misfit,
    need_attribute,
    need_axes,
    need_axis,
    need_broadcast_to,
    need_dtype,
    need_shape,
    need_window,
    plain,
    spatial,
)
from nmc.ir.windows import sizes_transposed, window_counts

INTEGER_UNARY = (ops.Relu, ops.Clip, ops.Abs, ops.Neg, ops.Sign)
REDUCTIONS = (
    *("sum", "mean", "max", "min", "prod"),
    *("l1", "l2", "sum_square", "log_sum", "log_sum_exp"),
)

# Matrices


def convolved(x: TensorType, w: TensorType, op: ops.Conv | ops.QConv) -> tuple[int, ...]:
    sizes = spatial(x)
    if len(w.shape) != len(x.shape):
        misfit(f"has input {x} and weights {w}, whose ranks must be equal")
    need_window(len(sizes), strides=op.strides, pads=op.pads, dilations=op.dilations)
    outputs, per_group = w.shape[:2]
    need_attribute(op.group > 0, f"has group {op.group}, which must be positive")
    if per_group * op.group != x.shape[1]:
        misfit(
            f"has weights {w} in {op.group} groups, so {per_group * op.group} channels, "
            f"but its input is {x} with {x.shape[1]}"
        )
    if outputs % op.group:
        misfit(f"has {outputs} output channels, which {op.group} groups don't divide")
    counts = window_counts(sizes, w.shape[2:], op.strides, op.pads, op.dilations)
    if min(counts) < 1:
        misfit(f"has kernel {list(w.shape[2:])} larger than its padded input {x}")
    return (x.shape[0], outputs, *counts)


def conv(op: ops.Conv, x: TensorType, w: TensorType, b: TensorType | None = None) -> TensorType:
    same_floats(x, w)
    if b is not None:
        same_floats(x, b)
        need_shape("bias", b, w.shape[:1])
    return plain(x, convolved(x, w, op))


def conv_transpose(
    op: ops.ConvTranspose, x: TensorType, w: TensorType, b: TensorType | None = None
) -> TensorType:
    same_floats(x, w)
    sizes = spatial(x)
    if len(w.shape) != len(x.shape) or w.shape[0] != x.shape[1]:
        misfit(f"has weights {w}, whose first axis must have the {x.shape[1]} channels of {x}")
    rank = len(sizes)
    need_window(rank, strides=op.strides, pads=op.pads, dilations=op.dilations)
    extra = op.output_padding
    need_attribute(len(extra) == rank, f"has {len(extra)} output_padding, {rank} are needed")
    need_attribute(min(extra) >= 0, f"has output_padding {list(extra)}, which must not be negative")
    need_attribute(op.group > 0, f"has group {op.group}, which must be positive")
    if x.shape[1] % op.group:
        misfit(f"has {x.shape[1]} input channels, which {op.group} groups don't divide")
    outputs = w.shape[1] * op.group
    if b is not None:
        same_floats(x, b)
        need_shape("bias", b, (outputs,))
    out = sizes_transposed(sizes, w.shape[2:], op.strides, op.pads, op.dilations, extra)
    if min(out) < 1:
        misfit(f"crops all of its output: sizes {list(out)} from {x} with pads {list(op.pads)}")
    return plain(x, (x.shape[0], outputs, *out))


def same_floats(x: TensorType, other: TensorType) -> None:
    need_dtype("input", x, FLOATS)
    if other.dtype != x.dtype:
        raise Misfit("bad-operands", f"has operands {x} and {other}, whose dtypes must be equal")


def matmul_shape(a: TensorType, b: TensorType) -> tuple[int, ...]:
    if not a.shape or not b.shape:
        misfit(f"has operands {a} and {b}; a scalar has no rows")
    left = a.shape if len(a.shape) > 1 else (1, *a.shape)
    right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    if left[-1] != right[-2]:
        misfit(f"has operands {a} and {b}: {left[-1]} columns on {right[-2]} rows")
    batch = broadcast(replace(a, shape=left[:-2]), replace(b, shape=right[:-2]))
    rows = left[-2:-1] if len(a.shape) > 1 else ()
    columns = right[-1:] if len(b.shape) > 1 else ()
    return (*batch, *rows, *columns)


def matmul(_: ops.MatMul, a: TensorType, b: TensorType) -> TensorType:
    if a.dtype != b.dtype:
        raise Misfit("bad-operands", f"has operands {a} and {b}, whose dtypes must be equal")
    need_dtype("input", a, FLOATS | {"i32", "i64", "u32", "u64"})
    return plain(a, matmul_shape(a, b))


# Elementwise


def binary(op: ops.Binary, a: TensorType, b: TensorType) -> TensorType:
    if a.dtype != b.dtype and not isinstance(op, ops.Pow):
        raise Misfit("bad-operands", f"has operands {a} and {b}, whose dtypes must be equal")
    need_dtype("operand", a, FLOATS | INTEGERS)
    need_dtype("operand", b, FLOATS | INTEGERS)
    keeps = isinstance(op, ops.Min | ops.Max) and a.quant == b.quant
    return TensorType(a.dtype, broadcast(a, b), a.quant if keeps else None)


def prelu(_: ops.PRelu, x: TensorType, slope: TensorType) -> TensorType:
    same_floats(x, slope)
    need_broadcast_to("slope", slope, x)
    return plain(x, x.shape)


def unary(op: ops.Unary, x: TensorType) -> TensorType:
    integers = INTEGERS if isinstance(op, INTEGER_UNARY) else frozenset[str]()
    need_dtype("operand", x, FLOATS | integers)
    if isinstance(op, ops.Gelu):
        known = op.approximate in {"none", "tanh"}
        need_attribute(known, f"has approximate {op.approximate!r}; it is none or tanh")
    return plain(x, x.shape)


def cast(op: ops.Cast, x: TensorType) -> TensorType:
    need_attribute(op.to in DTYPES, f"casts to {op.to!r}, which is no dtype; there are {[*DTYPES]}")
    return plain(x, x.shape, op.to)


# Normalisation


def channel_norm(
    _: ops.BatchNorm | ops.InstanceNorm, x: TensorType, *parameters: TensorType
) -> TensorType:
    need_dtype("input", x, FLOATS)
    if len(x.shape) < 2:
        misfit(f"has {x} as input, which has no channel axis")
    for parameter in parameters:
        need_dtype("parameter", parameter, FLOATS)
        need_shape("parameter", parameter, x.shape[1:2])
    return plain(x, x.shape)


def layer_norm(
    op: ops.LayerNorm, x: TensorType, scale: TensorType, shift: TensorType | None = None
) -> TensorType:
    need_dtype("input", x, FLOATS)
    need_axis(x, op.axis)
    need_broadcast_to("scale", scale, x)
    if shift is not None:
        need_broadcast_to("shift", shift, x)
    return plain(x, x.shape)


def lrn(op: ops.Lrn, x: TensorType) -> TensorType:
    need_dtype("input", x, FLOATS)
    need_attribute(op.size > 0, f"has size {op.size}, which must be positive")
    if len(x.shape) < 2:
        misfit(f"has {x} as input, which has no channel axis")
    return plain(x, x.shape)


def softmax(op: ops.Softmax | ops.LogSoftmax, x: TensorType) -> TensorType:
    need_dtype("input", x, FLOATS)
    need_axis(x, op.axis)
    return plain(x, x.shape)


# Pooling and reduction


def pooled(op: ops.MaxPool | ops.AvgPool | ops.QAvgPool, x: TensorType) -> tuple[int, ...]:
    sizes = spatial(x)
    need_attribute(
        len(op.kernel) == len(sizes) and min(op.kernel) > 0,
        f"has kernel {list(op.kernel)} for the {len(sizes)} spatial axes of {x}",
    )
    need_window(len(sizes), strides=op.strides, pads=op.pads, dilations=op.dilations)
    counts = window_counts(sizes, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode)
    if min(counts) < 1:
        misfit(f"has kernel {list(op.kernel)} larger than its padded input {x}")
    return (*x.shape[:2], *counts)


def max_pool(op: ops.MaxPool, x: TensorType) -> TensorType:
    need_dtype("input", x, FLOATS | {"u8", "i8"})
    return TensorType(x.dtype, pooled(op, x), x.quant)


def avg_pool(op: ops.AvgPool, x: TensorType) -> TensorType:
    need_dtype("input", x, FLOATS)
    return plain(x, pooled(op, x))


def reduced(x: TensorType, axes: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    need_axes(x, axes)
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


def reduce(op: ops.Reduce, x: TensorType) -> TensorType:
    known = op.kind in REDUCTIONS
    need_attribute(known, f"has kind {op.kind!r}; there are {', '.join(REDUCTIONS)}")
    need_dtype("input", x, FLOATS | INTEGERS)
    keeps = op.kind in {"max", "min"}
    return TensorType(x.dtype, reduced(x, op.axes, op.keepdims), x.quant if keeps else None)


def arg_max(op: ops.ArgMax, x: TensorType) -> TensorType:
    return plain(x, reduced(x, (op.axis,), op.keepdims), "i64")

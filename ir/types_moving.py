"""Rules of types of the ops that move elements about, and of those between reals and integers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Quant, TensorType
from nmc.ir.types_checks import (
    Misfit,
    broadcast,
    misfit,
    need_attribute,
    need_axes,
    need_axis,
    need_dtype,
    need_shape,
    plain,
)
from nmc.ir.types_compute import convolved, matmul_shape, pooled, reduced

PAD_MODES = ("constant", "reflect", "edge", "wrap")

# Shape


def moved(x: TensorType, shape: tuple[int, ...]) -> TensorType:
    """The same numbers, with the same meaning, in another shape."""
    return replace(x, shape=shape)


def reshape(op: ops.Reshape, x: TensorType) -> TensorType:
    need_attribute(min(op.shape, default=0) >= 0, f"has a negative size: {list(op.shape)}")
    if math.prod(op.shape) != math.prod(x.shape):
        sizes = f"{list(op.shape)} with {math.prod(op.shape)} elements"
        misfit(f"of {x} with {math.prod(x.shape)} elements can't have shape {sizes}")
    return moved(x, op.shape)


def transpose(op: ops.Transpose, x: TensorType) -> TensorType:
    need_attribute(
        sorted(op.perm) == list(range(len(x.shape))),
        f"has perm {list(op.perm)}, which does not permute the {len(x.shape)} axes of {x}",
    )
    return moved(x, tuple(x.shape[i] for i in op.perm))


def concat(op: ops.Concat, *inputs: TensorType) -> TensorType:
    first = inputs[0]
    need_axis(first, op.axis)
    for other in inputs[1:]:
        if (other.dtype, other.quant) != (first.dtype, first.quant):
            raise Misfit("bad-operands", f"has operands {first} and {other}, of two kinds")
        sizes = list(other.shape)
        if len(sizes) == len(first.shape):
            sizes[op.axis] = first.shape[op.axis]
        if tuple(sizes) != first.shape:
            misfit(f"along axis {op.axis} has operands {first} and {other}: other sizes differ")
    shape = list(first.shape)
    shape[op.axis] = sum(x.shape[op.axis] for x in inputs)
    return moved(first, tuple(shape))


def slice_(op: ops.Slice, x: TensorType) -> TensorType:
    need_axes(x, op.axes)
    lengths = {len(op.starts), len(op.ends), len(op.axes), len(op.steps)}
    need_attribute(len(lengths) == 1, f"has attributes of different lengths: {op}")
    shape = list(x.shape)
    for start, end, axis, step in zip(op.starts, op.ends, op.axes, op.steps, strict=True):
        size = x.shape[axis]
        need_attribute(step != 0, "has step 0")
        back = 1 if step < 0 else 0
        good = 0 <= start <= max(size - back, 0) and -back <= end <= size
        need_attribute(
            good, f"runs from {start} to {end} by {step} on axis {axis}, but {x} has {size} there"
        )
        shape[axis] = len(range(start, end, step))
    return moved(x, tuple(shape))


def pad(op: ops.Pad, x: TensorType) -> TensorType:
    rank = len(x.shape)
    need_attribute(
        len(op.pads) == 2 * rank, f"has {len(op.pads)} pads, {2 * rank} are needed for {x}"
    )
    need_attribute(op.mode in PAD_MODES, f"has mode {op.mode!r}; there are {', '.join(PAD_MODES)}")
    shape = tuple(
        size + before + after
        for size, before, after in zip(x.shape, op.pads[:rank], op.pads[rank:], strict=True)
    )
    if min(shape, default=0) < 0:
        misfit(f"crops more than there is: pads {list(op.pads)} of {x}")
    if op.mode != "constant":
        check_reach(op, x)
    return moved(x, shape)


def check_reach(op: ops.Pad, x: TensorType) -> None:
    """Padding that repeats the input must find elements to repeat."""
    least = 1 if op.mode == "reflect" else 0
    for axis, size in enumerate(x.shape):
        longest = max(op.pads[axis], op.pads[len(x.shape) + axis])
        bound = math.inf if op.mode == "edge" and size else size - least
        if longest > max(bound, 0):
            misfit(f"in mode {op.mode} can't pad axis {axis} of {x} by {longest}")


def expand(op: ops.Expand, x: TensorType) -> TensorType:
    need_attribute(min(op.shape, default=0) >= 0, f"has a negative size: {list(op.shape)}")
    return moved(x, broadcast(x, replace(x, shape=op.shape)))


def gather(op: ops.Gather, x: TensorType, indices: TensorType) -> TensorType:
    need_axis(x, op.axis)
    need_dtype("indices", indices, {"i32", "i64"})
    return moved(x, (*x.shape[: op.axis], *indices.shape, *x.shape[op.axis + 1 :]))


def need_image(x: TensorType, block: int) -> tuple[int, int, int, int]:
    need_attribute(block > 0, f"has block {block}, which must be positive")
    if len(x.shape) != 4:
        misfit(f"has {x} as input, which must have four axes")
    n, c, h, w = x.shape
    return n, c, h, w


def depth_to_space(op: ops.DepthToSpace, x: TensorType) -> TensorType:
    n, c, h, w = need_image(x, op.block)
    need_attribute(op.mode in {"DCR", "CRD"}, f"has mode {op.mode!r}; it is DCR or CRD")
    if c % op.block**2:
        misfit(f"has block {op.block}: {c} channels of {x} are no multiple of {op.block**2}")
    return moved(x, (n, c // op.block**2, h * op.block, w * op.block))


def space_to_depth(op: ops.SpaceToDepth, x: TensorType) -> TensorType:
    n, c, h, w = need_image(x, op.block)
    if h % op.block or w % op.block:
        misfit(f"has block {op.block}, which does not divide the image of {x}")
    return moved(x, (n, c * op.block**2, h // op.block, w // op.block))


def resize(op: ops.Resize, x: TensorType) -> TensorType:
    good = len(op.factors) == len(x.shape) and min(op.factors, default=1) > 0
    need_attribute(good, f"has factors {list(op.factors)} for the {len(x.shape)} axes of {x}")
    return moved(x, tuple(n * f for n, f in zip(x.shape, op.factors, strict=True)))


# Numbers


def need_quant(scale: float, zero_point: int, dtype: str) -> None:
    finite = math.isfinite(scale) and float(np.float32(scale)) > 0
    need_attribute(finite, f"has scale {scale!r}, which must be positive and finite")
    info = np.iinfo(np.uint8 if dtype == "u8" else np.int8 if dtype == "i8" else np.int32)
    good = info.min <= zero_point <= info.max
    need_attribute(good, f"has zero point {zero_point}, which {dtype} can't hold")


def quantize(op: ops.Quantize, x: TensorType) -> TensorType:
    need_dtype("operand", x, {"f32"})
    need_attribute(op.dtype in {"u8", "i8"}, f"has dtype {op.dtype!r}; it is u8 or i8")
    need_quant(op.scale, op.zero_point, op.dtype)
    return TensorType(op.dtype, x.shape, Quant(op.scale, op.zero_point))


def dequantize(op: ops.Dequantize, x: TensorType) -> TensorType:
    need_dtype("operand", x, {"u8", "i8", "i32"})
    need_quant(op.scale, op.zero_point, x.dtype)
    return plain(x, x.shape, "f32")


def dequantize_axis(
    op: ops.DequantizeAxis, x: TensorType, scale: TensorType, zero_point: TensorType
) -> TensorType:
    need_dtype("operand", x, {"u8", "i8", "i32"})
    need_axis(x, op.axis)
    need_dtype("scale", scale, {"f32"})
    need_shape("scale", scale, (x.shape[op.axis],))
    need_dtype("zero point", zero_point, {x.dtype})
    need_shape("zero point", zero_point, scale.shape)
    return plain(x, x.shape, "f32")


def flip_sign(_: ops.FlipSign, x: TensorType) -> TensorType:
    need_dtype("operand", x, {"u8", "i8"})
    up = x.dtype == "i8"
    shift = 128 if up else -128
    quant = x.quant and replace(x.quant, zero_point=x.quant.zero_point + shift)
    return TensorType("u8" if up else "i8", x.shape, quant)


def need_requantising(op: ops.QConv | ops.QMatMul) -> None:
    need_attribute(op.out in {"u8", "f32"}, f"has out {op.out!r}; it is u8 or f32")
    need_attribute(0 <= op.x_zero_point <= 255, f"has x_zero_point {op.x_zero_point}, not in u8")
    need_attribute(0 <= op.y_zero_point <= 255, f"has y_zero_point {op.y_zero_point}, not in u8")
    good = 0 <= op.lo <= op.hi <= 255
    need_attribute(good, f"has bounds lo {op.lo}, hi {op.hi}; 0 <= lo <= hi <= 255 is needed")


def need_accumulated(x: TensorType, w: TensorType, *per_output: TensorType, outputs: int) -> None:
    need_dtype("input", x, {"u8"})
    need_dtype("weights", w, {"i8"})
    bias, multiplier = per_output
    need_dtype("bias", bias, {"i32"})
    need_shape("bias", bias, (outputs,))
    need_dtype("multiplier", multiplier, {"f32"})
    need_shape("multiplier", multiplier, (outputs,))


def qconv(
    op: ops.QConv, x: TensorType, w: TensorType, bias: TensorType, multiplier: TensorType
) -> TensorType:
    need_requantising(op)
    shape = convolved(x, w, op)
    need_accumulated(x, w, bias, multiplier, outputs=w.shape[0])
    return plain(x, shape, op.out)


def qmatmul(
    op: ops.QMatMul, x: TensorType, w: TensorType, bias: TensorType, multiplier: TensorType
) -> TensorType:
    need_requantising(op)
    if len(w.shape) != 2:
        misfit(f"has {w} as weights, which must have two axes")
    shape = matmul_shape(x, w)
    need_accumulated(x, w, bias, multiplier, outputs=w.shape[1])
    return plain(x, shape, op.out)


def need_averaging(op: ops.QAvgPool | ops.QReduceMean, x: TensorType) -> None:
    need_dtype("input", x, {"u8"})
    need_quant(op.scale, op.x_zero_point, "u8")
    need_quant(op.scale, op.y_zero_point, "u8")


def qavg_pool(op: ops.QAvgPool, x: TensorType) -> TensorType:
    need_averaging(op, x)
    return plain(x, pooled(op, x))


def qreduce_mean(op: ops.QReduceMean, x: TensorType) -> TensorType:
    need_averaging(op, x)
    return plain(x, reduced(x, op.axes, op.keepdims))


def lut(_: ops.Lut, x: TensorType, table: TensorType) -> TensorType:
    need_dtype("input", x, {"u8"})
    need_dtype("table", table, {"u8"})
    need_shape("table", table, (256,))
    return plain(x, x.shape)

"""What each op computes on numpy arrays: one function per op, keyed by class in `KERNELS`.

A kernel takes the op and its operands (None where an optional one is absent) and returns the
result.  Kernels trust the types that `nmc.ir.types` inferred; the arithmetic is `nmc.ir.numerics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nmc.ir import numerics, ops
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import DTYPES, Array
from nmc.ir.ops import OPS, Op
from nmc.ir.windows import reach, window_divisors

__all__ = ["KERNELS", "Kernel"]

Kernel = Callable[..., Array]


# Matrices


def add_channels(x: Array, b: Array | None) -> Array:
    return x if b is None else np.asarray(x + b.reshape(-1, *[1] * (x.ndim - 2)))


def conv(op: ops.Conv, x: Array, w: Array, b: Array | None = None) -> Array:
    window = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    return add_channels(numerics.convolve(x, w, group=op.group, **window), b)


def conv_transpose(op: ops.ConvTranspose, x: Array, w: Array, b: Array | None = None) -> Array:
    """As a convolution of x, spread out by the strides, with the kernel turned around."""
    rank = x.ndim - 2
    spread = np.zeros((*x.shape[:2], *spread_sizes(op, x)), x.dtype)
    everything = slice(None)
    spread[everything, everything, *(slice(None, None, s) for s in op.strides)] = x
    reaches = [reach(k, d) - 1 for k, d in zip(w.shape[2:], op.dilations, strict=True)]
    begins = [r - p for r, p in zip(reaches, op.pads[:rank], strict=True)]
    ends = [
        r - p + extra
        for r, p, extra in zip(reaches, op.pads[rank:], op.output_padding, strict=True)
    ]
    padded = numerics.crop_or_pad(spread, [0, 0, *begins, 0, 0, *ends])
    grouped = w.reshape(op.group, len(w) // op.group, *w.shape[1:]).swapaxes(1, 2)
    turned = np.flip(grouped, axis=tuple(range(3, 3 + rank)))
    matrix = np.ascontiguousarray(turned).reshape(-1, len(w) // op.group, *w.shape[2:])
    out = numerics.convolve(
        padded,
        matrix,
        strides=[1] * rank,
        pads=[0] * (2 * rank),
        dilations=op.dilations,
        group=op.group,
    )
    return add_channels(out, b)


def spread_sizes(op: ops.ConvTranspose, x: Array) -> list[int]:
    return [(n - 1) * s + 1 for n, s in zip(x.shape[2:], op.strides, strict=True)]


def matmul(_: ops.MatMul, a: Array, b: Array) -> Array:
    return numerics.matmul_rows(a, b)


# Elementwise


def divide(_: ops.Div, a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    # Integers are divided towards zero, as in C and ONNX; numpy's // rounds down.
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient)).astype(a.dtype)


def power(_: ops.Pow, a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(np.power(a.astype(np.float64), b.astype(np.float64))).astype(a.dtype)
    if b.dtype.kind == "f" or bool((b < 0).any()):
        return np.asarray(np.power(a.astype(np.float64), b)).astype(a.dtype)
    return np.asarray(np.power(a, b.astype(a.dtype)))


def prelu(_: ops.PRelu, x: Array, slope: Array) -> Array:
    return np.asarray(np.where(x >= 0, x, x * slope))


def cast(op: ops.Cast, x: Array) -> Array:
    return x.astype(DTYPES[op.to])


# Normalisation, in float64


def channels(parameter: Array, x: Array) -> Array:
    return parameter.astype(np.float64).reshape(-1, *[1] * (x.ndim - 2))


def batch_norm(
    op: ops.BatchNorm, x: Array, scale: Array, shift: Array, mean: Array, variance: Array
) -> Array:
    factor = channels(scale, x) / np.sqrt(channels(variance, x) + op.epsilon)
    return ((x - channels(mean, x)) * factor + channels(shift, x)).astype(x.dtype)


def normalised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    count = math.prod(x.shape[i] for i in axes)
    centred = x - numerics.sum_in_order(x, axes, keepdims=True) / count
    variance = numerics.sum_in_order(centred * centred, axes, keepdims=True) / count
    return np.asarray(centred / np.sqrt(variance + epsilon))


def instance_norm(op: ops.InstanceNorm, x: Array, scale: Array, shift: Array) -> Array:
    normal = normalised(x, tuple(range(2, x.ndim)), op.epsilon)
    return (normal * channels(scale, x) + channels(shift, x)).astype(x.dtype)


def layer_norm(op: ops.LayerNorm, x: Array, scale: Array, shift: Array | None = None) -> Array:
    result = normalised(x, tuple(range(op.axis, x.ndim)), op.epsilon) * scale
    return (result if shift is None else result + shift).astype(x.dtype)


def lrn(op: ops.Lrn, x: Array) -> Array:
    before = (op.size - 1) // 2
    squares = x.astype(np.float64) ** 2
    pads = [0] * (2 * x.ndim)
    pads[1], pads[x.ndim + 1] = before, op.size - 1 - before
    padded = numerics.crop_or_pad(squares, pads)
    near = np.lib.stride_tricks.sliding_window_view(padded, op.size, axis=1)
    sums = numerics.sum_in_order(near, (near.ndim - 1,))
    return (x / (op.bias + op.alpha / op.size * sums) ** op.beta).astype(x.dtype)


# Pooling and reduction


def lowest(x: Array) -> Any:
    return -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min


def max_pool(op: ops.MaxPool, x: Array) -> Array:
    windows = numerics.pool_windows(
        x, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode, lowest(x)
    )
    return np.asarray(windows.max(axis=tuple(range(x.ndim, windows.ndim))))


def divisors(op: ops.AvgPool | ops.QAvgPool, x: Array) -> Array:
    return window_divisors(
        x.shape[2:],
        op.kernel,
        op.strides,
        op.pads,
        op.dilations,
        op.ceil_mode,
        op.count_include_pad,
    )


def avg_pool(op: ops.AvgPool, x: Array) -> Array:
    windows = numerics.pool_windows(x, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode)
    sums = numerics.sum_in_order(windows, tuple(range(x.ndim, windows.ndim)))
    return (sums / divisors(op, x)).astype(x.dtype)


def reduce(op: ops.Reduce, x: Array) -> Array:
    if op.kind in {"max", "min"}:
        function = np.max if op.kind == "max" else np.min
        return np.asarray(function(x, axis=op.axes, keepdims=op.keepdims))
    if x.dtype.kind != "f":
        return reduce_integers(op, x)
    return reduce_floats(op, x.astype(np.float64)).astype(x.dtype)


def reduce_floats(op: ops.Reduce, x: Array) -> Array:
    def total(terms: Array) -> Array:
        return numerics.sum_in_order(terms, op.axes, op.keepdims)

    match op.kind:
        case "sum":
            return total(x)
        case "mean":
            return np.asarray(total(x) / math.prod(x.shape[i] for i in op.axes))
        case "prod":
            return np.asarray(np.prod(x, axis=op.axes, keepdims=op.keepdims))
        case "l1":
            return total(np.abs(x))
        case "l2":
            return np.asarray(np.sqrt(total(x * x)))
        case "sum_square":
            return total(x * x)
        case "log_sum":
            return np.asarray(np.log(total(x)))
    return log_sum_exp(op, x)


def log_sum_exp(op: ops.Reduce, x: Array) -> Array:
    top = np.max(x, axis=op.axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    sums = np.log(numerics.sum_in_order(np.exp(x - top), op.axes, keepdims=True)) + top
    return sums if op.keepdims else sums.squeeze(op.axes)


def reduce_integers(op: ops.Reduce, x: Array) -> Array:
    """In int64, except what has no integer definition; back in x's dtype."""
    wide = x.astype(np.int64)
    match op.kind:
        case "sum":
            result = wide.sum(axis=op.axes, keepdims=op.keepdims)
        case "prod":
            result = wide.prod(axis=op.axes, keepdims=op.keepdims)
        case "l1":
            result = np.abs(wide).sum(axis=op.axes, keepdims=op.keepdims)
        case "sum_square":
            result = (wide * wide).sum(axis=op.axes, keepdims=op.keepdims)
        case "mean":
            count = math.prod(x.shape[i] for i in op.axes)
            result = np.trunc(wide.sum(axis=op.axes, keepdims=op.keepdims) / count)
        case _:
            result = np.trunc(reduce_floats(op, x.astype(np.float64)))
    return np.asarray(result).astype(x.dtype)


def arg_max(op: ops.ArgMax, x: Array) -> Array:
    if op.select_last:
        last = np.argmax(np.flip(x, op.axis), axis=op.axis, keepdims=op.keepdims)
        return np.asarray(x.shape[op.axis] - 1 - last).astype(np.int64)
    return np.asarray(np.argmax(x, axis=op.axis, keepdims=op.keepdims)).astype(np.int64)


# Shape


def slice_(op: ops.Slice, x: Array) -> Array:
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(op.starts, op.ends, op.axes, op.steps, strict=True):
        index[axis] = slice(start, None if end < 0 else end, step)
    return x[tuple(index)]


def pad(op: ops.Pad, x: Array) -> Array:
    if op.mode == "constant":
        value = x.dtype.type(op.value)
        return numerics.crop_or_pad(x, op.pads, value)
    cropped = numerics.crop_or_pad(x, [min(p, 0) for p in op.pads])
    begins, ends = op.pads[: x.ndim], op.pads[x.ndim :]
    widths = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
    mode: Any = op.mode
    return np.pad(cropped, widths, mode=mode)


def expand(op: ops.Expand, x: Array) -> Array:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, op.shape))


def gather(op: ops.Gather, x: Array, indices: Array) -> Array:
    size = x.shape[op.axis]
    if indices.size and not -size <= int(indices.min()) <= int(indices.max()) < size:
        message = f"`gather` has an index outside the {size} elements of axis {op.axis}"
        raise NmcError(error("bad-value", message))
    return np.take(x, indices, axis=op.axis)


def depth_to_space(op: ops.DepthToSpace, x: Array) -> Array:
    n, c, h, w = x.shape
    b = op.block
    if op.mode == "DCR":
        blocks = x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, c // b**2, h * b, w * b)


def space_to_depth(op: ops.SpaceToDepth, x: Array) -> Array:
    n, c, h, w = x.shape
    b = op.block
    blocks = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * b**2, h // b, w // b)


def resize(op: ops.Resize, x: Array) -> Array:
    for axis, factor in enumerate(op.factors):
        x = np.repeat(x, factor, axis=axis) if factor > 1 else x
    return x


# Numbers


def dequantize_axis(op: ops.DequantizeAxis, x: Array, scale: Array, zero_point: Array) -> Array:
    shape = [-1 if i == op.axis else 1 for i in range(x.ndim)]
    return numerics.dequantize(x, scale.reshape(shape), zero_point.reshape(shape))


def flip_sign(_: ops.FlipSign, x: Array) -> Array:
    # Adding 128 and subtracting it both flip the top bit.
    return (x.view(np.uint8) ^ np.uint8(128)).view(np.int8 if x.dtype == np.uint8 else np.uint8)


def finish(op: ops.QConv | ops.QMatMul, acc: Array, multiplier: Array) -> Array:
    if op.out == "f32":
        return np.asarray(acc.astype(np.float32) * multiplier)
    return numerics.requantize(acc, multiplier, op.y_zero_point, op.lo, op.hi)


def qconv(op: ops.QConv, x: Array, w: Array, bias: Array, multiplier: Array) -> Array:
    acc = numerics.convolve_integers(
        x,
        w,
        strides=op.strides,
        pads=op.pads,
        dilations=op.dilations,
        group=op.group,
        zero_point=op.x_zero_point,
    )
    per_channel = multiplier.reshape(-1, *[1] * (x.ndim - 2))
    return finish(op, add_channels(acc, bias), per_channel)


def qmatmul(op: ops.QMatMul, x: Array, w: Array, bias: Array, multiplier: Array) -> Array:
    acc = numerics.matmul_integers(x.astype(np.int16) - np.int16(op.x_zero_point), w)
    return finish(op, acc + bias, multiplier)


def qavg_pool(op: ops.QAvgPool, x: Array) -> Array:
    zero = op.x_zero_point
    windows = numerics.pool_windows(
        x, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode, zero
    )
    sums = numerics.pool_sums(windows, zero)
    return numerics.requantize_average(sums, divisors(op, x), op.scale, op.y_zero_point)


def qreduce_mean(op: ops.QReduceMean, x: Array) -> Array:
    count = math.prod(x.shape[i] for i in op.axes)
    sums = x.sum(axis=op.axes, keepdims=op.keepdims, dtype=np.int64) - count * op.x_zero_point
    return numerics.requantize_average(np.asarray(sums), count, op.scale, op.y_zero_point)


KERNELS: dict[type[Op], Kernel] = {
    **{op: numerics.apply_unary for op in OPS if issubclass(op, ops.Unary)},
    # matrices
    ops.Conv: conv,
    ops.ConvTranspose: conv_transpose,
    ops.MatMul: matmul,
    # elementwise
    ops.Add: lambda _, a, b: np.asarray(a + b),
    ops.Sub: lambda _, a, b: np.asarray(a - b),
    ops.Mul: lambda _, a, b: np.asarray(a * b),
    ops.Div: divide,
    ops.Min: lambda _, a, b: np.asarray(np.minimum(a, b)),
    ops.Max: lambda _, a, b: np.asarray(np.maximum(a, b)),
    ops.Pow: power,
    ops.PRelu: prelu,
    # normalisation
    ops.BatchNorm: batch_norm,
    ops.InstanceNorm: instance_norm,
    ops.LayerNorm: layer_norm,
    ops.Lrn: lrn,
    ops.Softmax: lambda op, x: numerics.softmax(x, op.axis),
    ops.LogSoftmax: lambda op, x: numerics.log_softmax(x, op.axis),
    # pooling and reduction
    ops.MaxPool: max_pool,
    ops.AvgPool: avg_pool,
    ops.Reduce: reduce,
    ops.ArgMax: arg_max,
    # shape
    ops.Reshape: lambda op, x: x.reshape(op.shape),
    ops.Transpose: lambda op, x: x.transpose(op.perm),
    ops.Concat: lambda op, *xs: np.concatenate(xs, axis=op.axis),
    ops.Slice: slice_,
    ops.Pad: pad,
    ops.Expand: expand,
    ops.Gather: gather,
    ops.DepthToSpace: depth_to_space,
    ops.SpaceToDepth: space_to_depth,
    ops.Resize: resize,
    ops.Cast: cast,
    # numbers
    ops.Quantize: lambda op, x: numerics.quantize(x, op.scale, op.zero_point, op.dtype),
    ops.Dequantize: lambda op, x: numerics.dequantize(x, op.scale, op.zero_point),
    ops.DequantizeAxis: dequantize_axis,
    ops.FlipSign: flip_sign,
    ops.QConv: qconv,
    ops.QMatMul: qmatmul,
    ops.QAvgPool: qavg_pool,
    ops.QReduceMean: qreduce_mean,
    ops.Lut: lambda _, x, table: numerics.lookup(x, table),
}
"""How each op is computed; every op but `Onnx` is here."""

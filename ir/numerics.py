"""The arithmetic that all engines share: exact by definition, so that equal means equal bytes.

Integers are exact.  Float32 results are defined as: the operands taken to float64, the formula
evaluated there, and the result rounded once to float32.  Float64 keeps 29 bits more than the
result shows, so an engine with its own exp or its own order of operations gives the same bytes
but for a vanishing share of ties; sums run in index order to leave not even that to chance.
(docs/machine.md, Numbers; requantisation is in float32 throughout, as onnxruntime has it.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.ir import ops
from nmc.ir.graph import DTYPES, Array
from nmc.ir.windows import reach, window_counts

__all__ = [
    "UNARY",
    "apply_unary",
    "convolve_integers",
    "crop_or_pad",
    "dequantize",
    "im2col",
    "log_softmax",
    "lookup",
    "matmul_integers",
    "matmul_rows",
    "pool_sums",
    "pool_windows",
    "quantize",
    "requantize",
    "requantize_average",
    "round_half_even",
    "softmax",
    "sum_in_order",
]

Doubles = npt.NDArray[np.float64]

EXACT_IN_F32 = 1 << 24
EXACT_IN_F64 = 1 << 53


# Between reals and stored integers


def round_half_even(x: Array) -> Array:
    return np.rint(x)


def saturate(x: Array, low: int, high: int, dtype: npt.DTypeLike) -> Array:
    """Float integers to stored ones; NaN becomes `low`, as it does in onnxruntime's kernels."""
    return np.fmin(np.fmax(x, low), high).astype(dtype)


def quantize(x: Array, scale: float | Array, zero_point: int | Array, dtype: str) -> Array:
    """clip(round_half_even(x / scale) + zero_point) with a float32 division, as ONNX has it.

    `dtype` is one of our names, such as `u8`.
    """
    info = np.iinfo(DTYPES[dtype])
    with np.errstate(all="ignore"):
        stored = np.rint(np.asarray(x, np.float32) / np.asarray(scale, np.float32))
        # To float64 before adding: an int32's range is more than float32 can add to exactly.
        return saturate(stored.astype(np.float64) + zero_point, info.min, info.max, info.dtype)


def dequantize(x: Array, scale: float | Array, zero_point: int | Array) -> Array:
    """float32(x - zero_point) * scale in float32."""
    centred = x.astype(np.int64) - np.asarray(zero_point, np.int64)
    return centred.astype(np.float32) * np.asarray(scale, np.float32)


def requantize(acc: Array, multiplier: Array, zero_point: int, lo: int, hi: int) -> Array:
    """u8 clip(round_half_even(float32(acc) * multiplier) + zero_point, lo, hi), all in float32.

    `multiplier` broadcasts against the int32 accumulators.
    """
    scaled = np.rint(acc.astype(np.float32) * np.asarray(multiplier, np.float32))
    # The sum is exact where it matters: past 2**24 the clip decides.
    return saturate(scaled + np.float32(zero_point), lo, hi, np.uint8)


def requantize_average(sums: Array, divisors: Array | int, scale: float, zero_point: int) -> Array:
    """u8 of exact integer sums of (x - x_zero_point) over `divisors` elements each.

    The multiplier is float32(scale / divisor), divided in float64.
    """
    multiplier = (np.float64(scale) / np.asarray(divisors, np.float64)).astype(np.float32)
    return requantize(sums, multiplier, zero_point, 0, 255)


def lookup(x: Array, table: Array) -> Array:
    """table[x] for u8 x."""
    return np.asarray(table[x])


# Integer matrices


def matmul_integers(x: Array, w: Array) -> Array:
    """int32 x @ w of small integers, exact; sums that leave int32 wrap as the adders would.

    BLAS multiplies floats far faster than numpy multiplies integers.  No partial sum exceeds
    max|x| times a column's sum of |w|, so float32 or float64 is chosen to hold that exactly.
    """
    bound = peak(x) * int(np.abs(w.astype(np.int64)).sum(axis=-2).max(initial=0))
    dtype = exact_float(bound)
    return narrow(matmul_rows(x.astype(dtype), w.astype(dtype)))


def matmul_rows(a: Array, b: Array) -> Array:
    """numpy's matmul, as one product where all of a's rows meet the same matrix."""
    if a.ndim > 2 and b.ndim == 2:
        flat = a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) @ b
        return flat.reshape(*a.shape[:-1], b.shape[-1])
    return np.asarray(np.matmul(a, b))


def convolve_integers(
    x: Array,
    w: Array,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
    zero_point: int,
) -> Array:
    """int32[N,M,*out] sum of (x - zero_point) * w; padding counts as zero.  Exact, see above."""
    bound = 255 * int(np.abs(w.astype(np.int64)).reshape(len(w), -1).sum(axis=1).max(initial=0))
    dtype = exact_float(bound)
    centred = x.astype(dtype) - dtype.type(zero_point)
    window = {"strides": strides, "pads": pads, "dilations": dilations}
    return narrow(convolve(centred, w.astype(dtype), group=group, **window))


def exact_float(bound: int) -> np.dtype[Any]:
    """The smallest float type in which sums up to `bound` are exact in any order."""
    if bound >= EXACT_IN_F64:
        raise OverflowError(f"sums up to {bound} are not exact in float64")
    return np.dtype(np.float32 if bound < EXACT_IN_F32 else np.float64)


def peak(x: Array) -> int:
    return max(abs(int(x.max(initial=0))), abs(int(x.min(initial=0))))


def narrow(sums: Array) -> Array:
    return sums.astype(np.int64).astype(np.int32)


# Windows


def crop_or_pad(x: Array, pads: Sequence[int], value: float = 0) -> Array:
    """Constant padding of all axes; begins, then ends; negative ones crop, after the padding."""
    widths = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    if max(pads, default=0) > 0:
        grown = [(max(begin, 0), max(end, 0)) for begin, end in widths]
        x = np.pad(x, grown, constant_values=value)
    if min(pads, default=0) < 0:
        shrunk = [(max(-begin, 0), max(-end, 0)) for begin, end in widths]
        kept = zip(shrunk, x.shape, strict=True)
        x = x[tuple(slice(begin, max(n - end, begin)) for (begin, end), n in kept)]
    return x


def pool_windows(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    ceil_mode: bool = False,
    value: float = 0,
) -> Array:
    """A view [N, C, *counts, *kernel] of x[N, C, *sizes], padded with `value`.

    Where `ceil_mode` lets a window reach beyond the padding, it finds `value` there, too.
    """
    rank = len(kernel)
    counts = window_counts(x.shape[2:], kernel, strides, pads, dilations, ceil_mode)
    reaches = [reach(k, d) for k, d in zip(kernel, dilations, strict=True)]
    ends = [
        (count - 1) * stride + length - size - before
        for count, stride, length, size, before in zip(
            counts, strides, reaches, x.shape[2:], pads[:rank], strict=True
        )
    ]
    x = crop_or_pad(x, [0, 0, *pads[:rank], 0, 0, *ends], value)
    view = np.lib.stride_tricks.sliding_window_view(x, reaches, axis=tuple(range(2, 2 + rank)))
    steps = [slice(None, None, s) for s in (*strides, *dilations)]
    return np.asarray(view[(slice(None), slice(None), *steps)])


def pool_sums(windows: Array, zero_point: int = 0) -> Array:
    """Exact int64 sums over the kernel axes of `pool_windows` of stored integers.

    The caller pads with `zero_point`, so that padding counts as zero.
    """
    rank = (windows.ndim - 2) // 2
    kernel = windows.shape[2 + rank :]
    sums = windows.sum(axis=tuple(range(2 + rank, windows.ndim)), dtype=np.int64)
    return np.asarray(sums - math.prod(kernel) * zero_point)


def im2col(windows: Array) -> Array:
    """[N, C * kernel elements, places] of `pool_windows`; a matrix to multiply weights with."""
    rank = (windows.ndim - 2) // 2
    order = (0, 1, *range(2 + rank, windows.ndim), *range(2, 2 + rank))
    places = math.prod(windows.shape[2 : 2 + rank])
    rows = math.prod(windows.shape[2 + rank :]) * windows.shape[1]
    return windows.transpose(order).reshape(len(windows), rows, places)


COLUMN_BYTES = 1 << 26
"""About how much memory `convolve` may spend on the columns of several samples at once."""


def convolve(
    x: Array,
    w: Array,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Array:
    """[N,M,*out] in the dtype of x and w, by im2col and BLAS; several samples at a time."""
    kernel = w.shape[2:]
    counts = window_counts(x.shape[2:], kernel, strides, pads, dilations)
    places = math.prod(counts)
    sample_bytes = math.prod(w.shape[1:]) * group * places * x.itemsize
    step = max(1, COLUMN_BYTES // max(sample_bytes, 1))
    rows = math.prod(w.shape[1:])
    matrix = w.reshape(group, len(w) // group, rows)
    out = np.empty((len(x), group, len(w) // group, places), x.dtype)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        columns = im2col(pool_windows(part, kernel, strides, pads, dilations))
        np.matmul(
            matrix, columns.reshape(len(part), group, rows, places), out[start : start + step]
        )
    return out.reshape(len(x), len(w), *counts)


# Sums and softmax


def sum_in_order(x: Array, axes: Sequence[int], keepdims: bool = False) -> Doubles:
    """Float64 sum over axes, adding one element after the other in index order."""
    kept = [i for i in range(x.ndim) if i not in axes]
    moved = x.astype(np.float64).transpose(*kept, *axes)
    shape = [x.shape[i] for i in kept]
    rows = moved.reshape(*shape, math.prod(x.shape[i] for i in axes))
    if rows.shape[-1] == 0:
        sums = np.zeros(shape)
    else:
        sums = np.add.accumulate(rows, axis=-1)[..., -1]
    return np.expand_dims(sums, tuple(sorted(axes))) if keepdims else sums


def exponentials(x: Array, axis: int) -> tuple[Doubles, Doubles, Doubles]:
    """x less its maximum, the exponentials of that, and their sum along the axis; in float64."""
    shifted = x.astype(np.float64)
    shifted = shifted - shifted.max(axis=axis, keepdims=True, initial=-np.inf)
    powers = np.exp(shifted)
    return shifted, powers, sum_in_order(powers, (axis,), keepdims=True)


def softmax(x: Array, axis: int) -> Array:
    with np.errstate(all="ignore"):
        _, powers, total = exponentials(x, axis)
        return (powers / total).astype(x.dtype)


def log_softmax(x: Array, axis: int) -> Array:
    with np.errstate(all="ignore"):
        shifted, _, total = exponentials(x, axis)
        return (shifted - np.log(total)).astype(x.dtype)


# Functions of one variable


def apply_unary(op: ops.Unary, x: Array) -> Array:
    """The op on every element, in x's dtype: evaluated in float64 and rounded once."""
    if x.dtype.kind in "iub":
        return apply_unary_integer(op, x)
    with np.errstate(all="ignore"):
        return np.asarray(UNARY[type(op)](op, x.astype(np.float64))).astype(x.dtype)


def apply_unary_integer(op: ops.Unary, x: Array) -> Array:
    match op:
        case ops.Relu():
            return np.asarray(np.maximum(x, x.dtype.type(0)))
        case ops.Clip(lo=lo, hi=hi):
            info = np.iinfo(x.dtype)
            low = info.min if lo <= info.min else min(math.ceil(lo), info.max)
            high = info.max if hi >= info.max else max(math.floor(hi), info.min)
            return np.clip(x, x.dtype.type(low), x.dtype.type(high))
        case ops.Abs():
            return np.abs(x)
        case ops.Neg():
            return np.negative(x)
        case ops.Sign():
            return np.asarray(np.sign(x))
    raise TypeError(f"{op.name} is not defined on integers")


def sigmoid(x: Doubles) -> Doubles:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def hard_sigmoid(x: Doubles, alpha: float, beta: float) -> Doubles:
    return np.clip(alpha * x + beta, 0, 1)


def erf(x: Doubles) -> Doubles:
    # numpy has none.  The C library's, called for each element, beats a vectorised polynomial.
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), np.float64)


def gelu(x: Doubles, approximate: str) -> Doubles:
    if approximate == "tanh":
        bend = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        bend = erf(x / math.sqrt(2))
    return np.asarray(0.5 * x * (1 + bend), np.float64)


def softplus(x: Doubles) -> Doubles:
    return np.logaddexp(0, x)


def elu(x: Doubles, alpha: float, width: float = 1.0) -> Doubles:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / width))


UNARY: dict[type[ops.Op], Callable[[Any, Doubles], Doubles]] = {
    ops.Relu: lambda _, x: np.maximum(x, 0),
    ops.LeakyRelu: lambda op, x: np.where(x >= 0, x, op.alpha * x),
    ops.Clip: lambda op, x: np.minimum(np.maximum(x, op.lo), op.hi),
    ops.Sigmoid: lambda _, x: sigmoid(x),
    ops.HardSigmoid: lambda op, x: hard_sigmoid(x, op.alpha, op.beta),
    ops.HardSwish: lambda _, x: x * hard_sigmoid(x, 1 / 6, 0.5),
    ops.Tanh: lambda _, x: np.tanh(x),
    ops.Exp: lambda _, x: np.exp(x),
    ops.Log: lambda _, x: np.log(x),
    ops.Sqrt: lambda _, x: np.sqrt(x),
    ops.Reciprocal: lambda _, x: 1 / x,
    ops.Abs: lambda _, x: np.abs(x),
    ops.Neg: lambda _, x: np.negative(x),
    ops.Sign: lambda _, x: np.sign(x),
    ops.Erf: lambda _, x: erf(x),
    ops.Gelu: lambda op, x: gelu(x, op.approximate),
    ops.Elu: lambda op, x: elu(x, op.alpha),
    ops.Selu: lambda op, x: op.gamma * elu(x, op.alpha),
    ops.Celu: lambda op, x: elu(x, op.alpha, op.alpha),
    ops.Softplus: lambda _, x: softplus(x),
    ops.Softsign: lambda _, x: x / (1 + np.abs(x)),
    ops.Mish: lambda _, x: x * np.tanh(softplus(x)),
    ops.ThresholdedRelu: lambda op, x: np.where(x > op.alpha, x, 0.0),
    ops.Floor: lambda _, x: np.floor(x),
    ops.Ceil: lambda _, x: np.ceil(x),
    ops.Round: lambda _, x: np.rint(x),
}
"""Each one-operand op on float64; `apply_unary` is the door."""

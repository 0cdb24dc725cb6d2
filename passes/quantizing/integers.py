"""The numbers of the quantised dialect: integer weights and biases, multipliers, tables.

Scales are float32, and so are products and quotients of them, in the order in which onnxruntime
computes them: float32(float32(s_x * s_w) / s_y).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc.ir import numerics
from nmc.ir.calibration import TINY
from nmc.ir.constants import StoredIntegers
from nmc.ir.graph import Array, Quant

__all__ = [
    "Weights",
    "all_reals",
    "bias_integers",
    "bound",
    "float_weights",
    "multipliers",
    "stored_bound",
    "stored_weights",
    "table_of",
]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BLOCK = 1 << 18
"""Weights worked on at a time, in float64."""

INT32_MAX = (1 << 31) - 1
LARGEST_BIAS = 1 << 30
"""Half of int32 is left to the sum of products."""

ONLY_BIAS = 1 << 24
"""What the bias of a channel without weights becomes: float32 holds it, with all the precision."""


@dataclass(frozen=True, slots=True)
class Weights:
    """i8 weights in the layout of their op, and one f32 scale per output channel.

    `changed` counts the channels that a model brought in integers and that had to be requantised
    because the machine's weights are symmetric and of its own width.
    """

    data: Array
    scale: Floats
    changed: int = 0


def along(scale: Array, axis: int, rank: int) -> Array:
    """A vector per channel, shaped so that it broadcasts along the channels' axis."""
    return scale.reshape([-1 if i == axis else 1 for i in range(rank)])


def others(rank: int, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i != axis)


def float_weights(w: Array, axis: int, bias: Array | None, x_scale: float, bits: int) -> Weights:
    """Symmetric integers of `bits` bits per output channel.

    The scale of a channel is at least what keeps its bias within int32: a channel of tiny weights
    with an ordinary bias, as batch normalisation leaves behind, loses weights that don't matter
    rather than its bias.
    """
    limit = (1 << (bits - 1)) - 1
    axes = others(w.ndim, axis)
    peaks = np.maximum(w.max(axis=axes, initial=0), -w.min(axis=axes, initial=0)).astype(np.float64)
    biases = np.zeros_like(peaks) if bias is None else np.abs(bias.astype(np.float64))
    scale = np.maximum(peaks / limit, biases / (x_scale * LARGEST_BIAS))
    alone = np.where(biases > 0, biases / (x_scale * ONLY_BIAS), 1.0)
    scale = np.where(peaks > 0, scale, alone)
    scale = np.maximum(scale, TINY / min(x_scale, 1.0)).astype(np.float32)
    divisors = np.broadcast_to(along(scale.astype(np.float64), axis, w.ndim), w.shape)
    data = np.empty(w.shape, np.int8)
    step = max(1, BLOCK * len(w) // max(w.size, 1))
    for part in (slice(start, start + step) for start in range(0, len(w), step)):
        data[part] = np.clip(np.rint(w[part] / divisors[part]), -limit, limit)
    return Weights(data, scale)


def stored_weights(stored: StoredIntegers, axis: int, bits: int) -> Weights | None:
    """A model's own integers, less their zero points; None if scales depend on other axes.

    Channels whose centred integers exceed what the machine holds are requantised by whichever of
    clipping and rescaling has the smaller squared error.
    """
    rank = stored.data.ndim
    if any(stored.scale.shape[i] > 1 for i in others(rank, axis)):
        return None
    limit = (1 << (bits - 1)) - 1
    centred = stored.centred.astype(np.float64)
    scale = np.broadcast_to(stored.scale.reshape(-1), (centred.shape[axis],)).astype(np.float32)
    peaks = np.abs(centred).max(axis=others(rank, axis), initial=0)
    beyond = peaks > limit
    if not beyond.any():
        return Weights(centred.astype(np.int8), scale)
    clipped = np.clip(centred, -limit, limit)
    shrink = np.maximum(peaks / limit, 1.0)
    factors = along(shrink, axis, rank)
    rescaled = np.rint(centred / factors)
    errors = [
        ((candidate - centred) ** 2).sum(axis=others(rank, axis))
        for candidate in (clipped, rescaled * factors)
    ]
    rescale = beyond & (errors[1] < errors[0])
    data = np.where(along(rescale, axis, rank), rescaled, clipped)
    scale = (scale * np.where(rescale, shrink, 1.0)).astype(np.float32)
    return Weights(data.astype(np.int8), scale, int(beyond.sum()))


def bias_integers(bias: Array | None, x_scale: float, w_scale: Floats) -> Array:
    """i32 at s_x * s_w, round half to even; zeros where there is no bias."""
    if bias is None:
        return np.zeros(w_scale.shape, np.int32)
    steps = (np.float32(x_scale) * w_scale).astype(np.float64)
    return np.clip(np.rint(bias.astype(np.float64) / steps), -INT32_MAX, INT32_MAX).astype(np.int32)


def multipliers(x_scale: float, w_scale: Floats, y_scale: float | None) -> Floats:
    """f32 from accumulators to the result's integers, or to reals where it has no scale."""
    products = np.float32(x_scale) * w_scale
    return products if y_scale is None else products / np.float32(y_scale)


def bound(weights: Weights, axis: int, bias: Array, zero_point: int, bits: int) -> int:
    """The largest magnitude that anything summed in an accumulator can have.

    That is, per channel: the sum of x * w for raw x, the bias with the zero point folded in, and
    what both give together.
    """
    top = (1 << bits) - 1
    axes = others(weights.data.ndim, axis)
    plus = np.maximum(weights.data, 0).sum(axis=axes, dtype=np.int64)
    minus = plus - weights.data.sum(axis=axes, dtype=np.int64)
    folded = bias.astype(np.int64) - zero_point * (plus - minus)
    least, most = -top * minus, top * plus
    ends = (least, most, folded, least + folded, most + folded)
    return max(int(np.abs(end).max(initial=0)) for end in ends)


def stored_bound(value: float, quant: Quant, least: int = 0, most: int = 255) -> int:
    """The stored integer that a real becomes, within least..most; infinite ones the ends."""
    stored = numerics.quantize(np.array([value], np.float32), quant.scale, quant.zero_point, "u8")
    return int(np.clip(int(stored[0]), least, most))


def table_of(reals: Array, quant: Quant) -> Array:
    """u8[256] of the real results for all stored integers."""
    return numerics.quantize(reals, quant.scale, quant.zero_point, "u8")


def all_reals(quant: Quant) -> Array:
    """f32[256]: what each stored integer means."""
    return numerics.dequantize(np.arange(256), quant.scale, quant.zero_point)

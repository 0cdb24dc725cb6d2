"""Weights as levels of cells, and the product that such cells and an ADC compute.

Exactly docs/machine.md, Numbers: inputs are applied in phases of `dac_bits`, weights lie in slices
of `cell_bits`, both least significant first; each channel's value is converted in each phase, and
shift-and-add puts the codes together.  Channel of output j, slice s: j * slices + s.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from nmc.ir.graph import Array

__all__ = [
    "code_range",
    "column_bounds",
    "convert",
    "join_levels",
    "lossless",
    "slice_levels",
    "sliced_product",
]

EXACT_IN_F32 = 1 << 24


def slice_levels(
    weights: Array,
    *,
    cell_bits: int,
    slices: int,
    encoding: str = "differential",
    weight_bits: int = 8,
) -> Array:
    """int8[rows, outputs * slices] levels of integer weights [rows, outputs].

    Differential: sign and magnitude, the sign given to each slice (a pair holds plus minus minus).
    Offset and reference: unsigned slices of weight + 2^(weight_bits - 1).  ValueError if a weight
    does not fit into the slices, or a level not into int8.
    """
    digits = digits_of_weights(cell_bits, slices, encoding, weight_bits)
    least = 1 - (1 << (cell_bits * slices))
    if encoding != "differential":
        least = -(1 << (weight_bits - 1))
    places = np.asarray(weights, np.intp) - least
    if places.size and not 0 <= int(places.min()) <= int(places.max()) < len(digits):
        raise ValueError(f"weights do not fit into {slices} slices of {cell_bits} bits")
    levels = np.take(digits, places, axis=0).reshape(len(places), -1)
    if levels.dtype != np.int8 and levels.size and int(levels.max()) > np.iinfo(np.int8).max:
        raise ValueError(f"levels of {cell_bits} bits do not fit into int8")
    return levels.astype(np.int8, copy=False)


@cache
def digits_of_weights(cell_bits: int, slices: int, encoding: str, weight_bits: int) -> Array:
    """[weights, slices]: the levels of each weight that has room in the slices, the least first.

    There are few weights and many cells: to look levels up is ten times faster than to work them
    out.
    """
    stored = np.arange(1 << (cell_bits * slices))[:, None]
    digits = stored >> (cell_bits * np.arange(slices)) & ((1 << cell_bits) - 1)
    if encoding == "differential":
        digits = np.concatenate([-digits[:0:-1], digits])
    found = digits.astype(np.min_scalar_type(-int(digits.max()) - 1))
    found.flags.writeable = False
    return found


def join_levels(
    levels: Array,
    slices: int,
    cell_bits: int,
    *,
    encoding: str = "differential",
    weight_bits: int = 8,
) -> Array:
    """int32[rows, outputs] weights that levels stand for; inverse of `slice_levels`."""
    digits = levels.astype(np.int32).reshape(levels.shape[0], -1, slices)
    weights = (digits << (cell_bits * np.arange(slices, dtype=np.int32))).sum(-1, dtype=np.int32)
    if encoding != "differential":
        weights -= np.int32(1 << (weight_bits - 1))
    return np.asarray(weights)


def column_bounds(levels: Array, dac_bits: int) -> tuple[Array, Array]:
    """Least and greatest value, in level units, of each channel in a phase: i64[channels] each."""
    digit = (1 << dac_bits) - 1
    wide = levels.astype(np.int64)
    return np.minimum(wide, 0).sum(axis=0) * digit, np.maximum(wide, 0).sum(axis=0) * digit


def code_range(bits: int, encoding: str = "differential") -> tuple[int, int]:
    """Least and greatest ADC code: signed where a difference is converted."""
    if encoding == "offset":
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def convert(c: Array, step: int, bits: int, encoding: str = "differential") -> Array:
    """What an ADC makes of channel values: clip(round_half_even(c / step), lo, hi) * step, i64."""
    lo, hi = code_range(bits, encoding)
    # In float64 the quotient of two integers below 2^32 is never rounded onto a tie.
    codes = np.clip(np.rint(np.asarray(c, np.float64) / step), lo, hi)
    return codes.astype(np.int64) * step


def lossless(
    levels: Array,
    *,
    slices: int,
    dac_bits: int,
    bits: Sequence[int],
    steps: Sequence[int],
    converted: Sequence[bool],
    encoding: str = "differential",
) -> bool:
    """Whether no conversion of these levels can lose anything, whatever the inputs."""
    least, most = column_bounds(levels, dac_bits)
    for s in range(slices):
        low, high = int(least[s::slices].min(initial=0)), int(most[s::slices].max(initial=0))
        if not converted[s]:
            if low or high:
                return False
            continue
        lo, hi = code_range(bits[s], encoding)
        # A step of more than 1 is exact for nothing but zero.
        if (low or high) and not (steps[s] == 1 and lo <= low and high <= hi):
            return False
    return True


def sliced_product(
    x: Array,
    levels: Array,
    *,
    slices: int,
    cell_bits: int,
    dac_bits: int,
    input_bits: int,
    bits: Sequence[int],
    steps: Sequence[int],
    converted: Sequence[bool],
    encoding: str = "differential",
    weight_bits: int = 8,
) -> Array:
    """int32[..., outputs] of u8 x[..., rows] and levels int8[rows, outputs * slices].

    `bits`, `steps` and `converted` have one entry per slice; a slice that is not converted counts
    as zero.  With the offset encoding, what was added to the weights is taken off again with the
    sum of x, as if the unit column were read without loss.
    """
    shape = (*x.shape[:-1], levels.shape[1] // slices, slices)
    matrix = levels.astype(exact_float(levels, dac_bits))
    total = np.zeros(shape[:-1], np.int64)
    for phase in range(-(-input_bits // dac_bits)):
        digits = x >> np.uint8(dac_bits * phase) & np.uint8((1 << dac_bits) - 1)
        values = np.matmul(digits.astype(matrix.dtype), matrix).reshape(shape)
        for s in range(slices):
            if converted[s]:
                codes = convert(values[..., s], steps[s], bits[s], encoding)
                total += codes << (dac_bits * phase + cell_bits * s)
    if encoding != "differential":
        total -= x.sum(axis=-1, dtype=np.int64)[..., None] << (weight_bits - 1)
    return total.astype(np.int32)


def exact_float(levels: Array, dac_bits: int) -> type[np.floating]:
    """The smallest float type in which a BLAS product of digits and levels is exact."""
    least, most = column_bounds(levels, dac_bits)
    peak = max(-int(least.min(initial=0)), int(most.max(initial=0)))
    return np.float32 if peak < EXACT_IN_F32 else np.float64

"""Read plans phase by phase, slice by slice and conversion by conversion, on packed bits.

An input digit and a level are bits; in what a channel shows, each pair of them is the number of
rows in which both are set.  So inputs are packed by bit, levels by bit of their two's complement,
and 32 rows are multiplied and summed by an AND and a population count.  Each value goes through its
ADC: quantised, clipped, shifted and added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast.jit import compiled, inlined, popcount32
from nmc.backends.simulator.reads import (
    encoding_of,
    offset_factor,
    seen_levels,
    unit_column_fits,
    unit_sign,
    weights,
)
from nmc.ir.numerics import exact_float
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.target import Target

__all__ = ["PackedTile", "lossy_outputs", "sliced_plan"]

Bytes = npt.NDArray[np.uint8]
Packed = npt.NDArray[np.uint32]
Words = npt.NDArray[np.int32]

GROUP = 4
"""Words of 32 rows that are summed at a time; rows are filled up to a multiple with zeros."""

BLOCK = 256
"""Channels that are worked on at a time, so that their bits stay in the nearest cache."""

PAD = 16
"""Channels that are left free between runs of words, which else would share lines of the cache."""


def sliced_plan(
    plan: ReadPlan, tiles: Sequence[TileImage], target: Target, *, every: bool = False
) -> Callable[[Bytes], Words]:
    """u8[lanes, input_bytes] to i32[lanes, outputs].

    Outputs of a tile whose conversions can lose nothing, whatever the inputs, are products of
    integers; with `every` they are converted like all others.
    """
    matrix = np.zeros((plan.input_bytes, plan.outputs), np.int64)
    parts: list[PackedTile] = []
    for read in plan.reads:
        tile = tiles[read.tile]
        lossy = np.ones(tile.outputs, np.bool_) if every else lossy_outputs(read, tile, target)
        exact = np.flatnonzero(~lossy)
        rows = slice(read.input0, read.input0 + tile.rows)
        matrix[rows, read.output0 + exact] += weights(tile, target)[:, exact]
        if lossy.any():
            parts.append(PackedTile.of(read, tile, target, np.flatnonzero(lossy)))
    dtype: np.dtype[Any] = exact_float(255 * int(np.abs(matrix).sum(axis=0).max(initial=0)))
    product = matrix.astype(dtype) if matrix.any() else None

    def kernel(x: Bytes) -> Words:
        if product is None:
            sums = np.zeros((len(x), plan.outputs), np.int32)
        else:
            sums = (x.astype(dtype) @ product).astype(np.int64).astype(np.int32)
        for part in parts:
            part.add(x, sums)
        return sums

    return kernel


def lossy_outputs(read: TileRead, tile: TileImage, target: Target) -> npt.NDArray[np.bool_]:
    """bool[outputs]: whether any conversion could lose anything, as `reads.lossless` has it."""
    levels = seen_levels(tile, target) * target.crossbar.max_digit
    most, least = np.maximum(levels, 0).sum(axis=0), np.minimum(levels, 0).sum(axis=0)
    if tile.encoding != "differential" and not unit_column_fits(read, tile, target):
        return np.ones(tile.outputs, np.bool_)
    lossy = np.zeros(tile.outputs, np.bool_)
    for s in range(tile.slices):
        if read.converted[s] and read.steps[s] == 1:
            lo, hi = target.code_range(encoding_of(tile), read.bits[s])
            lossy |= (least[:, s] < lo) | (most[:, s] > hi)
        else:
            lossy |= (least[:, s] < 0) | (most[:, s] > 0)
    return lossy


@dataclass(frozen=True, slots=True)
class PackedTile:
    """One tile's read.  `bits` are u32[blocks of channels, planes, words, channels]; channels are
    those of the slices that are converted, all of a slice's outputs next to each other.

    `slices` has, of each of them: step, lo, hi, shift; `unit` the same of the unit column, with
    its factor in the place of the shift (0: there is none) and its sign at the end.
    """

    rows: slice
    columns: npt.NDArray[np.int64]
    bits: Packed
    planes: int
    signed: bool
    slices: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    digits: tuple[int, int]
    """Phases, and bits of a digit."""

    @staticmethod
    def of(
        read: TileRead, tile: TileImage, target: Target, outputs: npt.NDArray[np.int64]
    ) -> PackedTile:
        levels = seen_levels(tile, target)[:, outputs][:, :, list(read.converted)]
        least, most = int(levels.min(initial=0)), int(levels.max(initial=0))
        planes = max(most.bit_length(), (-least - 1).bit_length() if least < 0 else 0, 1)
        signed = least < 0
        channels = levels.transpose(2, 1, 0).reshape(levels[0].size, tile.rows)
        kept = [s for s in range(tile.slices) if read.converted[s]]
        table = [adc_row(read, tile, target, s) for s in kept]
        unit = [*adc_row(read, tile, target, 0)[:3], offset_factor(tile, target), unit_sign(tile)]
        unit[3] *= unit[4]
        return PackedTile(
            slice(read.input0, read.input0 + tile.rows),
            read.output0 + outputs,
            packed_levels(channels, planes + signed),
            planes + signed,
            signed,
            np.asarray(table, np.int64).reshape(len(kept), 4),
            np.asarray(unit, np.int64),
            (target.phases, target.crossbar.dac_bits),
        )

    def add(self, x: Bytes, sums: Words) -> None:
        """sums[:, columns] += what this tile gives to x[:, rows]."""
        inputs = pack_inputs(np.ascontiguousarray(x[:, self.rows]))
        part = np.zeros((len(x), len(self.columns)), np.int32)
        values = np.zeros(self.bits.shape[3], np.int32)
        add_tile(inputs, self.bits, self.signed, self.slices, self.unit, self.digits, values, part)
        first, count = int(self.columns[0]), len(self.columns)
        if int(self.columns[-1]) == first + count - 1:
            sums[:, first : first + count] += part
        else:
            sums[:, self.columns] += part


def adc_row(read: TileRead, tile: TileImage, target: Target, s: int) -> list[int]:
    lo, hi = target.code_range(encoding_of(tile), read.bits[s])
    return [read.steps[s], lo, hi, target.crossbar.cell_bits * s]


def words_of(rows: int) -> int:
    return -(-rows // (32 * GROUP)) * GROUP


def packed_levels(channels: npt.NDArray[np.int64], planes: int) -> Packed:
    """Of levels [channels, rows]: u32[blocks, planes, words, channels and PAD]."""
    count, rows = channels.shape
    width = min(BLOCK, max(count, 1))
    blocks = -(-count // width)
    full = np.zeros((blocks * width, words_of(rows) * 32), np.int64)
    full[:count, :rows] = channels
    bits = (full[None] >> np.arange(planes)[:, None, None] & 1).astype(np.uint8)
    words = np.packbits(bits, axis=2, bitorder="little").view("<u4")
    shaped = words.reshape(planes, blocks, width, words_of(rows))
    packed = np.zeros((blocks, planes, words.shape[2], width + PAD), np.uint32)
    packed[:, :, :, :width] = shaped.transpose(1, 0, 3, 2)
    return packed


# Kernels


@compiled
def spread_bits(x: Bytes, packed: Bytes) -> None:
    """Bit b of x[lane, r] to bit r % 8 of packed[lane, b, r // 8]; rows in eights."""
    for lane in range(x.shape[0]):
        for group in range(x.shape[1] // 8):
            word = np.uint64(0)
            for i in range(8):
                word |= np.uint64(x[lane, 8 * group + i]) << np.uint64(8 * i)
            word = transposed(word)
            for bit in range(8):
                packed[lane, bit, group] = np.uint8((word >> np.uint64(8 * bit)) & np.uint64(255))


@inlined
def transposed(word: np.uint64) -> np.uint64:
    """Eight bytes as a matrix of bits, mirrored (Warren, Hacker's Delight, 7-3)."""
    swap = (word ^ (word >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    word = word ^ swap ^ (swap << np.uint64(7))
    swap = (word ^ (word >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    word = word ^ swap ^ (swap << np.uint64(14))
    swap = (word ^ (word >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return word ^ swap ^ (swap << np.uint64(28))


def pack_inputs(x: Bytes) -> Packed:
    """u32[lanes, bits of a byte, words]."""
    lanes, rows = x.shape
    padded = x
    if rows % 8:
        padded = np.zeros((lanes, -(-rows // 8) * 8), np.uint8)
        padded[:, :rows] = x
    packed = np.zeros((lanes, 8, words_of(rows) * 4), np.uint8)
    spread_bits(padded, packed)
    return packed.view("<u4").view(np.uint32)


@compiled
def add_tile(
    inputs: Packed,
    bits: Packed,
    signed: bool,
    slices: npt.NDArray[np.int64],
    unit: npt.NDArray[np.int64],
    digits: tuple[int, int],
    values: Words,
    sums: Words,
) -> None:
    """Add what a tile gives in all phases to sums i32[lanes, outputs]."""
    outputs = sums.shape[1]
    width = bits.shape[3] - PAD
    for block in range(bits.shape[0]):
        first = block * width
        after = min(first + width, outputs * slices.shape[0])
        for lane in range(inputs.shape[0]):
            for phase in range(digits[0]):
                channel_values(inputs[lane], bits[block], signed, phase, digits[1], values)
                convert_block(values, first, after, slices, phase * digits[1], sums[lane])
    if unit[3]:
        for lane in range(inputs.shape[0]):
            for phase in range(digits[0]):
                add_unit(inputs[lane], unit, phase, digits[1], sums[lane])


@inlined
def channel_values(
    inputs: Packed, bits: Packed, signed: bool, phase: int, dac_bits: int, values: Words
) -> None:
    """What the channels of a block show in one phase, in level units."""
    planes, words, _ = bits.shape
    for n in range(len(values)):
        values[n] = 0
    for digit in range(dac_bits):
        x = inputs[min(phase * dac_bits + digit, 7)]
        if phase * dac_bits + digit > 7:
            continue
        for word in range(0, words, GROUP):
            if planes == 3 and signed:
                add_three(x, bits, word, digit, values)
            else:
                for plane in range(planes):
                    sign = -1 if signed and plane == planes - 1 else 1
                    add_plane(x, bits[plane], word, digit + plane, sign, values)


@inlined
def add_plane(x: Packed, bits: Packed, word: int, shift: int, sign: int, values: Words) -> None:
    a, b, c, d = x[word], x[word + 1], x[word + 2], x[word + 3]
    p, q, r, s = bits[word], bits[word + 1], bits[word + 2], bits[word + 3]
    factor = np.int32(sign << shift)
    for n in range(len(values) - PAD):
        count = popcount32(a & p[n]) + popcount32(b & q[n])
        count += popcount32(c & r[n]) + popcount32(d & s[n])
        values[n] += np.int32(factor * count)


@inlined
def add_three(x: Packed, bits: Packed, word: int, shift: int, values: Words) -> None:
    """Levels of -4..3 at one go: the commonest, pairs of 2-bit cells."""
    a, b, c, d = x[word], x[word + 1], x[word + 2], x[word + 3]
    p, q, r, s = bits[0, word], bits[0, word + 1], bits[0, word + 2], bits[0, word + 3]
    p1, q1, r1, s1 = bits[1, word], bits[1, word + 1], bits[1, word + 2], bits[1, word + 3]
    p2, q2, r2, s2 = bits[2, word], bits[2, word + 1], bits[2, word + 2], bits[2, word + 3]
    factor = np.int32(1 << shift)
    for n in range(len(values) - PAD):
        low = popcount32(a & p[n]) + popcount32(b & q[n])
        low += popcount32(c & r[n]) + popcount32(d & s[n])
        mid = popcount32(a & p1[n]) + popcount32(b & q1[n])
        mid += popcount32(c & r1[n]) + popcount32(d & s1[n])
        top = popcount32(a & p2[n]) + popcount32(b & q2[n])
        top += popcount32(c & r2[n]) + popcount32(d & s2[n])
        # Kept to 32 bits at each step: numba would widen sums, and halve what fits a vector.
        value = np.int32(low + np.int32(2 * mid) - np.int32(4 * top))
        values[n] = np.int32(values[n] + np.int32(factor * value))


@inlined
def convert_block(
    values: Words,
    first: int,
    after: int,
    slices: npt.NDArray[np.int64],
    shift: int,
    sums: Words,
) -> None:
    """ADC, shift and add, for the channels first..after of which `values` begins with the first."""
    outputs = len(sums)
    for s in range(first // outputs, (after - 1) // outputs + 1):
        begin, end = max(first, s * outputs), min(after, (s + 1) * outputs)
        step, lo, hi = np.int32(slices[s, 0]), np.int32(slices[s, 1]), np.int32(slices[s, 2])
        factor = np.int32(slices[s, 0] << (slices[s, 3] + shift))
        part, to = values[begin - first : end - first], sums[begin - s * outputs :]
        if step == 1:
            for n in range(len(part)):
                code = min(max(part[n], lo), hi)
                to[n] = np.int32(to[n] + np.int32(factor * code))
        else:
            # Of integers below 2^23 the float32 quotient is never rounded onto a tie.
            size = np.float32(step)
            for n in range(len(part)):
                code = np.int32(np.rint(np.float32(part[n]) / size))
                to[n] += np.int32(factor * min(max(code, lo), hi))


@inlined
def add_unit(
    inputs: Packed, unit: npt.NDArray[np.int64], phase: int, dac_bits: int, sums: Words
) -> None:
    """The unit column: the sum of the digits, converted as slice 0 is."""
    total = 0
    for digit in range(dac_bits):
        if phase * dac_bits + digit < 8:
            for word in inputs[phase * dac_bits + digit]:
                total += popcount32(word) << digit
    code = int(np.rint(unit[4] * total / unit[0]))
    code = min(max(code, unit[1]), unit[2]) * unit[0]
    more = np.int32((code * unit[3]) << (dac_bits * phase))
    for n in range(len(sums)):
        sums[n] += more

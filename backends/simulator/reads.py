"""What a read plan computes: from gathered input bytes to int32 accumulators.

A `Kernel` is chosen for each plan.  Where every read is lossless the integer dot product is
computed directly; otherwise each phase and slice is summed, converted, shifted and added as the
machine does it.  Cells are ideal here: kernels of other devices take the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from nmc.ir.graph import Array
from nmc.ir.numerics import exact_float
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.target import Encoding, Target

__all__ = ["Kernel", "exact_kernel", "lossless", "plan_kernel", "sliced_kernel", "weights"]

Kernel = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int32]]
"""u8[lanes, input_bytes] to i32[lanes, outputs]."""


def plan_kernel(plan: ReadPlan, tiles: Sequence[TileImage], target: Target) -> Kernel:
    """The direct product where the machine is exact on this plan, else the sliced computation."""
    if all(lossless(read, tiles[read.tile], target) for read in plan.reads):
        return exact_kernel(plan, tiles, target)
    return sliced_kernel(plan, tiles, target)


def encoding_of(tile: TileImage) -> Encoding:
    return cast("Encoding", tile.encoding)


def middle_level(tile: TileImage, target: Target) -> int:
    """The level of the reference columns, which is subtracted before the ADC; 0 without them."""
    return 1 << (target.crossbar.cell_bits - 1) if tile.encoding == "reference" else 0


def offset_factor(tile: TileImage, target: Target) -> int:
    """How often sum_k x[k] is added digitally to take off what made the levels unsigned."""
    if tile.encoding == "differential":
        return 0
    bits = target.crossbar.cell_bits
    middles = sum(middle_level(tile, target) << (bits * s) for s in range(tile.slices))
    return middles - (1 << (target.numbers.weight_bits - 1))


def seen_levels(tile: TileImage, target: Target) -> npt.NDArray[np.int64]:
    """Levels as the ADC sees them, less those of the reference columns: [rows, outputs, slices]."""
    levels = tile.levels
    if tile.encoding != "differential":
        levels = levels.view(np.uint8)
    shaped = levels.astype(np.int64).reshape(tile.rows, tile.outputs, tile.slices)
    return shaped - middle_level(tile, target)


def weights(tile: TileImage, target: Target) -> npt.NDArray[np.int64]:
    """The signed integers that the tile's cells stand for: [rows, outputs]."""
    factors = 1 << (target.crossbar.cell_bits * np.arange(tile.slices, dtype=np.int64))
    return seen_levels(tile, target) @ factors + offset_factor(tile, target)


def lossless(read: TileRead, tile: TileImage, target: Target) -> bool:
    """Whether every value that these levels can produce has a code of its own, in steps of 1."""
    levels = seen_levels(tile, target) * target.crossbar.max_digit
    most = np.maximum(levels, 0).sum(axis=0).max(axis=0, initial=0)
    least = np.minimum(levels, 0).sum(axis=0).min(axis=0, initial=0)
    for s in range(tile.slices):
        if not read.converted[s]:
            if most[s] or least[s]:
                return False
            continue
        lo, hi = target.code_range(encoding_of(tile), read.bits[s])
        if read.steps[s] != 1 or least[s] < lo or most[s] > hi:
            return False
    return tile.encoding == "differential" or unit_column_fits(read, tile, target)


def unit_column_fits(read: TileRead, tile: TileImage, target: Target) -> bool:
    lo, hi = target.code_range(encoding_of(tile), read.bits[0])
    reach = tile.rows * target.crossbar.max_digit * unit_sign(tile)
    return read.steps[0] == 1 and lo <= reach <= hi


def unit_sign(tile: TileImage) -> int:
    """The unit column lies one level above 0, or one below the reference columns."""
    return -1 if tile.encoding == "reference" else 1


def exact_kernel(plan: ReadPlan, tiles: Sequence[TileImage], target: Target) -> Kernel:
    matrix = np.zeros((plan.input_bytes, plan.outputs), np.int64)
    for read in plan.reads:
        tile = tiles[read.tile]
        rows = slice(read.input0, read.input0 + tile.rows)
        matrix[rows, read.output0 : read.output0 + tile.outputs] += weights(tile, target)
    bound = 255 * int(np.abs(matrix).sum(axis=0).max(initial=0))
    dtype: np.dtype[Any] = exact_float(bound)
    product = matrix.astype(dtype)

    def kernel(x: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        sums: Array = x.astype(dtype) @ product
        return sums.astype(np.int64).astype(np.int32)

    return kernel


def sliced_kernel(plan: ReadPlan, tiles: Sequence[TileImage], target: Target) -> Kernel:
    parts = [SlicedTile.of(read, tiles[read.tile], target) for read in plan.reads]

    def kernel(x: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        sums = np.zeros((len(x), plan.outputs), np.int64)
        for part in parts:
            sums[:, part.columns] += part(x[:, part.rows])
        return sums.astype(np.int32)

    return kernel


@dataclass(frozen=True, slots=True)
class SlicedTile:
    """One tile's read, phase by phase and slice by slice; arrays are [outputs + unit, slices]."""

    rows: slice
    columns: slice
    levels: Array
    """float64[rows, (outputs + unit) * slices]; sums of levels are far within exact range."""
    steps: Array
    lows: Array
    highs: Array
    factors: Array
    """i64: 2^(cell_bits * slice), 0 where a slice is not converted."""
    offset_factor: int
    phases: int
    dac_bits: int

    @staticmethod
    def of(read: TileRead, tile: TileImage, target: Target) -> SlicedTile:
        seen = seen_levels(tile, target)
        if tile.encoding != "differential":
            unit = np.zeros((tile.rows, 1, tile.slices), np.int64)
            unit[:, :, 0] = unit_sign(tile)
            seen = np.concatenate([seen, unit], axis=1)
        bits = target.crossbar.cell_bits
        ranges = [target.code_range(encoding_of(tile), b) for b in read.bits]
        kept = np.asarray(read.converted, np.int64)
        return SlicedTile(
            slice(read.input0, read.input0 + tile.rows),
            slice(read.output0, read.output0 + tile.outputs),
            seen.reshape(tile.rows, -1).astype(np.float64),
            np.asarray(read.steps, np.float64),
            np.asarray([lo for lo, _ in ranges], np.float64),
            np.asarray([hi for _, hi in ranges], np.float64),
            kept << (bits * np.arange(tile.slices, dtype=np.int64)),
            offset_factor(tile, target) * unit_sign(tile),
            target.phases,
            target.crossbar.dac_bits,
        )

    def codes(self, x: npt.NDArray[np.uint8], phase: int) -> Array:
        """What the ADCs say in one phase: integers, as float64[lanes, outputs + unit, slices]."""
        digits = (x >> (self.dac_bits * phase)) & ((1 << self.dac_bits) - 1)
        values = (digits.astype(np.float64) @ self.levels).reshape(len(x), -1, len(self.steps))
        return np.asarray(np.clip(np.rint(values / self.steps), self.lows, self.highs))

    def __call__(self, x: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        outputs = self.columns.stop - self.columns.start
        sums = np.zeros((len(x), outputs), np.int64)
        for phase in range(self.phases):
            codes = (self.codes(x, phase) * self.steps).astype(np.int64)
            shifted = codes[:, :outputs] @ self.factors
            if self.offset_factor:
                shifted = shifted + codes[:, outputs:, 0] * self.offset_factor
            sums += shifted << (self.dac_bits * phase)
        return sums

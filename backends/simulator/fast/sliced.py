"""Read plans phase by phase, slice by slice and conversion by conversion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast.blocks import BlockedTile, patterns_of, rooms_for
from nmc.backends.simulator.reads import encoding_of, seen_levels, unit_column_fits, weights
from nmc.ir.numerics import exact_float
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.target import Target

__all__ = ["lossy_outputs", "sliced_plan"]

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int32]

LANES = 256
"""That are worked on at a time, so that their patterns stay in the second cache."""


def sliced_plan(
    plan: ReadPlan, tiles: Sequence[TileImage], target: Target, *, every: bool = False
) -> Callable[[Bytes], Words]:
    """u8[lanes, input_bytes] to i32[lanes, outputs].

    Outputs of a tile whose conversions can lose nothing, whatever the inputs, are products of
    integers; with `every` they are converted like all others.
    """
    matrix = np.zeros((plan.input_bytes, plan.outputs), np.int64)
    parts: list[BlockedTile] = []
    for read in plan.reads:
        tile = tiles[read.tile]
        lossy = np.ones(tile.outputs, np.bool_) if every else lossy_outputs(read, tile, target)
        exact = np.flatnonzero(~lossy)
        rows = slice(read.input0, read.input0 + tile.rows)
        if exact.size:
            matrix[rows, read.output0 + exact] += weights(tile, target)[:, exact]
        if lossy.any():
            parts.append(BlockedTile.of(read, tile, target, np.flatnonzero(lossy)))
    dtype: np.dtype[Any] = exact_float(255 * int(np.abs(matrix).sum(axis=0).max(initial=0)))
    product = matrix.astype(dtype) if matrix.any() else None
    spans = list({(part.rows.start, part.rows.stop): part.rows for part in parts}.values())
    patterns_at = [spans.index(part.rows) for part in parts]

    def kernel(x: Bytes) -> Words:
        if product is None:
            sums = np.zeros((len(x), plan.outputs), np.int32)
        else:
            sums = (x.astype(dtype) @ product).astype(np.int64).astype(np.int32)
        rooms = rooms_for(parts)
        for begin in range(0, len(x), LANES):
            lanes = slice(begin, begin + LANES)
            patterns = patterns_of(x[lanes], spans)
            for part, at in zip(parts, patterns_at, strict=True):
                part.add(patterns[at], rooms[part.widths], sums[lanes])
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

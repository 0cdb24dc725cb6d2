"""Which windows, and how many groups on a crossbar, are worth a look."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nmc.ir.target import Target
from nmc.passes.tiling.cuts import Matrix, sizes_of
from nmc.passes.tiling.layers import Layer

__all__ = ["fits_memory", "gathered", "groupings", "is_depthwise", "most_together"]

Ints = npt.NDArray[np.int64]

RING_SHARE = 2
"""A window may hold this part of a core's SRAM in rows of its input."""

ACCUMULATOR_SHARE = 6
"""And this part of it in accumulators."""

ACCUMULATOR_BYTES = 2 * 4
"""Of an int32, twice: one row is computed while the one before is worked on."""


def is_depthwise(layer: Layer) -> bool:
    return layer.groups == layer.chans > 1


def most_together(layer: Layer, target: Target, grid: tuple[int, int]) -> int:
    """Groups whose windows fit on one crossbar: 1 if not even one does, 0 if there are none."""
    return 0 if layer.groups == 1 else int(together_of(layer, target, np.array([grid]))[0])


def together_of(layer: Layer, target: Target, grids: Ints) -> Ints:
    """Groups on a crossbar with each of these grids, 1 without groups: i64[n]."""
    one = layer.matrix(1)
    rows = target.crossbar.rows // gathered(one, grids)
    cols = target.outputs_per_crossbar // (grids.prod(axis=1) * one.outputs)
    return np.asarray(np.clip(np.minimum(rows, cols), 1, layer.groups))


def groupings(layer: Layer, target: Target) -> Iterator[tuple[int, Ints]]:
    """The grids worth a look (i64[n, 2]) by how many groups share a crossbar, im2col first.

    A grid is as many output rows and pixels as a read may give: all for which a core has memory
    and the chip crossbars.
    """
    grids = grids_within(layer.rows, layer.cols, most_places(layer, target))
    grids = grids[fits_memory(layer, target, grids) & fits_chip(layer, target, grids)]
    together = together_of(layer, target, grids)
    for count in np.unique(together)[::-1].tolist():
        yield count, grids[together == count]


def grids_within(rows: int, cols: int, places: int) -> Ints:
    """All numbers of rows and pixels that make up to so many places, one if none: i64[n, 2]."""
    rows = min(rows, max(places, 1))
    widths = np.clip(places // np.arange(1, rows + 1), 1, cols)
    starts = widths.cumsum() - widths
    pixels = np.arange(1, widths.sum() + 1) - np.repeat(starts, widths)
    return np.column_stack([np.repeat(np.arange(1, rows + 1), widths), pixels])


def most_places(layer: Layer, target: Target) -> int:
    """Output pixels of a read whose accumulators leave room in a core."""
    return target.core.sram_bytes // (ACCUMULATOR_SHARE * ACCUMULATOR_BYTES * layer.outputs)


def fits_chip(layer: Layer, target: Target, grids: Ints) -> npt.NDArray[np.bool_]:
    """Whether the chip has crossbars for one copy's rows, and for its outputs: bool[n]."""
    one, together = layer.matrix(1), together_of(layer, target, grids)
    rows = gathered(one, grids) // target.crossbar.rows
    outputs = grids.prod(axis=1) * one.outputs // target.outputs_per_crossbar
    least = np.maximum(np.maximum(rows, outputs), 1) * (layer.groups // together)
    return np.asarray((least <= target.crossbars) | (grids.prod(axis=1) == 1))


def fits_memory(layer: Layer, target: Target, grids: Ints) -> npt.NDArray[np.bool_]:
    """Whether a window's rows of input, and its accumulators, leave room in a core: bool[n]."""
    heights = grids[:, 0] * layer.strides[0] + layer.matrix(1).span[0]
    ring = heights * layer.in_cols * layer.chans
    places = grids.prod(axis=1)
    fits = (ring * RING_SHARE <= target.core.sram_bytes) & (places <= most_places(layer, target))
    return np.asarray(fits | (places == 1))


def gathered(matrix: Matrix, grids: Ints) -> Ints:
    """Bytes of a read: i64[n]."""
    return np.asarray(sizes_of(matrix, grids).prod(axis=1) * matrix.chans)

"""How the matrix of a window is cut into tiles, and which parts of it are never anything but zero.

The matrix has a row for each byte of the window (pixel row, pixel, channel) and a column for each
output of a read (output row, output pixel, output channel).  An output sees only the kernel's part
of the window.  So a run of rows, which is what one crossbar takes, has weights for a run of the
outputs alone: what lies outside needs neither cells nor conversions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["Bands", "Cut", "Matrix", "bands_of", "cuts_of", "sizes_of"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matrix:
    """One gather's part of a layer; pairs are (height, width)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    chans: int
    outputs: int

    @property
    def span(self) -> tuple[int, int]:
        return (
            (self.kernel[0] - 1) * self.dilations[0] + 1,
            (self.kernel[1] - 1) * self.dilations[1] + 1,
        )


@dataclass(frozen=True, slots=True)
class Bands:
    """Runs of matrix rows that share crossbars, with the columns that they have weights for.

    All i64[bands]; `grid` is the index of the grid that a band belongs to.
    """

    grid: Ints
    row0: Ints
    rows: Ints
    output0: Ints
    outputs: Ints


@dataclass(frozen=True, slots=True)
class Cut:
    """A tile: rows row0.. and columns output0.. of the window's matrix."""

    row0: int
    rows: int
    output0: int
    outputs: int


def bands_of(matrix: Matrix, grids: Ints, rows_per_crossbar: int) -> Bands:
    """The bands of each grid (i64[n, 2]: output rows and pixels of a read), those of weight alone.

    With one output pixel a read, all of its bytes have weights.
    """
    sizes = sizes_of(matrix, grids)
    heights = sizes.prod(axis=1) * matrix.chans
    counts = -(-heights // rows_per_crossbar)
    grid = np.repeat(np.arange(len(grids)), counts)
    row0 = (np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)) * (
        rows_per_crossbar
    )
    rows = np.minimum(rows_per_crossbar, heights[grid] - row0)
    first, last = outputs_seen(matrix, grids[grid], sizes[grid, 1], row0, row0 + rows - 1)
    single = (grids.prod(axis=1) == 1)[grid]
    first, last = np.where(single, 0, first), np.where(single, 0, last)
    used = first <= last
    return Bands(
        grid[used],
        row0[used],
        rows[used],
        (first * matrix.outputs)[used],
        ((last - first + 1) * matrix.outputs)[used],
    )


def sizes_of(matrix: Matrix, grids: Ints) -> Ints:
    """(height, width) of the pixels that a read gathers: i64[n, 2].

    For one output pixel those that the kernel sees, even if it is dilated; a larger window gathers
    all of its pixels.
    """
    window = (grids - 1) * np.array(matrix.strides) + np.array(matrix.span)
    single = grids.prod(axis=1) == 1
    return np.where(single[:, None], matrix.kernel, window)


def outputs_seen(
    matrix: Matrix, grids: Ints, width: Ints, row0: Ints, row1: Ints
) -> tuple[Ints, Ints]:
    """First and last output pixel, counted through the grid, that bytes row0..row1 can reach.

    None are reached where the first is beyond the last, as by pixels that strides leap over.
    """
    pixel0, pixel1 = row0 // matrix.chans, row1 // matrix.chans
    top, left = np.divmod(pixel0, width)
    bottom, right = np.divmod(pixel1, width)
    # A run that goes on in the next row of pixels sees, taken together, any pixel of a row.
    left, right = np.where(top == bottom, left, 0), np.where(top == bottom, right, width - 1)
    upper, lower = reach(matrix, 0, grids[:, 0], top, bottom)
    first, last = reach(matrix, 1, grids[:, 1], left, right)
    empty = (upper > lower) | (first > last)
    begin, end = upper * grids[:, 1] + first, lower * grids[:, 1] + last
    return np.where(empty, 1, begin), np.where(empty, 0, end)


def reach(matrix: Matrix, axis: int, count: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Outputs along an axis whose kernel may lie on pixels low..high: first and last."""
    step, span = matrix.strides[axis], matrix.span[axis]
    return np.maximum(-((span - 1 - low) // step), 0), np.minimum(high // step, count - 1)


@lru_cache(maxsize=4096)
def cuts_of(
    matrix: Matrix, grid: tuple[int, int], rows_per_crossbar: int, outputs_per_crossbar: int
) -> tuple[Cut, ...]:
    """Tiles of a grid's matrix, columns before rows: those of neighbouring outputs follow."""
    bands = bands_of(matrix, np.array([grid], np.int64), rows_per_crossbar)
    cuts = [
        Cut(int(row0), int(rows), start, min(outputs_per_crossbar, int(output0 + outputs) - start))
        for row0, rows, output0, outputs in zip(
            bands.row0, bands.rows, bands.output0, bands.outputs, strict=True
        )
        for start in range(int(output0), int(output0 + outputs), outputs_per_crossbar)
    ]
    return tuple(sorted(cuts, key=lambda cut: (cut.output0, cut.row0)))

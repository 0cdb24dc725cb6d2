"""Which pixels of which rows a copy of a layer makes.

A layer's copies deal out the pixels of some rows evenly, in order, and begin again with the next
rows: n copies that share n rows make a whole row each.  Rows and pixels are counted in grids here,
since what one read gives is not divided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Kind, Mapping, Stage

__all__ = ["Part", "Run", "first_share", "made_pixels", "parts_of", "runs_of", "sharers", "widest"]


@dataclass(frozen=True, slots=True)
class Part:
    """Pixels `pixel0` to `pixel0 + pixels - 1` of the rows of one grid; `row` counts grids from the
    first that the copy has a part of."""

    row: int
    pixel0: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Run:
    """`count` times `pixels` neighbouring pixels of a part, from `pixel0` on, that are accumulated
    and finished together; `first` counts the runs of the turn that come before."""

    row: int
    pixel0: int
    pixels: int
    count: int
    first: int


def parts_of(mapping: Mapping, stage: Stage) -> tuple[Part, ...]:
    """What a copy makes in each of its turns; the whole row if it makes whole ones."""
    cols = mapping.streams[stage.output].cols
    if stage.shared == stage.copies:
        return (Part(0, 0, cols),)
    reads = _reads_of_row(stage, cols)
    low, high = _bounds(stage, reads)
    top, each = low // reads, stage.grid[1]
    return tuple(
        Part(row - top, first * each, min(stop * each, cols) - first * each)
        for row in range(top, (high - 1) // reads + 1)
        for first in (max(low - row * reads, 0),)
        for stop in (min(high - row * reads, reads),)
    )


def runs_of(mapping: Mapping, stage: Stage, rows: int) -> Iterator[Run]:
    """The runs of a turn, of whose rows the first `rows` exist, in order."""
    before = 0
    for part in parts_of(mapping, stage):
        if part.row * stage.grid[0] >= rows:
            return
        count, rest = divmod(part.pixels, stage.pixels)
        if count:
            yield Run(part.row, part.pixel0, stage.pixels, count, before)
        if rest:
            yield Run(part.row, part.pixel0 + count * stage.pixels, rest, 1, before + count)
        before += count + (rest > 0)


def first_share(mapping: Mapping, stage: Stage) -> int:
    """The first of its layer's grids of rows that a copy has a part of."""
    if stage.shared == stage.copies:
        return stage.copy
    reads = _reads_of_row(stage, mapping.streams[stage.output].cols)
    return _bounds(stage, reads)[0] // reads


def sharers(mapping: Mapping, stage: Stage, rows: Array) -> Array:
    """For each of a layer's output rows which of its copies, of which `stage` is one, make some of
    it: bool[rows, copies]."""
    phase = rows // _grid_rows(stage) % stage.shared
    reads = _reads_of_row(stage, mapping.streams[stage.output].cols)
    bounds = np.arange(stage.copies + 1) * (stage.shared * reads) // stage.copies
    first, last = bounds[:-1] // reads, (bounds[1:] - 1) // reads
    return np.asarray((first <= phase[:, None]) & (phase[:, None] <= last))


def widest(mapping: Mapping, stage: Stage) -> int:
    """The most pixels of a row that the stage makes."""
    return max(part.pixels for part in parts_of(mapping, stage))


def made_pixels(mapping: Mapping, stage: Stage) -> int:
    """Pixels that the stage makes of a row in the mean over its rows, rounded up."""
    parts = parts_of(mapping, stage)
    return -(-sum(part.pixels for part in parts) // len(parts))


def _bounds(stage: Stage, reads: int) -> tuple[int, int]:
    """Of all places that are dealt out, the first of a copy and the first of the next one."""
    places = stage.shared * reads
    return stage.copy * places // stage.copies, (stage.copy + 1) * places // stage.copies


def _reads_of_row(stage: Stage, cols: int) -> int:
    return -(-cols // stage.grid[1])


def _grid_rows(stage: Stage) -> int:
    return stage.grid[0] if stage.kind is Kind.MATRIX else 1

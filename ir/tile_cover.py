"""Whether the tiles of a mapping hold every weight once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import prod

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Block, Mapping, Stage, Tile

__all__ = ["coverage", "overlapping", "weights_held"]


def coverage(mapping: Mapping) -> Iterator[str]:
    """What is wrong: every weight of a stage, which is one copy of a layer, stands in exactly one
    tile, once for each output of a read.  What lies outside an output's window may be in none."""
    if not mapping.tiles:
        return
    placed: defaultdict[tuple[int, int], list[Tile]] = defaultdict(list)
    for tile in mapping.tiles:
        placed[tile.stage, tile.block].append(tile)
    for i, stage in enumerate(mapping.stages):
        for number, block in enumerate(stage.blocks):
            tiles = placed[i, number]
            held = weights_held(stage, block, tiles)
            whole = prod(stage.window.kernel) * block.chans * prod(stage.grid) * block.outputs
            where = f"stages[{i}].blocks[{number}]"
            if held != whole:
                yield f"{where} has {whole} weights, its tiles have {held}"
            elif overlapping((t.row0, t.rows, t.output0, t.outputs) for t in tiles):
                yield f"{where} has weights that stand in two tiles"


def weights_held(stage: Stage, block: Block, tiles: Sequence[Tile]) -> int:
    """How many places of a block's matrix that the kernel of their output reaches these tiles have,
    one by one."""
    if stage.grid == (1, 1) or not tiles:
        return sum(tile.rows * tile.outputs for tile in tiles)
    first = np.array([tile.output0 for tile in tiles], np.int64)
    stop = first + np.array([tile.outputs for tile in tiles], np.int64)
    begin, end = first // block.outputs, -(-stop // block.outputs)
    # A line for each output pixel of a read of which a tile has columns.
    line = np.repeat(np.arange(len(tiles)), end - begin)
    pixel = np.arange(len(line)) - np.repeat((end - begin).cumsum() - end, end - begin)
    columns = np.minimum(stop[line], (pixel + 1) * block.outputs)
    columns -= np.maximum(first[line], pixel * block.outputs)
    row0 = np.array([tile.row0 for tile in tiles], np.int64)[line]
    row1 = np.array([tile.row0 + tile.rows for tile in tiles], np.int64)[line]
    rows = _reached_before(stage, block, pixel, row1) - _reached_before(stage, block, pixel, row0)
    return int((rows * columns).sum())


def _reached_before(stage: Stage, block: Block, pixel: Array, row: Array) -> Array:
    """How many of a matrix's first `row` rows the kernel of an output pixel of a read reaches."""
    window = stage.window
    place, chan = np.divmod(row, block.chans)
    down, right = np.divmod(place, stage.read_window.kernel[1])
    top, left = np.divmod(pixel, stage.grid[1])
    above, on_row = _steps(down - top * window.strides[0], window.dilations[0], window.kernel[0])
    before, on_pixel = _steps(
        right - left * window.strides[1], window.dilations[1], window.kernel[1]
    )
    whole_rows = above * window.kernel[1] * block.chans
    return np.asarray(whole_rows + on_row * (before * block.chans + on_pixel * chan))


def _steps(distance: Array, dilation: int, kernel: int) -> tuple[Array, Array]:
    """Along an axis, places of a kernel that come before a distance, and whether one is there."""
    count, rest = np.divmod(distance, dilation)
    there = (rest == 0) & (count >= 0) & (count < kernel)
    return np.clip(-(-distance // dilation), 0, kernel), there


def overlapping(rectangles: Iterable[tuple[int, int, int, int]]) -> bool:
    """Whether two of them, each (first row, rows, first column, columns), share a place.

    A line sweeps down the rows; the rectangles on it must have disjoint columns.
    """
    events: list[tuple[int, int, int, int]] = []
    for row, rows, column, columns in rectangles:
        events.append((row + rows, 0, column, columns))
        events.append((row, 1, column, columns))
    here: dict[int, int] = {}
    for _, starts, column, columns in sorted(events):
        if not starts:
            del here[column]
            continue
        if any(column < c + n and c < column + columns for c, n in here.items()):
            return True
        here[column] = columns
    return False

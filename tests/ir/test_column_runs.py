"""Runs of accumulators: every output of every pixel once, in as few runs as may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nmc.ir.column_runs import Adder, ColumnRun, column_runs
from nmc.ir.mapping import Block, Kind, Stage, Tile
from nmc.ir.stage_memory import CoreOutputs, core_outputs


def stage_of(grid: tuple[int, int], pixels: int, *outputs: int) -> Stage:
    """A stage of blocks with so many outputs each."""
    starts = np.cumsum([0, *outputs]).tolist()
    blocks = tuple(Block(0, 1, start, n, 1) for start, n in zip(starts, outputs, strict=False))
    return Stage("s", 0, Kind.MATRIX, (), (), True, (), 0, "crossbar", blocks=blocks, grid=grid,
                 pixels=pixels)  # fmt: skip


def runs_of(stage: Stage, row: int, *tiles: tuple[int, int, int, int]) -> list[ColumnRun]:
    """Tiles are (core, block, first column, columns)."""
    cores = tuple(dict.fromkeys(tile[0] for tile in tiles))
    placed = [Tile(0, block, 0, 1, first, count, core) for core, block, first, count in tiles]
    return column_runs(stage, core_outputs(replace(stage, cores=cores), placed), row)


def test_one_core_gives_each_row_in_one_run() -> None:
    stage = stage_of((2, 3), 9, 4)
    assert runs_of(stage, 0, (5, 0, 0, 24)) == [ColumnRun(0, 3, 3, 0, 4, (Adder(5, 0, 4),))]
    assert runs_of(stage, 1, (5, 0, 0, 24)) == [ColumnRun(0, 3, 3, 0, 4, (Adder(5, 12, 4),))]


def test_pixels_beyond_the_row_are_left_out() -> None:
    runs = runs_of(stage_of((1, 3), 7, 4), 0, (0, 0, 0, 12))
    assert [(r.pixel, r.pixels, r.reads) for r in runs] == [(0, 1, 3), (1, 2, 2)]
    assert sum(r.elements for r in runs) == 7 * 4


def test_blocks_side_by_side_are_one_run() -> None:
    stage = stage_of((1, 1), 6, 3, 3, 2)
    (run,) = runs_of(stage, 0, (0, 0, 0, 3), (0, 1, 0, 3), (0, 2, 0, 2))
    assert (run.pixel, run.pixels, run.reads, run.first, run.count) == (0, 1, 6, 0, 8)
    assert [(adder.core, adder.at) for adder in run.adders] == [(0, 0)]


def test_whole_blocks_of_grids_are_one_run_for_each_row() -> None:
    """Their accumulators lie pixel by pixel of the grid."""
    stage = stage_of((2, 2), 6, 3, 2)
    tiles = ((0, 0, 0, 12), (0, 1, 0, 8))
    assert runs_of(stage, 0, *tiles) == [ColumnRun(0, 2, 3, 0, 5, (Adder(0, 0, 5),))]
    assert runs_of(stage, 1, *tiles) == [ColumnRun(0, 2, 3, 0, 5, (Adder(0, 10, 5),))]


def test_what_other_cores_add_to_is_another_run() -> None:
    assert set(runs_of(stage_of((1, 2), 4, 6), 0, (0, 0, 0, 8), (1, 0, 4, 8))) == {
        ColumnRun(0, 1, 2, 0, 4, (Adder(0, 0, 6),)),
        ColumnRun(0, 1, 2, 4, 2, (Adder(0, 4, 6), Adder(1, 0, 6))),
        ColumnRun(1, 1, 2, 0, 2, (Adder(0, 6, 6), Adder(1, 2, 6))),
        ColumnRun(1, 1, 2, 2, 4, (Adder(1, 4, 6),)),
    }


@pytest.mark.parametrize("seed", range(60))
def test_every_sum_is_taken_once(seed: int) -> None:
    """Accumulators numbered by what they are turn up as the outputs that they belong to."""
    rng = np.random.default_rng(seed)
    grid = (int(rng.integers(1, 4)), int(rng.integers(1, 5)))
    sizes = rng.integers(1, 6, rng.integers(1, 4)).tolist()
    pixels = grid[1] * int(rng.integers(1, 4)) + int(rng.integers(0, grid[1]))
    stage = replace(stage_of(grid, pixels, *sizes), cores=tuple(range(rng.integers(1, 4))))
    tiles: list[Tile] = []
    for core in stage.cores:
        for block, size in enumerate(sizes):
            columns = grid[0] * grid[1] * size
            whole = core == 0 or rng.random() < 0.3
            low, high = (0, columns) if whole else np.sort(rng.integers(0, columns + 1, 2)).tolist()
            if low < high:
                tiles.append(Tile(0, block, 0, 1, low, high - low, core))
    outputs = core_outputs(stage, tiles)
    held = places_of(stage, outputs)
    for row in range(grid[0]):
        found = np.zeros((pixels, sum(sizes)), int)
        for run in column_runs(stage, outputs, row):
            assert len({adder.core for adder in run.adders}) == len(run.adders)
            for read, pixel, output in np.ndindex(run.reads, run.pixels, run.count):
                x, n = read * grid[1] + run.pixel + pixel, run.first + output
                found[x, n] += 1
                block = int(np.searchsorted(np.cumsum(sizes), n, side="right"))
                inside = n - sum(sizes[:block])
                column = (row * grid[1] + run.pixel + pixel) * sizes[block] + inside
                holders = {core for core, places in held.items() if (block, column) in places}
                assert {adder.core for adder in run.adders} == holders
                for adder in run.adders:
                    at = adder.at + pixel * adder.stride + output
                    assert held[adder.core][block, column] == at
        assert (found == 1).all()


def places_of(
    stage: Stage, outputs: dict[int, list[CoreOutputs]]
) -> dict[int, dict[tuple[int, int], int]]:
    """Of each core, where the accumulator of each (block, column) lies: no place has two."""
    result: dict[int, dict[tuple[int, int], int]] = {}
    for core, parts in outputs.items():
        places: dict[tuple[int, int], int] = {}
        for part in parts:
            each = stage.blocks[part.block].outputs
            for number in range(part.outputs):
                # Either whole pixels of the grid, or columns side by side.
                pixel, output = divmod(number, each)
                apart = pixel * part.stride + output
                places[part.block, part.output0 + number] = part.at + apart
        assert sorted(places.values()) == list(range(len(places)))
        result[core] = places
    return result

"""Which places of a matrix tiles hold: counted place by place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.mapping import Block, Kind, Mapping, Stage, Step, StepKind, Tile, Window
from nmc.ir.tile_cover import coverage, overlapping, weights_held

Rectangle = tuple[int, int, int, int]
RECTANGLES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(0, 6), st.integers(1, 4)),
    max_size=5,
)
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(RECTANGLES)
def test_overlap_is_that_of_places(rectangles: list[Rectangle]) -> None:
    places = [
        {(row, column) for row in range(r, r + rows) for column in range(c, c + columns)}
        for r, rows, c, columns in rectangles
    ]
    shared = sum(map(len, places)) != len(set().union(*places))
    assert overlapping(rectangles) is shared


def stage_of(window: Window, grid: tuple[int, int], chans: int, outputs: int) -> Stage:
    stage = Stage("s", 0, Kind.MATRIX, (), (), True, (), 0, "crossbar", window, grid=grid)
    height, width = stage.read_window.kernel
    block = Block(0, chans, 0, outputs, height * width * chans)
    return replace(stage, blocks=(block,))


def reached(stage: Stage) -> np.ndarray:
    """bool[rows, columns]: where the window of a column's output pixel has a weight."""
    (block,), window = stage.blocks, stage.window
    height, width = stage.read_window.kernel
    there = np.zeros((height, width, block.chans, *stage.grid, block.outputs), bool)
    for y, x, i, j in np.ndindex(*window.kernel, *stage.grid):
        if stage.grid == (1, 1):
            there[y, x] = True
        else:
            row = i * window.strides[0] + y * window.dilations[0]
            pixel = j * window.strides[1] + x * window.dilations[1]
            there[row, pixel, :, i, j] = True
    return there.reshape(block.rows, -1)


@given(PAIRS, PAIRS, PAIRS, PAIRS, st.integers(1, 3), st.integers(1, 3), st.data())
def test_held_weights_are_the_places_that_outputs_reach(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    grid: tuple[int, int],
    chans: int,
    outputs: int,
    data: st.DataObject,
) -> None:
    stage = stage_of(Window(kernel, strides, dilations), grid, chans, outputs)
    there = reached(stage)
    tiles = []
    wanted = 0
    for _ in range(data.draw(st.integers(0, 3))):
        row0 = data.draw(st.integers(0, there.shape[0] - 1))
        rows = data.draw(st.integers(1, there.shape[0] - row0))
        output0 = data.draw(st.integers(0, there.shape[1] - 1))
        count = data.draw(st.integers(1, there.shape[1] - output0))
        tiles.append(Tile(0, 0, row0, rows, output0, count))
        wanted += int(there[row0 : row0 + rows, output0 : output0 + count].sum())
    assert weights_held(stage, stage.blocks[0], tiles) == wanted


def mapping_of(stage: Stage, *tiles: Tile) -> Mapping:
    return Mapping("m", (Step(StepKind.CHIP, "c", (), (), ()),), stages=(stage,), tiles=tiles)


def test_places_that_no_output_reaches_need_no_tile() -> None:
    """Two pixels of a kernel of one: the matrix is a diagonal of two blocks of 2 x 3."""
    stage = stage_of(Window(), (1, 2), 2, 3)
    first, second = Tile(0, 0, 0, 2, 0, 3), Tile(0, 0, 2, 2, 3, 3)
    assert list(coverage(mapping_of(stage, first, second))) == []
    assert list(coverage(mapping_of(stage, Tile(0, 0, 0, 4, 0, 6)))) == []


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ((Tile(0, 0, 0, 2, 0, 3),), "has 12 weights, its tiles have 6"),
        ((Tile(0, 0, 0, 2, 0, 3), Tile(0, 0, 0, 2, 3, 3)), "has 12 weights, its tiles have 6"),
        ((Tile(0, 0, 0, 2, 0, 3), Tile(0, 0, 0, 2, 0, 3)), "weights that stand in two tiles"),
    ],
)
def test_a_weight_too_few_or_too_many_is_found(tiles: tuple[Tile, ...], words: str) -> None:
    stage = stage_of(Window(), (1, 2), 2, 3)
    assert [words in problem for problem in coverage(mapping_of(stage, *tiles))] == [True]

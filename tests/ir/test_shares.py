"""Which pixels copies make: each is made by one, and consumers wait for all who make a row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.graph import Array
from nmc.ir.mapping import Kind, Mapping, Operand, Role, Stage, Step, StepKind, Stream
from nmc.ir.rows import emissions, feed_of, makers_of, turn_numbers
from nmc.ir.shares import first_share, parts_of, runs_of, sharers

__all__ = ["layer", "places_of"]


def layer(rows: int, cols: int, grid: tuple[int, int], copies: int, share: int) -> Mapping:
    """A layer of one stage for each copy over a stream that makes another."""
    stages = tuple(
        Stage(
            f"s.{copy}",
            0,
            Kind.MATRIX,
            ("y",),
            ((),),
            True,
            (Operand(0, Role.MAIN, "x"),),
            1,
            "crossbar",
            grid=grid,
            pixels=grid[1],
            copies=copies,
            copy=copy,
            share=share,
        )
        for copy in range(copies)
    )
    streams = (
        Stream("x", 0, "u8", rows, cols, 4),
        Stream("y", 0, "u8", rows, cols, 4, tuple(range(copies))),
    )
    return Mapping("m", (Step(StepKind.CHIP, "c", (), (), ()),), streams, stages)


@st.composite
def dealt(draw: st.DrawFn) -> Mapping:
    grid = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    rows, cols = draw(st.integers(grid[0], 12)), draw(st.integers(grid[1], 12))
    share = draw(st.integers(1, -(-rows // grid[0])))
    copies = draw(st.integers(2, max(2, share * -(-cols // grid[1]))))
    return layer(rows, cols, grid, min(copies, share * -(-cols // grid[1])), share)


def places_of(mapping: Mapping, stage: Stage) -> Array:
    """How often a copy makes each pixel of its stream."""
    stream = mapping.streams[stage.output]
    made = np.zeros((stream.rows, stream.cols), int)
    emits = emissions(mapping, stage)
    for turn, count in zip(turn_numbers(mapping, stage).tolist(), emits.tolist(), strict=True):
        for run in runs_of(mapping, stage, count):
            first = (turn + run.row) * stage.grid[0]
            last = min(first + stage.grid[0], turn * stage.grid[0] + count)
            stop = run.pixel0 + run.pixels * run.count
            made[first:last, run.pixel0 : stop] += 1
    return made


@given(dealt())
def test_each_pixel_is_made_by_one_copy(mapping: Mapping) -> None:
    made = [places_of(mapping, stage) for stage in mapping.stages]
    assert (np.sum(made, axis=0) == 1).all()
    rows = np.arange(mapping.streams[1].rows)
    touched = np.stack([(each > 0).any(axis=1) for each in made], axis=1)
    np.testing.assert_array_equal(sharers(mapping, mapping.stages[0], rows), touched)
    for stage in mapping.stages:
        assert turn_numbers(mapping, stage)[0] == first_share(mapping, stage)
        assert sum(part.pixels > 0 for part in parts_of(mapping, stage)) >= 1


@given(dealt())
def test_a_row_waits_for_all_who_make_a_part_of_it(mapping: Mapping) -> None:
    consumer = Stage(
        "c", 0, Kind.ROWS, (), (), False, (Operand(1, Role.ROW, "y"),), 0, "vector", pixels=1
    )
    feed = feed_of(mapping, consumer, consumer.operands[0])
    makers = makers_of(mapping, consumer.operands[0], feed)
    made = np.stack([(places_of(mapping, s) > 0).any(axis=1) for s in mapping.stages], axis=1)
    np.testing.assert_array_equal(makers.made, made[:, makers.sources])
    assert made.any(axis=0).sum() == len(makers.sources)

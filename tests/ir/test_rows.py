"""Which rows come to the rings of copies and pieces, and who makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.mapping import Kind, Mapping, Operand, Role, Stage, Step, StepKind, Stream, Window
from nmc.ir.rows import emissions, feed_of, firings, makers_of, met_chans, turn_numbers


def layer(
    rows: int, kernel: int, stride: int, pad: int, copies: int, copy: int, kind: Kind = Kind.MATRIX
) -> tuple[Mapping, Stage]:
    """One copy of a layer over padded rows, with what makes its input and the stream it makes."""
    out = (rows + 2 * pad - kernel) // stride + 1
    stage = Stage(
        "s",
        0,
        kind,
        ("y",),
        ((),),
        True,
        (Operand(0, Role.MAIN, "x", top=pad, bottom=pad), Operand(2, Role.ROW, "z")),
        1,
        "crossbar",
        Window((kernel, 1), (stride, 1)),
        copies=copies,
        copy=copy,
    )
    streams = (
        Stream("x", 0, "u8", rows, 1, 4),
        Stream("y", 0, "u8", out, 1, 4),
        Stream("z", 0, "u8", out, 1, 4),
    )
    return Mapping("m", (Step(StepKind.CHIP, "c", (), (), ()),), streams, (stage,)), stage


shapes = st.tuples(
    st.integers(1, 24), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 9)
).filter(lambda s: s[0] + 2 * s[3] >= s[1] > s[3])


@given(shapes, st.data())
def test_each_copy_sees_the_windows_of_its_rows(
    shape: tuple[int, int, int, int, int], data: st.DataObject
) -> None:
    rows, kernel, stride, pad, copies = shape
    out = (rows + 2 * pad - kernel) // stride + 1
    copies = min(copies, out)
    copy = data.draw(st.integers(0, copies - 1))
    mapping, stage = layer(rows, kernel, stride, pad, copies, copy)
    feed = feed_of(mapping, stage, stage.operands[0])
    ring = [-1] * feed.top + feed.rows.tolist() + [-2] * feed.bottom
    assert turn_numbers(mapping, stage).tolist() == list(range(copy, out, copies))
    for turn, number in enumerate(turn_numbers(mapping, stage).tolist()):
        seen = ring[turn * feed.advance : turn * feed.advance + kernel]
        wanted = [number * stride + k - pad for k in range(kernel)]
        assert seen == [-1 if r < 0 else -2 if r >= rows else r for r in wanted]
        last = max((r for r in seen if r >= 0), default=-1)
        assert last < 0 or feed.rows[: feed.needed[turn]].tolist().count(last) == 1
        assert feed.released[turn] <= feed.top + feed.needed[turn] or feed.needed[turn] == len(
            feed.rows
        )
    assert feed.needed[-1] == len(feed.rows)
    assert feed.released[-1] == feed.ring_rows == len(ring)


@given(shapes)
def test_copies_between_them_make_each_row_once(shape: tuple[int, int, int, int, int]) -> None:
    rows, kernel, stride, pad, copies = shape
    out = (rows + 2 * pad - kernel) // stride + 1
    copies = min(copies, out)
    made: list[int] = []
    for copy in range(copies):
        mapping, stage = layer(rows, kernel, stride, pad, copies, copy)
        assert emissions(mapping, stage).tolist() == [1] * firings(mapping, stage)
        made += feed_of(mapping, stage, stage.operands[1]).rows.tolist()
    assert sorted(made) == list(range(out))


def test_windows_that_lie_apart_leave_rows_out() -> None:
    mapping, stage = layer(16, 3, 1, 1, copies=4, copy=1)
    feed = feed_of(mapping, stage, stage.operands[0])
    assert feed.rows.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14]
    assert (feed.top, feed.bottom, feed.span, feed.advance) == (0, 0, 3, 3)


def test_windows_that_overlap_keep_every_row() -> None:
    mapping, stage = layer(16, 5, 1, 2, copies=2, copy=1)
    feed = feed_of(mapping, stage, stage.operands[0])
    assert feed.rows.tolist() == list(range(16))
    assert (feed.top, feed.bottom, feed.advance) == (1, 2, 2)


def test_a_row_is_made_by_every_piece_of_its_copy() -> None:
    mapping, stage = layer(12, 3, 1, 1, copies=1, copy=0)
    makers = [
        replace(stage, output=0, copies=3, copy=c, pieces=2, piece=p, chan0=2 * p, chans=2)
        for c in range(3)
        for p in range(2)
    ]
    streams = (replace(mapping.streams[0], producers=tuple(range(1, 7))), *mapping.streams[1:])
    mapping = replace(mapping, streams=streams, stages=(stage, *makers))
    feed = feed_of(mapping, stage, stage.operands[0])
    whole = makers_of(mapping, stage.operands[0], feed)
    assert whole.sources.tolist() == [0, 1, 2, 3, 4, 5]
    assert whole.made[4].tolist() == [False, False, True, True, False, False]
    assert whole.before(np.array([0, 3, 12])).tolist() == [[0] * 6, [1] * 6, [4] * 6]
    narrow = replace(stage.operands[0], chan0=2, chans=2)
    assert makers_of(mapping, narrow, feed).sources.tolist() == [1, 3, 5]
    assert met_chans(mapping, makers[0], narrow) == (2, 0)
    assert met_chans(mapping, makers[1], narrow) == (2, 2)


@pytest.mark.parametrize("kind", [Kind.MEAN, Kind.UPSAMPLE])
def test_what_fires_by_input_rows_has_one_copy(kind: Kind) -> None:
    mapping, stage = layer(6, 1, 1, 0, 1, 0, kind)
    assert firings(mapping, stage) == 6
    assert emissions(mapping, stage).tolist() == ([0] * 5 + [6] if kind is Kind.MEAN else [1] * 6)

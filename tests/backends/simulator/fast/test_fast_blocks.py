"""Blocks of channels, patterns of inputs, and where sums in narrow types must end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.backends.simulator.fast.blocks import (
    LINE_BYTES,
    WIDTHS,
    aligned,
    blocks_of,
    ends_of,
    patterns_of,
    runs_of,
)
from nmc.backends.simulator.fast.simd import COUNT
from nmc.backends.simulator.fast.subsets import GROUP, UNROLLED
from nmc.ir.program import TileRead
from tests.backends.simulator.chips import chip

TURN = GROUP * UNROLLED


def test_patterns_are_by_bit() -> None:
    x = np.random.default_rng(1).integers(0, 256, (2, 45)).astype(np.uint8)
    spans = [slice(0, 45), slice(7, 20)]
    patterns = patterns_of(x, spans)
    assert patterns.shape == (2, 2, 8, 2 * UNROLLED)
    for at, lane, bit in np.ndindex(2, 2, 8):
        ones = x[lane, spans[at]] >> bit & 1
        rows = np.zeros(2 * TURN, np.int64)
        rows[: len(ones)] = ones
        wanted = rows.reshape(-1, GROUP) @ (1 << np.arange(GROUP))
        np.testing.assert_array_equal(patterns[at, lane, bit], wanted)


def test_no_spans_have_no_patterns() -> None:
    assert patterns_of(np.zeros((3, 8), np.uint8), []).size == 0


def test_blocks_are_filled_up() -> None:
    channels = np.random.default_rng(2).integers(-3, 4, (37, COUNT + 6)).astype(np.int16)
    blocks = blocks_of(channels)
    assert blocks.shape == (2, 2 * TURN, COUNT)
    flat = blocks.transpose(1, 0, 2).reshape(2 * TURN, -1)
    np.testing.assert_array_equal(flat[:37, : COUNT + 6], channels)
    assert np.count_nonzero(flat) == np.count_nonzero(channels)


@given(
    st.integers(1, 31), st.integers(1, 6), st.sampled_from(["both", "above"]), st.integers(0, 99)
)
def test_sums_end_before_they_overflow(most: int, turns: int, signs: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    least = -most if signs == "both" else 0
    levels = rng.integers(least, most + 1, (1, turns * TURN, COUNT)).astype(np.int8)
    ends = ends_of(levels, WIDTHS[0])[0]
    last = int(np.flatnonzero(ends == turns * UNROLLED)[0])
    cuts = [0, *ends[: last + 1].tolist()]
    for begin, end in pairwise(cuts):
        assert begin < end
        rows = levels[0, GROUP * begin : GROUP * end].astype(np.int64)
        assert np.maximum(rows, 0).sum(axis=0).max() <= 127
        assert np.minimum(rows, 0).sum(axis=0).min() >= -128


def test_sums_end_where_turns_do() -> None:
    """21 groups of 6 would fit, in turns of 8 it is 16; of 60, only two fit, and none of a turn."""
    levels = np.zeros((2, 3 * TURN, COUNT), np.int8)
    levels[0, ::GROUP, 5] = 6
    levels[1, ::GROUP, 5] = 60
    ends = ends_of(levels, WIDTHS[0])
    assert ends[0, :2].tolist() == [16, 24]
    assert ends[1, :12].tolist() == list(range(2, 26, 2))


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("outputs", [1, 20, 64, 150])
def test_runs_have_every_channel_once(outputs: int, unit: bool) -> None:
    target = chip(crossbar={"cell_bits": 2})
    read = TileRead(0, 0, 0, (8,) * 4, (1, 2, 3, 5), (True, True, False, True))
    seen: list[tuple[int, int]] = []
    runs = runs_of(read, target, outputs, 100, unit).tolist()
    for block, channel, column, count, factor in runs:
        assert channel + count <= COUNT
        seen += [(column + n, factor) for n in range(count)]
        first = block * COUNT + channel
        assert first == len(seen) - count
    wanted = [(100 + n, factor) for factor in (1, 8, 320) for n in range(outputs)]
    assert seen == wanted + [(100 + outputs, 1)] * unit


def test_runs_of_a_unit_column_alone() -> None:
    target = chip(crossbar={"cell_bits": 2})
    read = TileRead(0, 0, 0, (8,) * 4, (7,) * 4, (False,) * 4)
    assert runs_of(read, target, 30, 0, unit=True).tolist() == [[0, 0, 30, 1, 7]]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_tables_begin_with_a_line(dtype: type[np.generic]) -> None:
    for count in (1, 63, 1000):
        table = aligned(count, dtype)
        assert table.shape == (count,)
        assert table.dtype == dtype
        assert table.ctypes.data % LINE_BYTES == 0

"""Tiles on shared crossbars: apart from each other, and no more than reading them allows."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir.graph import Array
from nmc.passes.placing.asks import Ask
from nmc.passes.placing.shelves import SharedCrossbars
from nmc.targets import load, override

TARGET = override(load("exact-128"), ["mesh.width=1", "mesh.height=1"])
"""One core of two clusters of four crossbars: 128 rows, 64 channels."""


def ask(stage: int, sizes: Array, held: int = 10) -> Ask:
    count = len(sizes)
    busy = np.full(count, held, np.int64)
    cycles = np.stack([busy, busy], axis=1)
    return Ask(stage, 0, stage, np.arange(count), cycles, busy, sizes, busy, 0, 0)


def cells(seat_crossbar: int, row0: int, channel0: int, size: Array) -> tuple[int, slice, slice]:
    return seat_crossbar, slice(row0, row0 + size[0]), slice(channel0, channel0 + size[1])


@pytest.mark.parametrize("seed", range(20))
def test_tiles_lie_on_cells_of_their_own_and_stages_on_crossbars_of_their_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rooms = SharedCrossbars.empty(TARGET)
    used = np.zeros((8, 128, 64), np.bool_)
    for stage in range(40):
        wanted = ask(stage, rng.integers(1, [129, 65], (int(rng.integers(1, 5)), 2)))
        open_ = rooms.crossbars(wanted, 0)
        clusters = [k for k, count in enumerate(open_) for _ in range(count)][: len(wanted.tiles)]
        tiles = range(len(clusters))
        seats = rooms.seat(wanted, 0, tiles, clusters)
        assert len({s.crossbar for s in seats}) == len(seats)
        for tile, cluster, seat in zip(tiles, clusters, seats, strict=True):
            there = cells(seat.crossbar, seat.row0, seat.channel0, wanted.sizes[tile])
            assert seat.crossbar // 4 == cluster
            assert used[there].size == wanted.sizes[tile].prod()
            assert not used[there].any()
            used[there] = True
    assert used.mean() > 0.5


def test_small_tiles_fill_a_crossbar_before_the_next() -> None:
    rooms = SharedCrossbars.empty(TARGET)
    seats = [
        rooms.seat(ask(stage, np.array([[32, 16]])), 0, range(1), [0])[0] for stage in range(16)
    ]
    assert {s.crossbar for s in seats} == {0}
    assert len({(s.row0, s.channel0) for s in seats}) == 16


def test_a_crossbar_is_read_for_no_longer_than_the_limit() -> None:
    rooms = SharedCrossbars.empty(TARGET)
    rooms.limit = 25
    for stage in range(2):
        rooms.seat(ask(stage, np.array([[8, 8]])), 0, range(1), [0])
    assert rooms.crossbars(ask(2, np.array([[8, 8]])), 0) == [3, 4]
    assert rooms.copy().crossbars(ask(2, np.array([[8, 8]]), held=5), 0) == [4, 4]


def test_a_copy_shares_nothing() -> None:
    rooms = SharedCrossbars.empty(TARGET)
    rooms.copy().seat(ask(0, np.array([[128, 64]] * 4)), 0, range(4), [0, 0, 0, 0])
    assert rooms.crossbars(ask(1, np.array([[128, 64]])), 0) == [4, 4]

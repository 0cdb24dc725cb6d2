"""ADC schedules: lossless where the range allows, zeros left alone, steps that fit the data."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.graph import Graph
from nmc.ir.slices import convert
from nmc.passes.schedule_adc import best_step, full_step, least_bits
from tests.passes.lowering import laid_out, roomy
from tests.passes.nets import Build


def convolution() -> Graph:
    net = Build(1, 16, 6, 6)
    return net.done(net.conv(net.x, 8))


def test_a_lossless_read_has_step_one() -> None:
    mapping = laid_out(convolution(), roomy(), until="schedule-adc")
    assert {t.steps for t in mapping.tiles} == {(1, 1)}
    # The upper slice of 7 bits has levels up to 7 only, and columns are not all at their peak.
    assert all(high <= low <= 12 for low, high in (t.bits for t in mapping.tiles))


@pytest.mark.parametrize(
    ("lo", "hi", "most", "bits"),
    [(-8, 7, 8, 4), (-9, 7, 8, 5), (-8, 8, 8, 5), (-500, 0, 8, 8), (0, 0, 8, 1), (-1, 0, 8, 1)],
)
def test_bits_are_as_few_as_cover_the_range(lo: int, hi: int, most: int, bits: int) -> None:
    assert least_bits(lo, hi, most) == bits


@pytest.mark.parametrize(("range_", "all_one"), [("full", False), ("clip", True)])
def test_narrow_converters_follow_the_target(range_: str, all_one: bool) -> None:
    target = roomy(["adc.bits=6", f"adc.range={range_}"], base="spin-128")
    mapping = laid_out(convolution(), target, until="schedule-adc")
    assert all((max(t.steps) == 1) is all_one for t in mapping.tiles)


def test_calibrated_steps_lie_between_clipping_and_full_range() -> None:
    steps = {}
    for range_ in ("full", "calibrated"):
        target = roomy(["adc.bits=6", f"adc.range={range_}"], base="spin-128")
        tiles = laid_out(convolution(), target, until="schedule-adc").tiles
        steps[range_] = np.array([t.steps for t in tiles])
    assert (steps["calibrated"] >= 1).all()
    assert (steps["calibrated"] < steps["full"]).any()
    assert (steps["calibrated"] <= steps["full"]).all()


def test_a_slice_without_levels_is_not_converted() -> None:
    net = Build(1, 4, 4, 4)
    # All weights are 127 or 0 in a column: sixteen times 7 and 15, so both slices are used; with
    # weights up to 15 of 127 only the lower slice is.
    data = np.zeros((2, 4, 1, 1), np.float32)
    data[:, 0] = 1.0
    data[:, 1:] = 15 / 127
    w = net.graph.constant("w", data)
    graph = net.done(net.emit(ops.Conv((1, 1), (0,) * 4, (1, 1), 1), net.x, w))
    both = laid_out(graph, roomy(), until="schedule-adc").tiles
    assert [t.converted for t in both] == [(True, True)]
    # On crossbars of one row, each tile holds one channel's weights: 127, or 15.
    alone = laid_out(graph_of(data), roomy(["crossbar.rows=1"]), until="schedule-adc").tiles
    assert [t.converted for t in alone] == [(True, True), *[(True, False)] * 3]


def graph_of(data: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Graph:
    net = Build(1, 4, 4, 4)
    w = net.graph.constant("w", data)
    return net.done(net.emit(ops.Conv((1, 1), (0,) * 4, (1, 1), 1), net.x, w))


@pytest.mark.parametrize("spread", [3, 40, 400])
def test_the_best_step_is_no_worse_than_any_other(spread: int) -> None:
    rng = np.random.default_rng(spread)
    columns = np.rint(rng.normal(0, spread, (4, 500))).astype(np.int64)
    weights = 1 << np.arange(4)

    def loss(step: int) -> float:
        error = (convert(columns, step, 5) - columns).astype(float) ** 2
        return float((error.mean(axis=1) * weights.astype(float) ** 2).sum())

    chosen = best_step(columns, 5, weights)
    assert loss(chosen) <= 1.05 * min(loss(step) for step in range(1, 200))


def test_offset_cells_use_unsigned_codes_that_also_hold_the_unit_column() -> None:
    overrides = ["crossbar.encoding=offset", "crossbar.cell_bits=2", "adc.bits=9", "adc.range=clip"]
    mapping = laid_out(convolution(), roomy(overrides), until="schedule-adc")
    for tile in mapping.tiles:
        assert len(tile.bits) == 4
        assert set(tile.steps) == {1}
        assert tile.rows < 2 ** tile.bits[0]
        # 128 rows of levels up to 3 in unsigned codes; signed ones would need a bit more.
        assert max(tile.bits) <= 9


@pytest.mark.parametrize(
    ("lo", "hi", "bits", "step"),
    [(-8, 7, 4, 1), (-9, 7, 4, 2), (-8, 8, 4, 2), (-100, 20, 4, 13), (0, 0, 4, 1), (-3, 5, 1, 10)],
)
def test_nothing_clips_at_the_full_step(lo: int, hi: int, bits: int, step: int) -> None:
    assert full_step(lo, hi, bits) == step
    ends = np.array([lo, hi])
    assert (np.abs(convert(ends, step, bits) - ends) <= step / 2).all()


@pytest.mark.parametrize("range_", ["full", "clip", "calibrated"])
def test_even_a_converter_of_one_bit_gets_a_schedule(range_: str) -> None:
    target = roomy(["adc.bits=1", f"adc.range={range_}"], base="spin-128")
    tiles = laid_out(convolution(), target, until="schedule-adc").tiles
    assert all(step >= 1 for tile in tiles for step in tile.steps)

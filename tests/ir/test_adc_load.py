"""How busy ADCs are: against channels counted one by one, programs, and all ways to share."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from nmc.backends.report_counts import count
from nmc.ir.adc_load import TileCycles, adc_balance, least_busiest
from nmc.ir.mapping import StepKind, Tile
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.targets import load, override
from tests.passes.lowering import lowered, roomy
from tests.passes.random_nets import random_net


def target(*overrides: str) -> Target:
    return override(load("exact-128"), list(overrides))


@pytest.mark.parametrize("wiring", ["interleaved", "blocked"])
@pytest.mark.parametrize("encoding", ["differential", "offset"])
@pytest.mark.parametrize(("outputs", "channel0"), [(1, 0), (5, 3), (20, 21)])
def test_each_channel_is_converted_by_the_adc_that_it_is_wired_to(
    wiring: str, encoding: str, outputs: int, channel0: int
) -> None:
    there = target(
        f'adc.wiring="{wiring}"',
        f'crossbar.encoding="{encoding}"',
        "adc.adcs_per_cluster=3",
        "adc.t_conversion_ns=6.0",
    )
    bits, converted = (3, 12), (True, outputs > 1)
    tile = Tile(0, 0, 0, 9, 0, outputs, 0, 0, 0, channel0, bits, (1, 1), converted)
    wanted: Counter[int] = Counter()
    for channel in range(outputs * 2):
        if converted[channel % 2]:
            adc = there.adc_of_channel(channel0 + channel)
            wanted[adc] += there.conversion_cycles(bits[channel % 2])
    if encoding == "offset":
        wanted[there.adc_of_channel(channel0 + outputs * 2)] += there.conversion_cycles(bits[0])
    assert TileCycles(there).of(tile).tolist() == [wanted[adc] for adc in range(3)]


def test_before_bits_are_chosen_as_many_are_counted_as_rows_can_need() -> None:
    there = target("adc.t_conversion_ns=12.0")
    cycles = [int(TileCycles(there).of(Tile(0, 0, 0, rows, 0, 1)).sum()) for rows in (1, 16, 128)]
    assert cycles == sorted(cycles)
    assert cycles[0] < cycles[-1] == 2 * there.conversion_cycles()


@pytest.mark.parametrize("seed", range(6))
def test_the_busiest_adc_is_that_of_the_program(seed: int) -> None:
    design = lowered(random_net(seed, 7), roomy(["crossbar.rows=16"]))
    mapping = mapping_of(design)
    steps = [i for i, step in enumerate(mapping.steps) if step.kind is StepKind.CHIP]
    programs = dict(zip(steps, design.programs, strict=True))
    counted = count(mapping, programs, design.target)
    for step in steps:
        balance = adc_balance(mapping, design.target, step)
        assert balance.busiest == counted.busiest(step)
        assert balance.bound <= balance.busiest
        assert balance.gap >= 0


@pytest.mark.parametrize("seed", range(20))
def test_no_way_to_share_is_below_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, tiles, adcs = (int(rng.integers(1, high)) for high in (4, 7, 4))
    cycles = rng.integers(0, 20, (tiles, adcs))
    bound = least_busiest(cycles, clusters)
    best = min(
        max(int(cycles[np.array(owners) == k].sum(axis=0).max()) for k in range(clusters))
        for owners in product(range(clusters), repeat=tiles)
    )
    assert bound <= best
    assert bound >= cycles.max()


def test_the_bound_counts_tiles_that_have_to_meet() -> None:
    # Three equal tiles on two clusters: two of them meet, though half of the work is only 1.5.
    assert least_busiest(np.array([[10], [10], [10]]), 2) == 20
    assert least_busiest(np.array([[10], [10], [10], [1]]), 2) == 20
    assert least_busiest(np.zeros((0, 2), np.int64), 2) == 0

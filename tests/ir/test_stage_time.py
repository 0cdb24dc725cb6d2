"""The time of one stage alone, against the simulator and against what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nmc.backends.simulator.fast import run_timing
from nmc.ir.design import Design
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.prediction import stage_times
from nmc.ir.stage_time import StageTime, StageTimes
from nmc.passes.base import mapping_of
from nmc.targets import load, override
from tests.passes.lowering import lowered
from tests.passes.nets import Build


def one_layer(
    chans: int, outputs: int, kernel: int = 3, size: int = 12, stride: int = 1, group: int = 1
) -> Graph:
    net = Build(1, chans, size, size)
    pad = kernel // 2
    return net.done(net.conv(net.x, outputs, kernel, stride=stride, pad=pad, group=group))


def times_of(design: Design) -> dict[int, StageTime]:
    return stage_times(mapping_of(design), design.graph, design.target)


def matrix(design: Design) -> tuple[int, Stage, list[Tile]]:
    mapping = mapping_of(design)
    number = next(i for i, s in enumerate(mapping.stages) if s.kind is Kind.MATRIX)
    return number, mapping.stages[number], [tile for _, tile in mapping.tiles_of(number)]


@pytest.mark.parametrize("target", ["spin-128", "isaac-ce", "puma", "hermes-256"])
@pytest.mark.parametrize(
    ("chans", "outputs", "kernel", "stride", "group"),
    [
        (3, 16, 3, 1, 1),
        (16, 32, 3, 1, 1),
        (64, 64, 1, 1, 1),
        (200, 16, 1, 1, 1),
        (24, 24, 3, 1, 24),
        (32, 64, 3, 2, 1),
    ],
)
def test_the_slowest_stage_sets_the_simulated_interval(
    target: str, chans: int, outputs: int, kernel: int, stride: int, group: int
) -> None:
    graph = one_layer(chans, outputs, kernel, stride=stride, group=group)
    design = lowered(graph, override(load(target), ["core.sram_kib=4096"]))
    cycles = run_timing(design.programs[0], design.target, 6).output_cycles
    interval = cycles[-2] - cycles[-3]
    slowest = max(time.input_cycles for time in times_of(design).values())
    assert slowest == pytest.approx(interval, rel=0.03)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("adcs", [1, 2, 4])
def test_stages_of_sample_and_hold_and_adcs_set_the_pace_of_reads(stages: int, adcs: int) -> None:
    changes = [f"crossbar.sample_holds={stages}", f"adc.adcs_per_cluster={adcs}"]
    design = lowered(one_layer(16, 16), override(load("exact-128"), changes))
    number, _, tiles = matrix(design)
    time, target = times_of(design)[number], design.target
    each = [
        sum(sum(target.conversion_cycles(b) for b, c in zip(t.bits, t.converted, strict=True) if c)
            * t.outputs for t in tiles if t.crossbar // 4 == cluster) // adcs
        for cluster in (0, 1)
    ]  # fmt: skip
    if stages == 2:
        assert time.cores[0].read_cycles >= target.phases * max(*each, target.read_cycles)
    else:
        assert time.cores[0].read_cycles >= target.phases * (target.read_cycles + max(each) // 2)
    cycles = run_timing(design.programs[0], target, 6).output_cycles
    assert time.input_cycles == pytest.approx(cycles[-2] - cycles[-3], rel=0.03)


def test_before_placement_a_matrix_counts_as_alone_on_the_chip() -> None:
    small = override(load("exact-128"), ["mesh.width=1", "mesh.height=1"])
    design = lowered(one_layer(16, 64), small)
    number, stage, tiles = matrix(design)
    placed = times_of(design)[number]
    loose = [replace(tile, core=-1, crossbar=-1) for tile in tiles]
    times, nodes = StageTimes(design.target), nodes_by_result(design.graph)
    unplaced = times.of(mapping_of(design), replace(stage, home=-1, cores=()), loose, nodes)
    assert unplaced.firings == placed.firings
    assert unplaced.compute_cycles == pytest.approx(placed.compute_cycles, rel=0.02)
    assert unplaced.adc_cycles == placed.adc_cycles
    assert unplaced.vector_cycles == placed.vector_cycles


def test_copies_share_the_firings_of_a_layer() -> None:
    design = lowered(one_layer(16, 16), load("exact-128"))
    _, stage, tiles = matrix(design)
    times, nodes = StageTimes(design.target), nodes_by_result(design.graph)
    mapping = mapping_of(design)
    alone = times.of(mapping, stage, tiles, nodes)
    parts = [times.of(mapping, replace(stage, copies=5, copy=k), tiles, nodes) for k in range(5)]
    assert sum(part.firings for part in parts) == alone.firings == 12
    assert [part.firings for part in parts] == [3, 3, 2, 2, 2]
    assert parts[0].firing_cycles == pytest.approx(alone.firing_cycles, rel=0.01)


def test_a_run_is_finished_while_the_next_one_is_read() -> None:
    design = lowered(one_layer(4, 8), load("exact-128"))
    time = times_of(design)[matrix(design)[0]]
    whole = time.turn_cycles + time.emission_cycles
    assert time.runs == 1
    assert time.finish_after(True) == whole
    halved = replace(time, runs=2)
    assert halved.finish_after(True) == max(whole / 2, whole - time.compute_cycles / 2)
    assert time.finish_after(False) == time.turn_cycles

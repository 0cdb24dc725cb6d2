"""Programs compute what the quantised graph says: bit for bit, race-free, whatever the machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmc.ir import ops
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Graph
from nmc.ir.program import Loop, Mvm, Put, Store
from nmc.ir.target import Target
from nmc.passes.tiling import laying
from tests.passes.lowering import lowered, only_recodes, roomy, run_both
from tests.passes.nets import Build
from tests.passes.random_nets import random_net
from tests.strategies import float_graphs

MACHINES = {
    "whole matrices": roomy(),
    "partial sums": roomy(["crossbar.rows=16"]),
    "many cores": roomy(["crossbar.rows=8", "crossbar.cols=16", "mesh.width=16"]),
    "slow converters": roomy(
        ["crossbar.rows=32", "adc.crossbars_per_cluster=1", "adc.t_conversion_ns=20"]
    ),
    "one sample-and-hold": roomy(["crossbar.sample_holds=1", "adc.wiring=blocked"]),
    "two-bit inputs": roomy(["crossbar.dac_bits=2", "adc.bits=14"]),
    "binary cells": roomy(["crossbar.cell_bits=1"]),
    "offset cells": roomy(["crossbar.encoding=offset", "crossbar.cell_bits=2", "adc.bits=9"]),
}


def check(graph: Graph, target: Target, inflight: int = 1) -> bool:
    """The machine's outputs are the interpreter's, and no two accesses race.

    Says whether the chip computes the whole graph; what the host computes for is not run here.
    """
    design = lowered(graph, target)
    if not only_recodes(design):
        return False
    got, wanted, result = run_both(design, samples=2 * inflight, inflight=inflight)
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert not result.races
    return True


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("seed", range(8))
def test_random_nets_are_exact(machine: str, seed: int) -> None:
    assert check(random_net(seed, 9), MACHINES[machine], inflight=1 + seed % 3)


@settings(max_examples=60)
@given(float_graphs(), st.sampled_from(sorted(MACHINES)), st.integers(1, 3))
def test_any_small_net_is_exact(graph: Graph, machine: str, inflight: int) -> None:
    try:
        assume(check(graph, MACHINES[machine], inflight))
    except NmcError as failure:
        assume(failure.diagnostics[0].code != "too-many-tiles")
        raise


@pytest.mark.parametrize("seed", range(6))
def test_rows_worked_on_in_runs_of_pixels_are_exact(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laying, "WORK_SHARE", 1 << 16)
    assert check(random_net(seed, 9), MACHINES["partial sums"], inflight=2)


def signal_net() -> Graph:
    net = Build(1, 6, 40)
    y = net.relu(net.conv(net.x, 8, kernel=5, stride=2, pad=2))
    y = net.relu(net.conv(y, 8, group=8))
    y = net.emit(ops.MaxPool((2,), (2,), (0, 1), (1,)), y)
    y = net.emit(ops.AvgPool((3,), (2,), (1, 1), (1,), False, False), y)
    return net.done(net.emit(ops.Softmax(1), net.dense(y, 5)))


def moves_net() -> Graph:
    net = Build(1, 4, 6, 8)
    y = net.conv(net.x, 8)
    y = net.emit(ops.DepthToSpace(2, "CRD"), y)
    y = net.emit(ops.Slice((1, 2), (11, 15), (2, 3), (2, 3)), y)
    y = net.emit(ops.Pad((0, 0, 1, 2, 0, 0, 0, 1), "constant", 0.25), y)
    y = net.emit(ops.Resize((1, 1, 2, 3)), y)
    y = net.emit(ops.Transpose((0, 1, 3, 2)), y)
    return net.done(net.conv(y, 3, kernel=2, pad=0))


def tokens_net() -> Graph:
    net = Build(1, 9, 6)
    y = net.emit(ops.MatMul(), net.x, net.weight(6, 12))
    y = net.emit(ops.LayerNorm(2), y, net.weight(12), net.weight(12))
    y = net.emit(ops.Add(), y, net.weight(1, 9, 12))
    y = net.emit(ops.MatMul(), net.emit(ops.Gelu(), y), net.weight(12, 4))
    return net.done(net.emit(ops.Softmax(2), y))


def depthwise_net() -> Graph:
    """Blocks of three, three, three and one channel: reads of the last overtake the others."""
    net = Build(1, 10, 6, 9)
    return net.done(net.conv(net.conv(net.x, 10, group=10), 4))


def unet() -> Graph:
    net = Build(1, 2, 8, 8)
    fine = net.relu(net.conv(net.x, 4))
    coarse = net.emit(ops.MaxPool((2, 2), (2, 2), (0,) * 4, (1, 1)), fine)
    coarse = net.relu(net.conv(coarse, 6))
    up = net.emit(ops.Resize((1, 1, 2, 2)), coarse)
    return net.done(net.conv(net.emit(ops.Concat(1), fine, up), 2))


def fusion_net() -> Graph:
    """Two branches of one sensor, flattened, side by side: two relayouts, one of each order."""
    net = Build(1, 3, 12)
    flats = [
        net.emit(ops.Reshape((1, y.type.elements)), y)
        for y in (net.conv(net.x, 4, name="a"), net.conv(net.x, 5, kernel=1, pad=0, name="b"))
    ]
    joined = net.emit(ops.Concat(1), *flats)
    return net.done(net.emit(ops.MatMul(), joined, net.weight(108, 3)))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "make", [signal_net, moves_net, tokens_net, depthwise_net, unet, fusion_net]
)
def test_shapes_of_edge_networks_are_exact(machine: str, make: Callable[[], Graph]) -> None:
    assert check(make(), MACHINES[machine], inflight=2)


def test_a_program_does_not_grow_with_the_image() -> None:
    sizes = []
    for side in (16, 64):
        net = Build(1, 4, side, side)
        design = lowered(net.done(net.conv(net.relu(net.conv(net.x, 4)), 4)))
        cores = design.programs[0].cores
        sizes.append(sum(len(s.instructions) for c in cores for s in c.sequencers))
    assert sizes[0] == sizes[1]


def test_loops_count_rows_and_pixels() -> None:
    net = Build(1, 4, 10, 7)
    design = lowered(net.done(net.conv(net.x, 4, pad=0)))
    sequencers = [s for c in design.programs[0].cores for s in c.sequencers]
    (compute,) = (s for s in sequencers if s.label.endswith(".compute"))
    counts = [i.count for i in compute.instructions if isinstance(i, Loop)]
    # Once per input; a first row of 5 pixels that waits for three rows; seven rows of 5 pixels that
    # wait for one more each.
    assert counts == [0, 5, 7, 5]


def test_plans_that_may_overtake_each_other_are_counted_apart() -> None:
    design = lowered(depthwise_net(), MACHINES["slow converters"])
    sequencers = [s for c in design.programs[0].cores for s in c.sequencers]
    (compute,) = (s for s in sequencers if s.label == "conv.compute")
    reads = [i for i in compute.instructions if isinstance(i, Mvm)]
    assert len({read.plan for read in reads}) == 4
    assert len({(read.plan, read.sem) for read in reads}) == len({read.sem for read in reads}) == 4


def test_rows_that_leave_two_ways_are_counted_apart() -> None:
    net = Build(1, 4, 6, 6)
    shared = net.relu(net.conv(net.x, 4))
    design = lowered(net.done(net.conv(shared, 4), shared))
    sequencers = [s for c in design.programs[0].cores for s in c.sequencers]
    for sequencer in sequencers:
        puts = {i.done for i in sequencer.instructions if isinstance(i, Put)}
        stores = {i.sem for i in sequencer.instructions if isinstance(i, Store)}
        assert not puts & stores


def test_too_few_semaphores_are_said_to_be() -> None:
    with pytest.raises(NmcError) as caught:
        lowered(random_net(1, 8), roomy(["core.semaphores=4"]))
    assert {d.code for d in caught.value.diagnostics} >= {"too-many-sequencers"}


def test_the_same_graph_gives_the_same_programs() -> None:
    one, other = (lowered(random_net(3, 9)).programs for _ in range(2))
    assert one == other

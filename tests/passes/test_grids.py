"""Reads that give several outputs: programs are exact, whatever grid each layer has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmc.ir import ops
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind
from nmc.ir.mapping_check import check_mapping
from nmc.ir.matrices import nodes_by_result
from nmc.ir.rows import firings
from nmc.ir.stage_memory import core_outputs
from nmc.ir.target import Target
from nmc.ir.vector_work import vector_cycles, vector_work
from nmc.passes.base import mapping_of
from tests.ir.test_vector_work import programmed
from tests.passes.gridding import gridded
from tests.passes.lowering import only_recodes, roomy, run_both
from tests.passes.nets import Build
from tests.passes.random_nets import random_net
from tests.passes.test_codegen import MACHINES
from tests.strategies import float_graphs

WIDE = ["mesh.width=24", "mesh.height=24"]


def check(
    graph: Graph, target: Target, seed: int, inflight: int, copies: int = 1, cut: float = 0.0
) -> bool:
    """Bit for bit the interpreter's outputs, without a race, from a mapping that is sound."""
    design = gridded(graph, target, seed, copies, cut)
    mapping = mapping_of(design)
    assert check_mapping(mapping, target) == []
    if not only_recodes(design):
        return False
    got, wanted, result = run_both(design, samples=2 * inflight, inflight=inflight)
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert not result.races
    return any(stage.grid != (1, 1) for stage in mapping.stages)


@pytest.mark.parametrize("machine", sorted(set(MACHINES) - {"many cores"}))
@pytest.mark.parametrize("seed", range(4))
def test_random_grids_are_exact(machine: str, seed: int) -> None:
    assert check(random_net(seed, 9), MACHINES[machine], seed, inflight=1 + seed % 3)


@pytest.mark.parametrize("seed", [10, 11, 12, 14, 15, 16, 17, 18])
def test_copies_and_pieces_of_random_grids_are_exact(seed: int) -> None:
    target = roomy(["crossbar.rows=24", "crossbar.cols=32", *WIDE])
    assert check(random_net(seed, 9), target, seed, 1 + seed % 2, copies=5, cut=0.3)


@settings(max_examples=30)
@given(float_graphs(), st.integers(0, 1 << 16), st.integers(1, 3))
def test_any_small_net_in_any_way_is_exact(graph: Graph, seed: int, inflight: int) -> None:
    assume(check(graph, roomy(WIDE), seed, inflight, copies=4, cut=0.2))


def dilated_and_strided() -> Graph:
    net = Build(1, 5, 13, 11)
    w = net.weight(6, 5, 3, 2)
    x = net.emit(ops.Conv((2, 1), (2, 1, 2, 1), (2, 3), 1), net.x, w, net.weight(6))
    w = net.weight(7, 6, 2, 3)
    return net.done(net.emit(ops.Conv((3, 2), (0, 1, 0, 0), (1, 1), 1), x, w, net.weight(7)))


def tall_signal() -> Graph:
    """A signal of one pixel a row, with a gap between the windows."""
    net = Build(1, 3, 37)
    x = net.relu(net.conv(net.x, 8, kernel=2, stride=3, pad=0))
    return net.done(net.conv(x, 4, kernel=5, pad=2))


def tokens() -> Graph:
    net = Build(1, 11, 6)
    x = net.emit(ops.MatMul(), net.x, net.weight(6, 9), name="up")
    return net.done(net.emit(ops.MatMul(), net.relu(x), net.weight(9, 4), name="down"))


def skips() -> Graph:
    """Operands of the rowwise nodes: a row of a skip, a table by rows, a gate for all rows."""
    net = Build(1, 6, 9, 10)
    x = net.relu(net.conv(net.x, 6))
    table = net.graph.constant("t", net.rng.standard_normal((1, 6, 9, 10)).astype(np.float32))
    x = net.emit(ops.Add(), net.conv(x, 6), x, name="skip")
    x = net.emit(ops.Mul(), x, table, name="table")
    mean = net.emit(ops.Reduce("mean", (2, 3), True), x, name="mean")
    gate = net.emit(ops.Sigmoid(), net.conv(mean, 6, kernel=1, pad=0))
    return net.done(net.emit(ops.Mul(), net.conv(x, 6, kernel=1, pad=0), gate, name="gated"))


def grouped() -> Graph:
    net = Build(1, 12, 10, 9)
    x = net.relu(net.conv(net.x, 12, group=12))
    x = net.relu(net.conv(x, 24, group=12, stride=2))
    return net.done(net.conv(x, 18, group=6))


@pytest.mark.parametrize("make", [dilated_and_strided, tall_signal, tokens, skips, grouped])
@pytest.mark.parametrize("seed", range(4))
def test_geometries_are_exact(make: Callable[[], Graph], seed: int) -> None:
    check(make(), roomy(["crossbar.rows=48", *WIDE]), seed, inflight=2, copies=2, cut=0.15)


@pytest.mark.parametrize("make", [skips, grouped, dilated_and_strided])
@pytest.mark.parametrize("seed", range(6))
def test_vector_work_is_predicted_as_it_is_programmed(make: Callable[[], Graph], seed: int) -> None:
    """To the cycle where grids divide the rows; otherwise rows that are dropped are counted too."""
    target = roomy(["vector.lanes=3", "crossbar.rows=48", *WIDE])
    design = gridded(make(), target, seed, cut=0.1)
    mapping, found = mapping_of(design), programmed(design)
    nodes = nodes_by_result(design.graph)
    for number, stage in enumerate(mapping.stages):
        if stage.kind is Kind.MATRIX:
            outputs = core_outputs(stage, [tile for _, tile in mapping.tiles_of(number)])
            work = vector_work(mapping, stage, outputs, nodes)
            each = sum(vector_cycles(item, target.vector) for item in work)
            cycles = firings(mapping, stage) * each
            rows = mapping.streams[stage.output].rows
            assert found[number, stage.home, "post"] <= cycles
            if rows % stage.grid[0] == 0:
                assert found[number, stage.home, "post"] == cycles

"""Copies and pieces: every weight once per copy, and the same bytes whatever the division."""

from __future__ import annotations

from collections.abc import Mapping as Dict

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind, Mapping, Stage
from nmc.ir.mapping_check import check_mapping
from nmc.ir.matrices import nodes_by_result
from nmc.ir.target import Target
from nmc.ir.tile_cover import weights_held
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.tiling.dividing import Copies, channelwise, cut, divided, piece_cuts
from nmc.passes.tiling.laying import laid
from nmc.passes.tiling.spelling import WayName
from tests.passes.gridding import dealt
from tests.passes.lowering import lowered, only_recodes, roomy, run_both
from tests.passes.nets import Build
from tests.passes.random_nets import random_net

SMALL = ["crossbar.rows=16", "crossbar.cols=16", "mesh.width=16", "mesh.height=16"]


def column_starts(mapping: Mapping, index: int) -> list[int]:
    stage = mapping.stages[index]
    tiles = [t for t in mapping.tiles if t.stage == index]
    return sorted({stage.blocks[t.block].output0 + t.output0 for t in tiles})


def finished(graph: Graph, target: Target, rng: np.random.Generator) -> Design:
    """The design with copies and pieces at random, and a program for them."""
    design = lowered(graph, target, until="tile")
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    copies = {i: dealt(mapping, stage, 5, rng) for i, stage in enumerate(mapping.stages)}
    cuts: Dict[int, tuple[int, ...]] = {
        i: tuple(c for c in column_starts(mapping, i)[1:] if rng.random() < 0.6)
        for i, stage in enumerate(mapping.stages)
        if stage.kind is Kind.MATRIX and channelwise(mapping, stage, nodes)
    }
    design.mapping = divided(mapping, copies, cuts, target)
    names = [step.name for step in PASSES]
    for step in PASSES[names.index("place") :]:
        report = Report()
        step().run(design, report)
        report.check()
    return design


@pytest.mark.parametrize("seed", range(12))
def test_any_division_of_a_random_net_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = roomy(SMALL if seed % 2 else ["crossbar.rows=16"])
    design = finished(random_net(seed, 8), target, rng)
    if not only_recodes(design):
        pytest.skip("the host has a part of it")
    assert check_mapping(mapping_of(design), target) == []
    got, wanted, result = run_both(design, samples=4, inflight=2)
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert not result.races


def wide_net() -> Graph:
    net = Build(1, 12, 9, 7)
    y = net.relu(net.conv(net.x, 40, pad=1))
    return net.done(net.emit(ops.Add(), y, net.relu(net.conv(y, 40, pad=1))))


def test_every_copy_holds_every_weight_and_every_piece_its_channels() -> None:
    mapping = mapping_of(lowered(wide_net(), roomy(SMALL), until="tile"))
    index = next(i for i, s in enumerate(mapping.stages) if s.kind is Kind.MATRIX)
    before = [t for t in mapping.tiles if t.stage == index]
    cuts = tuple(column_starts(mapping, index)[2::2])
    parts = divided(mapping, {index: Copies(3)}, {index: cuts}, roomy(SMALL))
    stream = parts.streams[mapping.stages[index].output]
    stages = [parts.stages[n] for n in stream.producers]
    pieces = len(cuts) + 1
    assert [(s.copy, s.piece) for s in stages] == [(c, p) for c in range(3) for p in range(pieces)]
    assert {s.chan0 for s in stages} == {0, *cuts}
    tiles = [t for t in parts.tiles if t.stage in stream.producers]
    assert len(tiles) == 3 * len(before)
    for producer in stream.producers:
        stage = parts.stages[producer]
        area = sum(t.rows * t.outputs for t in parts.tiles if t.stage == producer)
        assert area == sum(b.rows * b.outputs for b in stage.blocks)
        assert sum(b.outputs for b in stage.blocks) == stage.chans
    assert check_mapping(parts, roomy(SMALL), complete=False) == []


def cuts_of(graph: Graph, target: Target) -> dict[str, tuple[int, ...]]:
    design = lowered(graph, target, until="tile")
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    return {
        stage.name: piece_cuts(
            mapping, stage, [t for t in mapping.tiles if t.stage == i], nodes, target
        )
        for i, stage in enumerate(mapping.stages)
    }


def matrix_stages(mapping: Mapping) -> list[Stage]:
    return [s for s in mapping.stages if s.kind is Kind.MATRIX]


def test_what_a_core_holds_stays_whole() -> None:
    target = roomy(["core.crossbars=32"])
    assert set(cuts_of(wide_net(), target).values()) == {()}


def test_a_matrix_that_no_core_holds_is_cut_where_tiles_end() -> None:
    target = roomy(SMALL)
    found = [cuts for cuts in cuts_of(wide_net(), target).values() if cuts]
    assert found
    assert all(c % target.outputs_per_crossbar == 0 for cuts in found for c in cuts)


@pytest.mark.parametrize(
    ("rows", "crossbars", "grid", "most"),
    [(64, 8, (1, 4), 8), (64, 16, (2, 2), 16), (128, 8, (1, 7), 8), (16, 4, (1, 4), 100)],
)
def test_a_matrix_of_grids_is_cut_into_equal_pieces(
    rows: int, crossbars: int, grid: tuple[int, int], most: int
) -> None:
    """Pieces fit into a core where that takes hardly more crossbars, and are tiled anew."""
    overrides = [f"crossbar.rows={rows}", "crossbar.cols=32", f"core.crossbars={crossbars}"]
    target = roomy(overrides)
    design = lowered(wide_net(), target, until="stage")
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    index = next(i for i, s in enumerate(mapping.stages) if s.kind is Kind.MATRIX)
    stage, tiles = laid(mapping, index, WayName(grid), nodes, target)
    cuts = piece_cuts(mapping, stage, tiles, nodes, target)
    pieces = list(cut(mapping, stage, tiles, cuts, target))
    sizes = [piece.chans for piece, _ in pieces]
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {max(sizes)}
    counts = [len(its) for _, its in pieces]
    assert max(counts) <= most
    assert sum(counts) <= 1.25 * len(tiles)
    for piece, its in pieces:
        (block,) = piece.blocks
        whole = 9 * block.chans * block.outputs * grid[0] * grid[1]
        assert weights_held(piece, block, its) == whole


def test_softmax_keeps_its_channels_together() -> None:
    net = Build(1, 40, 1)
    graph = net.done(net.emit(ops.Softmax(1), net.conv(net.x, 48, kernel=1)))
    mapping = mapping_of(lowered(graph, roomy(SMALL)))
    assert all(s.pieces == 1 for s in matrix_stages(mapping) if len(s.nodes) > 1)

"""Tiles: every weight in exactly one, none larger than a crossbar."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir.diagnostics import NmcError, Report
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind, Mapping
from nmc.ir.matrices import block_matrix, nodes_by_result
from nmc.passes.base import mapping_of
from nmc.passes.tile import TileMatrices
from tests.passes.lowering import laid_out, lowered, roomy
from tests.passes.nets import Build

SMALL = roomy(["crossbar.rows=16", "crossbar.cols=16"])


def convolution(group: int, channels: int, outputs: int) -> Graph:
    net = Build(1, channels, 5, 5)
    return net.done(net.conv(net.x, outputs, group=group))


@pytest.mark.parametrize(
    ("group", "channels", "outputs"), [(1, 5, 11), (2, 4, 6), (6, 6, 6), (6, 6, 12), (2, 8, 26)]
)
def test_tiles_cover_each_block_once_and_fit(group: int, channels: int, outputs: int) -> None:
    mapping = laid_out(convolution(group, channels, outputs), SMALL, until="tile")
    (stage,) = (s for s in mapping.stages if s.blocks)
    for number, block in enumerate(stage.blocks):
        times = np.zeros((block.rows, block.outputs), int)
        for tile in mapping.tiles:
            if tile.block == number:
                assert tile.rows <= SMALL.crossbar.rows
                assert tile.outputs <= SMALL.outputs_per_crossbar
                rows = slice(tile.row0, tile.row0 + tile.rows)
                times[rows, tile.output0 : tile.output0 + tile.outputs] += 1
        assert (times == 1).all()


@pytest.mark.parametrize(("group", "channels", "outputs"), [(6, 6, 6), (4, 8, 8)])
def test_blocks_hold_all_weights_of_a_grouped_convolution(
    group: int, channels: int, outputs: int
) -> None:
    design = lowered(convolution(group, channels, outputs), SMALL, until="tile")
    mapping = mapping_of(design)
    (stage,) = (s for s in mapping.stages if s.blocks)
    anchor = nodes_by_result(design.graph)[stage.nodes[0]]
    total = sum(np.abs(block_matrix(anchor, stage, b).astype(int)).sum() for b in stage.blocks)
    assert total == np.abs(anchor.operand(1).array.astype(int)).sum()
    assert sum(b.outputs for b in stage.blocks) == outputs


def test_depthwise_groups_share_crossbars() -> None:
    mapping: Mapping = laid_out(convolution(12, 12, 12), roomy(), until="tile")
    # Nine rows a channel: twelve of them fit on one crossbar of 128 rows.
    assert len(mapping.tiles) == 1


def test_a_window_is_given_to_every_layer_that_can_have_it() -> None:
    net = Build(1, 4, 8, 8)
    flat = net.dense(net.conv(net.conv(net.x, 4), 4, kernel=1, pad=0, group=4), 5)
    design = lowered(net.done(flat), roomy(), until="stage")
    assert TileMatrices(way="window 2x4").run(design, Report())
    ways = [s.way for s in mapping_of(design).stages if s.kind is Kind.MATRIX]
    assert ways == ["window 2x4", "groups 4 window 2x4", "im2col"]


@pytest.mark.parametrize(
    ("way", "words"),
    [("sideways", "is no way"), ("vector", "single layers"), ("groups 2", "single layers")],
)
def test_no_way_for_all_layers_is_refused(way: str, words: str) -> None:
    design = lowered(convolution(1, 4, 4), roomy(), until="stage")
    with pytest.raises(NmcError, match=words):
        TileMatrices(way=way).run(design, Report())


def test_reference_columns_are_refused_with_a_way_out() -> None:
    overrides = ["crossbar.encoding=reference", "crossbar.reference_columns=4"]
    with pytest.raises(NmcError, match="not with reference columns") as caught:
        laid_out(convolution(1, 5, 11), roomy(overrides), until="tile")
    assert "crossbar.encoding=differential" in caught.value.diagnostics[0].remedy

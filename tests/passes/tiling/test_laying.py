"""Stages laid on crossbars in a way: blocks, tiles, padding, runs of pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nmc.ir.design import Design
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind
from nmc.ir.mapping_check import check_mapping
from nmc.ir.matrices import block_matrix, nodes_by_result
from nmc.passes.base import mapping_of
from nmc.passes.tiling import laying
from nmc.passes.tiling.laying import chunk_of, laid, layer_of
from nmc.passes.tiling.spelling import IM2COL, WayName
from nmc.passes.tiling.ways import evaluate, ways_of
from tests.passes.lowering import lowered, roomy
from tests.passes.nets import Build

TARGET = roomy(["crossbar.rows=48", "crossbar.cols=48"])


def convolution(group: int = 1, stride: int = 1) -> Graph:
    net = Build(1, 6, 10, 11)
    return net.done(net.conv(net.x, 12, group=group, stride=stride))


def staged(graph: Graph) -> tuple[Design, int]:
    """A design of one matrix, and its number."""
    design = lowered(graph, TARGET, until="stage")
    (index,) = (i for i, s in enumerate(mapping_of(design).stages) if s.kind is Kind.MATRIX)
    return design, index


@pytest.mark.parametrize("group", [1, 2, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_each_way_of_a_layer_is_what_it_says(group: int, stride: int) -> None:
    """As many tiles as the way was said to take, sound by the checker's rules, all weights in."""
    design, index = staged(convolution(group, stride))
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    layer = layer_of(mapping, mapping.stages[index], nodes)
    anchor = nodes[mapping.stages[index].nodes[0]]
    ways = ways_of(layer, TARGET, vector=False)
    assert len(ways) > 1
    for way in ways:
        stage, tiles = laid(mapping, index, way.name, nodes, TARGET)
        assert (stage.way, stage.grid) == (str(way.name), way.name.grid)
        assert len(tiles) == way.crossbars
        assert -(-mapping.streams[stage.output].cols // stage.grid[1]) == way.reads
        stages = (*mapping.stages[:index], stage, *mapping.stages[index + 1 :])
        whole = replace(mapping, stages=stages, tiles=tuple(tiles))
        assert check_mapping(whole, TARGET, complete=False) == []
        matrices = [block_matrix(anchor, stage, block) for block in stage.blocks]
        for tile in tiles:
            rows = slice(tile.row0, tile.row0 + tile.rows)
            matrices[tile.block][rows, tile.output0 : tile.output0 + tile.outputs] = 0
        assert not any(matrix.any() for matrix in matrices)


def test_padding_reaches_as_far_as_the_last_reads() -> None:
    design, index = staged(convolution())
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    for grid, bottom, right in (((1, 1), 1, 1), ((5, 11), 1, 1), ((3, 4), 3, 2), ((10, 2), 1, 2)):
        stage, _ = laid(mapping, index, WayName(grid), nodes, TARGET)
        assert (stage.operands[0].top, stage.operands[0].left) == (1, 1)
        assert (stage.operands[0].bottom, stage.operands[0].right) == (bottom, right)


def test_a_stage_can_be_laid_again_in_another_way() -> None:
    design, index = staged(convolution())
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    plain = laid(mapping, index, IM2COL, nodes, TARGET)
    wide, _ = laid(mapping, index, WayName((3, 4)), nodes, TARGET)
    stages = (*mapping.stages[:index], wide, *mapping.stages[index + 1 :])
    again = laid(replace(mapping, stages=stages), index, IM2COL, nodes, TARGET)
    assert again == plain


def test_runs_of_pixels_are_whole_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laying, "WORK_SHARE", 1 << 16)
    net = Build(1, 6, 10, 12)
    design, index = staged(net.done(net.conv(net.x, 12)))
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    for pixels, run in ((1, 1), (3, 3), (4, 4), (5, 12), (6, 6), (7, 12)):
        stage, _ = laid(mapping, index, WayName((1, pixels)), nodes, TARGET)
        assert stage.pixels == run


@pytest.mark.parametrize(
    ("cols", "each", "budget", "pixels"),
    [(56, 100, 5600, 56), (56, 100, 5599, 28), (56, 100, 99, 1), (7, 100, 699, 1), (1, 9, 1, 1)],
)
def test_runs_of_pixels_divide_the_row(cols: int, each: int, budget: int, pixels: int) -> None:
    assert chunk_of(cols, each, budget) == pixels


def test_a_way_that_a_layer_cannot_have_is_refused_before_it_is_laid() -> None:
    design, index = staged(convolution(group=6))
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    layer = layer_of(mapping, mapping.stages[index], nodes)
    assert (layer.groups, layer.rows, layer.cols, layer.in_cols) == (6, 10, 11, 13)
    with pytest.raises(ValueError, match="1 to"):
        evaluate(layer, TARGET, IM2COL)
    assert np.prod(layer.kernel) == 9

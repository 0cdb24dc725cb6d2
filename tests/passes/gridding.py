"""Designs whose layers lie on the chip in ways drawn at random: grids of outputs, groups on a
crossbar, runs of pixels, copies and pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph, Node
from nmc.ir.mapping import Kind, Mapping, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.tiling.dividing import Copies, channelwise, divided, most_copies, parts_of_row
from nmc.passes.tiling.grids import most_together
from nmc.passes.tiling.laying import laid, layer_of
from nmc.passes.tiling.spelling import WayName
from tests.passes.lowering import lowered

__all__ = ["dealt", "gridded"]

MOST_ROWS, MOST_PIXELS = 4, 5

SHARED = 0.5
"""How often the copies of a matrix deal out parts of rows."""

MOST_SHARED = 5


def gridded(graph: Graph, target: Target, seed: int, copies: int = 1, cut: float = 0.0) -> Design:
    """The design after codegen: up to so many copies of a layer, a cut at each channel of a matrix
    with this probability."""
    design = lowered(graph, target, until="tile")
    rng = np.random.default_rng(seed)
    nodes = nodes_by_result(design.graph)
    mapping = in_random_ways(mapping_of(design), nodes, target, rng)
    design.mapping = divided(
        mapping,
        {i: dealt(mapping, s, copies, rng) for i, s in enumerate(mapping.stages)},
        {i: cuts(mapping, s, nodes, cut, rng) for i, s in enumerate(mapping.stages)},
        target,
    )
    report = Report()
    for pass_ in PASSES[[p.name for p in PASSES].index("place") :]:
        pass_().run(design, report)
        report.check()
    return design


def dealt(mapping: Mapping, stage: Stage, most: int, rng: np.random.Generator) -> Copies:
    """Up to so many copies, of whole rows or of parts of them."""
    count = int(rng.integers(1, most + 1))
    if stage.kind is Kind.MATRIX and count > 1 and rng.random() < SHARED:
        made = mapping.streams[stage.output]
        rows, reads = -(-made.rows // stage.grid[0]), -(-made.cols // stage.grid[1])
        share = int(rng.integers(1, min(rows, MOST_SHARED) + 1))
        return Copies(min(count, share * reads), share)
    return Copies(min(count, most_copies(mapping, stage) // parts_of_row(mapping, stage)))


def in_random_ways(
    mapping: Mapping, nodes: dict[str, Node], target: Target, rng: np.random.Generator
) -> Mapping:
    stages: list[Stage] = []
    tiles: list[Tile] = []
    for index, stage in enumerate(mapping.stages):
        if stage.kind is Kind.MATRIX:
            made = mapping.streams[stage.output]
            grid = (
                int(rng.integers(1, min(made.rows, MOST_ROWS) + 1)),
                int(rng.integers(1, min(made.cols, MOST_PIXELS) + 1)),
            )
            most = most_together(layer_of(mapping, stage, nodes), target, grid)
            name = WayName(grid, int(rng.integers(1, most + 1)) if most else 0)
            stage, its = laid(mapping, index, name, nodes, target)
            runs = [n for n in range(grid[1], made.cols, grid[1]) if made.cols % n == 0]
            stage = replace(stage, pixels=int(rng.choice([*runs, made.cols, made.cols])))
            tiles += its
        stages.append(stage)
    return replace(mapping, stages=tuple(stages), tiles=tuple(tiles))


def cuts(
    mapping: Mapping, stage: Stage, nodes: dict[str, Node], often: float, rng: np.random.Generator
) -> tuple[int, ...]:
    if stage.kind is not Kind.MATRIX or not channelwise(mapping, stage, nodes):
        return ()
    channels = range(1, mapping.streams[stage.output].chans)
    return tuple(channel for channel in channels if rng.random() < often)

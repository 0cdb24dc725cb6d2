"""The pass `tile`: cut each stage's matrix into pieces that fit on a crossbar."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace

from nmc.ir.design import Design
from nmc.ir.diagnostics import NmcError, Report, error
from nmc.ir.graph import Node
from nmc.ir.mapping import Kind, Mapping, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.target import Target
from nmc.passes.base import Pass, mapping_of
from nmc.passes.tiling.grids import most_together
from nmc.passes.tiling.laying import in_runs, laid, layer_of
from nmc.passes.tiling.spelling import IM2COL, WayName
from nmc.passes.tiling.ways import evaluate

__all__ = ["TileMatrices", "plain_way"]


@dataclass(frozen=True)
class TileMatrices(Pass):
    """Lay each layer on crossbars once.

    With `way=im2col` matrix rows are a window's bytes, columns the outputs of its pixel.  Rows are
    cut before columns: partial sums of row tiles are added in the accumulators, column tiles only
    stand side by side.  A grouped convolution packs as many whole groups on a crossbar as fit, on
    a block diagonal.  Every weight stands in exactly one tile.

    With `way="window 2x4"`, say, a read gives two rows of four outputs at a time, in every layer
    that can lie like that; the others stay as they are.

    A row whose accumulators and intermediate results would take more than a small part of the
    SRAM is worked on in equal runs of pixels.
    """

    name = "tile"
    needs = "staged"
    gives = "tiled"
    cite = "Rhe, Moon and Ko, VW-SDK, DATE 2022 (windows of several outputs)"

    way: str = "im2col"

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        if target.crossbar.encoding == "reference":
            message = "nmc maps weights on pairs or with an offset, not with reference columns yet"
            remedy = "--set crossbar.encoding=differential --set crossbar.reference_columns=0"
            raise NmcError(error("target-inconsistent", message, remedy=remedy))
        name = self.asked()
        nodes = nodes_by_result(design.graph)
        stages: list[Stage] = []
        tiles: list[Tile] = []
        for index, stage in enumerate(mapping.stages):
            if stage.kind is Kind.MATRIX:
                way = fitting_way(mapping, stage, name, nodes, target)
                stage, its = laid(mapping, index, way, nodes, target)
                tiles += its
            elif stage.kind in (Kind.ROWS, Kind.CONCAT):
                stage = in_runs(mapping, stage, nodes, target)
            stages.append(stage)
        design.mapping = replace(mapping, stages=tuple(stages), tiles=tuple(tiles))
        return True

    def asked(self) -> WayName:
        """The way that the option names; `bad-pipeline` if it is none for all layers."""
        try:
            name = WayName.parse(self.way)
        except ValueError as problem:
            raise NmcError(error("bad-pipeline", f"tile: {problem}")) from problem
        if name.together or name.vector:
            message = f"tile: `{name}` is a way of single layers; give im2col or window ROWSxPIXELS"
            raise NmcError(error("bad-pipeline", message))
        return name


def plain_way(
    mapping: Mapping,
    stage: Stage,
    nodes: Dict[str, Node],
    target: Target,
    grid: tuple[int, int] = (1, 1),
) -> WayName:
    """The way with so many outputs a read, and as many groups on a crossbar as fit."""
    return WayName(grid, most_together(layer_of(mapping, stage, nodes), target, grid))


def fitting_way(
    mapping: Mapping, stage: Stage, asked: WayName, nodes: Dict[str, Node], target: Target
) -> WayName:
    """The way asked for, or im2col where the layer can't have it."""
    plain = plain_way(mapping, stage, nodes, target)
    if asked == IM2COL:
        return plain
    name = plain_way(mapping, stage, nodes, target, asked.grid)
    try:
        evaluate(layer_of(mapping, stage, nodes), target, name)
    except ValueError:
        return plain
    return name

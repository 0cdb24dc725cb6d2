"""The pass `tile`: cut each stage's matrix into pieces that fit on a crossbar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nmc.ir.design import Design
from nmc.ir.diagnostics import NmcError, Report, error
from nmc.ir.mapping import Block, Kind, Mapping, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.ops import QConv
from nmc.ir.stage_memory import pixel_bytes
from nmc.ir.target import Target
from nmc.passes.base import Pass, mapping_of

__all__ = ["TileMatrices", "blocks_of", "chunk_of", "tiles_of"]

WORK_SHARE = 6
"""Accumulators and intermediate rows of one stage may take this part of a core's SRAM."""


@dataclass(frozen=True)
class TileMatrices(Pass):
    """One way per stage, im2col: matrix rows are the window's bytes, columns the outputs.

    Rows are cut before columns: partial sums of row tiles are added in the accumulators, column
    tiles only stand side by side.  A grouped convolution packs as many whole groups on a crossbar
    as fit, on a block diagonal.  Every weight stands in exactly one tile.

    A row whose accumulators and intermediate results would take more than a small part of the
    SRAM is worked on in equal runs of pixels.
    """

    name = "tile"
    needs = "staged"
    gives = "tiled"

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        if target.crossbar.encoding == "reference":
            message = "nmc maps weights on pairs or with an offset, not with reference columns yet"
            remedy = "--set crossbar.encoding=differential --set crossbar.reference_columns=0"
            raise NmcError(error("target-inconsistent", message, remedy=remedy))
        nodes = nodes_by_result(design.graph)
        stages: list[Stage] = []
        tiles: list[Tile] = []
        for index, stage in enumerate(mapping.stages):
            if stage.kind is Kind.MATRIX:
                op = nodes[stage.nodes[0]].op
                groups = op.group if isinstance(op, QConv) else 1
                stage = replace(
                    stage, way="im2col", blocks=blocks_of(mapping, stage, groups, target)
                )
                tiles += tiles_of(index, stage, target)
            if stage.kind in (Kind.MATRIX, Kind.ROWS):
                budget = target.core.sram_kib * 1024 // WORK_SHARE
                each = pixel_bytes(mapping, stage, nodes)
                cols = mapping.streams[stage.output].cols
                stage = replace(stage, pixels=chunk_of(cols, each, budget))
            stages.append(stage)
        design.mapping = replace(mapping, stages=tuple(stages), tiles=tuple(tiles))
        return True


def blocks_of(mapping: Mapping, stage: Stage, groups: int, target: Target) -> tuple[Block, ...]:
    """The whole matrix, or runs of groups that fit on one crossbar together."""
    chans = mapping.streams[stage.operands[0].stream].chans
    outputs = mapping.streams[stage.output].chans
    places = stage.window.kernel[0] * stage.window.kernel[1]
    group_chans, group_outputs = chans // groups, outputs // groups
    together = min(
        groups,
        target.crossbar.rows // (places * group_chans),
        target.outputs_per_crossbar // group_outputs,
    )
    together = groups if groups == 1 else max(1, together)
    return tuple(
        Block(
            chan0=first * group_chans,
            chans=count * group_chans,
            output0=first * group_outputs,
            outputs=count * group_outputs,
            rows=places * count * group_chans,
        )
        for first in range(0, groups, together)
        for count in (min(together, groups - first),)
    )


def chunk_of(cols: int, each_bytes: int, budget_bytes: int) -> int:
    """The most pixels, out of the divisors of `cols`, whose bytes stay within a budget."""
    divisors = [n for n in range(1, cols + 1) if cols % n == 0]
    return max((n for n in divisors if n * each_bytes <= budget_bytes), default=1)


def tiles_of(index: int, stage: Stage, target: Target) -> Iterator[Tile]:
    """Column by column of tiles, so that a run of tiles covers neighbouring outputs."""
    rows, outputs = target.crossbar.rows, target.outputs_per_crossbar
    for number, block in enumerate(stage.blocks):
        for output0 in range(0, block.outputs, outputs):
            for row0 in range(0, block.rows, rows):
                yield Tile(
                    stage=index,
                    block=number,
                    row0=row0,
                    rows=min(rows, block.rows - row0),
                    output0=output0,
                    outputs=min(outputs, block.outputs - output0),
                )

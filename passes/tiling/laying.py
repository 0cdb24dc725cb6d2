"""Laying a stage's matrix on crossbars in one of its ways: blocks, tiles, padding, runs."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import replace

from nmc.ir.graph import Node, Unit
from nmc.ir.mapping import Block, Kind, Mapping, Stage, Tile
from nmc.ir.ops import QConv
from nmc.ir.stage_inputs import reach
from nmc.ir.stage_memory import pixel_bytes
from nmc.ir.target import Target
from nmc.passes.tiling.cuts import Matrix, cuts_of
from nmc.passes.tiling.layers import Layer
from nmc.passes.tiling.spelling import WayName

__all__ = ["chunk_of", "in_runs", "laid", "layer_of", "tiles_of"]

WORK_SHARE = 6
"""Accumulators and intermediate rows of one stage may take this part of a core's SRAM."""


def layer_of(mapping: Mapping, stage: Stage, nodes: Dict[str, Node], post_cycles: int = 0) -> Layer:
    """A matrix stage, which is a whole layer, as `nmc.passes.tiling.ways` sees it."""
    op = nodes[stage.nodes[0]].op
    operand, window = stage.operands[0], stage.window
    taken, made = mapping.streams[operand.stream], mapping.streams[stage.output]
    return Layer(
        kernel=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
        groups=op.group if isinstance(op, QConv) else 1,
        chans=taken.chans,
        outputs=made.chans,
        rows=made.rows,
        cols=made.cols,
        in_cols=operand.left + taken.cols + operand.right,
        post_cycles=post_cycles,
    )


def laid(
    mapping: Mapping, index: int, name: WayName, nodes: Dict[str, Node], target: Target
) -> tuple[Stage, list[Tile]]:
    """Stage number `index`, one copy of a whole layer, and its tiles, in one of its ways.

    The operand's padding below and to the right grows so that the last reads of a row, and the
    last rows of reads, find bytes wherever they reach.
    """
    stage = mapping.stages[index]
    layer = layer_of(mapping, stage, nodes)
    stage = replace(stage, way=str(name), grid=name.grid)
    if name.vector:
        stage = replace(stage, kind=Kind.WINDOW, unit=Unit.VECTOR, reading=(), blocks=())
    main, *others = stage.operands
    bottom, right = reach(stage, mapping.streams[main.stream], mapping.streams[stage.output])
    stage = replace(stage, operands=(replace(main, bottom=bottom, right=right), *others))
    if not name.vector:
        stage = replace(stage, blocks=tuple(_blocks(layer, stage, max(name.together, 1))))
    return in_runs(mapping, stage, nodes, target), list(tiles_of(index, stage, target))


def _blocks(layer: Layer, stage: Stage, together: int) -> Iterator[Block]:
    """The whole matrix, or runs of so many groups."""
    height, width = stage.read_window.kernel
    chans, outputs = layer.chans // layer.groups, layer.outputs // layer.groups
    for first in range(0, layer.groups, together):
        count = min(together, layer.groups - first)
        yield Block(
            chan0=first * chans,
            chans=count * chans,
            output0=first * outputs,
            outputs=count * outputs,
            rows=height * width * count * chans,
        )


def tiles_of(index: int, stage: Stage, target: Target) -> Iterator[Tile]:
    """Tiles of stage number `index`, block by block; those of neighbouring outputs follow each
    other, and what is zero in whole is left out."""
    window = stage.window
    for number, block in enumerate(stage.blocks):
        matrix = Matrix(window.kernel, window.strides, window.dilations, block.chans, block.outputs)
        for cut in cuts_of(matrix, stage.grid, target.crossbar.rows, target.outputs_per_crossbar):
            yield Tile(index, number, cut.row0, cut.rows, cut.output0, cut.outputs)


def in_runs(mapping: Mapping, stage: Stage, nodes: Dict[str, Node], target: Target) -> Stage:
    """A stage with the number of pixels that it works on at a time: no row's accumulators and
    intermediate results take more than a small part of the SRAM, if that can be."""
    budget = target.core.sram_bytes // WORK_SHARE
    each = pixel_bytes(mapping, stage, nodes)
    cols = mapping.streams[stage.output].cols
    return replace(stage, pixels=chunk_of(cols, each, budget, stage.grid[1]))


def chunk_of(cols: int, each_bytes: int, budget_bytes: int, together: int = 1) -> int:
    """The most pixels whose bytes stay within a budget, the fewest if none do: all `cols`, or a
    divisor of them that is a multiple of `together`."""
    choices = [n for n in range(together, cols, together) if cols % n == 0] + [cols]
    return max((n for n in choices if n * each_bytes <= budget_bytes), default=choices[0])

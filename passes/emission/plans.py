"""The read plans of a matrix stage: on each of its cores one for each block, with its tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nmc.ir.graph import Array, Node
from nmc.ir.mapping import Block, Stage, Tile
from nmc.ir.matrices import block_matrix, tile_levels
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.stage_memory import CoreOutputs, core_outputs, window_is_run
from nmc.ir.target import Target
from nmc.passes.emission.chip import ChipWriter, Matrix

__all__ = ["ACC_SLOTS", "Gather", "Plan", "Side", "sides_of"]

ACC_SLOTS = 2


@dataclass(frozen=True, slots=True)
class Gather:
    """Which bytes of a window a plan takes, from `offset` on; the first is matrix row `row0`."""

    dims: tuple[tuple[int, int], ...]
    offset: int
    row0: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A read plan; `done` counts its finished reads.

    Each plan has a semaphore of its own: plans on different crossbars overtake each other, so a
    count of all would say nothing of any one row.
    """

    number: int
    done: int
    outputs: CoreOutputs
    gather: Gather


@dataclass(slots=True)
class Side:
    """One core's part: its plans and the semaphores between its sequencers.

    `width` is how many accumulators a read of all its plans gives.
    """

    core: int
    plans: list[Plan]
    width: int
    free: int
    part_token: int = -1
    part_credit: int = -1


def sides_of(chip: ChipWriter, index: int) -> Iterator[Side]:
    """A stage's sides, home first; their tiles and plans are written on the way."""
    stage = chip.mapping.stages[index]
    anchor = chip.nodes[stage.nodes[0]]
    matrices = [_matrix(chip, anchor, stage, block) for block in stage.blocks]
    tiles = chip.tiles_by_stage[index]
    outputs = core_outputs(stage, tiles)
    for core in stage.cores:
        here = [tile for tile in tiles if tile.core == core]
        writer = chip.core(core)
        plans: list[Plan] = []
        for part in outputs[core]:
            mine = [tile for tile in here if tile.block == part.block]
            gather = _gather(chip, index, core, stage.blocks[part.block], mine)
            matrix = matrices[part.block]
            reads = tuple(_add_tile(chip, matrix, tile, gather, part) for tile in mine)
            writer.plans.append(ReadPlan(gather.bytes, part.outputs, reads))
            plans.append(Plan(len(writer.plans) - 1, writer.semaphore(), part, gather))
        width = sum(part.outputs for part in outputs[core])
        yield Side(core, plans, width, writer.semaphore(ACC_SLOTS))


def _gather(chip: ChipWriter, index: int, core: int, block: Block, tiles: list[Tile]) -> Gather:
    """The whole window, or only the tiles' rows where these lie side by side in the ring."""
    stage: Stage = chip.mapping.stages[index]
    window = stage.read_window
    first, chans = chip.mapping.seen_chans(stage.operands[0])
    row_bytes = chip.rings[index, 0, core].row_bytes
    height, width = window.kernel
    if window_is_run(chip.mapping, stage, block):
        row0 = min(t.row0 for t in tiles)
        count = max(t.row0 + t.rows for t in tiles) - row0
        return Gather(((count, 1),), block.chan0 - first + row0, row0, count)
    dims = (
        (height, window.dilations[0] * row_bytes),
        (width, window.dilations[1] * chans),
        (block.chans, 1),
    )
    return Gather(dims, block.chan0 - first, 0, block.rows)


def _matrix(chip: ChipWriter, anchor: Node, stage: Stage, block: Block) -> Matrix:
    """A block's matrix, one for all copies."""
    key = (anchor.output.name, stage.grid, block)
    if key not in chip.matrices:
        chip.matrices[key] = Matrix(block_matrix(anchor, stage, block))
    return chip.matrices[key]


def _levels(matrix: Matrix, tile: Tile, target: Target) -> Array:
    """The cells of a tile, one array for all copies."""
    key = (tile.row0, tile.rows, tile.output0, tile.outputs)
    if key not in matrix.levels:
        matrix.levels[key] = tile_levels(matrix.weights, tile, target)
    return matrix.levels[key]


def _add_tile(
    chip: ChipWriter, matrix: Matrix, tile: Tile, gather: Gather, part: CoreOutputs
) -> TileRead:
    target = chip.target
    chip.tiles.append(
        TileImage(
            core=tile.core,
            crossbar=tile.crossbar,
            row0=tile.cell_row0,
            channel0=tile.channel0,
            slices=target.slices,
            encoding=target.crossbar.encoding,
            levels=_levels(matrix, tile, target),
        )
    )
    return TileRead(
        tile=len(chip.tiles) - 1,
        input0=tile.row0 - gather.row0,
        output0=tile.output0 - part.output0,
        bits=tile.bits,
        steps=tile.steps,
        converted=tile.converted,
    )

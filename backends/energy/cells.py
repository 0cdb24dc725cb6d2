"""What reading a cell costs: V^2 G t, with what is known of levels and inputs when timing is."""

from __future__ import annotations

import numpy as np

from nmc.backends.report_counts import sequencer_mvms
from nmc.backends.simulator.timing import tile_columns
from nmc.ir.program import CoreProgram, Program, TileImage
from nmc.ir.target import Target

__all__ = ["cell_read_pj", "digit_activity", "mean_level", "plan_cells", "typical_cell_read_pj"]


def digit_activity(target: Target) -> float:
    """Mean of (digit / highest digit)^2 over digits that are equally likely: 0.5 for one bit.

    Events are counted without looking at data, so that this stands for the inputs; activations
    after a ReLU are sparser, and reading them costs less.
    """
    most = target.crossbar.max_digit
    return (2 * most + 1) / (6 * most)


def mean_level(tile: TileImage, target: Target) -> float:
    """Mean over all cells of a tile, both of each pair, the unit and the reference columns."""
    crossbar = target.crossbar
    columns = tile_columns(tile, target)
    if tile.encoding == "differential":
        if crossbar.two_sided:
            return crossbar.max_level / 2
        held = float(np.abs(tile.levels.astype(np.int16)).sum())
    else:
        middle = crossbar.reference_columns * (1 << (crossbar.cell_bits - 1))
        others = 1 + (middle if tile.encoding == "reference" else 0)
        held = float(tile.levels.view(np.uint8).sum(dtype=np.int64)) + tile.rows * others
    return held / (tile.rows * columns)


def cell_read_pj(level: float, activity: float, target: Target) -> float:
    """Mean energy to read a cell of this mean level; V^2 G t is linear in it."""
    return target.costs.cell.e_pj + activity * target.e_cell_read_pj(level)


def typical_cell_read_pj(target: Target) -> float:
    """The same where all levels and all digits are equally likely: no program is known."""
    return cell_read_pj(target.crossbar.max_level / 2, digit_activity(target), target)


def plan_cells(program: Program, core: CoreProgram, index: int, target: Target) -> float | None:
    """Mean level of the cells that a sequencer reads; None if it reads none.

    Tiles weigh by their cells and by how often their plan is started.
    """
    total = weight = 0.0
    for plan, times in sequencer_mvms(core.sequencers[index]):
        for read in core.plans[plan].reads:
            tile = program.tiles[read.tile]
            cells = times * tile.rows * tile_columns(tile, target)
            total += cells * mean_level(tile, target)
            weight += cells
    return total / weight if weight else None

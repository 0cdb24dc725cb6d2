"""Padding of rings: pixels left and right lie there from launch on, rows are filled in."""

from __future__ import annotations

import numpy as np

from nmc.ir.program import Vec
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.turns import Progress, Segment
from nmc.passes.emission.writer import INPUT, TURN, Writer

__all__ = ["fill_rows", "initial_padding"]


def initial_padding(chip: ChipWriter, index: int, number: int, core: int) -> None:
    """The ring's bytes at launch, where padding stands beside the data."""
    stage = chip.mapping.stages[index]
    operand = stage.operands[number]
    ring = chip.rings[index, number, core]
    if operand.left or operand.right:
        data = np.full(ring.depth * ring.row_bytes, operand.fill, np.uint8)
        chip.core(core).image(ring.address, data, f"{stage.name} padding of operand {number}")


def fill_rows(
    chip: ChipWriter, writer: Writer, index: int, number: int, core: int, segment: Segment
) -> None:
    """Write the padding rows that this segment's firings are the first to see."""
    above = chip.schedule(index).feeds[number].top
    if segment.first == 0 and above:
        _fill(chip, writer, index, number, core, Progress(0, 0), above)
    if segment.fills[number]:
        rows = segment.fill_rows[number]
        _fill(chip, writer, index, number, core, rows, segment.fills[number])


def _fill(
    chip: ChipWriter,
    writer: Writer,
    index: int,
    number: int,
    core: int,
    rows: Progress,
    count: int,
) -> None:
    operand = chip.mapping.stages[index].operands[number]
    ring = chip.rings[index, number, core]
    row = ring.row_bytes
    dst = writer.desc(
        "u8",
        ring.address,
        ((count * row, 1),),
        terms={INPUT: chip.schedule(index).feeds[number].ring_rows * row, TURN: rows.step * row},
        offset=rows.first * row,
        ring=ring.depth * row,
    )
    writer.emit(Vec("fill", dst, imm=(float(operand.fill),)))

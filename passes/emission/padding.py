"""Padding of rings: pixels left and right lie there from launch on, rows are filled in."""

from __future__ import annotations

import numpy as np

from nmc.ir.program import Vec
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.turns import Segment
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
    operand = chip.mapping.stages[index].operands[number]
    if segment.first == 0 and operand.top:
        _fill(chip, writer, index, number, core, 0, operand.top, 0)
    count = segment.fills[number]
    if count:
        _fill(chip, writer, index, number, core, segment.fill_rows[number], count, count)


def _fill(
    chip: ChipWriter,
    writer: Writer,
    index: int,
    number: int,
    core: int,
    first: int,
    count: int,
    per_turn: int,
) -> None:
    operand = chip.mapping.stages[index].operands[number]
    ring = chip.rings[index, number, core]
    stream = chip.stream(operand.stream)
    padded = operand.padded(stream.rows)
    row = ring.row_bytes
    dst = writer.desc(
        "u8",
        ring.address,
        ((count * row, 1),),
        terms={INPUT: padded * row, TURN: per_turn * row},
        offset=first * row,
        ring=ring.depth * row,
    )
    writer.emit(Vec("fill", dst, imm=(float(operand.fill),)))

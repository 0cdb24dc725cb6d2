"""When a stage may make its next row, and what it is then done with.

A stage *fires* once per turn of its row loop.  For each operand `turns` says how many data rows
must have arrived before each firing, and how many padded rows of its ring are free again after
it, both counted from the start of an input.  Buffers, codegen and the row-token game share this,
so that the depth of a ring and the waits in the program rest on the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Kind, Mapping, Operand, Role, Stage

__all__ = ["Turns", "emissions", "firings", "least_depth", "turns"]


_BY_INPUT_ROW = (Kind.MEAN, Kind.RELAYOUT, Kind.UPSAMPLE, Kind.BLOCKS, Kind.CROP)
"""Kinds that fire once per row of their operand; the others fire once per output row."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Per firing, cumulative: data rows needed before, padded rows released after (i64[firings]).

    `padded_rows` is how many rows of the ring one input takes in all.
    """

    needed: Array
    released: Array
    padded_rows: int


def firings(mapping: Mapping, stage: Stage) -> int:
    """Turns of the stage's row loop for one input."""
    if stage.kind in _BY_INPUT_ROW:
        return mapping.streams[stage.operands[0].stream].rows
    return mapping.streams[stage.output].rows


def emissions(mapping: Mapping, stage: Stage) -> Array:
    """Output rows that each firing emits: i64[firings]; they add up to the output's rows."""
    count = firings(mapping, stage)
    emitted = np.zeros(count, np.int64)
    if stage.kind in (Kind.MEAN, Kind.RELAYOUT):
        emitted[-1] = mapping.streams[stage.output].rows
    elif stage.kind is Kind.CROP:
        chosen = stage.starts[0] + stage.steps[0] * np.arange(mapping.streams[stage.output].rows)
        emitted[chosen] = 1
    else:
        emitted += stage.factors[0] if stage.kind in (Kind.UPSAMPLE, Kind.BLOCKS) else 1
    return emitted


def turns(mapping: Mapping, stage: Stage, operand: Operand) -> Turns:
    """The row schedule of one operand of a stage."""
    rows = mapping.streams[operand.stream].rows
    padded = operand.padded(rows)
    index = np.arange(firings(mapping, stage), dtype=np.int64)
    if operand.role is Role.BROADCAST:
        needed = np.full_like(index, rows)
        released = np.zeros_like(index)
    elif stage.kind in (Kind.MATRIX, Kind.WINDOW) and operand.role is Role.MAIN:
        step = stage.window.strides[0]
        needed = np.clip(index * step + stage.window.span[0] - operand.top, 0, rows)
        released = np.minimum((index + 1) * step, padded)
    else:
        needed = index + 1
        released = index + 1
    needed[-1] = rows
    released[-1] = padded
    return Turns(needed, released, padded)


def least_depth(mapping: Mapping, stage: Stage, operand: Operand) -> int:
    """The fewest slots with which the stage can run by itself.

    Padding is filled in for a firing while the reads of the one before may still go on.  Within
    an input that takes a window's rows and one stride; where the next input begins, also its
    padding above or, if its first window reaches the padding below, that whole window.
    """
    span = 1
    step = 1
    if operand.role is Role.MAIN and stage.kind in (Kind.MATRIX, Kind.WINDOW):
        span, step = stage.window.span[0], stage.window.strides[0]
    rows = operand.padded(mapping.streams[operand.stream].rows)
    reaches_below = operand.bottom and operand.top + mapping.streams[operand.stream].rows < span
    depth = span + step + (span if reaches_below else operand.top)
    if rows == span and operand.top == operand.bottom == 0:
        return span  # the whole tensor is one window: nothing to fill in, nothing to overlap
    return depth

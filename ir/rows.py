"""When a stage may make its next rows, and what it is then done with.

A stage *fires* once per turn of its row loop.  A layer of several copies has its rows, or grids of
rows, dealt out: copy number k of n takes numbers k, k + n... or, where copies share rows, parts of
a few neighbouring ones each time.  All counts here are of one copy.

For each operand a `Feed` says which rows its ring takes in one input, and how many of them must
have arrived before each firing and are free again after it.  Buffers, codegen and the row-token
game share this, so that the depth of a ring and the waits in the program rest on the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Kind, Mapping, Operand, Role, Stage
from nmc.ir.shares import first_share, parts_of, sharers

__all__ = [
    "Feed",
    "Makers",
    "emissions",
    "emitted_rows",
    "feed_of",
    "firings",
    "firings_of_rows",
    "first_rows",
    "makers_of",
    "met_chans",
    "returns_apart",
    "rows_per_turn",
    "turn_numbers",
]


FEW_PARTNERS = 6

_BY_INPUT_ROW = (Kind.MEAN, Kind.RELAYOUT, Kind.UPSAMPLE, Kind.BLOCKS, Kind.CROP)
"""Kinds that fire once per row of their operand; the others fire for their output rows."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What one input brings to the ring of an operand, in the order in which the ring takes it.

    `top` rows of padding, then the stream's `rows` (i64[n], ascending), then `bottom` rows of
    padding.  A firing sees `span` of them, and the next one begins `advance` further on; with
    copies whose windows lie apart, rows between these don't come at all.  Per firing, cumulative:
    `needed`, how many data rows must have come before it, and `released`, how many ring rows,
    padding included, are free after it (i64[firings]).
    """

    rows: Array
    top: int
    bottom: int
    span: int
    advance: int
    needed: Array
    released: Array

    @property
    def ring_rows(self) -> int:
        """Rows of the ring that one input takes in all."""
        return self.top + len(self.rows) + self.bottom

    @property
    def least_depth(self) -> int:
        """The fewest slots with which the stage can run by itself.

        Padding is filled in for a firing while the reads of the one before may still go on.  Within
        an input that takes a window's rows and one step; where the next input begins, also its
        padding above or, if its first window reaches the padding below, that whole window.
        """
        count = len(self.rows)
        if self.ring_rows == count == self.span:
            return self.span  # all there is is one window: nothing to fill in or to overlap
        reaches_below = self.bottom and self.top + count < self.span
        return self.span + self.advance + (self.span if reaches_below else self.top)


def rows_per_turn(stage: Stage) -> int:
    """The output rows of one of the turns that a layer's copies deal out: those of a grid."""
    return stage.grid[0] if stage.kind is Kind.MATRIX else 1


def turn_numbers(mapping: Mapping, stage: Stage) -> Array:
    """Which of its layer's turns each of a copy's firings begins with: i64[firings]."""
    first = first_share(mapping, stage)
    return np.arange(first, _layer_turns(mapping, stage), stage.shared, dtype=np.int64)


def _layer_turns(mapping: Mapping, stage: Stage) -> int:
    if stage.kind in _BY_INPUT_ROW:
        return mapping.streams[stage.operands[0].stream].rows
    return -(-mapping.streams[stage.output].rows // rows_per_turn(stage))


def firings(mapping: Mapping, stage: Stage) -> int:
    """Turns of a copy's row loop for one input."""
    return len(turn_numbers(mapping, stage))


def emissions(mapping: Mapping, stage: Stage) -> Array:
    """Output rows of which each firing emits its part: i64[firings]."""
    rows = mapping.streams[stage.output].rows
    if stage.kind not in _BY_INPUT_ROW:
        most = rows_per_turn(stage) * len(parts_of(mapping, stage))
        left = rows - turn_numbers(mapping, stage) * rows_per_turn(stage)
        return np.asarray(np.minimum(most, left))
    emitted = np.zeros(firings(mapping, stage), np.int64)
    if stage.kind in (Kind.MEAN, Kind.RELAYOUT):
        emitted[-1] = rows
    elif stage.kind is Kind.CROP:
        emitted[stage.starts[0] + stage.steps[0] * np.arange(rows)] = 1
    else:
        emitted += stage.factors[0]
    return emitted


def first_rows(mapping: Mapping, stage: Stage) -> Array:
    """The first of the output rows that each firing emits: i64[firings]."""
    if stage.kind not in _BY_INPUT_ROW:
        return np.asarray(turn_numbers(mapping, stage) * rows_per_turn(stage))
    emitted = emissions(mapping, stage)
    return np.asarray(np.cumsum(emitted) - emitted)


def emitted_rows(mapping: Mapping, stage: Stage) -> tuple[Array, Array]:
    """The firings that emit, once for each row of theirs, and these rows."""
    emits = emissions(mapping, stage)
    firing = np.repeat(np.arange(len(emits)), emits)
    within = np.arange(len(firing)) - np.repeat(np.cumsum(emits) - emits, emits)
    return firing, first_rows(mapping, stage)[firing] + within


def firings_of_rows(mapping: Mapping, stage: Stage, rows: Array) -> Array:
    """In which firing a stage makes its part of each of these rows."""
    return np.searchsorted(first_rows(mapping, stage), rows, side="right") - 1


def feed_of(mapping: Mapping, stage: Stage, operand: Operand) -> Feed:
    """The row schedule of one operand of a copy."""
    rows = mapping.streams[operand.stream].rows
    count = firings(mapping, stage)
    if operand.role is Role.BROADCAST:
        every, none = np.full(count, rows, np.int64), np.zeros(count, np.int64)
        none[-1] = rows
        return Feed(np.arange(rows), 0, 0, rows, 0, every, none)
    padded, span, advance = _ring_rows(mapping, stage, operand)
    data = padded[(padded >= operand.top) & (padded < operand.top + rows)] - operand.top
    top = int((padded < operand.top).sum())
    index = np.arange(count, dtype=np.int64)
    needed = np.clip(index * advance + span - top, 0, len(data))
    needed[-1] = len(data)
    # A row that a stride leaps over has to come, like any other, before its slot is free.
    came = np.where(needed == len(data), len(padded), top + needed)
    released = np.minimum((index + 1) * advance, came)
    released[-1] = len(padded)
    bottom = len(padded) - top - len(data)
    return Feed(data, top, bottom, span, advance, needed, released)


def _ring_rows(mapping: Mapping, stage: Stage, operand: Operand) -> tuple[Array, int, int]:
    """Padded rows of the operand that the ring takes in order, rows of a window, rows of a step.

    A single copy takes all; of several, each takes its windows, end to end if they lie apart.
    """
    rows = operand.padded(mapping.streams[operand.stream].rows)
    step, span = _steps(stage, operand)
    if stage.copies == 1:
        return np.arange(rows), span, step
    starts = turn_numbers(mapping, stage) * step
    span += (len(parts_of(mapping, stage)) - 1) * step
    advance = stage.shared * step
    if advance < span:
        return np.arange(starts[0], min(int(starts[-1]) + span, rows)), span, advance
    windows = (starts[:, None] + np.arange(span)).reshape(-1)
    return windows[windows < rows], span, span


def _steps(stage: Stage, operand: Operand) -> tuple[int, int]:
    """From a layer's turn to the next, rows that its window moves on; and rows of that window."""
    if operand.role is Role.MAIN and stage.kind in (Kind.MATRIX, Kind.WINDOW):
        window = stage.read_window
        return window.strides[0], window.span[0]
    together = rows_per_turn(stage)
    return together, together


@dataclass(frozen=True, slots=True)
class Makers:
    """Who makes the rows of a feed: `sources` are places in the stream's tuple of producers (the
    host's feeder is number 0), `made` says of each row and source whether it makes some of it
    (bool[rows, sources])."""

    sources: Array
    made: Array

    def before(self, counts: Array) -> Array:
        """Of the first `counts` rows, how many each source takes part in: i64[counts, sources]."""
        total = np.zeros((len(self.made) + 1, len(self.sources)), np.int64)
        np.cumsum(self.made, axis=0, out=total[1:])
        return np.asarray(total[counts])


def makers_of(mapping: Mapping, operand: Operand, feed: Feed) -> Makers:
    producers = mapping.streams[operand.stream].producers
    if not producers or not len(feed.rows):
        sources = np.zeros(min(1, len(feed.rows)), np.int64)
        return Makers(sources, np.ones((len(feed.rows), len(sources)), np.bool_))
    first = mapping.stages[producers[0]]
    made = sharers(mapping, first, feed.rows)
    copies = np.flatnonzero(made.any(axis=0))
    pieces = mapping.stages[producers[0] : producers[0] + first.pieces]
    met = [i for i, stage in enumerate(pieces) if met_chans(mapping, stage, operand)[1] > 0]
    sources = (copies[:, None] * first.pieces + np.array(met)).reshape(-1)
    return Makers(sources, made[:, sources // first.pieces])


def returns_apart(sources: int, cores: int) -> bool:
    """Whether a matrix on so many cores, whose rings at home have so many sources in all, gives
    their slots back in a sequencer of its own: what finishes rows has much to do for each already,
    and should be one short loop."""
    return sources + cores > FEW_PARTNERS


def met_chans(mapping: Mapping, stage: Stage, operand: Operand) -> tuple[int, int]:
    """First and count of the channels that a stage makes and an operand sees of a stream."""
    made0, made = mapping.made_chans(stage)
    seen0, seen = mapping.seen_chans(operand)
    first = max(made0, seen0)
    return first, max(0, min(made0 + made, seen0 + seen) - first)

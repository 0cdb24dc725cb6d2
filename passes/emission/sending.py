"""Sending rows: to the rings of all consumers and to global memory, with credits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nmc.ir.mapping import Ring, Stage
from nmc.ir.program import Io, Load, Put, Space, Store
from nmc.ir.rows import met_chans
from nmc.ir.shares import parts_of
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.rows import Row
from nmc.passes.emission.turns import Progress, Segment, patterns, puts_at
from nmc.passes.emission.writer import INPUT, ROW, TURN, Writer

__all__ = ["Sender", "write_feeder"]


@dataclass(slots=True)
class Sender:
    """The way out of one copy of a stage.

    `put_free` and `stored` count, on the home core, puts and stores that have ended.  Puts leave
    one after the other, and so do stores, but one kind may overtake the other.
    """

    chip: ChipWriter
    index: int
    stage: Stage = field(init=False)
    rings: list[Ring] = field(init=False)
    sinks: list[Io] = field(init=False)
    put_free: int = field(init=False)
    stored: int = field(init=False)

    def __post_init__(self) -> None:
        self.stage = self.chip.mapping.stages[self.index]
        self.rings = self.chip.outlets(self.stage)
        self.sinks = [self.chip.sinks[io.value] for io in self.chip.output(self.stage).sinks]

    def reserve(self) -> None:
        """Make the semaphores that say which slots may be written again; at first, all."""
        schedule = self.chip.schedule(self.index)
        rows = schedule.emits[schedule.emitting]
        self._reserve(
            schedule.at_launch(schedule.put_counts), schedule.at_launch(rows) * len(self.sinks)
        )

    def reserve_all(self) -> None:
        """The same for a buffer that holds all rows of an input."""
        schedule = self.chip.schedule(self.index)
        self._reserve(int(schedule.put_counts.sum()), int(schedule.emits.sum()) * len(self.sinks))

    def _reserve(self, puts: int, stores: int) -> None:
        core = self.chip.core(self.stage.home)
        self.put_free = core.semaphore(puts) if self.rings else -1
        self.stored = core.semaphore(stores) if self.sinks else -1

    def take(self, writer: Writer, segment: Segment) -> None:
        """Wait until the slot of what a firing emits may be written again."""
        if segment.emits:
            writer.wait(self.put_free, segment.takes)
            writer.wait(self.stored, segment.stored * len(self.sinks))

    def take_all(self, writer: Writer) -> None:
        schedule = self.chip.schedule(self.index)
        writer.wait(self.put_free, int(schedule.put_counts.sum()))
        writer.wait(self.stored, int(schedule.emits.sum()) * len(self.sinks))

    def send(
        self,
        writer: Writer,
        source: Row,
        row: Progress,
        puts: Sequence[tuple[int, Progress]],
        loop: str = TURN,
        pixel0: int = 0,
    ) -> None:
        """One row to everyone: number `row` of the stream, from pixel `pixel0` on what is in
        `source` from its offset on.

        `puts` says which rings take it and which of their rows it becomes; `loop` is the loop in
        which all that moves.
        """
        for outlet, place in puts:
            self._put(writer, source, self.rings[outlet], place, loop, pixel0)
        stream = self.chip.output(self.stage)
        pixel = stream.chans * stream.element_bytes
        dims = ((source.cols, pixel), (source.chans, stream.element_bytes))
        for io in self.sinks:
            dst = writer.desc(
                stream.dtype,
                io.address,
                dims,
                terms={INPUT: self.chip.frame_bytes, loop: row.step * stream.row_bytes},
                offset=row.first * stream.row_bytes
                + pixel0 * pixel
                + self.stage.chan0 * stream.element_bytes,
                space=Space.GLOBAL,
            )
            writer.emit(Store(dst, source.desc(writer), self.stored))

    def _put(
        self, writer: Writer, source: Row, ring: Ring, place: Progress, loop: str, pixel0: int
    ) -> None:
        """The channels of a row, or part of one, that a ring takes, into their place."""
        mapping, operand = self.chip.mapping, self.chip.operand(ring)
        stream = self.chip.output(self.stage)
        made0, _ = mapping.made_chans(self.stage)
        seen0, seen = mapping.seen_chans(operand)
        first, count = met_chans(mapping, self.stage, operand)
        size = stream.element_bytes
        src = source.at(
            writer,
            ((source.cols, source.pixel_bytes), (count, size)),
            offset=(first - made0) * size,
        )
        dst = writer.desc(
            stream.dtype,
            ring.address,
            ((source.cols, seen * size), (count, size)),
            terms={
                INPUT: self.chip.feed(ring).ring_rows * ring.row_bytes,
                loop: place.step * ring.row_bytes,
            },
            offset=place.first * ring.row_bytes
            + ((operand.left + pixel0) * seen + first - seen0) * size,
            ring=ring.depth * ring.row_bytes,
        )
        mine = next(s for s in ring.sources if s.producer == self.stage.producer)
        writer.wait(mine.credit, 1)
        writer.emit(Put(ring.core, dst, src, mine.token, self.put_free))

    def send_firing(self, writer: Writer, source: Row, segment: Segment) -> None:
        """All rows, or parts of rows, that a firing of the segment emits."""
        size = source.cols * source.pixel_bytes
        parts = parts_of(self.chip.mapping, self.stage)
        for number in range(segment.emits):
            row = Progress(segment.row.first + number, segment.row.step)
            part = parts[number // self.stage.grid[0]] if len(parts) > 1 else parts[0]
            here = replace(source, cols=part.pixels, offset=source.offset + number * size)
            self.send(writer, here, row, segment.puts[number], pixel0=part.pixel0)

    def send_collected(self, writer: Writer, base: Row) -> None:
        """All rows of an input out of a buffer that holds them."""
        rows = self.chip.output(self.stage).rows
        size = base.cols * base.pixel_bytes
        puts = self.chip.schedule(self.index).puts[-1].T
        for run in patterns(np.zeros((rows, 1), np.int64), puts):
            with writer.loop(ROW, run.count):
                for first in range(run.first, run.first + run.length):
                    row = Progress(first, run.length)
                    here = replace(
                        base, offset=first * size, terms={**base.terms, ROW: run.length * size}
                    )
                    self.send(writer, here, row, puts_at(puts[first], puts[first] + run.steps), ROW)


def write_feeder(chip: ChipWriter, ring: Ring, io: Io) -> None:
    """A sequencer that brings the rows of a tensor from global memory into a ring."""
    stage = chip.mapping.stages[ring.stage]
    operand = stage.operands[ring.operand]
    stream = chip.stream(operand.stream)
    feed, (source,) = chip.feed(ring), ring.sources
    writer = Writer(ring.core, f"{stage.name}.feed{ring.operand}")
    size, row_bytes = stream.element_bytes, ring.row_bytes
    first, chans = chip.mapping.seen_chans(operand)
    here = ((stream.cols, chans * size), (chans, size))
    there = ((stream.cols, stream.chans * size), (chans, size))
    with writer.loop(INPUT, 0):
        for run in patterns(np.zeros((len(feed.rows), 1), np.int64), feed.rows[:, None]):
            with writer.loop(TURN, run.count):
                for number in range(run.first, run.first + run.length):
                    writer.wait(source.credit, 1)
                    dst = writer.desc(
                        stream.dtype,
                        ring.address,
                        here,
                        terms={INPUT: feed.ring_rows * row_bytes, TURN: run.length * row_bytes},
                        offset=(feed.top + number) * row_bytes + operand.left * chans * size,
                        ring=ring.depth * row_bytes,
                    )
                    src = writer.desc(
                        stream.dtype,
                        io.address,
                        there,
                        terms={
                            INPUT: chip.frame_bytes,
                            TURN: int(run.steps[0]) * stream.row_bytes,
                        },
                        offset=int(feed.rows[number]) * stream.row_bytes + first * size,
                        space=Space.GLOBAL,
                    )
                    writer.emit(Load(dst, src, source.token))
    chip.add_sequencer(writer, ring.stage, f"feed{ring.operand}")

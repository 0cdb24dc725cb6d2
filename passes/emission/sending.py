"""Sending rows: to the rings of all consumers and to global memory, with credits."""

from __future__ import annotations

from dataclasses import dataclass, field

from nmc.ir.mapping import Ring, Stage
from nmc.ir.program import Io, Load, Put, Space, Store
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.rows import Row
from nmc.passes.emission.turns import Segment
from nmc.passes.emission.writer import INPUT, ROW, TURN, Writer

__all__ = ["Sender", "write_feeder"]


@dataclass(slots=True)
class Sender:
    """The way out of one stage.

    `put_free` and `stored` count, on the home core, rows whose puts and stores have ended.  Puts
    leave one after the other, and so do stores, but one kind may overtake the other.
    """

    chip: ChipWriter
    stage: Stage
    rings: list[Ring] = field(init=False)
    sinks: list[Io] = field(init=False)
    put_free: int = field(init=False)
    stored: int = field(init=False)

    def __post_init__(self) -> None:
        stream = self.chip.output(self.stage)
        self.rings = self.chip.rings_of_stream(self.stage.output)
        self.sinks = [self.chip.sinks[io.value] for io in stream.sinks]

    def reserve(self, slots: int) -> None:
        """Make the semaphore that counts rows that may be written again, `slots` at first."""
        core = self.chip.core(self.stage.home)
        self.put_free = core.semaphore(slots * len(self.rings)) if self.rings else -1
        self.stored = core.semaphore(slots * len(self.sinks)) if self.sinks else -1

    def take(self, writer: Writer, rows: int) -> None:
        """Wait until `rows` more rows may be written again."""
        writer.wait(self.put_free, rows * len(self.rings))
        writer.wait(self.stored, rows * len(self.sinks))

    def padding_above(self, writer: Writer) -> None:
        """Before an input's first row: the slots that the rings keep for padding above it."""
        for ring in self.rings:
            operand = self.chip.mapping.stages[ring.stage].operands[ring.operand]
            writer.wait(self.credit(ring), operand.top)

    def padding_below(self, writer: Writer) -> None:
        for ring in self.rings:
            operand = self.chip.mapping.stages[ring.stage].operands[ring.operand]
            writer.wait(self.credit(ring), operand.bottom)

    def credit(self, ring: Ring) -> int:
        return self.chip.credits[ring.stage, ring.operand, ring.core]

    def send(
        self,
        writer: Writer,
        source: Row,
        first: int,
        per_turn: int,
        at: int = 0,
        *,
        per_row: int = 0,
    ) -> None:
        """One row, number first + turn * per_turn (+ row * per_row), to everyone.

        `at` is where the row begins within `source`'s slot; with `per_row`, an inner loop ROW
        walks over the rows of the slot.
        """
        stream = self.chip.output(self.stage)
        size = stream.row_bytes
        dims = ((size // stream.element_bytes, stream.element_bytes),)
        src = source.at(writer, dims, offset=at, terms={ROW: per_row * size})
        for ring in self.rings:
            key = (ring.stage, ring.operand, ring.core)
            operand = self.chip.mapping.stages[ring.stage].operands[ring.operand]
            padded = operand.padded(stream.rows)
            row = ring.row_bytes
            dst = writer.desc(
                stream.dtype,
                ring.address,
                dims,
                terms={INPUT: padded * row, TURN: per_turn * row, ROW: per_row * row},
                offset=(operand.top + first) * row
                + operand.left * stream.chans * stream.element_bytes,
                ring=ring.depth * row,
            )
            writer.wait(self.credit(ring), 1)
            writer.emit(Put(ring.core, dst, src, self.chip.tokens[key], self.put_free))
        for io in self.sinks:
            dst = writer.desc(
                stream.dtype,
                io.address,
                dims,
                terms={
                    INPUT: self.chip.frame_bytes,
                    TURN: per_turn * size,
                    ROW: per_row * size,
                },
                offset=first * size,
                space=Space.GLOBAL,
            )
            writer.emit(Store(dst, src, self.stored))

    def send_firing(self, writer: Writer, source: Row, segment: Segment) -> None:
        """All rows that a firing of the segment emits."""
        size = self.chip.output(self.stage).row_bytes
        for row in range(segment.emits):
            first = segment.emitted * segment.emits + row
            self.send(writer, source, first, segment.emits, row * size)


def write_feeder(chip: ChipWriter, ring: Ring, io: Io) -> None:
    """A sequencer that brings the rows of a tensor from global memory into a ring."""
    stage = chip.mapping.stages[ring.stage]
    operand = stage.operands[ring.operand]
    stream = chip.stream(operand.stream)
    key = (ring.stage, ring.operand, ring.core)
    writer = Writer(ring.core, f"{stage.name}.feed{ring.operand}")
    size, row = stream.row_bytes, ring.row_bytes
    dims = ((size // stream.element_bytes, stream.element_bytes),)
    padded = operand.padded(stream.rows)
    with writer.loop(INPUT, 0):
        writer.wait(chip.credits[key], operand.top)
        with writer.loop(TURN, stream.rows):
            writer.wait(chip.credits[key], 1)
            dst = writer.desc(
                stream.dtype,
                ring.address,
                dims,
                terms={INPUT: padded * row, TURN: row},
                offset=operand.top * row + operand.left * stream.chans * stream.element_bytes,
                ring=ring.depth * row,
            )
            src = writer.desc(
                stream.dtype,
                io.address,
                dims,
                terms={INPUT: chip.frame_bytes, TURN: size},
                space=Space.GLOBAL,
            )
            writer.emit(Load(dst, src, chip.tokens[key]))
        writer.wait(chip.credits[key], operand.bottom)
    chip.add_sequencer(writer, ring.stage, f"feed{ring.operand}")

"""Matrix stages: a compute sequencer per core, and one that finishes rows at home.

Compute gathers windows straight from the row ring and starts reads; accumulator rows have two
slots.  Elsewhere than at home, a send sequencer puts finished partial rows to the home core.  At
home, the post sequencer adds what belongs together, requantises, runs the rowwise nodes and sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nmc.ir.graph import Node
from nmc.ir.mapping import Block, Stage, Tile
from nmc.ir.matrices import block_matrix, tile_levels
from nmc.ir.ops import Op, QConv, QMatMul
from nmc.ir.program import Desc, Mvm, Put, ReadPlan, TileImage, TileRead, Vec
from nmc.ir.stage_memory import RECORD_BYTES, CoreOutputs, core_outputs
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.padding import fill_rows, initial_padding
from nmc.passes.emission.rows import Chain, Row, out_row
from nmc.passes.emission.sending import Sender
from nmc.passes.emission.turns import Segment, segments
from nmc.passes.emission.writer import CHUNK, COL, INPUT, TURN, Writer

__all__ = ["write_matrix_stage"]

ACC_SLOTS = 2
ACC_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Gather:
    """Which bytes of a window a plan takes, from `offset` on; the first is matrix row `row0`."""

    dims: tuple[tuple[int, int], ...]
    offset: int
    row0: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """A read plan; `done` counts its finished reads.

    Each plan has a semaphore of its own: plans on different crossbars overtake each other, so a
    count of all would say nothing of any one row.
    """

    number: int
    done: int
    outputs: CoreOutputs
    gather: _Gather


@dataclass(slots=True)
class _Side:
    """One core's part: its plans and the semaphores between its sequencers."""

    core: int
    plans: list[_Plan]
    width: int
    free: int
    part_token: int = -1
    part_credit: int = -1


def write_matrix_stage(chip: ChipWriter, index: int) -> None:
    """All sequencers, plans, tiles and constants of a matrix stage."""
    _MatrixStage(chip, index).write()


class _MatrixStage:
    def __init__(self, chip: ChipWriter, index: int) -> None:
        self.chip = chip
        self.index = index
        self.stage: Stage = chip.mapping.stages[index]
        self.anchor: Node = chip.nodes[self.stage.nodes[0]]
        self.matrices = [block_matrix(self.anchor, self.stage, b) for b in self.stage.blocks]
        self.parts = segments(chip.mapping, self.stage)
        self.firings = self.parts[-1].first + self.parts[-1].count
        self.runs = chip.output(self.stage).cols // self.stage.pixels
        """Runs of pixels in an output row."""
        outputs = core_outputs(self.stage, chip.tiles_by_stage[index])
        self.sides = [self.side(core, outputs[core]) for core in self.stage.cores]
        self.home, *self.others = self.sides

    def write(self) -> None:
        for side in self.others:
            side.part_token = self.chip.core(self.home.core).semaphore()
            side.part_credit = self.chip.core(side.core).semaphore(ACC_SLOTS)
        for side in self.sides:
            initial_padding(self.chip, self.index, 0, side.core)
            self.write_compute(side)
        for side in self.others:
            self.write_send(side)
        self.write_post()

    # Plans and tiles

    def side(self, core: int, outputs: list[CoreOutputs]) -> _Side:
        here = [t for t in self.chip.tiles_by_stage[self.index] if t.core == core]
        writer = self.chip.core(core)
        plans: list[_Plan] = []
        for part in outputs:
            mine = [t for t in here if t.block == part.block]
            gather = self.gather(core, self.stage.blocks[part.block], mine)
            reads = tuple(self.add_tile(tile, gather, part) for tile in mine)
            writer.plans.append(ReadPlan(gather.bytes, part.outputs, reads))
            plans.append(_Plan(len(writer.plans) - 1, writer.semaphore(), part, gather))
        width = sum(p.outputs for p in outputs)
        return _Side(core, plans, width, writer.semaphore(ACC_SLOTS))

    def gather(self, core: int, block: Block, tiles: list[Tile]) -> _Gather:
        """The whole window, or only the tiles' rows where these lie side by side in the ring."""
        window = self.stage.window
        stream = self.chip.stream(self.stage.operands[0].stream)
        row_bytes = self.chip.rings[self.index, 0, core].row_bytes
        height, width = window.kernel
        whole = block.chans == stream.chans
        adjacent_pixels = width == 1 or (window.dilations[1] == 1 and whole)
        adjacent_rows = height == 1 or (
            window.dilations[0] == 1 and whole and row_bytes == width * stream.chans
        )
        if adjacent_pixels and adjacent_rows:
            first = min(t.row0 for t in tiles)
            count = max(t.row0 + t.rows for t in tiles) - first
            return _Gather(((count, 1),), block.chan0 + first, first, count)
        dims = (
            (height, window.dilations[0] * row_bytes),
            (width, window.dilations[1] * stream.chans),
            (block.chans, 1),
        )
        return _Gather(dims, block.chan0, 0, block.rows)

    def add_tile(self, tile: Tile, gather: _Gather, part: CoreOutputs) -> TileRead:
        target = self.chip.target
        levels = tile_levels(self.matrices[tile.block], tile, target)
        self.chip.tiles.append(
            TileImage(
                core=tile.core,
                crossbar=tile.crossbar,
                row0=tile.cell_row0,
                channel0=tile.channel0,
                slices=target.slices,
                encoding=target.crossbar.encoding,
                levels=levels,
            )
        )
        return TileRead(
            tile=len(self.chip.tiles) - 1,
            input0=tile.row0 - gather.row0,
            output0=tile.output0 - part.output0,
            bits=tile.bits,
            steps=tile.steps,
            converted=tile.converted,
        )

    # Rows of accumulators

    def acc(self, side: _Side, segment: Segment) -> Row:
        """A slot of accumulators of a side on its own core."""
        return self.acc_row(side, segment, side.core, "acc")

    def part(self, side: _Side, segment: Segment) -> Row:
        """The slot at home into which another side's partial sums come."""
        return self.acc_row(side, segment, self.home.core, f"part{side.core}")

    def acc_row(self, side: _Side, segment: Segment, core: int, role: str) -> Row:
        slot = self.stage.pixels * side.width * ACC_BYTES
        turn = self.runs * slot
        return Row(
            "i32",
            self.chip.address(self.index, core, role),
            self.stage.pixels,
            side.width,
            side.width * ACC_BYTES,
            ACC_BYTES,
            {INPUT: self.firings * turn, TURN: turn, CHUNK: slot},
            segment.first * turn,
            ACC_SLOTS * slot,
        )

    # Compute

    def write_compute(self, side: _Side) -> None:
        """Wait for rows, start the reads of each pixel.

        Padding is filled in before the first read of a firing, but not before the reads of the
        firing before last are done: a free accumulator slot says so, or that a row has several.
        """
        writer = Writer(side.core, f"{self.stage.name}.compute")
        token = self.chip.tokens[self.index, 0, side.core]
        with writer.loop(INPUT, 0):
            for segment in self.parts:
                with writer.loop(TURN, segment.count):
                    writer.wait(token, segment.waits[0])
                    if self.runs == 1:
                        writer.wait(side.free, 1)
                    fill_rows(self.chip, writer, self.index, 0, side.core, segment)
                    with writer.loop(CHUNK, self.runs):
                        if self.runs > 1:
                            writer.wait(side.free, 1)
                        with writer.loop(COL, self.stage.pixels):
                            for plan in side.plans:
                                self.read(writer, side, plan, segment)
        self.chip.add_sequencer(writer, self.index, "compute")

    def read(self, writer: Writer, side: _Side, plan: _Plan, segment: Segment) -> None:
        dst = self.acc(side, segment).at(
            writer,
            ((plan.outputs.outputs, ACC_BYTES),),
            offset=plan.outputs.at * ACC_BYTES,
            terms={COL: side.width * ACC_BYTES},
        )
        src = self.window(writer, side.core, plan.gather, segment)
        writer.emit(Mvm(plan.number, dst, src, plan.done))

    def window(self, writer: Writer, core: int, gather: _Gather, segment: Segment) -> Desc:
        operand = self.stage.operands[0]
        stream = self.chip.stream(operand.stream)
        ring = self.chip.rings[self.index, 0, core]
        step_rows, step_cols = self.stage.window.strides
        padded = operand.padded(stream.rows)
        pixel = step_cols * stream.chans
        return writer.desc(
            "u8",
            ring.address,
            gather.dims,
            terms={
                INPUT: padded * ring.row_bytes,
                TURN: step_rows * ring.row_bytes,
                CHUNK: self.stage.pixels * pixel,
                COL: pixel,
            },
            offset=segment.first * step_rows * ring.row_bytes + gather.offset,
            ring=ring.depth * ring.row_bytes,
        )

    def await_reads(self, writer: Writer, side: _Side) -> None:
        """Wait until every plan has read a run of pixels."""
        for plan in side.plans:
            writer.wait(plan.done, self.stage.pixels)

    # Elsewhere: send partial rows home

    def write_send(self, side: _Side) -> None:
        writer = Writer(side.core, f"{self.stage.name}.send")
        with writer.loop(INPUT, 0):
            for segment in self.parts:
                with writer.loop(TURN, segment.count):
                    with writer.loop(CHUNK, self.runs):
                        self.await_reads(writer, side)
                        writer.wait(side.part_credit, 1)
                        src = self.acc(side, segment).desc(writer)
                        dst = self.part(side, segment).desc(writer)
                        put = Put(self.home.core, dst, src, side.part_token, side.free)
                        writer.emit(put)
                    self.give_back(writer, 0, segment)
        self.chip.add_sequencer(writer, self.index, "send")

    def give_back(self, writer: Writer, number: int, segment: Segment) -> None:
        """Tell an operand's producer that its rows are done with."""
        key = (self.index, number, writer.core)
        producer = self.chip.rings[key].producer_core
        writer.signal(producer, self.chip.credits[key], segment.releases[number])

    # At home: finish rows

    def write_post(self) -> None:
        sender = Sender(self.chip, self.stage)
        sender.reserve(ACC_SLOTS)
        records = self.records()
        writer = Writer(self.home.core, f"{self.stage.name}.post")
        with writer.loop(INPUT, 0):
            sender.padding_above(writer)
            for segment in self.parts:
                with writer.loop(TURN, segment.count):
                    for number in range(1, len(self.stage.operands)):
                        token = self.chip.tokens[self.index, number, self.home.core]
                        writer.wait(token, segment.waits[number])
                    sender.take(writer, 1)
                    out = out_row(self.chip, self.index, segment, self.firings)
                    chain = Chain(self.chip, self.index, writer, segment, out)
                    with writer.loop(CHUNK, self.runs):
                        self.finish_run(writer, segment, chain, records)
                    for number in range(len(self.stage.operands)):
                        self.give_back(writer, number, segment)
                    sender.send_firing(writer, out, segment)
            sender.padding_below(writer)
        self.chip.add_sequencer(writer, self.index, "post")

    def finish_run(self, writer: Writer, segment: Segment, chain: Chain, records: int) -> None:
        """One run of pixels: wait for its accumulators, finish them, give the slots back."""
        self.await_reads(writer, self.home)
        for side in self.others:
            writer.wait(side.part_token, 1)
        first = chain.result_row(self.stage.nodes[0])
        self.combine(writer, segment, first, records)
        for side in self.others:
            writer.signal(side.core, side.part_credit, 1)
        writer.signal(self.home.core, self.home.free, 1)
        chain.rows[self.stage.nodes[0]] = first
        chain.run()

    def combine(self, writer: Writer, segment: Segment, dst: Row, records: int) -> None:
        """Add partial sums and bring them to the result's numbers, column run by column run."""
        rows = {self.home.core: self.acc(self.home, segment)}
        rows |= {side.core: self.part(side, segment) for side in self.others}
        for first, count, adders in self.column_runs():
            total, *more = [
                rows[side.core].at(
                    writer,
                    ((dst.cols, side.width * ACC_BYTES), (count, ACC_BYTES)),
                    offset=(at + first - start) * ACC_BYTES,
                    exact=True,
                )
                for side, start, at in adders
            ]
            for other in more:
                writer.emit(Vec("add", total, total, other))
            there = dst.at(
                writer,
                ((dst.cols, dst.pixel_bytes), (count, dst.channel_bytes)),
                offset=first * dst.channel_bytes,
                exact=True,
            )
            table = writer.desc("i32", records + first * RECORD_BYTES, ((count, RECORD_BYTES),))
            writer.emit(_finished(self.anchor.op, there, total, table))

    def column_runs(self) -> Iterator[tuple[int, int, list[tuple[_Side, int, int]]]]:
        """Maximal runs of outputs that the same cores add up: (first, count, adders).

        An adder is (side, first output of its plan, where that lies in the side's row).
        """
        spans: list[tuple[int, int, _Side, int]] = []
        for side in self.sides:
            for plan in side.plans:
                start = self.stage.blocks[plan.outputs.block].output0 + plan.outputs.output0
                spans.append((start, start + plan.outputs.outputs, side, plan.outputs.at))
        cuts = sorted({edge for start, stop, _, _ in spans for edge in (start, stop)})
        for first, stop in pairwise(cuts):
            adders = [(side, a, at) for a, b, side, at in spans if a <= first and stop <= b]
            if adders:
                yield first, stop - first, adders

    def records(self) -> int:
        """Per output: bias with the zero-point term folded in, and the multiplier."""
        op = self.anchor.op
        if not isinstance(op, QConv | QMatMul):
            raise TypeError(f"{self.anchor} is no matrix operation")
        sums = np.concatenate([m.sum(axis=0, dtype=np.int64) for m in self.matrices])
        bias = self.anchor.operand(2).array.astype(np.int64) - op.x_zero_point * sums
        records = np.empty((len(bias), 2), np.int32)
        records[:, 0] = bias
        records[:, 1] = self.anchor.operand(3).array.astype(np.float32).view(np.int32)
        address = self.chip.address(self.index, self.stage.home, "records")
        core = self.chip.core(self.stage.home)
        core.image(address, records, f"{self.stage.name} bias and multiplier")
        return address


def _finished(op: Op, dst: Desc, acc: Desc, table: Desc) -> Vec:
    """The instruction that ends a matrix operation: to bytes, or to real numbers."""
    if not isinstance(op, QConv | QMatMul):
        raise TypeError(f"{op} is no matrix operation")
    if op.out == "f32":
        return Vec("dequant", dst, acc, table)
    return Vec("requant", dst, acc, table, (op.y_zero_point, op.lo, op.hi))

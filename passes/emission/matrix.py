"""Matrix stages: a compute sequencer per core, and one that finishes rows at home.

Compute gathers windows straight from the row ring and starts reads; accumulators of a run of
pixels have two slots.  Elsewhere than at home, a send sequencer puts finished partial sums to the
home core.  At home, the post sequencer adds what belongs together, requantises, runs the rowwise
nodes and sends.
"""

from __future__ import annotations

from dataclasses import replace

from nmc.ir.column_runs import Adder, ColumnRun, column_runs
from nmc.ir.graph import Node
from nmc.ir.mapping import Stage
from nmc.ir.program import Desc, Mvm, Put, Vec
from nmc.ir.rows import returns_apart
from nmc.ir.shares import Run
from nmc.ir.stage_memory import ACC_BYTES, RECORD_BYTES
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.finishing import finished, matrix_records
from nmc.passes.emission.padding import fill_rows, initial_padding
from nmc.passes.emission.plans import ACC_SLOTS, Gather, Plan, Side, sides_of
from nmc.passes.emission.rows import Chain, Row, out_row
from nmc.passes.emission.sending import Sender
from nmc.passes.emission.turns import Segment
from nmc.passes.emission.waiting import await_rows, await_sends, give_back, has_one_source
from nmc.passes.emission.writer import CHUNK, COL, INPUT, TURN, Writer

__all__ = ["write_matrix_stage"]


def write_matrix_stage(chip: ChipWriter, index: int) -> None:
    """All sequencers, plans, tiles and constants of a matrix stage."""
    _MatrixStage(chip, index).write()


class _MatrixStage:
    def __init__(self, chip: ChipWriter, index: int) -> None:
        self.chip = chip
        self.index = index
        self.stage: Stage = chip.mapping.stages[index]
        self.anchor: Node = chip.nodes[self.stage.nodes[0]]
        self.schedule = chip.schedule(index)
        self.runs = int(self.schedule.run_counts.sum())
        """Runs of pixels of an input."""
        self.sides = list(sides_of(chip, index))
        self.home, *self.others = self.sides
        self.outputs = {side.core: [plan.outputs for plan in side.plans] for side in self.sides}
        self.columns: dict[tuple[int, int], list[ColumnRun]] = {}
        """For runs of so many pixels what makes each row of a grid."""
        self.finished = -1
        """Counts finished firings, where a sequencer of its own gives slots back."""

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

    def has_one_source(self, core: int) -> bool:
        """Whether a side waits for rows of one source only."""
        return has_one_source(self.chip, self.index, 0, core)

    def is_child(self, core: int) -> bool:
        """Whether a side gives slots back to one source only, another ring's core."""
        return self.chip.rings[self.index, 0, core].parent >= 0

    # Accumulators of a run of pixels

    def acc(self, side: Side, segment: Segment, run: Run) -> Row:
        """A slot of accumulators of a side on its own core: those of a read stand for a pixel."""
        return self.acc_row(side, segment, run, side.core, "acc")

    def part(self, side: Side, segment: Segment, run: Run) -> Row:
        """The slot at home into which another side's partial sums come."""
        return self.acc_row(side, segment, run, self.home.core, f"part{side.core}")

    def acc_row(self, side: Side, segment: Segment, run: Run, core: int, role: str) -> Row:
        slot = self.stage.reads * side.width * ACC_BYTES
        return Row(
            "i32",
            self.chip.address(self.index, core, role),
            self.reads(run),
            side.width,
            side.width * ACC_BYTES,
            ACC_BYTES,
            {INPUT: self.runs * slot, TURN: segment.run.step * slot, CHUNK: slot},
            (segment.run.first + run.first) * slot,
            ACC_SLOTS * slot,
        )

    def reads(self, run: Run) -> int:
        return -(-run.pixels // self.stage.grid[1])

    # Compute

    def write_compute(self, side: Side) -> None:
        """Wait for rows, start the reads of each run of pixels.

        Padding is filled in before the first read of a firing, but not before the reads of the
        firing before last are done: a free accumulator slot says so, or that a row has several.
        """
        writer = Writer(side.core, f"{self.stage.name}.compute")
        with writer.loop(INPUT, 0):
            for loop in self.schedule.compute_loops(sole=self.has_one_source(side.core)):
                with writer.loop(TURN, loop.count):
                    for segment in loop.body:
                        self.compute_firing(writer, side, segment)
        self.chip.add_sequencer(writer, self.index, "compute")

    def compute_firing(self, writer: Writer, side: Side, segment: Segment) -> None:
        await_rows(self.chip, writer, self.index, 0, segment)
        single = len(segment.runs) == segment.runs[0].count == 1
        if single:
            writer.wait(side.free, 1)
        await_sends(self.chip, writer, self.index, 0)
        fill_rows(self.chip, writer, self.index, 0, side.core, segment)
        for run in segment.runs:
            with writer.loop(CHUNK, run.count):
                if not single:
                    writer.wait(side.free, 1)
                with writer.loop(COL, self.reads(run)):
                    for plan in side.plans:
                        self.read(writer, side, plan, segment, run)

    def read(self, writer: Writer, side: Side, plan: Plan, segment: Segment, run: Run) -> None:
        part = plan.outputs
        each = self.stage.blocks[part.block].outputs
        dims: tuple[tuple[int, int], ...] = ((part.outputs, ACC_BYTES),)
        if part.stride != each:
            dims = ((part.outputs // each, part.stride * ACC_BYTES), (each, ACC_BYTES))
        dst = self.acc(side, segment, run).at(
            writer,
            dims,
            offset=part.at * ACC_BYTES,
            terms={COL: side.width * ACC_BYTES},
        )
        src = self.window(writer, side.core, plan.gather, segment, run)
        writer.emit(Mvm(plan.number, dst, src, plan.done))

    def window(self, writer: Writer, core: int, gather: Gather, segment: Segment, run: Run) -> Desc:
        ring = self.chip.rings[self.index, 0, core]
        feed = self.schedule.feeds[0]
        _, chans = self.chip.mapping.seen_chans(self.stage.operands[0])
        down, right = self.stage.read_window.strides
        read = right * chans
        before = segment.first * feed.advance + run.row * down
        return writer.desc(
            "u8",
            ring.address,
            gather.dims,
            terms={
                INPUT: feed.ring_rows * ring.row_bytes,
                TURN: segment.step * feed.advance * ring.row_bytes,
                CHUNK: self.reads(run) * read,
                COL: read,
            },
            offset=before * ring.row_bytes
            + run.pixel0 // self.stage.grid[1] * read
            + gather.offset,
            ring=ring.depth * ring.row_bytes,
        )

    def await_reads(self, writer: Writer, side: Side, run: Run) -> None:
        """Wait until every plan has read a run of pixels."""
        for plan in side.plans:
            writer.wait(plan.done, self.reads(run))

    # Elsewhere: send partial sums home

    def write_send(self, side: Side) -> None:
        writer = Writer(side.core, f"{self.stage.name}.send")
        with writer.loop(INPUT, 0):
            for loop in self.schedule.release_loops(sole=self.is_child(side.core)):
                with writer.loop(TURN, loop.count):
                    for segment in loop.body:
                        self.send_firing(writer, side, segment)
        self.chip.add_sequencer(writer, self.index, "send")

    def send_firing(self, writer: Writer, side: Side, segment: Segment) -> None:
        for run in segment.runs:
            with writer.loop(CHUNK, run.count):
                self.await_reads(writer, side, run)
                writer.wait(side.part_credit, 1)
                src = self.acc(side, segment, run).desc(writer)
                dst = self.part(side, segment, run).desc(writer)
                writer.emit(Put(self.home.core, dst, src, side.part_token, side.free))
        give_back(self.chip, writer, self.index, 0, segment)

    # At home: finish rows

    def write_post(self) -> None:
        sender = Sender(self.chip, self.index)
        sender.reserve()
        records = matrix_records(self.chip, self.index)
        writer = Writer(self.home.core, f"{self.stage.name}.post")
        if self.returns_apart():
            self.finished = self.chip.core(self.home.core).semaphore()
            self.write_returns()
        loops = self.schedule.finish_loops(
            sole=self.is_child(self.home.core), returns=self.finished < 0
        )
        with writer.loop(INPUT, 0):
            for loop in loops:
                with writer.loop(TURN, loop.count):
                    for segment in loop.body:
                        self.finish_firing(writer, sender, segment, records)
        self.chip.add_sequencer(writer, self.index, "post")

    def returns_apart(self) -> bool:
        """Whether a sequencer of its own gives slots back."""
        rings = [self.chip.rings[self.index, n, self.home.core] for n in self.operands()]
        return returns_apart(sum(len(ring.sources) for ring in rings), len(self.sides))

    def operands(self) -> range:
        return range(len(self.stage.operands))

    def write_returns(self) -> None:
        """Give slots back for each finished firing.

        Whose slots they are changes from firing to firing; what else is done for a row doesn't, and
        stays one short loop without this.
        """
        writer = Writer(self.home.core, f"{self.stage.name}.returns")
        loops = self.schedule.home_release_loops(sole=self.is_child(self.home.core))
        with writer.loop(INPUT, 0):
            for loop in loops:
                with writer.loop(TURN, loop.count):
                    for segment in loop.body:
                        writer.wait(self.finished, 1)
                        self.give_all_back(writer, segment)
        self.chip.add_sequencer(writer, self.index, "returns")

    def give_all_back(self, writer: Writer, segment: Segment) -> None:
        for number in self.operands():
            give_back(self.chip, writer, self.index, number, segment)

    def finish_firing(self, writer: Writer, sender: Sender, segment: Segment, records: int) -> None:
        for number in range(1, len(self.stage.operands)):
            await_rows(self.chip, writer, self.index, number, segment)
        sender.take(writer, segment)
        out = out_row(self.chip, self.index, segment)
        for run in segment.runs:
            with writer.loop(CHUNK, run.count):
                self.finish_run(writer, segment, run, out, records)
        if self.finished < 0:
            self.give_all_back(writer, segment)
        else:
            writer.signal(self.home.core, self.finished, 1)
        sender.send_firing(writer, out, segment)

    def finish_run(
        self, writer: Writer, segment: Segment, run: Run, out: Row, records: int
    ) -> None:
        """One run of pixels, row by row of its grid: wait for its accumulators, finish them, give
        the slots back as soon as the last row has been taken out of them."""
        self.await_reads(writer, self.home, run)
        for side in self.others:
            writer.wait(side.part_token, 1)
        first, stop = (n * self.stage.grid[0] for n in (run.row, run.row + 1))
        for number in range(first, min(stop, segment.emits)):
            chain = Chain(self.chip, self.index, writer, segment, out, number, run)
            result = chain.result_row(self.stage.nodes[0])
            self.combine(writer, segment, run, number - first, result, records)
            if number == min(stop, segment.emits) - 1:
                for side in self.others:
                    writer.signal(side.core, side.part_credit, 1)
                writer.signal(self.home.core, self.home.free, 1)
            chain.rows[self.stage.nodes[0]] = result
            chain.run()

    def combine(
        self, writer: Writer, segment: Segment, pixels: Run, number: int, dst: Row, records: int
    ) -> None:
        """Add partial sums of a grid's row and bring them to the result's numbers, run by run."""
        rows = {self.home.core: self.acc(self.home, segment, pixels)}
        rows |= {side.core: self.part(side, segment, pixels) for side in self.others}
        for run in self.column_runs(pixels, number):
            total, *more = [_sums(writer, rows[adder.core], adder, run) for adder in run.adders]
            for other in more:
                writer.emit(Vec("add", total, total, other))
            dims = _dims(
                run, self.stage.grid[1] * dst.pixel_bytes, dst.pixel_bytes, dst.channel_bytes
            )
            offset = run.pixel * dst.pixel_bytes + run.first * dst.channel_bytes
            there = dst.at(writer, dims, offset=offset, exact=True)
            table = writer.desc(
                "i32", records + run.first * RECORD_BYTES, ((run.count, RECORD_BYTES),)
            )
            writer.emit(finished(self.anchor.op, there, total, table))

    def column_runs(self, pixels: Run, row: int) -> list[ColumnRun]:
        key = pixels.pixels, row
        if key not in self.columns:
            stage = replace(self.stage, pixels=pixels.pixels)
            self.columns[key] = column_runs(stage, self.outputs, row)
        return self.columns[key]


def _sums(writer: Writer, row: Row, adder: Adder, run: ColumnRun) -> Desc:
    """What a core has of a run, in a slot of its accumulators."""
    dims = _dims(run, row.pixel_bytes, adder.stride * ACC_BYTES, ACC_BYTES)
    return row.at(writer, dims, offset=adder.at * ACC_BYTES, exact=True)


def _dims(
    run: ColumnRun, read_bytes: int, pixel_bytes: int, channel_bytes: int
) -> tuple[tuple[int, int], ...]:
    """The elements of a run, given how far apart they lie: the last dimension is the outputs."""
    pixels = ((run.pixels, pixel_bytes),) if run.pixels > 1 else ()
    return ((run.reads, read_bytes), *pixels, (run.count, channel_bytes))

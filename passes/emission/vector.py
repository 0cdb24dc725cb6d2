"""Stages of the vector unit: one sequencer that waits for rows, works on them, sends the result."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from nmc.ir import ops
from nmc.ir.depthwise import on_vector_unit
from nmc.ir.graph import Array
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Kind, Stage
from nmc.ir.program import Vec
from nmc.ir.rows import turn_numbers
from nmc.ir.windows import window_divisors
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.depthwise import Depthwise
from nmc.passes.emission.padding import fill_rows, initial_padding
from nmc.passes.emission.rows import Chain, Row, dense, element_bytes, out_row, ring_row
from nmc.passes.emission.sending import Sender
from nmc.passes.emission.turns import Segment
from nmc.passes.emission.waiting import await_rows, give_back
from nmc.passes.emission.writer import CHUNK, COL, INPUT, TURN, Writer

__all__ = ["write_vector_stage"]


def write_vector_stage(chip: ChipWriter, index: int) -> None:
    """The sequencer, constants and padding of a stage without a matrix."""
    stage = chip.mapping.stages[index]
    for number in range(len(stage.operands)):
        initial_padding(chip, index, number, stage.home)
    _VectorStage(chip, index).write()


@dataclass(frozen=True, slots=True)
class _Ends:
    """Whether a firing is the first or the last of an input."""

    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class _EvenRun:
    """Operand rows from `row0` on go to elements `start`, `start + step`..."""

    start: int
    row0: int
    step: int


class _VectorStage:
    def __init__(self, chip: ChipWriter, index: int) -> None:
        self.chip = chip
        self.index = index
        self.stage: Stage = chip.mapping.stages[index]
        self.home = self.stage.home
        self.collects = self.stage.kind is Kind.RELAYOUT
        self.sender = Sender(chip, index)
        self.writer = Writer(self.home, f"{self.stage.name}.rows")
        self.divisors = self._divisors()
        self.schedule = replace(chip.schedule(index), variants=self._variants())
        is_depthwise = on_vector_unit(self.stage, chip.nodes)
        self.depthwise = Depthwise(chip, index) if is_depthwise else None

    # What firings have in common

    def _divisors(self) -> Array | None:
        """How many elements each place that a copy makes of an average divides by: i64[firings,
        cols]."""
        op = self._anchor_op()
        if not isinstance(op, ops.QAvgPool):
            return None
        node = self.chip.nodes[self.stage.nodes[0]]
        counts = window_divisors(
            node.x.type.shape[2:],
            op.kernel,
            op.strides,
            op.pads,
            op.dilations,
            op.ceil_mode,
            op.count_include_pad,
        )
        stream = self.chip.output(self.stage)
        turns = turn_numbers(self.chip.mapping, self.stage)
        return np.asarray(counts, np.int64).reshape(stream.rows, stream.cols)[turns]

    def _variants(self) -> list[Hashable] | None:
        if self.divisors is not None:
            return [row.tobytes() for row in self.divisors]
        if self.stage.kind is Kind.MEAN:
            rows = self.chip.stream(self.stage.operands[0].stream).rows
            return [_Ends(row == 0, row == rows - 1) for row in range(rows)]
        if self.collects:
            return self._relayout_variants()
        return None

    def _anchor_op(self) -> ops.Op | None:
        return self.chip.nodes[self.stage.nodes[0]].op if self.stage.anchored else None

    # The sequencer

    def write(self) -> None:
        if self.collects:
            self.sender.reserve_all()
        else:
            self.sender.reserve()
        with self.writer.loop(INPUT, 0):
            if self.collects:
                self.sender.take_all(self.writer)
            for loop in self.schedule.loops():
                with self.writer.loop(TURN, loop.count):
                    for segment in loop.body:
                        self.firing(segment)
            if self.collects:
                self.send_collected()
        self.chip.add_sequencer(self.writer, self.index, "rows")

    def firing(self, segment: Segment) -> None:
        w = self.writer
        for number in range(len(self.stage.operands)):
            await_rows(self.chip, w, self.index, number, segment)
            fill_rows(self.chip, w, self.index, number, self.home, segment)
        if not self.collects:
            self.sender.take(w, segment)
        out = out_row(self.chip, self.index, segment)
        chain = Chain(self.chip, self.index, w, segment, out)
        in_runs = self.stage.kind is Kind.CONCAT or self.depthwise is not None
        if not in_runs:
            _WRITERS[self.stage.kind](self, segment, chain)
        if segment.emits and not self.collects:
            with w.loop(CHUNK, self.chip.output(self.stage).cols // self.stage.pixels):
                if in_runs:
                    _WRITERS[self.stage.kind](self, segment, chain)
                if self.stage.kind is not Kind.REORDER:
                    chain.run()
        for number in range(len(self.stage.operands)):
            give_back(self.chip, w, self.index, number, segment)
        if segment.emits and not self.collects:
            self.sender.send_firing(w, out, segment)

    def anchor_row(self, chain: Chain) -> Row:
        """Where the anchor's result goes, which later nodes then find."""
        name = self.stage.nodes[0]
        row = chain.result_row(name)
        chain.rows[name] = row
        return row

    # Kinds

    def rows(self, segment: Segment, chain: Chain) -> None:
        """Rowwise nodes only: nothing before the chain."""

    def window(self, segment: Segment, chain: Chain) -> None:
        dst = self.anchor_row(chain)
        op = self._anchor_op()
        if self.depthwise is not None:
            self.depthwise.write(self.writer, self.window_row(segment), dst)
        elif isinstance(op, ops.Pad):
            self.padded_row(segment, dst)
        elif self.divisors is None:
            self.pool_run("pool.max", segment, dst, 0, dst.cols, ())
        elif isinstance(op, ops.QAvgPool):
            for first, count, divisor in _runs(self.divisors[segment.first]):
                scale = float(np.float32(op.scale / divisor))
                imm = (scale, float(op.x_zero_point), float(op.y_zero_point))
                self.pool_run("pool.avg", segment, dst, first, count, imm)

    def pool_run(
        self, op: str, segment: Segment, dst: Row, first: int, count: int, imm: tuple[float, ...]
    ) -> None:
        """One instruction per pixel, for `count` pixels from number `first` on."""
        w, window = self.writer, self.stage.window
        source = self.window_row(segment)
        size = element_bytes(dst.dtype)
        pixel = source.chans * size
        row_bytes = self.chip.rings[self.index, 0, self.home].row_bytes
        step = window.strides[1] * pixel
        with w.loop(COL, count):
            a = source.at(
                w,
                (
                    (window.kernel[0], window.dilations[0] * row_bytes),
                    (window.kernel[1], window.dilations[1] * pixel),
                    (source.chans, size),
                ),
                offset=first * step,
                terms={COL: step},
                exact=True,
            )
            target = dst.at(
                w,
                ((dst.chans, dst.channel_bytes),),
                offset=first * dst.pixel_bytes,
                terms={COL: dst.pixel_bytes},
                exact=True,
            )
            w.emit(Vec(op, target, a, imm=imm))

    def window_row(self, segment: Segment) -> Row:
        """The first padded row, from its first padded pixel, of a firing's window."""
        operand = self.stage.operands[0]
        row = ring_row(self.chip, self.index, 0, self.home, segment)
        left = operand.left * row.chans * element_bytes(row.dtype)
        return replace(row, offset=row.offset - left)

    def padded_row(self, segment: Segment, dst: Row) -> None:
        """Constant padding: the ring's row as it stands, padding included."""
        source = self.window_row(segment)
        dims = ((dst.cols * dst.chans, dst.channel_bytes),)
        w = self.writer
        w.emit(Vec("copy", dst.at(w, dims), source.at(w, dims)))

    def mean(self, segment: Segment, chain: Chain) -> None:
        """Add up each row's pixels; after the last row, bring the sums to the result's numbers."""
        w = self.writer
        ends = segment.variant
        if not isinstance(ends, _Ends):
            raise TypeError("a mean knows its first and its last row")
        source = ring_row(self.chip, self.index, 0, self.home, segment)
        size = element_bytes(source.dtype)
        dims = ((source.cols, source.chans * size), (source.chans, size))
        total = self.scratch("sum", source.chans)
        partial = total if ends.first else self.scratch("partial", source.chans)
        one = ((source.chans, 4),)
        w.emit(Vec("reduce.sum", partial.at(w, one, exact=True), source.at(w, dims, exact=True)))
        if not ends.first:
            w.emit(Vec("add", total.at(w, one), total.at(w, one), partial.at(w, one)))
        if ends.last:
            self.finish_mean(total, chain)

    def finish_mean(self, total: Row, chain: Chain) -> None:
        w, op = self.writer, self._anchor_op()
        if not isinstance(op, ops.QReduceMean):
            raise TypeError(f"{op} is no mean over integers")
        source = self.chip.stream(self.stage.operands[0].stream)
        count = source.rows * source.cols
        records = np.empty((source.chans, 2), np.int32)
        records[:, 0] = -count * op.x_zero_point
        records[:, 1] = np.full(1, op.scale / count, np.float32).view(np.int32)
        address = self.chip.address(self.index, self.home, "records")
        self.chip.core(self.home).image(address, records, f"{self.stage.name} mean")
        dst = self.anchor_row(chain)
        table = w.desc("i32", address, ((source.chans, 8),))
        imm = (op.y_zero_point, 0, 255)
        one = ((dst.chans, dst.channel_bytes),)
        w.emit(Vec("requant", dst.at(w, one), total.at(w, ((total.chans, 4),)), table, imm))

    def scratch(self, role: str, chans: int) -> Row:
        return dense("i32", self.chip.address(self.index, self.home, role), 1, chans)

    def concat(self, segment: Segment, chain: Chain) -> None:
        dst = self.anchor_row(chain)
        w, at = self.writer, 0
        for number, operand in enumerate(self.stage.operands):
            row = ring_row(self.chip, self.index, number, self.home, segment)
            source = row.chunk(self.stage.pixels)
            width = self.chip.stream(operand.stream).chans
            dims = ((dst.cols, dst.pixel_bytes), (width, dst.channel_bytes))
            w.emit(Vec("copy", dst.at(w, dims, offset=at * dst.channel_bytes), source.desc(w)))
            at += width

    def crop(self, segment: Segment, chain: Chain) -> None:
        if not segment.emits:
            return
        dst = self.anchor_row(chain)
        w = self.writer
        source = ring_row(self.chip, self.index, 0, self.home, segment)
        _, col0, chan0 = self.stage.starts
        _, col_step, chan_step = self.stage.steps
        dims = (
            (dst.cols, col_step * source.pixel_bytes),
            (dst.chans, chan_step * source.channel_bytes),
        )
        offset = col0 * source.pixel_bytes + chan0 * source.channel_bytes
        w.emit(Vec("copy", dst.desc(w), source.at(w, dims, offset=offset)))

    def upsample(self, segment: Segment, chain: Chain) -> None:
        w, dst = self.writer, self.anchor_row(chain)
        source = ring_row(self.chip, self.index, 0, self.home, segment)
        rows, cols = self.stage.factors
        dims = (
            (source.cols, source.pixel_bytes),
            (cols, 0),
            (source.chans, source.channel_bytes),
        )
        for row in range(rows):
            offset = row * dst.cols * dst.pixel_bytes
            there = dst.at(w, ((dst.cols * dst.chans, dst.channel_bytes),), offset=offset)
            w.emit(Vec("copy", there, source.at(w, dims)))

    def blocks(self, segment: Segment, chain: Chain) -> None:
        w, dst = self.writer, self.anchor_row(chain)
        source = ring_row(self.chip, self.index, 0, self.home, segment)
        rows, cols = self.stage.factors
        run = cols * dst.chans
        dims = ((source.cols, source.pixel_bytes), (run, source.channel_bytes))
        for row in range(rows):
            there = dst.at(
                w,
                ((dst.cols * dst.chans, dst.channel_bytes),),
                offset=row * dst.cols * dst.pixel_bytes,
            )
            here = source.at(w, dims, offset=row * run * source.channel_bytes)
            w.emit(Vec("copy", there, here))

    def reorder(self, segment: Segment, chain: Chain) -> None:
        """Each pixel's channels to other places; more than two digits take several copies."""
        w, dst = self.writer, chain.out
        source = ring_row(self.chip, self.index, 0, self.home, segment)
        size = source.channel_bytes
        digits = [Digit(count, stride) for count, stride in self.stage.placing]
        outer, inner = digits[:-2], digits[-2:]
        run = int(np.prod([d.size for d in inner], dtype=np.int64))
        for number, offset in enumerate(offsets(outer)):
            there = ((dst.cols, dst.pixel_bytes), *((d.size, d.stride * size) for d in inner))
            here = ((source.cols, source.pixel_bytes), (run, size))
            w.emit(
                Vec(
                    "copy",
                    dst.at(w, there, offset=int(offset) * size),
                    source.at(w, here, offset=number * run * size),
                )
            )

    # Relayout: the whole tensor is collected, then its rows are sent

    def _placing(self) -> tuple[list[Digit], list[Digit]]:
        """Destination digits of the operand's rows, and of the places within a row."""
        digits = [Digit(size, stride) for size, stride in self.stage.placing]
        rows = self.chip.stream(self.stage.operands[0].stream).rows
        cut, seen = 0, 1
        while seen < rows:
            seen *= digits[cut].size
            cut += 1
        return digits[:cut], digits[cut:]

    def _row_offsets(self) -> Array:
        """Where each operand row's first element goes, in elements."""
        rows, _ = self._placing()
        return offsets(rows)

    def _relayout_variants(self) -> list[Hashable]:
        """For each operand row, the evenly spaced run of destinations that it belongs to."""
        starts = self._row_offsets()
        inner = self._placing()[0][-1] if self._placing()[0] else Digit(1, 0)
        return [
            _EvenRun(int(starts[row - row % inner.size]), row - row % inner.size, inner.stride)
            for row in range(len(starts))
        ]

    def relayout(self, segment: Segment, chain: Chain) -> None:
        stream = self.chip.output(self.stage)
        source = ring_row(self.chip, self.index, 0, self.home, segment)
        size = element_bytes(stream.dtype)
        base = self.chip.address(self.index, self.home, "out")
        run = segment.variant
        if not isinstance(run, _EvenRun):
            raise TypeError("a relayout knows where its rows go")
        start = run.start + (segment.first - run.row0) * run.step
        _, places = self._placing()
        outer, inner = places[:-3], places[-3:]
        w = self.writer
        length = int(np.prod([d.size for d in inner], dtype=np.int64))
        for number, offset in enumerate(offsets(outer)):
            dst = w.desc(
                stream.dtype,
                base,
                tuple((d.size, d.stride * size) for d in inner),
                terms={TURN: segment.step * run.step * size},
                offset=(start + int(offset)) * size,
            )
            here = source.at(w, ((length, size),), offset=number * length * size)
            w.emit(Vec("copy", dst, here))

    def send_collected(self) -> None:
        stream = self.chip.output(self.stage)
        base = self.chip.address(self.index, self.home, "out")
        frame = dense(stream.dtype, base, stream.cols, stream.chans)
        self.sender.send_collected(self.writer, frame)


def _runs(row: Array) -> list[tuple[int, int, int]]:
    """(first, count, value) of runs of equal values."""
    cuts = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    return [(a, b - a, int(row[a])) for a, b in pairwise(cuts)]


_WRITERS: dict[Kind, Callable[[_VectorStage, Segment, Chain], None]] = {
    Kind.ROWS: _VectorStage.rows,
    Kind.WINDOW: _VectorStage.window,
    Kind.MEAN: _VectorStage.mean,
    Kind.CONCAT: _VectorStage.concat,
    Kind.CROP: _VectorStage.crop,
    Kind.UPSAMPLE: _VectorStage.upsample,
    Kind.BLOCKS: _VectorStage.blocks,
    Kind.REORDER: _VectorStage.reorder,
    Kind.RELAYOUT: _VectorStage.relayout,
}

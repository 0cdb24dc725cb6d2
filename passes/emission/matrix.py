"""Matrix stages: a compute sequencer per core, and one that finishes rows at home.

Compute gathers windows straight from the row ring and starts reads; accumulator rows have two
slots.  Elsewhere than at home, a send sequencer puts finished partial rows to the home core.  At
home, the post sequencer adds what belongs together, requantises, runs the rowwise nodes and sends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array, Node
from nmc.ir.mapping import Block, Stage, Tile
from nmc.ir.matrices import block_matrix
from nmc.ir.ops import QConv, QMatMul
from nmc.ir.program import Desc, Mvm, Put, ReadPlan, TileImage, TileRead, Vec
from nmc.ir.slices import slice_levels
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
    number: int
    outputs: CoreOutputs
    gather: _Gather


@dataclass(slots=True)
class _Side:
    """One core's part: its plans and the semaphores between its sequencers."""

    core: int
    plans: list[_Plan]
    width: int
    done: int
    free: int
    part_token: int = -1
    part_credit: int = -1


def write_matrix_stage(chip: ChipWriter, index: int) -> None:
    """All sequencers, plans, tiles and constants of a matrix stage."""
    stage = chip.mapping.stages[index]
    anchor = chip.nodes[stage.nodes[0]]
    matrices = [block_matrix(anchor, stage, block) for block in stage.blocks]
    outputs = core_outputs(stage, chip.tiles_by_stage[index])
    sides = [_side(chip, index, core, matrices, outputs[core]) for core in stage.cores]
    home = sides[0]
    for side in sides[1:]:
        side.part_token = chip.core(home.core).semaphore()
        side.part_credit = chip.core(side.core).semaphore(ACC_SLOTS)
    parts = segments(chip.mapping, stage)
    for side in sides:
        initial_padding(chip, index, 0, side.core)
        _write_compute(chip, index, side, parts)
        if side is not home:
            _write_send(chip, index, side, home, parts)
    _write_post(chip, index, sides, parts, _records(chip, index, anchor, matrices))


# Plans and tiles


def _side(
    chip: ChipWriter, index: int, core: int, matrices: list[Array], outputs: list[CoreOutputs]
) -> _Side:
    stage = chip.mapping.stages[index]
    tiles = chip.tiles_by_stage[index]
    writer = chip.core(core)
    plans: list[_Plan] = []
    here = [t for t in tiles if t.core == core]
    for part in outputs:
        mine = [t for t in here if t.block == part.block]
        gather = _gather(chip, index, core, stage.blocks[part.block], mine)
        reads = [_add_tile(chip, t, matrices[t.block], gather, part) for t in mine]
        writer.plans.append(ReadPlan(gather.bytes, part.outputs, tuple(reads)))
        plans.append(_Plan(len(writer.plans) - 1, part, gather))
    width = sum(p.outputs for p in outputs)
    return _Side(core, plans, width, writer.semaphore(), writer.semaphore(ACC_SLOTS))


def _gather(chip: ChipWriter, index: int, core: int, block: Block, tiles: list[Tile]) -> _Gather:
    """The whole window, or only the tiles' rows of it where these lie side by side in the ring."""
    stage = chip.mapping.stages[index]
    stream = chip.stream(stage.operands[0].stream)
    row_bytes = chip.rings[index, 0, core].row_bytes
    height, width = stage.window.kernel
    whole = block.chans == stream.chans
    adjacent_pixels = width == 1 or (stage.window.dilations[1] == 1 and whole)
    adjacent_rows = height == 1 or (
        stage.window.dilations[0] == 1 and whole and row_bytes == width * stream.chans
    )
    if adjacent_pixels and adjacent_rows:
        first = min(t.row0 for t in tiles)
        count = max(t.row0 + t.rows for t in tiles) - first
        return _Gather(((count, 1),), block.chan0 + first, first, count)
    dims = (
        (height, stage.window.dilations[0] * row_bytes),
        (width, stage.window.dilations[1] * stream.chans),
        (block.chans, 1),
    )
    return _Gather(dims, block.chan0, 0, block.rows)


def _add_tile(
    chip: ChipWriter, tile: Tile, matrix: Array, gather: _Gather, part: CoreOutputs
) -> TileRead:
    target = chip.target
    rows = slice(tile.row0, tile.row0 + tile.rows)
    columns = slice(tile.output0, tile.output0 + tile.outputs)
    levels = slice_levels(
        matrix[rows, columns],
        cell_bits=target.crossbar.cell_bits,
        slices=target.slices,
        encoding=target.crossbar.encoding,
        weight_bits=target.numbers.weight_bits,
    )
    chip.tiles.append(
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
        tile=len(chip.tiles) - 1,
        input0=tile.row0 - gather.row0,
        output0=tile.output0 - part.output0,
        bits=tile.bits,
        steps=tile.steps,
        converted=tile.converted,
    )


# Compute


def _write_compute(chip: ChipWriter, index: int, side: _Side, parts: list[Segment]) -> None:
    """Padding is filled in before the first read of a firing, and not before the reads of the
    firing before last are done: a free accumulator slot says so, or that a row has several."""
    stage = chip.mapping.stages[index]
    writer = Writer(side.core, f"{stage.name}.compute")
    token = chip.tokens[index, 0, side.core]
    runs = _runs(chip, stage)
    with writer.loop(INPUT, 0):
        for segment in parts:
            with writer.loop(TURN, segment.count):
                writer.wait(token, segment.waits[0])
                if runs == 1:
                    writer.wait(side.free, 1)
                fill_rows(chip, writer, index, 0, side.core, segment)
                with writer.loop(CHUNK, runs):
                    if runs > 1:
                        writer.wait(side.free, 1)
                    with writer.loop(COL, stage.pixels):
                        for plan in side.plans:
                            dst = _acc(chip, index, side, segment, parts).at(
                                writer,
                                ((plan.outputs.outputs, ACC_BYTES),),
                                offset=plan.outputs.at * ACC_BYTES,
                                terms={COL: side.width * ACC_BYTES},
                            )
                            src = _window(chip, index, side.core, plan, segment, writer)
                            writer.emit(Mvm(plan.number, dst, src, side.done))
    chip.add_sequencer(writer, index, "compute")


def _runs(chip: ChipWriter, stage: Stage) -> int:
    """Runs of pixels in an output row."""
    return chip.output(stage).cols // stage.pixels


def _window(
    chip: ChipWriter, index: int, core: int, plan: _Plan, segment: Segment, writer: Writer
) -> Desc:
    stage = chip.mapping.stages[index]
    operand = stage.operands[0]
    stream = chip.stream(operand.stream)
    ring = chip.rings[index, 0, core]
    step_rows, step_cols = stage.window.strides
    padded = operand.top + stream.rows + operand.bottom
    return writer.desc(
        "u8",
        ring.address,
        plan.gather.dims,
        terms={
            INPUT: padded * ring.row_bytes,
            TURN: step_rows * ring.row_bytes,
            CHUNK: stage.pixels * step_cols * stream.chans,
            COL: step_cols * stream.chans,
        },
        offset=segment.first * step_rows * ring.row_bytes + plan.gather.offset,
        ring=ring.depth * ring.row_bytes,
    )


def _acc(
    chip: ChipWriter,
    index: int,
    side: _Side,
    segment: Segment,
    parts: list[Segment],
    *,
    role: str = "acc",
    core: int = -1,
) -> Row:
    """A slot of accumulator rows of a side, on its own core or (a partial row) at home."""
    stage = chip.mapping.stages[index]
    runs = _runs(chip, stage)
    slot = stage.pixels * side.width * ACC_BYTES
    firings = parts[-1].first + parts[-1].count
    return Row(
        "i32",
        chip.address(index, side.core if core < 0 else core, role),
        stage.pixels,
        side.width,
        side.width * ACC_BYTES,
        ACC_BYTES,
        {INPUT: firings * runs * slot, TURN: runs * slot, CHUNK: slot},
        segment.first * runs * slot,
        ACC_SLOTS * slot,
    )


def _write_send(
    chip: ChipWriter, index: int, side: _Side, home: _Side, parts: list[Segment]
) -> None:
    stage = chip.mapping.stages[index]
    writer = Writer(side.core, f"{stage.name}.send")
    with writer.loop(INPUT, 0):
        for segment in parts:
            with writer.loop(TURN, segment.count):
                with writer.loop(CHUNK, _runs(chip, stage)):
                    writer.wait(side.done, stage.pixels * len(side.plans))
                    writer.wait(side.part_credit, 1)
                    src = _acc(chip, index, side, segment, parts).desc(writer)
                    part = _part(chip, index, side, home, segment, parts)
                    put = Put(home.core, part.desc(writer), src, side.part_token, side.free)
                    writer.emit(put)
                _signal_credit(chip, writer, index, 0, segment)
    chip.add_sequencer(writer, index, "send")


def _part(
    chip: ChipWriter, index: int, side: _Side, home: _Side, segment: Segment, parts: list[Segment]
) -> Row:
    return _acc(chip, index, side, segment, parts, role=f"part{side.core}", core=home.core)


# Post


def _write_post(
    chip: ChipWriter, index: int, sides: list[_Side], parts: list[Segment], records: int
) -> None:
    stage = chip.mapping.stages[index]
    home = sides[0]
    sender = Sender(chip, stage)
    sender.reserve(ACC_SLOTS)
    firings = parts[-1].first + parts[-1].count
    writer = Writer(home.core, f"{stage.name}.post")
    others = range(1, len(stage.operands))
    with writer.loop(INPUT, 0):
        sender.padding_above(writer)
        for segment in parts:
            with writer.loop(TURN, segment.count):
                for number in others:
                    writer.wait(chip.tokens[index, number, home.core], segment.waits[number])
                sender.take(writer, 1)
                out = out_row(chip, index, segment, firings)
                chain = Chain(chip, index, writer, segment, out)
                with writer.loop(CHUNK, _runs(chip, stage)):
                    _finish_run(chip, index, writer, sides, segment, parts, chain, records)
                for number in range(len(stage.operands)):
                    _signal_credit(chip, writer, index, number, segment)
                sender.send_firing(writer, out, segment)
        sender.padding_below(writer)
    chip.add_sequencer(writer, index, "post")


def _finish_run(
    chip: ChipWriter,
    index: int,
    writer: Writer,
    sides: list[_Side],
    segment: Segment,
    parts: list[Segment],
    chain: Chain,
    records: int,
) -> None:
    """One run of pixels: wait for its accumulators, finish them, give the slots back."""
    stage = chip.mapping.stages[index]
    home = sides[0]
    writer.wait(home.done, stage.pixels * len(home.plans))
    for side in sides[1:]:
        writer.wait(side.part_token, 1)
    first = chain.result_row(stage.nodes[0])
    _combine(chip, index, writer, sides, segment, parts, first, records)
    for side in sides[1:]:
        writer.signal(side.core, side.part_credit, 1)
    writer.signal(home.core, home.free, 1)
    chain.rows[stage.nodes[0]] = first
    chain.run()


def _signal_credit(
    chip: ChipWriter, writer: Writer, index: int, number: int, segment: Segment
) -> None:
    ring = chip.rings[index, number, writer.core]
    credit = chip.credits[index, number, writer.core]
    writer.signal(ring.producer_core, credit, segment.releases[number])


def _combine(
    chip: ChipWriter,
    index: int,
    writer: Writer,
    sides: list[_Side],
    segment: Segment,
    parts: list[Segment],
    dst: Row,
    records: int,
) -> None:
    """Add partial sums and bring them to the result's numbers, run of columns by run of columns."""
    stage = chip.mapping.stages[index]
    op = chip.nodes[stage.nodes[0]].op
    home = sides[0]
    rows = {home.core: _acc(chip, index, home, segment, parts)}
    rows |= {s.core: _part(chip, index, s, home, segment, parts) for s in sides[1:]}
    for first, count, adders in _column_runs(stage, sides):
        operands = [
            rows[side.core].at(
                writer,
                ((dst.cols, side.width * ACC_BYTES), (count, ACC_BYTES)),
                offset=(at + first - start) * ACC_BYTES,
                exact=True,
            )
            for side, start, at in adders
        ]
        for other in operands[1:]:
            writer.emit(Vec("add", operands[0], operands[0], other))
        target = dst.at(
            writer,
            ((dst.cols, dst.pixel_bytes), (count, dst.channel_bytes)),
            offset=first * dst.channel_bytes,
            exact=True,
        )
        table = writer.desc("i32", records + first * RECORD_BYTES, ((count, RECORD_BYTES),))
        writer.emit(_finish(op, target, operands[0], table))


def _finish(op: object, dst: Desc, acc: Desc, table: Desc) -> Vec:
    if not isinstance(op, QConv | QMatMul):
        raise TypeError(f"{op} is no matrix operation")
    if op.out == "f32":
        return Vec("dequant", dst, acc, table)
    return Vec("requant", dst, acc, table, (op.y_zero_point, op.lo, op.hi))


def _column_runs(
    stage: Stage, sides: list[_Side]
) -> Iterator[tuple[int, int, list[tuple[_Side, int, int]]]]:
    """Maximal runs of outputs that the same cores add up: (first, count, adders).

    An adder is (side, first output of its plan, where that lies in the side's accumulator row).
    """
    spans: list[tuple[int, int, _Side, int]] = []
    for side in sides:
        for plan in side.plans:
            start = stage.blocks[plan.outputs.block].output0 + plan.outputs.output0
            spans.append((start, start + plan.outputs.outputs, side, plan.outputs.at))
    cuts = sorted({edge for start, stop, _, _ in spans for edge in (start, stop)})
    for first, stop in itertools.pairwise(cuts):
        adders = [(side, a, at) for a, b, side, at in spans if a <= first and stop <= b]
        if adders:
            yield first, stop - first, adders


def _records(chip: ChipWriter, index: int, anchor: Node, matrices: list[Array]) -> int:
    """Per output: bias with the zero-point term folded in, and the multiplier."""
    stage = chip.mapping.stages[index]
    op = anchor.op
    if not isinstance(op, QConv | QMatMul):
        raise TypeError(f"{anchor} is no matrix operation")
    sums = np.concatenate([m.sum(axis=0, dtype=np.int64) for m in matrices])
    bias = anchor.operand(2).array.astype(np.int64) - op.x_zero_point * sums
    records = np.empty((len(bias), 2), np.int32)
    records[:, 0] = bias
    records[:, 1] = anchor.operand(3).array.astype(np.float32).view(np.int32)
    address = chip.address(index, stage.home, "records")
    chip.core(stage.home).image(address, records, f"{stage.name} bias and multiplier")
    return address

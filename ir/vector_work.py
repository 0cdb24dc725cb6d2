"""What a stage asks of the vector unit at home, and in which part of its loop.

The list mirrors what codegen emits, operation by operation; tests hold it equal to the programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod

import numpy as np

from nmc.ir import mapping as m
from nmc.ir import ops
from nmc.ir.column_runs import column_runs
from nmc.ir.depthwise import strips_of
from nmc.ir.graph import Node
from nmc.ir.rows import Feed, feed_of
from nmc.ir.shares import runs_of
from nmc.ir.stage_memory import CoreOutputs
from nmc.ir.target import VectorUnit

__all__ = ["Part", "VectorWork", "fill_work", "vector_cycles", "vector_work"]


class Part(StrEnum):
    """When a stage does some of its work."""

    TURN = "turn"
    """In each firing."""
    EMISSION = "emission"
    """In each firing that emits rows."""
    INPUT = "input"
    """Once for an input."""


@dataclass(frozen=True, slots=True)
class VectorWork:
    """`times` vec instructions `op`, each on `elements`, in some part of a stage's loop."""

    part: Part
    op: str
    elements: int
    times: int = 1


def vector_cycles(work: VectorWork, unit: VectorUnit) -> int:
    """Cycles of all its instructions once."""
    batches = -(-work.elements // unit.lanes)
    each = batches * unit.element_cycles(work.op) + unit.op_latency_cycles(work.op)
    return each * work.times


def vector_work(
    mapping: m.Mapping,
    stage: m.Stage,
    outputs: Mapping[int, Sequence[CoreOutputs]],
    nodes: Mapping[str, Node],
) -> list[VectorWork]:
    """What the sequencer that finishes rows at home has the vector unit do.

    `outputs` are the read plans of each core of a matrix stage (`stage_memory.core_outputs`).
    """
    work: list[VectorWork] = []
    if stage.kind is m.Kind.MATRIX:
        work += _matrix(mapping, stage, outputs, nodes)
    else:
        work += _KINDS[stage.kind](mapping, stage, nodes)
    if stage.kind not in (m.Kind.REORDER, m.Kind.RELAYOUT):
        work += _chain(mapping, stage, nodes)
    return work


def fill_work(mapping: m.Mapping, stage: m.Stage, number: int) -> list[VectorWork]:
    """Filling in an operand's padding rows, on each core that has a ring of it: those above the
    data at once, those below as windows reach them."""
    operand = stage.operands[number]
    if not (operand.top or operand.bottom):
        return []
    feed = feed_of(mapping, stage, operand)
    stream = mapping.streams[operand.stream]
    cols = operand.left + stream.cols + operand.right
    row = cols * mapping.seen_chans(operand)[1] * stream.element_bytes
    runs = [feed.top, *_rows_below(feed)]
    return [VectorWork(Part.INPUT, "fill", rows * row) for rows in runs if rows]


def _rows_below(feed: Feed) -> list[int]:
    """Padding rows below the data of which each firing is the first to see any."""
    first, stop = feed.top + len(feed.rows), feed.ring_rows
    windows = np.arange(len(feed.needed)) * feed.advance
    ends = np.clip(windows + feed.span, first, stop)
    starts = np.maximum(windows, np.concatenate([[first], ends[:-1]]))
    return [int(rows) for rows in np.maximum(ends - starts, 0)]


# Kinds.  Each gives the work of the anchor.


def _matrix(
    mapping: m.Mapping,
    stage: m.Stage,
    outputs: Mapping[int, Sequence[CoreOutputs]],
    nodes: Mapping[str, Node],
) -> Iterator[VectorWork]:
    """Partial sums of several cores are added, then brought to the result's numbers."""
    op = nodes[stage.nodes[0]].op
    real = isinstance(op, ops.QConv | ops.QMatMul) and op.out == "f32"
    for pixels, times in _runs(mapping, stage):
        for row in range(stage.grid[0]):
            for run in column_runs(replace(stage, pixels=pixels), outputs, row):
                others = len(run.adders) - 1
                if others:
                    yield VectorWork(Part.EMISSION, "add", run.elements, times * others)
                name = "dequant" if real else "requant"
                yield VectorWork(Part.EMISSION, name, run.elements, times)


def _window(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    cols, chans = _shape(mapping, stage)
    op = nodes[stage.nodes[0]].op
    if isinstance(op, ops.Pad):
        yield VectorWork(Part.TURN, "copy", cols * chans)
        return
    if isinstance(op, ops.QConv):
        yield from _depthwise(mapping, stage, op)
        return
    name = "pool.avg" if isinstance(op, ops.QAvgPool) else "pool.max"
    yield VectorWork(Part.TURN, name, prod(stage.window.kernel) * chans, cols)


def _depthwise(mapping: m.Mapping, stage: m.Stage, op: ops.QConv) -> Iterator[VectorWork]:
    """A product for each strip of the kernel, which are added up, then brought to the result's
    numbers."""
    strips, chans = strips_of(stage.window.kernel), mapping.made_chans(stage)[1]
    for pixels, times in _runs(mapping, stage):
        places = pixels * chans
        yield VectorWork(Part.TURN, "matmul", places * strips.taps, times * strips.count)
        if strips.count > 1:
            yield VectorWork(Part.TURN, "add", places, times * (strips.count - 1))
        name = "dequant" if op.out == "f32" else "requant"
        yield VectorWork(Part.TURN, name, places, times)


def _mean(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    stream = mapping.streams[stage.operands[0].stream]
    _, chans = mapping.seen_chans(stage.operands[0])
    yield VectorWork(Part.TURN, "reduce.sum", stream.cols * chans)
    if stream.rows > 1:
        yield VectorWork(Part.INPUT, "add", chans, stream.rows - 1)
    yield VectorWork(Part.EMISSION, "requant", chans)


def _concat(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    cols = mapping.streams[stage.output].cols
    for operand in stage.operands:
        yield VectorWork(Part.TURN, "copy", cols * mapping.seen_chans(operand)[1])


def _crop(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    cols, chans = _shape(mapping, stage)
    yield VectorWork(Part.EMISSION, "copy", cols * chans)


def _spread(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    """Upsampling and depth to space: each operand row makes several."""
    cols, chans = _shape(mapping, stage)
    yield VectorWork(Part.TURN, "copy", cols * chans, stage.factors[0])


def _reorder(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    cols = mapping.streams[stage.output].cols
    sizes = [size for size, _ in stage.placing]
    yield VectorWork(Part.TURN, "copy", cols * prod(sizes[-2:]), prod(sizes[:-2]))


def _relayout(
    mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]
) -> Iterator[VectorWork]:
    sizes = [size for size, _ in stage.placing]
    rows, seen = mapping.streams[stage.operands[0].stream].rows, 1
    while seen < rows:
        seen *= sizes.pop(0)
    yield VectorWork(Part.TURN, "copy", prod(sizes[-3:]), prod(sizes[:-3]))


def _nothing(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    return iter(())


_KINDS = {
    m.Kind.ROWS: _nothing,
    m.Kind.WINDOW: _window,
    m.Kind.MEAN: _mean,
    m.Kind.CONCAT: _concat,
    m.Kind.CROP: _crop,
    m.Kind.UPSAMPLE: _spread,
    m.Kind.BLOCKS: _spread,
    m.Kind.REORDER: _reorder,
    m.Kind.RELAYOUT: _relayout,
}


# Nodes after the anchor


def _chain(mapping: m.Mapping, stage: m.Stage, nodes: Mapping[str, Node]) -> Iterator[VectorWork]:
    """Elementwise nodes, on a run of pixels at a time; a copy where there is no node at all."""
    _, chans = _shape(mapping, stage)
    for pixels, count in _runs(mapping, stage):
        times = count * stage.grid[0]
        for name in stage.nodes[int(stage.anchored) :]:
            whole = name == stage.nodes[-1] or _spans_all(mapping, stage, name)
            op = _instruction(nodes[name])
            yield VectorWork(Part.EMISSION, op, (pixels if whole else 1) * chans, times)
        if not stage.nodes:
            yield VectorWork(Part.EMISSION, "copy", pixels * chans, times)


_SHORT = {
    "quantize": "quant",
    "dequantize": "dequant",
    "layer_norm": "layernorm",
    "flip_sign": "lut",
}


def _instruction(node: Node) -> str:
    """The vector operation of an elementwise node."""
    if isinstance(node.op, ops.PRelu):
        slope = node.operand(1)
        return "leaky-relu" if slope.is_constant and slope.type.elements == 1 else "prelu"
    return _SHORT.get(node.op.name, node.op.name.replace("_", "-"))


def _shape(mapping: m.Mapping, stage: m.Stage) -> tuple[int, int]:
    """Pixels and channels of the rows that the stage makes."""
    return mapping.streams[stage.output].cols, mapping.made_chans(stage)[1]


def _runs(mapping: m.Mapping, stage: m.Stage) -> list[tuple[int, int]]:
    """In what a firing of the stage emits at a time: pixels of runs, and how many of these."""
    if stage.kind is not m.Kind.MATRIX:
        return [(stage.pixels, mapping.streams[stage.output].cols // stage.pixels)]
    rows = mapping.streams[stage.output].rows
    return [(run.pixels, run.count) for run in runs_of(mapping, stage, rows)]


def _spans_all(mapping: m.Mapping, stage: m.Stage, name: str) -> bool:
    """Whether a node's result has every pixel of the output; else it is one for all of them."""
    stream = mapping.streams[stage.output]
    digits = stage.forms[stage.nodes.index(name)]
    return prod(size for size, _ in digits) == stream.rows * stream.cols * stream.chans

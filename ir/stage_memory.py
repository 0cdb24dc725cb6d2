"""What a stage keeps in the SRAM of each core that works for it, apart from its rings.

The list is shared by `place`, which must know whether a core has room, `buffers`, which gives
addresses, and `codegen`, which uses them by role.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from math import prod

import numpy as np

from nmc.ir.depthwise import on_vector_unit, strips_of
from nmc.ir.graph import Array, Node, Value
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Block, Kind, Mapping, Operand, Stage, Tile
from nmc.ir.ops import FlipSign, LayerNorm, Lut
from nmc.ir.shares import parts_of, widest

__all__ = [
    "ACC_BYTES",
    "RECORD_BYTES",
    "CoreOutputs",
    "Table",
    "accumulator_memory",
    "constant_table",
    "core_outputs",
    "home_memory",
    "pixel_bytes",
    "ring_operands",
    "ring_row_bytes",
    "stage_memory",
    "window_is_run",
]

ACC_BYTES = 4
"""Of an accumulator."""

RECORD_BYTES = 8
"""Two 4-byte numbers per channel: bias and multiplier, or scale and shift."""


@dataclass(frozen=True, slots=True)
class CoreOutputs:
    """Accumulators that one core computes for a block: columns output0.. of its matrix."""

    block: int
    output0: int
    outputs: int
    at: int
    """Where they begin within the accumulators of one of the core's reads."""
    stride: int
    """How far the outputs of one pixel of the grid lie from those of the next."""


def core_outputs(stage: Stage, tiles: Iterable[Tile]) -> dict[int, list[CoreOutputs]]:
    """The read plans of a stage on each core: one per block, covering its tiles' columns.

    Accumulators lie plan by plan; but those of several blocks, each whole, lie pixel by pixel of
    the grid, so that a pixel's outputs are together.
    """
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    for tile in tiles:
        first, stop = spans.get((tile.core, tile.block), (tile.output0, 0))
        spans[tile.core, tile.block] = (
            min(first, tile.output0),
            max(stop, tile.output0 + tile.outputs),
        )
    mine: dict[int, dict[int, tuple[int, int]]] = {core: {} for core in stage.cores}
    for (core, block), span in sorted(spans.items()):
        mine[core][block] = span
    return {core: _plans(stage, blocks) for core, blocks in mine.items()}


def _plans(stage: Stage, spans: dict[int, tuple[int, int]]) -> list[CoreOutputs]:
    """Of one core: `spans` has the columns (first, stop) of each block."""
    pixels = prod(stage.grid)
    sizes = {block: stage.blocks[block].outputs for block in spans}
    whole = all(span == (0, pixels * sizes[block]) for block, span in spans.items())
    width, at = sum(sizes.values()) if whole else 0, 0
    plans: list[CoreOutputs] = []
    for block, (first, stop) in spans.items():
        plans.append(CoreOutputs(block, first, stop - first, at, width or sizes[block]))
        at += sizes[block] if whole else stop - first
    return plans


def ring_operands(stage: Stage, core: int) -> list[int]:
    """Operands of which a core needs a ring: all at home, what feeds crossbars elsewhere."""
    return list(range(len(stage.operands))) if core == stage.home else [0]


def ring_row_bytes(mapping: Mapping, operand: Operand) -> int:
    stream = mapping.streams[operand.stream]
    cols = operand.left + stream.cols + operand.right
    return cols * mapping.seen_chans(operand)[1] * stream.element_bytes


def window_is_run(mapping: Mapping, stage: Stage, block: Block) -> bool:
    """Whether all bytes that a read gathers for a block lie side by side in the ring."""
    operand, window = stage.operands[0], stage.read_window
    whole = block.chans == mapping.seen_chans(operand)[1]
    cols = operand.left + mapping.streams[operand.stream].cols + operand.right
    height, width = window.kernel
    adjacent_pixels = width == 1 or (window.dilations[1] == 1 and whole)
    adjacent_rows = height == 1 or (window.dilations[0] == 1 and whole and cols == width)
    return adjacent_pixels and adjacent_rows


@dataclass(frozen=True, slots=True)
class Table:
    """A constant operand as rows in SRAM: dims it spans (of rows, pixels, channels) and data."""

    spans: tuple[bool, bool, bool]
    data: Array

    @property
    def is_scalar(self) -> bool:
        return self.data.size == 1


def constant_table(mapping: Mapping, stage: Stage, node: Node, value: Value) -> Table:
    """A constant operand of a rowwise node, in the physical order of the node's result.

    Dimensions along which it doesn't change are dropped.
    """
    if isinstance(node.op, Lut):
        return Table((False, False, True), value.array)
    stream = mapping.streams[stage.output]
    index = stage.nodes.index(node.output.name)
    order = offsets([Digit(size, stride) for size, stride in stage.forms[index]])
    full = np.broadcast_to(value.array, node.output.type.shape).reshape(-1)[order]
    first, count = mapping.made_chans(stage)
    full = full.reshape(stream.rows, stream.cols, stream.chans)[:, :, first : first + count]
    spans = (_varies(full, 0), _varies(full, 1), _varies(full, 2))
    pick = tuple(slice(None) if varies else slice(0, 1) for varies in spans)
    return Table(spans, np.ascontiguousarray(full[pick]))


def _varies(data: Array, axis: int) -> bool:
    first = np.take(data, [0], axis)
    return not np.array_equal(np.broadcast_to(first, data.shape), data)


def stage_memory(
    mapping: Mapping, stage: Stage, tiles: Iterable[Tile], nodes: Dict[str, Node]
) -> dict[int, list[tuple[str, int]]]:
    """(role, bytes) of everything the stage keeps on each of its cores."""
    needs = accumulator_memory(stage, tiles)
    needs[stage.home] += home_memory(mapping, stage, nodes)
    return needs


def accumulator_memory(stage: Stage, tiles: Iterable[Tile]) -> dict[int, list[tuple[str, int]]]:
    """(role, bytes) of what a matrix takes on each of its cores for sums and partial sums."""
    needs: dict[int, list[tuple[str, int]]] = {core: [] for core in stage.cores}
    if stage.kind is Kind.MATRIX:
        for core, plans in core_outputs(stage, tiles).items():
            size = 2 * stage.reads * 4 * sum(p.outputs for p in plans)
            needs[core].append(("acc", size))
            if core != stage.home:
                needs[stage.home].append((f"part{core}", size))
    return needs


def home_memory(
    mapping: Mapping, stage: Stage, nodes: Dict[str, Node]
) -> Iterator[tuple[str, int]]:
    """(role, bytes) of what the stage keeps at home wherever its tiles lie."""
    _, chans = mapping.made_chans(stage)
    yield "out", _out_bytes(mapping, stage)
    if stage.kind is Kind.MATRIX:
        yield "records", chans * RECORD_BYTES
    if on_vector_unit(stage, nodes):
        yield from _strip_memory(stage, chans)
    if stage.kind is Kind.MEAN:
        yield "sum", chans * 4
        yield "partial", chans * 4
        yield "records", chans * RECORD_BYTES
    for name in stage.nodes:
        yield from _node_memory(mapping, stage, nodes[name], last=name == stage.nodes[-1])


def _strip_memory(stage: Stage, chans: int) -> Iterator[tuple[str, int]]:
    """What a depthwise convolution on the vector unit keeps: sums of all strips so far and of the
    next one, and constants."""
    yield "sum", stage.pixels * chans * ACC_BYTES
    if strips_of(stage.window.kernel).count > 1:
        yield "partial", stage.pixels * chans * ACC_BYTES
    yield "weights", prod(stage.window.kernel) * chans
    yield "records", chans * RECORD_BYTES


def pixel_bytes(mapping: Mapping, stage: Stage, nodes: Dict[str, Node]) -> int:
    """Bytes of accumulators and intermediate rows per pixel that is worked on at a time.

    A grid's rows are accumulated together, and then worked on one after the other.
    """
    _, chans = mapping.made_chans(stage)
    accumulators = 2 * ACC_BYTES * chans * stage.grid[0] if stage.kind is Kind.MATRIX else 0
    if on_vector_unit(stage, nodes):
        accumulators = min(2, strips_of(stage.window.kernel).count) * ACC_BYTES * chans
    wide = [nodes[n].output.type.dtype not in ("u8", "i8") for n in stage.nodes[:-1]]
    return accumulators + chans * sum(4 if is_wide else 1 for is_wide in wide)


def _out_bytes(mapping: Mapping, stage: Stage) -> int:
    """Two slots of what a firing emits, so that one can be sent while the other is made."""
    stream = mapping.streams[stage.output]
    if stage.kind is Kind.RELAYOUT:
        return stream.rows * stream.row_bytes
    rows = stage.factors[0] if stage.kind in (Kind.UPSAMPLE, Kind.BLOCKS) else stage.grid[0]
    rows *= len(parts_of(mapping, stage))
    pixels = rows * widest(mapping, stage)
    return 2 * pixels * mapping.made_chans(stage)[1] * stream.element_bytes


def _node_memory(
    mapping: Mapping, stage: Stage, node: Node, *, last: bool
) -> Iterator[tuple[str, int]]:
    name = node.output.name
    is_anchor = stage.anchored and name == stage.nodes[0]
    if not last:
        digits = stage.forms[stage.nodes.index(name)]
        stream = mapping.streams[stage.output]
        whole = prod(size for size, _ in digits) == stream.rows * stream.cols * stream.chans
        _, chans = mapping.made_chans(stage)
        places = stage.pixels * chans if whole else chans
        yield f"temp:{name}", places * (1 if node.output.type.dtype in ("u8", "i8") else 4)
    if is_anchor:
        return
    if isinstance(node.op, FlipSign):
        yield f"table:{name}:0", 256
    elif isinstance(node.op, LayerNorm):
        yield f"table:{name}:1", RECORD_BYTES * prod(node.operand(1).type.shape)
    else:
        yield from _constant_memory(mapping, stage, node)


def _constant_memory(mapping: Mapping, stage: Stage, node: Node) -> Iterator[tuple[str, int]]:
    """Tables of constant operands; a scalar is an immediate unless it stands on the left."""
    for number, value in enumerate(node.inputs):
        if value is not None and value.is_constant:
            table = constant_table(mapping, stage, node, value)
            if not table.is_scalar or number == 0:
                yield f"table:{node.output.name}:{number}", table.data.nbytes

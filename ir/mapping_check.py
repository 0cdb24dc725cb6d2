"""Whether a Mapping is sound by itself and fits a target: every index, size and place.

Meant for mappings of strangers as much as for our own passes: nothing here allocates by a number
that it has not checked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import prod

from nmc.ir.diagnostics import Diagnostic, Loc, error
from nmc.ir.graph import DTYPES, Unit
from nmc.ir.mapping import (
    Block,
    Kind,
    Mapping,
    Operand,
    Stage,
    StepKind,
    Stream,
    StreamIo,
    Tile,
)
from nmc.ir.shares import widest
from nmc.ir.target import Target
from nmc.ir.tile_cover import coverage, overlapping

__all__ = ["check_mapping"]

MAX_PROBLEMS = 20
MAX_SIZE = 1 << 31
"""No count, size or address of a mapping is larger; products are formed of checked factors."""
MAX_AXES = 64

STEP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
UNITS = (Unit.CROSSBAR, Unit.VECTOR)

Found = Iterator[str]


def check_mapping(
    mapping: Mapping, target: Target, *, complete: bool = True, member: str = ""
) -> list[Diagnostic]:
    """What is wrong with the mapping, `bad-mapping` each; at most MAX_PROBLEMS.

    `complete` demands that everything is decided; without it, -1 may stand for what later passes
    decide.  `member` is the archive member that diagnostics name.
    """
    problems: list[Diagnostic] = []
    for message in checked(mapping, target, complete):
        problems.append(error("bad-mapping", message, Loc(member=member)))
        if len(problems) == MAX_PROBLEMS:
            break
    return problems


def checked(mapping: Mapping, target: Target, complete: bool) -> Found:
    """All problems; relations are looked at only where the numbers they rest on are sound."""
    found = False
    for message in numbers(mapping, target, complete):
        found = True
        yield message
    if not found:
        yield from relations(mapping, target)


def numbers(mapping: Mapping, target: Target, complete: bool) -> Found:
    yield from step_names(mapping)
    for i, stream in enumerate(mapping.streams):
        yield from under(f"streams[{i}]", stream_numbers(stream, mapping))
    for i, stage in enumerate(mapping.stages):
        yield from under(f"stages[{i}]", stage_numbers(stage, mapping, target, complete))
    for i, tile in enumerate(mapping.tiles):
        yield from under(f"tiles[{i}]", tile_numbers(tile, mapping, target, complete))
    yield from memory_numbers(mapping, target)
    for i, use in enumerate(mapping.sequencers):
        where = f"sequencers[{i}]"
        yield from index(f"{where}.step", use.step, len(mapping.steps))
        yield from index(f"{where}.core", use.core, target.cores)
        yield from index(f"{where}.sequencer", use.sequencer, target.core.sequencers)
        yield from index(f"{where}.stage", use.stage, len(mapping.stages), none=True)


def under(where: str, found: Iterable[str]) -> Found:
    return (f"{where}.{message}" for message in found)


def index(name: str, value: int, count: int, *, none: bool = False) -> Found:
    if not (-1 if none else 0) <= value < count:
        there = f"there are {count}" if count else "there are none"
        yield f"{name} is {value}, and {there}"


def between(name: str, value: int, least: int, most: int = MAX_SIZE) -> Found:
    if not least <= value <= most:
        yield f"{name} is {value}; it can be {least} to {most}"


def each(name: str, values: Sequence[int], least: int, most: int = MAX_SIZE) -> Found:
    for i, value in enumerate(values):
        yield from between(f"{name}[{i}]", value, least, most)


# Steps and streams


def step_names(mapping: Mapping) -> Found:
    seen: set[str] = set()
    for i, step in enumerate(mapping.steps):
        if not STEP_NAME.fullmatch(step.name):
            yield f"steps[{i}].name is {step.name!r}, which can't name a member"
        if step.name in seen:
            yield f"steps[{i}].name is {step.name!r}, which another step has"
        seen.add(step.name)


def stream_numbers(stream: Stream, mapping: Mapping) -> Found:
    yield from index("step", stream.step, len(mapping.steps))
    for i, producer in enumerate(stream.producers):
        yield from index(f"producers[{i}]", producer, len(mapping.stages))
    if stream.dtype not in DTYPES:
        yield f"dtype is {stream.dtype!r}, which is no element type"
    for name, size in (("rows", stream.rows), ("cols", stream.cols), ("chans", stream.chans)):
        yield from between(name, size, 1)
    if bool(stream.producers) == (stream.source is not None):
        yield "source must be there if no stage produces the stream, and only then"
    for io in (*stream.sinks, *([stream.source] if stream.source else [])):
        yield from io_numbers(io, stream)


def io_numbers(io: StreamIo, stream: Stream) -> Found:
    elements = stream.rows * stream.cols * stream.chans
    if max(len(io.shape), len(io.factors)) > MAX_AXES:
        yield f"value {io.value!r} has more than {MAX_AXES} axes"
        return
    if min(io.shape, default=1) < 1 or prod(io.shape) != elements:
        yield f"value {io.value!r} of shape {list(io.shape)} can't fill {elements} places"
    if min(io.factors, default=1) < 1 or prod(io.factors) != elements:
        yield f"factors {list(io.factors)} of {io.value!r} don't multiply to {elements}"
    if sorted(io.perm) != list(range(len(io.factors))):
        yield f"perm {list(io.perm)} of {io.value!r} does not permute {len(io.factors)} factors"


# Stages and tiles


def stage_numbers(stage: Stage, mapping: Mapping, target: Target, complete: bool) -> Found:
    yield from index("step", stage.step, len(mapping.steps))
    yield from index("output", stage.output, len(mapping.streams))
    yield from index("home", stage.home, target.cores, none=not complete)
    for i, core in enumerate(stage.cores):
        yield from index(f"cores[{i}]", core, target.cores)
    if complete and stage.home not in stage.cores:
        yield f"home is core {stage.home}, which is not among its cores"
    if stage.unit not in UNITS:
        yield f"unit is {stage.unit!r}; it can be {' or '.join(UNITS)}"
    yield from between("macs", stage.macs, 0, 1 << 62)
    yield from between("copies", stage.copies, 1)
    yield from index("copy", stage.copy, stage.copies)
    yield from between("share", stage.share, 0)
    yield from between("pieces", stage.pieces, 1)
    yield from index("piece", stage.piece, stage.pieces)
    if 0 <= stage.output < len(mapping.streams):
        there = mapping.streams[stage.output].chans
        yield from channel_numbers(stage.chan0, stage.chans, there)
    yield from between("pixels", stage.pixels, 0)
    yield from shape_numbers(stage)
    if not stage.operands:
        yield "operands are none"
    for i, operand in enumerate(stage.operands):
        yield from under(f"operands[{i}]", operand_numbers(operand, mapping))
    for i, block in enumerate(stage.blocks):
        yield from under(f"blocks[{i}]", block_numbers(block, stage))


def shape_numbers(stage: Stage) -> Found:
    window = stage.window
    for name, pair in (
        ("window.kernel", window.kernel),
        ("window.strides", window.strides),
        ("window.dilations", window.dilations),
        ("factors", stage.factors),
        ("grid", stage.grid),
        ("steps", stage.steps),
    ):
        yield from each(name, pair, 1)
    yield from each("starts", stage.starts, 0)
    if len(stage.forms) != len(stage.nodes):
        yield f"forms are {len(stage.forms)} for {len(stage.nodes)} nodes"
    for name, digits in (
        ("reading", stage.reading),
        ("placing", stage.placing),
        *((f"forms[{i}]", form) for i, form in enumerate(stage.forms)),
    ):
        yield from digit_numbers(name, digits)


def digit_numbers(name: str, digits: Sequence[tuple[int, int]]) -> Found:
    sizes = [size for size, _ in digits]
    yield from each(f"{name} sizes", sizes, 1)
    yield from each(f"{name} strides", [stride for _, stride in digits], 0)
    if len(digits) > MAX_AXES or prod(sizes) > MAX_SIZE:
        yield f"{name} spans more than {MAX_SIZE} places"


def operand_numbers(operand: Operand, mapping: Mapping) -> Found:
    yield from index("stream", operand.stream, len(mapping.streams))
    for name in ("top", "left", "bottom", "right"):
        yield from between(name, getattr(operand, name), 0)
    yield from between("fill", operand.fill, -(1 << 31))
    if 0 <= operand.stream < len(mapping.streams):
        yield from channel_numbers(
            operand.chan0, operand.chans, mapping.streams[operand.stream].chans
        )


def channel_numbers(chan0: int, chans: int, there: int) -> Found:
    """Channels of a stream, where a count of 0 stands for all."""
    if not (chan0 >= 0 and chans >= 0 and chan0 + chans <= there and (chans or not chan0)):
        yield f"channels are {chans} from {chan0} on, and its stream has {there}"


def block_numbers(block: Block, stage: Stage) -> Found:
    for name in ("chan0", "output0"):
        yield from between(name, getattr(block, name), 0)
    for name in ("chans", "outputs", "rows"):
        yield from between(name, getattr(block, name), 1)
    rows = prod(stage.read_window.kernel) * block.chans
    if block.rows != rows:
        yield f"rows is {block.rows}; a read's window and its channels give {rows}"


def tile_numbers(tile: Tile, mapping: Mapping, target: Target, complete: bool) -> Found:
    if not 0 <= tile.stage < len(mapping.stages):
        yield from index("stage", tile.stage, len(mapping.stages))
        return
    blocks = mapping.stages[tile.stage].blocks
    if not 0 <= tile.block < len(blocks):
        yield from index("block", tile.block, len(blocks))
        return
    block = blocks[tile.block]
    yield from span("rows", tile.row0, tile.rows, block.rows, "its block")
    columns = prod(mapping.stages[tile.stage].grid) * block.outputs
    yield from span("outputs", tile.output0, tile.outputs, columns, "its block")
    undecided = not complete
    yield from index("core", tile.core, target.cores, none=undecided)
    yield from index("crossbar", tile.crossbar, target.core.crossbars, none=undecided)
    channels = tile.outputs * target.slices
    yield from span("cell rows", tile.cell_row0, tile.rows, target.crossbar.rows, "a crossbar")
    yield from span("channels", tile.channel0, channels, target.channels, "a crossbar")
    yield from conversions(tile, target, complete)


def span(name: str, first: int, count: int, there: int, whose: str) -> Found:
    if not (first >= 0 and count >= 1 and first + count <= there):
        yield f"{name} are {count} from {first} on, and {whose} has {there}"


def conversions(tile: Tile, target: Target, complete: bool) -> Found:
    lengths = {len(tile.bits), len(tile.steps), len(tile.converted)}
    if lengths != {target.slices} and (complete or lengths != {0}):
        yield f"bits, steps and converted must have {target.slices} entries each, one per slice"
    yield from each("bits", tile.bits, 1, target.adc.bits)
    yield from each("steps", tile.steps, 1)


# Memory


def memory_numbers(mapping: Mapping, target: Target) -> Found:
    semaphores, sram = target.core.semaphores, target.core.sram_bytes
    for i, ring in enumerate(mapping.rings):
        where = f"rings[{i}]"
        yield from index(f"{where}.stage", ring.stage, len(mapping.stages))
        if 0 <= ring.stage < len(mapping.stages):
            operands = len(mapping.stages[ring.stage].operands)
            yield from index(f"{where}.operand", ring.operand, operands)
        yield from index(f"{where}.core", ring.core, target.cores)
        for j, source in enumerate(ring.sources):
            there = f"{where}.sources[{j}]"
            yield from index(f"{there}.core", source.core, target.cores)
            yield from index(f"{there}.token", source.token, semaphores, none=True)
            yield from index(f"{there}.credit", source.credit, semaphores, none=True)
            yield from between(f"{there}.producer", source.producer, 0)
        yield from index(f"{where}.parent", ring.parent, len(mapping.rings), none=True)
        yield from between(f"{where}.depth", ring.depth, 1)
        yield from between(f"{where}.row_bytes", ring.row_bytes, 1)
        yield from room(where, ring.address, ring.depth * ring.row_bytes, sram)
    for i, buffer in enumerate(mapping.buffers):
        where = f"buffers[{i}]"
        yield from index(f"{where}.stage", buffer.stage, len(mapping.stages))
        yield from index(f"{where}.core", buffer.core, target.cores)
        yield from between(f"{where}.bytes", buffer.bytes, 0)
        yield from room(where, buffer.address, buffer.bytes, sram)


def room(where: str, address: int, size: int, sram: int) -> Found:
    if not 0 <= address <= address + size <= sram:
        yield f"{where} takes {size} bytes from {address} on, and a core has {sram}"


# Relations


def relations(mapping: Mapping, target: Target) -> Found:
    """What must hold between records whose own numbers are sound."""
    for i, stage in enumerate(mapping.stages):
        yield from under(f"stages[{i}]", stage_relations(i, stage, mapping))
    for i, stream in enumerate(mapping.streams):
        yield from under(f"streams[{i}]", producer_relations(i, stream, mapping))
    yield from coverage(mapping)
    yield from crossbar_sharing(mapping, target)
    yield from memory_sharing(mapping)


def stage_relations(number: int, stage: Stage, mapping: Mapping) -> Found:
    if mapping.steps[stage.step].kind is not StepKind.CHIP:
        yield f"step is {stage.step}, which the host does"
    if number not in mapping.streams[stage.output].producers:
        yield f"output is stream {stage.output}, of which it is not a producer"
    for i, operand in enumerate(stage.operands):
        if mapping.streams[operand.stream].step != stage.step:
            yield f"operands[{i}].stream is {operand.stream}, which flows in another step"
    made = mapping.streams[stage.output]
    if stage.kind is Kind.MATRIX:
        yield from grid_relations(stage, mapping)
    elif stage.blocks or stage.share or stage.grid != (1, 1):
        yield f"it has blocks, shares or a grid of outputs a read, but its kind is {stage.kind}"
    yield from copy_relations(stage, made)


def grid_relations(stage: Stage, mapping: Mapping) -> Found:
    """Reads give parts of the output, and runs of pixels are whole reads."""
    made, (rows, pixels), run = mapping.streams[stage.output], stage.grid, stage.pixels
    if rows > made.rows or pixels > made.cols:
        yield f"grid is {rows} rows of {pixels}, its output has {made.rows} of {made.cols}"
    elif run and not copy_relations(stage, made):
        most = widest(mapping, stage)
        even = stage.share or not made.cols % run
        if run > most or not even or (run != most and run % pixels):
            yield f"pixels is {run}; {most} of a row are no number of such runs of whole reads"


def copy_relations(stage: Stage, made: Stream) -> list[str]:
    """Each copy has something to make."""
    rows = -(-made.rows // stage.grid[0])
    if stage.copies > 1 and stage.shared > rows:
        return [f"{stage.shared} rows are dealt out to copies at a time, its output has {rows}"]
    places = stage.shared * -(-made.cols // stage.grid[1])
    if stage.share and stage.copies > places:
        return [f"copies are {stage.copies}, which share {places} reads"]
    return []


def producer_relations(number: int, stream: Stream, mapping: Mapping) -> Found:
    """Copy by copy, the pieces that between them make all channels."""
    stages = [mapping.stages[producer] for producer in stream.producers]
    if not stages:
        return
    pieces = stages[0].pieces
    for i, stage in enumerate(stages):
        copy, piece = divmod(i, pieces)
        same = (stages[0].grid, stages[0].share)
        expected = (number, len(stages) // pieces, copy, pieces, piece, *same)
        found = (stage.output, stage.copies, stage.copy, stage.pieces, stage.piece, stage.grid,
                 stage.share)  # fmt: skip
        if found != expected or len(stages) % pieces:
            yield f"producers[{i}] is not piece {piece} of copy {copy} of what makes it"
            return
    for copy in range(0, len(stages), pieces):
        end = 0
        for chan0, chans in map(mapping.made_chans, stages[copy : copy + pieces]):
            if chan0 != end:
                yield f"producers from {copy} on don't make channel {end} once"
                return
            end = chan0 + chans
        if end != stream.chans:
            yield f"producers from {copy} on make {end} channels, it has {stream.chans}"


def crossbar_sharing(mapping: Mapping, target: Target) -> Found:
    placed: defaultdict[tuple[int, int], list[Tile]] = defaultdict(list)
    for tile in mapping.tiles:
        if tile.core >= 0 and tile.crossbar >= 0:
            placed[tile.core, tile.crossbar].append(tile)
    for (core, crossbar), tiles in placed.items():
        if overlapping((t.cell_row0, t.rows, t.channel0, t.outputs * target.slices) for t in tiles):
            yield f"tiles on crossbar {crossbar} of core {core} lie on top of each other"


def memory_sharing(mapping: Mapping) -> Found:
    """Rings and buffers of one core in one step lie apart."""
    pieces: defaultdict[tuple[int, int], list[tuple[int, int, str]]] = defaultdict(list)
    for i, ring in enumerate(mapping.rings):
        end = ring.address + ring.depth * ring.row_bytes
        step = mapping.stages[ring.stage].step
        pieces[step, ring.core].append((ring.address, end, f"rings[{i}]"))
    for i, buffer in enumerate(mapping.buffers):
        step = mapping.stages[buffer.stage].step
        end = buffer.address + buffer.bytes
        if buffer.bytes:
            pieces[step, buffer.core].append((buffer.address, end, f"buffers[{i}]"))
    for (_, core), listed in pieces.items():
        for (_, end, first), (start, _, second) in pairwise(sorted(listed)):
            if start < end:
                yield f"{first} and {second} overlap in the SRAM of core {core}"

"""Checks what a program's instructions refer to: frames, tiles, plans, images, semaphores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from nmc.ir import program as p
from nmc.ir.graph import DTYPES
from nmc.ir.target import Encoding, Target

__all__ = ["table_problems"]

ENCODINGS: tuple[Encoding, ...] = ("differential", "offset", "reference")
MAX_SIZE = 1 << 32
MAX_STEPS = 1 << 16


MAX_PLAN_WEIGHTS = 1 << 26
"""Inputs times outputs of a read plan: a bound on what a hostile program can make us allocate."""


def table_problems(program: p.Program, target: Target) -> Iterator[str]:
    numbers = [core.core for core in program.cores]
    for number in sorted({n for n in numbers if numbers.count(n) > 1}):
        yield f"core {number} stands twice in the program"
    yield from frame_problems(program, target)
    for index, tile in enumerate(program.tiles):
        for message in tile_problems(tile, target):
            yield f"tile {index}: {message}"
    yield from overlap_problems(program)
    for core in program.cores:
        for message in core_problems(core, program, target):
            yield f"core {core.core}: {message}"


def frame_problems(program: p.Program, target: Target) -> Iterator[str]:
    if not 0 <= program.frame_bytes <= target.global_memory.capacity_bytes:
        capacity = target.global_memory.capacity_bytes
        yield f"a frame of {program.frame_bytes} bytes, global memory has {capacity}"
    for io in (*program.inputs, *program.outputs):
        for message in io_problems(io, program.frame_bytes):
            yield f"`{io.name}`: {message}"


def io_problems(io: p.Io, frame_bytes: int) -> Iterator[str]:
    sizes = (*io.shape, *io.factors)
    if io.dtype not in DTYPES:
        yield f"there is no element type `{io.dtype}`"
    elif not all(0 < size < MAX_SIZE for size in sizes):
        yield f"sizes {list(sizes)} are not all positive"
    elif product(io.shape) != product(io.factors):
        yield f"shape {list(io.shape)} can't be taken apart as {list(io.factors)}"
    elif sorted(io.perm) != list(range(len(io.factors))):
        yield f"{list(io.perm)} is no order of {len(io.factors)} axes"
    else:
        end = io.address + product(io.shape) * DTYPES[io.dtype].itemsize
        if io.address < 0 or end > frame_bytes:
            yield f"bytes {io.address}..{end - 1} are not within the frame of {frame_bytes}"


def product(sizes: tuple[int, ...]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def tile_problems(tile: p.TileImage, target: Target) -> Iterator[str]:
    if tile.encoding not in ENCODINGS:
        yield f"there is no encoding `{tile.encoding}`"
        return
    encoding = ENCODINGS[ENCODINGS.index(tile.encoding)]
    rows, channels = target.crossbar.rows, target.crossbar.channels_for(encoding)
    if not (0 <= tile.core < target.cores and 0 <= tile.crossbar < target.core.crossbars):
        yield f"the chip has no crossbar {tile.crossbar} of core {tile.core}"
    if tile.levels.ndim != 2 or tile.levels.dtype != "i1" or not tile.levels.size:
        yield f"levels are {tile.levels.dtype}{[*tile.levels.shape]}, not a matrix of int8"
        return
    if tile.slices != target.slices_for(encoding) or tile.levels.shape[1] % tile.slices:
        yield f"{tile.slices} slices in {tile.levels.shape[1]} channels"
    if not 0 <= tile.row0 <= rows - tile.rows:
        yield f"rows {tile.row0}..{tile.row0 + tile.rows - 1} of a crossbar of {rows}"
    if not 0 <= tile.channel0 <= channels - tile.channels:
        last = tile.channel0 + tile.channels - 1
        yield f"channels {tile.channel0}..{last} of a crossbar of {channels}"
    yield from level_problems(tile, target)


def level_problems(tile: p.TileImage, target: Target) -> Iterator[str]:
    most = target.crossbar.max_level
    signed = tile.encoding == "differential"
    levels = tile.levels if signed else tile.levels.view("u1")
    low, high = int(levels.min()), int(levels.max())
    if high > most or low < (-most if signed else 0):
        yield f"levels {low}..{high}, a cell holds up to {most}"


def overlap_problems(program: p.Program) -> Iterator[str]:
    """Tiles on the same cells; those that the program writes may follow others there."""
    written = written_tiles(program)
    by_crossbar: dict[tuple[int, int], list[int]] = {}
    for index, tile in enumerate(program.tiles):
        if index not in written:
            by_crossbar.setdefault((tile.core, tile.crossbar), []).append(index)
    for indices in by_crossbar.values():
        for a, b in combinations(indices, 2):
            if program.tiles[a].overlaps(program.tiles[b]):
                yield f"tiles {a} and {b} lie on the same cells"


def written_tiles(program: p.Program) -> set[int]:
    return {
        instruction.tile
        for core in program.cores
        for sequencer in core.sequencers
        for instruction in sequencer.instructions
        if isinstance(instruction, p.ProgramCells)
    }


def core_problems(core: p.CoreProgram, program: p.Program, target: Target) -> Iterator[str]:
    if not 0 <= core.core < target.cores:
        yield f"the mesh has {target.cores} cores"
    if len(core.sequencers) > target.core.sequencers:
        yield f"{len(core.sequencers)} sequencers, it has {target.core.sequencers}"
    if len(core.semaphores) > target.core.semaphores:
        yield f"{len(core.semaphores)} semaphores, it has {target.core.semaphores}"
    if min(core.semaphores, default=0) < 0:
        yield "a semaphore starts below 0"
    for image in core.images:
        end = image.address + image.data.size
        if image.address < 0 or end > target.core.sram_bytes:
            yield f"image `{image.label}` ends at {end}, SRAM has {target.core.sram_bytes} bytes"
    for index, plan in enumerate(core.plans):
        for message in plan_problems(plan, core.core, program, target):
            yield f"plan {index}: {message}"


def plan_problems(plan: p.ReadPlan, core: int, program: p.Program, target: Target) -> Iterator[str]:
    # No more than memory could hold and crossbars could give, before anyone makes a matrix of that
    # size.  A plan may gather bytes that none of its tiles reads: a window is gathered whole.
    cols = len(plan.reads) * target.crossbar.cols
    fits = 1 <= plan.input_bytes <= target.core.sram_bytes and 1 <= plan.outputs <= cols
    if not fits or plan.input_bytes * plan.outputs > MAX_PLAN_WEIGHTS:
        size = f"{plan.input_bytes} inputs, {plan.outputs} outputs"
        limits = f"{len(plan.reads)} reads give {cols} outputs at most"
        yield f"{size}; {limits}, SRAM has {target.core.sram_bytes} bytes"
    if not all(0 <= read.tile < len(program.tiles) for read in plan.reads):
        yield f"it reads a tile that is none of the {len(program.tiles)}"
        return
    tiles = [program.tiles[read.tile] for read in plan.reads]
    if any(tile.core != core for tile in tiles):
        yield "it reads a tile of another core"
    crossbars = [tile.crossbar for tile in tiles]
    if len(set(crossbars)) < len(crossbars):
        yield f"it reads two tiles of one crossbar, of {sorted(crossbars)}"
    for read, tile in zip(plan.reads, tiles, strict=True):
        for message in read_problems(read, tile, plan, target):
            yield f"tile {read.tile}: {message}"


def read_problems(
    read: p.TileRead, tile: p.TileImage, plan: p.ReadPlan, target: Target
) -> Iterator[str]:
    if not 0 <= read.input0 <= plan.input_bytes - tile.rows:
        yield f"inputs {read.input0}..{read.input0 + tile.rows - 1} of {plan.input_bytes}"
    if not 0 <= read.output0 <= plan.outputs - tile.outputs:
        yield f"outputs {read.output0}..{read.output0 + tile.outputs - 1} of {plan.outputs}"
    if {len(read.bits), len(read.steps), len(read.converted)} != {tile.slices}:
        yield f"it should say how each of {tile.slices} slices is converted"
    if not all(1 <= bits <= target.adc.bits for bits in read.bits):
        yield f"bits {list(read.bits)}, the ADC has {target.adc.bits}"
    if not all(1 <= step <= MAX_STEPS for step in read.steps):
        yield f"steps {list(read.steps)} are not all from 1 to {MAX_STEPS}"

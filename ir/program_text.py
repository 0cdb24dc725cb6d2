"""The Program's text form: assembly that a person can read, and reading it back.

`print_program(parse_program(print_program(p))) == print_program(p)`.  Cell levels and larger
images are printed as the hash of their bytes; `arrays_of` gives the arrays that lie beside the
text, by hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.program import (
    INPUTS,
    CoreProgram,
    Desc,
    End,
    Halt,
    Image,
    Instruction,
    Io,
    Load,
    Loop,
    Mvm,
    Program,
    ProgramCells,
    Put,
    ReadPlan,
    Sequencer,
    Signal,
    Store,
    TileImage,
    TileRead,
    Vec,
    Wait,
)
from nmc.ir.program_reader import Reader
from nmc.ir.text import quoted

__all__ = [
    "arrays_of",
    "desc_text",
    "fingerprint",
    "instruction_text",
    "parse_program",
    "print_program",
]

INLINE_BYTES = 32


def print_program(program: Program) -> str:
    return "\n".join(program_lines(program)) + "\n"


def parse_program(text: str, file: str = "", arrays: Mapping[str, Array] | None = None) -> Program:
    """The program of a text; NmcError with everything that is wrong with it, by line.

    `arrays` holds what the text names by hash: see `arrays_of`.
    """
    return Reader(text, file, arrays or {}).program()


def arrays_of(program: Program) -> dict[str, Array]:
    """By hash, the arrays that the program's text names but does not hold."""
    images = (image.data for core in program.cores for image in core.images)
    large = (data for data in images if data.size > INLINE_BYTES)
    levels = (tile.levels for tile in program.tiles)
    return {fingerprint(array): array for array in (*levels, *large)}


def fingerprint(array: Array) -> str:
    """sha256 of type, shape and bytes."""
    array = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


# Printing


def program_lines(program: Program) -> Iterator[str]:
    yield f"program {quoted(program.name)} {{"
    yield f"  frame {program.frame_bytes}"
    for kind, ios in (("input", program.inputs), ("output", program.outputs)):
        for io in ios:
            yield f"  {kind} {io_text(io)}"
    for index, tile in enumerate(program.tiles):
        yield f"  tile {index}: {tile_text(tile)}"
    for core in program.cores:
        yield f"  core {core.core} {{"
        for line in core_lines(core):
            yield f"    {line}"
        yield "  }"
    yield "}"


def io_text(io: Io) -> str:
    parts = [
        f"{quoted(io.name)} at {io.address} {io.dtype}{sizes(io.shape)}",
        f"as {sizes(io.factors)} by {sizes(io.perm)}",
    ]
    if io.quant is not None:
        parts.append(str(io.quant))
    return " ".join(parts)


def sizes(values: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, values))}]"


def tile_text(tile: TileImage) -> str:
    place = f"crossbar {tile.crossbar} row {tile.row0} channel {tile.channel0}"
    return (
        f"core {tile.core} {place} slices {tile.slices} {tile.encoding} "
        f"levels{sizes(tile.levels.shape)} sha256 {fingerprint(tile.levels)}"
    )


def core_lines(core: CoreProgram) -> Iterator[str]:
    yield f"semaphores {sizes(core.semaphores)}"
    for image in core.images:
        yield f"image {image_text(image)}"
    for index, plan in enumerate(core.plans):
        yield from plan_lines(index, plan)
    for index, sequencer in enumerate(core.sequencers):
        yield f"sequencer {index} {quoted(sequencer.label)} {{"
        for line in sequencer_lines(sequencer):
            yield f"  {line}"
        yield "}"


def image_text(image: Image) -> str:
    head = f"{quoted(image.label)} at {image.address} bytes {image.data.size}"
    if image.data.size > INLINE_BYTES:
        return f"{head} sha256 {fingerprint(image.data)}"
    return f"{head} hex {quoted(image.data.tobytes().hex())}"


def plan_lines(index: int, plan: ReadPlan) -> Iterator[str]:
    size = f"inputs {plan.input_bytes} outputs {plan.outputs}"
    yield f"plan {index}: {size} priority {plan.priority} {{"
    for read in plan.reads:
        yield f"  {read_text(read)}"
    yield "}"


def read_text(read: TileRead) -> str:
    converted = sizes(tuple(map(int, read.converted)))
    return (
        f"tile {read.tile} input {read.input0} output {read.output0} "
        f"bits {sizes(read.bits)} steps {sizes(read.steps)} converted {converted}"
    )


def sequencer_lines(sequencer: Sequencer) -> Iterator[str]:
    depth = 0
    for instruction in sequencer.instructions:
        depth -= isinstance(instruction, End)
        yield "  " * max(depth, 0) + instruction_text(instruction)
        depth += isinstance(instruction, Loop)


def instruction_text(instruction: Instruction) -> str:
    match instruction:
        case Vec():
            return vec_text(instruction)
        case Mvm(plan, dst, src, sem):
            return f"mvm plan {plan}, {move_text(dst, src)}, sem {sem}"
        case Put(core, dst, src, sem, done):
            tail = "" if done is None else f", done {done}"
            return f"put core {core}, {move_text(dst, src)}, sem {sem}{tail}"
        case Load(dst, src, sem):
            return f"load {move_text(dst, src)}, sem {sem}"
        case Store(dst, src, sem):
            return f"store {move_text(dst, src)}, sem {sem}"
        case _:
            return control_text(instruction)


def control_text(
    instruction: Wait | Signal | ProgramCells | Loop | End | Halt,
) -> str:
    match instruction:
        case Wait(sem, n):
            return f"wait sem {sem}, {n}"
        case Signal(core, sem, n):
            return f"signal core {core}, sem {sem}, {n}"
        case ProgramCells(tile, sem):
            return f"program tile {tile}, sem {sem}"
        case Loop(count):
            return "loop inputs" if count == INPUTS else f"loop {count}"
        case End():
            return "end"
        case Halt():
            return "halt"


def vec_text(vec: Vec) -> str:
    operands = [] if vec.a is None and vec.b is None else [vec.a, vec.b][: 1 + (vec.b is not None)]
    text = f"vec.{vec.op} {desc_text(vec.dst)}"
    if operands:
        text += " <- " + ", ".join("none" if d is None else desc_text(d) for d in operands)
    if vec.imm:
        text += f" {{{', '.join(repr(float(value)) for value in vec.imm)}}}"
    return text


def move_text(dst: Desc, src: Desc) -> str:
    return f"{desc_text(dst)} <- {desc_text(src)}"


def desc_text(desc: Desc) -> str:
    """`sram.u8[4096+32](3:128, 48:1) step(128, 0) ring 1024`: base, offset, dims, loops, ring."""
    offset = f"{desc.offset:+d}" if desc.offset else ""
    text = f"{desc.space}.{desc.dtype}[{desc.base}{offset}]"
    if desc.dims:
        text += f"({', '.join(f'{dim.count}:{dim.stride}' for dim in desc.dims)})"
    if desc.loops:
        text += f" step({', '.join(map(str, desc.loops))})"
    if desc.ring:
        text += f" ring {desc.ring}"
    return text

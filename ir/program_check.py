"""Checks a program against its target without running it; `check_program` is the door.

In three parts, each of which trusts those before it: tiles, plans and other tables
(`program_tables`), instructions and the bytes they touch (here), semaphores (`program_tokens`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nmc.ir import program as p
from nmc.ir.diagnostics import Diagnostic, error
from nmc.ir.program_spans import Operand, Placed, operands, span, walk
from nmc.ir.program_tables import table_problems
from nmc.ir.program_text import instruction_text
from nmc.ir.program_tokens import token_problems
from nmc.ir.program_vec import MACHINE_TYPES, vec_problems
from nmc.ir.target import Target

__all__ = ["check_program", "check_references"]

MAX_COUNT = 1 << 32
MAX_ELEMENTS = 1 << 24
"""Steps of 0 make many elements of few bytes; this bounds what an engine allocates for them."""

MANY_INPUTS = 1 << 20
"""An operand that stays in memory for so many inputs stays there for as many as will be run."""


def check_program(program: p.Program, target: Target) -> list[Diagnostic]:
    """Everything that is wrong with the program; nothing if it is sound.

    Sound: it stays within the target and its memories, every semaphore is taken as often as it
    is given in each pass over an input, and no sequencer waits for ever.
    """
    found = check_references(program, target)
    return found or token_problems(program)


def check_references(program: p.Program, target: Target) -> list[Diagnostic]:
    """All but the semaphores: what keeps an engine from reaching outside its tables."""
    found = [bad(message) for message in table_problems(program, target)]
    if found:
        return found
    semaphores = {core.core: len(core.semaphores) for core in program.cores}
    return [
        problem
        for core in program.cores
        for sequencer in core.sequencers
        for problem in Stream(program, target, core, sequencer, semaphores).problems()
    ]


def bad(message: str) -> Diagnostic:
    return error("bad-program", message)


# Streams


@dataclass(frozen=True, slots=True)
class Stream:
    """One sequencer's instructions, with all that they may refer to."""

    program: p.Program
    target: Target
    core: p.CoreProgram
    sequencer: p.Sequencer
    semaphores: Mapping[int, int]
    """How many each core has."""

    def problems(self) -> Iterator[Diagnostic]:
        for message in self.loop_problems():
            yield bad(f"core {self.core.core} {self.sequencer.label}: {message}")
        for placed in walk(self.sequencer.instructions):
            for message in self.instruction_problems(placed):
                text = instruction_text(placed.instruction)
                where = f"core {self.core.core} {self.sequencer.label} pc {placed.pc}"
                yield bad(f"{where} `{text}`: {message}")

    def loop_problems(self) -> Iterator[str]:
        """Loops that don't nest, are too deep or do nothing; a halt elsewhere than at the end."""
        instructions = self.sequencer.instructions
        depth, bodies = 0, [False]
        for pc, instruction in enumerate(instructions):
            match instruction:
                case p.Loop():
                    depth += 1
                    bodies.append(False)
                    if depth == p.MAX_LOOPS + 1:
                        yield f"pc {pc}: more than {p.MAX_LOOPS} loops within each other"
                case p.End():
                    if depth == 0:
                        yield f"pc {pc}: an end without a loop"
                        return
                    depth -= 1
                    if not bodies.pop():
                        yield f"pc {pc}: the loop that ends here does nothing"
                    bodies[-1] = True
                case _:
                    bodies[-1] = True
        if depth:
            yield f"{depth} loops have no end"
        halts = [pc for pc, i in enumerate(instructions) if isinstance(i, p.Halt)]
        if halts != [len(instructions) - 1]:
            yield "it should have one halt, as its last instruction"

    def instruction_problems(self, placed: Placed) -> Iterator[str]:
        instruction = placed.instruction
        if isinstance(instruction, p.Loop) and not 0 <= instruction.count < MAX_COUNT:
            yield f"{instruction.count} turns"
        if isinstance(instruction, p.Loop) and instruction.count == p.INPUTS and placed.counts:
            yield "the loop over inputs stands within another"
        yield from self.reference_problems(instruction)
        found = [
            f"{operand.role}: {message}"
            for operand in operands(instruction)
            for message in self.operand_problems(operand, placed)
        ]
        yield from found
        if not found:
            yield from self.meaning_problems(instruction)

    # What an instruction refers to

    def reference_problems(self, instruction: p.Instruction) -> Iterator[str]:
        for core, sem in semaphores(instruction):
            yield from self.semaphore_problems(self.core.core if core is None else core, sem)
        match instruction:
            case p.Wait(n=n) | p.Signal(n=n) if n < 1:
                yield f"a count of {n}"
            case p.Mvm(plan=plan) if not 0 <= plan < len(self.core.plans):
                yield f"plan {plan}, the core has {len(self.core.plans)}"
            case p.ProgramCells(tile=tile):
                tiles = self.program.tiles
                if not 0 <= tile < len(tiles) or tiles[tile].core != self.core.core:
                    yield f"tile {tile} is none of this core"
            case _:
                pass

    def semaphore_problems(self, core: int, sem: int) -> Iterator[str]:
        there = self.semaphores.get(core)
        if there is None:
            yield f"core {core} is not part of the program"
        elif not 0 <= sem < there:
            yield f"semaphore {sem}, core {core} has {there}"

    # What an operand touches

    def operand_problems(self, operand: Operand, placed: Placed) -> Iterator[str]:
        desc = operand.desc
        if desc.dtype not in MACHINE_TYPES:
            yield f"element type {desc.dtype}; the machine has {', '.join(MACHINE_TYPES)}"
            return
        counts = [dim.count for dim in desc.dims]
        if len(counts) > p.MAX_DIMS or not all(1 <= count < MAX_COUNT for count in counts):
            yield f"dimensions {counts}: at most {p.MAX_DIMS}, each of at least 1"
            return
        if desc.elements > MAX_ELEMENTS:
            yield f"{desc.elements} elements, at most {MAX_ELEMENTS} are worked on at once"
            return
        if len(desc.loops) > len(placed.counts):
            yield f"{len(desc.loops)} loop strides within {len(placed.counts)} loops"
        yield from ring_problems(operand)
        yield from self.bound_problems(operand, placed)

    def bound_problems(self, operand: Operand, placed: Placed) -> Iterator[str]:
        wanted = space_of(operand, placed.instruction)
        if operand.desc.space is not wanted:
            yield f"it lies in {operand.desc.space}, it should lie in {wanted}"
            return
        if wanted is p.Space.SRAM:
            size = self.target.core.sram_bytes
            low, high = span(operand, placed.counts, MANY_INPUTS)
            name = "SRAM"
        else:
            yield from self.frame_step_problems(operand, placed)
            size, name = self.program.frame_bytes, "the frame"
            low, high = span(operand, placed.counts, 1)
        if low < 0 or high > size:
            yield f"bytes {low}..{high - 1} are touched, {name} has {size}"

    def frame_step_problems(self, operand: Operand, placed: Placed) -> Iterator[str]:
        """In global memory each input has its frame: the loop over inputs strides by it."""
        desc, frame = operand.desc, self.program.frame_bytes
        if desc.ring:
            yield "a ring in global memory"
        if placed.counts and placed.counts[0] == p.INPUTS:
            stride = desc.loops[0] if desc.loops else 0
            if stride != frame:
                yield f"each input steps by {stride} bytes, a frame has {frame}"

    # Whether operands suit the instruction

    def meaning_problems(self, instruction: p.Instruction) -> Iterator[str]:
        match instruction:
            case p.Vec():
                yield from vec_problems(instruction)
            case p.Mvm(plan=plan, dst=dst, src=src) if plan < len(self.core.plans):
                wanted = self.core.plans[plan]
                if (src.dtype, src.elements) != ("u8", wanted.input_bytes):
                    found = f"{src.elements} of {src.dtype}"
                    yield f"src has {found}, the plan takes {wanted.input_bytes} of u8"
                if (dst.dtype, dst.elements) != ("i32", wanted.outputs):
                    found = f"{dst.elements} of {dst.dtype}"
                    yield f"dst has {found}, the plan gives {wanted.outputs} of i32"
            case p.Put() | p.Load() | p.Store():
                dst_bytes, src_bytes = (o.nbytes for o in operands(instruction))
                if dst_bytes != src_bytes:
                    yield f"{src_bytes} bytes from src to {dst_bytes} of dst"
            case _:
                pass


def semaphores(instruction: p.Instruction) -> list[tuple[int | None, int]]:
    """Core, None for the own one, and number of each semaphore that an instruction names."""
    match instruction:
        case p.Put(core=core, sem=sem, done=done):
            return [(core, sem)] + ([] if done is None else [(None, done)])
        case p.Signal(core=core, sem=sem):
            return [(core, sem)]
        case p.Mvm(sem=s) | p.Load(sem=s) | p.Store(sem=s) | p.Wait(sem=s) | p.ProgramCells(sem=s):
            return [(None, s)]
        case _:
            return []


def space_of(operand: Operand, instruction: p.Instruction) -> p.Space:
    """Only load's src and store's dst lie in global memory."""
    far = (p.Load, "src"), (p.Store, "dst")
    return p.Space.GLOBAL if (type(instruction), operand.role) in far else p.Space.SRAM


def ring_problems(operand: Operand) -> Iterator[str]:
    desc, size = operand.desc, operand.item_bytes
    if desc.ring < 0:
        yield f"a ring of {desc.ring} bytes"
    steps = (desc.ring, desc.offset, *desc.loops, *(dim.stride for dim in desc.dims))
    if desc.ring and any(step % size for step in steps):
        yield f"elements of {size} bytes don't fit evenly into the ring of {desc.ring}"

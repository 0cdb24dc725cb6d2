"""Which bytes instructions touch: their operands, and the span of each over all loop iterations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nmc.ir.graph import DTYPES
from nmc.ir.program import (
    INPUTS,
    Desc,
    End,
    Instruction,
    Load,
    Loop,
    Mvm,
    Put,
    Store,
    Vec,
)

__all__ = ["RECORD_OPS", "Operand", "Placed", "operands", "span", "walk"]

RECORD_OPS: dict[str, int] = {"requant": 8, "dequant": 8, "layernorm": 8}
"""Operations whose operand b addresses records, and the bytes of a record."""


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of an instruction.  `item_bytes` is the size of what an element addresses;
    `core` is where the memory is when it isn't the instruction's own core."""

    role: str
    desc: Desc
    item_bytes: int
    written: bool = False
    core: int | None = None

    @property
    def nbytes(self) -> int:
        return self.desc.elements * self.item_bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """An instruction at its place, with the counts of the loops around it, outermost first."""

    pc: int
    instruction: Instruction
    counts: tuple[int, ...]


def walk(instructions: Sequence[Instruction]) -> Iterator[Placed]:
    """Each instruction once.  An End stands at the depth of its Loop; a stray one is let pass."""
    counts: tuple[int, ...] = ()
    for pc, instruction in enumerate(instructions):
        if isinstance(instruction, End) and counts:
            counts = counts[:-1]
        yield Placed(pc, instruction, counts)
        if isinstance(instruction, Loop):
            counts = (*counts, instruction.count)


def operands(instruction: Instruction) -> tuple[Operand, ...]:
    """Destination first."""
    match instruction:
        case Vec(op=op, dst=dst, a=a, b=b):
            found = [Operand("dst", dst, item(dst), written=True)]
            if a is not None:
                found.append(Operand("a", a, item(a)))
            if b is not None:
                found.append(Operand("b", b, RECORD_OPS.get(op, item(b))))
            return tuple(found)
        case Mvm(dst=dst, src=src) | Load(dst=dst, src=src) | Store(dst=dst, src=src):
            return (Operand("dst", dst, item(dst), written=True), Operand("src", src, item(src)))
        case Put(core=core, dst=dst, src=src):
            there = Operand("dst", dst, item(dst), written=True, core=core)
            return (there, Operand("src", src, item(src)))
        case _:
            return ()


def item(desc: Desc) -> int:
    """Bytes of an element; 1 for a type that no table lists, which the check reports."""
    dtype = DTYPES.get(desc.dtype)
    return dtype.itemsize if dtype is not None else 1


def span(operand: Operand, counts: Sequence[int], inflight: int) -> tuple[int, int]:
    """First byte touched in any iteration, and the byte after the last.

    `counts` are those of the loops around; one that runs once per input runs `inflight` times.
    """
    desc = operand.desc
    low = high = desc.offset
    turns = [inflight if count == INPUTS else count for count in counts]
    reaches = [(n - 1) * step for n, step in zip(turns, desc.loops, strict=False)]
    reaches += [(dim.count - 1) * dim.stride for dim in desc.dims]
    for reach in reaches:
        low, high = low + min(reach, 0), high + max(reach, 0)
    high += operand.item_bytes
    if desc.ring:
        turn = low // desc.ring
        if (high - 1) // desc.ring != turn:
            return desc.base, desc.base + desc.ring
        low, high = low - turn * desc.ring, high - turn * desc.ring
    return desc.base + low, desc.base + high

"""Sequencers as binary words: a stream of uint32 for each, compact thanks to loops and descriptors.

Every instruction begins with a head: its opcode in the low byte, small fields above.  Layouts, one
word each unless said otherwise; `desc` is described below; numbers in parentheses are bits.

    vec       head: operation (8), immediates (4), has a (1), has b (1), wide immediates (1)
              desc dst, [desc a], [desc b], immediates: float32, or float64 in two words if wide
    mvm       head: plan (24); sem; desc dst; desc src
    put       head: core (24); sem; done + 1, or 0; desc dst; desc src
    load      head: sem (24); desc dst; desc src                  store the same
    wait      head: sem (24); n                                   signal  head: core (24); sem; n
    program   head: sem (24); tile
    loop      head; count                                         end, halt  head

    desc      space (1), element type (4), dimensions (2), loops (3), has ring (1), has offset (1),
              narrow (1); base; [offset]; [ring]; for each dimension, if narrow, count (16) and
              stride (16) in a word, otherwise in two; a stride for each loop

Base, offset and strides are signed.  Bits that mean nothing are 0, so that equal programs have
equal words.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import DTYPES

__all__ = ["Words", "decode_words", "encode_words"]

Words = npt.NDArray[np.uint32]

TYPES = tuple(DTYPES)
SPACES = (p.Space.SRAM, p.Space.GLOBAL)
KINDS: tuple[type[p.Instruction], ...] = (
    p.Vec,
    p.Mvm,
    p.Put,
    p.Load,
    p.Store,
    p.Wait,
    p.Signal,
    p.ProgramCells,
    p.Loop,
    p.End,
    p.Halt,
)
"""The opcode of a kind is its place here."""

MAX_IMMEDIATES = 15
HEAD_LIMIT = 1 << 24
WORD_LIMIT = 1 << 32
SIGNED = 1 << 31
NARROW = 1 << 16


# Encoding


def encode_words(instructions: Sequence[p.Instruction]) -> Words:
    """The words of a stream; NmcError `bad-program` for what has no place in them."""
    words: list[int] = []
    for pc, instruction in enumerate(instructions):
        try:
            words += instruction_words(instruction)
        except Unfit as why:
            raise NmcError(error("bad-program", f"instruction {pc} has no words: {why}")) from None
    return np.asarray(words, np.uint32)


class Unfit(Exception):
    """A value that its field can't hold."""


def unsigned(value: int, limit: int = WORD_LIMIT) -> int:
    if not 0 <= value < limit:
        raise Unfit(f"{value} is not within 0..{limit - 1}")
    return value


def signed(value: int) -> int:
    if not -SIGNED <= value < SIGNED:
        raise Unfit(f"{value} does not fit 32 bits")
    return value % WORD_LIMIT


def head(kind: type[p.Instruction], fields: int = 0) -> int:
    return KINDS.index(kind) | unsigned(fields, HEAD_LIMIT) << 8


def instruction_words(instruction: p.Instruction) -> list[int]:
    kind = type(instruction)
    match instruction:
        case p.Vec():
            return vec_words(instruction)
        case p.Mvm(plan, dst, src, sem):
            return [head(kind, plan), unsigned(sem), *desc_words(dst), *desc_words(src)]
        case p.Put(core, dst, src, sem, done):
            ends = [unsigned(sem), 0 if done is None else unsigned(done + 1)]
            return [head(kind, core), *ends, *desc_words(dst), *desc_words(src)]
        case p.Load(dst, src, sem) | p.Store(dst, src, sem):
            return [head(kind, sem), *desc_words(dst), *desc_words(src)]
        case p.Wait(sem, n):
            return [head(kind, sem), unsigned(n)]
        case p.Signal(core, sem, n):
            return [head(kind, core), unsigned(sem), unsigned(n)]
        case p.ProgramCells(tile, sem):
            return [head(kind, sem), unsigned(tile)]
        case p.Loop(count):
            return [head(kind), unsigned(count)]
        case p.End() | p.Halt():
            return [head(kind)]


def vec_words(vec: p.Vec) -> list[int]:
    if vec.op not in p.VEC_OPS:
        raise Unfit(f"there is no operation `{vec.op}`")
    operands = [desc for desc in (vec.a, vec.b) if desc is not None]
    wide = not all(is_single(value) for value in vec.imm)
    fields = p.VEC_OPS.index(vec.op) | unsigned(len(vec.imm), MAX_IMMEDIATES + 1) << 8
    fields |= (vec.a is not None) << 12 | (vec.b is not None) << 13 | wide << 14
    words = [head(p.Vec, fields), *desc_words(vec.dst)]
    for desc in operands:
        words += desc_words(desc)
    for value in vec.imm:
        if math.isnan(value):
            raise Unfit("an immediate is not a number")
        raw = struct.pack("<d" if wide else "<f", value)
        words += struct.unpack(f"<{len(raw) // 4}I", raw)
    return words


def is_single(value: float) -> bool:
    """Whether float32 holds the value to the last bit."""
    try:
        narrow = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return False
    return struct.pack("<d", narrow) == struct.pack("<d", value)


def desc_words(desc: p.Desc) -> list[int]:
    if desc.dtype not in TYPES:
        raise Unfit(f"there is no element type `{desc.dtype}`")
    dims, loops = desc.dims, desc.loops
    narrow = all(0 <= d.count < NARROW and -NARROW <= 2 * d.stride < NARROW for d in dims)
    fields = SPACES.index(desc.space) | TYPES.index(desc.dtype) << 1
    fields |= unsigned(len(dims), p.MAX_DIMS + 1) << 5 | unsigned(len(loops), p.MAX_LOOPS + 1) << 7
    fields |= (desc.ring != 0) << 10 | (desc.offset != 0) << 11 | narrow << 12
    words = [fields, signed(desc.base)]
    words += [signed(desc.offset)] if desc.offset else []
    words += [unsigned(desc.ring)] if desc.ring else []
    for dim in dims:
        if narrow:
            words.append(dim.count | dim.stride % NARROW << 16)
        else:
            words += [unsigned(dim.count), signed(dim.stride)]
    return words + [signed(stride) for stride in loops]


# Decoding


def decode_words(words: Words, place: str = "") -> tuple[p.Instruction, ...]:
    """The instructions of a stream; NmcError `bad-program` at words that mean none.

    `place` says where the words are from.
    """
    return tuple(Cursor(np.asarray(words, np.uint32), place).instructions())


@dataclass(slots=True)
class Cursor:
    """A place in a stream, which it never leaves."""

    words: Words
    place: str
    at: int = 0

    def instructions(self) -> Iterator[p.Instruction]:
        while self.at < len(self.words):
            word = self.unsigned()
            opcode, fields = word & 0xFF, word >> 8
            if opcode >= len(KINDS):
                raise self.problem(f"{opcode} is no opcode")
            yield READERS[KINDS[opcode]](self, fields)

    def problem(self, message: str) -> NmcError:
        where = f"{self.place}, " if self.place else ""
        return NmcError(error("bad-program", f"{where}word {self.at - 1}: {message}"))

    def unsigned(self) -> int:
        if self.at >= len(self.words):
            self.at += 1
            raise self.problem("the stream ends within an instruction")
        self.at += 1
        return int(self.words[self.at - 1])

    def signed(self) -> int:
        word = self.unsigned()
        return word - WORD_LIMIT if word >= SIGNED else word

    def none_of(self, bits: int) -> None:
        if bits:
            raise self.problem("bits are set that mean nothing")

    def number(self, wide: bool) -> float:
        raw = [self.unsigned() for _ in range(2 if wide else 1)]
        packed = struct.pack(f"<{len(raw)}I", *raw)
        value: float = struct.unpack("<d" if wide else "<f", packed)[0]
        if math.isnan(value):
            raise self.problem("an immediate is not a number")
        return value

    def desc(self) -> p.Desc:
        fields = self.unsigned()
        self.none_of(fields >> 13)
        space, kind, dims, loops = fields & 1, fields >> 1 & 15, fields >> 5 & 3, fields >> 7 & 7
        if kind >= len(TYPES):
            raise self.problem(f"{kind} is no element type")
        if loops > p.MAX_LOOPS:
            raise self.problem(f"{loops} loops, at most {p.MAX_LOOPS} can be nested")
        base = self.signed()
        offset = self.nonzero(self.signed) if fields >> 11 & 1 else 0
        ring = self.nonzero(self.unsigned) if fields >> 10 & 1 else 0
        inner = tuple(self.dim(bool(fields >> 12 & 1)) for _ in range(dims))
        strides = tuple(self.signed() for _ in range(loops))
        return p.Desc(SPACES[space], TYPES[kind], base, inner, strides, ring, offset)

    def nonzero(self, read: Callable[[], int]) -> int:
        value = read()
        if value == 0:
            raise self.problem("a field that is there is 0")
        return value

    def dim(self, narrow: bool) -> p.Dim:
        if not narrow:
            return p.Dim(self.unsigned(), self.signed())
        word = self.unsigned()
        stride = word >> 16
        return p.Dim(word & 0xFFFF, stride - NARROW if 2 * stride >= NARROW else stride)


def read_vec(cursor: Cursor, fields: int) -> p.Vec:
    cursor.none_of(fields >> 15)
    op, count = fields & 0xFF, fields >> 8 & 15
    if op >= len(p.VEC_OPS):
        raise cursor.problem(f"{op} is no vec operation")
    dst = cursor.desc()
    a = cursor.desc() if fields >> 12 & 1 else None
    b = cursor.desc() if fields >> 13 & 1 else None
    imm = tuple(cursor.number(bool(fields >> 14 & 1)) for _ in range(count))
    return p.Vec(p.VEC_OPS[op], dst, a, b, imm)


def read_mvm(cursor: Cursor, plan: int) -> p.Mvm:
    sem = cursor.unsigned()
    return p.Mvm(plan, cursor.desc(), cursor.desc(), sem)


def read_put(cursor: Cursor, core: int) -> p.Put:
    sem, done = cursor.unsigned(), cursor.unsigned()
    dst, src = cursor.desc(), cursor.desc()
    return p.Put(core, dst, src, sem, done - 1 if done else None)


def read_bare(kind: Callable[[], p.Instruction]) -> Reader:
    def read(cursor: Cursor, fields: int) -> p.Instruction:
        cursor.none_of(fields)
        return kind()

    return read


def read_loop(cursor: Cursor, fields: int) -> p.Loop:
    cursor.none_of(fields)
    return p.Loop(cursor.unsigned())


Reader = Callable[[Cursor, int], p.Instruction]
READERS: dict[type[p.Instruction], Reader] = {
    p.Vec: read_vec,
    p.Mvm: read_mvm,
    p.Put: read_put,
    p.Load: lambda cursor, sem: p.Load(cursor.desc(), cursor.desc(), sem),
    p.Store: lambda cursor, sem: p.Store(cursor.desc(), cursor.desc(), sem),
    p.Wait: lambda cursor, sem: p.Wait(sem, cursor.unsigned()),
    p.Signal: lambda cursor, core: p.Signal(core, cursor.unsigned(), cursor.unsigned()),
    p.ProgramCells: lambda cursor, sem: p.ProgramCells(cursor.unsigned(), sem),
    p.Loop: read_loop,
    p.End: read_bare(p.End),
    p.Halt: read_bare(p.Halt),
}

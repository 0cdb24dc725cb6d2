"""Reads the Program's text form: syntax by `program.lark`, then arrays, types and numbering."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from lark import Token, Tree

from nmc.ir import program as p
from nmc.ir.diagnostics import Diagnostic, NmcError, error
from nmc.ir.graph import DTYPES, Array, Quant
from nmc.ir.text import Form, did_you_mean, unquoted

__all__ = ["Reader"]

Branch = Tree[Token]
Item = TypeVar("Item")
Value = TypeVar("Value")

FORM = Form(
    "program.lark",
    MappingProxyType(
        {
            "FLOAT": "a number",
            "HASH": "a sha256",
            "INT": "an integer",
            "OFFSET": "an offset such as `+32`",
            "PLACE": "an operand such as `sram.u8[0](4:1)`",
            "STRING": "a text in quotes",
            "VEC": "an operation such as `vec.add`",
            "WORD": "a word",
            "_NL": "the end of the line",
        }
    ),
)
INTEGER_DIGITS = 20


class Rejected(Exception):
    """A statement can't be read; carries why."""

    def __init__(self, code: str, message: str, at: Token | Branch, remedy: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.at, self.remedy = code, message, at, remedy


class Reader:
    """One reading of one text.  `arrays` holds cell levels and images by hash."""

    def __init__(self, text: str, file: str, arrays: Mapping[str, Array]) -> None:
        self.parsed = FORM.parse_on(text, file)
        self.arrays = arrays
        self.problems: list[Diagnostic] = list(self.parsed.problems)

    def program(self) -> p.Program:
        """The program; NmcError with all problems."""
        result = p.Program("", ())
        if self.parsed.tree is not None:
            (body,) = self.parsed.tree.find_data("program")
            result = self.body(body)
        if self.problems:
            raise NmcError(*self.problems)
        return result

    def body(self, tree: Branch) -> p.Program:
        name, *statements = tree.children
        trees = [branch(statement) for statement in statements]
        return p.Program(
            "".join(self.each([token(name)], string)),
            tuple(self.each(only(trees, "core"), self.core)),
            tuple(self.numbered(only(trees, "tile"), self.tile)),
            tuple(self.each(only(trees, "input"), read_io)),
            tuple(self.each(only(trees, "output"), read_io)),
            sum(self.each(only(trees, "frame")[-1:], lambda frame: integer(frame.children[0]))),
        )

    def each(self, items: Sequence[Item], read: Callable[[Item], Value]) -> Iterator[Value]:
        """What can be read; for the rest, problems."""
        for item in items:
            try:
                yield read(item)
            except Rejected as why:
                loc = self.parsed.source.at(why.at)
                self.problems.append(error(why.code, why.message, loc, remedy=why.remedy))

    def numbered(self, items: Sequence[Branch], read: Callable[[Branch], Value]) -> Iterator[Value]:
        """As `each`, of statements that begin with their own number."""
        for index, item in enumerate(items):
            number = token(item.children[0])
            if number != str(index):
                message = f"number {number} stands where {index} should"
                self.problems.append(error("syntax", message, self.parsed.source.at(number)))
            yield from self.each([item], read)

    def core(self, tree: Branch) -> p.CoreProgram:
        number, *parts = tree.children
        trees = [branch(part) for part in parts]
        semaphores = only(trees, "semaphores")
        return p.CoreProgram(
            integer(number),
            tuple(self.numbered(only(trees, "sequencer"), self.sequencer)),
            tuple(self.numbered(only(trees, "plan"), self.plan)),
            tuple(self.each(only(trees, "image"), self.image)),
            next(self.each(semaphores[-1:], lambda s: integers(s.children[0])), ()),
        )

    def plan(self, tree: Branch) -> p.ReadPlan:
        inputs, outputs, priority = map(integer, tree.children[1:4])
        reads = tuple(self.each([branch(t) for t in tree.children[4:]], read_read))
        return p.ReadPlan(inputs, outputs, reads, priority)

    def sequencer(self, tree: Branch) -> p.Sequencer:
        _, label, *statements = tree.children
        instructions = self.each([branch(s) for s in statements], read_instruction)
        return p.Sequencer(string(token(label)), tuple(instructions))

    # Arrays

    def tile(self, tree: Branch) -> p.TileImage:
        _, *numbers, encoding, shape, digest = tree.children
        core, crossbar, row0, channel0, slices = map(integer, numbers)
        if slices < 1:
            raise Rejected("bad-value", "a tile has at least one slice", tree)
        levels = self.array(token(digest), np.dtype(np.int8), integers(shape))
        return p.TileImage(core, crossbar, row0, channel0, slices, str(encoding), levels)

    def image(self, tree: Branch) -> p.Image:
        label, address, count, contents = tree.children
        size = integer(count)
        (data,) = branch(contents).children
        if branch(contents).data == "hash":
            array = self.array(token(data), np.dtype(np.uint8), (size,))
        else:
            array = unhex(token(data), size)
        return p.Image(integer(address), array, string(token(label)))

    def array(self, digest: Token, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> Array:
        array = self.arrays.get(digest)
        if array is None:
            message = f"no array with the hash {digest[:12]}... lies beside the text"
            raise Rejected("weights-missing", message, digest)
        if array.dtype != dtype or array.shape != shape:
            message = f"the array is {array.dtype}{[*array.shape]}, the text says {dtype}{[*shape]}"
            raise Rejected("shape-mismatch", message, digest)
        return array


# Trees and tokens


def only(trees: Sequence[Branch], kind: str) -> list[Branch]:
    return [tree for tree in trees if tree.data == kind]


def branch(item: Branch | Token) -> Branch:
    if not isinstance(item, Tree):
        raise TypeError(f"the grammar gave a token {item} where a tree was due")
    return item


def token(item: Branch | Token) -> Token:
    if isinstance(item, Tree):
        raise TypeError(f"the grammar gave a tree {item.data} where a token was due")
    return item


def integer(item: Branch | Token) -> int:
    number = token(item)
    if len(number) > INTEGER_DIGITS:
        raise Rejected("bad-value", f"{number[:12]}... has more than 20 digits", number)
    return int(number)


def integers(item: Branch | Token) -> tuple[int, ...]:
    return tuple(integer(child) for child in present(branch(item)))


def present(tree: Branch) -> list[Branch | Token]:
    """Children, less those that the grammar lists as absent."""
    children: list[Branch | Token | None] = [*tree.children]
    return [item for item in children if item is not None]


def string(text: Token) -> str:
    try:
        return unquoted(text)
    except ValueError as why:
        raise Rejected("syntax", f"{text}: {why}", text) from None


def unhex(text: Token, size: int) -> Array:
    try:
        data = bytes.fromhex(text[1:-1])
    except ValueError:
        raise Rejected("syntax", "the bytes are not spelled in hexadecimal", text) from None
    if len(data) != size:
        message = f"{len(data)} bytes are spelled, the text says {size}"
        raise Rejected("shape-mismatch", message, text)
    return np.frombuffer(data, np.uint8)


# Statements


def read_io(tree: Branch) -> p.Io:
    name, address, dtype, shape, factors, perm, quant = tree.children
    meaning = None
    if present(branch(quant)):
        scale, zero_point = map(token, branch(quant).children)
        meaning = Quant(float(scale), integer(zero_point))
    places = (integers(shape), integers(factors), integers(perm))
    return p.Io(string(token(name)), integer(address), dtype_of(token(dtype)), *places, meaning)


def dtype_of(word: Token) -> str:
    if word not in DTYPES:
        remedy = did_you_mean(word, DTYPES)
        raise Rejected("syntax", f"`{word}` is no element type", word, remedy)
    return str(word)


def read_read(tree: Branch) -> p.TileRead:
    *numbers, bits, steps, converted = tree.children
    tile, input0, output0 = map(integer, numbers)
    flags = tuple(bool(flag) for flag in integers(converted))
    return p.TileRead(tile, input0, output0, integers(bits), integers(steps), flags)


def read_instruction(tree: Branch) -> p.Instruction:
    return INSTRUCTIONS[tree.data](*tree.children)


def read_vec(op: Token, dst: Branch, sources: Branch, immediates: Branch) -> p.Vec:
    name = str(op).removeprefix("vec.")
    if name not in p.VEC_OPS:
        remedy = did_you_mean(name, p.VEC_OPS)
        raise Rejected("unknown-op", f"there is no operation `{name}`", op, remedy)
    given = [None if isinstance(item, Token) else read_desc(item) for item in present(sources)]
    a, b = (*given, None, None)[:2]
    imm = tuple(float(token(value)) for value in present(immediates))
    return p.Vec(name, read_desc(dst), a, b, imm)


def read_put(core: Token, dst: Branch, src: Branch, sem: Token, done: Branch) -> p.Put:
    ends = [integer(item) for item in present(done)]
    place = (read_desc(dst), read_desc(src))
    return p.Put(integer(core), *place, integer(sem), ends[0] if ends else None)


def read_desc(tree: Branch) -> p.Desc:
    place, base, offset, dims, steps, ring = tree.children
    space, _, dtype = token(place).partition(".")
    if dtype not in DTYPES:
        remedy = did_you_mean(dtype, DTYPES)
        raise Rejected("syntax", f"`{dtype}` is no element type", token(place), remedy)
    return p.Desc(
        p.Space(space),
        dtype,
        integer(base),
        tuple(p.Dim(*integers(dim)) for dim in present(branch(dims))),
        integers(steps),
        sum(integers(ring)),
        sum(integers(offset)),
    )


def read_loop(count: Token) -> p.Loop:
    if count.type == "INPUTS":
        return p.Loop(p.INPUTS)
    turns = integer(count)
    if turns < 1:
        raise Rejected("bad-value", f"a loop of {turns} turns", count)
    return p.Loop(turns)


INSTRUCTIONS: Mapping[str, Callable[..., p.Instruction]] = {
    "mvm": lambda plan, dst, src, sem: p.Mvm(
        integer(plan), read_desc(dst), read_desc(src), integer(sem)
    ),
    "vec": read_vec,
    "put": read_put,
    "load": lambda dst, src, sem: p.Load(read_desc(dst), read_desc(src), integer(sem)),
    "store": lambda dst, src, sem: p.Store(read_desc(dst), read_desc(src), integer(sem)),
    "wait": lambda sem, n: p.Wait(integer(sem), integer(n)),
    "signal": lambda core, sem, n: p.Signal(integer(core), integer(sem), integer(n)),
    "program_cells": lambda tile, sem: p.ProgramCells(integer(tile), integer(sem)),
    "loop": read_loop,
    "end": p.End,
    "halt": p.Halt,
}

"""Reads the Graph's text form: syntax by `graph.lark`, then names, attributes and types by line.

A line that is wrong is reported, and what it defines is defined all the same where it can be, so
that later lines are not blamed for it; once a name's meaning is lost, its uses are skipped.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np
from lark import Token, Tree

from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error
from nmc.ir.graph import DTYPES, Array, Graph, Quant, TensorType, Unit, Value
from nmc.ir.ops import OP_BY_NAME, Op
from nmc.ir.text import Form, did_you_mean, unquoted
from nmc.ir.types import MAX_ELEMENTS
from nmc.ir.verify import type_problems

__all__ = ["Reader"]

Branch = Tree[Token]

FORM = Form(
    "graph.lark",
    MappingProxyType(
        {
            "VALUE": "a value such as `%x`",
            "CONSTANT": "a name such as `@w`",
            "HASH": "a hash such as `sha256:0123456789abcdef`",
            "WORD": "a word",
            "NUMBER": "a number",
            "STRING": "a text in quotes",
            "_NL": "the end of the line",
        }
    ),
)

NAME = r'([A-Za-z0-9_./$-]+|"(?:\\.|[^"\\\n])*")'
DEFINITION = re.compile(rf"\s*(?:input|const|(?=%))\s*((?:[%@]{NAME}\s*,?\s*)+)[:=]")
UNITS = (Unit.CROSSBAR, Unit.VECTOR, Unit.HOST)
INTEGER = re.compile(r"-?[0-9]+")
INTEGER_DIGITS = 20


class Rejected(Exception):
    """A statement can't be read; carries why."""

    def __init__(self, code: str, message: str, at: Token | Branch, remedy: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.at, self.remedy = code, message, at, remedy


class Reader:
    """One reading of one text."""

    def __init__(self, text: str, file: str, weights: Mapping[str, Array]) -> None:
        self.parsed = FORM.parse_on(text, file)
        self.source = self.parsed.source
        self.weights = weights
        self.problems: list[Diagnostic] = list(self.parsed.problems)
        self.values: dict[str, Value] = {}
        self.lost: set[str] = set(self.rejected_names())
        self.result = Graph("")

    def graph(self) -> Graph:
        if self.parsed.tree is not None:
            (body,) = self.parsed.tree.find_data("graph")
            name, *statements = body.children
            self.result.name = unspelled(token(name))
            for statement in statements:
                self.statement(branch(statement))
        if self.problems:
            raise NmcError(*self.problems)
        return self.result

    def statement(self, tree: Branch) -> None:
        read = {"input": self.input, "constant": self.constant, "node": self.node}
        try:
            read.get(tree.data, self.output)(tree)
        except Rejected as why:
            loc = self.source.at(why.at)
            self.problems.append(error(why.code, why.message, loc, remedy=why.remedy))
            self.lost.update(defined_names(tree) - self.values.keys())

    def rejected_names(self) -> Iterator[str]:
        """Names that lines define which could not be read at all."""
        for line in self.parsed.rejected:
            match = DEFINITION.match(self.source.lines[line - 1])
            for name in re.finditer(rf"[%@]{NAME}", match[1]) if match else ():
                yield unspelled(name[0])

    # Statements

    def input(self, tree: Branch) -> None:
        name, type_ = tree.children
        self.define(token(name), lambda n: self.result.add_input(n, read_type(branch(type_))))

    def constant(self, tree: Branch) -> None:
        name, type_tree, data = tree.children
        type_ = read_type(branch(type_tree))

        def make(spelling: str) -> Value:
            array = self.contents(spelling, type_, data)
            value = self.result.constant(spelling, array)
            self.result.retype(value, quant=type_.quant)
            return value

        self.define(token(name), make)

    def node(self, tree: Branch) -> None:
        results, op_name, operands, given, types, unit, why, origins = tree.children
        outputs = [read_type(branch(t)) for t in branch(types).children]
        names = [token(n) for n in branch(results).children]
        if len(names) != len(outputs):
            message = f"{len(names)} results, but {len(outputs)} types"
            raise Rejected("bad-operands", message, branch(results))
        inputs = [self.operand(branch(o)) for o in present(branch(operands))]
        lost = any(isinstance(value, str) for value in inputs)
        op = read_op(token(op_name), branch(given))
        values = [self.define(n, self.maker(t)) for n, t in zip(names, outputs, strict=True)]
        if lost:
            return
        operands_given = [None if isinstance(v, str) else v for v in inputs]
        loc = self.source.at(tree)
        kinds = [None if v is None else v.type for v in operands_given]
        self.problems += type_problems(op, kinds, outputs, loc)
        node = self.result.append(
            op, operands_given, values, read_origins(branch(origins)) or [loc]
        )
        node.unit = read_unit(branch(unit))
        node.why = next((unquoted_at(token(t)) for t in present(branch(why))), "")

    def output(self, tree: Branch) -> None:
        for operand in tree.children:
            value = self.operand(branch(operand))
            if isinstance(value, Value):
                self.result.outputs.append(value)
            elif value is None:
                raise Rejected("bad-operands", "an output can't be absent", branch(operand))

    # Names

    def maker(self, type_: TensorType) -> Callable[[str], Value]:
        return lambda name: self.result.value(name, type_)

    def define(self, spelling: Token, make: Callable[[str], Value]) -> Value:
        name = unspelled(spelling)
        if name in self.values:
            raise Rejected("duplicate-name", f"{spelling} is defined already", spelling)
        value = self.values[name] = make(name)
        return value

    def operand(self, tree: Branch) -> Value | str | None:
        """The value, None for `none`, or the name if what it means is lost."""
        spelling = token(tree.children[0])
        if spelling.type == "NONE":
            return None
        name = unspelled(spelling)
        value = self.values.get(name)
        if value is None:
            if name in self.lost:
                return name
            known = [f"{sigil(v)}{v.name}" for v in self.values.values()]
            message = f"nothing defines {spelling}"
            raise Rejected("undefined-name", message, spelling, did_you_mean(spelling, known))
        if sigil(value) != spelling[0]:
            kind = "a constant" if value.is_constant else "no constant"
            message = f"{spelling} is {kind}; it is spelled {sigil(value)}{spelling[1:]}"
            raise Rejected("undefined-name", message, spelling)
        return value

    # Constants

    def contents(self, name: str, type_: TensorType, data: Any) -> Array:
        if isinstance(data, Tree):
            return inline(type_, data)
        if name not in self.weights:
            message = f"@{name} has {type_.elements} elements, which are not given beside the text"
            raise Rejected("weights-missing", message, data)
        array = self.weights[name]
        if array.dtype != type_.numpy or array.shape != type_.shape:
            sizes = ",".join(map(str, array.shape))
            message = f"@{name} is {type_}, but the weights beside are {array.dtype}[{sizes}]"
            raise Rejected("shape-mismatch", message, data)
        found = f"sha256:{fingerprint(array)}"
        if found != data:
            message = f"the weights beside the text for @{name} have {found}, not {data}"
            raise Rejected("hash-mismatch", message, data)
        return array


def fingerprint(array: Array) -> str:
    """16 hex digits of the sha256 of dtype, shape and bytes in little-endian order."""
    sizes = ",".join(map(str, array.shape))
    little = array.astype(array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{array.dtype.name}[{sizes}]".encode())
    digest.update(little.tobytes())
    return digest.hexdigest()[:16]


# Trees


def branch(item: Branch | Token) -> Branch:
    if isinstance(item, Token):
        raise TypeError(f"the grammar gave the token {item!r} where a tree was due")
    return item


def token(item: Branch | Token) -> Token:
    if isinstance(item, Tree):
        raise TypeError(f"the grammar gave a tree {item.data} where a token was due")
    return item


def present(tree: Branch) -> list[Branch | Token]:
    """Children, less those that the grammar lists as absent."""
    children: list[Branch | Token | None] = [*tree.children]
    return [item for item in children if item is not None]


def sigil(value: Value) -> str:
    return "@" if value.is_constant else "%"


def unspelled(spelling: str) -> str:
    """The name that `%name` or `@"odd name"` spells."""
    bare = spelling[1:]
    return unquoted(bare) if bare.startswith('"') else bare


def unquoted_at(text: Token) -> str:
    try:
        return unquoted(text)
    except ValueError as why:
        raise Rejected("syntax", f"{text}: {why}", text) from None


def defined_names(tree: Branch) -> set[str]:
    if tree.data == "node":
        return {unspelled(token(name)) for name in branch(tree.children[0]).children}
    return {unspelled(token(tree.children[0]))} if tree.data in {"input", "constant"} else set()


# Types and constants


def read_type(tree: Branch) -> TensorType:
    parts: list[Any] = [*tree.children]
    dtype, sizes, quant = parts
    if dtype not in DTYPES:
        remedy = did_you_mean(str(dtype), DTYPES)
        raise Rejected("syntax", f"`{dtype}` is no dtype", dtype, remedy)
    numbers = [token(t) for t in branch(sizes).children] if sizes is not None else []
    shape = tuple(read_integer(number) for number in numbers)
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        message = f"a value can't have shape {list(shape)}: at most {MAX_ELEMENTS} elements"
        raise Rejected("shape-mismatch", message, tree)
    if quant is None:
        return TensorType(str(dtype), shape)
    scale, zero_point = map(token, branch(quant).children)
    return TensorType(str(dtype), shape, Quant(float(scale), read_integer(zero_point)))


def read_integer(number: Token) -> int:
    if not INTEGER.fullmatch(number) or len(number) > INTEGER_DIGITS:
        raise Rejected("syntax", f"`{number}` is no integer", number)
    return int(number)


def inline(type_: TensorType, data: Branch) -> Array:
    elements = [token(item) for item in present(data)]
    if len(elements) != type_.elements:
        message = f"{type_} has {type_.elements} elements, {len(elements)} are listed"
        raise Rejected("shape-mismatch", message, data)
    convert = read_bool if type_.dtype == "bool" else read_integer
    if type_.numpy.kind == "f":
        numbers: list[float] = [read_float(item) for item in elements]
    else:
        numbers = [convert(item) for item in elements]
    with np.errstate(over="ignore"):
        try:
            return np.array(numbers, type_.numpy).reshape(type_.shape)
        except OverflowError:
            raise Rejected("bad-value", f"an element does not fit {type_.dtype}", data) from None


def read_bool(word: Token) -> bool:
    if word not in {"true", "false"}:
        raise Rejected("syntax", f"`{word}` is neither true nor false", word)
    return str(word) == "true"


def read_float(item: Token) -> float:
    if item.type != "NUMBER" and item not in {"inf", "nan"}:
        raise Rejected("syntax", f"`{item}` is no number", item)
    return float(item)


def read_string(item: Token) -> str:
    if item.type == "STRING":
        return unquoted_at(item)
    return str(item)


# Ops


def read_op(name: Token, given: Branch) -> Op:
    """The op with the attributes that the text gives, checked against the op's fields."""
    kind = OP_BY_NAME.get(name)
    if kind is None:
        raise Rejected(
            "unknown-op", f"there is no op `{name}`", name, did_you_mean(name, OP_BY_NAME)
        )
    kinds = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in (attribute.children for attribute in map(branch, present(given))):
        word = token(key)
        if word not in known:
            message = f"`{name}` has no attribute `{word}`"
            raise Rejected("bad-attribute", message, word, did_you_mean(word, known))
        if word in values:
            raise Rejected("bad-attribute", f"attribute `{word}` is given twice", word)
        values[str(word)] = read_attribute(word, value, kinds[word])
    missing = [n for n, f in known.items() if n not in values and f.default is MISSING]
    if missing:
        message = f"`{name}` lacks the attribute `{missing[0]}`"
        raise Rejected("bad-attribute", message, name, f"it takes: {', '.join(known)}")
    return kind(**values)


SCALARS: dict[object, tuple[str, Callable[[Token], Any]]] = {
    bool: ("true or false", read_bool),
    int: ("an integer", read_integer),
    float: ("a number", read_float),
    str: ("a text", read_string),
}


def read_attribute(key: Token, value: Branch | Token, kind: object) -> Any:
    wanted, convert = SCALARS.get(kind, ("a list of integers", read_integer))
    try:
        if kind not in SCALARS and isinstance(value, Tree):
            return tuple(convert(token(item)) for item in present(value))
        if kind in SCALARS and isinstance(value, Token):
            return convert(value)
    except Rejected as why:
        if why.code != "syntax":
            raise
    shown = value if isinstance(value, Token) else "a list"
    raise Rejected("bad-attribute", f"attribute `{key}` is {shown}; it must be {wanted}", key)


def read_unit(tree: Branch) -> str:
    for word in map(token, present(tree)):
        if word not in UNITS:
            remedy = did_you_mean(word, UNITS)
            raise Rejected("bad-attribute", f"there is no unit `{word}`", word, remedy)
        return str(word)
    return Unit.NONE


def read_origins(tree: Branch) -> list[Loc]:
    origins = []
    for item in map(branch, present(tree)):
        node, op, source = (read_string(token(part)) if part else "" for part in item.children)
        origins.append(Loc(node=node, op=op, source=source))
    return origins

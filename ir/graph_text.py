"""The Graph's text form: canonical printing, and reading it back.

`print_graph(parse_graph(print_graph(g))) == print_graph(g)`.  Constants of up to 16 elements are
printed in full; larger ones as a hash of their contents, the arrays lying beside the text in a
mapping from names (`weights_of`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import get_type_hints

from nmc.ir.diagnostics import Loc
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.ir.graph_reader import Reader, fingerprint
from nmc.ir.ops import Op
from nmc.ir.text import quoted

__all__ = ["parse_graph", "print_graph", "weights_of"]

INLINE = 16
BARE_NAME = re.compile(r"[A-Za-z0-9_./$-]+")
BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def print_graph(graph: Graph) -> str:
    return "\n".join(graph_lines(graph)) + "\n"


def parse_graph(text: str, file: str = "", weights: Mapping[str, Array] | None = None) -> Graph:
    """The graph of a text; NmcError with everything that is wrong with it, by line.

    `weights` holds the arrays of the constants that the text gives only a hash of.
    """
    return Reader(text, file, weights or {}).graph()


def weights_of(graph: Graph) -> dict[str, Array]:
    """The arrays that the graph's text names but does not hold."""
    return {v.name: v.array for v in graph.constants() if v.array.size > INLINE}


def graph_lines(graph: Graph) -> Iterator[str]:
    yield f"graph {named('@', graph.name)} {{"
    for value in graph.inputs:
        yield f"  input {reference(value)} : {value.type}"
    for value in graph.constants():
        yield f"  const {reference(value)} : {value.type} = {contents(value.array)}"
    for node in graph:
        yield f"  {node_line(node)}"
    if graph.outputs:
        yield f"  output {', '.join(map(reference, graph.outputs))}"
    yield "}"


def node_line(node: Node) -> str:
    results = ", ".join(map(reference, node.outputs))
    operands = ", ".join("none" if v is None else reference(v) for v in node.inputs)
    types = ", ".join(str(v.type) for v in node.outputs)
    parts = [f"{results} = {node.op.name}", operands, attributes(node.op), f": {types}"]
    if node.unit:
        parts.append(f"on {node.unit}")
    if node.why:
        parts.append(f"because {quoted(node.why)}")
    origins = ", ".join(origin(loc) for loc in node.origin if loc.node or loc.op or loc.source)
    if origins:
        parts.append(f"from {origins}")
    return " ".join(part for part in parts if part)


def named(sigil: str, name: str) -> str:
    return sigil + (name if BARE_NAME.fullmatch(name) else quoted(name))


def reference(value: Value) -> str:
    return named("@" if value.is_constant else "%", value.name)


def contents(array: Array) -> str:
    if array.size > INLINE:
        return f"sha256:{fingerprint(array)}"
    return f"[{', '.join(map(element, array.reshape(-1)))}]"


def element(number: object) -> str:
    """The shortest text that gives the same element again."""
    text = str(number)
    return text.lower() if text in {"True", "False"} else text


def attributes(op: Op) -> str:
    kinds = get_type_hints(type(op))
    shown = [f"{f.name}={attribute(getattr(op, f.name), kinds[f.name])}" for f in fields(op)]
    return f"{{{' '.join(shown)}}}" if shown else ""


def attribute(value: object, kind: object) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(str(int(item)) for item in value)}]"
    if isinstance(value, str):
        return value if BARE_WORD.fullmatch(value) else quoted(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float and isinstance(value, int | float):
        return repr(float(value))
    return str(value)


def origin(loc: Loc) -> str:
    op = loc.op if BARE_WORD.fullmatch(loc.op) else quoted(loc.op)
    parts = [quoted(loc.node), *([op] if loc.op or loc.source else [])]
    return " ".join([*parts, *([quoted(loc.source)] if loc.source else [])])

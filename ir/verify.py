"""What must hold of every Graph between passes: order, names, uses, types, constants, quant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error
from nmc.ir.graph import Graph, Node, TensorType, Value
from nmc.ir.ops import OPS, Onnx, Op
from nmc.ir.types import infer_types

__all__ = ["check_graph", "type_problems", "verify_graph"]

STORED = {"u8": (0, 255), "i8": (-128, 127)}


def verify_graph(graph: Graph) -> list[Diagnostic]:
    """Everything that is wrong with the graph; nothing if it is sound."""
    problems = [*name_problems(graph), *order_problems(graph)]
    problems += [*use_problems(graph), *producer_problems(graph)]
    for value in graph.constants():
        problems += constant_problems(value)
    for value in graph.values():
        problems += quant_problems(value)
    for node in graph:
        outputs = [v.type for v in node.outputs]
        inputs = [None if v is None else v.type for v in node.inputs]
        problems += type_problems(node.op, inputs, outputs, node.loc)
    return problems


def check_graph(graph: Graph, after: str) -> None:
    """NmcError `invariant` if the graph is unsound, blaming the pass named `after`."""
    problems = verify_graph(graph)
    if problems:
        notes = tuple(f"{p.code}: {p.message}" for p in problems[1:])
        message = f"after `{after}`: {problems[0].message}"
        raise NmcError(error("invariant", message, problems[0].loc, notes=notes))


def type_problems(
    op: Op, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType], loc: Loc
) -> list[Diagnostic]:
    """Where the given types of a node's results are not what its op makes of its operands.

    A result whose meaning (`quant`) inference does not know may have any.
    """
    if isinstance(op, Onnx):
        return []
    try:
        inferred = infer_types(op, inputs, loc)
    except NmcError as refused:
        return list(refused.diagnostics)
    if len(outputs) != len(inferred):
        message = f"`{op.name}` has {len(outputs)} results, it should have {len(inferred)}"
        return [error("bad-operands", message, loc)]
    return [
        error("shape-mismatch", f"`{op.name}` gives {computed}, but its result is {given}", loc)
        for computed, given in zip(inferred, outputs, strict=True)
        if given != (computed if computed.quant else replace(computed, quant=given.quant))
    ]


def name_problems(graph: Graph) -> Iterator[Diagnostic]:
    values = [*graph.values(), *graph.constants()]
    for name, count in Counter(v.name for v in values).items():
        if count > 1:
            yield error("duplicate-name", f"{count} values are named %{name}")


def order_problems(graph: Graph) -> Iterator[Diagnostic]:
    """Operands must be constants, graph inputs, or results of earlier nodes."""
    known = set(graph.inputs)
    for node in graph:
        if type(node.op) not in OPS:
            yield error("unknown-op", f"{type(node.op).__name__} is not in OPS", node.loc)
        for value in node.operands:
            if not value.is_constant and value not in known:
                message = f"`{node.op.name}` uses %{value.name}, which no earlier node defines"
                yield error("undefined-name", message, node.loc)
        known.update(node.outputs)
    for value in graph.outputs:
        if not value.is_constant and value not in known:
            yield error("undefined-name", f"output %{value.name} is not defined by any node")


def use_problems(graph: Graph) -> Iterator[Diagnostic]:
    """Values must know exactly the nodes that use them."""
    users: dict[Value, set[Node]] = {}
    for node in graph:
        for value in node.operands:
            users.setdefault(value, set()).add(node)
    values = [*graph.values(), *graph.constants()]
    for value in values:
        right, listed = users.get(value, set()), set(value.users)
        if right != listed:
            lost, stale = len(right - listed), len(listed - right)
            message = f"%{value.name} lacks {lost} of its users and lists {stale} that are none"
            yield error("invariant", message)


def producer_problems(graph: Graph) -> Iterator[Diagnostic]:
    for value in (*graph.inputs, *graph.constants()):
        if value.producer is not None:
            yield error("invariant", f"%{value.name} is given, but has a producer")
    for node in graph:
        for value in node.outputs:
            if value.producer is not node:
                yield error("invariant", f"%{value.name} names another producer", node.loc)
            if value.is_constant:
                yield error("invariant", f"%{value.name} is computed, but has data", node.loc)


def constant_problems(value: Value) -> Iterator[Diagnostic]:
    array = value.array
    if array.dtype != value.type.numpy or array.shape != value.type.shape:
        sizes = ",".join(map(str, array.shape))
        message = f"@{value.name} is {value.type}, its data {array.dtype}[{sizes}]"
        yield error("shape-mismatch", message)


def quant_problems(value: Value) -> Iterator[Diagnostic]:
    quant = value.type.quant
    if quant is None:
        return
    if value.type.dtype not in STORED:
        yield error("bad-value", f"%{value.name} is {value.type}; only u8 and i8 have a scale")
        return
    low, high = STORED[value.type.dtype]
    if not low <= quant.zero_point <= high:
        yield error("bad-value", f"%{value.name} is {value.type}; its zero point does not fit")
    if not (math.isfinite(quant.scale) and float(np.float32(quant.scale)) > 0):
        yield error("bad-value", f"%{value.name} is {value.type}; its scale must be above zero")

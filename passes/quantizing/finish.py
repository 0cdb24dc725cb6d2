"""Leaves the quantised graph tidy: pruned, sorted, named as the model was."""

from __future__ import annotations

from collections.abc import Sequence

from nmc.ir import ops
from nmc.ir.constants import is_dequantized_constant
from nmc.ir.graph import Graph, Node, Unit, Value
from nmc.passes.quantizing.border import recode_on_host
from nmc.passes.quantizing.edit import add, redirect
from nmc.passes.quantizing.roles import on_chip

__all__ = ["finish"]

KINDS = ("q", "f", "real", "inner")
"""What a value named `NAME~KIND` is of NAME: its integers, its reals, ..."""


def finish(graph: Graph, outputs: Sequence[str], *, border: bool) -> None:
    """`outputs` are the names that the graph's results must have, `border` says whether the host
    recodes what enters and leaves the chip."""
    graph.prune()
    for node in list(graph):
        recodes = on_chip(node) and isinstance(node.op, ops.Dequantize)
        if recodes and not is_dequantized_constant(node):
            unshare(graph, node)
    if border:
        recode_on_host(graph)
    part_results(graph, outputs)
    graph.prune()
    graph.sort()
    give_names(graph, outputs)


def part_results(graph: Graph, outputs: Sequence[str]) -> None:
    """Results of two names that came to be one value, by recodings that do nothing, are two."""
    owners: dict[Value, str] = {}
    for index, (value, name) in enumerate(zip(graph.outputs, outputs, strict=True)):
        if owners.setdefault(value, name) != name:
            same = ops.Reshape(value.type.shape)
            graph.outputs[index] = add(graph, same, [value], name, value.producer)


def unshare(graph: Graph, node: Node) -> None:
    """Each chip node gets a dequantize of its own, so that rows of its stage can take it along;
    the first keeps this one, unless the host or the user of the model needs it."""
    value = node.output
    users = [user for user in value.users if on_chip(user)]
    leaves = value in graph.outputs or any(user.unit == Unit.HOST for user in value.users)
    for user in users if leaves else users[1:]:
        copy = add(graph, node.op, [node.x], value.name, node)
        redirect(graph, user, value, copy)


def give_names(graph: Graph, outputs: Sequence[str]) -> None:
    """Results get their names back.

    What other modules have named `NAME~KIND` becomes NAME, which it stands for, or if that is
    still there, NAME.KIND.
    """
    taken = {value.name: value for value in graph.values()}
    for value, name in zip(graph.outputs, outputs, strict=True):
        rename(graph, taken, value, name)
    for value in list(graph.values()):
        name, _, kind = value.name.rpartition("~")
        kind = kind.partition(".")[0]
        if name and kind in KINDS:
            rename(graph, taken, value, graph.fresh(f"{name}.{kind}") if name in taken else name)


def rename(graph: Graph, taken: dict[str, Value], value: Value, name: str) -> None:
    """Give a value a name; who has that name gets another."""
    if value.name == name:
        return
    other = taken.pop(name, None)
    if other is not None:
        other.name = graph.fresh(f"{name}~inner")
        taken[other.name] = other
    del taken[value.name]
    value.name = name
    taken[name] = value

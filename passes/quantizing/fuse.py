"""Replaces float operations between Dequantize and Quantize by integer ones.

Movers first, so that matrices see integers behind them.  Whatever of the float graph is not needed
any more is pruned by the caller.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from nmc.ir import ops
from nmc.ir.abilities import is_mover, varying
from nmc.ir.constants import is_dequantized_constant, real_constant
from nmc.ir.graph import Array, Graph, Node, Quant, Value
from nmc.ir.kernels import KERNELS
from nmc.passes.quantizing.edit import add, quant_of, source_of
from nmc.passes.quantizing.integers import all_reals, stored_bound, table_of
from nmc.passes.quantizing.matrices import Matrices
from nmc.passes.quantizing.roles import Roles, is_average, is_matrix, on_chip

__all__ = ["fuse"]


def fuse(graph: Graph, roles: Roles, matrices: Matrices, bits: int) -> None:
    for node in list(graph):
        if not on_chip(node) or is_dequantized_constant(node):
            continue
        if is_mover(node) and node.output.type.dtype == "f32":
            move_integers(graph, node)
        elif is_matrix(node):
            matrices.fuse(node)
        elif is_average(node):
            fuse_average(graph, node, bits)
        elif isinstance(node.op, ops.Quantize):
            fuse_table(graph, roles, node)


def quantizes(value: Value) -> list[Node]:
    return [u for u in value.users if on_chip(u) and isinstance(u.op, ops.Quantize)]


# Movers


def move_integers(graph: Graph, node: Node) -> None:
    """Do on stored integers what the node does on the reals that they mean."""
    sources = [source_of(v) for v in varying(node)]
    known = [source for source in sources if source is not None]
    users = quantizes(node.output)
    if len(known) != len(sources) or not users:
        return  # a view of something that stays real
    quant = known[0][1]
    if isinstance(node.op, ops.Concat):
        quant = quant_of(users[0].op)
    stored = [requantized(graph, value, old, quant) for value, old in known]
    op = node.op
    if isinstance(op, ops.Pad):
        op = replace(op, value=float(stored_bound(op.value, quant)))
    moved = add(graph, op, stored, f"{node.output.name}~q", node)
    graph.retype(moved, quant=quant)
    for user in users:
        result = requantized(graph, moved, quant, quant_of(user.op))
        graph.replace_uses(user.output, result)


def requantized(graph: Graph, value: Value, old: Quant, new: Quant) -> Value:
    """The same reals, as near as can be, stored with another scale and zero point."""
    if old == new:
        return value
    return lookup(graph, value, table_of(all_reals(old), new), f"{value.name}.requantized", new)


def lookup(
    graph: Graph, value: Value, table: Array, name: str, quant: Quant, like: Node | None = None
) -> Value:
    constant = graph.constant(f"{name}.table", table)
    return add(graph, ops.Lut(), [value, constant], name, like, quant=quant)


# Averages


def fuse_average(graph: Graph, node: Node, bits: int) -> None:
    source = source_of(node.x)
    if source is None:
        return
    stored, old = source
    for user in quantizes(node.output):
        new = quant_of(user.op)
        op = average(node, old, new)
        result = add(graph, op, [stored], f"{node.output.name}~q", node, quant=new)
        if bits < 8:
            table = np.minimum(np.arange(256), (1 << bits) - 1).astype(np.uint8)
            result = lookup(graph, result, table, f"{node.output.name}~q", new)
        graph.replace_uses(user.output, result)


def average(node: Node, old: Quant, new: Quant) -> ops.Op:
    scale = old.scale / new.scale
    match node.op:
        case ops.AvgPool() as op:
            return ops.QAvgPool(
                op.kernel,
                op.strides,
                op.pads,
                op.dilations,
                scale,
                old.zero_point,
                new.zero_point,
                op.ceil_mode,
                op.count_include_pad,
            )
        case ops.Reduce(kind=kind, axes=axes, keepdims=keepdims):
            terms = prod(node.x.type.shape[axis] for axis in axes)
            scale = scale * terms if kind == "sum" else scale
            return ops.QReduceMean(axes, keepdims, scale, old.zero_point, new.zero_point)
    raise TypeError(f"{node} is no average")


# Functions of one value


def fuse_table(graph: Graph, roles: Roles, quantize: Node) -> None:
    """A quantised function of stored integers, the identity included, as a table."""
    root = roles.roots.get(quantize.x, quantize.x)
    source = source_of(root)
    if source is None:
        return
    stored, old = source
    new = quant_of(quantize.op)
    if root is quantize.x:
        graph.replace_uses(quantize.output, requantized(graph, stored, old, new))
        return
    reals = evaluated(quantize.x, root, all_reals(old))
    name = f"{quantize.x.name}~q"
    table = table_of(reals, new)
    result = lookup(graph, stored, table, name, new, quantize.x.producer)
    graph.replace_uses(quantize.output, result)


def evaluated(value: Value, root: Value, reals: Array) -> Array:
    """f32[256] of a function's value, from those of its root."""
    known: dict[Value, Array] = {root: reals}

    def of(operand: Value) -> Array:
        constant = real_constant(operand)
        if constant is not None:
            return constant.reshape(())
        if operand not in known:
            node = operand.producer
            if node is None:
                raise TypeError(f"{operand} is no function of {root}")
            with np.errstate(all="ignore"):
                known[operand] = KERNELS[type(node.op)](node.op, *map(of, node.operands))
        return known[operand]

    return of(value)

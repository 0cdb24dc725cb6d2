"""Matrix products: the activation on the left, constant weights [K, N] on the right.

Numbers that scale a matrix's input, and shifts of it, go into the weights and the bias.  Scales
of single channels stay: as part of the weights they would cost accuracy, because weights are
quantised by output channel alone.
"""

from __future__ import annotations

import math

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import real_constant
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.passes.canonical.rewriting import (
    Rewrite,
    become,
    constant_side,
    new_constant,
    number,
    only_made_by,
    per_channel,
    step,
)

__all__ = ["MATRICES"]

MOVES = (ops.Reshape, ops.Transpose)


def weights_to_the_right(graph: Graph, node: Node) -> bool:
    """w @ x becomes transpose(transpose(x) @ transpose(w)) for constant w[M, K], x[..., K, N]."""
    w, x = node.operand(0), node.operand(1)
    if real_constant(w) is None or real_constant(x) is not None or len(w.type.shape) != 2:
        return False
    turned = step(graph, node, ops.Transpose((1, 0)), [w])
    rank = len(x.type.shape)
    if rank == 1:
        return become(graph, node, ops.MatMul(), [x, turned])
    swap = ops.Transpose((*range(rank - 2), rank - 1, rank - 2))
    product = step(graph, node, ops.MatMul(), [step(graph, node, swap, [x]), turned])
    return become(graph, node, swap, [product])


def weights_as_a_matrix(graph: Graph, node: Node) -> bool:
    """Leading axes of size one are dropped from weights, a missing last axis is put in."""
    x, w = node.operand(0), node.operand(1)
    if real_constant(w) is None or real_constant(x) is not None:
        return False
    shape = w.type.shape
    if len(shape) == 1:
        return column(graph, node, x, w)
    leading = math.prod(shape[:-2])
    if len(shape) == 2 or leading != 1 or len(shape) > len(x.type.shape):
        return False
    matrix = step(graph, node, ops.Reshape(shape[-2:]), [w])
    return become(graph, node, ops.MatMul(), [x, matrix])


def column(graph: Graph, node: Node, x: Value, w: Value) -> bool:
    matrix = step(graph, node, ops.Reshape((w.type.shape[0], 1)), [w])
    product = step(graph, node, ops.MatMul(), [x, matrix])
    return become(graph, node, ops.Reshape(node.output.type.shape), [product])


def number_before(graph: Graph, node: Node) -> bool:
    """A number that scales a matrix's input, perhaps before a move, scales its weights instead."""
    move = only_made_by(graph, node.x, MOVES)
    scale = only_made_by(graph, move.x if move else node.x, ops.Mul)
    sides = constant_side(scale) if scale else None
    factor = number(sides[1]) if sides else None
    w = node.operand(1)
    if scale is None or sides is None or factor is None or not w.is_constant:
        return False
    x = sides[0]
    if x.type.shape != scale.output.type.shape:
        return False
    if move is not None:
        x = step(graph, node, move.op, [x], move.origin)
    weights = new_constant(graph, w, w.array.astype(np.float64) * factor)
    return become(graph, node, node.op, [x, weights, *node.inputs[2:]], [scale])


def shift_before_matmul(graph: Graph, node: Node) -> bool:
    """(x + c) @ w becomes x @ w + c @ w, if c is the same in all rows."""
    move = only_made_by(graph, node.x, ops.Reshape)
    shift = only_made_by(graph, move.x if move else node.x, ops.Add)
    sides = constant_side(shift) if shift else None
    w = node.operand(1)
    if shift is None or sides is None or not w.is_constant or len(w.type.shape) != 2:
        return False
    x, c = sides
    row = one_row(c.array, shift.output.type.shape, w.type.shape[0])
    if row is None or x.type.shape != shift.output.type.shape:
        return False
    if move is not None:
        x = step(graph, node, move.op, [x], move.origin)
    bias = graph.constant(
        f"{node.output.name}.bias",
        (row.astype(np.float64) @ w.array.astype(np.float64)).astype(w.type.numpy),
    )
    product = step(graph, node, ops.MatMul(), [x, w], node.origin)
    return become(graph, node, ops.Add(), [product, bias], [shift])


def one_row(array: Array, shape: tuple[int, ...], length: int) -> Array | None:
    """What a constant that broadcasts to `shape` is in each row of `length`, if in all the same."""
    rows = np.broadcast_to(array, shape).reshape(-1, length)
    return rows[0] if len(rows) and (rows == rows[0]).all() else None


def shift_before_conv(graph: Graph, node: Node) -> bool:
    """A shift of input channels goes into the bias of a conv that pads nothing."""
    conv = node.op
    shift = only_made_by(graph, node.x, ops.Add)
    sides = constant_side(shift) if shift else None
    w = node.operand(1)
    if not isinstance(conv, ops.Conv) or any(conv.pads) or shift is None or sides is None:
        return False
    x, c = sides
    old = node.inputs[2] if len(node.inputs) > 2 else None
    if not w.is_constant or (old is not None and not old.is_constant):
        return False
    vector = per_channel(c.array, x.type.shape, 1)
    if vector is None or x.type.shape != shift.output.type.shape:
        return False
    taps = w.array.astype(np.float64).reshape(*w.type.shape[:2], -1).sum(axis=2)
    by_group = vector.reshape(conv.group, 1, -1) * taps.reshape(conv.group, -1, w.type.shape[1])
    bias = by_group.sum(axis=2).reshape(-1) + (0 if old is None else old.array)
    name = old.name if old else f"{node.output.name}.bias"
    b = graph.constant(name, bias.astype(w.type.numpy))
    return become(graph, node, conv, [x, w, b], [shift])


MATRICES: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    ops.MatMul: (weights_to_the_right, weights_as_a_matrix, number_before, shift_before_matmul),
    ops.Conv: (number_before, shift_before_conv),
    ops.ConvTranspose: (number_before,),
}

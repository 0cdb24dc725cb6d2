"""Matrix products: the activation on the left, constant weights [K, N] on the right."""

from __future__ import annotations

import math

from nmc.ir import ops
from nmc.ir.constants import real_constant
from nmc.ir.graph import Graph, Node, Value
from nmc.passes.canonical.rewriting import Rewrite, become, step

__all__ = ["MATRICES"]


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


MATRICES: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    ops.MatMul: (weights_to_the_right, weights_as_a_matrix),
}

"""Layer normalisation that exporters wrote out in means, differences and a root."""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Graph, Node, Value
from nmc.passes.canonical.rewriting import (
    Rewrite,
    become,
    constant_side,
    made_by,
    number,
    only_made_by,
)

__all__ = ["NORMS"]


def written_out(graph: Graph, node: Node) -> bool:
    """d / sqrt(mean(d * d) + e) with d = x - mean(x), over the last axes."""
    if isinstance(node.op, ops.Mul):
        difference, inverse = node.operand(0), made_by(node.operand(1), ops.Reciprocal)
        root = made_by(inverse.x, ops.Sqrt) if inverse else None
    else:
        difference, root = node.operand(0), made_by(node.operand(1), ops.Sqrt)
    inner = variance(root.x) if root else None
    x = centred(difference)
    if inner is None or x is None:
        return False
    squared, epsilon, mean = inner
    axes = mean.axes
    axis = min(axes, default=len(x.type.shape))
    same = squared is difference or centred(squared) is x
    if not same or axes != tuple(range(axis, len(x.type.shape))) or centre_axes(difference) != axes:
        return False
    ones = graph.constant(f"{node.output.name}.scale", np.ones(x.type.shape[axis:], x.type.numpy))
    shift = graph.constant(f"{node.output.name}.shift", np.zeros_like(ones.array))
    return become(graph, node, ops.LayerNorm(axis, epsilon), [x, ones, shift])


def variance(value: Value) -> tuple[Value, float, ops.Reduce] | None:
    """d, e and the mean of mean(d * d) + e."""
    add = made_by(value, ops.Add)
    sides = constant_side(add) if add else None
    epsilon = number(sides[1]) if sides else None
    if sides is None or epsilon is None:
        return None
    mean = made_by(sides[0], ops.Reduce)
    square = made_by(mean.x, ops.Mul) if mean else None
    if mean is None or square is None or square.operand(0) is not square.operand(1):
        return None
    if not isinstance(mean.op, ops.Reduce) or (mean.op.kind, mean.op.keepdims) != ("mean", True):
        return None
    return square.x, epsilon, mean.op


def centred(value: Value) -> Value | None:
    """The x of x - mean(x)."""
    node = made_by(value, ops.Sub)
    mean = made_by(node.operand(1), ops.Reduce) if node else None
    if node is None or mean is None or mean.x is not node.x:
        return None
    op = mean.op
    whole = isinstance(op, ops.Reduce) and op.kind == "mean" and op.keepdims
    return node.x if whole else None


def centre_axes(value: Value) -> tuple[int, ...]:
    node = made_by(value, ops.Sub)
    mean = made_by(node.operand(1), ops.Reduce) if node else None
    return mean.op.axes if mean and isinstance(mean.op, ops.Reduce) else ()


def scale_or_shift(graph: Graph, node: Node) -> bool:
    """A scale or a shift by constants after a layer_norm becomes part of it."""
    sides = constant_side(node)
    norm = only_made_by(graph, sides[0], ops.LayerNorm) if sides else None
    if sides is None or norm is None or not isinstance(norm.op, ops.LayerNorm):
        return False
    c = sides[1].array
    sizes = norm.x.type.shape[norm.op.axis :]
    parameters = norm.operands[1:]
    if c.ndim > len(sizes) or not all(v.is_constant for v in parameters):
        return False
    scale = parameters[0].array.astype(np.float64)
    shift = parameters[1].array.astype(np.float64) if len(parameters) > 1 else np.zeros(())
    changed = (scale * c, shift * c) if isinstance(node.op, ops.Mul) else (scale, shift + c)
    numbers = [np.broadcast_to(a, sizes).astype(norm.x.type.numpy) for a in changed]
    names = (parameters[0].name, f"{node.output.name}.shift")
    constants = [graph.constant(n, a) for n, a in zip(names, numbers, strict=True)]
    return become(graph, node, norm.op, [norm.x, *constants], [norm])


NORMS: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    ops.Div: (written_out,),
    ops.Mul: (written_out, scale_or_shift),
    ops.Add: (scale_or_shift,),
}

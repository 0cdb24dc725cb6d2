"""Scales and shifts by constants: normal forms, merging, and folding into matrices' weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.passes.canonical.rewriting import (
    Rewrite,
    become,
    constant_side,
    forward,
    new_constant,
    only_made_by,
    per_channel,
    step,
)

__all__ = ["AFFINE"]

CONVOLUTIONS = (ops.Conv, ops.ConvTranspose)


# Normal forms: a constant stands on the right, of a mul or an add


def constant_to_the_right(graph: Graph, node: Node) -> bool:
    a, b = node.operand(0), node.operand(1)
    return a.is_constant and not b.is_constant and become(graph, node, node.op, [b, a])


def sub_to_add(graph: Graph, node: Node) -> bool:
    """x - c becomes x + -c; c - x becomes x * -1 + c."""
    sides = constant_side(node)
    if sides is None:
        return False
    x, c = sides
    if x is node.operand(0):
        return become(graph, node, ops.Add(), [x, new_constant(graph, c, -c.array)])
    minus = graph.constant(f"{node.output.name}.minus", np.array(-1, x.type.numpy))
    return become(graph, node, ops.Add(), [step(graph, node, ops.Mul(), [x, minus]), c])


def div_to_mul(graph: Graph, node: Node) -> bool:
    sides = constant_side(node)
    if sides is None or sides[0] is not node.operand(0):
        return False
    x, c = sides
    inverse = reciprocal(c.array)
    if inverse is None:
        return False
    return become(graph, node, ops.Mul(), [x, new_constant(graph, c, inverse)])


def reciprocal(array: Array) -> Array | None:
    """1 / array, if that is an ordinary number everywhere."""
    with np.errstate(all="ignore"):
        inverse = (1 / array.astype(np.float64)).astype(array.dtype)
    ordinary = np.isfinite(inverse).all() and (np.abs(inverse) >= np.finfo(array.dtype).tiny).all()
    return inverse if ordinary else None


def power(graph: Graph, node: Node) -> bool:
    """The powers that are simpler ops: x**1, x**2 and x**0.5."""
    sides = constant_side(node)
    if sides is None or sides[0] is not node.operand(0) or sides[1].type.elements != 1:
        return False
    x, c = sides
    if x.type.shape != node.output.type.shape or x.type.numpy.kind != "f":
        return False
    match float(c.array.reshape(-1)[0]):
        case 1.0:
            return forward(graph, node, x)
        case 2.0:
            return become(graph, node, ops.Mul(), [x, x])
        case 0.5:
            return become(graph, node, ops.Sqrt(), [x])
    return False


def neutral(graph: Graph, node: Node) -> bool:
    """x * 1 and x + 0 are x."""
    sides = constant_side(node)
    if sides is None:
        return False
    x, c = sides
    if not (c.array == (1 if isinstance(node.op, ops.Mul) else 0)).all():
        return False
    return forward(graph, node, x)


# Merging


def merge_constants(graph: Graph, node: Node) -> bool:
    """(x * a) * b becomes x * ab, and (x + a) + b becomes x + ab, where a, b are constant."""
    sides = constant_side(node)
    if sides is None:
        return False
    x, b = sides
    inner = only_made_by(graph, x, type(node.op))
    before = constant_side(inner) if inner else None
    if inner is None or before is None:
        return False
    origin, a = before
    merged = combine(node.op, a.array, b.array)
    if merged.size > max(a.type.elements, b.type.elements):
        return False
    if np.broadcast_shapes(origin.type.shape, merged.shape) != node.output.type.shape:
        return False
    return become(graph, node, node.op, [origin, new_constant(graph, b, merged)], [inner])


def combine(op: ops.Op, a: Array, b: Array) -> Array:
    wide = a.astype(np.float64), b.astype(np.float64)
    return np.asarray(wide[0] * wide[1] if isinstance(op, ops.Mul) else wide[0] + wide[1])


def scale_before_shift(graph: Graph, node: Node) -> bool:
    """(x * a + b) * c becomes x * ac + bc, where a, b, c are constant."""
    sides = constant_side(node)
    if sides is None:
        return False
    x, c = sides
    shift = only_made_by(graph, x, ops.Add)
    shifted = constant_side(shift) if shift else None
    if shift is None or shifted is None:
        return False
    scaled, b = shifted
    scale = only_made_by(graph, scaled, ops.Mul)
    if scale is None or constant_side(scale) is None:
        return False
    product = combine(ops.Mul(), b.array, c.array)
    if {scaled.type.shape, x.type.shape} != {node.output.type.shape}:
        return False
    inner = step(graph, node, ops.Mul(), [scaled, c], shift.origin)
    return become(graph, node, ops.Add(), [inner, new_constant(graph, b, product)], [shift])


# Folding into weights


@dataclass(frozen=True, slots=True)
class Affine:
    """y[..., c, ...] = x * scale[c] + shift[c] along one axis, in float64; either may be absent."""

    x: Value
    scale: Array | None
    shift: Array | None


def affine(node: Node, axis: int) -> Affine | None:
    """What the node does to each channel on `axis`, if that is all it does."""
    if isinstance(node.op, ops.BatchNorm):
        return batch_norm(node) if axis == 1 else None
    if not isinstance(node.op, ops.Mul | ops.Add):
        return None
    sides = constant_side(node)
    if sides is None or sides[0].type.shape != node.output.type.shape:
        return None
    x, c = sides
    vector = per_channel(c.array, x.type.shape, axis)
    if vector is None:
        return None
    return Affine(x, vector, None) if isinstance(node.op, ops.Mul) else Affine(x, None, vector)


def batch_norm(node: Node) -> Affine | None:
    if not isinstance(node.op, ops.BatchNorm):
        return None
    if not all(v.is_constant for v in node.operands[1:]):
        return None
    scale, shift, mean, variance = (v.array.astype(np.float64) for v in node.operands[1:])
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.op.epsilon)
        return Affine(node.x, factor, shift - mean * factor)


def fold_into_conv(graph: Graph, node: Node) -> bool:
    """conv, then a scale or a shift of channels, becomes conv.  Quantised weights stay."""
    change = affine(node, 1) if len(node.output.type.shape) > 2 else None
    conv = only_made_by(graph, change.x, CONVOLUTIONS) if change else None
    if change is None or conv is None:
        return False
    x, w, *rest = conv.inputs
    bias = rest[0] if rest else None
    if w is None or (bias is not None and not bias.is_constant):
        return False
    if change.scale is not None:
        if not w.is_constant:
            return False
        w = new_constant(graph, w, scaled_weights(conv.op, w.array, change.scale))
    name = f"{conv.output.name}.bias"
    numbers = changed_bias(bias, change, node.output.type.shape[1])
    b = graph.constant(bias.name if bias else name, numbers.astype(w.type.numpy))
    return become(graph, node, conv.op, [x, w, b], [conv])


def scaled_weights(op: ops.Op, w: Array, scale: Array) -> Array:
    wide = w.astype(np.float64)
    if isinstance(op, ops.ConvTranspose):
        # w[C, M/group, *K]: the inputs of each group reach that group's outputs.
        grouped = wide.reshape(op.group, -1, *w.shape[1:])
        factors = scale.reshape(op.group, 1, w.shape[1], *[1] * (w.ndim - 2))
        return (grouped * factors).reshape(w.shape)
    return wide * scale.reshape(-1, *[1] * (w.ndim - 1))


def changed_bias(bias: Value | None, change: Affine, channels: int) -> Array:
    numbers = np.zeros(channels) if bias is None else bias.array.astype(np.float64)
    if change.scale is not None:
        numbers = numbers * change.scale
    return numbers if change.shift is None else numbers + change.shift


def fold_into_matmul(graph: Graph, node: Node) -> bool:
    """matmul, perhaps a bias, then a scale of columns, becomes matmul with another bias."""
    last = len(node.output.type.shape) - 1
    change = affine(node, last) if last >= 0 else None
    if change is None or change.scale is None:
        return False
    add = only_made_by(graph, change.x, ops.Add)
    bias = affine(add, last) if add else None
    product = only_made_by(graph, bias.x if bias else change.x, ops.MatMul)
    if product is None or (add is not None and bias is None):
        return False
    x, w = product.operand(0), product.operand(1)
    if not w.is_constant or len(w.type.shape) < 2 or x.is_constant:
        return False
    columns = new_constant(graph, w, w.array.astype(np.float64) * change.scale)
    shift = total_shift(bias, change)
    absorbed = [product, *([add] if add else [])]
    if shift is None:
        return become(graph, node, ops.MatMul(), [x, columns], absorbed)
    y = step(graph, node, ops.MatMul(), [x, columns], product.origin)
    b = graph.constant(f"{node.output.name}.bias", shift.astype(w.type.numpy))
    return become(graph, node, ops.Add(), [y, b], absorbed)


def total_shift(bias: Affine | None, change: Affine) -> Array | None:
    shift = change.shift
    if bias is None or bias.shift is None or change.scale is None:
        return shift
    scaled = bias.shift * change.scale
    return scaled if shift is None else scaled + shift


def batch_norm_alone(graph: Graph, node: Node) -> bool:
    """A batch_norm that no matrix takes up becomes a mul and an add."""
    change = batch_norm(node)
    if change is None or change.scale is None or change.shift is None:
        return False
    x = change.x
    shape = (-1, *[1] * (len(x.type.shape) - 2))
    name = node.output.name
    factor = graph.constant(f"{name}.scale", change.scale.reshape(shape).astype(x.type.numpy))
    offset = graph.constant(f"{name}.shift", change.shift.reshape(shape).astype(x.type.numpy))
    return become(graph, node, ops.Add(), [step(graph, node, ops.Mul(), [x, factor]), offset])


COMMUTATIVE: tuple[Rewrite, ...] = (
    constant_to_the_right,
    neutral,
    fold_into_conv,
    fold_into_matmul,
    merge_constants,
)

AFFINE: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    ops.Add: COMMUTATIVE,
    ops.Mul: (*COMMUTATIVE, scale_before_shift),
    ops.Sub: (sub_to_add,),
    ops.Div: (div_to_mul,),
    ops.Pow: (power,),
    ops.BatchNorm: (fold_into_conv, fold_into_matmul, batch_norm_alone),
}

"""What the chip can do: for each node the unit that computes it, and the reason in words.

One rule per kind of op.  A rule returns an `Ability` or raises `Beyond` with the reason why the
chip can't; reasons are fragments that a report puts behind the node's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import is_dequantized_constant, real_constant
from nmc.ir.graph import Array, Node, TensorType, Unit, Value

__all__ = ["MOVERS", "Ability", "ability", "is_mover", "varying"]

MOVERS = (
    *(ops.Reshape, ops.Transpose, ops.Concat, ops.Slice, ops.Pad, ops.Resize),
    *(ops.DepthToSpace, ops.MaxPool),
)
"""Ops whose results are some of their operands' elements: they work on stored integers as such."""

BYTES = frozenset({"u8", "i8"})
SCALAR_OPS = (ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Min, ops.Max)


@dataclass(frozen=True, slots=True)
class Ability:
    unit: str
    why: str


class Beyond(Exception):
    """The chip can't do this; the message says why."""


def ability(node: Node) -> Ability:
    """Which unit computes the node, and why that one."""
    try:
        check_types(node)
        return rule_of(node)(node)
    except Beyond as beyond:
        return Ability(Unit.HOST, str(beyond))


def varying(node: Node) -> tuple[Value, ...]:
    """The operands that are no constants, stored as floats or as integers."""
    return tuple(
        v
        for v in node.operands
        if not v.is_constant and not (v.producer and is_dequantized_constant(v.producer))
    )


def is_mover(node: Node) -> bool:
    reduces = isinstance(node.op, ops.Reduce) and node.op.kind == "max"
    return reduces or isinstance(node.op, MOVERS)


def beyond(reason: str) -> NoReturn:
    raise Beyond(reason)


def rule_of(node: Node) -> Callable[[Node], Ability]:
    for kind, rule in RULES:
        if isinstance(node.op, kind):
            return rule
    name = node.op.op if isinstance(node.op, ops.Onnx) else node.op.name
    beyond(f"no unit computes {name}")


# What holds for every node


def check_types(node: Node) -> None:
    if isinstance(node.op, ops.Onnx) or is_dequantized_constant(node):
        return
    activations = varying(node)
    if not activations:
        beyond("all its operands are constant")
    for value in (*activations, *node.outputs):
        check_activation(value.type)
    if any(v.type.dtype in BYTES for v in activations):
        moves = is_mover(node)
        numbers = isinstance(node.op, ops.Dequantize | ops.FlipSign | ops.Cast)
        if not moves and not numbers:
            beyond(f"no unit computes {node.op.name} on {activations[0].type.dtype}")


def check_activation(type_: TensorType) -> None:
    if type_.dtype != "f32" and type_.dtype not in BYTES:
        beyond(f"the chip has no {type_.dtype} activations")
    if not type_.elements or not type_.shape:
        shape = ",".join(map(str, type_.shape))
        beyond(f"a tensor of shape [{shape}] has no rows")
    if len(type_.shape) > 3 and type_.shape[0] != 1:
        beyond(f"the chip takes one sample at a time, this has {type_.shape[0]}")


def check_image(type_: TensorType, what: str) -> None:
    rank = len(type_.shape) - 2
    if rank not in (1, 2):
        beyond(f"the chip has no {what} over {rank} axes")
    if type_.shape[0] != 1:
        beyond(f"the chip takes one sample at a time, this has {type_.shape[0]}")


def constant(node: Node, index: int, what: str) -> Array:
    value = node.operand(index)
    data = real_constant(value)
    if data is None:
        beyond(f"its {what} are not constant")
    if not np.isfinite(data).all():
        beyond(f"its {what} are not finite")
    return data


def vector(why: str) -> Ability:
    return Ability(Unit.VECTOR, why)


# Matrices


def conv(node: Node) -> Ability:
    check_image(node.x.type, "convolution")
    w = constant(node, 1, "weights")
    check_bias(node)
    group = node.op.group if isinstance(node.op, ops.Conv) else 1
    size = f"{prod(w.shape[1:])}x{w.shape[0] // group}"
    many = f"{group} constant {size} matrices"
    return Ability(Unit.CROSSBAR, f"constant {size} matrix" if group == 1 else many)


def check_bias(node: Node) -> None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        constant(node, 2, "biases")


def matmul(node: Node) -> Ability:
    if node.x.is_constant or real_constant(node.operand(1)) is None:
        beyond("a crossbar multiplies by a constant matrix on the right")
    w = constant(node, 1, "weights")
    if w.ndim != 2:
        beyond(f"its constant operand has {w.ndim} axes, a matrix has 2")
    if len(node.x.type.shape) < 2:
        beyond("its left operand has no rows")
    return Ability(Unit.CROSSBAR, f"constant {w.shape[0]}x{w.shape[1]} matrix")


# Elementwise


def unary(node: Node) -> Ability:
    return vector("a function of one element, by table")


def binary(node: Node) -> Ability:
    activations = varying(node)
    if len(activations) == 2:
        return two_activations(*activations)
    (x,) = activations
    index = next(i for i, v in enumerate(node.operands) if v is not x)
    data = constant(node, index, "constants")
    if node.output.type.shape != x.type.shape:
        beyond(f"its constant of shape {list(data.shape)} spreads {x.type} to a larger tensor")
    return vector("elementwise on rows, with a constant")


def two_activations(a: Value, b: Value) -> Ability:
    if a.type.shape == b.type.shape:
        return vector("elementwise on rows")
    for small, large in ((a, b), (b, a)):
        if small.type.shape == per_channel(large.type.shape):
            return vector("elementwise on rows, one operand per channel")
    beyond(f"it combines {a.type} with {b.type}; the chip spreads only [1,C,1...] over rows")


def per_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], *[1] * (len(shape) - 2)) if len(shape) > 2 else (-1,)


def power(node: Node) -> Ability:
    if node.x.is_constant or not node.operand(1).is_constant or node.operand(1).type.elements != 1:
        beyond("only a constant exponent makes it a function of one element")
    constant(node, 1, "exponents")
    return vector("a function of one element, by table")


def prelu(node: Node) -> Ability:
    slope = constant(node, 1, "slopes")
    shape = node.x.type.shape
    channels = shape[1] if len(shape) > 1 else 1
    if slope.size != 1 and (slope.size != channels or channel_axis(slope, shape) != 1):
        beyond(f"its slopes of shape {list(slope.shape)} are neither one nor one per channel")
    return vector("elementwise on rows, one slope per channel")


def channel_axis(data: Array, shape: tuple[int, ...]) -> int:
    """The one axis of `shape` along which a constant varies that broadcasts to it; -1 if none."""
    sizes = (1,) * (len(shape) - data.ndim) + data.shape
    axes = [i for i, n in enumerate(sizes) if n > 1]
    return axes[0] if len(axes) == 1 else -1


# Normalisation


def softmax(node: Node) -> Ability:
    rank, axis = len(node.x.type.shape), axis_of(node.op)
    if (rank, axis) not in {(2, 1), (3, 2), (4, 1)}:
        beyond(f"the vector unit has softmax along channels, not along axis {axis} of {rank}")
    return vector("along the channels of a row")


def axis_of(op: ops.Op) -> int:
    return op.axis if isinstance(op, ops.Softmax | ops.LogSoftmax | ops.LayerNorm) else -1


def layer_norm(node: Node) -> Ability:
    shape = node.x.type.shape
    if axis_of(node.op) != len(shape) - 1:
        beyond("the vector unit normalises over the last axis alone")
    for index in range(1, len(node.operands)):
        data = constant(node, index, "scales and shifts")
        if data.size != shape[-1]:
            beyond("it has other than one scale and shift per element of the last axis")
    return vector("along the channels of a row")


# Pooling and reduction


def pool(node: Node) -> Ability:
    check_image(node.x.type, "pooling")
    return vector("windows over rows")


def reduce(node: Node) -> Ability:
    shape = node.x.type.shape
    match node.op:
        case ops.Reduce(kind="mean" | "sum" | "max", axes=axes) if spans(axes, len(shape)):
            pass
        case ops.Reduce(kind=kind, axes=axes):
            beyond(f"the vector unit has no reduce {kind} over axes {list(axes)} of {len(shape)}")
    if shape[0] != 1:
        beyond(f"the chip takes one sample at a time, this has {shape[0]}")
    return vector("over all rows")


def spans(axes: tuple[int, ...], rank: int) -> bool:
    """All spatial axes of an image, channels second or last, or the axis of tokens."""
    return rank in (3, 4) and axes in {tuple(range(2, rank)), tuple(range(1, rank - 1))}


# Shape


def moving(node: Node) -> Ability:
    return vector("moves elements of rows")


def concat(node: Node) -> Ability:
    if len(varying(node)) != len(node.operands):
        beyond("one of its operands is constant")
    return vector("rows side by side")


def slice_(node: Node) -> Ability:
    op, before, after = node.op, node.x.type.shape, node.output.type.shape
    if isinstance(op, ops.Slice) and min(op.steps, default=1) < 0:
        beyond("it runs backwards")
    cut = [axis for axis, (n, m) in enumerate(zip(before, after, strict=True)) if n != m]
    if len(cut) > 1 and (len(before) not in (3, 4) or 0 in cut):
        beyond(f"it cuts axes {cut} of {node.x.type} at once, rows have no such range")
    return moving(node)


def pad(node: Node) -> Ability:
    match node.op:
        case ops.Pad(mode=mode) if mode != "constant":
            beyond(f"the chip pads with constants, not in mode {mode}")
        case ops.Pad(pads=pads) if min(pads, default=0) < 0:
            beyond("it crops by negative padding")
        case ops.Pad(pads=pads):
            check_spatial(node, pads[: len(pads) // 2], 0, "padding")
            check_spatial(node, pads[len(pads) // 2 :], 0, "padding")
    return moving(node)


def resize(node: Node) -> Ability:
    factors = node.op.factors if isinstance(node.op, ops.Resize) else ()
    check_spatial(node, factors, 1, "upsampling")
    return moving(node)


def check_spatial(node: Node, amounts: tuple[int, ...], none: int, what: str) -> None:
    """Something is done along spatial axes of an image alone."""
    check_image(node.x.type, what)
    if amounts[:2] != (none, none):
        beyond(f"the chip has no {what} of batch or channels")


# Numbers


def quantize(node: Node) -> Ability:
    return vector("between reals and stored integers")


def dequantize(node: Node) -> Ability:
    if is_dequantized_constant(node):
        return vector("says what stored integers mean")
    if node.x.type.dtype not in BYTES:
        beyond(f"the chip has no {node.x.type.dtype} activations")
    return quantize(node)


def dequantize_axis(node: Node) -> Ability:
    if not is_dequantized_constant(node):
        beyond("the chip has one scale per activation tensor, not one per channel")
    return dequantize(node)


def cast(node: Node) -> Ability:
    if node.x.type.dtype not in BYTES or node.output.type.dtype != "f32":
        beyond(f"no unit casts {node.x.type.dtype} to {node.output.type.dtype}")
    return vector("stored integers taken as reals")


RULES: tuple[tuple[Any, Callable[[Node], Ability]], ...] = (
    (ops.Conv, conv),
    (ops.MatMul, matmul),
    (ops.Unary, unary),
    (ops.Pow, power),
    (ops.PRelu, prelu),
    (SCALAR_OPS, binary),
    ((ops.Softmax, ops.LogSoftmax), softmax),
    (ops.LayerNorm, layer_norm),
    ((ops.MaxPool, ops.AvgPool), pool),
    (ops.Reduce, reduce),
    (ops.Concat, concat),
    (ops.Slice, slice_),
    (ops.Pad, pad),
    (ops.Resize, resize),
    ((ops.Reshape, ops.Transpose, ops.DepthToSpace), moving),
    ((ops.Quantize, ops.FlipSign), quantize),
    (ops.Dequantize, dequantize),
    (ops.DequantizeAxis, dequantize_axis),
    (ops.Cast, cast),
)
"""First match decides; an op that is not here runs on the host."""

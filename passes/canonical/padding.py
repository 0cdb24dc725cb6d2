"""Padding: taken up by the windows that follow it, or moved past quantisation until it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Graph, Node, Value
from nmc.passes.canonical.rewriting import Rewrite, become, forward, made_by, only_made_by, step

__all__ = ["PADDING", "never_negative"]

NOT_NEGATIVE = (ops.Relu, ops.Sigmoid, ops.HardSigmoid, ops.Abs, ops.Sqrt, ops.Exp, ops.Softmax)
KEEPING_SIGN = (
    *(ops.MaxPool, ops.AvgPool, ops.Reshape, ops.Transpose, ops.Concat, ops.Slice),
    *(ops.Gather, ops.Expand, ops.Resize, ops.DepthToSpace, ops.SpaceToDepth),
)
DEPTH = 8


def never_negative(value: Value, depth: int = DEPTH) -> bool:
    """Whether the value's elements are known not to be below zero."""
    node = value.producer
    if node is None or not depth:
        return False
    if isinstance(node.op, ops.Clip):
        return node.op.lo >= 0
    if isinstance(node.op, KEEPING_SIGN):
        held = node.operands if isinstance(node.op, ops.Concat) else (node.x,)
        return all(never_negative(v, depth - 1) for v in held)
    return isinstance(node.op, NOT_NEGATIVE)


def spatial_pad(value: Value) -> tuple[Node, ops.Pad] | None:
    """The pad that made the value, if it is constant and grows spatial axes alone."""
    node = made_by(value, ops.Pad)
    if node is None or not isinstance(node.op, ops.Pad) or len(value.type.shape) < 3:
        return None
    pads, rank = node.op.pads, len(value.type.shape)
    outer = (*pads[:2], *pads[rank : rank + 2])
    if node.op.mode != "constant" or any(outer) or min(pads) < 0:
        return None
    return node, node.op


def joined(pads: Sequence[int], pad: ops.Pad) -> tuple[int, ...]:
    rank = len(pad.pads) // 2
    more = (*pad.pads[2:rank], *pad.pads[rank + 2 :])
    return tuple(a + b for a, b in zip(pads, more, strict=True))


def into_conv(graph: Graph, node: Node) -> bool:
    found = spatial_pad(node.x)
    if found is None or not isinstance(node.op, ops.Conv) or found[1].value:
        return False
    pad, op = found
    wider = replace(node.op, pads=joined(node.op.pads, op))
    return become(graph, node, wider, [pad.x, *node.inputs[1:]], [pad])


def into_avg_pool(graph: Graph, node: Node) -> bool:
    """Zeros that were padded count in the average, so `count_include_pad` must hold afterwards."""
    found = spatial_pad(node.x)
    pool = node.op
    if found is None or not isinstance(pool, ops.AvgPool) or found[1].value or pool.ceil_mode:
        return False
    pad, op = found
    pads = joined(pool.pads, op)
    if (any(pool.pads) and not pool.count_include_pad) or not pads_allowed(pads, pool.kernel):
        return False
    return become(graph, node, replace(pool, pads=pads, count_include_pad=True), [pad.x], [pad])


def into_max_pool(graph: Graph, node: Node) -> bool:
    """Padding below everything is what a max_pool pads with, and so is 0 under what is above it."""
    found = spatial_pad(node.x)
    pool = node.op
    if found is None or not isinstance(pool, ops.MaxPool) or pool.ceil_mode:
        return False
    pad, op = found
    lowest = op.value <= float(np.finfo(np.float32).min)
    below = op.value == 0 and never_negative(pad.x) and set(pool.dilations) == {1}
    pads = joined(pool.pads, op)
    if not (lowest or below) or not pads_allowed(pads, pool.kernel):
        return False
    return become(graph, node, replace(pool, pads=pads), [pad.x], [pad])


def pads_allowed(pads: Sequence[int], kernel: Sequence[int]) -> bool:
    """Every window of a pool must see something of its input."""
    return all(pad < size for pad, size in zip(pads, (*kernel, *kernel), strict=True))


def past_quantize(graph: Graph, node: Node) -> bool:
    """Quantising what is padded with 0 is padding the quantised with the zero point."""
    pad = only_made_by(graph, node.x, ops.Pad)
    quantize = node.op
    if pad is None or not isinstance(pad.op, ops.Pad) or not isinstance(quantize, ops.Quantize):
        return False
    if pad.op.mode == "constant" and pad.op.value != 0:
        return False
    stored = step(graph, node, quantize, [pad.x])
    value = float(quantize.zero_point)
    return become(graph, node, replace(pad.op, value=value), [stored], [pad])


def past_dequantize(graph: Graph, node: Node) -> bool:
    pad = only_made_by(graph, node.x, ops.Pad)
    dequantize = node.op
    if pad is None or not isinstance(pad.op, ops.Pad) or not isinstance(dequantize, ops.Dequantize):
        return False
    if pad.op.mode == "constant" and pad.op.value != dequantize.zero_point:
        return False
    real = step(graph, node, dequantize, [pad.x])
    return become(graph, node, replace(pad.op, value=0.0), [real], [pad])


def merge_pads(graph: Graph, node: Node) -> bool:
    inner = only_made_by(graph, node.x, ops.Pad)
    op = node.op
    if inner is None or not isinstance(op, ops.Pad) or not isinstance(inner.op, ops.Pad):
        return False
    alike = (op.mode, op.value) == (inner.op.mode, inner.op.value) and op.mode == "constant"
    if not alike or min(*op.pads, *inner.op.pads) < 0:
        return False
    pads = tuple(a + b for a, b in zip(op.pads, inner.op.pads, strict=True))
    return become(graph, node, replace(op, pads=pads), [inner.x], [inner])


def no_pad(graph: Graph, node: Node) -> bool:
    return isinstance(node.op, ops.Pad) and not any(node.op.pads) and forward(graph, node, node.x)


def trivial_pool(graph: Graph, node: Node) -> bool:
    """Windows of one element at every place."""
    pool = node.op
    if not isinstance(pool, ops.MaxPool | ops.AvgPool):
        return False
    ones = {1} >= {*pool.kernel, *pool.strides} and not any(pool.pads)
    return ones and forward(graph, node, node.x)


def whole_average(graph: Graph, node: Node) -> bool:
    """An avg_pool whose one window is the whole image is a mean."""
    pool, x = node.op, node.x
    sizes = x.type.shape[2:]
    if not isinstance(pool, ops.AvgPool) or pool.kernel != sizes or any(pool.pads):
        return False
    if set(pool.dilations) != {1} or math.prod(node.output.type.shape[2:]) != 1:
        return False
    axes = tuple(range(2, len(x.type.shape)))
    return become(graph, node, ops.Reduce("mean", axes, True), [x])


PADDING: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    ops.Pad: (no_pad, merge_pads),
    ops.Conv: (into_conv,),
    ops.AvgPool: (trivial_pool, into_avg_pool, whole_average),
    ops.MaxPool: (trivial_pool, into_max_pool),
    ops.Quantize: (past_quantize,),
    ops.Dequantize: (past_dequantize,),
}

"""Ops that move elements: those that move nothing, chains of them, and pairs that cancel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import is_dequantized_constant
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.passes.canonical.rewriting import (
    Rewrite,
    become,
    constant_side,
    forward,
    made_by,
    only_made_by,
    step,
)

__all__ = ["SHAPES"]


def unchanged(graph: Graph, node: Node) -> bool:
    """Ops that can't do anything when the shape stays."""
    return node.x.type.shape == node.output.type.shape and forward(graph, node, node.x)


def whole_slice(graph: Graph, node: Node) -> bool:
    op = node.op
    forwards = isinstance(op, ops.Slice) and all(s > 0 for s in op.steps)
    return forwards and unchanged(graph, node)


# Reshape and transpose


def reshape_of_reshape(graph: Graph, node: Node) -> bool:
    inner = made_by(node.x, ops.Reshape)
    return inner is not None and become(graph, node, node.op, [inner.x], [inner])


def transpose_of_transpose(graph: Graph, node: Node) -> bool:
    inner = made_by(node.x, ops.Transpose)
    if inner is None or not isinstance(inner.op, ops.Transpose):
        return False
    if not isinstance(node.op, ops.Transpose):
        return False
    perm = tuple(inner.op.perm[i] for i in node.op.perm)
    return become(graph, node, ops.Transpose(perm), [inner.x], [inner])


def still_transpose(graph: Graph, node: Node) -> bool:
    """A transpose that keeps the order of all axes longer than one only reshapes."""
    if not isinstance(node.op, ops.Transpose):
        return False
    perm, shape = node.op.perm, node.x.type.shape
    if perm == tuple(range(len(perm))):
        return forward(graph, node, node.x)
    long = [axis for axis in perm if shape[axis] != 1]
    if long != sorted(long):
        return False
    return become(graph, node, ops.Reshape(node.output.type.shape), [node.x])


def past_elementwise(graph: Graph, node: Node) -> bool:
    """f(move(x)) becomes move(f(x)), so that moves meet and f meets what computed x."""
    inner = only_made_by(graph, node.x, (ops.Transpose, ops.Reshape))
    if inner is None or inner.x.is_constant:
        return False
    return become(graph, node, inner.op, [step(graph, node, node.op, [inner.x])], [inner])


def past_constant(graph: Graph, node: Node) -> bool:
    """The same for a two-operand op whose other operand is constant."""
    sides = constant_side(node)
    if sides is None or sides[0] is not node.operand(0):
        return False
    x, c = sides
    inner = only_made_by(graph, x, (ops.Transpose, ops.Reshape))
    if inner is None or x.type.shape != node.output.type.shape:
        return False
    if c.type.elements == 1:
        moved = graph.constant(c.name, c.array.reshape(())) if c.type.shape else c
    elif isinstance(inner.op, ops.Transpose):
        rank = len(x.type.shape)
        wide = c.array.reshape((1,) * (rank - c.array.ndim) + c.array.shape)
        moved = graph.constant(c.name, wide.transpose(np.argsort(inner.op.perm)))
    else:
        return False
    y = step(graph, node, node.op, [inner.x, moved])
    return become(graph, node, inner.op, [y], [inner])


def past_two(graph: Graph, node: Node) -> bool:
    """f(transpose(a), transpose(b)) becomes transpose(f(a, b))."""
    a, b = node.operand(0), node.operand(1)
    left = only_made_by(graph, a, ops.Transpose)
    right = only_made_by(graph, b, ops.Transpose)
    if left is None or right is None or left.op != right.op or a.type.shape != b.type.shape:
        return False
    y = step(graph, node, node.op, [left.x, right.x])
    return become(graph, node, left.op, [y], [left, right])


def transposed_operands(graph: Graph, node: Node) -> bool:
    """concat of equal transposes becomes one transpose of a concat."""
    op = node.op
    if not isinstance(op, ops.Concat):
        return False
    inner = [only_made_by(graph, v, ops.Transpose) for v in node.operands]
    moves = [n for n in inner if n is not None]
    first = moves[0].op if moves else None
    if len(moves) != len(inner) or len(set(map(id, moves))) != len(moves):
        return False
    if not isinstance(first, ops.Transpose) or any(n.op != first for n in moves):
        return False
    y = step(graph, node, ops.Concat(first.perm[op.axis]), [n.x for n in moves])
    return become(graph, node, first, [y], moves)


def of_stored_constant(graph: Graph, node: Node) -> bool:
    """Weights that a model brought as integers are moved as integers, before what they mean."""
    inner = node.x.producer
    if inner is None or not is_dequantized_constant(inner):
        return False
    stored = graph.constant(inner.x.name, moved_array(node.op, inner.x.array))
    if isinstance(inner.op, ops.Dequantize):
        return become(graph, node, inner.op, [stored], [inner])
    axis = moved_axis(node, inner)
    if axis is None:
        return False
    return become(graph, node, ops.DequantizeAxis(axis), [stored, *inner.inputs[1:]], [inner])


def moved_array(op: ops.Op, array: Array) -> Array:
    match op:
        case ops.Transpose(perm=perm):
            return array.transpose(perm)
        case ops.Reshape(shape=shape):
            return array.reshape(shape)
    raise TypeError(f"{op.name} does not move whole arrays")


def moved_axis(node: Node, inner: Node) -> int | None:
    """Where the axis that scales depend on has gone; None if it was split or merged."""
    if not isinstance(inner.op, ops.DequantizeAxis):
        return None
    axis = inner.op.axis
    if isinstance(node.op, ops.Transpose):
        return node.op.perm.index(axis)
    before, after = inner.x.type.shape, node.output.type.shape
    outer = int(np.prod(before[:axis]))
    places = [
        i
        for i, size in enumerate(after)
        if size == before[axis] and int(np.prod(after[:i])) == outer
    ]
    return places[0] if places else None


# Slice and concat


def slice_of_slice(graph: Graph, node: Node) -> bool:
    inner = made_by(node.x, ops.Slice)
    if inner is None or not isinstance(inner.op, ops.Slice) or not isinstance(node.op, ops.Slice):
        return False
    picked = ranges(inner.op, inner.x.type.shape)
    for axis, outer in ranges(node.op, node.x.type.shape).items():
        whole = picked.get(axis, range(inner.x.type.shape[axis]))
        start, stop, stride = outer.start, outer.stop, outer.step
        picked[axis] = whole[start : None if stop < 0 else stop : stride]
    return become(graph, node, slicing(picked), [inner.x], [inner])


def ranges(op: ops.Slice, shape: Sequence[int]) -> dict[int, range]:
    """The places that a slice takes on each of its axes."""
    bounds = zip(op.axes, op.starts, op.ends, op.steps, strict=True)
    return {axis: range(start, end, stride) for axis, start, end, stride in bounds}


def slicing(picked: dict[int, range]) -> ops.Slice:
    axes = sorted(picked)
    found = [picked[axis] for axis in axes]
    return ops.Slice(
        tuple(r.start for r in found),
        tuple(just_past(r) for r in found),
        tuple(axes),
        tuple(r.step for r in found),
    )


def just_past(places: range) -> int:
    """The end of a slice that takes these places; slicing a range may leave a stop far beyond."""
    if not places:
        return places.start
    return max(places[-1] + (1 if places.step > 0 else -1), -1)


def slice_of_concat(graph: Graph, node: Node) -> bool:
    """A slice that lies in one operand of a concat is a slice of that operand."""
    joined = made_by(node.x, ops.Concat)
    op = node.op
    if joined is None or not isinstance(joined.op, ops.Concat) or not isinstance(op, ops.Slice):
        return False
    axis = joined.op.axis
    picked = ranges(op, node.x.type.shape)
    places = picked.get(axis)
    if not places or places.step < 0:
        return False
    start = 0
    for value in joined.operands:
        size = value.type.shape[axis]
        if start <= places[0] and places[-1] < start + size:
            stop = min(places.stop - start, size)
            picked[axis] = range(places.start - start, stop, places.step)
            return become(graph, node, slicing(picked), [value], [joined])
        start += size
    return False


def concat_of_slices(graph: Graph, node: Node) -> bool:
    """Neighbouring pieces of one value, put together again, are one slice of it."""
    pieces = [made_by(v, ops.Slice) for v in node.operands]
    first = pieces[0]
    if first is None or not isinstance(node.op, ops.Concat):
        return False
    x, axis = first.x, node.op.axis
    whole = range(x.type.shape[axis])
    places, others = [], []
    for piece in pieces:
        if piece is None or piece.x is not x or not isinstance(piece.op, ops.Slice):
            return False
        picked = ranges(piece.op, x.type.shape)
        places.append(picked.pop(axis, whole))
        others.append(picked)
    if any(p.step != 1 for p in places) or any(other != others[0] for other in others):
        return False
    if any(a.stop != b.start for a, b in pairwise(places)):
        return False
    picked = {**others[0], axis: range(places[0].start, places[-1].stop)}
    return become(graph, node, slicing(picked), [x], [n for n in pieces if n is not None])


def concat_of_one(graph: Graph, node: Node) -> bool:
    return len(node.inputs) == 1 and forward(graph, node, node.x)


def concat_of_concat(graph: Graph, node: Node) -> bool:
    """Concats along the same axis that nothing else uses are one."""
    flat: list[Value] = []
    absorbed: list[Node] = []
    for value in node.operands:
        inner = only_made_by(graph, value, ops.Concat)
        if inner is not None and inner.op == node.op and node.operands.count(value) == 1:
            flat += inner.operands
            absorbed.append(inner)
        else:
            flat.append(value)
    return bool(absorbed) and become(graph, node, node.op, flat, absorbed)


def gather_of_run(graph: Graph, node: Node) -> bool:
    """Gathering evenly spaced places, such as the last step of a sequence, is a slice."""
    op, indices = node.op, node.operand(1)
    if not isinstance(op, ops.Gather) or not indices.is_constant or not indices.array.size:
        return False
    size = node.x.type.shape[op.axis]
    places = indices.array.reshape(-1).astype(np.int64)
    places = np.where(places < 0, places + size, places)
    stride = int(places[1] - places[0]) if len(places) > 1 else 1
    if stride < 1 or (np.diff(places) != stride).any():
        return False
    cut = ops.Slice((int(places[0]),), (int(places[-1]) + 1,), (op.axis,), (stride,))
    sliced = step(graph, node, cut, [node.x])
    return become(graph, node, ops.Reshape(node.output.type.shape), [sliced])


# Quantisation


def quantize_of_dequantize(graph: Graph, node: Node) -> bool:
    """Stored integers that are made reals and stored again in the same way are as they were."""
    inner, op = made_by(node.x, ops.Dequantize), node.op
    if (
        inner is None
        or not isinstance(inner.op, ops.Dequantize)
        or not isinstance(op, ops.Quantize)
    ):
        return False
    same = (inner.op.scale, inner.op.zero_point) == (op.scale, op.zero_point)
    return same and forward(graph, node, inner.x)


MOVES: tuple[Rewrite, ...] = (unchanged, of_stored_constant)

SHAPES: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    **{op: (past_elementwise,) for op in ops.OPS if issubclass(op, ops.Unary)},
    **{op: (past_constant, past_two) for op in ops.OPS if issubclass(op, ops.Binary)},
    ops.Reshape: (*MOVES, reshape_of_reshape),
    ops.Transpose: (still_transpose, of_stored_constant, transpose_of_transpose),
    ops.Expand: (unchanged,),
    ops.Resize: (unchanged,),
    ops.Gather: (gather_of_run,),
    ops.Slice: (whole_slice, slice_of_slice, slice_of_concat),
    ops.Concat: (concat_of_one, concat_of_slices, concat_of_concat, transposed_operands),
    ops.Quantize: (quantize_of_dequantize, past_elementwise),
    ops.Dequantize: (past_elementwise,),
}

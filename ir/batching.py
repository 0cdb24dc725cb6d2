"""How ops are computed for many samples at once, these being an additional first axis.

Per op one of four ways: as it is, where every element or row stands for itself; with its axes
moved up by one; with the samples merged into the batch axis that the op has anyway; or with
operands aligned so that they broadcast.  Whatever none of them fits is done sample by sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Array, Node
from nmc.ir.kernels import KERNELS
from nmc.ir.ops import Op

__all__ = ["batched_kernel"]

Batched = Callable[[Sequence[Array | None]], Array]

AS_IS = (
    *(ops.Unary, ops.Cast, ops.Quantize, ops.Dequantize, ops.FlipSign),
    *(ops.Lut, ops.QMatMul),
)
MERGED = (
    *(ops.Conv, ops.ConvTranspose, ops.QConv),
    *(ops.BatchNorm, ops.InstanceNorm, ops.Lrn),
    *(ops.MaxPool, ops.AvgPool, ops.QAvgPool, ops.DepthToSpace, ops.SpaceToDepth),
)
ALIGNED = (ops.Binary, ops.MatMul)


def batched_kernel(node: Node, flags: Sequence[bool]) -> Batched | None:
    """A function of the node's arrays, those flagged with samples first; None if there is none."""
    op = node.op
    only_first = flags[0] and not any(flags[1:])
    if isinstance(op, AS_IS) and only_first:
        return lambda arrays: apply(op, arrays)
    if isinstance(op, MERGED) and only_first:
        return lambda arrays: apply_merged(op, arrays)
    if isinstance(op, ALIGNED):
        return aligned(node, flags)
    if isinstance(op, ops.Concat):
        return lambda arrays: apply_lifted(op, spread(arrays, flags))
    if type(op) in LIFTED and only_first:
        return lambda arrays: apply_lifted(op, arrays)
    return None


def apply(op: Op, arrays: Sequence[Array | None]) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(KERNELS[type(op)](op, *arrays))


def apply_merged(op: Op, arrays: Sequence[Array | None]) -> Array:
    x = arrays[0]
    if x is None:
        raise TypeError("the first operand can't be absent")
    flat = x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])
    out = apply(op, [flat, *arrays[1:]])
    return out.reshape(x.shape[0], x.shape[1], *out.shape[1:])


def aligned(node: Node, flags: Sequence[bool]) -> Batched | None:
    """Operands of two-operand ops with ones put in, so that samples meet samples."""
    ranks = [len(v.type.shape) for v in node.operands]
    if isinstance(node.op, ops.MatMul) and min(ranks) < 2:
        return None
    rank = max(ranks)

    def run(arrays: Sequence[Array | None]) -> Array:
        wide: list[Array | None] = []
        for array, flag, own in zip(arrays, flags, ranks, strict=True):
            if flag and array is not None and own < rank:
                array = array.reshape(len(array), *[1] * (rank - own), *array.shape[1:])
            wide.append(array)
        return apply(node.op, wide)

    return run


def spread(arrays: Sequence[Array | None], flags: Sequence[bool]) -> list[Array]:
    """All operands with samples first, those that are the same for all samples repeated."""
    present = [(a, flag) for a, flag in zip(arrays, flags, strict=True) if a is not None]
    count = next(len(a) for a, flag in present if flag)
    return [a if flag else np.broadcast_to(a, (count, *a.shape)) for a, flag in present]


def apply_lifted(op: Op, arrays: Sequence[Array | None]) -> Array:
    x = arrays[0]
    if x is None:
        raise TypeError("the first operand can't be absent")
    return apply(LIFTED[type(op)](op, len(x)), arrays)


def up(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def on_axis(op: Any, _: int) -> Op:
    lifted: Op = replace(op, axis=op.axis + 1)
    return lifted


def on_axes(op: Any, _: int) -> Op:
    lifted: Op = replace(op, axes=up(op.axes))
    return lifted


def pad(op: ops.Pad, _: int) -> Op:
    half = len(op.pads) // 2
    return replace(op, pads=(0, *op.pads[:half], 0, *op.pads[half:]))


LIFTED: dict[type[Op], Callable[[Any, int], Op]] = {
    ops.Softmax: on_axis,
    ops.LogSoftmax: on_axis,
    ops.LayerNorm: on_axis,
    ops.Concat: on_axis,
    ops.ArgMax: on_axis,
    ops.Gather: on_axis,
    ops.Reduce: on_axes,
    ops.QReduceMean: on_axes,
    ops.Slice: on_axes,
    ops.Pad: pad,
    ops.Reshape: lambda op, count: ops.Reshape((count, *op.shape)),
    ops.Transpose: lambda op, _: ops.Transpose((0, *up(op.perm))),
    ops.Resize: lambda op, _: ops.Resize((1, *op.factors)),
}
"""The op on arrays with one more first axis, given that axis's length."""

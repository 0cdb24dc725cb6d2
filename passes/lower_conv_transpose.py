"""Turns transposed convolutions into convolutions, which crossbars can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import real_constant, stored_integers
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.ir.types import emit
from nmc.passes.base import Pass

__all__ = ["LowerConvTranspose"]


@dataclass(frozen=True)
class LowerConvTranspose(Pass):
    """``conv_transpose`` with constant weights becomes ``conv``, ``depth_to_space``, ``slice``.

    With stride s, output j = s*m + r takes only the kernel elements r, r + s, r + 2s...: one small
    convolution of stride 1 for each remainder r.  All of them together are one convolution with
    s (s*s in two dimensions) times the channels, whose result is then unfolded and cropped.
    No product with an inserted zero is ever computed.  A relu or another function of one element
    that follows is applied before the unfolding, where it can be part of the convolution.

    Left as they are: dilated kernels, unequal strides, more than two spatial axes, weights that
    aren't constant.  Stored integers stay integers.
    """

    name = "lower-conv-transpose"
    cite = "W. Shi et al., Is the deconvolution layer the same as a convolutional layer?, 2016"

    def run(self, design: Design, report: Report) -> bool:
        graph = design.graph
        chosen = [node for node in graph if fits(node)]
        for node in chosen:
            lower(graph, node)
        if chosen:
            graph.prune()
            graph.sort()
        return bool(chosen)


def fits(node: Node) -> bool:
    op = node.op
    if not isinstance(op, ops.ConvTranspose):
        return False
    constant = all(real_constant(v) is not None for v in node.operands[1:])
    even = len(op.strides) in (1, 2) and len(set(op.strides)) == 1
    return constant and even and set(op.dilations) == {1}


@dataclass(frozen=True, slots=True)
class Split:
    """One axis: a small convolution gives positions `first`.. of each remainder.

    `taps` kernel elements per remainder; `pads` of the convolution; `crop` is where the wanted
    output begins, `size` its length.
    """

    taps: int
    pads: tuple[int, int]
    crop: int
    size: int


def split(size: int, kernel: int, stride: int, begin: int, out: int) -> Split:
    """Padding such that the first and last position computed are the first and last wanted."""
    taps = -(-kernel // stride)
    first = min(begin // stride, taps - 1)
    last = max(-(-(begin + out) // stride), size)
    return Split(taps, (taps - 1 - first, last - size), begin - first * stride, out)


def lower(graph: Graph, node: Node) -> None:
    op = node.op
    if not isinstance(op, ops.ConvTranspose):
        raise TypeError(f"{node} is no transposed convolution")
    x, w = node.x, node.operand(1)
    stride, rank = op.strides[0], len(op.strides)
    sizes = zip(
        x.type.shape[2:], w.type.shape[2:], op.pads, node.output.type.shape[2:], strict=False
    )
    axes = [split(n, k, stride, begin, out) for n, k, begin, out in sizes]
    # Groups need their channels together, so remainders go innermost there.
    inner = op.group > 1 or rank == 1
    operands: list[Value | None] = [x, spread_weights(graph, node, inner)]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        operands.append(spread_bias(graph, node.operand(2), stride**rank, inner))
    pads = (*(a.pads[0] for a in axes), *(a.pads[1] for a in axes))
    conv = ops.Conv((1,) * rank, pads, (1,) * rank, op.group)
    y = emit(graph, conv, operands, f"{node.output.name}.conv", node.origin)
    end = node.output
    for user in list(followers(graph, node)):
        y = emit(graph, user.op, [y], f"{user.output.name}.early", user.origin)
        end = user.output
    y = unfolded(graph, node, y, stride, inner)
    y = cropped(graph, node, y, axes)
    y.name, end.name = end.name, y.name
    graph.replace_uses(end, y)


def followers(graph: Graph, node: Node) -> Iterator[Node]:
    """Functions of one element after the node: before elements are moved they cost nothing."""
    user = graph.sole_user(node.output)
    while user is not None and isinstance(user.op, ops.Unary):
        yield user
        user = graph.sole_user(user.output)


def unfolded(graph: Graph, node: Node, y: Value, stride: int, inner: bool) -> Value:
    """Remainders from channels to positions."""
    if stride == 1:
        return y
    name = f"{node.output.name}.unfolded"
    if len(y.type.shape) == 4:
        mode = "CRD" if inner else "DCR"
        return emit(graph, ops.DepthToSpace(stride, mode), [y], name, node.origin)
    batch, channels, length = y.type.shape
    wide = ops.Reshape((batch, channels // stride, stride, length))
    y = emit(graph, wide, [y], f"{name}.wide", node.origin)
    y = emit(graph, ops.Transpose((0, 1, 3, 2)), [y], f"{name}.turned", node.origin)
    return emit(
        graph,
        ops.Reshape((batch, channels // stride, length * stride)),
        [y],
        name,
        node.origin,
    )


def cropped(graph: Graph, node: Node, y: Value, axes: list[Split]) -> Value:
    wanted = [(i + 2, a) for i, a in enumerate(axes) if y.type.shape[i + 2] != a.size]
    if not wanted:
        return y
    crop = ops.Slice(
        tuple(a.crop for _, a in wanted),
        tuple(a.crop + a.size for _, a in wanted),
        tuple(i for i, _ in wanted),
        (1,) * len(wanted),
    )
    return emit(graph, crop, [y], f"{node.output.name}.cropped", node.origin)


# Constants


def spread_weights(graph: Graph, node: Node, inner: bool) -> Value:
    """The kernel, w[C,M/group,*K], as that of the small convolutions, one per remainder."""
    op, w = node.op, node.operand(1)
    if not isinstance(op, ops.ConvTranspose):
        raise TypeError(f"{node} is no transposed convolution")
    split_up = partial(sub_kernels, stride=op.strides[0], group=op.group, inner=inner)
    copies = op.strides[0] ** len(op.strides)

    def scales(scale: Array) -> Array:
        each = np.broadcast_to(scale.reshape(-1), w.type.shape[1:2])
        return sub_channels(np.tile(each, op.group), copies, inner)

    return rebuilt(graph, w, 1, split_up, scales)


def spread_bias(graph: Graph, bias: Value, copies: int, inner: bool) -> Value:
    def change(data: Array) -> Array:
        return sub_channels(np.broadcast_to(data.reshape(-1), bias.type.shape), copies, inner)

    return rebuilt(graph, bias, 0, change, change)


def rebuilt(
    graph: Graph,
    value: Value,
    channel_axis: int,
    change: Callable[[Array], Array],
    change_scale: Callable[[Array], Array],
) -> Value:
    """The constant with its data changed.  Integers stay so if their scales can be carried along:
    those that depend on nothing but the output channel."""
    stored = stored_integers(value)
    if stored is None:
        data = real_constant(value)
        return graph.constant(value.name, change(value.array if data is None else data))
    others = [n for i, n in enumerate(stored.scale.shape) if i != channel_axis]
    if stored.zero_point.any() or max(others, default=1) > 1:
        return graph.constant(value.name, change(stored.real))
    integers = change(stored.data)
    zeros = np.zeros(len(integers), integers.dtype)
    operands = [
        graph.constant(f"{value.name}.integers", integers),
        graph.constant(f"{value.name}.scale", change_scale(stored.scale)),
        graph.constant(f"{value.name}.zero", zeros),
    ]
    return emit(graph, ops.DequantizeAxis(0), operands, value.name)


def sub_kernels(w: Array, stride: int, group: int, inner: bool) -> Array:
    """w[C,M/g,*K] to [s**d * M, C/g, *taps]: element t*s + r of K is tap t of remainder r.

    A convolution runs over its window forwards, a transposed one backwards, hence the flip.
    """
    rank = w.ndim - 2
    taps = [-(-k // stride) for k in w.shape[2:]]
    filled = np.zeros((*w.shape[:2], *(t * stride for t in taps)), w.dtype)
    filled[tuple(slice(n) for n in w.shape)] = w
    parts = [n for t in taps for n in (t, stride)]
    filled = filled.reshape(group, len(w) // group, w.shape[1], *parts)
    tap_axes = [3 + 2 * i for i in range(rank)]
    remainders = [4 + 2 * i for i in range(rank)]
    outputs = [0, 2, *remainders] if inner else [*remainders, 0, 2]
    turned = np.flip(filled, tuple(tap_axes)).transpose(*outputs, 1, *tap_axes)
    return np.ascontiguousarray(turned).reshape(-1, len(w) // group, *taps)


def sub_channels(data: Array, copies: int, inner: bool) -> Array:
    """One entry per output channel, for each of its remainders, in the order of `sub_kernels`."""
    return np.repeat(data, copies) if inner else np.tile(data, copies)

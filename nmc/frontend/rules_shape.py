"""Lowering of operators that move elements about, or tell their number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nmc.frontend.call import Call, Declined, Refused, Rule
from nmc.ir import ops
from nmc.ir.graph import Value

__all__ = ["SHAPE_RULES"]

Ints = tuple[int, ...]

MAX_COPIES = 256
"""A Tile that repeats an axis more often than this stays with the host."""


def axes_of(call: Call, index: int, rank: int) -> Ints | None:
    """Axes, an attribute once and an operand now, counted from the front; None if not given."""
    given = call.integers("axes")
    if given is None and call.optional(index) is not None:
        given = call.sizes(index, "list of axes")
    return None if given is None else tuple(call.front(axis, rank) for axis in given)


def reshape(call: Call) -> Value:
    wanted = list(call.integers("shape") or ()) if call.has("shape") else [*call.sizes(1, "shape")]
    if not call.integer("allowzero"):
        for axis, size in enumerate(wanted):
            if size == 0 and axis >= call.rank:
                raise Declined(f"its shape {wanted} copies axis {axis} of {call.rank}")
            wanted[axis] = call.shape[axis] if size == 0 else size
    return shaped(call, infer_rest(wanted, call.x.type.elements))


def infer_rest(wanted: Sequence[int], elements: int) -> Ints:
    """The shape with its -1 worked out, if it can be."""
    known = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise Declined(f"{list(wanted)} is no shape")
    return tuple(elements // max(known, 1) if size == -1 else size for size in wanted)


def shaped(call: Call, shape: Sequence[int]) -> Value:
    return call.emit(ops.Reshape(tuple(shape)), call.x)


def flatten(call: Call) -> Value:
    axis = call.integer("axis", 1)
    axis = axis if 0 <= axis <= call.rank else call.front(axis, call.rank)
    return shaped(call, (math.prod(call.shape[:axis]), math.prod(call.shape[axis:])))


def squeeze(call: Call) -> Value:
    axes = axes_of(call, 1, call.rank)
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(call.shape) if size == 1)
    return shaped(call, [size for axis, size in enumerate(call.shape) if axis not in axes])


def unsqueeze(call: Call) -> Value:
    count = len(call.integers("axes") or ()) or call.operand(1).type.elements
    axes = axes_of(call, 1, call.rank + count) or ()
    if len({*axes}) != count:
        raise Declined(f"its axes {list(axes)} name one twice")
    rest = iter(call.shape)
    return shaped(call, [1 if i in axes else next(rest) for i in range(call.rank + count)])


def transpose(call: Call) -> Value:
    perm = call.integers("perm") or tuple(range(call.rank))[::-1]
    return call.emit(ops.Transpose(perm), call.x)


def expand(call: Call) -> Value:
    wanted = call.sizes(1, "shape")
    try:
        shape = np.broadcast_shapes(call.shape, wanted)
    except ValueError:
        raise Declined(f"{list(call.shape)} does not expand to {list(wanted)}") from None
    return call.x if shape == call.shape else call.emit(ops.Expand(shape), call.x)


def tile(call: Call) -> Value:
    repeats = call.sizes(1, "repeats")
    good = all(1 <= count <= MAX_COPIES for count in repeats)
    if len(repeats) != call.rank or not good:
        raise Declined(f"its repeats are {list(repeats)}")
    todo = [axis for axis, count in enumerate(repeats) if count > 1]
    result = call.x
    for axis in todo:
        make = call.emit if axis == todo[-1] else call.step
        result = make(ops.Concat(axis), *[result] * repeats[axis])
    return result


def concat(call: Call) -> Value:
    parts = [x for x in call.operands if x.type.elements] or call.operands[:1]
    return parts[0] if len(parts) == 1 else call.emit(ops.Concat(call.axis(1)), *parts)


def split(call: Call) -> list[Value | None]:
    """Slices; the sizes are an attribute, an operand, or as equal as can be."""
    axis = call.axis(0)
    sizes = call.integers("split")
    if sizes is None and call.optional(1) is not None:
        sizes = call.sizes(1, "sizes")
    if sizes is None:
        count, total = len(call.node.output), call.shape[axis]
        size = -(-total // count)
        sizes = tuple(max(min(size, total - i * size), 0) for i in range(count))
    if sum(sizes) != call.shape[axis] or len(sizes) < len(call.node.output):
        raise Declined(f"its sizes {list(sizes)} do not split axis {axis} of {call.x.type}")
    results: list[Value | None] = []
    start = 0
    for index, (size, name) in enumerate(zip(sizes, call.node.output, strict=False)):
        op = ops.Slice((start,), (start + size,), (axis,), (1,))
        results.append(call.emit(op, call.x, result=index) if name else None)
        start += size
    return results


def slice_(call: Call) -> Value:
    if call.version < 10:
        starts, ends = call.integers("starts") or (), call.integers("ends") or ()
        axes, steps = call.integers("axes"), None
    else:
        starts, ends = call.sizes(1, "starts"), call.sizes(2, "ends")
        axes = call.sizes(3, "axes") if call.optional(3) is not None else None
        steps = call.sizes(4, "steps") if call.optional(4) is not None else None
    axes = tuple(range(len(starts))) if axes is None else axes
    axes = tuple(call.front(axis, call.rank) for axis in axes)
    steps = steps or (1,) * len(starts)
    if 0 in steps or not len(starts) == len(ends) == len({*axes}) == len(steps):
        raise Declined("its bounds contradict each other")
    # Python resolves bounds as ONNX does: clamped, and -1 for "past the first element".
    runs = [
        slice(*bounds).indices(call.shape[axis])
        for *bounds, axis in zip(starts, ends, steps, axes, strict=True)
    ]
    order = sorted(range(len(axes)), key=axes.__getitem__)
    spans = [
        (runs[i][0], max(runs[i][1], runs[i][0]) if runs[i][2] > 0 else runs[i][1]) for i in order
    ]
    op = ops.Slice(
        tuple(start for start, _ in spans),
        tuple(end for _, end in spans),
        tuple(axes[i] for i in order),
        tuple(runs[i][2] for i in order),
    )
    return call.emit(op, call.x)


def pad(call: Call) -> Value:
    if call.version < 11:
        pads, value = call.integers("pads") or (), call.number("value")
    else:
        pads = call.sizes(1, "pads")
        value = 0.0 if call.optional(2) is None else float(call.scalar(2, "filling value"))
    axes = tuple(range(call.rank))
    if call.optional(3) is not None:
        axes = tuple(call.front(axis, call.rank) for axis in call.sizes(3, "list of axes"))
    if len(pads) != 2 * len(axes):
        raise Declined(f"it has {len(pads)} pads for {len(axes)} axes")
    full = [0] * (2 * call.rank)
    for place, axis in enumerate(axes):
        full[axis], full[call.rank + axis] = pads[place], pads[len(axes) + place]
    return call.emit(
        ops.Pad(tuple(full), call.text("mode", "constant") or "constant", value), call.x
    )


def gather(call: Call) -> Value:
    axis, indices = call.axis(0), call.operand(1)
    if indices.data is not None:
        size = call.shape[axis]
        if ((indices.data < -size) | (indices.data >= size)).any():
            raise Refused(f"it takes a place that is none of {size}", "export the model again")
        positive = np.where(indices.data < 0, indices.data + size, indices.data)
        indices = call.derived(indices, "positive", positive)
    return call.emit(ops.Gather(axis), call.x, indices)


def shape(call: Call) -> Value:
    sizes = call.shape[slice(call.integer("start"), call.integer("end", call.rank))]
    return call.constant_value("shape", np.asarray(sizes, np.int64))


def size(call: Call) -> Value:
    return call.constant_value("size", np.asarray(call.x.type.elements, np.int64))


def depth_to_space(call: Call) -> Value:
    op = ops.DepthToSpace(call.integer("blocksize"), call.text("mode", "DCR") or "DCR")
    return call.emit(op, call.x)


def space_to_depth(call: Call) -> Value:
    """ONNX orders the new channels by place in the block first (DCR), or by old channel (CRD)."""
    block, mode = call.integer("blocksize"), call.text("mode", "DCR") or "DCR"
    if mode == "DCR":
        return call.emit(ops.SpaceToDepth(block), call.x)
    if mode != "CRD" or call.rank != 4 or block < 1:
        raise Declined(f"its mode is {mode}, its block {block}")
    n, c, h, w = call.shape
    split = call.step(ops.Reshape((n, c, h // block, block, w // block, block)), call.x)
    turned = call.step(ops.Transpose((0, 1, 3, 5, 2, 4)), split)
    return call.emit(ops.Reshape((n, c * block**2, h // block, w // block)), turned)


SHAPE_RULES: dict[str, Rule] = {
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Pad": pad,
    "Reshape": reshape,
    "Shape": shape,
    "Size": size,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}

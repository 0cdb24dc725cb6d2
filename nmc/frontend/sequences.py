"""Sequences of tensors, which the walk resolves: no value of a graph is one.

PyTorch's older exporter writes `chunk`, `unbind` and `stack` with them.  Lengths and positions must
be known when importing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from nmc.frontend.call import Call, Declined
from nmc.frontend.scope import List
from nmc.ir import ops
from nmc.ir.graph import Value

__all__ = ["SEQUENCE_RULES", "SequenceRule"]

Given = Sequence[Value | List | None]
SequenceRule = Callable[[Call, Given], Value | List]
"""The result of a node; `Call` emits, its own operands are empty."""


def construct(call: Call, given: Given) -> List:
    return List(tuple(tensor(x) for x in given))


def empty(call: Call, given: Given) -> List:
    return List(())


def insert(call: Call, given: Given) -> List:
    items = sequence(given[0])
    at = position(given, 2, len(items), len(items), past_end=True)
    return List((*items[:at], tensor(given[1]), *items[at:]))


def erase(call: Call, given: Given) -> List:
    items = sequence(given[0])
    at = position(given, 1, -1, len(items))
    return List((*items[:at], *items[at + 1 :]))


def take(call: Call, given: Given) -> Value:
    items = sequence(given[0])
    return items[position(given, 1, 0, len(items))]


def length(call: Call, given: Given) -> Value:
    return call.constant_value("length", np.asarray(len(sequence(given[0])), np.int64))


def split(call: Call, given: Given) -> List:
    """Parts of one size each, or of listed sizes; without sizes single places."""
    x = tensor(given[0])
    axis = call.axis(0, rank=len(x.type.shape))
    total = x.type.shape[axis]
    sizes = split_sizes(given, total)
    keeps = bool(call.integer("keepdims", 1)) or len(given) > 1
    starts = [0, *np.cumsum(sizes).tolist()]
    parts = []
    for start, size in zip(starts, sizes, strict=False):
        part = call.step(ops.Slice((start,), (start + size,), (axis,), (1,)), x)
        shape = (*x.type.shape[:axis], *x.type.shape[axis + 1 :])
        parts.append(part if keeps else call.reshaped(part, shape))
    return List(tuple(parts))


def split_sizes(given: Given, total: int) -> list[int]:
    if len(given) < 2 or given[1] is None:
        return [1] * total
    data = tensor(given[1]).data
    if data is None:
        raise Declined("its sizes are computed while running")
    if data.ndim:
        return [int(n) for n in data]
    size = max(int(data), 1)
    return [min(size, total - i * size) for i in range(math.ceil(total / size))]


def concat(call: Call, given: Given) -> Value:
    items = sequence(given[0])
    if not items:
        raise Declined("its sequence is empty")
    stacks = bool(call.integer("new_axis"))
    rank = len(items[0].type.shape) + stacks
    axis = call.axis(0, rank=rank)
    if stacks:
        shapes = [(*x.type.shape[:axis], 1, *x.type.shape[axis:]) for x in items]
        items = tuple(call.reshaped(x, s) for x, s in zip(items, shapes, strict=True))
    return items[0] if len(items) == 1 else call.emit(ops.Concat(axis), *items)


def sequence(given: Value | List | None) -> tuple[Value, ...]:
    if not isinstance(given, List):
        raise Declined("its input is no sequence that is known when importing")
    return given.items


def tensor(given: Value | List | None) -> Value:
    if not isinstance(given, Value):
        raise Declined("its input is no tensor")
    return given


def position(given: Given, index: int, default: int, count: int, *, past_end: bool = False) -> int:
    """A place among `count`, or the one after, counted from the front."""
    place = default
    if index < len(given) and given[index] is not None:
        data = tensor(given[index]).data
        if data is None:
            raise Declined("its position is computed while running")
        place = int(data.reshape(-1)[0])
    if not -count <= place < count + past_end:
        raise Declined(f"its position {place} is none of {count}")
    return place + count if place < 0 else place


SEQUENCE_RULES: dict[str, SequenceRule] = {
    "ConcatFromSequence": concat,
    "SequenceAt": take,
    "SequenceConstruct": construct,
    "SequenceEmpty": empty,
    "SequenceErase": erase,
    "SequenceInsert": insert,
    "SequenceLength": length,
    "SplitToSequence": split,
}

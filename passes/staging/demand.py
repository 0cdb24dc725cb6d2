"""Which layout the users of a value would like it to have, looking through views.

Only values that come from the host can choose: they are written into global memory in the form
that their first demanding user wants, so that most models need no relayout at all.
"""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Node, Value
from nmc.ir.layout import Digit, Form, image_form, token_form

__all__ = ["default_form", "demanded_form", "is_seen_often", "reduced_form"]

_IMAGES = (
    ops.QConv,
    ops.MaxPool,
    ops.QAvgPool,
    ops.DepthToSpace,
    ops.Resize,
)


def demanded_form(value: Value) -> Form:
    """The form wanted by the first user that wants one, else a default by rank."""
    return _demand(value, set()) or default_form(value.type.shape)


def default_form(shape: tuple[int, ...]) -> Form:
    """Images for rank 4, tokens otherwise."""
    form = image_form(shape) if len(shape) == 4 else None
    return form or token_form(shape)


def _demand(value: Value, seen: set[int]) -> Form | None:
    if id(value) in seen:
        return None
    seen.add(id(value))
    for user in value.users:
        form = _wanted_by(user, value, seen)
        if form is not None:
            return form
    return None


def _wanted_by(node: Node, value: Value, seen: set[int]) -> Form | None:
    shape = value.type.shape
    match node.op:
        case op if isinstance(op, _IMAGES):
            return image_form(shape)
        case ops.QMatMul():
            return token_form(shape)
        case ops.Concat(axis=axis):
            return image_form(shape) if axis == 1 and len(shape) > 2 else None
        case ops.Slice() | ops.Pad():
            return default_form(shape)
        case ops.QReduceMean(axes=axes) | ops.Reduce(axes=axes):
            return reduced_form(shape, axes)
        case ops.Reshape():
            return _demand(node.output, seen)
        case ops.Transpose(perm=perm):
            form = _demand(node.output, seen)
            back = tuple(int(i) for i in np.argsort(perm))
            return form and form.transposed(node.output.type.shape, back)
        case _:
            same = node.outputs and node.output.type.shape == shape
            return _demand(node.output, seen) if same else None


def is_seen_often(value: Value) -> bool:
    """Whether rows of a value are wanted more than once: by several nodes, or by windows that
    overlap, so that copies of their layer want the same rows."""
    users = list(value.users)
    while len(users) == 1 and isinstance(users[0].op, ops.Reshape | ops.Transpose):
        users = list(users[0].output.users)
    return len(users) > 1 or any(map(_overlaps, users))


def _overlaps(node: Node) -> bool:
    match node.op:
        case ops.QConv(strides=strides):
            kernel = node.operand(1).type.shape[2:]
        case (
            ops.MaxPool(kernel=kernel, strides=strides)
            | ops.QAvgPool(kernel=kernel, strides=strides)
        ):
            pass
        case _:
            return False
    return any(size > step for size, step in zip(kernel, strides, strict=True))


def reduced_form(shape: tuple[int, ...], axes: tuple[int, ...]) -> Form:
    """Reduced axes as rows and pixels, kept axes as channels."""
    strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    reduced = [Digit(shape[a], strides[a]) for a in sorted(axes)]
    kept = [Digit(shape[a], strides[a]) for a in range(len(shape)) if a not in axes]
    return Form(tuple(reduced[:1]), tuple(reduced[1:]), tuple(kept)).normal

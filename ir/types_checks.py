"""What the rules of types check, and how they refuse: every refusal names both sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

import numpy as np

from nmc.ir.graph import TensorType

FLOATS = frozenset({"f16", "f32", "f64"})
INTEGERS = frozenset({"i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"})


class Misfit(Exception):
    """An op can't take these operands, or its attributes contradict them or each other."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def misfit(message: str) -> NoReturn:
    raise Misfit("shape-mismatch", message)


def need_dtype(what: str, type_: TensorType, allowed: Iterable[str]) -> None:
    if type_.dtype not in allowed:
        wanted = ", ".join(sorted(allowed))
        raise Misfit("bad-operands", f"has {type_} as {what}, which must be one of {wanted}")


def need_shape(what: str, type_: TensorType, shape: tuple[int, ...]) -> None:
    if type_.shape != shape:
        sizes = ",".join(map(str, shape))
        misfit(f"has {type_} as {what}, where shape [{sizes}] is needed")


def need_attribute(good: bool, message: str) -> None:
    if not good:
        raise Misfit("bad-attribute", message)


def need_axis(x: TensorType, axis: int) -> None:
    rank = len(x.shape)
    need_attribute(0 <= axis < rank, f"has axis {axis}, but {x} has axes 0 to {rank - 1}")


def need_axes(x: TensorType, axes: Sequence[int]) -> None:
    for axis in axes:
        need_axis(x, axis)
    need_attribute(len(set(axes)) == len(axes), f"names an axis twice: {list(axes)}")


def need_window(
    rank: int, *, strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]
) -> None:
    """Attributes of a window over `rank` axes: their lengths and signs."""
    lengths = (("strides", strides, rank), ("pads", pads, 2 * rank), ("dilations", dilations, rank))
    for name, given, wanted in lengths:
        need_attribute(
            len(given) == wanted,
            f"has {len(given)} {name}, {wanted} are needed for {rank} spatial axes",
        )
    need_attribute(min(strides) > 0, f"has strides {list(strides)}, which must be positive")
    need_attribute(min(pads) >= 0, f"has pads {list(pads)}, which must not be negative")
    need_attribute(min(dilations) > 0, f"has dilations {list(dilations)}, which must be positive")


def spatial(x: TensorType) -> tuple[int, ...]:
    if len(x.shape) < 3:
        misfit(f"has {x} as input, which needs a batch, a channel and at least one spatial axis")
    return x.shape[2:]


def broadcast(a: TensorType, b: TensorType) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        misfit(f"has operands {a} and {b}, whose shapes don't broadcast")


def need_broadcast_to(what: str, type_: TensorType, x: TensorType) -> None:
    if broadcast(x, type_) != x.shape:
        misfit(f"has {type_} as {what}, which does not broadcast to {x}")


def plain(type_: TensorType, shape: tuple[int, ...], dtype: str | None = None) -> TensorType:
    """A result that holds computed numbers: of this dtype (by default the operand's), no quant."""
    return TensorType(dtype or type_.dtype, shape)

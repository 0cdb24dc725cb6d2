"""Fits an array to a model's input: a leading axis of samples, the right sizes, the right type."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from nmc.ir.abilities import is_mover
from nmc.ir.diagnostics import Loc, NmcError, error
from nmc.ir.graph import Array, Quant, TensorType, Value
from nmc.ir.numerics import quantize
from nmc.ir.ops import Dequantize, FlipSign

__all__ = ["fit", "has_shape"]


def fit(value: Value, array: Array, origin: str = "") -> Array:
    """The array as [samples, *one sample] of the input's element type.

    Takes [samples, ...] with or without the model's own leading 1, and one sample alone.  NmcError
    `bad-data-shape` for other shapes, `bad-data-file` for values that the type can't hold, NaN and
    infinity among them.
    """
    loc = Loc(file=origin)
    sizes = with_samples(value.type, array.shape)
    if sizes is None:
        raise NmcError(wrong_shape(value, array, loc))
    return converted(value, array.reshape(sizes), loc)


def has_shape(type_: TensorType, shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape fits the input."""
    return with_samples(type_, shape) is not None


def with_samples(type_: TensorType, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape with its axis of samples, or None if it doesn't fit; no samples don't fit."""
    one = type_.sample_shape
    if shape == one:
        return (1, *one)
    if not shape or not shape[0]:
        return None
    return (shape[0], *one) if shape[1:] in (one, type_.shape) else None


def sizes_text(sizes: tuple[int | str, ...]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def wrong_shape(value: Value, array: Array, loc: Loc) -> Any:
    wanted = sizes_text(("samples", *value.type.sample_shape))
    what = f"{loc.file} has" if loc.file else "the data has"
    message = (
        f"input `{value.name}` takes {value.type.dtype} of shape {wanted}, "
        f"{what} {sizes_text(array.shape)}"
    )
    return error("bad-data-shape", message, loc, remedy=layout_hint(value.type, array.shape))


def layout_hint(type_: TensorType, shape: tuple[int, ...]) -> str:
    """What would make the data fit, if that is a matter of order or of cutting alone."""
    one = type_.sample_shape
    if 0 in shape:
        return "there must be at least one sample"
    if len(shape) == len(one) + 1:
        for order in permutations(range(1, len(shape))) if len(shape) <= 6 else ():
            if tuple(shape[i] for i in order) == one:
                return f"the axes are in another order: x.transpose{(0, *order)} would fit"
    for samples in (shape[0] if shape else 1, 1):
        if int(np.prod(shape)) == samples * int(np.prod(one)):
            text = ", ".join(map(str, (samples, *one)))
            return f"the sizes agree in all: x.reshape({text}) would fit"
    return ""


def converted(value: Value, array: Array, loc: Loc) -> Array:
    """The same values as the input's type; refused where they can't be.

    Real numbers for an input of stored integers are quantised as the model says that it reads them.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.size(array) - np.isfinite(array).sum())
        message = f"the data for input `{value.name}` holds NaN or infinity, {bad} times"
        raise NmcError(error("bad-data-file", message, loc, remedy="clean the data"))
    wanted = value.type.numpy
    if array.dtype == wanted:
        return array
    with np.errstate(all="ignore"):
        result = array.astype(wanted)
    if same_values(array, result):
        return result
    quant = stored_as(value)
    if array.dtype.kind == "f" and quant is not None:
        real = array.astype(np.float32)
        return quantize(real, quant.scale, quant.zero_point, value.type.dtype)
    raise NmcError(wrong_values(value, array, loc))


def stored_as(value: Value) -> Quant | None:
    """What the integers of an input stand for, if someone says who uses them, moved perhaps."""
    for user in value.users:
        if isinstance(user.op, Dequantize):
            return Quant(user.op.scale, user.op.zero_point)
        later = stored_as(user.output) if isinstance(user.op, FlipSign) or is_mover(user) else None
        if isinstance(user.op, FlipSign):
            later = later or user.output.type.quant
            return later and Quant(later.scale, later.zero_point - 128)
        if later is not None:
            return later
    return value.type.quant


def same_values(array: Array, result: Array) -> bool:
    """Floats may lose digits but not become infinite; integers keep every value."""
    if result.dtype.kind == "f":
        return bool(np.isfinite(result).all())
    return bool((result == array).all())


def wrong_values(value: Value, array: Array, loc: Loc) -> Any:
    kind = value.type.dtype
    message = (
        f"input `{value.name}` takes {kind}; the data ({array.dtype.name}, from "
        f"{array.min():g} to {array.max():g}) can't be stored as that"
    )
    remedy = ""
    if array.dtype.kind == "f" and value.type.numpy.kind in "iu":
        remedy = "the model takes quantised integers: quantise the data with its scale first"
    return error("bad-data-file", message, loc, remedy=remedy)

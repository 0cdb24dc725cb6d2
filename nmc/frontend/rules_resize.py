"""Lowering of resizing: nearest neighbour by whole factors up, or by whole steps down.

ONNX has seven ways to map coordinates and four to round.  Rather than to reason about each pair,
the source of every output place is computed, and the pattern in it decides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmc.frontend.call import Call, Declined, Rule
from nmc.ir import ops
from nmc.ir.graph import Array, Value

__all__ = ["RESIZE_RULES"]

MAX_SIZE = 1 << 20

ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(call: Call) -> Value:
    if call.text("mode", "nearest") not in {"nearest", ""}:
        raise Declined(f"its mode is {call.text('mode')}; only nearest has an op")
    sizes, scales = targets(call)
    transform, rounding = "asymmetric", "floor"
    if call.version >= 11:
        transform = call.text("coordinate_transformation_mode", "half_pixel")
        rounding = call.text("nearest_mode", "round_prefer_floor")
    sources = [
        source_places(n, m, s, transform, rounding)
        for n, m, s in zip(call.shape, sizes, scales, strict=True)
    ]
    return by_pattern(call, sources)


def targets(call: Call) -> tuple[list[int], list[float]]:
    """The result's size per axis, and the factor by which coordinates are mapped."""
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Declined("it keeps the aspect ratio")
    axes = [call.front(a, call.rank) for a in call.integers("axes") or range(call.rank)]
    sizes, factors = list(call.shape), [1.0] * call.rank
    by_sizes = call.version >= 11 and call.optional(3) is not None
    given = call.sizes(3, "sizes") if by_sizes else scales_of(call)
    if len(given) != len({*axes}) or 0 in call.shape:
        raise Declined(f"it has {len(given)} factors for {len(axes)} axes")
    if by_sizes:
        for axis, size in zip(axes, given, strict=True):
            sizes[axis], factors[axis] = int(size), int(size) / call.shape[axis]
    else:
        for axis, factor in zip(axes, given, strict=True):
            sizes[axis], factors[axis] = int(np.floor(call.shape[axis] * factor)), float(factor)
    if max(sizes, default=1) > MAX_SIZE or min(sizes, default=1) < 1:
        raise Declined(f"its result has sizes {sizes}")
    return sizes, factors


def scales_of(call: Call) -> Array:
    scales = given_scales(call)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise Declined(f"its scales are {scales.tolist()}")
    return scales


def given_scales(call: Call) -> Array:
    if call.has("scales"):
        return call.numbers("scales")
    return call.constant(1 if call.version < 11 or len(call.inputs) == 2 else 2, "scales").reshape(
        -1
    )


def source_places(n: int, m: int, scale: float, transform: str, rounding: str) -> Array:
    """Which of n elements each of m results takes."""
    x = np.arange(m, dtype=np.float64)
    match transform:
        case "half_pixel":
            places = (x + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            places = n / 2 * (1 - m / (n * scale)) + (x + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            places = (x + 0.5) / scale - 0.5 if m > 1 else x * 0
        case "asymmetric":
            places = x / scale
        case "align_corners":
            places = x * (n - 1) / (m - 1) if m > 1 else x * 0
        case "tf_half_pixel_for_nn":
            places = (x + 0.5) / scale
        case _:
            raise Declined(f"its coordinates are mapped by {transform}")
    if rounding not in ROUNDINGS:
        raise Declined(f"it rounds by {rounding}")
    return np.asarray(np.clip(ROUNDINGS[rounding](places), 0, n - 1), np.int64)


def by_pattern(call: Call, sources: list[Array]) -> Value:
    factors = tuple(max(len(source) // n, 1) for source, n in zip(sources, call.shape, strict=True))
    steps = [int(s[1] - s[0]) if len(s) > 1 else 1 for s in sources]
    if all(repeats(s, n, f) for s, n, f in zip(sources, call.shape, factors, strict=True)):
        return call.emit(ops.Resize(factors), call.x)
    if all(strides(s, step) for s, step in zip(sources, steps, strict=True)):
        op = ops.Slice(
            tuple(int(s[0]) for s in sources),
            tuple(int(s[-1]) + 1 for s in sources),
            tuple(range(call.rank)),
            tuple(steps),
        )
        return call.emit(op, call.x)
    raise Declined("its factors are not whole")


def repeats(source: Array, n: int, factor: int) -> bool:
    return len(source) == n * factor and bool((source == np.arange(len(source)) // factor).all())


def strides(source: Array, step: int) -> bool:
    return step > 0 and bool((np.diff(source) == step).all())


RESIZE_RULES: dict[str, Rule] = {"Resize": resize, "Upsample": resize}

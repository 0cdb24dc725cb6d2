"""Resolves what ONNX says about windows (kernels, strides, padding rules) to plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nmc.frontend.call import Call, Declined
from nmc.ir.windows import reach

__all__ = ["Window", "transposed_window", "window"]

Ints = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A window over spatial axes; pads are begins, then ends.

    `automatic` says that the padding came from `auto_pad`, so that the number of windows does too.
    """

    kernel: Ints
    strides: Ints
    pads: Ints
    dilations: Ints
    automatic: bool = False


def window(call: Call, kernel: Sequence[int]) -> Window:
    """The window of a convolution or a pooling over the first operand."""
    kernel = tuple(kernel)
    sizes = call.shape[2:]
    rank = len(sizes)
    if len(kernel) != rank:
        raise Declined(f"its kernel has {len(kernel)} axes, its input {rank}")
    strides, dilations = per_axis(call, "strides", rank), per_axis(call, "dilations", rank)
    mode = pad_mode(call)
    if mode == "NOTSET":
        pads = call.integers("pads") or (0,) * (2 * rank)
        return Window(kernel, strides, pads, dilations)
    if mode == "VALID":
        return Window(kernel, strides, (0,) * (2 * rank), dilations, True)
    totals = [
        max((-(-n // s) - 1) * s + reach(k, d) - n, 0)
        for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    return Window(kernel, strides, split_pads(totals, mode == "SAME_UPPER"), dilations, True)


def pad_mode(call: Call) -> str:
    mode = call.text("auto_pad", "NOTSET") or "NOTSET"
    if mode not in {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}:
        raise Declined(f"its auto_pad is {mode}")
    return mode


def per_axis(call: Call, name: str, rank: int) -> Ints:
    values = call.integers(name) or (1,) * rank
    if len(values) != rank or min(values, default=1) < 1:
        raise Declined(f"its {name} are {list(values)} for {rank} axes")
    return values


def split_pads(totals: Sequence[int], more_at_end: bool) -> Ints:
    """Half of each total before, half after; the odd one at the end or at the beginning."""
    small = [n // 2 for n in totals]
    large = [n - n // 2 for n in totals]
    return tuple((*small, *large) if more_at_end else (*large, *small))


def transposed_window(call: Call, kernel: Sequence[int]) -> tuple[Window, Ints]:
    """The window of a transposed convolution, and its output padding."""
    sizes = call.shape[2:]
    rank = len(sizes)
    strides, dilations = per_axis(call, "strides", rank), per_axis(call, "dilations", rank)
    extra = call.integers("output_padding") or (0,) * rank
    mode = pad_mode(call)
    shape = call.integers("output_shape")
    if not len(kernel) == len(extra) == rank <= len(shape or extra):
        raise Declined(f"its attributes are not for {rank} spatial axes")
    if shape is None and mode in {"NOTSET", "VALID"}:
        pads = call.integers("pads") if mode == "NOTSET" else None
        return Window(tuple(kernel), strides, pads or (0,) * (2 * rank), dilations), extra
    if shape is None:
        shape = tuple(n * s for n, s in zip(sizes, strides, strict=True))
    totals = [
        (n - 1) * s + e + reach(k, d) - wanted
        for n, s, e, k, d, wanted in zip(
            sizes, strides, extra, kernel, dilations, shape[-rank:], strict=True
        )
    ]
    extra = tuple(e + max(-total, 0) for e, total in zip(extra, totals, strict=True))
    pads = split_pads([max(total, 0) for total in totals], mode == "SAME_UPPER")
    return Window(tuple(kernel), strides, pads, dilations), extra

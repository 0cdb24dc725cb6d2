"""Geometry of sliding windows: how many there are and how many real elements each one has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["reach", "sizes_transposed", "window_counts", "window_divisors"]


def reach(kernel: int, dilation: int) -> int:
    """Elements from a window's first to its last, both included."""
    return (kernel - 1) * dilation + 1


def window_counts(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Number of windows per axis by ONNX's rules; zero or negative where the kernel doesn't fit.

    With `ceil_mode` a last, partial window counts if it starts inside the input or the padding
    before it.  `pads` are begins, then ends.
    """
    rank = len(sizes)
    counts = []
    for axis, size in enumerate(sizes):
        room = size + pads[axis] + pads[rank + axis] - reach(kernel[axis], dilations[axis])
        if room < 0 and not ceil_mode:
            counts.append(0)
            continue
        stride = strides[axis]
        count = (-(-room // stride) if ceil_mode else room // stride) + 1
        if ceil_mode and (count - 1) * stride >= size + pads[axis]:
            count -= 1
        counts.append(count)
    return tuple(counts)


def sizes_transposed(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
) -> tuple[int, ...]:
    """Sizes of a transposed convolution's result per axis."""
    rank = len(sizes)
    return tuple(
        (size - 1) * strides[i]
        + output_padding[i]
        + reach(kernel[i], dilations[i])
        - pads[i]
        - pads[rank + i]
        for i, size in enumerate(sizes)
    )


def window_divisors(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> npt.NDArray[np.int64]:
    """What an average divides by at each place, shape = window counts.

    Elements of the input count; with `count_include_pad` those of the explicit padding do too,
    but never what `ceil_mode` reaches beyond it.
    """
    rank = len(sizes)
    counts = window_counts(sizes, kernel, strides, pads, dilations, ceil_mode)
    result = np.ones((1,) * rank, np.int64)
    for axis, size in enumerate(sizes):
        before, after = pads[axis], pads[rank + axis]
        low, high = (-before, size + after) if count_include_pad else (0, size)
        starts = np.arange(counts[axis]) * strides[axis] - before
        places = starts[:, None] + np.arange(kernel[axis]) * dilations[axis]
        along = ((places >= low) & (places < high)).sum(axis=1)
        result = result * along.reshape((-1,) + (1,) * (rank - 1 - axis))
    return result

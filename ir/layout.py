"""How a tensor lies in a row stream: which logical element stands at each physical place.

The chip streams feature maps by rows, pixels within a row, channels innermost.  A `Form` says so
for one tensor as mixed-radix digits: reading physical places in order, outermost digit first, the
flat logical index (C order) is the sum of digit * stride.  Reshape leaves a form as it is,
transpose renames its strides, so both cost nothing until someone needs another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nmc.ir.graph import Array

__all__ = ["Digit", "Digits", "Form", "image_form", "row_form", "token_form"]


@dataclass(frozen=True, slots=True)
class Digit:
    """`size` values; one step moves `stride` elements in the flat logical index."""

    size: int
    stride: int


Digits = tuple[Digit, ...]


def normal(digits: Sequence[Digit]) -> Digits:
    """The same order with the fewest digits."""
    merged: list[Digit] = []
    for digit in digits:
        if digit.size == 1:
            continue
        if merged and merged[-1].stride == digit.size * digit.stride:
            merged[-1] = Digit(merged[-1].size * digit.size, digit.stride)
        else:
            merged.append(digit)
    return tuple(merged)


def count(digits: Sequence[Digit]) -> int:
    return prod(digit.size for digit in digits)


def offsets(digits: Sequence[Digit]) -> Array:
    """Flat logical offsets in physical order: i64[count]."""
    flat = np.zeros(1, np.int64)
    for digit in digits:
        flat = (flat[:, None] + np.arange(digit.size) * digit.stride).reshape(-1)
    return flat


@dataclass(frozen=True, slots=True)
class Form:
    """The digits of rows, of pixels within a row, and of channels within a pixel."""

    row_digits: Digits
    col_digits: Digits
    chan_digits: Digits

    @property
    def rows(self) -> int:
        return count(self.row_digits)

    @property
    def cols(self) -> int:
        return count(self.col_digits)

    @property
    def chans(self) -> int:
        return count(self.chan_digits)

    @property
    def digits(self) -> Digits:
        return self.row_digits + self.col_digits + self.chan_digits

    @property
    def normal(self) -> Form:
        return Form(normal(self.row_digits), normal(self.col_digits), normal(self.chan_digits))

    def same(self, other: Form) -> bool:
        """Whether each physical place holds the same logical element in both."""
        return self.normal == other.normal

    def order(self) -> Array:
        """Flat logical index of every physical place: i64[rows, cols, chans]."""
        return offsets(self.digits).reshape(self.rows, self.cols, self.chans)

    def transposed(self, shape: Sequence[int], perm: Sequence[int]) -> Form | None:
        """The form, in coordinates of the transposed tensor, of the same bytes.

        `shape` is the tensor's before the transpose.  None if a digit straddles dimensions.
        """
        strides = _strides([shape[p] for p in perm])
        new = {axis: strides[i] for i, axis in enumerate(perm)}
        groups = [
            _renamed(group, shape, new)
            for group in (self.row_digits, self.col_digits, self.chan_digits)
        ]
        rows, cols, chans = groups
        if rows is None or cols is None or chans is None:
            return None
        return Form(rows, cols, chans).normal

    def restrided(self, shape: Sequence[int], strides: Sequence[int]) -> Digits | None:
        """All digits, cut at the borders of the axes of `shape`, with the axes' new strides.

        Digits of rows stay apart from those of pixels and channels, whichever merge otherwise.
        """
        new = dict(enumerate(strides))
        rows = _renamed(self.row_digits, shape, new)
        places = _renamed(self.col_digits + self.chan_digits, shape, new)
        if rows is None or places is None:
            return None
        return rows + places

    def factors_and_perm(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Physical order as numpy would make it: reshape to factors, transpose by perm, flatten."""
        digits = normal(self.digits)
        by_stride = sorted(range(len(digits)), key=lambda i: -digits[i].stride)
        factors = tuple(digits[i].size for i in by_stride)
        perm = tuple(by_stride.index(i) for i in range(len(digits)))
        return factors or (1,), perm or (0,)


def _strides(shape: Sequence[int]) -> list[int]:
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def _renamed(digits: Digits, shape: Sequence[int], new: dict[int, int]) -> Digits | None:
    """Digits with each stride in an axis of `shape` replaced by that axis's new stride."""
    old = _strides(shape)
    result: list[Digit] = []
    for digit in normal(digits):
        parts = _split(digit, shape, old)
        if parts is None:
            return None
        result += [Digit(size, step * new[axis]) for axis, size, step in parts]
    return tuple(result)


def _split(
    digit: Digit, shape: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int, int]] | None:
    """A digit cut at the borders of axes: (axis, size, step within the axis), outermost first."""
    parts: list[tuple[int, int, int]] = []
    size, stride = digit.size, digit.stride
    for axis in range(len(shape) - 1, -1, -1):
        extent = strides[axis] * shape[axis]
        if shape[axis] == 1 or stride >= extent:
            continue
        if size == 1:
            break
        if stride % strides[axis]:
            return None
        step = stride // strides[axis]
        room = shape[axis] // step
        here = min(size, room)
        if size > room and (size % room or shape[axis] % step):
            return None
        parts.append((axis, here, step))
        size, stride = size // here, extent
    return parts[::-1] if size == 1 else None


def image_form(shape: Sequence[int]) -> Form | None:
    """[1, C, H, W] or [1, C, L]: rows H of W pixels, or L rows of one pixel; channels innermost."""
    if len(shape) not in (3, 4) or shape[0] != 1:
        return None
    spatial = shape[2:]
    area = prod(spatial)
    width = spatial[1] if len(spatial) == 2 else 1
    cols = (Digit(width, 1),) if len(spatial) == 2 else ()
    return Form((Digit(spatial[0], width),), cols, (Digit(shape[1], area),)).normal


def token_form(shape: Sequence[int]) -> Form:
    """[..., K]: one row per leading index, K channels."""
    k = shape[-1] if shape else 1
    return Form((Digit(prod(shape[:-1]), k),), (), (Digit(k, 1),)).normal


def row_form(shape: Sequence[int]) -> Form:
    """All elements as one row of channels, in logical order."""
    return Form((), (), (Digit(prod(shape), 1),)).normal

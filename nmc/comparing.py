"""Figures of two sets of outputs: errors, signal to noise, quanta, the class that wins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array, Quant

__all__ = ["Comparison", "compare", "decibels", "reals", "winners"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One tensor against its reference.

    `snr_db` is infinite where they are equal.  Of quantised tensors `max_quanta` is the largest
    difference in steps of the scale, `quanta_equal` the share of elements that don't differ.
    """

    name: str
    elements: int
    differing: int
    max_abs_error: float
    snr_db: float
    max_quanta: int | None = None
    quanta_equal: float | None = None

    @property
    def equal(self) -> bool:
        return not self.differing


def compare(
    name: str,
    got: Array,
    wanted: Array,
    quant: Quant | None = None,
    wanted_quant: Quant | None = None,
) -> Comparison:
    """`quant` says what stored integers mean, or which scale reals are multiples of;
    `wanted_quant` the same of the reference, where that is stored otherwise."""
    ours, theirs = reals(got, quant), reals(wanted, wanted_quant or quant)
    differing = int(np.count_nonzero(~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))))
    error = np.abs(ours - theirs)
    most = float(error.max()) if error.size else 0.0
    result = Comparison(name, ours.size, differing, most, decibels(theirs, ours))
    if quant is None or not ours.size:
        return result
    quanta = np.rint(error / quant.scale)
    share = float(np.mean(quanta == 0))
    return Comparison(name, ours.size, differing, most, result.snr_db, int(quanta.max()), share)


def reals(array: Array, quant: Quant | None) -> Array:
    """What stored integers stand for; floats stand for themselves."""
    if quant is None or array.dtype.kind == "f":
        return array.astype(np.float64)
    return (array.astype(np.float64) - quant.zero_point) * quant.scale


def decibels(signal: Array, noisy: Array) -> float:
    """Power of the signal over that of the difference."""
    noise = float(np.sum(np.square(noisy - signal)))
    power = float(np.sum(np.square(signal)))
    if noise == 0:
        return math.inf
    return 10 * math.log10(power / noise) if power else -math.inf


def winners(array: Array) -> Array | None:
    """The index of the largest element of each sample, if samples are vectors of scores.

    Axes of one element don't count; a single score has no winner.
    """
    rows = array.reshape(len(array), -1)
    inner = [size for size in array.shape[1:] if size > 1]
    return rows.argmax(axis=1) if len(inner) == 1 else None

"""Ranges of activations, measured by running the float graph over calibration data.

One pass over the data fills a histogram per value, whose span doubles when a sample exceeds it,
so nothing is kept but counts.  From a histogram each method of `Method` chooses a range.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from nmc.ir.design import Calibration
from nmc.ir.graph import Array, Graph, Quant, Value
from nmc.ir.interpreter import HostRunner, run_graph_batch

__all__ = ["Histogram", "Method", "choose_range", "measure", "quant_of_range"]

Method = Literal["minmax", "percentile", "mse"]
Range = tuple[float, float]
Doubles = npt.NDArray[np.float64]

BINS = 4096
"""Of a histogram, half of them below zero: about 16 per step of an 8-bit range at the worst."""

BLOCK = 1 << 16
"""Elements counted at a time, which the processor's caches hold."""

KEPT_BYTES = 1 << 26
"""About how much memory the measured values of samples that run together may take."""

PARTS_AT_ONCE = 2
"""So many times that is taken."""

TINY = 1e-30
"""No scale is smaller: multipliers are quotients of scales and must stay normal float32."""

SHRINKS = np.linspace(1.0, 0.3, 29)
"""Shares of a range that the least-squares search tries."""


@dataclass(slots=True)
class Histogram:
    """Counts over [-span, span), exact zeros apart; span is a power of two that grows."""

    counts: Doubles = field(default_factory=lambda: np.zeros(BINS))
    span: float = 0.0
    zeros: int = 0
    low: float = 0.0
    high: float = 0.0
    strange: int = 0
    """Elements that were NaN or infinite; they are left out."""

    def add(self, x: Array) -> None:
        flat = self.finite(x.reshape(-1))
        some = int(np.count_nonzero(flat != 0))
        self.zeros += flat.size - some
        if not some:
            return
        low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.reach(max(-low, high))
        for start in range(0, flat.size, BLOCK):
            places = np.floor(flat[start : start + BLOCK] * np.float64(BINS / 2 / self.span))
            bins = np.minimum(places.astype(np.intp) + BINS // 2, BINS - 1)
            self.counts += np.bincount(bins, minlength=BINS)
        self.counts[BINS // 2] -= flat.size - some

    def finite(self, flat: Array) -> Array:
        """The elements without those that are strange, which are counted."""
        kept = np.isfinite(flat)
        if kept.all():
            return flat
        self.strange += flat.size - int(np.count_nonzero(kept))
        return flat[kept]

    def reach(self, magnitude: float) -> None:
        """Let the span cover a magnitude, merging bins as it doubles."""
        if not magnitude:
            return
        wanted = 2.0 ** math.ceil(math.log2(max(magnitude, TINY)))
        if not self.span:
            self.span = wanted
        while self.span < wanted:
            self.span *= 2
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            quarter = BINS // 4
            self.counts = np.concatenate([np.zeros(quarter), pairs, np.zeros(quarter)])

    def merge(self, other: Histogram) -> None:
        """Take in another's counts, as if its data had been added here."""
        self.zeros += other.zeros
        self.strange += other.strange
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if not other.span:
            return
        grown = Histogram(other.counts, other.span)
        self.reach(other.span)
        grown.reach(self.span)
        self.counts = self.counts + grown.counts

    @property
    def centres(self) -> Doubles:
        return np.asarray((np.arange(BINS) + 0.5 - BINS / 2) * (self.span * 2 / BINS), np.float64)


# Choosing a range


def choose_range(histogram: Histogram, method: Method, percentile: float, bits: int) -> Range:
    """The reals from low to high that stored integers should cover; both finite."""
    full = histogram.low, histogram.high
    match method:
        case "minmax":
            return full
        case "percentile":
            return percentile_range(histogram, percentile)
        case "mse":
            return least_squares_range(histogram, bits)


def percentile_range(histogram: Histogram, percentile: float) -> Range:
    """What holds `percentile` % of all elements, the rest split evenly between both tails."""
    total = histogram.counts.sum() + histogram.zeros
    if not total or not histogram.span:
        return 0.0, 0.0
    counts = histogram.counts.copy()
    counts[BINS // 2] += histogram.zeros
    tail = total * (100 - percentile) / 200
    below = np.cumsum(counts)
    above = np.cumsum(counts[::-1])
    first = int(np.searchsorted(below, tail, side="right"))
    last = BINS - 1 - int(np.searchsorted(above, tail, side="right"))
    width = histogram.span * 2 / BINS
    low, high = (first - BINS // 2) * width, (last + 1 - BINS // 2) * width
    return max(low, histogram.low), min(high, histogram.high)


def least_squares_range(histogram: Histogram, bits: int) -> Range:
    """The range with the least mean squared error of rounding and clipping together.

    Both ends are shrunk together first, then each alone.
    """
    used = histogram.counts > 0
    data = histogram.centres[used], histogram.counts[used]
    low, high = histogram.low, histogram.high
    if not data[0].size:
        return low, high

    def best(ranges: list[Range]) -> Range:
        return min(
            ranges, key=lambda r: squared_error(*data, quant_of_range(r[0], r[1], bits), bits)
        )

    low, high = best([(low * s, high * s) for s in SHRINKS])
    low, high = best([(low, high * s) for s in SHRINKS])
    return best([(low * s, high) for s in SHRINKS])


def squared_error(x: Doubles, counts: Doubles, quant: Quant, bits: int) -> float:
    top = (1 << bits) - 1 - quant.zero_point
    stored = np.clip(np.rint(x / quant.scale), -quant.zero_point, top)
    return float(counts @ (stored * quant.scale - x) ** 2)


def quant_of_range(low: float, high: float, bits: int = 8) -> Quant:
    """Scale and zero point by which u8 of `bits` bits cover a range; zero is stored exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << bits) - 1
    scale = float(np.float32((high - low) / top))
    if scale < TINY:
        return Quant(1.0, 0)
    return Quant(scale, int(np.clip(np.rint(-low / scale), 0, top)))


# Measuring


def measure(
    graph: Graph,
    values: Collection[Value],
    calibration: Calibration,
    host: HostRunner | None,
) -> dict[Value, Histogram]:
    """What each of the values holds while the graph runs over the calibration data."""
    names = {value.name for value in values}
    sample_bytes = sum(value.type.nbytes for value in values)
    step = max(1, KEPT_BYTES // max(sample_bytes, 1))

    def measured(part: dict[str, Array]) -> list[Histogram]:
        found = run_graph_batch(graph, part, keep=names, host=host)
        return [histogram_of(found[value.name]) for value in values]

    histograms = {value: Histogram() for value in values}
    # Numpy lets go of the interpreter, so that threads compute side by side.
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        for more in pool.map(measured, parts(graph.inputs, calibration, step)):
            for histogram, other in zip(histograms.values(), more, strict=True):
                histogram.merge(other)
    return histograms


def histogram_of(x: Array) -> Histogram:
    histogram = Histogram()
    histogram.add(x)
    return histogram


def parts(
    inputs: Sequence[Value], calibration: Calibration, step: int
) -> Iterator[dict[str, Array]]:
    """The calibration data, up to `step` samples at a time, with samples along each first axis."""
    data = {
        value.name: as_rows(calibration.inputs[value.name], value)
        for value in inputs
        if value.name in calibration.inputs
    }
    rows = {value.name: value.type.shape[0] if value.type.shape else 1 for value in inputs}
    count = min((len(array) // rows[name] for name, array in data.items()), default=0)
    pieces = -(-count // step)
    for piece in range(pieces):
        start, stop = piece * count // pieces, (piece + 1) * count // pieces
        yield {name: a[start * rows[name] : stop * rows[name]] for name, a in data.items()}


def as_rows(samples: Array, value: Value) -> Array:
    """Samples merged into the first axis of what the graph takes as one, if they are not yet."""
    shape = value.type.shape
    return samples.reshape(-1, *shape[1:]) if samples.shape[1:] == shape else samples

"""What the tiles of a layer add up to, for many windows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from nmc.ir.target import Target
from nmc.passes.tiling.cuts import Bands, Matrix, bands_of
from nmc.passes.tiling.grids import gathered
from nmc.passes.tiling.layers import Layer, Way
from nmc.passes.tiling.spelling import WayName
from nmc.passes.tiling.timing import conversion_cycles, read_interval

__all__ = ["measured"]

Ints = npt.NDArray[np.int64]

MOST_BANDS = 1 << 18
"""Bands that are looked at in one go; more windows than that are taken in several."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the tiles of a layer, or of a block of it, come to per grid: i64[n] each.

    Of a phase: `channels` that are converted, `adc_cycles` that this takes in all, and of the ADC
    that is busiest with one crossbar.  `cells` are rows x outputs.  Of a read: `input_bytes`, and
    those of its largest gather.
    """

    crossbars: Ints
    cells: Ints
    channels: Ints
    adc_cycles: Ints
    input_bytes: Ints
    busiest: Ints
    largest_bytes: Ints


def measured(
    layer: Layer, target: Target, together: int, grids: Ints, sharing: int
) -> Iterator[Way]:
    """The ways with so many groups on a crossbar and each of these grids."""
    for part in in_parts(layer, target, together, grids):
        sums = layer_sums(layer, target, together, part)
        interval = interval_of(layer, target, sums, part, sharing)
        yield from ways_with(layer, target, together, part, sums, interval)


def in_parts(layer: Layer, target: Target, together: int, grids: Ints) -> Iterator[Ints]:
    bands = -(-gathered(layer.matrix(together), grids) // target.crossbar.rows)
    parts = bands.cumsum() // MOST_BANDS
    return (grids[parts == number] for number in np.unique(parts))


def ways_with(
    layer: Layer, target: Target, together: int, grids: Ints, sums: Sums, interval: Ints
) -> Iterator[Way]:
    firings, reads = -(-layer.rows // grids[:, 0]), -(-layer.cols // grids[:, 1])
    firing = np.maximum(reads * interval, grids[:, 0] * layer.post_cycles)
    area = target.crossbar.rows * target.outputs_per_crossbar
    for i, (rows, pixels) in enumerate(grids.tolist()):
        yield Way(
            name=WayName((rows, pixels), together if layer.groups > 1 else 0),
            crossbars=int(sums.crossbars[i]),
            area=Fraction(int(sums.cells[i]), area),
            firings=int(firings[i]),
            reads=int(reads[i]),
            input_bytes=int(sums.input_bytes[i]),
            conversions=int(sums.channels[i]) * target.phases,
            adc_cycles=int(sums.adc_cycles[i]) * target.phases,
            read_cycles=int(interval[i]),
            firing_cycles=int(firing[i]),
        )


def interval_of(layer: Layer, target: Target, sums: Sums, grids: Ints, sharing: int) -> Ints:
    """Cycles from one read of a copy to the next, with such neighbours on its ADCs."""
    bytes_per_cycle = target.core.sram_bytes_per_cycle
    # As many crossbars as share the ADCs, each of them as busy as the copy's are on average.
    crowd = -(-sums.adc_cycles * sharing // (sums.crossbars * target.adc.adcs_per_cluster))
    return read_interval(
        target,
        np.maximum(sums.busiest, crowd),
        -(-sums.largest_bytes // bytes_per_cycle),
        -(-4 * layer.outputs * grids.prod(axis=1) // bytes_per_cycle),
        -(-sums.input_bytes // bytes_per_cycle),
    )


def layer_sums(layer: Layer, target: Target, together: int, grids: Ints) -> Sums:
    """All blocks of the layer: as many groups each as lie together, the last with the rest."""
    full, rest = divmod(layer.groups, together)
    blocks = [(full, block_sums(layer.matrix(together), target, grids))]
    if rest:
        blocks.append((1, block_sums(layer.matrix(rest), target, grids)))

    def added(of: Callable[[Sums], Ints]) -> Ints:
        return np.asarray(np.sum([count * of(sums) for count, sums in blocks], axis=0))

    largest = blocks[0][1]
    return Sums(
        added(lambda sums: sums.crossbars),
        added(lambda sums: sums.cells),
        added(lambda sums: sums.channels),
        added(lambda sums: sums.adc_cycles),
        added(lambda sums: sums.input_bytes),
        largest.busiest,
        largest.largest_bytes,
    )


def block_sums(matrix: Matrix, target: Target, grids: Ints) -> Sums:
    """What the tiles of one block add up to, per grid."""
    bands = bands_of(matrix, grids, target.crossbar.rows)
    most = target.outputs_per_crossbar
    unit = int(target.crossbar.encoding != "differential")
    tiles = -(-bands.outputs // most)
    channels = bands.outputs * target.slices + tiles * unit
    each = conversion_cycles(target)[bands.rows]
    cycles = bands.outputs * each + tiles * unit * target.conversion_cycles()
    busiest = np.minimum(bands.outputs, most) * each + unit * target.conversion_cycles()
    size = len(grids)
    worst = np.zeros(size, np.int64)
    np.maximum.at(worst, bands.grid, on_one_adc(target, busiest, np.minimum(bands.outputs, most)))
    return Sums(
        total(bands, tiles, size),
        total(bands, bands.rows * bands.outputs, size),
        total(bands, channels, size),
        total(bands, cycles, size),
        gathered(matrix, grids),
        worst,
        gathered(matrix, grids),
    )


def on_one_adc(target: Target, cycles: Ints, outputs: Ints) -> Ints:
    """What the busiest ADC of a cluster has to do for one crossbar alone, in a phase."""
    adcs = target.adc.adcs_per_cluster
    if target.adc.wiring == "interleaved":
        return -(-cycles // adcs)
    # Blocked: neighbouring channels share an ADC, and a tile begins at channel 0.
    unit = int(target.crossbar.encoding != "differential")
    channels = outputs * target.slices + unit
    here = np.minimum(channels, -(-target.channels // adcs))
    return np.asarray(-(-cycles * here // channels))


def total(bands: Bands, values: Ints, size: int) -> Ints:
    sums = np.zeros(size, np.int64)
    np.add.at(sums, bands.grid, values)
    return sums

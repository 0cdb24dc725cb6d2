"""How busy one input keeps each ADC: what tiles ask for, and the least that any placement leaves.

Cycles of conversion per input, from the mapping and the target alone.  Before `schedule-adc` has
chosen the bits of a tile's conversions, as many are counted as its rows can need, and no slice is
taken for zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Kind, Mapping, Stage, Tile
from nmc.ir.rows import firings, turn_numbers
from nmc.ir.shares import runs_of
from nmc.ir.target import Target

__all__ = ["AdcBalance", "TileCycles", "adc_balance", "least_busiest", "reads_per_input"]


@dataclass(frozen=True, slots=True)
class AdcBalance:
    """Cycles per input of the busiest ADC, and what no placement of the same tiles goes below."""

    busiest: int
    bound: int

    @property
    def gap(self) -> float:
        """How much busier the busiest ADC is than the bound, as a share of the bound."""
        return self.busiest / self.bound - 1 if self.bound else 0.0


def reads_per_input(mapping: Mapping, stage: Stage) -> int:
    """How often one input reads each tile of a matrix stage; 0 for other stages."""
    if stage.kind is not Kind.MATRIX:
        return 0
    made = mapping.streams[stage.output]
    if not stage.pixels:  # not yet decided: all at once
        return firings(mapping, stage) * -(-made.cols // stage.grid[1])
    begun = turn_numbers(mapping, stage)
    return sum(
        run.count * -(-run.pixels // stage.grid[1]) * int((begun + run.row < turns).sum())
        for turns in (-(-made.rows // stage.grid[0]),)
        for run in runs_of(mapping, stage, made.rows)
    )


class TileCycles:
    """Cycles of one phase of a read, by ADC of the tile's cluster: i64[adcs_per_cluster].

    Tiles of the same size, place on the crossbar and conversions share one answer.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.known: dict[tuple[object, ...], Array] = {}

    def of(self, tile: Tile) -> Array:
        rows = 0 if tile.bits else tile.rows
        key = (tile.outputs, tile.channel0, rows, tile.bits, tile.converted)
        if key not in self.known:
            self.known[key] = self._count(tile)
        return self.known[key]

    def _count(self, tile: Tile) -> Array:
        target, slices = self.target, self.target.slices
        bits = tile.bits or (self._bits_for(tile.rows),) * slices
        converted = tile.converted or (True,) * slices
        each = np.array(
            [target.conversion_cycles(b) * c for b, c in zip(bits, converted, strict=True)]
        )
        cycles = np.tile(each, tile.outputs)
        if target.crossbar.encoding != "differential":  # the unit column
            cycles = np.append(cycles, target.conversion_cycles(bits[0]))
        adcs = self._adcs(tile.channel0 + np.arange(len(cycles)))
        counted = np.bincount(adcs, cycles, target.adc.adcs_per_cluster)
        return counted.astype(np.int64)

    def _adcs(self, channels: Array) -> Array:
        adc = self.target.adc
        if adc.wiring == "interleaved":
            return channels % adc.adcs_per_cluster
        return channels * adc.adcs_per_cluster // self.target.channels

    def _bits_for(self, rows: int) -> int:
        """The fewest bits at which no value of so many rows clips, or all that the ADC has."""
        least, most = self.target.column_range(rows)
        for bits in range(1, self.target.adc.bits):
            lo, hi = self.target.code_range(bits=bits)
            if lo <= least and most <= hi:
                return bits
        return self.target.adc.bits


def adc_balance(mapping: Mapping, target: Target, step: int) -> AdcBalance:
    """Of one chip step of a placed mapping."""
    tiles = [t for t in mapping.tiles if mapping.stages[t.stage].step == step]
    cycles = _cycles_per_input(mapping, tiles, target)
    if not tiles:
        return AdcBalance(0, 0)
    clusters = target.clusters_per_core
    size = target.adc.crossbars_per_cluster
    places = np.array([t.core * clusters + t.crossbar // size for t in tiles])
    _, where = np.unique(places, return_inverse=True)
    total = np.zeros((where.max() + 1, target.adc.adcs_per_cluster), np.int64)
    np.add.at(total, where, cycles)
    bound = least_busiest(cycles, target.cores * clusters)
    return AdcBalance(int(total.max()), bound)


def least_busiest(cycles: Array, clusters: int) -> int:
    """What the busiest ADC of so many clusters has to do at least, of i64[tiles, ADCs].

    It is no less busy than all are on average, than one tile alone makes it, or than those j+1
    tiles make it of which, of any j * clusters + 1, one cluster gets as many.
    """
    if not cycles.size:
        return 0
    count, adcs = cycles.shape
    whole = cycles.sum(axis=1)
    bound = max(int(cycles.max()), -(-int(whole.sum()) // (clusters * adcs)))
    falling = np.sort(whole)[::-1]
    upto = np.concatenate([[0], np.cumsum(falling)])
    for j in range(1, (count - 1) // clusters + 1):
        together = int(upto[j * clusters + 1] - upto[j * clusters - j])
        bound = max(bound, -(-together // adcs))
    return int(bound)


def _cycles_per_input(mapping: Mapping, tiles: list[Tile], target: Target) -> Array:
    """i64[tiles, adcs_per_cluster]."""
    table = TileCycles(target)
    reads = {t.stage: 0 for t in tiles}
    for index in reads:
        reads[index] = reads_per_input(mapping, mapping.stages[index])
    each = [table.of(t) * (reads[t.stage] * target.phases) for t in tiles]
    return np.stack(each) if each else np.zeros((0, target.adc.adcs_per_cluster), np.int64)

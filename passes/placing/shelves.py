"""Several tiles on one crossbar: rectangles of cells on shelves, as far as reading them allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from nmc.ir.graph import Array
from nmc.passes.placing.asks import Ask
from nmc.passes.placing.rooms import Rooms, Seat

__all__ = ["SharedCrossbars"]


@dataclass(slots=True, eq=False)
class SharedCrossbars(Rooms):
    """Cores whose crossbars hold tiles of several stages.

    A crossbar's tiles stand on shelves, one above the other; only the last shelf takes more (next
    fit: Coffman, Garey, Johnson and Tarjan, "Performance bounds for level-oriented two-dimensional
    packing algorithms", SIAM J. Comput. 9, 1980).  A read takes the crossbar's latches for itself,
    so no stage has two tiles there, whose reads would wait for each other, and what all its tiles
    keep a crossbar busy is held to the limit of the ADCs.

    Per crossbar, i64[cores, clusters, crossbars of a cluster]: the last shelf's first row
    (`shelf`), its height (`height`) and the first channel that is free on it (`channel`).  `held`
    is, per step, cycles per input for which it is read.
    """

    shelf: Array = field(init=False)
    height: Array = field(init=False)
    channel: Array = field(init=False)
    held: dict[int, Array] = field(default_factory=dict[int, Array])

    def __post_init__(self) -> None:
        shape = (*self.left.shape, self.target.adc.crossbars_per_cluster)
        self.shelf = np.zeros(shape, np.int64)
        self.height = np.zeros(shape, np.int64)
        self.channel = np.zeros(shape, np.int64)

    def copy(self) -> Self:
        made = super(SharedCrossbars, self).copy()
        made.shelf, made.height = self.shelf.copy(), self.height.copy()
        made.channel = self.channel.copy()
        made.held = {step: held.copy() for step, held in self.held.items()}
        return made

    def _crossbars(self, ask: Ask, cores: slice) -> Array:
        there = (cores, slice(None), slice(None))
        fitting = self._on_shelf(there, *ask.largest) | self._above(there, ask.largest[0])
        held = self._held(ask.step)[there]
        fitting &= (held == 0) | (held + int(ask.held.max(initial=0)) <= self.limit)
        return np.asarray(fitting.sum(axis=2))

    def _held(self, step: int) -> Array:
        return self.held.setdefault(step, np.zeros_like(self.shelf))

    def _on_shelf(self, there: tuple[slice | int, ...], rows: int, channels: int) -> Array:
        channels_left = self.target.channels - self.channel[there]
        return np.asarray((rows <= self.height[there]) & (channels <= channels_left))

    def _above(self, there: tuple[slice | int, ...], rows: int) -> Array:
        """Where a new shelf of so many rows can begin."""
        used = self.shelf[there] + self.height[there]
        return np.asarray(rows <= self.target.crossbar.rows - used)

    def _seats(self, ask: Ask, core: int, tiles: range, clusters: list[int]) -> list[Seat]:
        """Crossbars apart from each other: where a shelf is just high enough, or the least used."""
        size, held = self.target.adc.crossbars_per_cluster, self._held(ask.step)
        taken = np.zeros((*self.left.shape[1:], size), np.bool_)
        seats: list[Seat] = []
        for tile, cluster in zip(tiles, clusters, strict=True):
            there = core, cluster
            rows, channels = ask.sizes[tile].tolist()
            beside, above = self._on_shelf(there, rows, channels), self._above(there, rows)
            spare = self.height[there] - rows
            fresh = self.height[there] == 0
            keys = (held[there], spare, fresh, ~beside, ~(beside | above) | taken[cluster])
            place = int(np.lexsort(keys)[0])
            taken[cluster, place] = True
            seats.append(self._put((*there, place), rows, channels, bool(beside[place])))
            held[core, cluster, place] += ask.held[tile]
        return seats

    def _put(self, there: tuple[int, int, int], rows: int, channels: int, beside: bool) -> Seat:
        """A tile on the last shelf of a crossbar, or on a new one above it."""
        _, cluster, place = there
        if not beside:
            self.shelf[there] += self.height[there]
            self.height[there], self.channel[there] = rows, 0
        first = int(self.channel[there])
        self.channel[there] += channels
        crossbar = cluster * self.target.adc.crossbars_per_cluster + place
        return Seat(crossbar, int(self.shelf[there]), first)

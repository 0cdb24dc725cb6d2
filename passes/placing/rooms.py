"""What is left of each core while stages take their places: crossbars, converters, memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.target import Target
from nmc.passes.placing.asks import Ask
from nmc.passes.placing.needs import Need

__all__ = ["ANY_LIMIT", "Rooms", "Seat", "StepRoom"]

ANY_LIMIT = 1 << 62
"""Cycles per input that no ADC ever has to do."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A tile's place in its core: crossbar, and where on it the tile begins."""

    crossbar: int
    row0: int = 0
    channel0: int = 0


@dataclass(slots=True, eq=False)
class StepRoom:
    """What one step of the chip takes of each core.

    `adcs`: cycles per input, i64[cores, clusters, ADCs], and `busiest` the most of a cluster,
    i64[cores, clusters]; the rest is i64[cores], `vector` in cycles per input.
    """

    adcs: Array
    busiest: Array
    vector: Array
    sram_bytes: Array
    sequencers: Array
    semaphores: Array

    @classmethod
    def empty(cls, target: Target) -> StepRoom:
        cores, clusters = target.cores, target.clusters_per_core
        each = [np.zeros(cores, np.int64) for _ in range(4)]
        adcs = np.zeros((cores, clusters, target.adc.adcs_per_cluster), np.int64)
        return cls(adcs, np.zeros((cores, clusters), np.int64), *each)

    def copy(self) -> StepRoom:
        return StepRoom(
            self.adcs.copy(),
            self.busiest.copy(),
            self.vector.copy(),
            self.sram_bytes.copy(),
            self.sequencers.copy(),
            self.semaphores.copy(),
        )


@dataclass(slots=True, eq=False)
class Rooms:
    """All cores.  Crossbars belong to a tile for good, the rest serves one step at a time.

    `left`: crossbars of each cluster without a tile, i64[cores, clusters]; `owner`: the layer that
    each cluster belongs to where clusters are for one layer alone, or -1.  No ADC may be given
    more than `limit` cycles per input, and for the time being no cluster more than `quota` tiles.
    What the slowest stage takes for an input anyway, `pace`, other units than ADCs may take too.
    """

    target: Target
    left: Array
    owner: Array | None = None
    steps: dict[int, StepRoom] = field(default_factory=dict[int, StepRoom])
    limit: int = ANY_LIMIT
    quota: int = ANY_LIMIT
    pace: int = 0

    @classmethod
    def empty(cls, target: Target, *, owned: bool = False) -> Self:
        """An empty chip; `owned` keeps layers apart."""
        shape = (target.cores, target.clusters_per_core)
        left = np.full(shape, target.adc.crossbars_per_cluster)
        return cls(target, left, np.full(shape, -1, np.int64) if owned else None)

    def copy(self) -> Self:
        owner = None if self.owner is None else self.owner.copy()
        steps = {step: room.copy() for step, room in self.steps.items()}
        return type(self)(
            self.target, self.left.copy(), owner, steps, self.limit, self.quota, self.pace
        )

    def step(self, step: int) -> StepRoom:
        if step not in self.steps:
            self.steps[step] = StepRoom.empty(self.target)
        return self.steps[step]

    # What there is room for

    def capacity(self, ask: Ask) -> Array:
        """How many of a stage's tiles each core can take within the limit: i64[cores]."""
        room = self._crossbars(ask, slice(None))
        if ask.hottest and self.limit < ANY_LIMIT:
            idle = np.maximum(self.limit - self.step(ask.step).busiest, 0)
            room = np.minimum(room, idle // ask.hottest)
        return np.asarray(room.sum(axis=1))

    def crossbars(self, ask: Ask, core: int) -> list[int]:
        """Crossbars of each cluster of a core that can take a tile, whatever the ADCs do."""
        return [int(count) for count in self._crossbars(ask, slice(core, core + 1))[0]]

    def _crossbars(self, ask: Ask, cores: slice) -> Array:
        """The same for some cores: i64[cores, clusters]."""
        room = self.left[cores]
        if self.quota < self.target.adc.crossbars_per_cluster:
            room = np.maximum(room - (self.target.adc.crossbars_per_cluster - self.quota), 0)
        if self.owner is None:
            return room
        owner = self.owner[cores]
        return np.where((owner < 0) | (owner == ask.layer), room, 0)

    def fits(self, ask: Ask, need: Need, share: float = 1.0) -> Array:
        """Cores with room for the home of a stage if only a share of each core may be used:
        bool[cores]."""
        room, core = self.step(ask.step), self.target.core
        return np.asarray(
            (room.sram_bytes + need.sram_bytes[0] <= share * core.sram_bytes)
            & (room.sequencers + need.sequencers[0] <= share * core.sequencers)
            & (room.semaphores + need.semaphores[0] <= share * core.semaphores)
        )

    def calm(self, ask: Ask, share: float) -> Array:
        """Cores whose vector unit would be busy for less than a share of the limit, or of the
        pace: bool[cores]."""
        cycles = self.step(ask.step).vector + ask.vector_cycles
        return np.asarray(cycles <= share * max(self.limit, self.pace))

    def lacking(self, ask: Ask, need: Need, cores: Array) -> Array:
        """Of the cores on which a stage would lie, home first: where room is short, bool[cores]."""
        room, core = self.step(ask.step), self.target.core
        return np.asarray(
            (room.sram_bytes[cores] + need.sram_bytes > core.sram_bytes)
            | (room.sequencers[cores] + need.sequencers > core.sequencers)
            | (room.semaphores[cores] + need.semaphores > core.semaphores)
        )

    # Taking it

    def take(self, ask: Ask, need: Need, cores: Array) -> None:
        """Everything but crossbars, on these different cores, home first."""
        room = self.step(ask.step)
        room.sram_bytes[cores] += need.sram_bytes
        room.sequencers[cores] += need.sequencers
        room.semaphores[cores] += need.semaphores
        room.vector[cores[0]] += ask.vector_cycles

    def seat(self, ask: Ask, core: int, tiles: range, clusters: list[int]) -> list[Seat]:
        """Seats for some of a stage's tiles in these clusters of a core, which have room."""
        room = self.step(ask.step)
        np.add.at(room.adcs[core], clusters, ask.cycles[tiles.start : tiles.stop])
        room.busiest[core] = room.adcs[core].max(axis=1)
        if self.owner is not None:
            self.owner[core, clusters] = ask.layer
        return self._seats(ask, core, tiles, clusters)

    def _seats(self, ask: Ask, core: int, tiles: range, clusters: list[int]) -> list[Seat]:
        """The next crossbar of each cluster in turn."""
        seats, size = [], self.target.adc.crossbars_per_cluster
        for cluster in clusters:
            self.left[core, cluster] -= 1
            seats.append(Seat((cluster + 1) * size - 1 - int(self.left[core, cluster])))
        return seats

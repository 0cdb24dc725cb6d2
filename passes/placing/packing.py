"""Stages onto cores: crossbars, ADCs and memories shared out, wherever the cores may lie.

Cores have no place on the mesh here, only an order, and stages want to lie where they come in the
order of the dataflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nmc.ir.graph import Array
from nmc.passes.placing.asks import Ask
from nmc.passes.placing.needs import Needs
from nmc.passes.placing.rooms import ANY_LIMIT, Rooms, Seat

__all__ = ["Packing", "Run", "first_fit", "near", "packed"]

ATTEMPTS = 12
"""So many times a stage looks for other cores when some that it chose lack memory."""

COMFORT = 0.5
"""Up to this share of a core's memory, sequencers and vector unit a stage takes the nearest core:
what is left makes rings deeper than they must be."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Neighbouring tiles of a stage, by their numbers within it, and their seats in a core."""

    stage: int
    core: int
    tiles: range
    seats: list[Seat]


@dataclass(slots=True, eq=False)
class Packing:
    """Who lies where: the cores of each stage, home first, with how many accumulators its part on
    each gives for a read; and the seats of its tiles.

    `in_order` fills the clusters of a core one after the other; otherwise a tile goes where the
    ADCs have least to do.
    """

    rooms: Rooms
    needs: Needs
    in_order: bool = False
    cores: dict[int, Array] = field(default_factory=dict[int, Array])
    sums: dict[int, Array] = field(default_factory=dict[int, Array])
    runs: list[Run] = field(default_factory=list[Run])

    def copy(self) -> Packing:
        return Packing(
            self.rooms.copy(),
            self.needs,
            self.in_order,
            dict(self.cores),
            dict(self.sums),
            list(self.runs),
        )

    def settle(self, ask: Ask, cores: Array, counts: Sequence[int]) -> None:
        """Put a stage on cores that have the room, home first, runs of its tiles on each."""
        need = self.needs.of(ask.stage, tuple(counts))
        self.rooms.take(ask, need, cores)
        self.cores[ask.stage], self.sums[ask.stage] = cores, need.sums
        first = 0
        for core, count in zip(cores.tolist(), counts, strict=True):
            if count:
                tiles = range(first, first + count)
                clusters = self._clusters(ask, core, tiles)
                seats = self.rooms.seat(ask, core, tiles, clusters)
                self.runs.append(Run(ask.stage, core, tiles, seats))
            first += count

    def _clusters(self, ask: Ask, core: int, tiles: range) -> list[int]:
        """A cluster for each tile; the hottest choose first."""
        room, left = self.rooms.step(ask.step), self.rooms.crossbars(ask, core)
        clusters = [k for k, count in enumerate(left) if count]
        if self.in_order:
            return [k for k in clusters for _ in range(left[k])][: len(tiles)]
        busy, cycles = room.busiest[core].tolist(), ask.busiest[tiles.start : tiles.stop].tolist()
        chosen = [0] * len(tiles)
        for tile in sorted(range(len(tiles)), key=lambda t: -cycles[t]):
            least = min(clusters, key=busy.__getitem__)
            chosen[tile] = least
            busy[least] += cycles[tile]
            left[least] -= 1
            if not left[least]:
                clusters.remove(least)
        return chosen


def packed(
    packing: Packing, asks: Sequence[Ask], centres: Mapping[int, int], *, evenly: bool
) -> Packing | None:
    """Stages in this order, each near its centre; None if no room is left for one of them.

    Those without tiles lie near the stages that feed them.  `evenly` allows no cluster more tiles
    than it has to take if all of the chip's take as many, counted anew for each stage.
    """
    trial = packing.copy()
    rooms = trial.rooms
    placed = int((rooms.target.adc.crossbars_per_cluster - rooms.left).sum())
    for ask in asks:
        placed += len(ask.tiles)
        rooms.quota = -(-placed // rooms.left.size) if evenly else ANY_LIMIT
        centre = centres[ask.stage] if len(ask.tiles) else feeder_core(trial, ask)
        if not near(trial, ask, centre):
            return None
    rooms.quota = ANY_LIMIT
    return trial


def feeder_core(packing: Packing, ask: Ask) -> int:
    """Where the first operand of a stage comes from."""
    mapping = packing.needs.mapping
    producer = mapping.streams[mapping.stages[ask.stage].operands[0].stream].producer
    return int(packing.cores[producer][0]) if producer in packing.cores else 0


def near(packing: Packing, ask: Ask, centre: int) -> bool:
    """Put a stage on as few cores as the limit allows, as near its centre as there is room."""
    capacity = packing.rooms.capacity(ask)
    if _on_one(packing, ask, capacity, centre):
        return True
    return _on_several(packing, ask, capacity, centre)


def _on_one(packing: Packing, ask: Ask, capacity: Array, centre: int) -> bool:
    count, rooms = len(ask.tiles), packing.rooms
    if count > rooms.target.core.crossbars:
        return False
    need = packing.needs.of(ask.stage, (count,))
    fitting = (capacity >= count) & rooms.fits(ask, need)
    if not fitting.any():
        return False
    if not packing.in_order:
        roomy = fitting & rooms.fits(ask, need, COMFORT) & rooms.calm(ask, COMFORT)
        calm = fitting & rooms.calm(ask, 1.0)
        fitting = next((each for each in (roomy, calm) if each.any()), fitting)
    there = np.flatnonzero(fitting)
    packing.settle(ask, there[[np.abs(there - centre).argmin()]], [count])
    return True


def _on_several(packing: Packing, ask: Ask, capacity: Array, centre: int) -> bool:
    count = len(ask.tiles)
    if count < 2:
        return False
    capacity = np.minimum(capacity, count)
    for _ in range(ATTEMPTS):
        cores = _fewest(capacity, count, centre)
        if not len(cores):
            return False
        lacking = _settled(packing, ask, cores, capacity[cores])
        if not len(lacking):
            return True
        capacity[lacking] = 0
    return False


def _fewest(capacity: Array, count: int, centre: int) -> Array:
    """As few cores as hold so many tiles, the nearest of those that do; none if all don't.

    Whatever else, no core with a smaller capacity is used than the fewest cores need.
    """
    sizes = np.bincount(capacity)
    held = np.cumsum((sizes * np.arange(len(sizes)))[::-1])
    if held[-1] < count:
        return np.zeros(0, np.int64)
    least = max(1, len(sizes) - 1 - int((held >= count).argmax()))
    there = np.flatnonzero(capacity >= least)
    there = there[np.abs(there - centre).argsort(kind="stable")]
    return there[: int((np.cumsum(capacity[there]) >= count).argmax()) + 1]


def _settled(packing: Packing, ask: Ask, cores: Array, capacity: Array) -> Array:
    """Put a stage on all of these cores; where they lack room, which do, and nothing is done.

    Home is the core whose vector unit, then memory, has least to do.
    """
    counts = capacity.copy()
    counts[-1] -= counts.sum() - len(ask.tiles)
    room = packing.rooms.step(ask.step)
    load = (room.sequencers[cores], room.sram_bytes[cores], room.vector[cores])
    home = int(np.lexsort(load)[0])
    order = np.concatenate([[home], np.delete(np.arange(len(cores)), home)])
    cores, counts = cores[order], counts[order]
    need = packing.needs.of(ask.stage, tuple(counts.tolist()))
    lacking = packing.rooms.lacking(ask, need, cores)
    if not lacking.any():
        packing.settle(ask, cores, counts.tolist())
        return cores[:0]
    return cores[lacking]


def first_fit(packing: Packing, ask: Ask) -> bool:
    """Put a stage on the first core that holds it, or on what is free of several in order.

    Vector stages lie where their first operand is made, or as near as there is room.
    """
    capacity = packing.rooms.capacity(ask)
    centre = 0 if len(ask.tiles) else feeder_core(packing, ask)
    return _on_one(packing, ask, capacity, centre) or _in_a_row(packing, ask, capacity)


def _in_a_row(packing: Packing, ask: Ask, capacity: Array) -> bool:
    """Free crossbars of cores in order; where a core lacks memory, from the next one on."""
    count, first = len(ask.tiles), 0
    while count:
        capacity[:first] = 0
        taken = np.cumsum(capacity)
        if taken[-1] < count:
            break
        cores = np.flatnonzero(capacity[: int((taken >= count).argmax()) + 1])
        counts = capacity[cores]
        counts[-1] -= counts.sum() - count
        need = packing.needs.of(ask.stage, tuple(counts.tolist()))
        lacking = packing.rooms.lacking(ask, need, cores)
        if not lacking.any():
            packing.settle(ask, cores, counts.tolist())
            return True
        first = int(cores[lacking][0]) + 1
    return False

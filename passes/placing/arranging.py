"""Cores onto the mesh: what talks much to each other comes to lie close together.

The quadratic assignment problem of Koopmans and Beckmann (Econometrica 25, 1957), with bytes per
input times hops, by descent over exchanges of two cores: a core is exchanged with one that lies
about where its own traffic would like it best, the median of its partners along each axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.target import Mesh
from nmc.passes.placing.asks import Link
from nmc.passes.placing.curve import curve
from nmc.passes.placing.packing import Packing
from nmc.passes.placing.traffic import Traffic, traffic_of

__all__ = ["Descent", "arranged"]

REACH = 2
"""Places up to so far from the median, along each axis, are tried."""

SMALL_GAIN = 1e-9
"""As a share of a core's own cost: less is rounding."""


def arranged(
    packing: Packing, links: Sequence[Link], effort: int, rng: np.random.Generator
) -> list[int]:
    """The core of the mesh for each core of the packing.

    From the order of a space-filling curve, `effort` rounds of exchanges, fewer if one of them
    finds nothing better.
    """
    mesh = packing.rooms.target.mesh
    descent = Descent(mesh, traffic_of(packing, links), curve(mesh))
    for _ in range(effort):
        if not descent.round(rng):
            break
    return [int(core) for core in descent.y * mesh.width + descent.x]


class Descent:
    """Positions `x`, `y` of each core of the packing, and who lies at each place of the mesh."""

    def __init__(self, mesh: Mesh, traffic: Traffic, order: Sequence[int]) -> None:
        self.mesh = mesh
        self.traffic = traffic
        places = np.array(order, np.int64)
        self.x, self.y = places % mesh.width, places // mesh.width
        self.occupant = np.empty_like(places)
        self.occupant[places] = np.arange(len(places))
        self.port_hops = _port_hops(mesh)

    def way(self) -> float:
        traffic = self.traffic
        one = np.repeat(np.arange(len(self.x)), np.diff(traffic.first))
        hops = np.abs(self.x[one] - self.x[traffic.others])
        hops += np.abs(self.y[one] - self.y[traffic.others])
        ports = self.port_hops[self.y * self.mesh.width + self.x]
        return float((traffic.bytes * hops).sum() / 2 + (traffic.memory * ports).sum())

    def round(self, rng: np.random.Generator) -> bool:
        """Try to exchange each core that has traffic; whether anything became better."""
        traffic = self.traffic
        busy = np.flatnonzero((np.diff(traffic.first) > 0) | (traffic.memory > 0))
        moved = [self._improve(int(core)) for core in rng.permutation(busy)]
        return any(moved)

    def _improve(self, core: int) -> bool:
        """Exchange a core with the best one near its median, if that shortens the way."""
        places = self._wanted(core)
        if not len(places):
            return False
        others = self.occupant[places]
        here = int(self.y[core] * self.mesh.width + self.x[core])
        change, own = self._move_change(core, here, places)
        change = change + self._moves_back(core, here, others, places)
        best = int(change.argmin())
        if change[best] >= -SMALL_GAIN * max(own, 1.0):
            return False
        self._put(core, int(places[best]))
        self._put(int(others[best]), here)
        return True

    def _put(self, core: int, place: int) -> None:
        self.occupant[place] = core
        self.x[core], self.y[core] = place % self.mesh.width, place // self.mesh.width

    def _wanted(self, core: int) -> Array:
        """Places around the median of a core's partners, its own left out."""
        mesh, traffic = self.mesh, self.traffic
        mine = slice(traffic.first[core], traffic.first[core + 1])
        others, weights = traffic.others[mine], traffic.bytes[mine]
        if len(others):
            x, y = _median(self.x[others], weights), _median(self.y[others], weights)
        else:
            x, y = mesh.position(int(self.port_hops.argmin()))
        xs = np.arange(max(0, x - REACH), min(mesh.width, x + REACH + 1))
        ys = np.arange(max(0, y - REACH), min(mesh.height, y + REACH + 1))
        places = (ys[:, None] * mesh.width + xs).ravel()
        return np.asarray(places[places != self.y[core] * mesh.width + self.x[core]])

    def _move_change(self, core: int, here: int, places: Array) -> tuple[Array, float]:
        """What its way grows by if a core moves to each of some places; and the way from here."""
        traffic = self.traffic
        mine = slice(traffic.first[core], traffic.first[core + 1])
        others, weights = traffic.others[mine], traffic.bytes[mine]
        there = np.append(places, here)
        hops = np.abs(there[:, None] % self.mesh.width - self.x[others])
        hops += np.abs(there[:, None] // self.mesh.width - self.y[others])
        cost = hops @ weights + traffic.memory[core] * self.port_hops[there]
        return np.asarray(cost[:-1] - cost[-1]), float(cost[-1])

    def _moves_back(self, core: int, here: int, others: Array, places: Array) -> Array:
        """What the ways of the cores there grow by if each in turn comes here instead of `core`.

        Between the two nothing changes, but each of both moves counts their traffic as if the
        other stayed: that is added back.
        """
        traffic, width = self.traffic, self.mesh.width
        first, stop = traffic.first[others], traffic.first[others + 1]
        counts = stop - first
        which = np.repeat(np.arange(len(others)), counts)
        entry = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
        partner, weights = traffic.others[entry], traffic.bytes[entry]
        hx, hy = here % width, here // width
        now = np.abs(self.x[others][which] - self.x[partner])
        now += np.abs(self.y[others][which] - self.y[partner])
        then = np.abs(hx - self.x[partner]) + np.abs(hy - self.y[partner])
        between = np.abs(places % width - hx) + np.abs(places // width - hy)
        moving = np.bincount(which, weights * (then - now), len(others))
        shared = np.bincount(which, weights * (partner == core), len(others))
        change = moving + 2.0 * shared * between
        change += traffic.memory[others] * (self.port_hops[here] - self.port_hops[places])
        return np.asarray(change)


def _median(values: Array, weights: Array) -> int:
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order])
    return int(values[order[np.searchsorted(summed, summed[-1] / 2)]])


def _port_hops(mesh: Mesh) -> Array:
    """Hops from each core to the nearest memory port."""
    places = np.arange(mesh.cores)
    x, y = places % mesh.width, places // mesh.width
    each = [np.abs(x - px) + np.abs(y - py) for px, py in mesh.memory_ports]
    return np.asarray(np.min(each, axis=0))

"""The least that the busiest ADC can be asked to do: a bound, and a search for what can be met.

Multifit (Coffman, Garey and Johnson, "An application of bin-packing to multiprocessor scheduling",
SIAM J. Comput. 7, 1978): pack under a limit on every ADC, the hottest tiles first, and look for
the smallest limit under which everything finds room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmc.ir.adc_load import least_busiest
from nmc.ir.graph import Array
from nmc.passes.placing.asks import Ask
from nmc.passes.placing.packing import Packing, packed
from nmc.passes.placing.rooms import ANY_LIMIT

__all__ = ["balanced", "centres_of", "floor_of"]

SLACKS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0, 4.0, 8.0)
"""How far above the bound limits are tried, until one can be met."""

MOST_TRIES = 8
TILES_TRIED = 4_000
"""For each unit of effort, so many other orders are tried at most, of so many tiles in all."""

SPREAD = 0.25
"""Standard deviation of the logarithm by which heats are varied in other orders."""


def balanced(
    packing: Packing, asks: Sequence[Ask], effort: int, rng: np.random.Generator
) -> Packing | None:
    """The stages of one step under the least limit that was found; None if none can be met.

    `effort` is the number of bisections once a limit can be met, and how many orders other than
    by falling heat are tried after that.
    """
    packing.rooms.pace = max(max(slowest_part(ask), int(ask.held.max(initial=0))) for ask in asks)
    search = _Search(packing, asks, floor_of(packing, asks))
    worst = 0
    for limit in (*(int(search.floor * (1 + slack)) for slack in SLACKS), ANY_LIMIT):
        found = search.attempt(limit)
        if found is not None:
            found = search.bisect(found, worst, effort)
            return search.vary(found, effort, rng)
        worst = limit
    return None


@dataclass(frozen=True, slots=True)
class _Search:
    packing: Packing
    asks: Sequence[Ask]
    floor: int

    def attempt(self, limit: int, variation: Array | None = None) -> Packing | None:
        """The hottest matrices choose first, the larger of two first; vector stages come last.

        `variation` has a factor for the heat of each of `asks`.
        """
        factors = np.ones(len(self.asks)) if variation is None else variation
        heats = [ask.hottest * factor for ask, factor in zip(self.asks, factors, strict=True)]
        falling = sorted(
            range(len(self.asks)),
            key=lambda i: (not len(self.asks[i].tiles), -heats[i], -len(self.asks[i].tiles), i),
        )
        order = [self.asks[i] for i in falling]
        self.packing.rooms.limit = limit
        centres = centres_of(self.packing, self.asks, limit)
        close = packed(self.packing, order, centres, evenly=False)
        return close or packed(self.packing, order, centres, evenly=True)

    def bisect(self, found: Packing, low: int, effort: int) -> Packing:
        """Between a limit that can't be met and what was found."""
        for _ in range(effort):
            limit = (low + self.busiest(found)) // 2
            if low == 0 or limit <= low:
                break
            better = self.attempt(limit)
            if better is None:
                low = limit
            else:
                found = better
        return found

    def vary(self, found: Packing, effort: int, rng: np.random.Generator) -> Packing:
        """Other orders at limits that would be better."""
        tiles = sum(len(ask.tiles) for ask in self.asks)
        for _ in range(effort * min(MOST_TRIES, TILES_TRIED // max(tiles, 1))):
            busiest = self.busiest(found)
            if busiest <= self.floor:
                break
            limit = int(rng.integers(self.floor, busiest))
            variation = np.exp(rng.normal(0.0, SPREAD, len(self.asks)))
            found = self.attempt(limit, variation) or found
        return found

    def busiest(self, found: Packing) -> int:
        return int(found.rooms.step(self.asks[0].step).busiest.max())


def floor_of(packing: Packing, asks: Sequence[Ask]) -> int:
    """Cycles per input below which an ADC need not be: its bound, or half of what else a stage
    takes at least, which hides what waits for converters."""
    rooms = packing.rooms
    clusters = int((rooms.left.any(axis=1) * rooms.left.shape[1]).sum())
    cycles = [a.cycles for a in asks if len(a.tiles)]
    adcs = least_busiest(np.concatenate(cycles), max(clusters, 1)) if cycles else 0
    return max(adcs, max(map(slowest_part, asks)) // 2, 1)


def slowest_part(ask: Ask) -> int:
    """Cycles per input of the slowest thing that a stage does besides reading."""
    return max(ask.vector_cycles, ask.finish_cycles)


def centres_of(packing: Packing, asks: Sequence[Ask], limit: int) -> dict[int, int]:
    """Where along the cores each stage wants to lie, by its number: in the order of the dataflow,
    spread over as few cores as crossbars and the limit ask for."""
    rooms, target = packing.rooms, packing.rooms.target
    count = sum(len(a.tiles) for a in asks)
    cycles = sum(int(a.busiest.sum()) for a in asks)
    clusters = max(count / target.adc.crossbars_per_cluster, cycles / limit)
    used = min(clusters / target.clusters_per_core, len(rooms.left))
    centres: dict[int, int] = {}
    before = 0
    for ask in asks:
        centres[ask.stage] = int((before + len(ask.tiles) / 2) / max(count, 1) * used)
        before += len(ask.tiles)
    return centres

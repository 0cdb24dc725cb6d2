"""The least latency of one input: layers pass rows on as they come, so most of their time overlaps.

Layers lie in *segments*: within one they stream into each other, and the next begins when one is
done (a mean over all pixels, a product that needs all tokens).  A segment is modelled to take what
its slowest layer takes, and for each layer its *lead*, the time until it has given what the layer
after it needs to begin.  The slowest layer's lead is counted too, so the model is rather too high.
Each layer counts at its candidates' own times: one input leaves most ADCs idle.

At a price for what is held the segments are independent, and the layers of one are once the time
of its slowest is fixed: a Lagrangian relaxation (Geoffrion, Mathematical Programming Study 2, 1974)
that gives plans and a bound.  Then, with the slowest times fixed, what is left goes where it
shortens leads most, exactly; of each layer only those candidates are looked at whose price leaves
them a chance to beat the best plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nmc.ir.pareto import nondominated
from nmc.passes.replicating.knapsack import Table, TooMany, fitting_rows, least_rows
from nmc.passes.replicating.options import (
    Budget,
    Candidates,
    Option,
    Plan,
    candidates_of,
    plan_of,
)

__all__ = ["latency"]

Ints = npt.NDArray[np.int64]
Rows = list[list[int]]

UNIT = 1 << 10
"""Prices are whole numbers of 1/UNIT cycles."""

MOST_TRIES = 512
"""Slowest times that are tried per segment, times the layers that each try looks at."""

MOST_PAIRS = 1 << 13
"""Sums that are looked at for one layer in one such try."""

MOST_FAILURES = 3
"""After so many tries that were cut short the rest of them are left."""


def latency(
    layers: list[tuple[Option, ...]], segments: list[list[int]], budget: Budget
) -> Plan | None:
    """The plan of least modelled latency; None if no way was found to fit them.

    `segments` lists the numbers of the layers that stream into each other, each layer in one.
    `objective` is the plan's latency in cycles and `bound` what none can be faster than.  The
    budget's servers are not asked.
    """
    tables = [reduced(candidates_of(options, budget)) for options in layers]
    if any(not len(table) for table in tables):
        return None
    parts = [Segment([tables[i] for i in numbers]) for numbers in segments]
    search = Search(parts, np.array(budget.held, np.int64))
    if not search.price():
        return None
    search.polish()
    rows = [0] * len(layers)
    for numbers, picked in zip(segments, search.best, strict=True):
        for number, row in zip(numbers, picked, strict=True):
            rows[number] = row
    objective = search.latency(search.best)
    return plan_of(tables, rows, budget, objective, min(search.bound, objective))


@dataclass(slots=True)
class Segment:
    """Layers that stream into each other; each one's candidates are sorted by time."""

    tables: list[Candidates]
    times: Ints = field(init=False)

    def __post_init__(self) -> None:
        least = max(int(table.time[0]) for table in self.tables)
        times = np.unique(np.concatenate([table.time for table in self.tables]))
        self.times = times[times >= least]

    def cheapest(self, prices: Ints) -> list[int]:
        """Rows that minimise UNIT * latency + prices * what is held."""
        total = UNIT * self.times
        picks: list[Ints] = []
        for table in self.tables:
            value = priced(table, prices)
            least = np.minimum.accumulate(value)
            first = np.flatnonzero(np.diff(least, prepend=least[0] + 1))
            last = np.searchsorted(table.time, self.times, side="right") - 1
            picks.append(first[np.searchsorted(first, last, side="right") - 1])
            total = total + least[last]
        best = int(total.argmin())
        return [int(pick[best]) for pick in picks]

    def slowest(self, rows: list[int]) -> int:
        return max(int(t.time[row]) for t, row in zip(self.tables, rows, strict=True))

    def latency(self, rows: list[int]) -> int:
        leads = sum(int(t.lead[row]) for t, row in zip(self.tables, rows, strict=True))
        return self.slowest(rows) + leads

    def held(self, rows: list[int]) -> Ints:
        costs = [t.held[row] for t, row in zip(self.tables, rows, strict=True)]
        return np.asarray(np.sum(costs, axis=0))


@dataclass(slots=True)
class Search:
    """`best` is the fastest plan that fits; `bound` and `prices` are of the best relaxation."""

    parts: list[Segment]
    cap: Ints
    best: Rows = field(default_factory=Rows)
    bound: int = 0
    failures: int = 0
    prices: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.prices = np.zeros_like(self.cap)

    def latency(self, rows: Rows) -> int:
        return sum(part.latency(picked) for part, picked in zip(self.parts, rows, strict=True))

    def held(self, rows: Rows) -> Ints:
        return np.asarray(
            np.sum([p.held(r) for p, r in zip(self.parts, rows, strict=True)], axis=0)
        )

    def price(self) -> bool:
        """Find the price at which the cheapest plan just fits; False if none fits at any."""
        # A thing of which the chip has few is dear.
        each = np.maximum(1, self.cap.max() // np.maximum(self.cap, 1))
        most = UNIT * sum(int(part.times[-1]) * len(part.tables) for part in self.parts)
        low, high = 0, 1
        self.offer(np.zeros_like(each))
        while high < most and not self.offer(high * each):
            low, high = high, min(2 * high, most)
        if high >= most and not self.offer(high * each) and not self.begin():
            return False
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.offer(middle * each) else (middle, high)
        return True

    def begin(self) -> bool:
        """Some plan that fits, where no one price for all that is scarce gives one."""
        tables = [t for part in self.parts for t in part.tables]
        try:
            rows = fitting_rows([Table(t.held, t.held[:, 0]) for t in tables], self.cap)
        except TooMany:
            return False
        if rows is not None:
            self.best = self.by_segment(rows)
        return rows is not None

    def by_segment(self, rows: list[int]) -> Rows:
        rest = iter(rows)
        return [[next(rest) for _ in part.tables] for part in self.parts]

    def offer(self, prices: Ints) -> bool:
        """Look at the cheapest plan at these prices; whether it fits."""
        rows = [part.cheapest(prices) for part in self.parts]
        spent = self.held(rows)
        dual = UNIT * self.latency(rows) + sum(
            int(p) * int(c) for p, c in zip(prices, spent - self.cap, strict=True)
        )
        if -(-dual // UNIT) > self.bound:
            self.bound, self.prices = -(-dual // UNIT), prices
        fits = bool((spent <= self.cap).all())
        if fits and (not self.best or self.latency(rows) < self.latency(self.best)):
            self.best = rows
        return fits

    def polish(self) -> None:
        """Fix the slowest time of each segment, of one after the other anew, and solve the rest.

        Where there is one segment and all of its times could be tried, that is the whole problem.
        """
        tries = max(1, MOST_TRIES // sum(len(part.tables) for part in self.parts))
        settled = len(self.parts) == 1 and len(self.parts[0].times) <= tries
        for number, part in enumerate(self.parts):
            ceilings = [p.slowest(r) for p, r in zip(self.parts, self.best, strict=True)]
            for time in near(part.times, ceilings[number], tries):
                if self.latency(self.best) <= self.bound or self.failures > MOST_FAILURES:
                    return
                settled &= self.settle([*ceilings[:number], time, *ceilings[number + 1 :]])
        if settled:
            self.bound = self.latency(self.best)

    def settle(self, ceilings: list[int]) -> bool:
        """Take the least leads within these times if they beat the best plan so far.

        Whether it is sure that no others do.
        """
        tables = [t for part in self.parts for t in part.tables]
        limits = [c for part, c in zip(self.parts, ceilings, strict=True) for _ in part.tables]
        allowed = [
            int(np.searchsorted(t.time, c, side="right"))
            for t, c in zip(tables, limits, strict=True)
        ]
        values = [priced(t, self.prices)[:n] for t, n in zip(tables, allowed, strict=True)]
        least = UNIT * sum(ceilings) + sum(int(v.min()) for v in values)
        least -= sum(int(p) * int(c) for p, c in zip(self.prices, self.cap, strict=True))
        slack = UNIT * (self.latency(self.best) - 1) - least
        if slack < 0:
            return True
        kept = [np.flatnonzero(v - v.min() <= slack) for v in values]
        try:
            found = least_rows(
                [Table(t.held[k], t.lead[k]) for t, k in zip(tables, kept, strict=True)],
                self.cap,
                MOST_PAIRS,
            )
        except TooMany:
            self.failures += 1
            return False
        if found is None:
            return True
        rows = self.by_segment([int(k[row]) for k, row in zip(kept, found, strict=True)])
        if self.latency(rows) < self.latency(self.best):
            self.best = rows
        return True


def near(times: Ints, time: int, most: int) -> Iterator[int]:
    """So many times at most, from the given one outwards."""
    at = int(np.searchsorted(times, time))
    order = np.argsort(np.abs(np.arange(len(times)) - at), kind="stable")
    return (int(times[i]) for i in order[:most])


def priced(table: Candidates, prices: Ints) -> Ints:
    return np.asarray(UNIT * table.lead + table.held @ prices)


def reduced(candidates: Candidates) -> Candidates:
    """Those that none beats in time, lead and what they hold."""
    points = np.column_stack([candidates.time, candidates.lead, candidates.held])
    return candidates.select(nondominated(points))

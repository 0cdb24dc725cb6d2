"""The least bottleneck: one way and a number of copies for each layer.

Given how often inputs may come, T, the layers are independent but for what they share: each takes
the cheapest of its candidates that are done within T.  So T is searched for by bisection, and what
is found is the least there is, because the whole search over the candidates at T - 1 found nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc.ir.pareto import nondominated
from nmc.passes.replicating.knapsack import Table, TooMany, fitting_rows
from nmc.passes.replicating.options import (
    Budget,
    Candidates,
    Choice,
    Option,
    Plan,
    candidates_of,
    plan_of,
)

__all__ = ["least_held", "spread", "throughput"]

Ints = npt.NDArray[np.int64]


def throughput(layers: list[tuple[Option, ...]], budget: Budget) -> Plan | None:
    """The plan with the least interval; None if no way was found to fit each layer once.

    Where only crossbars are scarce, it is of such plans the one that holds fewest.  `bound` is
    less than the interval only where so much is shared so tightly that the search was cut short.
    """
    tables = [reduced(candidates_of(options, budget)) for options in layers]
    if any(not len(table) for table in tables):
        return None
    search = _Search(tables, budget)
    low = max([1, *(int(t.time[0]) for t in tables), *busy_least(tables, budget)])
    high = max([low, *(int(t.time[-1]) for t in tables), *busy_most(tables, budget)])
    try:
        found = search.rows_at(high)
    except TooMany:
        return None
    if found is None:
        return None
    bound = low
    while low < high:
        middle = (low + high) // 2
        try:
            rows = search.rows_at(middle)
        except TooMany:
            low = middle + 1  # not proven, so the bound stays
            continue
        if rows is not None:
            high, found = middle, rows
        else:
            low = bound = middle + 1
    return plan_of(tables, found, budget, None, bound)


def spread(layers: list[tuple[Option, ...]], budget: Budget, plan: Plan) -> Plan:
    """The plan with what it leaves of the chip given to the slowest layer that it still helps.

    Again and again the slowest layer takes the cheapest candidate that is faster; one that can't
    stays as it is.  No layer gets slower.
    """
    tables = [reduced(candidates_of(options, budget)) for options in layers]
    rows = [row_of(t, c) for t, c in zip(tables, plan.choices, strict=True)]
    cap = budget.cap(plan.interval)
    left = cap - sum(t.costs[row] for t, row in zip(tables, rows, strict=True))
    open_ = set(range(len(tables)))
    while open_:
        slowest = max(open_, key=lambda i: (tables[i].time[rows[i]], -i))
        table, row = tables[slowest], rows[slowest]
        more = table.costs - table.costs[row]
        better = np.flatnonzero((table.time < table.time[row]) & (more <= left).all(axis=1))
        if not len(better):
            open_.remove(slowest)
            continue
        best = int(better[np.lexsort((table.time[better], more[better, 0]))[0]])
        left = left - more[best]
        rows[slowest] = best
    return plan_of(tables, rows, budget, None, plan.bound)


def least_held(layers: list[tuple[Option, ...]], dims: int) -> tuple[int, ...]:
    """What one copy of each layer holds of each thing, in the way that holds least of it."""
    return tuple(
        sum(min(option.held[dim] for option in options) for options in layers)
        for dim in range(dims)
    )


@dataclass(slots=True)
class _Search:
    tables: list[Candidates]
    budget: Budget

    def rows_at(self, interval: int) -> list[int] | None:
        """Rows within an interval and what the chip has by then; None if there are none."""
        allowed = [int(np.searchsorted(t.time, interval, side="right")) for t in self.tables]
        tables = [
            Table(t.costs[:n], t.costs[:n, 0]) for t, n in zip(self.tables, allowed, strict=True)
        ]
        return fitting_rows(tables, self.budget.cap(interval))


def reduced(candidates: Candidates) -> Candidates:
    """Those that none beats in time and costs."""
    points = np.column_stack([candidates.time, candidates.costs])
    return candidates.select(nondominated(points))


def row_of(table: Candidates, choice: Choice) -> int:
    same = (table.option == choice.option) & (table.copies == choice.copies)
    return int(np.flatnonzero(same & (table.share == choice.share))[0])


def busy_least(tables: list[Candidates], budget: Budget) -> list[int]:
    return busy(np.sum([t.costs.min(axis=0) for t in tables], axis=0), budget)


def busy_most(tables: list[Candidates], budget: Budget) -> list[int]:
    return busy(np.sum([t.costs.max(axis=0) for t in tables], axis=0), budget)


def busy(costs: Ints, budget: Budget) -> list[int]:
    """How long each kind of server works on such costs."""
    work = costs[len(budget.held) :].tolist()
    return [-(-cycles // servers) for cycles, servers in zip(work, budget.servers, strict=True)]

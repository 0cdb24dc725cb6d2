"""The least energy of one input: what its events cost, and leakage for as long as it takes.

With inputs coming every T cycles an input costs the energy of its events, which copies don't
change, and T times the leakage: of the chip as a whole, and of what each layer holds.  So for a
given T each layer takes the candidate within T that is cheapest in both together, and T is one of
the candidates' times.  Those are gone through by what the relaxation without a budget promises,
until no promise is better than what was found, so the plan is the best there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc.ir.pareto import nondominated
from nmc.passes.replicating.knapsack import Table, TooMany, least_rows
from nmc.passes.replicating.options import (
    Budget,
    Candidates,
    Option,
    Plan,
    candidates_of,
    plan_of,
)

__all__ = ["Leakage", "energy"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leakage:
    """Per cycle: of the chip, and of one of each thing that layers hold."""

    chip_fj: int
    held_fj: tuple[int, ...]


def energy(
    layers: list[tuple[Option, ...]], budget: Budget, leakage: Leakage, *, interval_most: int = 0
) -> Plan | None:
    """The plan of least energy per input whose interval is at most `interval_most` (0: any).

    None if there is no such plan.  `objective` and `bound` are in fJ.
    """
    tables = [reduced(candidates_of(options, budget)) for options in layers]
    if any(not len(table) for table in tables):
        return None
    times = intervals(tables, budget, interval_most)
    promised = promises(tables, leakage, times)
    best: tuple[int, list[int]] | None = None
    open_bounds: list[int] = []
    for i in np.argsort(promised, kind="stable").tolist():
        if best is not None and best[0] <= promised[i]:
            break
        time = int(times[i])
        try:
            rows = rows_at(tables, budget, leakage, time)
        except TooMany:
            open_bounds.append(int(promised[i]))
            continue
        spent = None if rows is None else energy_of(tables, leakage, rows, time)
        if budget.servers and spent != promised[i]:
            # A little later the servers would have time for choices that are cheaper.
            open_bounds.append(int(promised[i]))
        if rows is not None and spent is not None and (best is None or spent < best[0]):
            best = (spent, rows)
    if best is None:
        return None
    return plan_of(tables, best[1], budget, best[0], min([best[0], *open_bounds]))


def intervals(tables: list[Candidates], budget: Budget, most: int) -> Ints:
    """Every interval that may be the best: those at which a layer gets another candidate.

    With shared servers also the one that is just enough for the work.
    """
    times = np.unique(np.concatenate([table.time for table in tables]))
    work = np.sum([t.work.min(axis=0) for t in tables], axis=0).tolist()
    busy = [-(-cycles // n) for cycles, n in zip(work, budget.servers, strict=True)]
    least = max([*busy, *(int(table.time[0]) for table in tables)])
    times = np.union1d(times[times >= least], [least])
    return times[times <= most] if most else times


def promises(tables: list[Candidates], leakage: Leakage, times: Ints) -> Ints:
    """For each interval the least energy without a budget."""
    total = leakage.chip_fj * times
    for table in tables:
        allowed = np.searchsorted(table.time, times, side="right")
        leak = table.held @ np.array(leakage.held_fj, np.int64)
        best = np.array(
            [
                int((table.energy_fj[:n] + time * leak[:n]).min())
                for n, time in zip(allowed.tolist(), times.tolist(), strict=True)
            ],
            np.int64,
        )
        total = total + best
    return np.asarray(total)


def rows_at(
    tables: list[Candidates], budget: Budget, leakage: Leakage, time: int
) -> list[int] | None:
    """The rows of least energy at an interval, within the budget."""
    leak = time * np.array(leakage.held_fj, np.int64)
    parts = [
        Table(t.costs[:n], t.energy_fj[:n] + t.held[:n] @ leak)
        for t in tables
        for n in (int(np.searchsorted(t.time, time, side="right")),)
    ]
    return least_rows(parts, budget.cap(time))


def energy_of(tables: list[Candidates], leakage: Leakage, rows: list[int], time: int) -> int:
    leak = np.array(leakage.held_fj, np.int64)
    return time * leakage.chip_fj + sum(
        int(t.energy_fj[row]) + time * int(t.held[row] @ leak)
        for t, row in zip(tables, rows, strict=True)
    )


def reduced(candidates: Candidates) -> Candidates:
    """Those that none beats in time, energy and costs."""
    points = np.column_stack([candidates.time, candidates.energy_fj, candidates.costs])
    return candidates.select(nondominated(points))

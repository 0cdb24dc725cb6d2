"""One row of each table such that the sums stay within caps: a multiple-choice knapsack.

Few problems need a search.  Weights on the costs either show rows that fit or prove that none do
(Lagrangian relaxation; weights as in Arora, Hazan and Kale, The multiplicative weights update
method, 2012).  What they leave open is settled by dynamic programming over the sums that no others
beat (Nemhauser and Ullmann, Management Science 15, 1969).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc.ir.pareto import nondominated

__all__ = ["Table", "TooMany", "fitting_rows", "least_rows"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_SUMS = 1 << 15
"""More sums than this that do not beat each other are not followed up."""

MOST_PAIRS = 1 << 22
"""Nor are more of them looked at for one table."""

ROUNDS = 60
"""After so many changes of weights the search takes over."""


class TooMany(Exception):
    """The question was left open: too many sums would have to be followed."""


@dataclass(frozen=True, slots=True)
class Table:
    """What can be chosen for one layer: costs i64[n, dims] and what is to be minimised, i64[n]."""

    costs: Ints
    values: Ints


def fitting_rows(tables: list[Table], cap: Ints) -> list[int] | None:
    """Rows, one of each table, whose costs add up to at most `cap`; None if there are none.

    The values don't matter, but of what fits by taking the least value of each table, that is
    taken.  Raises TooMany.
    """
    first = [int(table.values.argmin()) for table in tables if len(table.values)]
    if len(first) < len(tables):
        return None
    if (cost_of(tables, first) <= cap).all():
        return first
    settled, rows = weighed(tables, cap)
    if settled:
        return rows
    return least_rows([Table(t.costs, np.zeros_like(t.values)) for t in tables], cap)


def least_rows(tables: list[Table], cap: Ints, most_pairs: int = MOST_PAIRS) -> list[int] | None:
    """The rows within `cap` whose values have the least sum; None if there are none.

    Exact.  Raises TooMany.
    """
    if any(not len(table.values) for table in tables):
        return None
    least, most = bounds(tables)
    if (least > cap).any():
        return None
    binding = most > cap
    cap, rest = cap[binding], least[binding]
    sums = np.zeros((1, binding.sum() + 1), np.int64)
    trail: list[tuple[Ints, Ints]] = []
    for table in tables:
        points = np.column_stack([table.costs[:, binding], table.values])
        rows = nondominated(points)
        rest = rest - points[:, :-1].min(axis=0)
        if len(sums) * len(rows) > most_pairs:
            raise TooMany
        joined = (sums[:, None, :] + points[rows][None, :, :]).reshape(-1, sums.shape[1])
        inside = np.flatnonzero((joined[:, :-1] + rest <= cap).all(axis=1))
        inside = inside[nondominated(joined[inside])]
        if len(inside) > MOST_SUMS:
            raise TooMany
        sums = joined[inside]
        trail.append((inside // len(rows), rows[inside % len(rows)]))
    return traced(trail, int(sums[:, -1].argmin())) if len(sums) else None


def traced(trail: list[tuple[Ints, Ints]], at: int) -> list[int]:
    """The rows that led to a sum, by the sums before each table and the rows added there."""
    rows: list[int] = []
    for before, taken in reversed(trail):
        rows.append(int(taken[at]))
        at = int(before[at])
    return rows[::-1]


def weighed(tables: list[Table], cap: Ints) -> tuple[bool, list[int] | None]:
    """Whether weights settle it, and then the rows that fit, or None if none can."""
    least, _ = bounds(tables)
    if (least > cap).any():
        return True, None
    scale = 1.0 / np.maximum(cap, 1)
    weights = np.ones(len(cap)) / len(cap)
    for number in range(ROUNDS):
        prices = scaled(weights * scale)
        rows = [int((table.costs @ prices).argmin()) for table in tables]
        cost = cost_of(tables, rows)
        if (cost <= cap).all():
            return True, rows
        # In whole numbers, so that the proof holds: even the cheapest rows cost too much.
        if sum(int(p) * int(c) for p, c in zip(prices, cost - cap, strict=True)) > 0:
            return True, None
        excess = np.clip(cost * scale - 1.0, -1.0, 1.0)
        weights = weights * np.exp(excess * 4.0 / (1 + number) ** 0.5)
        weights = weights / weights.sum()
    return False, None


def scaled(prices: Floats) -> Ints:
    """Prices as whole numbers up to 2^34: crossbars and conversions differ by 2^20 and more."""
    return np.asarray(np.rint(prices * ((1 << 34) / prices.max())), np.int64)


def bounds(tables: list[Table]) -> tuple[Ints, Ints]:
    """The least and the most that each cost can add up to."""
    least = np.sum([table.costs.min(axis=0) for table in tables], axis=0)
    most = np.sum([table.costs.max(axis=0) for table in tables], axis=0)
    return np.asarray(least), np.asarray(most)


def cost_of(tables: list[Table], rows: list[int]) -> Ints:
    return np.asarray(np.sum([t.costs[row] for t, row in zip(tables, rows, strict=True)], axis=0))

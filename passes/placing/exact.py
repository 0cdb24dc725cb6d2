"""The least that the busiest ADC can be asked to do, found by constraint programming.

Tiles that are equally hot are alike, and so are clusters: what matters is how many clusters hold
which *pattern*, so and so many tiles of each heat.  As in the cutting-stock problem (Gilmore and
Gomory, "A linear programming approach to the cutting-stock problem", Operations Research 9, 1961),
but in whole numbers, by OR-tools' CP-SAT.  Crossbars and ADCs count, memory doesn't: it is what
any placement has to be measured against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from nmc.ir.adc_load import least_busiest
from nmc.ir.diagnostics import NmcError, error

__all__ = ["least_limit"]

MOST_PATTERNS = 20_000
SECONDS = 20.0
"""For each limit that is tried; what is not decided by then counts as possible."""

Pattern = tuple[int, ...]


def least_limit(heats: Sequence[int], clusters: int, size: int, at_most: int) -> int:
    """The smallest limit under which tiles that keep an ADC busy for `heats` can share so many
    clusters of `size` crossbars, or a lower bound of it where that could not be decided.

    A placement of `at_most` is known.  NmcError `missing-package` without OR-tools, `bad-option`
    if the instance is too large.
    """
    solver = _cp_sat()
    kinds = sorted(Counter(heats).items(), reverse=True)
    counts = [count for _, count in kinds]
    patterns = list(_patterns(kinds, size, at_most))
    loads = [sum(heat * n for (heat, _), n in zip(kinds, p, strict=True)) for p in patterns]
    bound = least_busiest(np.array(heats, np.int64)[:, None], clusters)
    candidates = sorted({load for load in loads if load >= bound})
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        allowed = [p for p, load in zip(patterns, loads, strict=True) if load <= candidates[middle]]
        if _possible(solver, allowed, counts, clusters):
            high = middle
        else:
            low = middle + 1
    return candidates[low] if candidates else at_most


def _cp_sat() -> Any:
    """OR-tools' module; it ships no complete types."""
    try:
        return import_module("ortools.sat.python.cp_model")
    except ImportError:
        message = "an exact bound needs OR-tools, which is not installed"
        raise NmcError(
            error("missing-package", message, remedy="pip install 'nmc[exact]'")
        ) from None


def _patterns(kinds: Sequence[tuple[int, int]], size: int, at_most: int) -> Iterator[Pattern]:
    """All ways to fill a cluster of `size` crossbars, empty ones too, up to a limit; `kinds` are
    heats and how many tiles have them."""
    made = 0
    stack: list[tuple[Pattern, int, int]] = [((), size, at_most)]
    while stack:
        pattern, room, cycles = stack.pop()
        if len(pattern) == len(kinds):
            made += 1
            if made > MOST_PATTERNS:
                message = f"{len(kinds)} different heats on clusters of {size} crossbars"
                raise NmcError(error("bad-option", f"too large for an exact bound: {message}"))
            yield pattern
            continue
        heat, count = kinds[len(pattern)]
        most = min(count, room, cycles // heat if heat else count)
        stack += [((*pattern, n), room - n, cycles - n * heat) for n in range(most + 1)]


def _possible(
    solver: Any, patterns: Sequence[Pattern], counts: Sequence[int], clusters: int
) -> bool:
    """Whether clusters with these patterns alone can hold all tiles."""
    model = solver.CpModel()
    times = [model.new_int_var(0, clusters, f"p{i}") for i in range(len(patterns))]
    model.add(sum(times) == clusters)
    for kind, count in enumerate(counts):
        model.add(sum(p[kind] * t for p, t in zip(patterns, times, strict=True)) == count)
    search = solver.CpSolver()
    search.parameters.num_workers = 1
    search.parameters.random_seed = 0
    search.parameters.max_time_in_seconds = SECONDS
    return bool(search.solve(model) != solver.INFEASIBLE)

"""How copies can deal out a layer's rows, whole or in parts, and what the busiest then does."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nmc.ir.pareto import nondominated

__all__ = ["Deals", "deal_of", "deals", "useful_copies"]

Ints = npt.NDArray[np.int64]

MOST_COPIES = 1 << 14
MOST_ROWS = 4
"""Rows that copies share, as a multiple of their number: each keeps a window of all of its rows."""


@dataclass(frozen=True, slots=True)
class Deals:
    """i64[n]: so many `copies`, which deal out `share` rows at a time, 0 where each takes whole
    ones.  For an input the busiest makes `places` (reads of a row) in `rows` rows or parts of them;
    for the first rows, on which others wait, `lead_places` and `lead_rows`.  Sorted by copies."""

    copies: Ints
    share: Ints
    places: Ints
    rows: Ints
    lead_places: Ints
    lead_rows: Ints

    def select(self, kept: npt.NDArray[np.bool_] | Ints) -> Deals:
        return Deals(*(getattr(self, name)[kept] for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(Deals))


@lru_cache(maxsize=4096)
def deals(firings: int, parts: int, lead: int) -> Deals:
    """All that none beats in copies and in what the busiest makes, of a layer of `firings` rows of
    `parts` places of which the first `lead` rows lead."""
    whole = useful_copies(firings, min(firings, MOST_COPIES))
    whole = np.union1d(whole, useful_copies(lead, min(firings, MOST_COPIES)))
    found = [whole_rows(firings, parts, lead, whole)]
    if parts > 1:
        shares = np.union1d(useful_copies(firings, firings), useful_copies(lead, firings))
        found += [parted(firings, parts, lead, int(share)) for share in shares]
    every = joined(found)
    costs = [getattr(every, name) for name in COLUMNS if name != "share"]
    return every.select(nondominated(np.column_stack(costs)))


@lru_cache(maxsize=4096)
def deal_of(firings: int, parts: int, lead: int, copies: int, share: int) -> Deals:
    """The one deal of so many copies; with a `share` of 0 that of whole rows, if there are enough,
    else the one whose busiest copy makes least.  Empty if there is none."""
    number = np.array([copies], np.int64)
    if share:
        found = shared(firings, parts, lead, share, number)
        return found if share <= firings else found.select(np.zeros(0, np.int64))
    if copies <= firings:
        return whole_rows(firings, parts, lead, number)
    every = joined([shared(firings, parts, lead, n, number) for n in range(1, firings + 1)])
    return every.select(np.lexsort((every.rows, every.places))[:1])


def whole_rows(firings: int, parts: int, lead: int, copies: Ints) -> Deals:
    rows, first = (-(-count // copies) for count in (firings, lead))
    return Deals(copies, np.zeros_like(copies), rows * parts, rows, first * parts, first)


def parted(firings: int, parts: int, lead: int, share: int) -> Deals:
    """Each useful number of copies that share so many rows."""
    copies = useful_copies(share * parts, min(share * parts, MOST_COPIES))
    return shared(firings, parts, lead, share, copies[copies * MOST_ROWS >= share])


def shared(firings: int, parts: int, lead: int, share: int, copies: Ints) -> Deals:
    copies = copies[copies <= share * parts]
    places = -(-share * parts // copies)
    # Parts begin and end anywhere, unless all are whole rows or even parts of one.
    even = (share * parts) % copies == 0
    aligned = even & ((parts % places == 0) | (places % parts == 0))
    rows = np.where(aligned, -(-places // parts), -(-(places - 1) // parts) + 1)
    turns, first = (-(-count // share) for count in (firings, lead))
    whole = np.where(copies == share, 0, share)
    return Deals(copies, whole, turns * places, turns * rows, first * places, first * rows)


def joined(found: list[Deals]) -> Deals:
    """Sorted by copies; of equal ones those that come first stay first."""
    columns = [np.concatenate([getattr(deals, name) for deals in found]) for name in COLUMNS]
    order = np.argsort(columns[0], kind="stable")
    return Deals(*(column[order] for column in columns))


def useful_copies(firings: int, most: int) -> Ints:
    """The fewest copies, up to `most`, for each number of turns that a copy can have left."""
    if most < 1:
        return np.empty(0, np.int64)
    copies = np.arange(1, most + 1, dtype=np.int64)
    turns = -(-firings // copies)
    return copies[np.diff(turns, prepend=firings + 1) < 0]

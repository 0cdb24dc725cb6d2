"""What a solver chooses from, and what it has to spend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc.passes.replicating.dealing import Deals, deal_of, deals

__all__ = [
    "Budget",
    "Candidates",
    "Choice",
    "Option",
    "Plan",
    "candidates_of",
    "deals_of",
    "plan_of",
]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Option:
    """One way of a layer.

    A copy takes `firings` turns of `cycles` each for an input, which copies deal out, whole or in
    `parts`; a part of a turn takes `least_cycles` and its share of the rest.  Each copy costs
    `held` of each thing that the chip has a number of (crossbars first, then such as SRAM).
    However many copies, an input makes `work` for each kind of shared server (in server cycles,
    such as those of ADCs).  There are at most `copies_most` copies, 0 for as many as have something
    to do; or those that are `fixed`, dealing out so many turns at a time (0: whole ones).  `lead`
    is how many firings come before the next layer can begin, and `energy_fj` what an input costs
    but for leakage.
    """

    firings: int
    cycles: int
    held: tuple[int, ...]
    work: tuple[int, ...] = ()
    copies_most: int = 0
    lead: int = 0
    energy_fj: int = 0
    parts: int = 1
    least_cycles: int = 0
    fixed: tuple[int, int] | None = None

    @property
    def most(self) -> int:
        places = self.firings * self.parts
        return min(self.copies_most or places, places)

    def cycles_of(self, places: Ints, rows: Ints) -> Ints:
        """What so many places in so many rows, or parts of them, come to."""
        spread = self.cycles - self.least_cycles
        return np.asarray(rows * self.least_cycles + -(-places * spread // self.parts))


@dataclass(frozen=True, slots=True)
class Budget:
    """What the chip has of each thing, and how many servers of each kind share the work."""

    held: tuple[int, ...]
    servers: tuple[int, ...] = ()

    def cap(self, interval: int) -> Ints:
        """The most of each cost that all layers may have together if inputs come so often."""
        work = [servers * interval for servers in self.servers]
        return np.array([*self.held, *work], np.int64)


@dataclass(frozen=True, slots=True)
class Choice:
    """Option number `option` of a layer, and how many copies of it; `share`: how many of its
    firings they deal out at a time, 0 where each takes whole ones."""

    option: int
    copies: int
    share: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A choice for each layer and what it comes to.

    `interval` is the slowest layer's time per input, or the busiest servers' if that is more.
    `objective` is what was minimised and `bound` a proof's lower bound on it: the least there is
    where both are equal.
    """

    choices: tuple[Choice, ...]
    held: tuple[int, ...]
    interval: int
    objective: int
    bound: int

    @property
    def exact(self) -> bool:
        return self.objective == self.bound


@dataclass(frozen=True, slots=True)
class Candidates:
    """All that a layer may become: an option with a number of copies, one row each.

    i64[n]: `option`, `copies`, `share`, `time` per input, `lead` time before the next layer begins,
    `energy_fj`; `held` and `work` i64[n, kinds].  Rows are sorted by rising time, then the rest.
    """

    option: Ints
    copies: Ints
    share: Ints
    time: Ints
    lead: Ints
    energy_fj: Ints
    held: Ints
    work: Ints

    @property
    def costs(self) -> Ints:
        """All that `Budget.cap` bounds: i64[n, held and work]."""
        return np.hstack([self.held, self.work])

    def __len__(self) -> int:
        return len(self.time)

    def select(self, kept: npt.NDArray[np.bool_] | Ints) -> Candidates:
        return Candidates(
            self.option[kept],
            self.copies[kept],
            self.share[kept],
            self.time[kept],
            self.lead[kept],
            self.energy_fj[kept],
            self.held[kept],
            self.work[kept],
        )


def candidates_of(options: tuple[Option, ...], budget: Budget) -> Candidates:
    """Each option with each number of copies that shortens its time and that the chip can hold.

    Empty if not one copy of any option fits by itself.
    """
    parts = [rows_of(number, option, budget) for number, option in enumerate(options)]
    joined = np.concatenate(parts)
    order = np.lexsort(joined.T[[1, 0, *range(joined.shape[1] - 1, 1, -1)]])
    rows = joined[order]
    option, copies, time, lead, energy_fj, share = rows[:, :6].T
    held, work = np.split(rows[:, 6:], [len(budget.held)], axis=1)
    return Candidates(option, copies, share, time, lead, energy_fj, held, work)


def rows_of(number: int, option: Option, budget: Budget) -> Ints:
    """Option, copies, time, lead, energy, share, costs...: i64[n, 6 + costs]."""
    if len(option.held) != len(budget.held) or len(option.work) != len(budget.servers):
        raise ValueError("options and budget speak of different things")
    room = [have // need for have, need in zip(budget.held, option.held, strict=True) if need]
    dealt = deals_of(option, min([option.most, *room]))
    copies = dealt.copies
    costs = copies[:, None] * np.array(option.held, np.int64)
    work = np.broadcast_to(np.array(option.work, np.int64), (len(copies), len(option.work)))
    time = option.cycles_of(dealt.places, dealt.rows)
    lead = option.cycles_of(dealt.lead_places, dealt.lead_rows)
    energy = np.full_like(copies, option.energy_fj)
    fixed = (np.full_like(copies, number), copies, time, lead, energy, dealt.share)
    return np.column_stack([*fixed, costs, work])


def deals_of(option: Option, most: int) -> Deals:
    """What up to so many copies of an option can do."""
    sizes = option.firings, option.parts, option.lead
    found = deals(*sizes) if option.fixed is None else deal_of(*sizes, *option.fixed)
    return found.select(found.copies <= most)


def plan_of(
    layers: list[Candidates], rows: list[int], budget: Budget, objective: int | None, bound: int
) -> Plan:
    """The plan that takes row rows[i] of layer i.

    Without `objective` that is the interval.
    """
    costs = sum(
        (layer.costs[row] for layer, row in zip(layers, rows, strict=True)),
        np.zeros(len(budget.held) + len(budget.servers), np.int64),
    )
    held, work = costs[: len(budget.held)].tolist(), costs[len(budget.held) :].tolist()
    busy = [-(-cycles // servers) for cycles, servers in zip(work, budget.servers, strict=True)]
    slowest = [int(layer.time[row]) for layer, row in zip(layers, rows, strict=True)]
    interval = max([0, *slowest, *busy])
    choices = (
        Choice(int(layer.option[row]), int(layer.copies[row]), int(layer.share[row]))
        for layer, row in zip(layers, rows, strict=True)
    )
    least = interval if objective is None else objective
    return Plan(tuple(choices), tuple(held), interval, least, bound)

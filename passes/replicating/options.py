"""What a solver chooses from, and what it has to spend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Budget", "Candidates", "Choice", "Option", "Plan", "candidates_of", "plan_of"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Option:
    """One way of a layer.

    A copy takes `firings` turns of `cycles` each for an input, of which copies take their equal
    share, rounded up.  Each copy costs `held` of each thing that the chip has a number of
    (crossbars first, then such as SRAM).  However many copies, an input makes `work` for each kind
    of shared server (in server cycles, such as those of ADCs).  There are at least `copies_least`
    copies, and at most `copies_most`, 0 for as many as there are firings.  `lead` is how many
    firings come before the next layer can begin, and `energy_fj` what an input costs but for
    leakage.
    """

    firings: int
    cycles: int
    held: tuple[int, ...]
    work: tuple[int, ...] = ()
    copies_most: int = 0
    lead: int = 0
    energy_fj: int = 0
    copies_least: int = 1

    @property
    def most(self) -> int:
        return min(self.copies_most or self.firings, self.firings)


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
    """Option number `option` of a layer, and how many copies of it."""

    option: int
    copies: int


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

    i64[n]: `option`, `copies`, `time` per input, `lead` time before the next layer begins,
    `energy_fj`; `held` and `work` i64[n, kinds].  Rows are sorted by rising time, then the rest.
    """

    option: Ints
    copies: Ints
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
    option, copies, time, lead, energy_fj = rows[:, :5].T
    held, work = np.split(rows[:, 5:], [len(budget.held)], axis=1)
    return Candidates(option, copies, time, lead, energy_fj, held, work)


def rows_of(number: int, option: Option, budget: Budget) -> Ints:
    """Option, copies, time, lead, energy, costs...: i64[n, 5 + costs]."""
    if len(option.held) != len(budget.held) or len(option.work) != len(budget.servers):
        raise ValueError("options and budget speak of different things")
    room = [have // need for have, need in zip(budget.held, option.held, strict=True) if need]
    most = min([option.most, *room])
    copies = np.union1d(useful_copies(option.firings, most), useful_copies(option.lead, most))
    if option.copies_least > 1:
        least = np.arange(option.copies_least, min(option.copies_least, most) + 1)
        copies = np.union1d(copies[copies >= option.copies_least], least)
    turns = -(-option.firings // copies)
    costs = copies[:, None] * np.array(option.held, np.int64)
    work = np.broadcast_to(np.array(option.work, np.int64), (len(copies), len(option.work)))
    lead = -(-option.lead // copies) * option.cycles
    fixed = (np.full_like(copies, number), copies, turns * option.cycles, lead)
    energy = np.full_like(copies, option.energy_fj)
    return np.column_stack([*fixed, energy, costs, work])


def useful_copies(firings: int, most: int) -> Ints:
    """The fewest copies, up to `most`, for each number of turns that a copy can have left."""
    if most < 1:
        return np.empty(0, np.int64)
    copies = np.arange(1, most + 1, dtype=np.int64)
    turns = -(-firings // copies)
    return copies[np.diff(turns, prepend=firings + 1) < 0]


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
        Choice(int(layer.option[row]), int(layer.copies[row]))
        for layer, row in zip(layers, rows, strict=True)
    )
    least = interval if objective is None else objective
    return Plan(tuple(choices), tuple(held), interval, least, bound)

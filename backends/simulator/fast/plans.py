"""Read plans as tables, for the fast engine; and what of their timing is known before launch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.layout import State, table

if TYPE_CHECKING:
    from nmc.backends.simulator.fast.lowering import Lowered

__all__ = ["groups", "most_pairs", "plan_tables"]


def plan_tables(low: Lowered) -> tuple[State, State, State]:
    """Plans, reads and bursts."""
    plans: list[list[int]] = []
    reads: list[list[int]] = []
    bursts: list[list[int]] = []
    ranks = number_keys(low)
    classes = adc_classes(low)
    low.adc_classes = classes
    for core in low.program.cores:
        first = low.plan0[core.core]
        timings = low.plans[first : first + len(core.plans)]
        for plan, timing in zip(core.plans, timings, strict=True):
            row = [timing.fill, timing.write_back, len(reads), len(timing.reads)]
            row += [-1, plan.input_bytes, plan.outputs, len(plans), len(reads)]
            plans.append(row)
            for read, part in zip(plan.reads, timing.reads, strict=True):
                x = low.crossbars[core.core, part.crossbar]
                place = (core.core, part.crossbar // low.target.adc.crossbars_per_cluster)
                found = {classes[*place, b.adc]: b.cycles for b in part.bursts}
                longest = max(found, key=found.__getitem__, default=-1)
                tie = (ranks[timing.priority] << low.place_bits) | low.bar_width * low.place_of(x)
                row = [x, read.tile, tie, len(bursts), len(found), found.get(longest, 0), longest]
                reads.append(row)
                bursts += [[adc, cycles] for adc, cycles in found.items()]
    return table(plans, k.P_WIDTH), table(reads, k.R_WIDTH), table(bursts, k.B_WIDTH)


def number_keys(low: Lowered) -> dict[int, int]:
    """How wide the parts of a sample's key are; priorities by rank."""
    most = max((count for _, count in low.clusters), default=1)
    low.place_bits = (low.bar_width * (most - 1)).bit_length()
    priorities = sorted({timing.priority for timing in low.plans})
    low.key_bits = low.place_bits + max(0, len(priorities) - 1).bit_length()
    return {priority: rank for rank, priority in enumerate(priorities)}


def adc_classes(low: Lowered) -> dict[tuple[int, int, int], int]:
    """Numbers for ADCs; the same for those of a cluster that take as long for each read of it, and
    so are free at the same times."""
    work: dict[tuple[int, int, int], list[tuple[int, int]]] = {place: [] for place in low.adcs}
    number = 0
    for core in low.program.cores:
        first = low.plan0[core.core]
        for timing in low.plans[first : first + len(core.plans)]:
            for part in timing.reads:
                number += 1
                cluster = part.crossbar // low.target.adc.crossbars_per_cluster
                for burst in part.bursts:
                    work[core.core, cluster, burst.adc].append((number, burst.cycles))
    alike: dict[tuple[int, int, tuple[tuple[int, int], ...]], int] = {}
    return {
        (core, cluster, n): alike.setdefault((core, cluster, tuple(its)), len(alike))
        for (core, cluster, n), its in work.items()
    }


def most_pairs(low: Lowered) -> int:
    """How many different waits there can be within clusters: for an ADC, or the stages or the
    latches of a crossbar, by one of their sequencers behind another."""
    bars = {number: place for place, number in low.crossbars.items()}
    users: Counter[tuple[int, int]] = Counter()
    per_cluster = low.target.adc.crossbars_per_cluster
    for sequencer in range(len(low.first_code)):
        _, crossbars, _ = used(low, sequencer)
        users.update({(bars[x][0], bars[x][1] // per_cluster) for x in crossbars})
    units: Counter[tuple[int, int]] = Counter()
    for core, cluster, _ in {(*place[:2], n) for place, n in low.adc_classes.items()}:
        units[core, cluster] += 1
    for core, crossbar in low.crossbars:
        units[core, crossbar // per_cluster] += 2
    return sum(count * users[cluster] ** 2 for cluster, count in units.items())


# Sequencers


def groups(low: Lowered) -> list[list[int]]:
    """Sequencers that have crossbars in common, directly or by others; and notes which have mvms of
    one plan alone.  Where cells are written while running, all of a core are one group."""
    leaders: dict[int, int] = {}
    first_users: dict[int, int] = {}

    def leader(number: int) -> int:
        while leaders[number] != number:
            number = leaders[number]
        return number

    number = 0
    for core in low.program.cores:
        parts = [used(low, number + n) for n in range(len(core.sequencers))]
        writing = any(writes for _, _, writes in parts)
        for plans, crossbars, _ in parts:
            if crossbars:
                leaders[number] = number
            if len(plans) == 1:
                low.in_order.add(number)
            for x in crossbars | ({-1 - core.core} if writing and crossbars else set()):
                one, other = leader(number), leader(first_users.setdefault(x, number))
                leaders[max(one, other)] = min(one, other)
            number += 1
    result: dict[int, list[int]] = {}
    for number in leaders:
        result.setdefault(leader(number), []).append(number)
    return list(result.values())


def used(low: Lowered, sequencer: int) -> tuple[set[int], set[int], bool]:
    """The plans that a sequencer starts, the crossbars it uses, and whether it writes cells."""
    plan, read, _ = low.plan_tables
    plans: set[int] = set()
    crossbars: set[int] = set()
    writes = False
    begin, after = low.code_range(sequencer)
    for row in low.code[begin:after]:
        if row[k.I_OP] == k.OP_MVM and row[k.I_PLAN] not in plans:
            plans.add(row[k.I_PLAN])
            first, count = plan[row[k.I_PLAN], [k.P_READ0, k.P_READS]]
            crossbars.update(int(x) for x in read[first : first + count, k.R_XBAR])
        elif row[k.I_OP] == k.OP_CELLS:
            crossbars.add(row[k.I_XBAR])
            writes = True
    return plans, crossbars, writes

"""What units did in a finished run of the fast engine, as `Result.units` has it.

What follows from the program is counted there, instruction by instruction; waits, and why ADCs and
crossbars were idle, come from the kernels' meters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.accounts import turns
from nmc.backends.simulator.fast.layout import FOREVER
from nmc.backends.simulator.fast.lowering import Lowered, size_of
from nmc.backends.simulator.fast.state import Machine
from nmc.backends.simulator.result import KINDS, UnitUse, Who
from nmc.backends.simulator.timing import (
    ceil_div,
    cell_cycles,
    route,
    vec_cycles,
)
from nmc.ir import program as p
from nmc.ir.messages import flits, nearest_port
from nmc.ir.program_spans import walk

__all__ = ["span_of", "unit_uses"]

Place = tuple[int, ...]
Waits = Mapping[tuple[Who, Who], int]
CAUSES = ("latches", "fill", "stages", "read")

QUEUES = {"mvm-queue": k.S_QCOUNT, "noc-queue": k.S_NOC, "dma-queue": k.S_DMA}
QUEUE_OF = {
    k.OP_MVM: "mvm-queue",
    k.OP_CELLS: "mvm-queue",
    k.OP_PUT: "noc-queue",
    k.OP_SIGNAL: "noc-queue",
    k.OP_LOAD: "dma-queue",
    k.OP_STORE: "dma-queue",
}


def span_of(low: Lowered, machine: Machine, cycles: int) -> int:
    """Until all is over, of a run whose outputs were there after so many cycles."""
    sequencers = machine.rows("sequencer", len(low.first_code), k.S_WIDTH)
    bars = machine.rows("crossbar", len(low.crossbars), int(machine.m[k.G_BAR]))
    cores = machine.rows("core", len(low.program.cores), k.C_WIDTH)
    memories = machine.rows("memory", len(low.memories), k.M_WIDTH)
    ends = (
        sequencers[:, k.S_HALT_CYCLE] + 1,
        sequencers[:, [k.S_BACK + k.V_FREE, k.S_ARRIVED]],
        machine.rows("adc", len(set(low.adc_classes.values())), 1),
        bars[:, k.X_READING],
        np.where(bars[:, k.X_TAKEN] == FOREVER, 0, bars[:, k.X_TAKEN]),
        cores[:, [k.C_VECTOR + k.V_FREE, k.C_PORT + k.V_FREE]],
        machine.rows("link", len(low.links), k.K_WIDTH)[:, k.K_SERVER + k.V_FREE],
        memories[:, [k.M_SERVER + k.V_FREE, k.M_OUT + k.V_FREE]],
    )
    return max(cycles, *(int(values.max(initial=0)) for values in ends))


def unit_uses(low: Lowered, machine: Machine, cycles: int) -> tuple[UnitUse, ...]:
    """Of a run that was metered; of another, nothing."""
    if not machine.m[k.G_METER]:
        return ()
    book = Book(low, machine, span_of(low, machine, cycles), work_of(low))
    found = [*book.clusters(), *book.crossbars(), *book.sequencers(), *book.servers()]
    listed = [use for use in found if use.served or use.kind == "adc"]
    return tuple(sorted(listed, key=lambda use: (KINDS.index(use.kind), use.place)))


# What follows from the program


@dataclass(slots=True)
class Work:
    """By unit's place: how often it was taken up, and for how many cycles where that is fixed."""

    served: Counter[tuple[str, Place]] = field(default_factory=Counter[tuple[str, Place]])
    busy: Counter[tuple[str, Place]] = field(default_factory=Counter[tuple[str, Place]])

    def add(self, kind: str, place: Place, times: int, cycles: int = 0) -> None:
        self.served[kind, place] += times
        self.busy[kind, place] += times * cycles


def work_of(low: Lowered) -> Work:
    work = Work()
    for core in low.program.cores:
        for index, sequencer in enumerate(core.sequencers):
            for placed in walk(sequencer.instructions):
                times = turns(low, placed.counts)
                add_work(work, low, (core.core, index), placed.instruction, times)
    return work


def add_work(work: Work, low: Lowered, who: Who, what: p.Instruction, times: int) -> None:
    core = who[0]
    match what:
        case p.Mvm(plan=plan):
            add_reads(work, low, who, low.plan0[core] + plan, times)
        case p.ProgramCells(tile=tile):
            image = low.program.tiles[tile]
            bar = (core, image.crossbar)
            work.add("array", bar, times, cell_cycles(image, low.target)[0])
            work.add("latches", bar, times)
            work.add("fill", who, times, 1)
            work.add("mvm-queue", who, times)
        case p.Vec():
            work.add("vector", (core,), times, vec_cycles(what, low.target))
        case p.Wait(sem=sem):
            work.add("semaphore", (core, sem), times)
        case p.Put(core=to, src=src):
            work.add("noc-queue", who, times)
            add_message(work, low, core, to, times, flits(size_of(src), low.target))
        case p.Signal(core=to) if to != core:
            work.add("noc-queue", who, times)
            add_message(work, low, core, to, times, 1)
        case p.Load() | p.Store():
            work.add("dma-queue", who, times)
            add_access(work, low, core, what, times)
        case _:
            pass


def add_message(
    work: Work, low: Lowered, source: int, to: int, times: int, size: int, kind: str = "port"
) -> None:
    work.add(kind, (source,), times, size)
    for link in route(source, to, low.target):
        work.add("link", link, times, size)


def add_access(work: Work, low: Lowered, core: int, what: p.Load | p.Store, times: int) -> None:
    """A request of one flit and the data back, or the data and one flit back."""
    port, nbytes = nearest_port(core, low.target), size_of(what.src)
    there, back = 1, flits(nbytes, low.target)
    if isinstance(what, p.Store):
        there, back = back, there
    add_message(work, low, core, port, times, there)
    work.add("memory", (port,), times, ceil_div(nbytes, low.target.global_memory.bytes_per_cycle))
    add_message(work, low, port, core, times, back, "memory-out")


def add_reads(work: Work, low: Lowered, who: Who, plan: int, times: int) -> None:
    timing = low.plans[plan]
    work.add("fill", who, times, timing.fill)
    work.add("write-back", who, times, timing.write_back)
    work.add("mvm-queue", who, times)
    for read in timing.reads:
        bar, phases = (who[0], read.crossbar), times * timing.phases
        work.add("array", bar, phases, low.target.read_cycles)
        work.add("stages", bar, phases)
        work.add("latches", bar, times)
        cluster = read.crossbar // low.target.adc.crossbars_per_cluster
        for burst in read.bursts:
            work.add("adc", (who[0], cluster, burst.adc), phases, burst.cycles)


# And what was metered


@dataclass(slots=True)
class Book:
    low: Lowered
    machine: Machine
    span: int
    work: Work
    waits: dict[int, dict[tuple[Who, Who], int]] = field(
        default_factory=dict[int, dict[tuple[Who, Who], int]]
    )
    """By the unit's address."""
    whos: tuple[Who, ...] = ()
    """Sequencers by their number."""

    def __post_init__(self) -> None:
        program, begin = self.low.program, self.machine.begins["sequencer"]
        self.whos = tuple((c.core, n) for c in program.cores for n in range(len(c.sequencers)))
        rows = self.machine.waits
        rows[:, [k.W_WAITER, k.W_HOLDER]] = (rows[:, [k.W_WAITER, k.W_HOLDER]] - begin) // k.S_WIDTH
        for unit, waiter, holder, cycles in rows.tolist():
            self.waits.setdefault(unit, {})[self.whos[waiter], self.whos[holder]] = cycles

    def use(
        self,
        kind: str,
        place: Place,
        waits: Waits,
        busy: int | None = None,
        *,
        idle: Mapping[str, int] | None = None,
        places: int = 1,
    ) -> UnitUse:
        known = Counter(idle or {})
        taken = self.work.busy[kind, place] if busy is None else busy
        known["nothing-to-do"] = places * self.span - taken - known.total()
        times = self.work.served[kind, place]
        causes = dict(sorted((+known).items()))
        return UnitUse(kind, place, times, taken, causes, dict(sorted(waits.items())), places)

    def waits_at(self, unit: int) -> Waits:
        return self.waits.get(unit, {})

    def clusters(self) -> Iterator[UnitUse]:
        own, begin = self.machine.begins["adc meter"], self.machine.begins["adc"]
        fields = (k.Y_LATCHES, k.Y_FILL, k.Y_STAGES, k.Y_READ)
        for place, number in self.low.adc_classes.items():
            at = own + number * k.Y_WIDTH
            idle = {c: int(self.machine.m[at + f]) for c, f in zip(CAUSES, fields, strict=True)}
            yield self.use("adc", place, self.waits_at(begin + number), idle=idle)

    def crossbars(self) -> Iterator[UnitUse]:
        width, begin = int(self.machine.m[k.G_BAR]), self.machine.begins["crossbar"]
        rows = self.machine.meters("crossbar", len(self.low.crossbars), width)
        fields = (k.XM_IDLE_LATCHES, k.XM_IDLE_FILL, k.XM_IDLE_STAGES)
        holds = self.low.target.crossbar.sample_holds
        for place, number in self.low.crossbars.items():
            row, at = rows[number].tolist(), begin + number * width
            idle = {cause: row[f] for cause, f in zip(CAUSES, fields, strict=False)}
            staged, latched = row[k.XM_STAGED], row[k.XM_LATCHED]
            yield self.use("array", place, {}, idle=idle)
            yield self.use("stages", place, self.waits_at(at + k.X_STAGE0), staged, places=holds)
            yield self.use("latches", place, self.waits_at(at + k.X_TAKEN), latched)

    def sequencers(self) -> Iterator[UnitUse]:
        rows = self.machine.meters("sequencer", len(self.whos), k.S_WIDTH).tolist()
        depth = self.low.target.core.queue_depth
        for number, (who, row) in enumerate(zip(self.whos, rows, strict=True)):
            stalls = self.stalls(number)
            yield self.use("fill", who, own(who, row[k.SM_FILL_WAIT]))
            yield self.use("write-back", who, own(who, row[k.SM_BACK_WAIT]))
            for kind, held in QUEUES.items():
                yield self.use(kind, who, own(who, stalls[kind]), row[held], places=depth)

    def stalls(self, number: int) -> Counter[str]:
        """Cycles in which the queues of a sequencer were full, by queue."""
        total: Counter[str] = Counter()
        begin, after = self.low.code_range(number)
        code = self.machine.rows("code", len(self.low.code), k.I_WIDTH)[begin:after]
        for op, cycles in code[:, [k.I_OP, k.I_STALL]].tolist():
            if op in QUEUE_OF:
                total[QUEUE_OF[op]] += cycles
        return total

    def servers(self) -> Iterator[UnitUse]:
        cores = [(core.core,) for core in self.low.program.cores]
        ports = [(core,) for core in self.low.memories]
        semaphores = [(c.core, n) for c in self.low.program.cores for n in range(len(c.semaphores))]
        yield from self.of_kind("vector", cores, "core", k.C_WIDTH, k.C_VECTOR)
        yield from self.of_kind("port", cores, "core", k.C_WIDTH, k.C_PORT)
        yield from self.of_kind("link", list(self.low.links), "link", k.K_WIDTH, k.K_SERVER)
        yield from self.of_kind("memory", ports, "memory", k.M_WIDTH, k.M_SERVER)
        yield from self.of_kind("memory-out", ports, "memory", k.M_WIDTH, k.M_OUT)
        yield from self.of_kind("semaphore", semaphores, "semaphore", k.A_WIDTH, 0, places=0)

    def of_kind(
        self,
        kind: str,
        units: Sequence[Place],
        section: str,
        width: int,
        field: int,
        *,
        places: int = 1,
    ) -> Iterator[UnitUse]:
        """Units that are fields of a section's rows."""
        first = self.machine.begins[section] + field
        for number, place in enumerate(units):
            yield self.use(kind, place, self.waits_at(first + number * width), places=places)


def own(who: Who, cycles: int) -> Waits:
    """Behind its own instructions."""
    return {(who, who): cycles} if cycles else {}

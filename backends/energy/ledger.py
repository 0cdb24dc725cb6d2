"""The bookkeeping of a run: every event with its price, every part with its leakage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nmc.backends.energy.cells import cell_read_pj, plan_cells
from nmc.backends.energy.parts import PartKind, part_kinds
from nmc.backends.simulator import Result
from nmc.backends.simulator.result import Events, SequencerUse
from nmc.ir.program import CoreProgram, Program
from nmc.ir.target import Target

__all__ = [
    "Charge",
    "Leak",
    "charges_of",
    "leaks_of",
    "leaks_over",
    "powered_cores",
    "powered_routers",
    "priced",
]

PJ_PER_UW_NS = 1e-3


@dataclass(frozen=True, slots=True)
class Charge:
    """`count` events of one kind that one sequencer caused, at `e_pj` each.

    `layer` goes by its name, and is empty where a sequencer serves none.
    """

    core: int
    layer: str
    component: str
    event: str
    count: int
    e_pj: float

    @property
    def pj(self) -> float:
        return self.count * self.e_pj


@dataclass(frozen=True, slots=True)
class Leak:
    """`parts` parts that are on for `time_ns`; `core` is None for parts of the chip."""

    core: int | None
    component: str
    parts: int
    leak_uw: float
    time_ns: float

    @property
    def pj(self) -> float:
        return self.parts * self.leak_uw * self.time_ns * PJ_PER_UW_NS


# Events


def charges_of(
    program: Program,
    result: Result,
    target: Target,
    activity: float,
    layers: Mapping[str, str],
) -> Iterator[Charge]:
    """The events of all sequencers of a chip step, those that happened; `layers` has the layer of
    each stage that isn't called like it."""
    cores = {core.core: core for core in program.cores}
    for use in result.sequencers:
        cell_pj = sequencer_cell_pj(program, cores[use.core], use, target, activity)
        stage = use.label.rpartition(".")[0]
        layer = layers.get(stage, stage)
        for component, event, count, e_pj in priced(use.events, target, cell_pj):
            if count:
                yield Charge(use.core, layer, component, event, count, e_pj)


def sequencer_cell_pj(
    program: Program, core: CoreProgram, use: SequencerUse, target: Target, activity: float
) -> float:
    if not use.events.cells_read:
        return 0.0
    level = plan_cells(program, core, use.index, target)
    if level is None:
        raise ValueError(f"sequencer {use.index} of core {use.core} read cells without a plan")
    return cell_read_pj(level, activity, target)


def priced(events: Events, target: Target, cell_pj: float) -> Iterator[tuple[str, str, int, float]]:
    """(component, event, count, pJ each) of everything that `Events` counts.

    Flits that only enter the mesh are not charged: what a hop costs includes its router.
    """
    costs, adc = target.costs, target.adc
    yield "cells", "cell read", events.cells_read, cell_pj
    yield "dacs", "row driven", events.dac_row_phases, costs.dac.e_pj
    yield "sample-holds", "channel sampled", events.sample_holds, costs.sample_hold.e_pj
    for bits, count in sorted(events.conversions.items()):
        yield "adcs", f"conversion at {bits} bits", count, adc.e_conversion_pj(bits)
    yield "shift-adds", "conversion accumulated", events.shift_adds, costs.shift_add.e_pj
    for op, count in sorted(events.vector_elements.items()):
        yield "vector", f"element of {op}", count, costs.vector.element_e_pj(op)
    yield "sram", "byte read", events.sram_bytes_read, costs.sram.e_pj
    yield "sram", "byte written", events.sram_bytes_written, costs.sram.e_pj
    yield "noc", "flit over a hop", events.flit_hops, costs.noc.e_pj
    memory = costs.global_memory.e_pj
    yield "global-memory", "byte read", events.global_bytes_read, memory
    yield "global-memory", "byte written", events.global_bytes_written, memory
    yield "cell-writes", "cell written", events.cells_written, target.device.e_write_pj


# Leakage


def powered_cores(program: Program) -> tuple[int, ...]:
    """Cores that have a part in the program; the others are switched off."""
    return tuple(sorted(core.core for core in program.cores))


def powered_routers(program: Program, target: Target) -> tuple[int, ...]:
    """Routers of the smallest rectangle around powered cores and memory ports.

    No XY route between any two of them leaves it.
    """
    mesh = target.mesh
    places = [mesh.position(core) for core in powered_cores(program)]
    places += list(mesh.memory_ports)
    across, down = zip(*places, strict=True)
    return tuple(
        mesh.core_at(x, y)
        for y in range(min(down), max(down) + 1)
        for x in range(min(across), max(across) + 1)
    )


def leaks_of(program: Program, result: Result, target: Target) -> Iterator[Leak]:
    """Leakage of what is powered, from launch until the last output is stored."""
    return leaks_over(program, target, result.cycles / target.clock_ghz)


def leaks_over(program: Program, target: Target, time_ns: float) -> Iterator[Leak]:
    """Leakage of what is powered during some time."""
    for kind in part_kinds(target):
        if kind.leak_uw:
            yield from kind_leaks(kind, program, target, time_ns)


def kind_leaks(kind: PartKind, program: Program, target: Target, time_ns: float) -> Iterator[Leak]:
    if kind.per_core:
        on = powered_routers(program, target) if kind.component == "noc" else None
        for core in powered_cores(program) if on is None else on:
            yield Leak(core, kind.component, kind.per_core, kind.leak_uw, time_ns)
    if kind.per_chip:
        yield Leak(None, kind.component, kind.per_chip, kind.leak_uw, time_ns)

"""Counts of a finished run.  All instructions have been executed as often as their loops say, so
that all but the stalls follows from the program."""

from __future__ import annotations

from collections import Counter

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.lowering import Lowered, size_of
from nmc.backends.simulator.fast.state import Machine
from nmc.backends.simulator.result import AdcUse, Events, SequencerUse
from nmc.backends.simulator.timing import (
    ReadTiming,
    cell_cycles,
    vec_cycles,
    vec_elements,
)
from nmc.ir import program as p
from nmc.ir.messages import nearest_port
from nmc.ir.program_spans import operands, walk

__all__ = ["adc_use", "sequencer_use"]


def turns(low: Lowered, counts: tuple[int, ...]) -> int:
    """How often something inside loops of these counts is executed."""
    total = 1
    for count in counts:
        total *= low.inflight if count == p.INPUTS else count
    return total


# Sequencers


def sequencer_use(low: Lowered, machine: Machine) -> tuple[SequencerUse, ...]:
    result: list[SequencerUse] = []
    rows = machine.rows("sequencer", len(low.first_code), k.S_WIDTH)
    stalls = machine.rows("code", len(low.code), k.I_WIDTH)[:, k.I_STALL]
    for core in low.program.cores:
        for index, sequencer in enumerate(core.sequencers):
            use = SequencerUse(core.core, index, sequencer.label)
            first = low.first_code[len(result)]
            for placed in walk(sequencer.instructions):
                what = placed.instruction
                if isinstance(what, p.Loop | p.End):
                    continue
                times = turns(low, placed.counts)
                use.issued += times
                stall = int(stalls[first + placed.pc])
                if stall:
                    use.stalls[cause(what)] += stall
                if isinstance(what, p.Vec):
                    use.executing += times * (vec_cycles(what, low.target) - 1)
                count(use.events, low, core.core, what, times)
            use.halted = int(rows[len(result), k.S_HALT_CYCLE])
            result.append(use)
    return tuple(result)


def cause(instruction: p.Instruction) -> str:
    match instruction:
        case p.Wait(sem=sem):
            return f"wait sem {sem}"
        case p.Mvm() | p.ProgramCells():
            return "queue-full mvm"
        case p.Put() | p.Signal():
            return "queue-full noc"
        case p.Load() | p.Store():
            return "queue-full dma"
        case _:
            return "vec-busy"


# Events


def count(events: Events, low: Lowered, core: int, what: p.Instruction, times: int) -> None:
    for operand in operands(what):
        amount = times * operand.nbytes
        near = operand.desc.space is p.Space.SRAM
        match near, operand.written:
            case True, True:
                events.sram_bytes_written += amount
            case True, False:
                events.sram_bytes_read += amount
            case False, True:
                events.global_bytes_written += amount
            case _:
                events.global_bytes_read += amount
    match what:
        case p.Mvm(plan=plan):
            timing = low.plans[low.plan0[core] + plan]
            for read in timing.reads:
                count_read(events, read, times * timing.phases)
        case p.Vec(op=op):
            events.vector_elements[op] += times * vec_elements(what)
        case p.ProgramCells(tile=tile):
            events.cells_written += times * cell_cycles(low.program.tiles[tile], low.target)[1]
        case _:
            count_messages(events, low, core, what, times)


def count_read(events: Events, read: ReadTiming, times: int) -> None:
    events.dac_row_phases += times * read.rows
    events.cells_read += times * read.cells
    events.sample_holds += times * read.channels
    events.shift_adds += times * read.channels
    for bits, conversions in read.conversions.items():
        events.conversions[bits] += times * conversions


def count_messages(
    events: Events, low: Lowered, core: int, what: p.Instruction, times: int
) -> None:
    hops, flits = low.target.mesh.hops, low.target.mesh.flit_bytes
    match what:
        case p.Signal(core=to) if to != core:
            sizes, away = 1, hops(core, to)
        case p.Put(core=to):
            sizes, away = -(-size_of(what.src) // flits) + 1, hops(core, to)
        case p.Load() | p.Store():
            sizes = -(-size_of(what.src) // flits) + 2
            away = hops(core, nearest_port(core, low.target))
        case _:
            return
    events.port_flits += times * sizes
    events.flit_hops += times * sizes * away


# ADCs


def adc_use(low: Lowered) -> dict[tuple[int, int, int], AdcUse]:
    """For every ADC of the clusters that hold tiles, used or not."""
    use = {place: AdcUse() for place in sorted(low.adcs)}
    executed: Counter[int] = Counter()
    for core in low.program.cores:
        for sequencer in core.sequencers:
            for placed in walk(sequencer.instructions):
                if isinstance(placed.instruction, p.Mvm):
                    plan = low.plan0[core.core] + placed.instruction.plan
                    executed[plan] += turns(low, placed.counts)
    width = low.target.adc.crossbars_per_cluster
    for core in low.program.cores:
        first = low.plan0[core.core]
        for plan in range(first, first + len(core.plans)):
            times = executed[plan] * low.plans[plan].phases
            for read in low.plans[plan].reads:
                for burst in read.bursts:
                    adc = use[core.core, read.crossbar // width, burst.adc]
                    adc.conversions += times * burst.conversions.total()
                    adc.busy += times * burst.cycles
    return use

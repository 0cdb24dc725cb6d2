"""What a report says of the time and the energy that a mapping file will take, before any run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nmc.backends.energy import EnergyReport, energy_of
from nmc.backends.energy.runs import mac_count
from nmc.backends.report_limits import limit_reports, unit_text
from nmc.backends.report_records import PredictionReport
from nmc.backends.simulator.result import Events, Result, SequencerUse
from nmc.backends.simulator.timing import (
    PlanTiming,
    cell_cycles,
    plan_timing,
    vec_elements,
)
from nmc.ir import program as p
from nmc.ir.graph import DTYPES
from nmc.ir.messages import flits, nearest_port
from nmc.ir.prediction import Prediction
from nmc.ir.target import Target

if TYPE_CHECKING:
    # Containers hold reports: they may not be loaded from here.
    from nmc.backends.container.contents import Contents

__all__ = ["predicted_energy", "prediction_report", "program_events"]

RECORD_BYTES = 8


def prediction_report(contents: Contents, prediction: Prediction) -> PredictionReport:
    """Of one input; energy with many in flight, so that leakage counts for an interval."""
    steps = prediction.steps
    slowest = max(steps, key=lambda step: step.interval_cycles, default=None)
    energy = predicted_energy(contents, [step.interval_cycles for step in steps])
    return PredictionReport(
        round(prediction.interval_cycles),
        round(prediction.latency_cycles),
        round(sum(step.bound_cycles for step in steps)),
        unit_text(slowest.busiest[0]) if slowest and slowest.loads else "",
        energy.energy_j,
        tuple(limit_reports(contents.mapping, contents.target, prediction)),
    )


def predicted_energy(contents: Contents, cycles: Sequence[float], inputs: int = 1) -> EnergyReport:
    """Energy of `inputs` inputs, each chip step of which takes that many cycles in all.

    Events are those of the programs, which don't depend on time or data.
    """
    runs = [
        (program, expected_result(program, contents.target, took, inputs))
        for program, took in zip(contents.programs, cycles, strict=True)
    ]
    return energy_of(runs, contents.target, mac_count(contents.mapping))


def expected_result(program: p.Program, target: Target, cycles: float, inputs: int) -> Result:
    """What a simulation would give, as far as energy goes."""
    uses = tuple(
        SequencerUse(core.core, index, sequencer.label, events=events)
        for core in program.cores
        for index, (sequencer, events) in enumerate(
            zip(core.sequencers, program_events(program, core, target, inputs), strict=True)
        )
    )
    took = max(1, round(cycles))
    return Result({}, took, (took,) * inputs, uses, {})


def program_events(
    program: p.Program, core: p.CoreProgram, target: Target, inputs: int = 1
) -> Iterator[Events]:
    """Of each sequencer of a core, what it causes in the course of some inputs."""
    timings = [plan_timing(plan, program.tiles, target) for plan in core.plans]
    for sequencer in core.sequencers:
        events = Events()
        for instruction, times in executed(sequencer, inputs):
            _count(events, instruction, times, core.core, timings, program, target)
        yield events


def executed(sequencer: p.Sequencer, inputs: int) -> Iterator[tuple[p.Instruction, int]]:
    """Each instruction, and how often it issues."""
    times = [1]
    for instruction in sequencer.instructions:
        match instruction:
            case p.Loop(count=count):
                times.append(times[-1] * (inputs if count == p.INPUTS else count))
            case p.End():
                times.pop()
            case _:
                yield instruction, times[-1]


def _count(
    events: Events,
    instruction: p.Instruction,
    times: int,
    core: int,
    timings: list[PlanTiming],
    program: p.Program,
    target: Target,
) -> None:
    match instruction:
        case p.Vec():
            _count_vec(events, instruction, times)
        case p.Mvm(plan=plan, src=src, dst=dst):
            events.sram_bytes_read += times * nbytes(src)
            events.sram_bytes_written += times * nbytes(dst)
            _count_reads(events, timings[plan], times)
        case p.Put(core=there, src=src):
            events.sram_bytes_read += times * nbytes(src)
            events.sram_bytes_written += times * nbytes(src)
            _count_flits(events, times * flits(nbytes(src), target), core, there, target)
        case p.Signal(core=there) if there != core:
            _count_flits(events, times, core, there, target)
        case p.Load(src=src, dst=dst):
            events.global_bytes_read += times * nbytes(src)
            events.sram_bytes_written += times * nbytes(dst)
            _count_memory(events, nbytes(src), times, core, target)
        case p.Store(src=src, dst=dst):
            events.sram_bytes_read += times * nbytes(src)
            events.global_bytes_written += times * nbytes(dst)
            _count_memory(events, nbytes(src), times, core, target)
        case p.ProgramCells(tile=tile):
            events.cells_written += times * cell_cycles(program.tiles[tile], target)[1]


def _count_vec(events: Events, vec: p.Vec, times: int) -> None:
    events.vector_elements[vec.op] += times * vec_elements(vec)
    events.sram_bytes_written += times * nbytes(vec.dst)
    if vec.a is not None:
        events.sram_bytes_read += times * nbytes(vec.a)
    if vec.b is not None:
        has_records = vec.op in ("requant", "dequant", "layernorm")
        each = vec.b.elements * RECORD_BYTES if has_records else nbytes(vec.b)
        events.sram_bytes_read += times * each


def _count_reads(events: Events, timing: PlanTiming, times: int) -> None:
    phases = times * timing.phases
    for read in timing.reads:
        events.dac_row_phases += phases * read.rows
        events.cells_read += phases * read.cells
        events.sample_holds += phases * read.channels
        events.shift_adds += phases * read.channels
        for bits, count in read.conversions.items():
            events.conversions[bits] += phases * count


def _count_memory(events: Events, size: int, times: int, core: int, target: Target) -> None:
    """Data one way, and one flit the other."""
    count = times * (flits(size, target) + 1)
    _count_flits(events, count, core, nearest_port(core, target), target)


def _count_flits(events: Events, count: int, core: int, there: int, target: Target) -> None:
    events.port_flits += count
    events.flit_hops += count * target.mesh.hops(core, there)


def nbytes(desc: p.Desc) -> int:
    return desc.elements * DTYPES[desc.dtype].itemsize

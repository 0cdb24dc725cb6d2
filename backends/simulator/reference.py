"""The reference engine: plain Python, every unit stepped, to be read beside docs/machine.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nmc.backends.simulator.host import fill_frames, read_frames, sample_count
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.result import Result
from nmc.ir.graph import Array
from nmc.ir.program import Program
from nmc.ir.target import Target

__all__ = ["run_reference"]


def run_reference(
    program: Program,
    target: Target,
    inputs: Mapping[str, Array],
    *,
    inflight: int,
    max_cycles: int,
    progress: Callable[[int], None] | None,
    detect_races: bool,
    attach: Callable[[Machine], None] | None = None,
) -> Result:
    """`attach` is given the machine before launch, so as to watch it or to pause it."""
    samples = sample_count(program, inputs)
    machine = Machine(program, target, -(-samples // inflight), inflight)
    fill_frames(machine.memory, program, inputs, inflight)
    if detect_races:
        machine.watch_races()
    if attach is not None:
        attach(machine)
    machine.run(max_cycles, progress)
    cycles = machine.output_cycles
    return Result(
        outputs=read_frames(machine.memory, program, samples, inflight),
        cycles=max(cycles),
        output_cycles=cycles,
        sequencers=tuple(sequencer.use for sequencer in machine.sequencers),
        adcs=machine.adc_use,
        races=machine.races,
        span=machine.span,
        units=machine.units,
    )

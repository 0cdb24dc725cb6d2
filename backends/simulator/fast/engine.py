"""Runs programs on the fast engine: lowers them, runs the events, moves the bytes."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.accounts import adc_use, sequencer_use
from nmc.backends.simulator.fast.lanes import Lanes, products_of
from nmc.backends.simulator.fast.layout import FOREVER
from nmc.backends.simulator.fast.loop import run_events
from nmc.backends.simulator.fast.lowering import Lowered, lower
from nmc.backends.simulator.fast.state import Machine, enlarge, machine, widen
from nmc.backends.simulator.fast.uses import span_of, unit_uses
from nmc.backends.simulator.fast.values import Bytes, note_stores
from nmc.backends.simulator.host import Outputs, fill_frames, read_frames, sample_count
from nmc.backends.simulator.memory import Memory
from nmc.backends.simulator.reference import run_reference
from nmc.backends.simulator.result import Race, Result
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Array
from nmc.ir.program_text import instruction_text
from nmc.ir.target import Target

__all__ = ["run_fast", "run_timing"]

PROGRESS_CYCLES = 2000


def run_fast(
    program: p.Program,
    target: Target,
    inputs: Mapping[str, Array],
    *,
    inflight: int,
    max_cycles: int,
    progress: Callable[[int], None] | None,
    detect_races: bool,
) -> Result:
    """As the reference engine.  Races are a matter of timing and not of data, and looked for by
    the reference engine on one lane."""
    samples = sample_count(program, inputs)
    races: tuple[Race, ...] = ()
    if detect_races:
        first = {io.name: np.asarray(inputs[io.name])[:inflight] for io in program.inputs}
        races = run_reference(
            program,
            target,
            first,
            inflight=inflight,
            max_cycles=max_cycles,
            progress=progress,
            detect_races=True,
        ).races
    low = lower(program, target, inflight)
    memory = launched(low, inputs, -(-samples // inflight))
    with threadpool_limits(1):
        done = run(low, memory, max_cycles, progress)
    frames = Memory(len(memory), program.frame_bytes * inflight)
    frames.data[...] = memory[:, low.global_at : low.global_at + frames.size]
    return result_of(low, done, read_frames(frames, program, samples, inflight), races)


def run_timing(
    program: p.Program,
    target: Target,
    inflight: int,
    max_cycles: int = FOREVER,
    *,
    meter: bool = False,
) -> Result:
    """Everything but the values: no memory is held, and there are no outputs.  What units did is
    in the result only if `meter` asks for it."""
    low = lower(program, target, inflight)
    return result_of(low, run(low, None, max_cycles, None, meter=meter), {}, ())


def result_of(
    low: Lowered, done: Done, outputs: Mapping[str, Array], races: tuple[Race, ...]
) -> Result:
    cycles = tuple(int(cycle) for cycle in done.cycles)
    if not low.program.outputs:
        halted = done.machine.rows("sequencer", len(low.first_code), k.S_WIDTH)[:, k.S_HALT_CYCLE]
        cycles = (int(halted.max(initial=-1)) + 1,) * low.inflight
    return Result(
        outputs=outputs,
        cycles=max(cycles),
        output_cycles=cycles,
        sequencers=sequencer_use(low, done.machine),
        adcs=adc_use(low),
        races=races,
        span=span_of(low, done.machine, max(cycles)),
        units=unit_uses(low, done.machine, max(cycles)),
    )


def launched(low: Lowered, inputs: Mapping[str, Array], lanes: int) -> Bytes:
    """Memories of all lanes at launch: u8[lanes, bytes]."""
    memory: Bytes = np.zeros((lanes, low.lane_bytes), np.uint8)
    for core in low.program.cores:
        for image in core.images:
            at = low.sram_at[core.core] + image.address
            memory[:, at : at + image.data.size] = image.data
    frames = Memory(lanes, low.program.frame_bytes * low.inflight)
    fill_frames(frames, low.program, inputs, low.inflight)
    memory[:, low.global_at : low.global_at + frames.size] = frames.data
    return memory


# Running


class Done:
    """A run: the machine in the end, and what came to global memory when."""

    def __init__(self, low: Lowered, *, record: bool, meter: bool) -> None:
        self.machine = machine(low, record=record, meter=meter)
        outputs = Outputs(low.program, low.inflight)
        self.frame_bytes = outputs.frame_bytes
        self.mask: Bytes = outputs.mask.view(np.uint8)
        self.missing: Bytes = outputs.missing.view(np.uint8)
        self.cycles = np.zeros(low.inflight, np.int64)

    def note_stores(self) -> None:
        m = self.machine.m
        rows = int(m[k.G_ROWS])
        note_stores(m, rows, self.frame_bytes, self.mask, self.missing, self.cycles)


def run(
    low: Lowered,
    memory: Bytes | None,
    max_cycles: int,
    progress: Callable[[int], None] | None,
    *,
    meter: bool = True,
) -> Done:
    """Run to the end; NmcError `run-limit`, `deadlock` or `bad-program`."""
    done = Done(low, record=memory is not None, meter=meter)
    groups = [] if memory is None else grouped(low, memory, done.machine)
    with ThreadPoolExecutor(max(1, len(groups))) as pool:
        while True:
            m = done.machine.m
            until = int(m[k.G_NOW]) + PROGRESS_CYCLES if progress else max_cycles
            ended = run_events(m, max_cycles, until)
            done.note_stores()
            for part in [pool.submit(group.execute, done.machine) for group in groups]:
                part.result()
            m[k.G_ROWS] = 0
            if ended == k.SHORT:
                enlarge(done.machine, low, done.machine.begins["tasks"])
            elif ended == k.CROWDED:
                widen(done.machine)
            elif ended != k.FULL:
                break
            if progress is not None:
                progress(int(m[k.G_NOW]))
    check_end(low, done, ended, max_cycles)
    return done


def host_cores() -> int:
    """Those that this process may use, where the system says so."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def grouped(low: Lowered, memory: Bytes, machine: Machine) -> list[Lanes]:
    """As many groups of lanes as the host has cores for them."""
    count = max(1, min(len(memory), host_cores()))
    bounds = [len(memory) * n // count for n in range(count + 1)]
    products = products_of(low)
    machine.rows("plan", len(low.plans), k.P_WIDTH)[:, k.P_WEIGHTS] = products.begins
    code = machine.begins["code"]
    return [Lanes(low, products, memory[bounds[n] : bounds[n + 1]], code) for n in range(count)]


def check_end(low: Lowered, done: Done, ended: int, max_cycles: int) -> None:
    m = done.machine.m
    if ended == k.LIMIT:
        message = f"not done after {max_cycles} cycles"
        raise NmcError(error("run-limit", message, remedy="raise it: --max-cycles N"))
    if ended == k.UNWRITTEN:
        at = where(low, done.machine, int(m[m[k.G_ERROR] + k.T_CODE]))
        message = f"tile {m[k.G_MISSING]} is read before its cells are written: {at}"
        raise NmcError(error("bad-program", message))
    sequencers = done.machine.rows("sequencer", len(low.first_code), k.S_WIDTH)
    stuck = sequencers[sequencers[:, k.S_HALTED] == 0]
    if len(stuck):
        message = f"{len(stuck)} of {len(sequencers)} sequencers wait for ever"
        notes = [where(low, done.machine, int(row[k.S_PC])) for row in stuck]
        raise NmcError(error("deadlock", message, notes=notes))
    short = done.missing.reshape(low.inflight, -1).sum(axis=1, dtype=np.int64)
    if short.any():
        frame = int(np.flatnonzero(short)[0])
        message = f"{int(short[frame])} output bytes of input {frame} are never stored"
        raise NmcError(error("bad-program", message))


def where(low: Lowered, machine: Machine, at: int) -> str:
    """The instruction in this row, for people; a wait with what its semaphore holds."""
    code = (at - machine.begins["code"]) // k.I_WIDTH
    instruction = low.instructions[code]
    s = bisect_right(low.first_code, code) - 1
    labels = [(c.core, q.label) for c in low.program.cores for q in c.sequencers]
    core, label = labels[s]
    text = f"core {core} {label} pc {code - low.first_code[s]}: {instruction_text(instruction)}"
    if isinstance(instruction, p.Wait):
        text += f" (it holds {machine.m[machine.m[at + k.I_SEM] + k.A_VALUE]})"
    return text

"""The machine as a whole: stall sums, skipped cycles, deadlocks, limits, swapping of weights."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.backends.simulator import MAX_CYCLES, simulate
from nmc.backends.simulator.machine import Machine
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError
from nmc.ir.target import Target
from tests.backends.simulator.chips import Code, chip, core, far, plan, run, tile, vector

CORES = (0, 1, 5)
STREAMS = 3
IMAGE = {0: np.arange(256, dtype=np.uint8)}
TILES = [
    tile(np.arange(16).reshape(4, 4) - 8, crossbar, core=number, channel0=channel)
    for number in CORES
    for crossbar, channel in ((0, 0), (0, 4), (1, 0), (2, 0))
]


def plans(number: int) -> tuple[p.ReadPlan, ...]:
    first = 4 * CORES.index(number)
    return plan(first), plan(first + 1, priority=-1), plan(first + 2, first + 3)


# Random programs.  A sequencer's own semaphore counts what it has started; semaphore 0 to 2 of
# each core are those.  Tokens pass only to sequencers that come later, so nothing waits for ever.


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, int, Code]]:
    result: list[tuple[int, int, Code]] = []
    sent: dict[tuple[int, int], int] = {}
    for number in CORES:
        for index in range(STREAMS):
            body: Code = []
            gate = STREAMS + index
            if sent.get((number, gate)):
                body.append(p.Wait(gate, draw(st.integers(1, sent[number, gate]))))
            for _ in range(draw(st.integers(0, 6))):
                body += draw(step(number, index, sent))
            turns = draw(st.integers(1, 3))
            result.append(
                (
                    number,
                    index,
                    [p.Loop(turns), *body, p.End()]
                    if body and not isinstance(body[0], p.Wait)
                    else body,
                )
            )
    return result


@st.composite
def step(draw: st.DrawFn, number: int, index: int, sent: dict[tuple[int, int], int]) -> Code:
    kind = draw(st.sampled_from(["mvm", "vec", "put", "load", "store", "signal"]))
    at = 1024 + 256 * index
    match kind:
        case "mvm":
            which = draw(st.integers(0, 2))
            src = vector("u8", 0, 8 if which == 2 else 4)
            start: Code = [p.Mvm(which, vector("i32", at, 4), src, index)]
        case "vec":
            count = draw(st.integers(1, 20))
            op = draw(st.sampled_from(["add", "div"]))
            return [p.Vec(op, vector("i32", at, count), vector("i32", 0, count), None, (3.0,))]
        case "put":
            size = draw(st.integers(1, 40))
            to = draw(st.sampled_from(CORES))
            there = vector("u8", 2048 + 64 * index, size)
            start = [p.Put(to, there, vector("u8", 0, size), 7, index)]
        case "load":
            start = [p.Load(vector("u8", at, 16), far("u8", 0, 16), index)]
        case "store":
            start = [p.Store(far("u8", 64 * CORES.index(number), 16), vector("u8", 0, 16), index)]
        case _:
            later = [(n, i) for n in CORES for i in range(STREAMS) if (n, i) > (number, index)]
            if not later:
                return []
            to, gate = draw(st.sampled_from(later))
            sent[to, STREAMS + gate] = sent.get((to, STREAMS + gate), 0) + 1
            return [p.Signal(to, STREAMS + gate)]
    return [*start, p.Wait(index)] if draw(st.booleans()) else start


def machine(parts: list[tuple[int, int, Code]], target: Target, every: bool) -> Machine:
    cores = tuple(
        core(
            *(body for at, _, body in parts if at == number),
            number=number,
            images=IMAGE,
            plans=plans(number),
        )
        for number in CORES
    )
    program = p.Program("random", cores, tuple(TILES), frame_bytes=256)
    made = Machine(program, target, 1, 1, every_cycle=every)
    made.run(MAX_CYCLES)
    return made


TARGETS = (
    chip(),
    chip(
        crossbar={"sample_holds": 2},
        adc={"adcs_per_cluster": 2, "crossbars_per_cluster": 4},
        core={"queue_depth": 1},
        shift_add={"t_ns": 0.0},
    ),
)


@settings(max_examples=60)
@given(streams(), st.sampled_from(TARGETS))
def test_skipping_cycles_changes_nothing(
    parts: list[tuple[int, int, Code]], target: Target
) -> None:
    slow, fast = (machine(parts, target, every) for every in (True, False))
    assert [asdict(s.use) for s in slow.sequencers] == [asdict(s.use) for s in fast.sequencers]
    assert slow.adc_use == fast.adc_use
    for number in CORES:
        assert np.array_equal(slow.cores[number].memory.data, fast.cores[number].memory.data)
    assert np.array_equal(slow.memory.data, fast.memory.data)


@settings(max_examples=60)
@given(streams(), st.sampled_from(TARGETS))
def test_every_cycle_of_a_sequencer_is_accounted_for(
    parts: list[tuple[int, int, Code]], target: Target
) -> None:
    for sequencer in machine(parts, target, False).sequencers:
        assert sequencer.use.cycles == sequencer.use.halted + 1


@settings(max_examples=30)
@given(streams())
def test_adcs_are_busy_for_their_conversions(
    parts: list[tuple[int, int, Code]],
) -> None:
    done = machine(parts, TARGETS[0], False)
    events = sum(s.use.events.conversions.total() for s in done.sequencers)
    assert sum(use.conversions for use in done.adc_use.values()) == events
    for use in done.adc_use.values():
        assert use.busy == use.conversions <= done.clock.cycle


@pytest.mark.parametrize(
    ("encoding", "columns", "channels"), [("differential", 8, 4), ("offset", 5, 5)]
)
def test_events_of_an_mvm(encoding: str, columns: int, channels: int) -> None:
    """Four rows and four outputs in two phases: pairs have two columns for each output; without
    them there is one, and a unit column.  What it stands for does not matter here."""
    stream: Code = [p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 4), 0), p.Wait(0)]
    target = chip(numbers={"weight_bits": 7})
    only = core(stream, images=IMAGE, plans=(plan(0),))
    result = run(only, tiles=[tile(np.ones((4, 4)), encoding=encoding)], target=target)
    events = result.sequencers[0].events
    assert events.dac_row_phases == 4 * 2
    assert events.cells_read == 4 * columns * 2
    assert events.sample_holds == events.shift_adds == channels * 2
    assert events.conversions == {16: channels * 2}
    assert (events.sram_bytes_read, events.sram_bytes_written) == (4, 16)
    assert result.events == events


# What can go wrong


def test_deadlock_names_who_waits_for_what() -> None:
    with pytest.raises(NmcError) as caught:
        run(
            core([p.Wait(0), p.Signal(0, 1)], [p.Wait(1, 2), p.Signal(0, 0)], [], semaphores=(0, 1))
        )
    (problem,) = caught.value.diagnostics
    assert problem.code == "deadlock"
    assert problem.message == "2 of 3 sequencers wait for ever"
    assert problem.notes == (
        "core 0 s0 pc 0: wait sem 0, 1 (it holds 0)",
        "core 0 s1 pc 0: wait sem 1, 2 (it holds 1)",
    )


def test_limit_of_cycles() -> None:
    long = core([p.Loop(100), p.Signal(0, 0), p.End()])
    assert run(long, max_cycles=101).cycles == 101
    with pytest.raises(NmcError, match="run-limit"):
        run(long, max_cycles=99)


def test_progress_is_told() -> None:
    cycles: list[int] = []
    run(core([p.Loop(5000), p.Signal(0, 0), p.End()]), progress=cycles.append)
    assert cycles == [2000, 4000]


def test_unsound_programs_are_refused_before_they_run() -> None:
    with pytest.raises(NmcError, match=r"bad-program.*semaphore 99"):
        run(core([p.Wait(99)]))


def test_outputs_must_be_stored() -> None:
    y = p.Io("y", 0, "u8", (4,), (4,), (0,))
    program = p.Program("test", (core([]),), outputs=(y,), frame_bytes=4)
    with pytest.raises(NmcError, match="4 output bytes of input 0 are never stored"):
        simulate(program, chip(), {})


def test_engines_have_names() -> None:
    with pytest.raises(NmcError, match="no engine `quick`"):
        run(core([]), engine="quick")
    with pytest.raises(NmcError, match="0 inputs in flight"):
        run(core([]), inflight=0)


# Swapping weights


def swap(*between: p.Instruction) -> p.CoreProgram:
    """An mvm on tile 0; tile 1 written over it; an mvm on tile 1."""
    stream: Code = [
        p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 4), 0),
        *between,
        p.Mvm(1, vector("i32", 1040, 4), vector("u8", 0, 4), 0),
        p.Wait(0, 2),
    ]
    return core(stream, images=IMAGE, plans=(plan(0), plan(1)))


def test_tiles_are_swapped_while_running() -> None:
    tiles = [tile(np.eye(4)), tile(2 * np.eye(4))]
    made = Machine(
        p.Program("swap", (swap(p.ProgramCells(1, 1), p.Wait(1)),), tuple(tiles)), chip(), 1, 1
    )
    made.run(MAX_CYCLES)
    result = made.cores[0].memory.data[0, 1024:1056].view(np.int32)
    assert result.tolist() == [0, 1, 2, 3, 0, 2, 4, 6]
    assert made.sequencers[0].use.events.cells_written == 32


def test_writing_cells_waits_for_reads_and_takes_their_time() -> None:
    """The mvm's last read is 9-12; cells are written from 12 on, row by row: 4 rows of 8 cells in
    a time of t_write each."""
    target = chip()
    cycles = target.cycles(4 * target.device.t_write_ns)
    stream: Code = [
        p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 4), 0),
        p.ProgramCells(1, 1),
        p.Wait(1),
    ]
    only = core(stream, images=IMAGE, plans=(plan(0),))
    result = run(only, tiles=[tile(np.eye(4)), tile(np.eye(4))], target=target)
    assert result.sequencers[0].halted - 1 == 12 + max(1, cycles)


def test_tiles_that_are_not_written_can_not_be_read() -> None:
    tiles = [tile(np.eye(4)), tile(np.eye(4), 1)]
    early: Code = [p.Mvm(1, vector("i32", 1024, 4), vector("u8", 0, 4), 0), p.ProgramCells(1, 1)]
    with pytest.raises(NmcError, match="tile 1 is read before its cells are written: core 0 s0 pc"):
        run(core(early, images=IMAGE, plans=(plan(0), plan(1))), tiles=tiles)

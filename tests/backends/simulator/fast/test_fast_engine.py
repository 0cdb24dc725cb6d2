"""The fast engine equals the reference: cycles, stalls, events, bytes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.backends.simulator import Result, simulate
from nmc.backends.simulator.fast import run_timing
from nmc.backends.simulator.fast.jit import at_hand
from nmc.backends.simulator.fast.loop import run_events
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError
from nmc.ir.target import Target
from tests.backends.simulator.chips import Code, chip, core, far, plan, run, tile, vector
from tests.backends.simulator.fast.programs import TARGETS, fast, programs, reference

IMAGE = {0: np.arange(256, dtype=np.uint8)}
ENGINES = ("reference", "fast")


@settings(max_examples=200)
@given(programs(), st.sampled_from(TARGETS))
def test_random_programs(program: p.Program, target: Target) -> None:
    """Races included: the order in which things happen is the same, byte by byte."""
    assert fast(program, target) == reference(program, target)


def both(*cores: p.CoreProgram, **options: Any) -> Result:
    slow, quick = (run(*cores, engine=engine, **options) for engine in ENGINES)
    assert slow.sequencers == quick.sequencers
    assert slow.adcs == quick.adcs
    assert slow.cycles == quick.cycles
    assert slow.races == quick.races
    return quick


def failures(*cores: p.CoreProgram, **options: Any) -> str:
    """What both engines say, in the same words."""
    said: list[NmcError] = []
    for engine in ENGINES:
        with pytest.raises(NmcError) as caught:
            run(*cores, engine=engine, **options)
        said.append(caught.value)
    assert said[0].diagnostics == said[1].diagnostics
    return str(said[0]) + " ".join(note for d in said[0].diagnostics for note in d.notes)


# Long and deep


def test_more_work_under_way_than_there_were_tasks() -> None:
    """Write-backs are slower than anything else here, so that hundreds of mvms wait for them."""
    stream: Code = [
        p.Loop(2000),
        p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 4), 0),
        p.End(),
        p.Wait(0, 2000),
    ]
    target = chip(core={"sram_bytes_per_cycle": 1}, crossbar={"dac_bits": 8, "t_read_ns": 1.0})
    only = core(stream, images=IMAGE, plans=(plan(0),))
    result = both(only, tiles=[tile(np.eye(4))], target=target)
    assert result.cycles > 2000 * 16


def test_what_is_far_ahead_happens_in_its_turn() -> None:
    """Latencies beyond the ring of the agenda."""
    streams: list[Code] = [
        [p.Load(vector("u8", 1024 + 64 * i, 16), far("u8", 16 * i, 16), i), p.Wait(i)] * 3
        for i in range(3)
    ]
    target = chip(global_memory={"t_latency_ns": 9000.0})
    program = p.Program("far", (core(*streams, images=IMAGE),), frame_bytes=64)
    slow, quick = (
        simulate(program, target, {}, engine=engine, detect_races=False) for engine in ENGINES
    )
    assert slow.sequencers == quick.sequencers
    assert quick.cycles > 3 * 9000


@pytest.mark.parametrize("priority", [-1, 0, 1])
def test_samples_ready_together_go_by_priority(priority: int) -> None:
    """Two crossbars of one ADC; unequal write-backs, so that who goes first is seen in the end."""
    streams: list[Code] = [
        [p.Mvm(i, vector("i32", 1024 + 64 * i, 4), vector("u8", 0, 4), i), p.Wait(i)]
        for i in range(2)
    ]
    plans = (plan(0), plan(1, priority=priority))
    tiles = [tile(np.eye(4)), tile(np.eye(4), 1)]
    result = both(core(*streams, images=IMAGE, plans=plans), tiles=tiles)
    first, second = (use.halted for use in result.sequencers)
    assert (second < first) == (priority < 0)


def test_links_step_in_the_order_of_their_first_use() -> None:
    """Hops that take no time: a message crosses several links in one cycle."""
    streams: list[Code] = [
        [p.Put(to, vector("u8", 2048 + 64 * i, 20), vector("u8", 0, 20), 7, i), p.Wait(i)] * 4
        for i, to in enumerate((5, 1, 4))
    ]
    cores = [core(*streams, number=n, images=IMAGE) for n in (0, 1, 3, 4, 5)]
    both(*cores, target=chip(mesh={"t_hop_ns": 0.0}), detect_races=False)


# Inputs, outputs, lanes


def echo(samples: int, inflight: int, engine: str) -> Result:
    """Adds 1 to each byte of the input."""
    x = p.Io("x", 0, "u8", (8,), (8,), (0,))
    y = p.Io("y", 8, "u8", (8,), (8,), (0,))
    step = (16,)
    stream: Code = [
        p.Loop(p.INPUTS),
        p.Load(vector("u8", 0, 8), far("u8", 0, 8, loops=step), 0),
        p.Wait(0),
        p.Vec("max", vector("u8", 16, 8), vector("u8", 0, 8), None, (7.0,)),
        p.Store(far("u8", 8, 8, loops=step), vector("u8", 16, 8), 0),
        p.Wait(0),
        p.End(),
    ]
    program = p.Program("echo", (core(stream),), (), (x,), (y,), 16)
    data = np.random.default_rng(0).integers(0, 256, (samples, 8)).astype(np.uint8)
    result = simulate(program, chip(), {"x": data}, inflight=inflight, engine=engine)
    assert np.array_equal(result.outputs["y"], np.maximum(data, 7))
    return result


@pytest.mark.parametrize(("samples", "inflight"), [(1, 1), (7, 1), (7, 3), (2, 4)])
def test_samples_in_lanes_and_in_flight(samples: int, inflight: int) -> None:
    slow, quick = (echo(samples, inflight, engine) for engine in ENGINES)
    assert slow.output_cycles == quick.output_cycles
    assert slow.sequencers == quick.sequencers


def test_timing_alone_is_the_same() -> None:
    stream: Code = [
        p.Loop(p.INPUTS),
        p.Vec("relu", vector("i32", 0, 9), vector("i32", 0, 9)),
        p.End(),
    ]
    program = p.Program("t", (core(stream, images=IMAGE),))
    whole = simulate(program, chip(), {}, engine="fast", inflight=4)
    alone = run_timing(program, chip(), 4)
    assert whole.sequencers == alone.sequencers
    assert whole.output_cycles == alone.output_cycles
    assert alone.outputs == {}


def test_progress_is_told() -> None:
    cycles: list[int] = []
    long = core([p.Loop(9000), p.Signal(0, 0), p.End()])
    run(long, engine="fast", progress=cycles.append, detect_races=False)
    assert cycles == sorted(cycles)
    assert len(cycles) >= 3


def test_what_has_run_needs_no_compiling() -> None:
    run_timing(p.Program("t", (core([]),)), chip(), 1)
    assert at_hand(run_events)


# What can go wrong


def test_deadlock_in_the_same_words() -> None:
    said = failures(core([p.Wait(0), p.Signal(0, 1)], [p.Wait(1, 2)], [], semaphores=(0, 1)))
    assert "2 of 3 sequencers wait for ever" in said
    assert "core 0 s1 pc 0: wait sem 1, 2 (it holds 1)" in said


def test_limit_of_cycles_in_the_same_words() -> None:
    long = core([p.Loop(100), p.Signal(0, 0), p.End()])
    assert "not done after 99 cycles" in failures(long, max_cycles=99)
    assert both(long, max_cycles=101).cycles == 101


def test_reads_past_a_buffer_are_refused() -> None:
    beyond = core([p.Vec("relu", vector("i32", 0, 4), vector("i32", 4 << 10, 4))])
    assert "pc 0" in failures(beyond)


def test_reads_beyond_the_frames_are_refused() -> None:
    stream: Code = [p.Load(vector("u8", 0, 16), far("u8", 8, 16), 0), p.Wait(0)]
    program = p.Program("far", (core(stream),), frame_bytes=16)
    with pytest.raises(NmcError, match=r"bad-program.*pc 0"):
        simulate(program, chip(), {}, engine="fast")


def test_cells_that_are_not_written_in_the_same_words() -> None:
    tiles = [tile(np.eye(4)), tile(np.eye(4), 1)]
    early: Code = [p.Mvm(1, vector("i32", 1024, 4), vector("u8", 0, 4), 0), p.ProgramCells(1, 1)]
    only = core(early, images=IMAGE, plans=(plan(0), plan(1)))
    said = failures(only, tiles=tiles)
    assert "tile 1 is read before its cells are written: core 0 s0 pc 0" in said


def test_races_are_reported() -> None:
    one: Code = [p.Vec("fill", vector("u8", 0, 8), None, None, (1.0,))]
    two: Code = [p.Vec("fill", vector("u8", 4, 8), None, None, (2.0,))]
    (race,) = both(core(one, two)).races
    assert race.kind == "write-after-write"
    assert (race.address, race.nbytes) == (4, 4)


def test_outputs_must_be_stored() -> None:
    y = p.Io("y", 0, "u8", (4,), (4,), (0,))
    program = p.Program("test", (core([]),), outputs=(y,), frame_bytes=4)
    with pytest.raises(NmcError, match="4 output bytes of input 0 are never stored"):
        simulate(program, chip(), {}, engine="fast")

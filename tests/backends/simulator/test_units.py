"""How units are used: sums that must hold on any program, and cases counted by hand.

The chip of `chips.py`, as in test_timing.py, whose docstrings tell the cycles of the same cases.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmc.backends.simulator import MAX_CYCLES, Result
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.result import KINDS, UnitUse, Who
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError
from nmc.ir.target import Target
from tests.backends.simulator.chips import Code, chip, core, far, plan, run, tile, vector
from tests.backends.simulator.fast.programs import TARGETS, programs

LEVELS = np.arange(16).reshape(4, 4)
IMAGE = {0: np.arange(256, dtype=np.uint8)}
FIRST, SECOND = (0, 0), (0, 1)


def mvm(number: int = 0, sem: int = 0, dst: int = 1024) -> p.Mvm:
    return p.Mvm(number, vector("i32", dst, 4), vector("u8", 0, 4), sem)


def unit(result: Result, kind: str, *place: int) -> UnitUse:
    (found,) = (u for u in result.units if u.kind == kind and u.place[: len(place)] == place)
    return found


# Any program


def finished(program: p.Program, target: Target, *, every_cycle: bool = False) -> Machine:
    machine = Machine(program, target, 1, 1, every_cycle=every_cycle)
    try:
        machine.run(MAX_CYCLES)
    except NmcError:
        assume(False)
    return machine


def waited(machine: Machine, *kinds: str) -> Counter[Who]:
    """Cycles by the sequencer that waits."""
    total: Counter[Who] = Counter()
    for use in machine.units:
        for (waiter, _), cycles in use.waits.items():
            total[waiter] += cycles * (use.kind in kinds)
    return +total


def busy(machine: Machine, *kinds: str) -> Counter[tuple[int, ...]]:
    """By place."""
    total: Counter[tuple[int, ...]] = Counter()
    for use in machine.units:
        total[use.place] += use.busy * (use.kind in kinds)
    return +total


@settings(max_examples=100)
@given(programs(), st.sampled_from(TARGETS))
def test_sums(program: p.Program, target: Target) -> None:
    machine = finished(program, target)
    busy_and_idle_are_all_cycles(machine)
    waiting_is_what_sequencers_stalled_for(machine)
    what_is_in_a_queue_waits_for_what_takes_it_up(machine)
    units_agree_with_the_other_counts(machine)


def busy_and_idle_are_all_cycles(machine: Machine) -> None:
    for use in machine.units:
        assert use.busy + sum(use.idle.values()) == use.places * machine.span, use
        assert use.busy >= 0
        assert all(cycles > 0 for cycles in use.idle.values()), use
        assert all(cycles > 0 for cycles in use.waits.values()), use
        assert use.served or (use.kind == "adc" and not use.busy)
    places = [(KINDS.index(use.kind), use.place) for use in machine.units]
    assert places == sorted(set(places))


def waiting_is_what_sequencers_stalled_for(machine: Machine) -> None:
    stalls: dict[str, Counter[Who]] = {}
    for sequencer in machine.sequencers:
        who = (sequencer.core.index, sequencer.index)
        for cause, cycles in sequencer.use.stalls.items():
            kind = "semaphore" if cause.startswith("wait") else cause
            stalls.setdefault(kind, Counter())[who] += cycles
    assert waited(machine, "semaphore") == stalls.get("semaphore", Counter())
    assert waited(machine, "vector") == stalls.get("vec-busy", Counter())
    for unit in ("mvm", "noc", "dma"):
        assert waited(machine, f"{unit}-queue") == stalls.get(f"queue-full {unit}", Counter())


def what_is_in_a_queue_waits_for_what_takes_it_up(machine: Machine) -> None:
    """Those behind the first of a queue of mvms wait for it, and for no unit."""
    assert by_core(busy(machine, "noc-queue", "dma-queue")) == by_core(waited(machine, "port"))
    for place, cycles in busy(machine, "mvm-queue").items():
        taking = waited(machine, "fill", "latches")[place[0], place[1]]
        assert cycles == taking if machine.target.core.queue_depth == 1 else cycles >= taking


def by_core(cycles: Counter[Any]) -> Counter[int]:
    total: Counter[int] = Counter()
    for (number, _), n in cycles.items():
        total[number] += n
    return total


def units_agree_with_the_other_counts(machine: Machine) -> None:
    adcs = {use.place: use for use in machine.units if use.kind == "adc"}
    assert {place: use.busy for place, use in adcs.items()} == {
        place: use.busy for place, use in machine.adc_use.items()
    }
    flits = sum(s.use.events.port_flits for s in machine.sequencers)
    hops = sum(s.use.events.flit_hops for s in machine.sequencers)
    assert busy(machine, "port", "memory-out").total() == flits
    assert busy(machine, "link").total() == hops
    assert machine.span >= max(s.use.halted for s in machine.sequencers) + 1


@settings(max_examples=20)
@given(programs(), st.sampled_from(TARGETS))
def test_skipping_cycles_changes_nothing(program: p.Program, target: Target) -> None:
    slow = finished(program, target, every_cycle=True)
    fast = finished(program, target)
    assert slow.units == fast.units
    assert slow.span == fast.span


# By hand


def test_one_mvm() -> None:
    """Fill 1-2, reads 2-5 and 9-12, conversions 5-9 and 12-16, write-back 18-20; halted in 21."""
    result = run(core([mvm(), p.Wait(0)], images=IMAGE, plans=(plan(0),)), tiles=[tile(LEVELS)])
    assert result.span == 22
    assert result.units == (
        UnitUse("adc", (0, 0, 0), 2, 8, {"fill": 1, "nothing-to-do": 7, "read": 6}, {}),
        UnitUse("array", (0, 0), 2, 6, {"fill": 1, "nothing-to-do": 11, "stages": 4}, {}),
        UnitUse("stages", (0, 0), 2, 14, {"nothing-to-do": 8}, {(FIRST, FIRST): 4}),
        UnitUse("latches", (0, 0), 1, 8, {"nothing-to-do": 14}, {}),
        UnitUse("fill", FIRST, 1, 1, {"nothing-to-do": 21}, {}),
        UnitUse("write-back", FIRST, 1, 2, {"nothing-to-do": 20}, {}),
        UnitUse("mvm-queue", FIRST, 1, 0, {"nothing-to-do": 44}, {}, 2),
        UnitUse("semaphore", (0, 0), 1, 0, {}, {(FIRST, FIRST): 19}, 0),
    )


def test_an_adc_between_two_crossbars() -> None:
    """Samples ready at 5 and 5, 12 and 16; bursts 5-9, 9-13, 13-17, 17-21: the second waits 4
    behind the first, the first 1 behind the second, the second 1 behind the first."""
    streams: list[Code] = [[mvm(i, i, 1024 + 64 * i), p.Wait(i)] for i in range(2)]
    tiles = [tile(LEVELS), tile(LEVELS, 1)]
    result = run(core(*streams, images=IMAGE, plans=(plan(0), plan(1))), tiles=tiles)
    adc = unit(result, "adc")
    assert adc.waits == {(FIRST, SECOND): 1, (SECOND, FIRST): 5}
    assert (adc.busy, adc.idle["read"]) == (16, 3)


def test_latches_that_the_last_read_still_needs() -> None:
    """The first mvm has the latches from 1 until its last read starts, at 9; the second is the
    next of the queue from 2 on, the other sequencer's from 1 on, and so comes first."""
    streams: list[Code] = [[mvm(), mvm(), p.Wait(0, 2)], [mvm(0, 1, 1088), p.Wait(1)]]
    result = run(core(*streams, images=IMAGE, plans=(plan(0),)), tiles=[tile(LEVELS)])
    assert unit(result, "latches").waits == {(SECOND, FIRST): 8, (FIRST, SECOND): 21}
    assert unit(result, "fill", 0, 0).waits == {}
    assert unit(result, "mvm-queue", 0, 0).busy == 21


def test_who_raised_a_semaphore_is_who_was_waited_for() -> None:
    """A vec of 3 cycles, then a signal in 3, seen in 4: the other waits 0 to 3."""
    work = p.Vec("relu", vector("i32", 0, 4), vector("i32", 0, 4))
    result = run(core([work, p.Signal(0, 2)], [p.Wait(2)], images=IMAGE))
    assert unit(result, "semaphore").waits == {(SECOND, FIRST): 4}


def test_of_those_that_raise_in_one_cycle_the_first_counts() -> None:
    raisers: list[Code] = [[p.Signal(0, 2)], [p.Signal(0, 2)]]
    result = run(core([p.Wait(2, 2)], *raisers, images=IMAGE))
    assert unit(result, "semaphore").waits == {(FIRST, SECOND): 1}


def test_a_vector_unit_of_two_sequencers() -> None:
    work = p.Vec("relu", vector("i32", 0, 4), vector("i32", 0, 4))
    other = p.Vec("relu", vector("i32", 64, 4), vector("i32", 64, 4))
    result = run(core([work, work], [other], images=IMAGE))
    busy = unit(result, "vector")
    assert busy.waits == {(FIRST, SECOND): 3, (SECOND, FIRST): 3}
    assert (busy.served, busy.busy) == (3, 9)


def test_a_link_of_two_cores() -> None:
    """Messages of 5 flits from cores 0 and 1, both at their ports in 1: core 0's reaches the
    link from 1 to 2 in 3, while core 1's holds it from 1 until 6."""
    there = vector("u8", 512, 32)
    cores = [
        core([p.Put(2, there, vector("u8", 0, 32), 7)], number=n, images=IMAGE) for n in (0, 1)
    ]
    result = run(*cores, core([p.Wait(7, 2)], number=2), detect_races=False)
    assert unit(result, "link", 1, 2).waits == {((0, 0), (1, 0)): 3}
    assert unit(result, "link", 0, 1).waits == {}
    assert unit(result, "semaphore", 2, 7).waits == {((2, 0), (0, 0)): 12}


def test_global_memory_between_two_loads() -> None:
    """4 bytes a cycle: 16 bytes take 4 cycles; the second request is one flit behind."""
    stream: Code = [
        p.Load(vector("u8", 0, 16), far("u8", 0, 16), 0),
        p.Load(vector("u8", 16, 16), far("u8", 16, 16), 0),
        p.Wait(0, 2),
    ]
    program = core(stream)
    machine = Machine(p.Program("loads", (program,), frame_bytes=32), chip(), 1, 1)
    machine.run(MAX_CYCLES)
    (memory,) = (use for use in machine.units if use.kind == "memory")
    assert (memory.served, memory.busy, memory.place) == (2, 8, (0,))
    assert memory.waits == {(FIRST, FIRST): 3}


def test_cells_that_are_written_take_array_and_latches() -> None:
    """Cells can be written when the read going on has ended."""
    tiles = [tile(LEVELS), tile(LEVELS, 0, channel0=4)]
    stream: Code = [mvm(), p.ProgramCells(1, 1), p.Wait(0), p.Wait(1)]
    result = run(core(stream, images=IMAGE, plans=(plan(0),)), tiles=tiles)
    array, latches = unit(result, "array"), unit(result, "latches")
    writing = array.busy - 6
    assert writing > 0
    assert latches.busy == 8 + writing
    assert latches.waits == {(FIRST, FIRST): 10}, "from 2 until the read that began in 9 ends"
    assert array.idle["stages"] == 4

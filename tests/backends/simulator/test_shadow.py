"""Races: accesses that semaphores don't order are found, and those that they do are not."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.backends.simulator import Race, simulate
from nmc.ir import program as p
from tests.backends.simulator.chips import Code, chip, core, far, plan, run, sram, tile, vector

IMAGE = {0: np.arange(64, dtype=np.uint8)}
LEVELS = np.arange(16).reshape(4, 4)


def add(dst: int, src: int) -> p.Vec:
    return p.Vec("add", vector("i32", dst, 4), vector("i32", src, 4), None, (1.0,))


def mvm(sem: int = 0, dst: int = 1024, src: int = 0) -> p.Mvm:
    return p.Mvm(0, vector("i32", dst, 4), vector("u8", src, 4), sem)


def races(*streams: Code, other: p.CoreProgram | None = None) -> list[Race]:
    cores = [core(*streams, images=IMAGE, plans=(plan(0),)), *([other] if other else [])]
    return list(run(*cores, tiles=[tile(LEVELS)]).races)


def test_what_a_wait_orders_is_no_race() -> None:
    assert races([mvm(), p.Wait(0), add(1040, 1024)]) == []


def test_read_of_accumulators_without_a_wait() -> None:
    """The vec reads bytes before the mvm has written them: to it they are not initialised; and
    the mvm then writes what was read."""
    first, second = races([mvm(), add(1040, 1024)])
    assert first.kind == "uninitialised"
    assert (first.core, first.address, first.nbytes) == (0, 1024, 16)
    assert first.second.startswith("core 0 s0 pc 1: vec.add sram.i32[1040](4:4)")
    assert second.kind == "write-after-read"
    assert second.first == first.second
    assert second.second.startswith("core 0 s0 pc 0: mvm plan 0")


def test_read_after_write_of_another_sequencer() -> None:
    """Sequencer 1 is late enough to find the bytes written, but nothing makes it so."""
    late: Code = [p.Loop(30), p.Signal(0, 7), p.End(), add(1040, 1024)]
    (race,) = races([add(1024, 0)], late)
    assert race.kind == "read-after-write"
    assert race.first.startswith("core 0 s0 pc 0")
    assert race.second.startswith("core 0 s1 pc 3")
    assert "bytes 1024..1039 of sram of core 0" in str(race)


def test_a_signal_orders_two_sequencers() -> None:
    assert races([add(1024, 0), p.Signal(0, 1)], [p.Wait(1), add(1040, 1024)]) == []


def test_a_signal_before_the_write_orders_nothing() -> None:
    (race,) = races(
        [p.Signal(0, 1), add(1024, 0)], [p.Wait(1), *[add(256, 0)] * 4, add(1040, 1024)]
    )
    assert race.kind == "read-after-write"


def test_order_is_handed_on() -> None:
    """From sequencer 0 over 1 to 2."""
    middle: Code = [p.Wait(1), p.Signal(0, 2)]
    assert races([add(1024, 0), p.Signal(0, 1)], middle, [p.Wait(2), add(1040, 1024)]) == []


def test_overwriting_what_a_put_still_reads() -> None:
    """Two puts; the second's source is overwritten before the port takes it up."""
    first = p.Put(1, vector("u8", 1024, 40), vector("u8", 0, 40), 0)
    second = p.Put(1, vector("u8", 1064, 16), vector("u8", 0, 16), 0, 3)
    stream: Code = [first, second, add(0, 16)]
    (race, *_) = races(stream, other=core([p.Wait(0, 2)], number=1))
    assert {race.first[:14], race.second[:14]} <= {
        "core 0 s0 pc 0",
        "core 0 s0 pc 1",
        "core 0 s0 pc 2",
    }
    assert race.kind == "write-after-read"
    safe: Code = [first, second, p.Wait(3), add(0, 16)]
    assert races(safe, other=core([p.Wait(0, 2)], number=1)) == []


def test_one_token_orders_one_write() -> None:
    """Waiting for one of two puts does not order the other."""
    puts: Code = [
        p.Put(1, vector("u8", 1024 + 16 * i, 16), vector("u8", 0, 16), 0) for i in range(2)
    ]
    reader = core(
        [p.Wait(0), *[p.Vec("copy", vector("u8", 2048, 32), vector("u8", 1024, 32))]], number=1
    )
    kinds = {race.kind for race in races(puts, other=reader)}
    assert kinds == {"uninitialised", "write-after-read"}
    reader = core(
        [p.Wait(0, 2), p.Vec("copy", vector("u8", 2048, 32), vector("u8", 1024, 32))], number=1
    )
    assert races(puts, other=reader) == []


def test_initial_values_are_used_up_first() -> None:
    """The wait is met by what the semaphore held at launch, so that the signal, though it came
    before, orders nothing."""
    late: Code = [p.Loop(9), p.Signal(0, 7), p.End(), p.Wait(1), add(1040, 1024)]
    only = core([add(1024, 0), p.Signal(0, 1)], late, images=IMAGE, semaphores=(0, 1, *[0] * 6))
    (race,) = run(only).races
    assert race.kind == "read-after-write"


def test_write_after_write() -> None:
    (race,) = races([mvm()], [p.Loop(40), p.Signal(0, 7), p.End(), add(1024, 0)])
    assert race.kind == "write-after-write"


def test_global_memory() -> None:
    store = p.Store(far("u8", 0, 16), vector("u8", 0, 16), 0)
    load = p.Load(vector("u8", 1024, 16), far("u8", 0, 16), 1)
    program = p.Program(
        "test",
        (core([store, p.Loop(60), p.Signal(0, 7), p.End(), load, p.Wait(1)], images=IMAGE),),
        frame_bytes=16,
    )
    (race,) = simulate(program, chip(), {}).races
    assert (race.kind, race.core) == ("read-after-write", None)
    assert simulate(program, chip(), {}, detect_races=False).races == ()


@pytest.mark.parametrize("ring", [0, 24])
def test_scattered_bytes(ring: int) -> None:
    """Every other word, or a run around the end of a ring: only the bytes touched count."""
    src = sram("i32", 0, (2, 8)) if not ring else sram("i32", 0, (4, 4), ring=ring, offset=16)
    read = p.Vec("copy", vector("i32", 1024, src.elements), src)
    touched = p.Vec("fill", vector("i32", 8 if not ring else 0, 1), None, None, (1.0,))
    untouched = p.Vec("fill", vector("i32", 4 if not ring else 12, 1), None, None, (1.0,))
    assert [race.kind for race in races([read], [touched])] == ["write-after-read"]
    assert races([read], [untouched]) == []


def test_a_race_is_reported_once() -> None:
    loop: Code = [p.Loop(9), add(1024, 0), p.End()]
    assert len(races(loop, [p.Loop(9), add(1040, 1024), p.End()])) <= 3

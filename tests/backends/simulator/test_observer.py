"""What an observer of the reference engine hears is what happened, on random programs too."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given, settings

from nmc.backends.simulator import MAX_CYCLES
from nmc.backends.simulator.clock import Unit
from nmc.backends.simulator.core import Semaphore
from nmc.backends.simulator.crossbars import Adc, Mvms, WriteBack
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.observer import Origin
from nmc.backends.simulator.sequencer import Sequencer
from nmc.ir import program as p
from tests.backends.simulator.chips import Code, chip, core
from tests.backends.simulator.test_machine import CORES, IMAGE, TARGETS, TILES, plans, streams

Parts = list[tuple[int, int, Code]]


class Ear:
    """Writes down everything."""

    def __init__(self) -> None:
        self.busy: defaultdict[tuple[Unit, int], list[tuple[int, int]]] = defaultdict(list)
        self.stalls: defaultdict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        self.values: Counter[Semaphore] = Counter()
        self.depths: dict[tuple[int, int, str], int] = {}
        self.deepest = 0
        self.waiting: Counter[Unit] = Counter()
        self.origins: set[Origin] = set()
        self.now = -1

    def passed(self, cycle: int) -> None:
        assert cycle > self.now
        self.now = cycle

    def served(self, unit: Unit, origin: Origin, cycle: int, cycles: int) -> None:
        # One fill at a time for each sequencer, but all of a core's are one unit's.
        lane = origin.sequencer if isinstance(unit, Mvms) else 0
        self.busy[unit, lane].append((cycle, cycle + cycles))
        self.waiting[unit] -= 1
        self.origins.add(origin)

    def stalled(self, origin: Origin, cause: str, since: int, until: int) -> None:
        self.stalls[origin[:2]][cause] += until - since

    def queued(self, origin: Origin, unit: str, depth: int, cycle: int) -> None:
        self.depths[origin.core, origin.sequencer, unit] = depth
        self.deepest = max(self.deepest, depth)

    def offered(self, unit: Unit, ready: int) -> None:
        self.waiting[unit] += 1

    def raised(self, semaphore: Semaphore, n: int, origin: Origin) -> None:
        self.values[semaphore] += n

    def taken(self, semaphore: Semaphore, n: int, origin: Origin) -> None:
        self.values[semaphore] -= n


def made(parts: Parts, number: int) -> Machine:
    cores = tuple(
        core(
            *(body for at, _, body in parts if at == place),
            number=place,
            images=IMAGE,
            plans=plans(place),
        )
        for place in CORES
    )
    program = p.Program("random", cores, tuple(TILES), frame_bytes=256)
    return Machine(program, TARGETS[number], 1, 1)


@settings(max_examples=60)
@given(streams())
@pytest.mark.parametrize("number", range(len(TARGETS)))
def test_an_observer_hears_what_the_result_says(number: int, parts: Parts) -> None:
    machine, ear = made(parts, number), Ear()
    machine.clock.observer = ear
    machine.run(MAX_CYCLES)
    for spans in ear.busy.values():
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for place, adc in machine.adcs.items():
        spans = ear.busy.get((adc, 0), [])
        assert sum(end - start for start, end in spans) == machine.adc_use[place].busy
    for sequencer in machine.sequencers:
        use = sequencer.use
        spans = ear.busy[sequencer, 0]
        assert len(spans) == use.issued
        assert sum(end - start for start, end in spans) == use.issued + use.executing
        assert ear.stalls.get((use.core, use.index), Counter()) == use.stalls
    for each in machine.cores.values():
        for semaphore in each.semaphores:
            assert ear.values[semaphore] == semaphore.value
    assert not any(ear.depths.values())
    assert ear.deepest <= machine.target.core.queue_depth
    servers = [unit for unit, _ in ear.busy if isinstance(unit, Adc | WriteBack)]
    assert not any(ear.waiting[unit] for unit in servers)


@settings(max_examples=30)
@given(streams())
def test_watching_and_pausing_change_nothing(parts: Parts) -> None:
    alone, watched = made(parts, 0), made(parts, 0)
    cycles: list[int] = []
    watched.clock.observer, watched.clock.pause = Ear(), cycles.append
    for machine in (alone, watched):
        machine.run(MAX_CYCLES)
    assert [asdict(s.use) for s in alone.sequencers] == [asdict(s.use) for s in watched.sequencers]
    assert alone.clock.cycle == watched.clock.cycle
    assert cycles == sorted(set(cycles))
    assert cycles[-1] == watched.clock.cycle + 1, "once more when all is done"


def test_loops_are_followed_ahead() -> None:
    """Between cycles pc is the next instruction that takes time, and loops are where it is."""
    body: Code = [p.Loop(2), p.Loop(3), p.Signal(0, 7), p.End(), p.Signal(0, 6), p.End()]
    machine = Machine(p.Program("loops", (core(body),)), chip(), 1, 1)
    seen: list[tuple[int, list[tuple[int, int]]]] = []

    def look(cycle: int) -> None:
        (sequencer,) = machine.sequencers
        if sequencer.due == cycle and not sequencer.halted:
            seen.append((sequencer.pc, sequencer.loops))

    machine.clock.pause = look
    machine.run(MAX_CYCLES)
    inner = [(2, [(outer, 2), (turn, 3)]) for outer in range(2) for turn in range(3)]
    assert seen == [*inner[:3], (4, [(0, 2)]), *inner[3:], (4, [(1, 2)]), (6, [])]


def test_origins_number_instructions_as_issued() -> None:
    ear = Ear()
    body: Code = [p.Loop(3), p.Signal(0, 7), p.End()]
    machine = Machine(p.Program("numbers", (core(body),)), chip(), 1, 1)
    machine.clock.observer = ear
    machine.run(MAX_CYCLES)
    assert ear.origins == {Origin(0, 0, pc, n) for n, pc in enumerate((1, 1, 1, 3))}
    assert any(isinstance(unit, Sequencer) for unit, _ in ear.busy)

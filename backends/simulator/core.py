"""What the sequencers of a core share: its memory, semaphores, vector unit and queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nmc.backends.simulator.clock import Clock, Rank, Server
from nmc.backends.simulator.meters import NOBODY
from nmc.ir.program import Program, ProgramCells

if TYPE_CHECKING:
    from nmc.backends.simulator.crossbars import Mvms
    from nmc.backends.simulator.memory import Memory
    from nmc.backends.simulator.mesh import Port
    from nmc.backends.simulator.observer import Origin
    from nmc.backends.simulator.reads import Kernel
    from nmc.backends.simulator.shadow import Stamp
    from nmc.backends.simulator.timing import PlanTiming

__all__ = ["Cells", "Core", "Plan", "Semaphore", "VecTask", "Vector"]


class Waiter(Protocol):
    """A sequencer that a semaphore wakes."""

    def wake(self, cycle: int) -> None: ...


class Semaphore:
    """A counter.  Where races are looked for, each increment also carries its `Stamp`: what is
    known to have happened before it."""

    __slots__ = ("clock", "meter", "raised", "raiser", "stamps", "value", "waiters")

    def __init__(self, clock: Clock, place: tuple[int, int], value: int) -> None:
        self.clock = clock
        self.meter = clock.meter("semaphore", place, 0)
        self.value = value
        self.raised = -1
        self.raiser = NOBODY
        """Who raised it last, in cycle `raised`; of several in that cycle, the first."""
        self.waiters: dict[int, Waiter] = {}
        """By sequencer."""
        self.stamps: deque[tuple[int, Stamp]] = deque()

    def add(self, n: int, stamp: Stamp | None, origin: Origin) -> None:
        """Rise in the present cycle, before any sequencer steps."""
        self.value += n
        who = origin[:2]
        self.raiser = min(who, self.raiser) if self.raised == self.clock.cycle else who
        self.raised = self.clock.cycle
        if self.clock.observer is not None:
            self.clock.observer.raised(self, n, origin)
        if stamp is not None:
            self.stamps.append((n, stamp))
        for waiter in self.waiters.values():
            waiter.wake(self.clock.cycle)

    def stamp_value(self, stamp: Stamp) -> None:
        """Say where the present value comes from."""
        if self.value:
            self.stamps.append((self.value, stamp))

    def take(self, n: int, origin: Origin, waited: int) -> list[Stamp]:
        """Fall by n, for which the instruction has waited some cycles; the stamps of the
        increments that this used up, oldest first."""
        self.value -= n
        self.meter.served += 1
        self.meter.wait(origin, self.raiser, waited)
        if self.clock.observer is not None:
            self.clock.observer.taken(self, n, origin)
        taken: list[Stamp] = []
        while n and self.stamps:
            count, stamp = self.stamps.popleft()
            taken.append(stamp)
            if count > n:
                self.stamps.appendleft((count - n, stamp))
            n -= min(count, n)
        return taken


@dataclass(slots=True)
class Plan:
    """A read plan made ready."""

    timing: PlanTiming
    kernel: Kernel
    tiles: tuple[int, ...]


class VecTask(Protocol):
    """A vec: `begin` reads operands when the unit takes it up, `finish` writes the result."""

    origin: Origin
    cycles: int

    def begin(self, cycle: int) -> None: ...
    def finish(self) -> None: ...


class Vector(Server[VecTask]):
    """The vector unit: first come first served, ties by sequencer."""

    __slots__ = ()

    def __init__(self, clock: Clock, core: int) -> None:
        super().__init__(clock, Rank.VECTOR, "vector", (core,))

    def serve(self, item: VecTask, cycle: int) -> int:
        item.begin(cycle)
        self.clock.at(cycle + item.cycles, item.finish)
        return item.cycles


class Cells:
    """Which tiles' cells are written.  All are at launch, but those that the program writes."""

    __slots__ = ("overlaps", "written")

    def __init__(self, written: set[int], overlaps: Mapping[int, tuple[int, ...]]) -> None:
        self.written = written
        self.overlaps = overlaps
        """For each tile that the program writes, the tiles that lie on the same cells."""

    @staticmethod
    def at_launch(program: Program) -> Cells:
        swapped = {
            i.tile
            for core in program.cores
            for sequencer in core.sequencers
            for i in sequencer.instructions
            if isinstance(i, ProgramCells)
        }
        overlaps = {
            index: tuple(n for n, t in enumerate(program.tiles) if t.overlaps(program.tiles[index]))
            for index in swapped
        }
        return Cells({n for n in range(len(program.tiles)) if n not in swapped}, overlaps)

    def erase(self, tile: int) -> None:
        self.written.difference_update(self.overlaps[tile])

    def write(self, tile: int) -> None:
        self.written.add(tile)

    def missing(self, tiles: tuple[int, ...]) -> list[int]:
        return [tile for tile in tiles if tile not in self.written]


@dataclass(slots=True)
class Core:
    """One core; `port` is its way into the mesh."""

    index: int
    memory: Memory
    mvms: Mvms
    plans: tuple[Plan, ...]
    cells: Cells
    semaphores: list[Semaphore]
    vector: Vector
    port: Port

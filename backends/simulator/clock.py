"""The clock: steps units cycle by cycle, and skips the cycles in which none can change.

A cycle has two halves.  First the effects that were announced for it happen: bytes are written,
semaphores rise.  Then the units step, in the order of their ranks, and within a rank in the order
in which they were added.  Work of d cycles that starts in cycle s takes up the cycles s to s+d-1,
and what it achieves is there in cycle s+d.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from nmc.backends.simulator.meters import Meter

if TYPE_CHECKING:
    from nmc.backends.simulator.observer import Observer, Origin

__all__ = ["Clock", "Rank", "Server", "Unit"]


class Work(Protocol):
    """What a server serves; `origin` is the instruction that it is done for."""

    @property
    def origin(self) -> Origin: ...


Item = TypeVar("Item", bound=Work)


class Rank(IntEnum):
    """The order in which units step in a cycle: what frees a resource before what takes it."""

    ADC = 1
    CROSSBAR = 2
    FILL = 3
    WRITE_BACK = 4
    PORT = 5
    LINK = 6
    MEMORY = 7
    SEQUENCER = 8
    VECTOR = 9


EFFECT = 0
PROGRESS_CYCLES = 2000


class Unit:
    """Something that the clock steps.

    `step` must do nothing when called in a cycle in which the unit can't change, so that
    stepping every unit in every cycle and stepping it only when woken come to the same.
    """

    __slots__ = ("clock", "place", "rank")

    def __init__(self, clock: Clock, rank: Rank) -> None:
        self.clock = clock
        self.rank = rank
        self.place = clock.add(self)

    def wake(self, cycle: int) -> None:
        """Have `step` called in this cycle."""
        self.clock.wake(self, cycle)

    def step(self, cycle: int) -> None:
        raise NotImplementedError


class Server(Unit, Generic[Item]):
    """A unit that serves one item after the other, in order of readiness, then of `order`.

    `serve` says for how many cycles the item takes the unit up.
    """

    __slots__ = ("free", "meter", "offered", "waiting")

    def __init__(self, clock: Clock, rank: Rank, kind: str, place: tuple[int, ...]) -> None:
        """`kind` and `place` are those of `UnitUse`."""
        super().__init__(clock, rank)
        self.meter = clock.meter(kind, place)
        self.free = 0
        self.offered = 0
        self.waiting: list[tuple[int, tuple[int, ...], int, Item]] = []

    def offer(self, item: Item, ready: int, order: tuple[int, ...]) -> None:
        """Have the item served from cycle `ready` on."""
        self.offered += 1
        heappush(self.waiting, (ready, order, self.offered, item))
        observer = self.clock.observer
        if observer is not None:
            observer.offered(self, ready)
        self.wake(max(ready, self.free))

    def step(self, cycle: int) -> None:
        if not self.waiting or cycle < self.free or self.waiting[0][0] > cycle:
            return
        ready, _, _, item = heappop(self.waiting)
        cycles = self.serve(item, cycle)
        self.free = cycle + cycles
        self.meter.serve(item.origin, ready, cycle, self.free)
        observer = self.clock.observer
        if observer is not None:
            observer.served(self, item.origin, cycle, cycles)
        if self.waiting:
            self.wake(max(self.free, self.waiting[0][0]))

    def serve(self, item: Item, cycle: int) -> int:
        raise NotImplementedError


class Clock:
    """Runs units until none has anything left to do.

    With `every_cycle` each unit is stepped in each cycle: slow, and the plain meaning of the
    machine.  Without, a unit is stepped in the cycles for which it or another unit woke it.
    """

    def __init__(self, *, every_cycle: bool = False) -> None:
        self.units: list[Unit] = []
        self.meters: list[Meter] = []
        self.cycle = -1
        self.every_cycle = every_cycle
        self.observer: Observer | None = None
        self.pause: Callable[[int], None] | None = None
        """Called before each cycle in which something may happen, and once when nothing can any
        more."""
        self._agenda: list[tuple[int, int, int]] = []
        self._woken: set[tuple[int, int]] = set()
        self._effects: dict[int, Callable[[], None]] = {}
        self._serial = 0

    def add(self, unit: Unit) -> int:
        self.units.append(unit)
        return len(self.units) - 1

    def meter(self, kind: str, place: tuple[int, ...], places: int = 1) -> Meter:
        """A meter of a unit that does not exist yet."""
        self.meters.append(Meter(kind, place, places))
        return self.meters[-1]

    def wake(self, unit: Unit, cycle: int) -> None:
        key = (cycle, unit.place)
        if key not in self._woken:
            self._woken.add(key)
            heappush(self._agenda, (cycle, unit.rank, unit.place))

    def at(self, cycle: int, effect: Callable[[], None]) -> None:
        """Have `effect` called at the start of a later cycle."""
        self._serial += 1
        self._effects[self._serial] = effect
        heappush(self._agenda, (cycle, EFFECT, self._serial))

    @property
    def busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._agenda)

    def run(self, max_cycles: int, progress: Callable[[int], None] | None = None) -> bool:
        """Run until nothing is left to do; False if `max_cycles` came first."""
        reported = 0
        while self._agenda:
            cycle = self.cycle + 1 if self.every_cycle else self._agenda[0][0]
            if cycle > max_cycles:
                return False
            if self.pause is not None:
                self.pause(cycle)
            if self.observer is not None:
                self.observer.passed(cycle)
            self.cycle = cycle
            self._step(cycle)
            if progress is not None and cycle - reported >= PROGRESS_CYCLES:
                reported = cycle
                progress(cycle)
        if self.pause is not None:
            self.pause(self.cycle + 1)
        return True

    def _step(self, cycle: int) -> None:
        if self.every_cycle:
            for unit in self.units:
                self.wake(unit, cycle)
        agenda, woken, effects, units = self._agenda, self._woken, self._effects, self.units
        while agenda and agenda[0][0] <= cycle:
            _, rank, key = heappop(agenda)
            if rank == EFFECT:
                effects.pop(key)()
            else:
                woken.discard((cycle, key))
                units[key].step(cycle)

"""What may watch the reference engine: traces hear who did what and when, a debugger may pause it.

`Clock.observer` and `Clock.pause` are None unless somebody asks, and then cost a comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from nmc.backends.simulator.clock import Unit
    from nmc.backends.simulator.core import Semaphore

__all__ = ["Observer", "Origin"]


class Origin(NamedTuple):
    """An instruction that is being carried out: the one at `pc`, as the `number`-th (from 0) that
    its sequencer has issued."""

    core: int
    sequencer: int
    pc: int
    number: int


class Observer(Protocol):
    """Hears of everything as soon as it is decided, so times may lie in the future."""

    def passed(self, cycle: int) -> None:
        """All that was to happen before this cycle has happened."""
        ...

    def served(self, unit: Unit, origin: Origin, cycle: int, cycles: int) -> None:
        """The instruction takes the unit up from `cycle` on, for so many cycles.

        Of a sequencer: it issues the instruction; a vec takes it up until done.  Of a crossbar:
        one phase is read, or cells are written.  Of `Mvms`: the sequencer's fill.
        """
        ...

    def stalled(self, origin: Origin, cause: str, since: int, until: int) -> None:
        """The sequencer could not issue the instruction in the cycles `since` to `until` - 1."""
        ...

    def queued(self, origin: Origin, unit: str, depth: int, cycle: int) -> None:
        """The sequencer's queue to a unit (mvm, noc, dma) holds `depth` instructions now."""
        ...

    def offered(self, unit: Unit, ready: int) -> None:
        """Something waits for the unit from cycle `ready` on, until it is served."""
        ...

    def raised(self, semaphore: Semaphore, n: int, origin: Origin) -> None:
        """The instruction has raised the semaphore by n."""
        ...

    def taken(self, semaphore: Semaphore, n: int, origin: Origin) -> None:
        """A wait has lowered the semaphore by n."""
        ...

"""Meters of the reference engine: what each unit did, who waited for it, and why it was idle.

Cycles are added up when something begins, from times that are known by then; `UnitUse` says what
the sums mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from nmc.backends.simulator.result import KINDS, UnitUse, Who

if TYPE_CHECKING:
    from nmc.backends.simulator.observer import Origin

__all__ = ["NOBODY", "History", "Meter", "unit_uses"]

NOBODY: Who = (-1, -1)
"""Held nothing yet, so that nothing waits for it."""


class History(NamedTuple):
    """How a read of a crossbar came about, in cycles that never fall.

    Its plan was the next to be filled from `arrived` on, was filled from `filling` until `full`,
    the crossbar was free for it in `able`, a stage in `begin`, and the sample was ready in `ready`.
    """

    arrived: int
    filling: int
    full: int
    able: int
    begin: int
    ready: int


class Meter:
    """Adds up how one unit is used."""

    __slots__ = ("busy", "holder", "idle", "kind", "place", "places", "served", "until", "waits")

    def __init__(self, kind: str, place: tuple[int, ...], places: int = 1) -> None:
        self.kind = kind
        self.place = place
        self.places = places
        self.served = 0
        self.busy = 0
        self.until = 0
        """When the unit is free, as far as is known."""
        self.holder = NOBODY
        """Whose item was served last."""
        self.waits: Counter[tuple[Who, Who]] = Counter()
        self.idle: Counter[str] = Counter()

    def serve(self, origin: Origin, ready: int, start: int, end: int) -> None:
        """What was ready in one cycle has the unit from `start` to before `end`."""
        if start > ready:
            self.wait(origin, self.holder, start - ready)
        self.hold(origin, start, end)

    def wait(self, origin: Origin, holder: Who, cycles: int) -> None:
        if cycles:
            self.waits[origin[:2], holder] += cycles

    def hold(self, origin: Origin, start: int, end: int) -> None:
        """The unit serves an item from `start` to before `end`."""
        self.served += 1
        self.busy += end - start
        if end > self.until:
            self.until = end
        self.holder = origin[:2]

    def idled(self, until: int, history: History) -> None:
        """The unit has nothing to do before `until`, when this read is done for it."""
        since = self.until
        if since >= until:
            return
        for cause, first, after in (
            ("latches", history.arrived, history.filling),
            ("fill", history.filling, history.full),
            ("read", history.full, history.able),
            ("stages", history.able, history.begin),
            ("read", history.begin, history.ready),
        ):
            if first < after and since < after:
                self.idle[cause] += max(0, min(until, after) - max(since, first))

    def use(self, span: int) -> UnitUse:
        """The sums of a run of `span` cycles."""
        idle = +self.idle
        idle["nothing-to-do"] += self.places * span - self.busy - idle.total()
        return UnitUse(
            self.kind,
            self.place,
            self.served,
            self.busy,
            dict(sorted((+idle).items())),
            dict(sorted(self.waits.items())),
            self.places,
        )


def unit_uses(meters: Iterable[Meter], span: int) -> tuple[UnitUse, ...]:
    """The uses that `Result.units` lists, in its order."""
    listed = [meter for meter in meters if meter.served or meter.kind == "adc"]
    ranked = sorted(listed, key=lambda meter: (KINDS.index(meter.kind), meter.place))
    return tuple(meter.use(span) for meter in ranked)

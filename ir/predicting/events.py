"""What happens when: calls in order of their cycles, and work that others slow down."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from nmc.ir.predicting.sharing import Floor, Flow

__all__ = ["Events"]

Item = tuple[float, int, Callable[[float], None] | Flow, int]
"""(cycle, number, what is called or which flow begins or ends, the version whose end it is)."""

BEGINS = -1


@dataclass(slots=True)
class Events:
    """The agenda of a play; what is due in one cycle happens in the order in which it was asked
    for."""

    _floor: Floor = field(default_factory=Floor)
    _heap: list[Item] = field(default_factory=list[Item])
    _count: int = 0
    _passed: int = 0

    def at(self, cycle: float, call: Callable[[float], None]) -> None:
        """Call `call(cycle)` in that cycle."""
        self._push(cycle, call, BEGINS)

    def run(self, flow: Flow, cycle: float) -> None:
        """Let a flow begin in a cycle; it calls `then` with the cycle in which it ends."""
        self._push(cycle, flow, BEGINS)

    def go(self, look_every: int, is_enough: Callable[[int], bool]) -> None:
        """Until nothing is left to happen, or it is enough after so many events."""
        while self._heap:
            self._passed += 1
            if self._passed % look_every == 0 and is_enough(self._passed):
                return
            cycle, _, what, version = heapq.heappop(self._heap)
            if not isinstance(what, Flow):
                what(cycle)
            elif version == BEGINS:
                self._forecast(self._floor.begin(what, cycle))
            elif version == what.version:
                self._forecast(self._floor.finish(what, cycle))
                what.version += 1
                what.then(cycle)

    def _forecast(self, flows: list[Flow]) -> None:
        for flow in flows:
            self._push(flow.end, flow, flow.version)

    def _push(self, cycle: float, what: Callable[[float], None] | Flow, version: int) -> None:
        self._count += 1
        heapq.heappush(self._heap, (cycle, self._count, what, version))

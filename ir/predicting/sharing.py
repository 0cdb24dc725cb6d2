"""Work that several do on one unit at a time, as flows: each runs as fast as the others let it.

A unit serves its customers in turn.  ADCs of a cluster serve a burst of each crossbar; so, when
they are asked for more than they can do, all that read there come to the same number of phases a
cycle, except who asks for fewer.  A vector unit serves an instruction of each sequencer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from math import inf

__all__ = ["Ask", "Floor", "Flow"]

AGAIN = 24
"""How many units' shares are worked out again, at most, because others' have changed."""


Ask = tuple[Hashable, float, float]
"""A unit, visits a cycle, cycles a visit."""


@dataclass(slots=True, eq=False)
class Flow:
    """Work that asks for some units, and calls `then` when it is done.

    `left` is how long what was left of it in cycle `since` takes alone, and `speed` (1 when alone)
    what it has run at since then; `version` counts changes of speed, after which earlier forecasts
    of its end are void.
    """

    then: Callable[[float], None]
    left: float
    asks: tuple[Ask, ...]
    since: float = 0.0
    speed: float = 1.0
    version: int = 0

    @property
    def end(self) -> float:
        return self.since + self.left / self.speed


@dataclass(slots=True)
class Floor:
    """All flows that are going on, by the units that they ask for."""

    _users: dict[Hashable, list[tuple[Flow, float, float]]] = field(
        default_factory=dict[Hashable, list[tuple[Flow, float, float]]]
    )
    _levels: dict[Hashable, float] = field(default_factory=dict[Hashable, float])

    def begin(self, flow: Flow, cycle: float) -> list[Flow]:
        """Flows whose end is another now, the new one among them."""
        flow.since = cycle
        for unit, visits, cost in flow.asks:
            self._users.setdefault(unit, []).append((flow, visits, cost))
        changed = self._again(flow, cycle)
        return changed if flow.version else [flow, *changed]

    def finish(self, flow: Flow, cycle: float) -> list[Flow]:
        for unit, _, _ in flow.asks:
            users = self._users[unit]
            users[:] = [user for user in users if user[0] is not flow]
        return self._again(flow, cycle)

    def _again(self, cause: Flow, cycle: float) -> list[Flow]:
        """New speeds for all whom it concerns that a flow begins or has finished."""
        if all(self._is_enough(unit) for unit, _, _ in cause.asks):
            return []
        touched: dict[int, Flow] = {}
        units = deque(unit for unit, _, _ in cause.asks)
        for _ in range(len(units) + AGAIN):
            if not units:
                break
            unit = units.popleft()
            users = self._users[unit]
            before = self._levels.get(unit, inf)
            self._levels[unit] = after = level([(self._most(u, unit), u[2]) for u in users])
            touched.update((id(user[0]), user[0]) for user in users)
            if after != before:
                units += {u for user in users for u, _, _ in user[0].asks if u != unit}
        return [flow for flow in touched.values() if self._changed(flow, cycle)]

    def _is_enough(self, unit: Hashable) -> bool:
        """Whether a unit has enough for all, as it had before."""
        if self._levels.get(unit, inf) < inf:
            return False
        return sum(visits * cost for _, visits, cost in self._users[unit]) <= 1.0

    def _most(self, user: tuple[Flow, float, float], unit: Hashable) -> float:
        """The visits a cycle that a flow can make of a unit for all that others give it."""
        flow, visits, _ = user
        speed = min(
            (self._levels[u] / v for u, v, _ in flow.asks if u != unit and u in self._levels),
            default=1.0,
        )
        return visits * min(1.0, speed)

    def _changed(self, flow: Flow, cycle: float) -> bool:
        speed = min(
            (self._levels.get(unit, inf) / visits for unit, visits, _ in flow.asks), default=1.0
        )
        speed = min(1.0, speed)
        if speed == flow.speed:
            return False
        flow.left -= (cycle - flow.since) * flow.speed
        flow.since, flow.speed = cycle, speed
        flow.version += 1
        return True


def level(users: list[tuple[float, float]]) -> float:
    """The visits a cycle that a unit can give each user that wants as many; inf if all get theirs.

    Users are (visits a cycle, cycles a visit).  Who asks for less has what it asks for, and the
    others share the rest.
    """
    if sum(visits * cost for visits, cost in users) <= 1.0:
        return inf
    free, weight = 1.0, sum(cost for _, cost in users)
    for visits, cost in sorted(users):
        if visits * weight >= free:
            break
        free -= visits * cost
        weight -= cost
    return free / weight

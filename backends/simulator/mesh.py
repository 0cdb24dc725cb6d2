"""Messages in time: ports of cores, links of the mesh, ports of global memory.

A message of F flits takes its port, and each link of its route in turn, for F cycles; the head
runs ahead of the tail.  A port is taken in order of issue, a link in order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmc.backends.simulator.clock import Clock, Rank, Server

if TYPE_CHECKING:
    from nmc.backends.simulator.observer import Origin

__all__ = ["Link", "MemoryPort", "Message", "Port", "Transfer"]

Order = tuple[int, int, int]
"""What breaks ties: source core; 0 for a core's message, 1 for one from memory; sequencer."""


@dataclass(slots=True)
class Message:
    """`entered` is called when the head enters the port, `left` when the tail has left it,
    `arrived` when the tail has crossed the last link."""

    origin: Origin
    order: Order
    flits: int
    route: Sequence[Link]
    entered: Callable[[int], None]
    arrived: Callable[[], None]
    left: Callable[[], None] | None = None
    crossed: int = 0


class Port(Server[Message]):
    """Where the messages of a core, or of a memory port, enter the mesh.

    A message to the own core goes no further, and is there when its tail has left the port.
    """

    __slots__ = ()

    def __init__(self, clock: Clock, kind: str, core: int) -> None:
        super().__init__(clock, Rank.PORT, kind, (core,))

    def serve(self, item: Message, cycle: int) -> int:
        item.entered(cycle)
        if item.left is not None:
            self.clock.at(cycle + item.flits, item.left)
        if item.route:
            item.route[0].offer(item, cycle, item.order)
        else:
            self.clock.at(cycle + item.flits, item.arrived)
        return item.flits


class Link(Server[Message]):
    """One direction between two routers, `ends` from core to core."""

    __slots__ = ("ends", "hop")

    def __init__(self, clock: Clock, ends: tuple[int, int], hop_cycles: int) -> None:
        super().__init__(clock, Rank.LINK, "link", ends)
        self.ends = ends
        self.hop = hop_cycles

    def serve(self, item: Message, cycle: int) -> int:
        item.crossed += 1
        head = cycle + self.hop
        if item.crossed < len(item.route):
            item.route[item.crossed].offer(item, head, item.order)
        else:
            self.clock.at(head + item.flits - 1, item.arrived)
        return item.flits


@dataclass(slots=True)
class Transfer:
    """An access to global memory: `begun` when its turn comes, `ended` when it is over."""

    origin: Origin
    cycles: int
    begun: Callable[[], None]
    ended: Callable[[], None]


class MemoryPort(Server[Transfer]):
    """A port of global memory.  Transfers follow each other; their latencies overlap."""

    __slots__ = ("core", "latency", "out")

    def __init__(self, clock: Clock, core: int, latency_cycles: int) -> None:
        super().__init__(clock, Rank.MEMORY, "memory", (core,))
        self.core = core
        self.latency = latency_cycles
        self.out = Port(clock, "memory-out", core)

    def serve(self, item: Transfer, cycle: int) -> int:
        item.begun()
        self.clock.at(cycle + self.latency + item.cycles, item.ended)
        return item.cycles

"""Ports into the mesh, global memory and vector units, each serving what comes in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nmc.ir.messages import flits, nearest_port
from nmc.ir.predicting.events import Events
from nmc.ir.target import Target

__all__ = ["Call", "Wires"]

Call = Callable[[float], None]


@dataclass(slots=True)
class Wires:
    """Brings messages from core to core: ports and memories are busy with one after the other;
    links are taken to be free, and so are ports for what is only a flit."""

    target: Target
    events: Events
    _free: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    _ways: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    _ports: dict[int, int] = field(default_factory=dict[int, int])

    def put(
        self, source: int, core: int, nbytes: int, cycle: float, left: Call, there: Call
    ) -> None:
        """Send bytes that are at the port in a cycle; `left` and `there` are told when the tail
        has left the port, and when it has arrived."""
        length, way = flits(nbytes, self.target), self.way(source, core)

        def enter(now: float) -> None:
            end = self.serve("port", source, now, length)
            left(end)
            there(end + way)

        self.events.at(cycle, enter)

    def signal(self, source: int, core: int, cycle: float) -> float:
        """When a semaphore rises that a core was told of in a cycle."""
        return cycle + 1 + (self.way(source, core) + 1 if source != core else 0)

    def load(self, core: int, nbytes: int, cycle: float, there: Call) -> None:
        """Bring bytes from global memory, asked for in a cycle."""
        port = self.nearest_port(core)
        length, way = flits(nbytes, self.target), self.way(port, core)

        def leave(now: float) -> None:
            there(self.serve("memory-out", port, now, length) + way)

        def serve(now: float) -> None:
            served = self.serve("memory", port, now, self._memory_cycles(nbytes))
            self.events.at(served + self.target.memory_latency_cycles, leave)

        self.events.at(cycle + 2 + self.way(core, port), serve)

    def store(self, core: int, nbytes: int, cycle: float, free: Call, there: Call) -> None:
        """Take bytes to global memory; `free` is told when they may be overwritten."""
        port = self.nearest_port(core)

        def serve(now: float) -> None:
            served = self.serve("memory", port, now, self._memory_cycles(nbytes))
            done = served + self.target.memory_latency_cycles
            there(done)
            free(self.signal(port, core, done))

        def arrived(cycle: float) -> None:
            self.events.at(cycle, serve)

        self.put(core, port, nbytes, cycle, lambda _: None, arrived)

    def serve(self, unit: str, place: int, now: float, cycles: float) -> float:
        """When a unit is done with what asks for it now."""
        self._free[unit, place] = max(now, self._free.get((unit, place), 0.0)) + cycles
        return self._free[unit, place]

    def way(self, source: int, core: int) -> int:
        """Cycles of a head flit from core to core."""
        if (source, core) not in self._ways:
            hops = self.target.mesh.hops(source, core)
            self._ways[source, core] = hops * self.target.hop_cycles
        return self._ways[source, core]

    def nearest_port(self, core: int) -> int:
        if core not in self._ports:
            self._ports[core] = nearest_port(core, self.target)
        return self._ports[core]

    def _memory_cycles(self, nbytes: int) -> int:
        return -(-nbytes // self.target.global_memory.bytes_per_cycle)

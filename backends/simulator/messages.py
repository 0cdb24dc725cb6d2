"""What instructions send through the mesh: put, signal, load and store, as messages and transfers.

A load sends a request of one flit to the nearest memory port and the data come back; a store
sends the data and one flit comes back.  Both cross the mesh like any other message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nmc.backends.simulator.memory import Bytes
from nmc.backends.simulator.mesh import Message, Transfer
from nmc.backends.simulator.operations import Move
from nmc.backends.simulator.timing import ceil_div
from nmc.ir import program as p
from nmc.ir.messages import flits

if TYPE_CHECKING:
    from nmc.backends.simulator.observer import Origin
    from nmc.backends.simulator.sequencer import Sequencer

__all__ = ["send_load", "send_put", "send_signal", "send_store"]

NO_BYTES: Bytes = np.empty((0, 0), np.uint8)


def send_signal(sender: Sequencer, signal: p.Signal, cycle: int) -> None:
    semaphore = sender.machine.cores[signal.core].semaphores[signal.sem]
    stamp = sender.trail.release() if sender.trail is not None else None
    origin = sender.origin

    def arrived() -> None:
        semaphore.add(signal.n, stamp, origin)

    outbound(sender, "noc", cycle, signal.core, 1, None, arrived)


def send_put(sender: Sequencer, move: Move[p.Put], cycle: int) -> None:
    put, core = move.instruction, sender.core
    there = sender.machine.cores[put.core]
    origin = sender.origin
    reading, writing = sender.fork("put", put.core)
    src, dst = move.src.start(sender.counters), move.dst.start(sender.counters)
    data = NO_BYTES

    def entered() -> None:
        nonlocal data
        sender.use.events.sram_bytes_read += move.src.nbytes
        data = core.memory.load_bytes(move.src, src, reading)

    def arrived() -> None:
        sender.use.events.sram_bytes_written += move.dst.nbytes
        there.memory.store_bytes(move.dst, dst, data, writing)
        there.semaphores[put.sem].add(1, writing, origin)

    def left() -> None:
        if put.done is not None:
            core.semaphores[put.done].add(1, reading, origin)

    size = flits(move.src.nbytes, sender.machine.target)
    outbound(sender, "noc", cycle, put.core, size, entered, arrived, left)


def send_load(sender: Sequencer, move: Move[p.Load], cycle: int) -> None:
    machine, core = sender.machine, sender.core
    port = machine.memory_port(core.index)
    origin = sender.origin
    reading, writing = sender.fork("load", 0)
    src, dst = move.src.start(sender.counters), move.dst.start(sender.counters)
    semaphore = core.semaphores[move.instruction.sem]
    data = NO_BYTES

    def begun() -> None:
        nonlocal data
        sender.use.events.global_bytes_read += move.src.nbytes
        data = machine.memory.load_bytes(move.src, src, reading)

    def arrived() -> None:
        sender.use.events.sram_bytes_written += move.dst.nbytes
        core.memory.store_bytes(move.dst, dst, data, writing)
        semaphore.add(1, writing, origin)

    size = flits(move.src.nbytes, machine.target)
    serve = transfer(sender, move.src.nbytes, begun, lambda: inbound(sender, origin, size, arrived))
    outbound(sender, "dma", cycle, port.core, 1, None, serve)


def send_store(sender: Sequencer, move: Move[p.Store], cycle: int) -> None:
    machine, core = sender.machine, sender.core
    port = machine.memory_port(core.index)
    origin = sender.origin
    reading, writing = sender.fork("store", 0)
    src, dst = move.src.start(sender.counters), move.dst.start(sender.counters)
    semaphore = core.semaphores[move.instruction.sem]
    data = NO_BYTES

    def entered() -> None:
        nonlocal data
        sender.use.events.sram_bytes_read += move.src.nbytes
        data = core.memory.load_bytes(move.src, src, reading)

    def ended() -> None:
        sender.use.events.global_bytes_written += move.dst.nbytes
        machine.memory.store_bytes(move.dst, dst, data, writing)
        machine.stored(move.dst, dst)
        inbound(sender, origin, 1, lambda: semaphore.add(1, writing, origin))

    serve = transfer(sender, move.dst.nbytes, nothing, ended)
    outbound(
        sender, "dma", cycle, port.core, flits(move.src.nbytes, machine.target), entered, serve
    )


def nothing() -> None:
    """What happens at a moment that matters to others only."""


def outbound(
    sender: Sequencer,
    unit: str,
    cycle: int,
    to: int,
    size: int,
    entered: Callable[[], None] | None,
    arrived: Callable[[], None],
    left: Callable[[], None] | None = None,
) -> None:
    """A message from the sender's core, which reaches the port one cycle after it was issued."""
    machine, core, origin = sender.machine, sender.core, sender.origin
    route = machine.route(core.index, to)

    def enter(now: int) -> None:
        sender.dequeued(unit, origin, cycle, now)
        if entered is not None:
            entered()

    account(sender, size, len(route))
    order = (core.index, 0, sender.index)
    message = Message(origin, order, size, route, enter, arrived, left)
    core.port.offer(message, cycle + 1, order)


def inbound(sender: Sequencer, origin: Origin, size: int, arrived: Callable[[], None]) -> None:
    """A message from the memory port to the sender's core, ready to leave in this cycle."""
    machine, core = sender.machine, sender.core
    port = machine.memory_port(core.index)
    route = machine.route(port.core, core.index)
    account(sender, size, len(route))
    order = (port.core, 1, sender.index)
    message = Message(origin, order, size, route, lambda _: None, arrived)
    port.out.offer(message, machine.clock.cycle, (core.index, sender.index))


def transfer(
    sender: Sequencer, nbytes: int, begun: Callable[[], None], ended: Callable[[], None]
) -> Callable[[], None]:
    """What a message does on arrival at the memory port: queue for it."""
    machine, core = sender.machine, sender.core
    cycles = ceil_div(nbytes, machine.target.global_memory.bytes_per_cycle)
    port = machine.memory_port(core.index)
    item = Transfer(sender.origin, cycles, begun, ended)
    return lambda: port.offer(item, machine.clock.cycle, (core.index, sender.index))


def account(sender: Sequencer, size: int, links: int) -> None:
    events = sender.use.events
    events.port_flits += size
    events.flit_hops += size * links

"""Messages in time, for the fast engine: ports of cores, links, ports of global memory."""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import at, wake, wake_as
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.meters import meter_sent, meter_service, raiser
from nmc.backends.simulator.fast.rows import merged
from nmc.backends.simulator.fast.tasks import (
    commit,
    free_task,
    new_task,
    offer,
    pop,
    raise_semaphore,
    record,
    sample,
    start,
)

__all__ = [
    "again",
    "arrived",
    "left",
    "queue_of",
    "send",
    "served",
    "step_link",
    "step_memory",
    "step_out",
    "step_port",
]

SOURCE = 32
"""Ties go by source core; a core's message before one from memory; then by sequencer."""
FROM_MEMORY = 1 << 31
AFTER_CORES = 1 << 40


# Links and memory ports step in the order in which they were first used.


@inlined
def meet_route(m: State, route: int) -> None:
    if route <= 0:
        return
    first = m[route + k.H_FIRST]
    for i in range(first, first + m[route + k.H_COUNT]):
        if m[m[i] + k.K_NUMBER] == 0:
            m[k.G_LINKS] += 1
            m[m[i] + k.K_NUMBER] = m[k.G_LINKS]


@inlined
def meet_memory(m: State, memory: int) -> None:
    if m[memory + k.M_NUMBER] == 0:
        m[k.G_MEMS] += 1
        m[memory + k.M_NUMBER] = m[k.G_MEMS]


# Sending


@inlined
def queue_of(op: int) -> int:
    """Where a sequencer counts the messages of this operation that wait for the port."""
    return k.S_NOC if op == k.OP_PUT or op == k.OP_SIGNAL else k.S_DMA


@inlined
def send(m: State, s: int, code: int) -> None:
    """A message of a put, signal, load or store, which reaches the port in the next cycle."""
    op = m[code + k.I_OP]
    task = new_task(m, s, code)
    if op != k.OP_SIGNAL:
        m[task + k.T_SRC] = start(m, s, m[code + k.I_SRC])
        m[task + k.T_DST] = start(m, s, m[code + k.I_DST])
    if op == k.OP_LOAD or op == k.OP_STORE:
        meet_memory(m, m[code + k.I_DONE])
    meet_route(m, m[code + k.I_ROUTE])
    core = m[s + k.S_CORE]
    unit, ready = core + k.C_PORT, m[k.G_NOW] + 1
    offer(m, unit, task, ready, m[s + k.S_INDEX])
    wake(m, max(ready, m[unit + k.V_FREE]), k.RANK_PORT, core)


@inlined
def flits(m: State, task: int) -> int:
    """Requests and acknowledgements are one; data goes out with a store, and back with a load."""
    code = m[task + k.T_CODE]
    op, back = m[code + k.I_OP], m[task + k.T_LEG]
    if (op == k.OP_LOAD and back == 0) or (op == k.OP_STORE and back == 1):
        return 1
    return m[code + k.I_FLITS]


@inlined
def route_of(m: State, task: int) -> int:
    code = m[task + k.T_CODE]
    if m[task + k.T_LEG]:
        return m[code + k.I_BACK]
    return m[code + k.I_ROUTE]


@inlined
def link_key(m: State, task: int) -> int:
    s, code = m[task + k.T_SEQ], m[task + k.T_CODE]
    if m[task + k.T_LEG]:
        place = m[m[code + k.I_DONE] + k.M_CORE]
        return (place << SOURCE) | FROM_MEMORY | m[s + k.S_INDEX]
    return memory_key(m, task)


@inlined
def memory_key(m: State, task: int) -> int:
    s = m[task + k.T_SEQ]
    return (m[m[s + k.S_CORE] + k.C_NUMBER] << SOURCE) | m[s + k.S_INDEX]


# Ports and links


@inlined
def step_port(m: State, core: int) -> None:
    """A core's way into the mesh."""
    unit = core + k.C_PORT
    task = pop(m, unit)
    if task:
        enter(m, task, m[k.G_NOW] + flits(m, task))
        leave(m, unit, task)
        again(m, unit, k.RANK_PORT, core, core)


@inlined
def step_out(m: State, memory: int) -> None:
    """A memory port's way into the mesh."""
    unit = memory + k.M_OUT
    task = pop(m, unit)
    if task:
        leave(m, unit, task)
        again(m, unit, k.RANK_PORT, out_number(m, memory), -memory)


@inlined
def out_number(m: State, memory: int) -> int:
    """Memory ports' ways come after all cores'."""
    return AFTER_CORES + m[memory + k.M_NUMBER]


@inlined
def leave(m: State, unit: int, task: int) -> None:
    now, size = m[k.G_NOW], flits(m, task)
    if m[k.G_METER]:
        meter_service(m, unit, task)
    m[unit + k.V_FREE] = now + size
    if route_of(m, task) > 0:
        to_link(m, task, now)
    else:
        at(m, now + size, k.RANK_PORT, k.E_ARRIVED, task)


@merged
def again(m: State, unit: int, rank: int, number: int, row: int) -> None:
    """Have a unit stepped when it can take up the next that waits."""
    head = m[unit + k.V_HEAD]
    if head:
        wake_as(m, max(m[unit + k.V_FREE], m[head + k.T_READY]), rank, number, row)


@inlined
def enter(m: State, task: int, tail: int) -> None:
    """The head of an outbound message enters the port: its place in the queue is free."""
    s, code = m[task + k.T_SEQ], m[task + k.T_CODE]
    op = m[code + k.I_OP]
    queue = queue_of(op)
    m[s + queue] -= 1
    if m[k.G_METER]:
        meter_sent(m, s, queue, task)
    if m[s + k.S_BLOCKED] == queue:
        wake(m, max(m[k.G_NOW], m[s + k.S_DUE]), k.RANK_SEQUENCER, s)
    if op == k.OP_PUT or op == k.OP_STORE:
        sample(m, task, m[task + k.T_SRC], 0)
    if op == k.OP_PUT and m[code + k.I_DONE] > 0:
        at(m, tail, k.RANK_PORT, k.E_LEFT, code)


@inlined
def left(m: State, code: int) -> None:
    raise_semaphore(m, m[code + k.I_DONE], 1, raiser(m, code))


@inlined
def to_link(m: State, task: int, ready: int) -> None:
    link = m[m[route_of(m, task) + k.H_FIRST] + m[task + k.T_CROSSED]]
    unit = link + k.K_SERVER
    offer(m, unit, task, ready, link_key(m, task))
    wake_as(m, max(ready, m[unit + k.V_FREE]), k.RANK_LINK, m[link + k.K_NUMBER], link)


@inlined
def step_link(m: State, link: int) -> None:
    unit = link + k.K_SERVER
    task = pop(m, unit)
    if task == 0:
        return
    now, size = m[k.G_NOW], flits(m, task)
    if m[k.G_METER]:
        meter_service(m, unit, task)
    m[unit + k.V_FREE] = now + size
    m[task + k.T_CROSSED] += 1
    head = now + m[k.G_HOP]
    if m[task + k.T_CROSSED] < m[route_of(m, task) + k.H_COUNT]:
        to_link(m, task, head)
    else:
        at(m, head + size - 1, k.RANK_LINK, k.E_ARRIVED, task)
    again(m, unit, k.RANK_LINK, m[link + k.K_NUMBER], link)


@inlined
def arrived(m: State, task: int) -> None:
    """The tail of a message is where it should be."""
    code = m[task + k.T_CODE]
    op, back = m[code + k.I_OP], m[task + k.T_LEG]
    if back == 0 and (op == k.OP_LOAD or op == k.OP_STORE):
        memory, now = m[code + k.I_DONE], m[k.G_NOW]
        unit = memory + k.M_SERVER
        offer(m, unit, task, now, memory_key(m, task))
        number = m[memory + k.M_NUMBER]
        wake_as(m, max(now, m[unit + k.V_FREE]), k.RANK_MEMORY, number, memory)
        return
    n = 1
    if op == k.OP_SIGNAL:
        n = m[code + k.I_N]
    elif op != k.OP_STORE:
        commit(m, task)
    raise_semaphore(m, m[code + k.I_SEM], n, m[task + k.T_SEQ])
    free_task(m, task)


# Global memory


@inlined
def step_memory(m: State, memory: int) -> None:
    unit = memory + k.M_SERVER
    task = pop(m, unit)
    if task == 0:
        return
    code = m[task + k.T_CODE]
    if m[code + k.I_OP] == k.OP_LOAD:
        sample(m, task, m[task + k.T_SRC], 0)
    now, cycles = m[k.G_NOW], m[code + k.I_CYCLES]
    if m[k.G_METER]:
        meter_service(m, unit, task)
    m[unit + k.V_FREE] = now + cycles
    at(m, now + m[k.G_LATENCY] + cycles, k.RANK_MEMORY, k.E_SERVED, task)
    again(m, unit, k.RANK_MEMORY, m[memory + k.M_NUMBER], memory)


@inlined
def served(m: State, task: int) -> None:
    """An access to global memory is over; data, or one flit to say so, go back."""
    code, now = m[task + k.T_CODE], m[k.G_NOW]
    if m[code + k.I_OP] == k.OP_STORE:
        commit(m, task)
        record(m, k.STORED, code, 0, m[task + k.T_DST], now)
    m[task + k.T_LEG] = 1
    m[task + k.T_CROSSED] = 0
    meet_route(m, m[code + k.I_BACK])
    memory = m[code + k.I_DONE]
    unit = memory + k.M_OUT
    offer(m, unit, task, now, memory_key(m, task))
    wake_as(m, max(now, m[unit + k.V_FREE]), k.RANK_PORT, out_number(m, memory), -memory)

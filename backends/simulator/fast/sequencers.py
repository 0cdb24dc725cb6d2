"""Instruction streams in time, for the fast engine: fetch, issue, stall; and the vector unit."""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import at, wake
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.messages import again, send
from nmc.backends.simulator.fast.tasks import commit, free_task, new_task, offer, pop, sample, start

__all__ = ["step_sequencer", "step_vector", "vec_done"]


@inlined
def step_sequencer(m: State, s: int) -> None:
    if m[s + k.S_HALTED] or m[s + k.S_ASKED] or m[k.G_NOW] < m[s + k.S_DUE]:
        return
    code = fetch(m, s)
    if issue(m, s, code, m[code + k.I_OP]):
        stalled(m, s, code)
        issued(m, s, 1)


@inlined
def issued(m: State, s: int, cycles: int) -> None:
    m[s + k.S_ISSUED] += 1
    m[s + k.S_PC] += k.I_WIDTH
    due = m[k.G_NOW] + cycles
    m[s + k.S_DUE] = due
    if not m[s + k.S_HALTED]:
        wake(m, due, k.RANK_SEQUENCER, s)


@inlined
def stalled(m: State, s: int, code: int) -> None:
    """The instruction issues in this cycle; the cycles since it was due count as its stall."""
    m[code + k.I_STALL] += m[k.G_NOW] - m[s + k.S_DUE]


@inlined
def fetch(m: State, s: int) -> int:
    """The next instruction, loops followed: they take no time."""
    while True:
        code = m[s + k.S_PC]
        op = m[code + k.I_OP]
        if op == k.OP_LOOP:
            depth = m[s + k.S_DEPTH]
            m[s + k.S_PC] = code + k.I_WIDTH
            m[s + k.S_COUNT0 + depth] = 0
            m[s + k.S_LEFT0 + depth] = m[code + k.I_N] - 1
            m[s + k.S_BODY0 + depth] = code + k.I_WIDTH
            m[s + k.S_DEPTH] = depth + 1
        elif op == k.OP_END:
            depth = m[s + k.S_DEPTH] - 1
            if m[s + k.S_LEFT0 + depth]:
                m[s + k.S_LEFT0 + depth] -= 1
                m[s + k.S_COUNT0 + depth] += 1
                m[s + k.S_PC] = m[s + k.S_BODY0 + depth]
            else:
                m[s + k.S_DEPTH] = depth
                m[s + k.S_PC] = code + k.I_WIDTH
        else:
            return code


@inlined
def issue(m: State, s: int, code: int, op: int) -> bool:
    """Whether the instruction could issue; if not, something wakes the sequencer later."""
    if op == k.OP_MVM or op == k.OP_CELLS:
        return push(m, s, code, op)
    if op == k.OP_WAIT:
        return wait(m, s, code)
    if op == k.OP_VEC:
        return ask(m, s, code)
    if op == k.OP_HALT:
        m[s + k.S_HALTED] = 1
        m[s + k.S_HALT_CYCLE] = m[k.G_NOW]
        return True
    if op == k.OP_SIGNAL and m[code + k.I_LOCAL]:
        at(m, m[k.G_NOW] + 1, k.E_RAISE, code)
        return True
    queued = k.S_NOC if op == k.OP_PUT or op == k.OP_SIGNAL else k.S_DMA
    if m[s + queued] >= m[k.G_DEPTH]:
        return False
    m[s + queued] += 1
    send(m, s, code)
    return True


@inlined
def wait(m: State, s: int, code: int) -> bool:
    semaphore, n = m[code + k.I_SEM], m[code + k.I_N]
    if m[semaphore + k.A_VALUE] < n:
        if m[s + k.S_WANT] == 0:
            m[s + k.S_WANT] = n
            m[s + k.S_WNEXT] = m[semaphore + k.A_WAITING]
            m[semaphore + k.A_WAITING] = s
        return False
    m[semaphore + k.A_VALUE] -= n
    if m[s + k.S_WANT]:
        stop_waiting(m, s, semaphore)
    return True


@inlined
def stop_waiting(m: State, s: int, semaphore: int) -> None:
    m[s + k.S_WANT] = 0
    here = m[semaphore + k.A_WAITING]
    if here == s:
        m[semaphore + k.A_WAITING] = m[s + k.S_WNEXT]
        return
    while m[here + k.S_WNEXT] != s:
        here = m[here + k.S_WNEXT]
    m[here + k.S_WNEXT] = m[s + k.S_WNEXT]


@inlined
def push(m: State, s: int, code: int, op: int) -> bool:
    if m[s + k.S_QCOUNT] >= m[k.G_DEPTH]:
        return False
    task = new_task(m, s, code)
    m[task + k.T_NUMBER] = m[s + k.S_ISSUED]
    if op == k.OP_MVM:
        m[task + k.T_SRC] = start(m, s, m[code + k.I_SRC])
        m[task + k.T_DST] = start(m, s, m[code + k.I_DST])
    if m[s + k.S_QCOUNT] == 0:
        ready = max(m[s + k.S_ARRIVED], m[k.G_NOW] + 1)
        m[s + k.S_ARRIVED] = ready
        m[s + k.S_QHEAD] = task
        wake(m, ready, k.RANK_FILL, m[s + k.S_CORE])
    else:
        m[m[s + k.S_QTAIL] + k.T_NEXT] = task
    m[s + k.S_QTAIL] = task
    m[s + k.S_QCOUNT] += 1
    return True


# The vector unit


@inlined
def ask(m: State, s: int, code: int) -> bool:
    m[s + k.S_ASKED] = 1
    task = new_task(m, s, code)
    m[task + k.T_SRC] = start(m, s, m[code + k.I_SRC])
    m[task + k.T_B] = start(m, s, m[code + k.I_B])
    m[task + k.T_DST] = start(m, s, m[code + k.I_DST])
    core, now = m[s + k.S_CORE], m[k.G_NOW]
    unit = core + k.C_VECTOR
    offer(m, unit, task, now, m[s + k.S_INDEX])
    wake(m, max(now, m[unit + k.V_FREE]), k.RANK_VECTOR, core)
    return False


@inlined
def step_vector(m: State, core: int) -> None:
    unit = core + k.C_VECTOR
    task = pop(m, unit)
    if task == 0:
        return
    s, code = m[task + k.T_SEQ], m[task + k.T_CODE]
    cycles = m[code + k.I_CYCLES]
    end = m[k.G_NOW] + cycles
    m[unit + k.V_FREE] = end
    sample(m, task, m[task + k.T_SRC], m[task + k.T_B])
    m[s + k.S_ASKED] = 0
    stalled(m, s, code)
    issued(m, s, cycles)
    at(m, end, k.E_VEC, task)
    again(m, unit, k.RANK_VECTOR, core, core)


@inlined
def vec_done(m: State, task: int) -> None:
    commit(m, task)
    free_task(m, task)

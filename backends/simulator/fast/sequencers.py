"""Instruction streams in time, for the fast engine: fetch, issue, stall; and the vector unit."""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import at, wake
from nmc.backends.simulator.fast.fills import expect
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.messages import again, queue_of, send
from nmc.backends.simulator.fast.meters import meter_met, meter_service
from nmc.backends.simulator.fast.rows import merged
from nmc.backends.simulator.fast.tasks import commit, free_task, new_task, offer, pop, sample, start

__all__ = ["start_sequencer", "step_sequencer", "step_vector", "vec_done"]


@inlined
def start_sequencer(m: State, s: int) -> None:
    fetch(m, s)
    wake(m, 0, k.RANK_SEQUENCER, s)


@inlined
def step_sequencer(m: State, s: int) -> None:
    if m[s + k.S_HALTED] or m[s + k.S_ASKED] or m[k.G_NOW] < m[s + k.S_DUE]:
        return
    code = m[s + k.S_PC]
    if blocked(m, s, code):
        return
    op = m[code + k.I_OP]
    if op == k.OP_VEC:
        ask(m, s, code)
        return
    carry_out(m, s, code, op)
    issued(m, s, code, 1)


@merged
def issued(m: State, s: int, code: int, cycles: int) -> None:
    """The instruction issues in this cycle; the cycles since it was due count as its stall."""
    now = m[k.G_NOW]
    m[code + k.I_STALL] += now - m[s + k.S_DUE]
    m[s + k.S_ISSUED] += 1
    m[s + k.S_PC] = code + k.I_WIDTH
    m[s + k.S_DUE] = now + cycles
    if m[s + k.S_HALTED]:
        return
    if not blocked(m, s, fetch(m, s)):
        wake(m, now + cycles, k.RANK_SEQUENCER, s)


@merged
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


@merged
def blocked(m: State, s: int, code: int) -> bool:
    """Whether the instruction can't issue as things are; if so, what it waits for wakes the
    sequencer when it happens, and not before the instruction is due."""
    op = m[code + k.I_OP]
    if op == k.OP_WAIT:
        return must_wait(m, s, code)
    if op == k.OP_MVM or op == k.OP_CELLS:
        queue = k.S_QCOUNT
    elif op == k.OP_VEC or op == k.OP_HALT or m[code + k.I_LOCAL]:
        return False
    else:
        queue = queue_of(op)
    full = m[s + queue] >= m[k.G_DEPTH]
    m[s + k.S_BLOCKED] = queue if full else 0
    return full


@inlined
def carry_out(m: State, s: int, code: int, op: int) -> None:
    if op == k.OP_MVM or op == k.OP_CELLS:
        push(m, s, code, op)
    elif op == k.OP_WAIT:
        stop_waiting(m, s, code)
    elif op == k.OP_HALT:
        m[s + k.S_HALTED] = 1
        m[s + k.S_HALT_CYCLE] = m[k.G_NOW]
    elif m[code + k.I_LOCAL]:
        at(m, m[k.G_NOW] + 1, k.RANK_SEQUENCER, k.E_RAISE, code)
    else:
        m[s + queue_of(op)] += 1
        send(m, s, code)


@merged
def must_wait(m: State, s: int, code: int) -> bool:
    semaphore, n = m[code + k.I_SEM], m[code + k.I_N]
    if m[semaphore + k.A_VALUE] >= n:
        return False
    if m[s + k.S_WANT] == 0:
        m[s + k.S_WANT] = n
        m[s + k.S_WNEXT] = m[semaphore + k.A_WAITING]
        m[semaphore + k.A_WAITING] = s
    return True


@merged
def stop_waiting(m: State, s: int, code: int) -> None:
    semaphore = m[code + k.I_SEM]
    if m[k.G_METER]:
        meter_met(m, s, semaphore)
    m[semaphore + k.A_VALUE] -= m[code + k.I_N]
    if m[s + k.S_WANT] == 0:
        return
    m[s + k.S_WANT] = 0
    here = semaphore + k.A_WAITING - k.S_WNEXT
    while m[here + k.S_WNEXT] != s:
        here = m[here + k.S_WNEXT]
    m[here + k.S_WNEXT] = m[s + k.S_WNEXT]


@inlined
def push(m: State, s: int, code: int, op: int) -> None:
    task = new_task(m, s, code)
    m[task + k.T_NUMBER] = m[s + k.S_ISSUED]
    m[task + k.T_READY] = m[k.G_NOW] + 1
    if op == k.OP_MVM:
        m[task + k.T_SRC] = start(m, s, m[code + k.I_SRC])
        m[task + k.T_DST] = start(m, s, m[code + k.I_DST])
    count = m[s + k.S_QCOUNT]
    m[s + k.S_QCOUNT] = count + 1
    if count:
        m[m[s + k.S_QTAIL] + k.T_NEXT] = task
        m[s + k.S_QTAIL] = task
        return
    m[s + k.S_QHEAD] = m[s + k.S_QTAIL] = task
    m[s + k.S_ARRIVED] = max(m[s + k.S_ARRIVED], m[k.G_NOW] + 1)
    expect(m, s)


# The vector unit


@inlined
def ask(m: State, s: int, code: int) -> None:
    m[s + k.S_ASKED] = 1
    task = new_task(m, s, code)
    m[task + k.T_SRC] = start(m, s, m[code + k.I_SRC])
    m[task + k.T_B] = start(m, s, m[code + k.I_B])
    m[task + k.T_DST] = start(m, s, m[code + k.I_DST])
    core, now = m[s + k.S_CORE], m[k.G_NOW]
    unit = core + k.C_VECTOR
    offer(m, unit, task, now, m[s + k.S_INDEX])
    wake(m, max(now, m[unit + k.V_FREE]), k.RANK_VECTOR, core)


@inlined
def step_vector(m: State, core: int) -> None:
    unit = core + k.C_VECTOR
    task = pop(m, unit)
    if task == 0:
        return
    s, code = m[task + k.T_SEQ], m[task + k.T_CODE]
    cycles = m[code + k.I_CYCLES]
    end = m[k.G_NOW] + cycles
    if m[k.G_METER]:
        meter_service(m, unit, task)
    m[unit + k.V_FREE] = end
    sample(m, task, m[task + k.T_SRC], m[task + k.T_B])
    m[s + k.S_ASKED] = 0
    issued(m, s, code, cycles)
    at(m, end, k.RANK_VECTOR, k.E_VEC, task)
    again(m, unit, k.RANK_VECTOR, core, core)


@inlined
def vec_done(m: State, task: int) -> None:
    commit(m, task)
    free_task(m, task)

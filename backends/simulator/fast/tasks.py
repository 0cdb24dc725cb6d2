"""Tasks of the fast engine: what is under way, what waits for a unit, and what bytes it holds."""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import wake
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.meters import meter_raise
from nmc.backends.simulator.fast.rows import merged

__all__ = [
    "commit",
    "free_task",
    "new_task",
    "offer",
    "pop",
    "raise_semaphore",
    "record",
    "sample",
    "start",
]


@merged
def new_task(m: State, s: int, code: int) -> int:
    task = m[k.G_FREE_TASK]
    m[k.G_FREE_TASK] = m[task + k.T_NEXT]
    m[k.G_FREE_TASKS] -= 1
    m[task + k.T_NEXT] = 0
    m[task + k.T_SEQ] = s
    m[task + k.T_CODE] = code
    m[task + k.T_LEG] = 0
    m[task + k.T_CROSSED] = 0
    return task


@merged
def free_task(m: State, task: int) -> None:
    m[task + k.T_NEXT] = m[k.G_FREE_TASK]
    m[k.G_FREE_TASK] = task
    m[k.G_FREE_TASKS] += 1


@merged
def start(m: State, s: int, desc: int) -> int:
    """The offset of an operand's first element, loop terms included."""
    if desc <= 0:
        return 0
    total = m[desc + k.D_OFFSET]
    for level in range(m[s + k.S_DEPTH]):
        total += m[desc + k.D_LOOP0 + level] * m[s + k.S_COUNT0 + level]
    return total


# Units that serve one after the other


@merged
def offer(m: State, unit: int, task: int, ready: int, key: int) -> None:
    """Line up, by readiness, then by key, then as offered."""
    m[task + k.T_READY] = ready
    m[task + k.T_KEY] = key
    before = 0
    here = m[unit + k.V_HEAD]
    while here and (
        m[here + k.T_READY] < ready or (m[here + k.T_READY] == ready and m[here + k.T_KEY] <= key)
    ):
        before = here
        here = m[here + k.T_NEXT]
    m[task + k.T_NEXT] = here
    if before == 0:
        m[unit + k.V_HEAD] = task
    else:
        m[before + k.T_NEXT] = task


@merged
def pop(m: State, unit: int) -> int:
    """The task whose turn it is in this cycle, or 0."""
    task = m[unit + k.V_HEAD]
    now = m[k.G_NOW]
    if task == 0 or now < m[unit + k.V_FREE] or m[task + k.T_READY] > now:
        return 0
    m[unit + k.V_HEAD] = m[task + k.T_NEXT]
    m[task + k.T_NEXT] = 0
    return task


# Bytes


@merged
def hold(m: State, size_class: int) -> int:
    """A region for the bytes of a task, by size class."""
    free = m[size_class + k.Z_FREE]
    if free:
        m[size_class + k.Z_FREE] = free - 1
        return m[m[size_class + k.Z_LIST] + free - 1]
    top = m[k.G_HELD_TOP]
    m[k.G_HELD_TOP] = top + m[size_class + k.Z_SIZE]
    return top


@merged
def record(m: State, what: int, code: int, held: int, first: int, second: int) -> None:
    row = m[k.G_TRACE] + m[k.G_ROWS] * k.TR_WIDTH
    m[row + k.TR_WHAT] = what
    m[row + k.TR_CODE] = code
    m[row + k.TR_HELD] = held
    m[row + k.TR_FIRST] = first
    m[row + k.TR_SECOND] = second
    m[k.G_ROWS] += 1


@merged
def sample(m: State, task: int, first: int, second: int) -> None:
    """The bytes that a task starts from are read now."""
    if m[k.G_RECORD]:
        code = m[task + k.T_CODE]
        held = hold(m, m[code + k.I_CLASS])
        m[task + k.T_HELD] = held
        record(m, k.SAMPLE, code, held, first, second)


@merged
def commit(m: State, task: int) -> None:
    """What comes of them is written now."""
    if m[k.G_RECORD]:
        code = m[task + k.T_CODE]
        held = m[task + k.T_HELD]
        record(m, k.COMMIT, code, held, m[task + k.T_DST], 0)
        size_class = m[code + k.I_CLASS]
        free = m[size_class + k.Z_FREE]
        m[m[size_class + k.Z_LIST] + free] = held
        m[size_class + k.Z_FREE] = free + 1


# Semaphores


@merged
def raise_semaphore(m: State, semaphore: int, n: int, by: int) -> None:
    """Let a sequencer raise a semaphore, and wake those that it is high enough for."""
    if m[k.G_METER]:
        meter_raise(m, semaphore, by)
    value = m[semaphore + k.A_VALUE] + n
    m[semaphore + k.A_VALUE] = value
    s = m[semaphore + k.A_WAITING]
    while s:
        if value >= m[s + k.S_WANT]:
            wake(m, max(m[k.G_NOW], m[s + k.S_DUE]), k.RANK_SEQUENCER, s)
        s = m[s + k.S_WNEXT]

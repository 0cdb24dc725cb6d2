"""Queues to the crossbars in time, for the fast engine: fills of latches, writing of cells.

Heads of queues compete for latches within a group: the sequencers of a core that have crossbars in
common.
"""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import at, wake
from nmc.backends.simulator.fast.crossbars import await_latch, latch
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import FOREVER, State
from nmc.backends.simulator.fast.meters import meter_start, meter_write
from nmc.backends.simulator.fast.rows import merged
from nmc.backends.simulator.fast.tasks import free_task, raise_semaphore, sample

__all__ = ["cells_written", "expect", "step_fill"]


@merged
def expect(m: State, s: int) -> None:
    """Have the head of a queue dealt with when it has arrived and its latches may be free."""
    cycle = free_from(m, m[s + k.S_QHEAD], m[s + k.S_GROUP])
    if cycle != FOREVER:
        wake(m, max(cycle, m[s + k.S_ARRIVED]), k.RANK_FILL, m[s + k.S_GROUP])


@merged
def free_from(m: State, task: int, group: int) -> int:
    """When the latches that a head needs are free, as things are; where that is not known, FOREVER,
    and the group is told."""
    code = m[task + k.T_CODE]
    if m[code + k.I_OP] == k.OP_CELLS:
        x = m[code + k.I_XBAR]
        return max(free_latch(m, x, group), m[x + k.X_READING])
    plan = m[code + k.I_PLAN]
    cycle = free_latch(m, m[m[plan + k.P_SLOWEST] + k.R_XBAR], group)
    read, after = reads(m, task)
    while read < after and cycle != FOREVER:
        cycle = max(cycle, free_latch(m, m[read + k.R_XBAR], group))
        if cycle == FOREVER:
            m[plan + k.P_SLOWEST] = read
        read += k.R_WIDTH
    return cycle


@merged
def free_latch(m: State, x: int, group: int) -> int:
    if m[x + k.X_TAKEN] == FOREVER:
        m[x + k.X_WAITED] = group
        await_latch(m, x)
    return m[x + k.X_TAKEN]


@merged
def reads(m: State, task: int) -> tuple[int, int]:
    """The reads of an mvm: the first, and what comes after the last.  Cells have none."""
    plan = m[m[task + k.T_CODE] + k.I_PLAN]
    if plan <= 0:
        return 0, 0
    first = m[plan + k.P_READ0]
    return first, first + m[plan + k.P_READS] * k.R_WIDTH


@inlined
def step_fill(m: State, group: int) -> int:
    """The heads of a group's queues, by arrival; ENDED, or UNWRITTEN with the task in G_ERROR."""
    m[k.G_STAMP] += 1
    # Heads that came at the same cycle go by sequencer; `last` is the one dealt with before.
    last_arrived, last = -1, 0
    while True:
        s = next_head(m, group, last_arrived, last)
        if s == 0:
            return k.ENDED
        last_arrived, last = m[s + k.S_ARRIVED], s
        task = m[s + k.S_QHEAD]
        if last_arrived > m[k.G_NOW]:
            wake(m, last_arrived, k.RANK_FILL, group)
            return k.ENDED
        free = mark(m, task)
        cycle = free_from(m, task, group)
        if cycle <= m[k.G_NOW]:
            if free and not begin(m, s, task):
                return k.UNWRITTEN
            if m[group + k.Q_COUNT] == 1:
                return k.ENDED
        elif cycle != FOREVER:
            wake(m, cycle, k.RANK_FILL, group)


@merged
def next_head(m: State, group: int, arrived: int, last: int) -> int:
    """The sequencer whose head comes after (arrived, last), or 0."""
    best, best_arrived = 0, FOREVER
    i = m[group + k.Q_FIRST]
    after = i + m[group + k.Q_COUNT]
    while i < after:
        s = m[i]
        when = m[s + k.S_ARRIVED]
        later = when > arrived or (when == arrived and s > last)
        if m[s + k.S_QCOUNT] > 0 and later and when < best_arrived:
            best, best_arrived = s, when
        i += 1
    return best


@merged
def mark(m: State, task: int) -> bool:
    """Whether no earlier head needs any of the same crossbars; later ones may not overtake."""
    stamp = m[k.G_STAMP]
    free = True
    x = m[m[task + k.T_CODE] + k.I_XBAR]
    if x > 0:
        free = m[x + k.X_WANTED] != stamp
        m[x + k.X_WANTED] = stamp
    read, after = reads(m, task)
    while read < after:
        x = m[read + k.R_XBAR]
        if m[x + k.X_WANTED] == stamp:
            free = False
        m[x + k.X_WANTED] = stamp
        read += k.R_WIDTH
    return free


@inlined
def begin(m: State, s: int, task: int) -> bool:
    now, code = m[k.G_NOW], m[task + k.T_CODE]
    first, after = reads(m, task)
    if m[k.G_METER]:
        meter_start(m, s, task, first, after)
    m[s + k.S_QHEAD] = m[task + k.T_NEXT]
    m[s + k.S_QCOUNT] -= 1
    m[task + k.T_NEXT] = 0
    if m[code + k.I_OP] == k.OP_MVM:
        m[s + k.S_ARRIVED] = now + m[m[code + k.I_PLAN] + k.P_FILL]
        if not fill(m, task, m[s + k.S_ARRIVED]):
            return False
    else:
        m[s + k.S_ARRIVED] = now + 1
        write(m, s, task, code)
    if m[s + k.S_QCOUNT] > 0:
        expect(m, s)
    if m[s + k.S_BLOCKED] == k.S_QCOUNT:
        wake(m, max(now, m[s + k.S_DUE]), k.RANK_SEQUENCER, s)
    return True


@inlined
def fill(m: State, task: int, full: int) -> bool:
    first, after = reads(m, task)
    read = first
    while read < after:
        if not m[m[read + k.R_TILE] + k.L_WRITTEN]:
            m[k.G_ERROR] = task
            m[k.G_MISSING] = m[m[read + k.R_TILE] + k.L_NUMBER]
            return False
        read += k.R_WIDTH
    sample(m, task, m[task + k.T_SRC], 0)
    m[task + k.T_READS] = m[m[m[task + k.T_CODE] + k.I_PLAN] + k.P_READS]
    m[task + k.T_DONE] = m[task + k.T_DUE] = 0
    read = first
    while read < after:
        latch(m, m[read + k.R_XBAR], task, read, full)
        read += k.R_WIDTH
    return True


@inlined
def write(m: State, s: int, task: int, code: int) -> None:
    """Write a tile's cells; nothing of what lay there can be read from now on."""
    tile, x = m[code + k.I_N], m[code + k.I_XBAR]
    first = m[tile + k.L_OVERLAPS]
    for i in range(first, first + m[tile + k.L_COUNT]):
        m[m[i] + k.L_WRITTEN] = 0
    end = m[k.G_NOW] + m[code + k.I_CYCLES]
    if m[k.G_METER]:
        meter_write(m, s, x, end)
    m[x + k.X_TAKEN] = end
    at(m, end, k.RANK_FILL, k.E_CELLS, task)


@inlined
def cells_written(m: State, task: int) -> None:
    code = m[task + k.T_CODE]
    m[m[code + k.I_N] + k.L_WRITTEN] = 1
    raise_semaphore(m, m[code + k.I_SEM], 1, m[task + k.T_SEQ])
    free_task(m, task)

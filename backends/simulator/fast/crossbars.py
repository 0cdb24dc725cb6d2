"""Read plans in time, for the fast engine: latches, reads, conversions, write-back.

The crossbars of a cluster and its ADCs meet the rest of the machine in two points only: when
latches are filled, and when the last conversion of a plan has ended.  ADCs serve samples in order
of readiness, and a crossbar's next sample is always ready later than its last.  So a cluster takes
up sample after sample, each with all its bursts at once.  It may lag behind the rest of the machine
for as long as nobody can notice (`due`), and run ahead of it up to the first sample that a fill
still to come could bring (`horizon`).
"""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import at, wake
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import FOREVER, State
from nmc.backends.simulator.fast.tasks import commit, free_task, offer, pop, raise_semaphore, sample

__all__ = ["cells_written", "mvm_done", "step_back", "step_cluster", "step_fill"]


# Clusters


@inlined
def generate(m: State, x: int) -> None:
    """Let the crossbar's next read take place: its start follows from what is known."""
    stage = x + k.X_STAGE0
    for other in range(stage + 1, x + k.X_STAGE0 + m[k.G_HOLDS]):
        if m[other] < m[stage]:
            stage = other
    begin = max(m[x + k.X_FULL], m[x + k.X_READING], m[stage])
    ready = begin + m[k.G_READ]
    m[x + k.X_READING] = ready
    m[x + k.X_READY] = ready
    flow = m[x + k.X_FLOW]
    m[x + k.X_PFLOW] = flow
    m[x + k.X_PREAD] = m[x + k.X_READ]
    m[x + k.X_PSTAGE] = stage
    m[x + k.X_PHASE] += 1
    m[x + k.X_PRIORITY] = m[m[m[flow + k.T_CODE] + k.I_PLAN] + k.P_PRIORITY]
    if m[x + k.X_PHASE] == m[k.G_PHASES]:
        m[x + k.X_FLOW] = 0
        m[x + k.X_TAKEN] = begin
        wake(m, begin, k.RANK_FILL, m[x + k.X_CORE])


@inlined
def latch(m: State, x: int, flow: int, read: int, full: int) -> None:
    m[x + k.X_TAKEN] = FOREVER
    m[x + k.X_FLOW] = flow
    m[x + k.X_READ] = read
    m[x + k.X_FULL] = full
    m[x + k.X_PHASE] = 0
    if m[x + k.X_READY] == FOREVER:
        generate(m, x)
    wake(m, due(m, x), k.RANK_CLUSTER, m[x + k.X_CLUSTER])


@inlined
def due(m: State, x: int) -> int:
    """Before this cycle nobody outside the cluster can notice anything of this crossbar's reads.

    The first that can be noticed is the start of the last phase's read, which frees the latches,
    or the end of a plan's last conversion.  Phases to come need a read each, and, where they are
    more than there are stages, the conversions of those before.
    """
    ready, left = m[x + k.X_READY], m[k.G_PHASES] - m[x + k.X_PHASE]
    if m[x + k.X_FLOW] == 0 or m[x + k.X_PHASE] == 0:
        return ready
    bursts = (left - m[k.G_HOLDS] + 1) * m[m[x + k.X_READ] + k.R_LONGEST]
    return ready + max((left - 1) * m[k.G_READ], bursts)


@inlined
def horizon(m: State, first: int, after: int) -> int:
    """Up to here, exclusive, no sample can become ready that is not foreseen now."""
    nearest = FOREVER
    now, read = m[k.G_NOW], m[k.G_READ]
    for x in range(first, after, m[k.G_BAR]):
        free = m[x + k.X_TAKEN]
        if free == FOREVER:
            left = m[k.G_PHASES] - m[x + k.X_PHASE] - 1
            free = max(m[x + k.X_READING], m[x + k.X_FULL]) + left * read
        nearest = min(nearest, max(free, now) + m[x + k.X_MINFILL])
    return max(nearest + read, now + 1)


@inlined
def first_sample(m: State, first: int, after: int) -> int:
    """The crossbar whose sample ADCs serve first; ties by priority, then crossbar."""
    best = first
    ready = m[first + k.X_READY]
    width = m[k.G_BAR]
    for x in range(first + width, after, width):
        other = m[x + k.X_READY]
        if other < ready or (other == ready and m[x + k.X_PRIORITY] < m[best + k.X_PRIORITY]):
            best, ready = x, other
    return best


@inlined
def step_cluster(m: State, cluster: int) -> None:
    first = m[cluster + k.U_FIRST]
    after = first + m[cluster + k.U_COUNT] * m[k.G_BAR]
    end = horizon(m, first, after)
    x = first_sample(m, first, after)
    while m[x + k.X_READY] < end:
        convert(m, x)
        x = first_sample(m, first, after)
    next_due = FOREVER
    for x in range(first, after, m[k.G_BAR]):
        next_due = min(next_due, due(m, x))
    if next_due != FOREVER:
        wake(m, next_due, k.RANK_CLUSTER, cluster)


@inlined
def convert(m: State, x: int) -> None:
    """Give the crossbar's sample to its ADCs."""
    ready, read, flow = m[x + k.X_READY], m[x + k.X_PREAD], m[x + k.X_PFLOW]
    end = ready
    first = m[read + k.R_BURST0]
    for b in range(first, first + m[read + k.R_BURSTS] * k.B_WIDTH, k.B_WIDTH):
        adc = m[b + k.B_ADC]
        over = max(m[adc], ready) + m[b + k.B_CYCLES]
        m[adc] = over
        end = max(end, over)
    m[m[x + k.X_PSTAGE]] = end
    m[x + k.X_READY] = FOREVER
    m[flow + k.T_DONE] = max(m[flow + k.T_DONE], end)
    m[flow + k.T_SAMPLES] -= 1
    if m[flow + k.T_SAMPLES] == 0:
        converted(m, flow)
    if m[x + k.X_FLOW]:
        generate(m, x)


# Write-back


@inlined
def converted(m: State, flow: int) -> None:
    s = m[flow + k.T_SEQ]
    unit = s + k.S_BACK
    ready = m[flow + k.T_DONE] + m[k.G_SHIFT_ADD]
    offer(m, unit, flow, ready, m[flow + k.T_NUMBER])
    wake(m, max(ready, m[unit + k.V_FREE]), k.RANK_BACK, s)


@inlined
def step_back(m: State, s: int) -> None:
    unit = s + k.S_BACK
    task = pop(m, unit)
    if task == 0:
        return
    plan = m[m[task + k.T_CODE] + k.I_PLAN]
    end = m[k.G_NOW] + m[plan + k.P_BACK]
    m[unit + k.V_FREE] = end
    at(m, end, k.E_MVM, task)
    head = m[unit + k.V_HEAD]
    if head:
        wake(m, max(end, m[head + k.T_READY]), k.RANK_BACK, s)


@inlined
def mvm_done(m: State, task: int) -> None:
    commit(m, task)
    raise_semaphore(m, m[m[task + k.T_CODE] + k.I_SEM], 1)
    free_task(m, task)


# Fills


@inlined
def step_fill(m: State, core: int) -> int:
    """The heads of a core's queues, by arrival; ENDED, or UNWRITTEN with the task in G_ERROR."""
    m[k.G_STAMP] += 2
    now = m[k.G_NOW]
    # Heads that came at the same cycle go by sequencer; `last` is the one dealt with before.
    last_arrived, last = -1, 0
    while True:
        s = next_head(m, core, last_arrived, last)
        if s == 0:
            return k.ENDED
        last_arrived, last = m[s + k.S_ARRIVED], s
        task = m[s + k.S_QHEAD]
        if can_start(m, task) and not begin(m, s, task, now):
            return k.UNWRITTEN
        mark(m, task)


@inlined
def next_head(m: State, core: int, arrived: int, last: int) -> int:
    """The sequencer whose head comes after (arrived, last) and has arrived."""
    best, best_arrived = 0, m[k.G_NOW] + 1
    first = m[core + k.C_QUEUES]
    for i in range(first, first + m[core + k.C_QUEUE_COUNT]):
        s = m[i]
        when = m[s + k.S_ARRIVED]
        after = when > arrived or (when == arrived and s > last)
        if m[s + k.S_QCOUNT] > 0 and after and when < best_arrived:
            best, best_arrived = s, when
    return best


@inlined
def bars(m: State, task: int) -> tuple[int, int]:
    """The reads of an mvm: the first, and what comes after the last.  Cells have none."""
    plan = m[m[task + k.T_CODE] + k.I_PLAN]
    if plan <= 0:
        return 0, 0
    first = m[plan + k.P_READ0]
    return first, first + m[plan + k.P_READS] * k.R_WIDTH


@inlined
def can_start(m: State, task: int) -> bool:
    now, stamp = m[k.G_NOW], m[k.G_STAMP]
    first, after = bars(m, task)
    for r in range(first, after, k.R_WIDTH):
        x = m[r + k.R_XBAR]
        if m[x + k.X_WANTED] == stamp or m[x + k.X_TAKEN] > now:
            return False
    x = m[m[task + k.T_CODE] + k.I_XBAR]
    if x <= 0:
        return True
    if m[x + k.X_WANTED] == stamp or m[x + k.X_TAKEN] > now:
        return False
    if m[x + k.X_READING] > now:
        wake(m, m[x + k.X_READING], k.RANK_FILL, m[x + k.X_CORE])
        return False
    return True


@inlined
def mark(m: State, task: int) -> None:
    """Later heads may not overtake this one on its crossbars."""
    first, after = bars(m, task)
    for r in range(first, after, k.R_WIDTH):
        m[m[r + k.R_XBAR] + k.X_WANTED] = m[k.G_STAMP]
    x = m[m[task + k.T_CODE] + k.I_XBAR]
    if x > 0:
        m[x + k.X_WANTED] = m[k.G_STAMP]


@inlined
def begin(m: State, s: int, task: int, now: int) -> bool:
    m[s + k.S_QHEAD] = m[task + k.T_NEXT]
    m[s + k.S_QCOUNT] -= 1
    m[task + k.T_NEXT] = 0
    code = m[task + k.T_CODE]
    if m[code + k.I_OP] == k.OP_MVM:
        free = now + m[m[code + k.I_PLAN] + k.P_FILL]
        if not fill(m, task, free):
            return False
    else:
        write(m, task, code, now)
        free = now + 1
    m[s + k.S_ARRIVED] = free
    if m[s + k.S_QCOUNT] > 0:
        wake(m, free, k.RANK_FILL, m[s + k.S_CORE])
    wake(m, now, k.RANK_SEQUENCER, s)
    return True


@inlined
def fill(m: State, task: int, full: int) -> bool:
    first, after = bars(m, task)
    for r in range(first, after, k.R_WIDTH):
        if not m[m[r + k.R_TILE] + k.L_WRITTEN]:
            m[k.G_ERROR] = task
            m[k.G_MISSING] = m[m[r + k.R_TILE] + k.L_NUMBER]
            return False
    sample(m, task, m[task + k.T_SRC], 0)
    m[task + k.T_SAMPLES] = (after - first) // k.R_WIDTH * m[k.G_PHASES]
    m[task + k.T_DONE] = 0
    for r in range(first, after, k.R_WIDTH):
        latch(m, m[r + k.R_XBAR], task, r, full)
    return True


@inlined
def write(m: State, task: int, code: int, now: int) -> None:
    """Write a tile's cells; nothing of what lay there can be read from now on."""
    tile, x = m[code + k.I_N], m[code + k.I_XBAR]
    first = m[tile + k.L_OVERLAPS]
    for i in range(first, first + m[tile + k.L_COUNT]):
        m[m[i] + k.L_WRITTEN] = 0
    end = now + m[code + k.I_CYCLES]
    m[x + k.X_TAKEN] = end
    wake(m, end, k.RANK_FILL, m[x + k.X_CORE])
    at(m, end, k.E_CELLS, task)


@inlined
def cells_written(m: State, task: int) -> None:
    code = m[task + k.T_CODE]
    m[m[code + k.I_N] + k.L_WRITTEN] = 1
    raise_semaphore(m, m[code + k.I_SEM], 1)
    free_task(m, task)

"""Reads and conversions in time, for the fast engine: clusters, and the write-back after them.

The crossbars of a cluster and its ADCs meet the rest of the machine in two points only: when a fill
takes latches, and when the last conversion of a plan has ended.  ADCs serve samples in order of
readiness, and a crossbar's next sample is always ready later than its last.  So a cluster takes up
sample after sample, each with all its bursts at once, apart from the agenda: it lags behind the
rest of the machine until somebody could notice (`due`), and is then brought up to the present.

A sample's key orders it among those of its cluster: when it is ready, then its plan's priority,
then its crossbar.
"""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import announce, wake
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import FOREVER, State
from nmc.backends.simulator.fast.meters import (
    meter_back,
    meter_first_read,
    meter_freed,
    meter_next_read,
    meter_sample,
)
from nmc.backends.simulator.fast.rows import merged
from nmc.backends.simulator.fast.tasks import commit, free_task, offer, pop, raise_semaphore

__all__ = ["await_latch", "latch", "mvm_done", "step_back", "step_cluster"]


@merged
def latch(m: State, x: int, flow: int, read: int, full: int) -> None:
    """The crossbar's latches are filled with a plan's input bits, until cycle `full`."""
    m[x + k.X_TAKEN] = FOREVER
    m[x + k.X_FLOW] = flow
    m[x + k.X_READ] = read
    m[x + k.X_FULL] = full
    if m[x + k.X_KEY] == FOREVER:
        m[x + k.X_KEY] = first_phase(m, x)
    watch(m, x)


# When to look


@merged
def due(m: State, x: int) -> int:
    """Before this cycle nobody outside the cluster can notice anything of this crossbar's reads.

    What can be noticed is a plan's write-back, and, where a head waits for the latches, the start
    of the last phase's read.  Phases to come need a read each, and their conversions follow each
    other on the ADC; all but as many as there are other stages come before the last read.
    """
    ready, left, reading = m[x + k.X_KEY] >> m[k.G_KEY_BITS], m[x + k.X_LEFT], m[k.G_READ]
    longest, flow = m[x + k.X_LONGEST], m[x + k.X_PFLOW]
    begin = max(ready, m[m[x + k.X_ADC]])
    first = max(begin + left * longest, ready + left * reading) + longest + m[k.G_SHIFT_ADD]
    first = max(first, m[flow + k.T_DUE])
    m[flow + k.T_DUE] = first
    if m[x + k.X_WAITED] == 0:
        return first
    if m[x + k.X_FLOW]:
        return min(first, max(ready, m[x + k.X_FULL]) + (m[k.G_PHASES] - 1) * reading)
    converted = left - m[k.G_HOLDS] + 1
    latest = ready + (left - 1) * reading
    if converted > 0:
        latest = max(latest, begin + converted * longest)
    return min(first, latest)


@merged
def first_due(m: State, x: int, after: int) -> int:
    """Of a cluster's crossbars."""
    cycle = FOREVER
    while x < after:
        if m[x + k.X_KEY] != FOREVER:
            cycle = min(cycle, due(m, x))
        x += m[k.G_BAR]
    return cycle


@merged
def watch(m: State, x: int) -> None:
    """Have the crossbar's cluster stepped when that is due."""
    wake_cluster(m, m[x + k.X_CLUSTER], max(m[k.G_NOW], due(m, x)))


@merged
def wake_cluster(m: State, cluster: int, cycle: int) -> None:
    if cycle < m[cluster + k.U_WAKE]:
        m[cluster + k.U_WAKE] = cycle
        wake(m, cycle, k.RANK_CLUSTER, cluster)


@merged
def await_latch(m: State, x: int) -> None:
    """A head waits to know when the latches are free: perhaps that can be known now."""
    cycle = due(m, x)
    if cycle <= m[k.G_NOW]:
        bring_up(m, m[x + k.X_CLUSTER])
    else:
        wake_cluster(m, m[x + k.X_CLUSTER], cycle)


# Samples


@merged
def step_cluster(m: State, cluster: int) -> None:
    if m[cluster + k.U_WAKE] == m[k.G_NOW]:
        bring_up(m, cluster)


@inlined
def bring_up(m: State, cluster: int) -> None:
    """Give all samples to ADCs that no fill still to come can get ahead of."""
    first, after = m[cluster + k.U_FIRST], m[cluster + k.U_AFTER]
    end = (m[k.G_NOW] + m[cluster + k.U_AHEAD]) << m[k.G_KEY_BITS]
    only = m[cluster + k.U_ADC]
    adc = m[only]
    key, other, third = three_least(m, first, after)
    while key < end:
        x = first + (key & m[k.G_PLACE_MASK])
        key, adc = serve(m, x, key, only, adc)
        m[x + k.X_KEY] = key
        if key <= third:
            key, other = min(key, other), max(key, other)
        else:
            key, other, third = three_least(m, first, after)
    m[only] = adc
    m[cluster + k.U_WAKE] = FOREVER
    if key != FOREVER:
        wake_cluster(m, cluster, first_due(m, first, after))


@merged
def three_least(m: State, x: int, after: int) -> tuple[int, int, int]:
    """The three least keys of some crossbars, FOREVER where there are fewer."""
    one = two = three = FOREVER
    while x < after:
        key = m[x + k.X_KEY]
        three = min(three, max(two, key))
        two = min(two, max(one, key))
        one = min(one, key)
        x += m[k.G_BAR]
    return one, two, three


@merged
def serve(m: State, x: int, key: int, only: int, adc: int) -> tuple[int, int]:
    """Give a crossbar's sample to its ADCs; the key of its next, and from when on the only ADC of
    its cluster is free, if there is one."""
    left, bits = m[x + k.X_LEFT], m[k.G_KEY_BITS]
    ready = key >> bits
    if m[k.G_METER]:
        meter_sample(m, x, ready, only, adc)
    if only:
        adc = over = max(adc, ready) + m[x + k.X_LONGEST]
    else:
        over = convert(m, m[x + k.X_PREAD], ready)
    free = change_stage(m, x, over)
    if left == 0:
        m[x + k.X_STAGE0] = free
        return last_converted(m, x, over), adc
    begin = max(ready, free)
    if m[k.G_METER]:
        meter_next_read(m, x, ready, begin)
    m[x + k.X_LEFT] = left - 1
    if left == 1:
        free_latches(m, x, begin)
    return ((begin + m[k.G_READ]) << bits) | (key & ((1 << bits) - 1)), adc


@merged
def convert(m: State, read: int, ready: int) -> int:
    """Give a sample to its ADCs; when the last of its bursts ends."""
    end = ready
    b = m[read + k.R_BURST0]
    after = b + m[read + k.R_BURSTS] * k.B_WIDTH
    while b < after:
        adc = m[b + k.B_ADC]
        over = max(m[adc], ready) + m[b + k.B_CYCLES]
        m[adc] = over
        end = max(end, over)
        b += k.B_WIDTH
    return end


@merged
def change_stage(m: State, x: int, over: int) -> int:
    """A stage is free from cycle `over` on; from when on that is which is free first, and is to
    hold the next sample."""
    stage = x + k.X_STAGE0 + m[k.G_HOLDS] - 1
    while stage > x + k.X_STAGE0:
        free = m[stage]
        m[stage] = max(free, over)
        over = min(free, over)
        stage -= 1
    return over


@merged
def free_latches(m: State, x: int, begin: int) -> None:
    """The last phase's read begins."""
    if m[k.G_METER]:
        meter_freed(m, x, begin)
    m[x + k.X_TAKEN] = begin
    m[x + k.X_READING] = begin + m[k.G_READ]
    if m[x + k.X_WAITED]:
        wake(m, max(begin, m[k.G_NOW]), k.RANK_FILL, m[x + k.X_WAITED])
        m[x + k.X_WAITED] = 0


@merged
def last_converted(m: State, x: int, over: int) -> int:
    """The last sample of an mvm on this crossbar has its ADCs; the key of the next, if any."""
    flow = m[x + k.X_PFLOW]
    m[flow + k.T_DONE] = max(m[flow + k.T_DONE], over)
    m[flow + k.T_READS] -= 1
    if m[flow + k.T_READS] == 0:
        converted(m, flow)
    if m[x + k.X_FLOW]:
        return first_phase(m, x)
    return FOREVER


@merged
def first_phase(m: State, x: int) -> int:
    """Read the first phase of what is latched; its sample's key."""
    read = m[x + k.X_READ]
    begin = max(m[x + k.X_FULL], m[x + k.X_READING], m[x + k.X_STAGE0])
    m[x + k.X_PFLOW] = m[x + k.X_FLOW]
    m[x + k.X_FLOW] = 0
    m[x + k.X_PREAD] = read
    m[x + k.X_ADC] = m[read + k.R_ADC]
    m[x + k.X_LONGEST] = m[read + k.R_LONGEST]
    m[x + k.X_LEFT] = m[k.G_PHASES] - 1
    if m[k.G_METER]:
        meter_first_read(m, x, begin)
    if m[k.G_PHASES] == 1:
        free_latches(m, x, begin)
    return ((begin + m[k.G_READ]) << m[k.G_KEY_BITS]) | m[read + k.R_TIE]


# Write-back


@merged
def converted(m: State, flow: int) -> None:
    """All conversions of an mvm have an end.  Where mvms end in order, so do write-backs."""
    s = m[flow + k.T_SEQ]
    unit = s + k.S_BACK
    ready = m[flow + k.T_DONE] + m[k.G_SHIFT_ADD]
    if m[s + k.S_IN_ORDER]:
        write_back(m, s, flow, max(ready, m[unit + k.V_FREE]))
        return
    offer(m, unit, flow, ready, m[flow + k.T_NUMBER])
    wake(m, max(ready, m[unit + k.V_FREE]), k.RANK_BACK, s)


@merged
def write_back(m: State, s: int, flow: int, begin: int) -> None:
    if m[k.G_METER]:
        meter_back(m, s, flow, begin)
    end = begin + m[m[m[flow + k.T_CODE] + k.I_PLAN] + k.P_BACK]
    m[s + k.S_BACK + k.V_FREE] = end
    load = (k.E_MVM << k.EFFECT_SHIFT) | flow
    announce(m, end, begin, k.RANK_BACK, m[s + k.S_NUMBER], load)


@inlined
def step_back(m: State, s: int) -> None:
    unit = s + k.S_BACK
    task = pop(m, unit)
    if task == 0:
        return
    write_back(m, s, task, m[k.G_NOW])
    head = m[unit + k.V_HEAD]
    if head:
        wake(m, max(m[unit + k.V_FREE], m[head + k.T_READY]), k.RANK_BACK, s)


@inlined
def mvm_done(m: State, task: int) -> None:
    commit(m, task)
    raise_semaphore(m, m[m[task + k.T_CODE] + k.I_SEM], 1, m[task + k.T_SEQ])
    free_task(m, task)

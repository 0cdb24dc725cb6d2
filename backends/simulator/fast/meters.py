"""Meters of the fast engine: who waited for which unit, and why ADCs and crossbars were idle.

Kernels add up only what does not follow from the program itself, and only if they are asked to.
Then each row of the state has a second one of the same width, its meter, G_METER further on;
without, nothing here but `crowded` and `raiser` is called.
Waits go by unit, waiting sequencer and holder into a hash table, which grows between cycles; a
unit is known by the address of its row, or of a field there where a row stands for several.
`UnitUse` says what the sums mean.
"""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.jit import inlined
from nmc.backends.simulator.fast.layout import State

__all__ = [
    "crowded",
    "meter_back",
    "meter_first_read",
    "meter_freed",
    "meter_met",
    "meter_next_read",
    "meter_raise",
    "meter_sample",
    "meter_sent",
    "meter_service",
    "meter_start",
    "meter_write",
    "raiser",
    "waited",
]


@inlined
def waited(m: State, unit: int, waiter: int, holder: int, cycles: int) -> None:
    """The sequencer has waited for the unit behind the holder; for no cycles nothing is noted."""
    if cycles <= 0:
        return
    table, mask = m[k.G_PAIRS], m[k.G_PAIRS_MASK]
    mixed = unit * 0x9E3779B1 + waiter * 0x85EBCA6B + holder * 0xC2B2AE35
    place = (mixed ^ (mixed >> 15)) & mask
    while True:
        row = table + place * k.W_WIDTH
        if m[row + k.W_UNIT] == 0:
            m[row + k.W_UNIT], m[row + k.W_WAITER], m[row + k.W_HOLDER] = unit, waiter, holder
            m[k.G_PAIRS_COUNT] += 1
        same = m[row + k.W_UNIT] == unit and m[row + k.W_WAITER] == waiter
        if same and m[row + k.W_HOLDER] == holder:
            m[row + k.W_CYCLES] += cycles
            return
        place = (place + 1) & mask


@inlined
def crowded(m: State) -> bool:
    """Whether the table of waits is to grow before anything else happens."""
    return 2 * m[k.G_PAIRS_COUNT] > m[k.G_PAIRS_MASK]


# Units that serve one task after the other, semaphores, queues


@inlined
def meter_service(m: State, unit: int, task: int) -> None:
    """The unit takes a task up in this cycle."""
    meter = m[k.G_METER]
    s = m[task + k.T_SEQ]
    waited(m, unit, s, m[unit + meter + k.VM_HOLDER], m[k.G_NOW] - m[task + k.T_READY])
    m[unit + meter + k.VM_HOLDER] = s


@inlined
def meter_back(m: State, s: int, flow: int, begin: int) -> None:
    """A write-back begins; only its own sequencer's are before it."""
    meter = m[k.G_METER]
    m[s + meter + k.SM_BACK_WAIT] += begin - m[flow + k.T_DONE] - m[k.G_SHIFT_ADD]


@inlined
def meter_raise(m: State, semaphore: int, s: int) -> None:
    """Of those that raise a semaphore in one cycle the first sequencer counts."""
    meter = m[k.G_METER]
    if m[semaphore + meter + k.AM_RAISED] == m[k.G_NOW]:
        s = min(s, m[semaphore + meter + k.AM_RAISER])
    m[semaphore + meter + k.AM_RAISER] = s
    m[semaphore + meter + k.AM_RAISED] = m[k.G_NOW]


@inlined
def raiser(m: State, code: int) -> int:
    """The sequencer of an instruction; known where there are meters."""
    return m[code + m[k.G_METER] + k.IM_SEQ]


@inlined
def meter_met(m: State, s: int, semaphore: int) -> None:
    """A wait is met in this cycle."""
    meter = m[k.G_METER]
    holder = m[semaphore + meter + k.AM_RAISER]
    waited(m, semaphore, s, holder, m[k.G_NOW] - m[s + k.S_DUE])


@inlined
def meter_sent(m: State, s: int, queue: int, task: int) -> None:
    """A message leaves its sequencer's queue to the port."""
    meter = m[k.G_METER]
    m[s + meter + queue] += m[k.G_NOW] - m[task + k.T_READY]


# Fills and latches


@inlined
def meter_start(m: State, s: int, task: int, first: int, after: int) -> None:
    """A head leaves the queue to the crossbars; its reads are those from `first` on."""
    meter = m[k.G_METER]
    now, arrived, ready = m[k.G_NOW], m[s + k.S_ARRIVED], m[task + k.T_READY]
    m[s + meter + k.S_QCOUNT] += now - ready
    m[s + meter + k.SM_FILL_WAIT] += arrived - max(ready, m[s + meter + k.SM_STARTED])
    m[s + meter + k.SM_STARTED] = now
    last = meter_taking(m, m[m[task + k.T_CODE] + k.I_XBAR], 0, arrived)
    while first < after:
        last = meter_taking(m, m[first + k.R_XBAR], last, arrived)
        first += k.R_WIDTH
    holder = m[last + meter + k.XM_HOLDER]
    waited(m, last + k.X_TAKEN, s, holder, now - arrived)


@inlined
def meter_taking(m: State, x: int, last: int, arrived: int) -> int:
    """A crossbar's latches are taken; those that came free last, of this and the last."""
    if x <= 0:
        return last
    m[x + m[k.G_METER] + k.XM_NEXT_ARRIVED] = arrived
    m[x + m[k.G_METER] + k.XM_NEXT_FILLING] = m[k.G_NOW]
    if last == 0 or m[x + k.X_TAKEN] > m[last + k.X_TAKEN]:
        return x
    return last


@inlined
def meter_write(m: State, s: int, x: int, end: int) -> None:
    """Cells are written from now on."""
    meter, now = m[k.G_METER], m[k.G_NOW]
    x_meter = x + meter
    idle = max(m[x + k.X_READING], m[x_meter + k.XM_WRITTEN])
    begin = max(idle, m[x_meter + k.XM_NEXT_ARRIVED])
    m[x_meter + k.XM_IDLE_LATCHES] += max(0, now - begin)
    m[x_meter + k.XM_LATCHED] += end - now
    m[x_meter + k.XM_HOLDER] = s
    m[x_meter + k.XM_WRITTEN] = end


@inlined
def meter_freed(m: State, x: int, begin: int) -> None:
    """The last read of what lies in the latches begins."""
    meter = m[k.G_METER]
    m[x + meter + k.XM_LATCHED] += begin - m[x + meter + k.XM_FILLING]
    m[x + meter + k.XM_HOLDER] = m[m[x + k.X_PFLOW] + k.T_SEQ]


# Reads and conversions


@inlined
def overlap(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))


@inlined
def meter_first_read(m: State, x: int, begin: int) -> None:
    """The first phase of a plan is read from `begin` on; before, the crossbar may have idled."""
    meter = m[k.G_METER]
    row = x + meter
    arrived, filling = m[row + k.XM_NEXT_ARRIVED], m[row + k.XM_NEXT_FILLING]
    full, reading = m[x + k.X_FULL], m[x + k.X_READING]
    m[row + k.XM_ARRIVED], m[row + k.XM_FILLING] = arrived, filling
    m[row + k.XM_FULL] = full
    idle = max(reading, m[row + k.XM_WRITTEN])
    m[row + k.XM_IDLE_LATCHES] += overlap(idle, begin, arrived, filling)
    m[row + k.XM_IDLE_FILL] += overlap(idle, begin, filling, full)
    meter_next_read(m, x, max(full, reading), begin)


@inlined
def meter_next_read(m: State, x: int, able: int, begin: int) -> None:
    """A phase that could be read from `able` on has had to wait for its stage until `begin`."""
    meter = m[k.G_METER]
    s = m[m[x + k.X_PFLOW] + k.T_SEQ]
    m[x + meter + k.XM_ABLE] = able
    m[x + meter + k.XM_IDLE_STAGES] += begin - able
    waited(m, x + k.X_STAGE0, s, m[x + meter + k.XM_READER], begin - able)
    m[x + meter + k.XM_READER] = s


@inlined
def meter_sample(m: State, x: int, ready: int, only: int, free: int) -> None:
    """A sample is about to be given to its ADCs, or to the only one, which is free from `free`."""
    if only:
        m[only] = free
    read, end = m[x + k.X_PREAD], ready
    b = m[read + k.R_BURST0]
    after = b + m[read + k.R_BURSTS] * k.B_WIDTH
    while b < after:
        adc = m[b + k.B_ADC]
        meter_burst(m, x, adc, ready)
        end = max(end, max(m[adc], ready) + m[b + k.B_CYCLES])
        b += k.B_WIDTH
    m[x + m[k.G_METER] + k.XM_STAGED] += end - ready + m[k.G_READ]


@inlined
def meter_burst(m: State, x: int, adc: int, ready: int) -> None:
    """One of its bursts: it waits for the ADC, or the ADC has waited for it."""
    row, own = x + m[k.G_METER], m[adc + m[k.G_METER]]
    s, free = m[m[x + k.X_PFLOW] + k.T_SEQ], m[adc]
    waited(m, adc, s, m[own + k.Y_HOLDER], free - ready)
    m[own + k.Y_HOLDER] = s
    if free >= ready:
        return
    filling, full = m[row + k.XM_FILLING], m[row + k.XM_FULL]
    able, begin = m[row + k.XM_ABLE], ready - m[k.G_READ]
    m[own + k.Y_LATCHES] += overlap(free, ready, m[row + k.XM_ARRIVED], filling)
    m[own + k.Y_FILL] += overlap(free, ready, filling, full)
    m[own + k.Y_READ] += overlap(free, ready, full, able) + overlap(free, ready, begin, ready)
    m[own + k.Y_STAGES] += overlap(free, ready, able, begin)

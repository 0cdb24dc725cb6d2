"""The main loop of the fast engine: takes what is due off the agenda, cycle after cycle."""

from __future__ import annotations

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.agenda import advance, drop, following
from nmc.backends.simulator.fast.crossbars import mvm_done, step_back, step_cluster
from nmc.backends.simulator.fast.fills import cells_written, step_fill
from nmc.backends.simulator.fast.jit import compiled, spliced
from nmc.backends.simulator.fast.layout import FOREVER, State
from nmc.backends.simulator.fast.messages import (
    arrived,
    left,
    served,
    step_link,
    step_memory,
    step_out,
    step_port,
)
from nmc.backends.simulator.fast.meters import crowded, raiser
from nmc.backends.simulator.fast.rows import first_word
from nmc.backends.simulator.fast.sequencers import (
    start_sequencer,
    step_sequencer,
    step_vector,
    vec_done,
)
from nmc.backends.simulator.fast.tasks import raise_semaphore

__all__ = ["run_events"]


@compiled
def run_events(state: State, max_cycles: int, until: int) -> int:
    """Go on until all is done, the trace is full, rows run short, or after cycle `until`.

    Says which: ENDED, FULL, SHORT, LIMIT, UNWRITTEN or CROWDED.
    """
    m, max_cycles = first_word(state), min(max_cycles, k.LAST_CYCLE)
    margin = m[k.G_MARGIN]
    if not m[k.G_STARTED]:
        m[k.G_STARTED] = 1
        first = m[k.G_SEQ0]
        for s in range(first, first + m[k.G_SEQS] * k.S_WIDTH, k.S_WIDTH):
            start_sequencer(m, s)
    while True:
        cycle = following(m)
        if cycle == FOREVER:
            return k.ENDED
        if cycle > max_cycles:
            return k.LIMIT
        if m[k.G_ROWS] + margin > m[k.G_ROOM] or cycle > until:
            return k.FULL
        if m[k.G_FREE_TASKS] < margin or m[k.G_FREE_NODES] < 8 * margin:
            return k.SHORT
        if crowded(m):
            return k.CROWDED
        advance(m, cycle)
        if not run_cycle(m, cycle & (k.SLOTS - 1)):
            return k.UNWRITTEN


@spliced
def run_cycle(m: State, place: int) -> bool:
    while m[k.SLOT0 + place]:
        node = drop(m, place)
        key, load = m[node + k.N_KEY], m[node + k.N_LOAD]
        rank = key >> k.RANK_SHIFT
        if rank == 0:
            effect(m, load >> k.EFFECT_SHIFT, load & ((1 << k.EFFECT_SHIFT) - 1))
        elif rank == k.RANK_FILL:
            if step_fill(m, load) != k.ENDED:
                return False
        else:
            step(m, rank, load)
    return True


@spliced
def step(m: State, rank: int, unit: int) -> None:
    if rank == k.RANK_SEQUENCER:
        step_sequencer(m, unit)
    elif rank == k.RANK_CLUSTER:
        step_cluster(m, unit)
    elif rank == k.RANK_BACK:
        step_back(m, unit)
    elif rank == k.RANK_VECTOR:
        step_vector(m, unit)
    elif rank == k.RANK_PORT and unit > 0:
        step_port(m, unit)
    elif rank == k.RANK_PORT:
        step_out(m, -unit)
    elif rank == k.RANK_LINK:
        step_link(m, unit)
    else:
        step_memory(m, unit)


@spliced
def effect(m: State, what: int, argument: int) -> None:
    if what == k.E_MVM:
        mvm_done(m, argument)
    elif what == k.E_RAISE:
        n = m[argument + k.I_N]
        raise_semaphore(m, m[argument + k.I_SEM], n, raiser(m, argument))
    elif what == k.E_VEC:
        vec_done(m, argument)
    elif what == k.E_LEFT:
        left(m, argument)
    elif what == k.E_ARRIVED:
        arrived(m, argument)
    elif what == k.E_SERVED:
        served(m, argument)
    else:
        cells_written(m, argument)

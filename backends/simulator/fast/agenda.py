"""What happens when: a ring of lists, one for each of the next cycles, in order of rank and unit.

The order within a cycle is the reference clock's: effects in the order in which they were
announced, then units by rank and place.  Entries further ahead than the ring wait in one list.
"""

from __future__ import annotations

import numpy as np

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.jit import trailing_zeros
from nmc.backends.simulator.fast.layout import FOREVER, State
from nmc.backends.simulator.fast.rows import merged

__all__ = ["advance", "announce", "at", "drop", "following", "insert", "wake", "wake_as"]


@merged
def wake(m: State, cycle: int, rank: int, unit: int) -> None:
    """Have a unit stepped in a cycle; once, however often it is asked for.

    Units of a rank step in the order of their rows.
    """
    insert(m, cycle, (rank << k.RANK_SHIFT) | unit, unit)


@merged
def wake_as(m: State, cycle: int, rank: int, number: int, unit: int) -> None:
    """The same for units that step in another order."""
    insert(m, cycle, (rank << k.RANK_SHIFT) | number, unit)


@merged
def at(m: State, cycle: int, rank: int, effect: int, argument: int) -> None:
    """Have an effect happen at the start of a cycle; a unit of `rank` announces it now."""
    m[k.G_SERIAL] += 1
    announce(m, cycle, m[k.G_NOW], rank, m[k.G_SERIAL], (effect << k.EFFECT_SHIFT) | argument)


@merged
def announce(m: State, cycle: int, when: int, rank: int, number: int, load: int) -> None:
    """The same for what is announced in cycle `when`, as the `number`-th of its rank."""
    order = (when << (k.SERIAL_BITS + k.RANK_BITS)) | (rank << k.SERIAL_BITS) | number
    insert(m, cycle, order, load)


@merged
def insert(m: State, cycle: int, key: int, load: int) -> None:
    if cycle >= m[k.G_NOW] + k.SLOTS:
        node = take(m, key, load)
        m[node + k.N_CYCLE] = cycle
        m[node + k.N_NEXT] = m[k.G_FAR]
        m[k.G_FAR] = node
        m[k.G_FAR_FIRST] = min(m[k.G_FAR_FIRST], cycle)
        return
    place = cycle & (k.SLOTS - 1)
    before = k.SLOT0 + place - k.N_NEXT
    here = m[before + k.N_NEXT]
    if here == 0:
        m[k.BITS0 + (place >> 6)] |= 1 << (place & 63)
    while here and m[here + k.N_KEY] < key:
        before = here
        here = m[here + k.N_NEXT]
    if here and m[here + k.N_KEY] == key:
        return
    node = take(m, key, load)
    m[node + k.N_NEXT] = here
    m[before + k.N_NEXT] = node


@merged
def take(m: State, key: int, load: int) -> int:
    node = m[k.G_FREE_NODE]
    m[k.G_FREE_NODE] = m[node + k.N_NEXT]
    m[k.G_FREE_NODES] -= 1
    m[node + k.N_KEY] = key
    m[node + k.N_LOAD] = load
    return node


@merged
def drop(m: State, place: int) -> int:
    """Take the first entry of a slot off; its node, whose fields stay until the next insertion."""
    node = m[k.SLOT0 + place]
    after = m[node + k.N_NEXT]
    m[k.SLOT0 + place] = after
    if after == 0:
        m[k.BITS0 + (place >> 6)] &= ~(1 << (place & 63))
    release(m, node)
    return node


@merged
def release(m: State, node: int) -> None:
    m[node + k.N_NEXT] = m[k.G_FREE_NODE]
    m[k.G_FREE_NODE] = node
    m[k.G_FREE_NODES] += 1


@merged
def following(m: State) -> int:
    """The next cycle in which anything is due, FOREVER if there is none."""
    return min(scan(m), m[k.G_FAR_FIRST])


@merged
def scan(m: State) -> int:
    now = m[k.G_NOW]
    start = now & (k.SLOTS - 1)
    words = k.SLOTS >> 6
    word = start >> 6
    rest = np.uint64(m[k.BITS0 + word]) >> np.uint64(start & 63)
    if rest != 0:
        return now + np.int64(trailing_zeros(rest))
    for i in range(1, words + 1):
        word = (start >> 6) + i
        found = np.uint64(m[k.BITS0 + (word & (words - 1))])
        if found != 0:
            place = ((word & (words - 1)) << 6) + np.int64(trailing_zeros(found))
            return now + ((place - start) & (k.SLOTS - 1))
    return FOREVER


@merged
def advance(m: State, cycle: int) -> None:
    """Let it be `cycle`; what has come near moves from the list to the ring."""
    m[k.G_NOW] = cycle
    m[k.G_SERIAL] = 0
    if m[k.G_FAR_FIRST] >= cycle + k.SLOTS:
        return
    node, first = m[k.G_FAR], FOREVER
    m[k.G_FAR] = 0
    while node:
        after, due = m[node + k.N_NEXT], m[node + k.N_CYCLE]
        if due < cycle + k.SLOTS:
            release(m, node)
            insert(m, due, m[node + k.N_KEY], m[node + k.N_LOAD])
        else:
            m[node + k.N_NEXT] = m[k.G_FAR]
            m[k.G_FAR] = node
            first = min(first, due)
        node = after
    m[k.G_FAR_FIRST] = first

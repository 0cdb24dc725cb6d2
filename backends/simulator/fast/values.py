"""Real bytes for the fast engine: carries out what the timing wrote down, on a group of lanes.

A row of the trace samples operands into the bytes that a task holds, or commits what it holds to
memory.  A few lanes at a time pass through all rows, so that what they touch stays in the nearest
caches.  Rows that need numpy stop the kernel; the caller deals with them and goes on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast import vector_rows as v
from nmc.backends.simulator.fast.jit import compiled, copy_bytes, inlined
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.vector_rows import Numbers
from nmc.backends.simulator.fast.vectors import Place, Scratch, compute

__all__ = ["BLOCK", "Bytes", "Group", "Weights", "execute_rows", "move", "note_stores"]

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int16]

BLOCK = 8
"""Lanes that pass through the trace together."""


class Group(NamedTuple):
    """What a group of lanes has, and what it shares with others.

    `memory` and `held` are [lanes, bytes].  A plan says where in `weights` its own begin, those of
    one output after those of another, if it is a product of integers.  `sums` has room for the
    most outputs in each of BLOCK lanes, as has `scratch` for the largest operands of a vec.
    `vector_rows` and `immediates` are those of each instruction, the first of which has its row
    at `code`.
    """

    memory: Bytes
    held: Place
    weights: Weights
    sums: Place
    vector_rows: State
    immediates: Numbers
    scratch: Scratch
    code: int


@compiled
def execute_rows(m: State, begin: int, end: int, g: Group) -> int:
    """Rows of the trace from `begin` on; the row that it stopped at, or `end` if none."""
    stop = begin
    while stop < end and not for_numpy(m, m[k.G_TRACE] + stop * k.TR_WIDTH, g):
        stop += 1
    # One level of calls: what a kernel calls is compiled again on each level above.
    for first in range(0, len(g.memory), BLOCK):
        after = min(first + BLOCK, len(g.memory))
        memory, lanes = g.memory[first:after], after - first
        for number in range(begin, stop):
            row = m[k.G_TRACE] + number * k.TR_WIDTH
            code, region, start = m[row + k.TR_CODE], m[row + k.TR_HELD], m[row + k.TR_FIRST]
            vec = m[code + k.I_OP] == k.OP_VEC
            if m[row + k.TR_WHAT] == k.COMMIT:
                held = g.held.bytes[first:after]
                if m[code + k.I_OP] == k.OP_MVM:
                    multiply(m, m[code + k.I_PLAN], region, held, g)
                    held, region = g.sums.bytes[:lanes], 0
                move_operand(m, m[code + k.I_DST], start, memory, held, region, False)
            elif m[row + k.TR_WHAT] == k.SAMPLE:
                held = g.scratch.a.bytes[:lanes] if vec else g.held.bytes[first:after]
                move_operand(m, m[code + k.I_SRC], start, memory, held, 0 if vec else region, True)
                if vec:
                    b = g.scratch.b.bytes[:lanes]
                    move_operand(m, m[code + k.I_B], m[row + k.TR_SECOND], memory, b, 0, True)
                    which = (code - g.code) // k.I_WIDTH
                    what, imm = g.vector_rows[which], g.immediates[which]
                    compute(what, imm, g.scratch, lanes, g.held, first, region)
    return stop


@inlined
def for_numpy(m: State, row: int, g: Group) -> bool:
    code = m[row + k.TR_CODE]
    if m[row + k.TR_WHAT] == k.SAMPLE and m[code + k.I_OP] == k.OP_VEC:
        return bool(g.vector_rows[(code - g.code) // k.I_WIDTH, v.V_HOW] == v.BY_NUMPY)
    if m[row + k.TR_WHAT] == k.COMMIT and m[code + k.I_OP] == k.OP_MVM:
        return bool(m[m[code + k.I_PLAN] + k.P_WEIGHTS] < 0)
    return False


@inlined
def multiply(m: State, plan: int, region: int, held: Bytes, g: Group) -> None:
    """The product of the bytes held and the plan's weights, to the sums."""
    at, inputs, outputs = m[plan + k.P_WEIGHTS], m[plan + k.P_INPUTS], m[plan + k.P_OUTPUTS]
    for n in range(outputs):
        weights = g.weights[at + n * inputs : at + (n + 1) * inputs]
        for lane in range(len(held)):
            x = held[lane, region : region + inputs]
            total = np.int32(0)
            for i in range(inputs):
                total += np.int32(x[i]) * np.int32(weights[i])
            g.sums.words[lane, n] = total


# Moving bytes


@compiled
def move(
    m: State, desc: int, start: int, memory: Bytes, dense: Bytes, place: int, inward: bool
) -> None:
    """`move_operand` for Python.  Of kernels that call each other there would be one for each set
    of constants."""
    move_operand(m, desc, start, memory, dense, place, inward)


@inlined
def move_operand(
    m: State, desc: int, start: int, memory: Bytes, dense: Bytes, place: int, inward: bool
) -> None:
    """Bytes of an operand's elements, in order: from memory to the dense ones from `place` on, or,
    if not `inward`, back; in each lane.  No operand has no bytes."""
    if desc <= 0:
        return
    item, count, ring = m[desc + k.D_ITEM], m[desc + k.D_COUNT0 + 2], m[desc + k.D_RING]
    base, step = m[desc + k.D_AT] + m[desc + k.D_BASE], m[desc + k.D_STEP0 + 2]
    if step == item:  # without gaps
        item, count = item * count, 1
    for i in range(m[desc + k.D_COUNT0]):
        for j in range(m[desc + k.D_COUNT0 + 1]):
            offset = start + i * m[desc + k.D_STEP0] + j * m[desc + k.D_STEP0 + 1]
            for n in range(count):
                move_run(offset + n * step, item, ring, base, memory, dense, place, inward)
                place += item


@inlined
def move_run(
    offset: int,
    length: int,
    ring: int,
    base: int,
    memory: Bytes,
    dense: Bytes,
    place: int,
    inward: bool,
) -> None:
    """Bytes that follow each other, around the end of the ring if there is one."""
    after = place + length
    while place < after:
        part = after - place
        if ring:
            offset %= ring
            part = min(part, ring - offset)
        for lane in range(len(memory)):
            if inward:
                copy_bytes(dense, lane, place, memory, lane, base + offset, part)
            else:
                copy_bytes(memory, lane, base + offset, dense, lane, place, part)
        place += part
        offset += part


@compiled
def note_stores(
    m: State, rows: int, frame_bytes: int, mask: Bytes, missing: Bytes, cycles: State
) -> None:
    """Note which output bytes have come into global memory, and in which cycle.

    `mask` says of each byte of a frame whether it is one, `missing` of each byte of all frames
    whether it is one that is still to come; `cycles` has one entry per frame.
    """
    for number in range(rows):
        row = m[k.G_TRACE] + number * k.TR_WIDTH
        if m[row + k.TR_WHAT] != k.STORED:
            continue
        desc = m[m[row + k.TR_CODE] + k.I_DST]
        for i in range(m[desc + k.D_COUNT0]):
            for j in range(m[desc + k.D_COUNT0 + 1]):
                offset = m[row + k.TR_FIRST]
                offset += i * m[desc + k.D_STEP0] + j * m[desc + k.D_STEP0 + 1]
                for n in range(m[desc + k.D_COUNT0 + 2]):
                    at = offset + n * m[desc + k.D_STEP0 + 2]
                    if m[desc + k.D_RING]:
                        at %= m[desc + k.D_RING]
                    at += m[desc + k.D_BASE]
                    for byte in range(at, at + m[desc + k.D_ITEM]):
                        if mask[byte % frame_bytes]:
                            missing[byte] = 0
                            cycles[byte // frame_bytes] = m[row + k.TR_SECOND]

"""Real bytes for the fast engine: carries out what the timing wrote down, on a range of lanes.

A row of the trace samples operands into the bytes that a task holds, or commits what it holds to
memory.  Rows that need more than moving bytes and integer products stop the kernel; the caller
deals with them and goes on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.jit import compiled, inlined
from nmc.backends.simulator.fast.layout import State

__all__ = ["Bytes", "Words", "execute_rows", "gather", "note_stores", "scatter"]

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int32]


@compiled
def execute_rows(
    m: State,
    rows: tuple[int, int],
    lanes: tuple[int, int],
    memory: Bytes,
    held: Bytes,
    weights: Words,
    sums: Words,
) -> int:
    """Rows of the trace from the first on; the row that it stopped at, or rows[1] if none.

    `memory` and `held` are [lanes, bytes].  A plan says where in `weights` its own begin, if it is
    a product of integers.  `sums` has room for the most outputs.
    """
    for number in range(rows[0], rows[1]):
        row = m[k.G_TRACE] + number * k.TR_WIDTH
        code, region, first = m[row + k.TR_CODE], m[row + k.TR_HELD], m[row + k.TR_FIRST]
        op = m[code + k.I_OP]
        if m[row + k.TR_WHAT] == k.SAMPLE:
            if op == k.OP_VEC:
                return number
            gather(m, m[code + k.I_SRC], first, lanes, memory, held, region)
        elif m[row + k.TR_WHAT] == k.COMMIT:
            if op == k.OP_MVM:
                plan = m[code + k.I_PLAN]
                if m[plan + k.P_WEIGHTS] < 0:
                    return number
                multiply(m, plan, lanes, held, region, weights, sums)
            scatter(m, m[code + k.I_DST], first, lanes, memory, held, region)
    return rows[1]


@inlined
def multiply(
    m: State,
    plan: int,
    lanes: tuple[int, int],
    held: Bytes,
    region: int,
    weights: Words,
    sums: Words,
) -> None:
    """Put the product of the bytes held and the plan's weights in their place."""
    at, inputs, outputs = m[plan + k.P_WEIGHTS], m[plan + k.P_INPUTS], m[plan + k.P_OUTPUTS]
    for lane in range(lanes[0], lanes[1]):
        for n in range(outputs):
            sums[n] = 0
        accumulate(held[lane, region : region + inputs], weights[at:], outputs, sums)
        for n in range(outputs):
            word = sums[n]
            place = region + 4 * n
            for byte in range(4):
                held[lane, place + byte] = np.uint8((word >> (8 * byte)) & 255)


@inlined
def accumulate(x: Bytes, weights: Words, outputs: int, sums: Words) -> None:
    """sums += x @ weights; four rows at a time, so that sums are loaded and stored less often."""
    whole = len(x) - len(x) % 4
    for i in range(0, whole, 4):
        a, b, c, d = np.int32(x[i]), np.int32(x[i + 1]), np.int32(x[i + 2]), np.int32(x[i + 3])
        if a | b | c | d:
            at = weights[i * outputs : (i + 4) * outputs]
            for n in range(outputs):
                sums[n] += (
                    a * at[n]
                    + b * at[n + outputs]
                    + c * at[n + 2 * outputs]
                    + d * at[n + 3 * outputs]
                )
    for i in range(whole, len(x)):
        a = np.int32(x[i])
        for n in range(outputs):
            sums[n] += a * weights[i * outputs + n]


# Moving bytes.  The inner dimension is moved run by run where its elements follow each other.


@compiled
def gather(
    m: State,
    desc: int,
    start: int,
    lanes: tuple[int, int],
    memory: Bytes,
    held: Bytes,
    region: int,
) -> None:
    """Bytes of an operand's elements, in order, to the region that is held."""
    place = region
    item, count = m[desc + k.D_ITEM], m[desc + k.D_COUNT0 + 2]
    for i in range(m[desc + k.D_COUNT0]):
        for j in range(m[desc + k.D_COUNT0 + 1]):
            offset = start + i * m[desc + k.D_STEP0] + j * m[desc + k.D_STEP0 + 1]
            at, run = run_of(m, desc, offset)
            if run:
                for lane in range(lanes[0], lanes[1]):
                    for n in range(run):
                        held[lane, place + n] = memory[lane, at + n]
                place += run
            else:
                for n in range(count):
                    at = address(m, desc, offset + n * m[desc + k.D_STEP0 + 2])
                    for lane in range(lanes[0], lanes[1]):
                        for byte in range(item):
                            held[lane, place + byte] = memory[lane, at + byte]
                    place += item


@compiled
def scatter(
    m: State,
    desc: int,
    start: int,
    lanes: tuple[int, int],
    memory: Bytes,
    held: Bytes,
    region: int,
) -> None:
    """The inverse of `gather`."""
    place = region
    item, count = m[desc + k.D_ITEM], m[desc + k.D_COUNT0 + 2]
    for i in range(m[desc + k.D_COUNT0]):
        for j in range(m[desc + k.D_COUNT0 + 1]):
            offset = start + i * m[desc + k.D_STEP0] + j * m[desc + k.D_STEP0 + 1]
            at, run = run_of(m, desc, offset)
            if run:
                for lane in range(lanes[0], lanes[1]):
                    for n in range(run):
                        memory[lane, at + n] = held[lane, place + n]
                place += run
            else:
                for n in range(count):
                    at = address(m, desc, offset + n * m[desc + k.D_STEP0 + 2])
                    for lane in range(lanes[0], lanes[1]):
                        for byte in range(item):
                            memory[lane, at + byte] = held[lane, place + byte]
                    place += item


@inlined
def address(m: State, desc: int, offset: int) -> int:
    """Where in a lane an element lies."""
    if m[desc + k.D_RING]:
        offset %= m[desc + k.D_RING]
    return m[desc + k.D_AT] + m[desc + k.D_BASE] + offset


@inlined
def run_of(m: State, desc: int, offset: int) -> tuple[int, int]:
    """Address and length of a run of the inner dimension that has no gap and does not wrap; or
    (0, 0)."""
    item, count = m[desc + k.D_ITEM], m[desc + k.D_COUNT0 + 2]
    if count > 1 and m[desc + k.D_STEP0 + 2] != item:
        return 0, 0
    length = count * item
    if m[desc + k.D_RING]:
        offset %= m[desc + k.D_RING]
        if offset + length > m[desc + k.D_RING]:
            return 0, 0
    return m[desc + k.D_AT] + m[desc + k.D_BASE] + offset, length


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
                    at = address(m, desc, offset + n * m[desc + k.D_STEP0 + 2])
                    at -= m[desc + k.D_AT]
                    for byte in range(at, at + m[desc + k.D_ITEM]):
                        if mask[byte % frame_bytes]:
                            missing[byte] = 0
                            cycles[byte // frame_bytes] = m[row + k.TR_SECOND]

"""What channels show, from tables of the sums of all subsets of four rows.

In one bit of the inputs, four rows are a pattern of four bits, and what they add to a channel is
one of 16 sums.  A table has these for 64 channels of a tile; it stays in the nearest cache while
all lanes and phases look up their patterns in it, and four rows of 64 channels cost one addition.
Each value then goes through its ADC: quantised, clipped, and added to those of the other phases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast import simd
from nmc.backends.simulator.fast.jit import compiled, inlined

__all__ = ["GROUP", "PATTERNS", "UNROLLED", "add_tile", "cut_groups", "note_patterns"]

Bytes = npt.NDArray[np.uint8]
State = npt.NDArray[np.int64]

GROUP = 4
"""Rows whose subsets have their sums in a table."""

UNROLLED = 8
"""Groups that are added in one turn of the innermost loop, where no sum must end before."""

PATTERNS = 1 << GROUP
"""Subsets of a group."""


@compiled
def note_patterns(words: npt.NDArray[np.uint32], patterns: Bytes) -> None:
    """patterns[n, b, g]: bit i is bit b of byte i of words[n, g]."""
    for n in range(words.shape[0]):
        for bit in range(8):
            to = patterns[n, bit]
            for group in range(words.shape[1]):
                ones = np.uint32(words[n, group] >> np.uint32(bit)) & np.uint32(0x01010101)
                # Bits 0, 8, 16 and 24 come to lie at 24 to 27; no two products of bits meet.
                gathered = np.uint32(np.uint32(ones) * np.uint32(0x01020408))
                to[group] = np.uint8(gathered >> np.uint32(24)) & np.uint8(PATTERNS - 1)


@compiled
def cut_groups(levels: Any, least: int, most: int, bounds: Any, ends: State) -> None:
    """Where sums of groups must end, to lie in least..most whatever the patterns.

    levels[blocks, rows, channels]; ends[block, 0], [block, 1], .. of which the last is the number
    of groups; those after it have no meaning.  A group alone must lie there.
    `bounds` i32[2, channels] is room to work in.
    """
    for block in range(levels.shape[0]):
        begin, cut = 0, 0
        while begin < ends.shape[1]:
            bounds[:] = 0
            end = begin
            while end < ends.shape[1] and grow(levels[block], end, least, most, bounds):
                end += 1
            if end // UNROLLED * UNROLLED > begin:
                end = end // UNROLLED * UNROLLED
            ends[block, cut] = begin = end
            cut += 1


@inlined
def grow(levels: Any, group: int, least: int, most: int, bounds: Any) -> bool:
    """Add the least and the greatest that a group can give to `bounds`; whether all lie within."""
    below, above = bounds[0], bounds[1]
    for row in range(GROUP * group, GROUP * (group + 1)):
        for channel in range(levels.shape[1]):
            level = np.int32(levels[row, channel])
            below[channel] += min(level, np.int32(0))
            above[channel] += max(level, np.int32(0))
    inside = True
    for channel in range(levels.shape[1]):
        inside &= below[channel] >= least and above[channel] <= most
    return inside


@compiled
def add_tile(
    patterns: Bytes,
    levels: Any,
    ends: State,
    adcs: tuple[Any, Any, Any],
    runs: State,
    digits: tuple[int, int],
    room: tuple[Any, Any, Any],
    sums: npt.NDArray[np.int32],
) -> None:
    """Add what a tile gives in all phases to sums i32[lanes, columns].

    `patterns` as `note_patterns` has them, of the tile's rows; `levels` [blocks, rows, 64]; `ends`
    as `cut_groups` has them.  `adcs`: least code, greatest code and, if any is not 1, step, of
    each channel.  `runs`, of channels of a block whose columns follow each other: block, first
    channel in it, first column, number, factor; in order.  `digits`: phases, and bits of a digit.
    `room`: a table; an array of the type of a channel's value; a vector of the type of its codes
    of all phases, summed.
    """
    table, _, total = room
    after = 0
    for block in range(levels.shape[0]):
        begin = after
        while after < runs.shape[0] and runs[after, 0] == block:
            after += 1
        fill_table(levels, block, table)
        first = block * simd.COUNT
        for lane in range(patterns.shape[0]):
            note_codes(patterns[lane], ends[block], first, adcs, digits, room)
            for run in range(begin, after):
                add_codes(total, runs[run], sums[lane])


@inlined
def fill_table(levels: Any, block: int, table: Any) -> None:
    """table[group, pattern, channel]: the sum of the rows of the group that the pattern has."""
    rows = levels.shape[1]
    for group in range(rows // GROUP):
        at = group * PATTERNS * simd.COUNT
        simd.store(table, at, simd.zeros(table))
        for i in range(GROUP):
            level = simd.load(levels, (block * rows + GROUP * group + i) * simd.COUNT)
            for pattern in range(1 << i):
                low = simd.load(table, at + pattern * simd.COUNT)
                simd.store(table, at + (pattern + (1 << i)) * simd.COUNT, simd.add(low, level))


@inlined
def note_codes(
    patterns: Bytes,
    ends: State,
    first: int,
    adcs: tuple[Any, Any, Any],
    digits: tuple[int, int],
    room: tuple[Any, Any, Any],
) -> None:
    """What the ADCs of 64 channels say to one lane, each phase at its weight, summed."""
    lows, highs, steps = adcs
    table, like, total = room
    low, high = simd.load(lows, first), simd.load(highs, first)
    codes, value = simd.zeros(total), simd.zeros(like)
    phases, digit_bits = digits
    bits = min(8, phases * digit_bits)
    left = bits - (phases - 1) * digit_bits
    for bit in range(bits - 1, -1, -1):
        value = bit_value(simd.shift_left(value, 1), patterns[bit], ends, table)
        left -= 1
        if not left:
            if len(steps):
                value = simd.divide(value, steps, first)
            code = simd.cast_like(simd.clip(value, low, high), total)
            codes = simd.add(simd.shift_left(codes, digit_bits), code)
            value, left = simd.zeros(like), digit_bits
    simd.store(total, 0, codes)


@inlined
def bit_value(value: Any, patterns: Bytes, ends: State, table: Any) -> Any:
    """`value`, and what 64 channels show of one bit of the inputs."""
    begin, cut = 0, 0
    while begin < len(ends):
        end = ends[cut]
        part = simd.zeros(table)
        for group in range(np.uint64(begin), np.uint64(end)):
            # Unsigned, or numba would look for places counted from the end.
            place = group * np.uint64(PATTERNS) + np.uint64(patterns[group])
            part = simd.add(part, simd.load(table, np.intp(place * np.uint64(simd.COUNT))))
        value = simd.add(value, simd.cast_like(part, value))
        begin, cut = end, cut + 1
    return value


@inlined
def add_codes(codes: Any, run: State, sums: Any) -> None:
    """What a run's channels say, times its factor, to its columns."""
    _, channel, column, count, factor = run
    if count == simd.COUNT:
        more = simd.scale(simd.cast_like(simd.load(codes, 0), sums), np.int32(factor))
        simd.store(sums, column, simd.add(simd.load(sums, column), more))
        return
    for n in range(np.uint64(count)):
        to = np.uint64(column) + n
        code = np.int32(codes[np.uint64(channel) + n])
        sums[to] = np.int32(sums[to] + np.int32(code * np.int32(factor)))

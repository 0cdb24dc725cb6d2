"""Tiles and inputs as the sliced kernel takes them: channels in blocks, inputs as patterns.

Numbers lie in the narrowest types that hold them: the narrower, the more channels a register
takes.  The work is done in `subsets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast.simd import COUNT
from nmc.backends.simulator.fast.subsets import (
    GROUP,
    PATTERNS,
    UNROLLED,
    add_tile,
    cut_groups,
    note_patterns,
)
from nmc.backends.simulator.reads import encoding_of, offset_factor, seen_levels, unit_sign
from nmc.ir.program import TileImage, TileRead
from nmc.ir.target import Target

__all__ = ["BlockedTile", "Room", "patterns_of", "rooms_for"]

Bytes = npt.NDArray[np.uint8]
State = npt.NDArray[np.int64]
Words = npt.NDArray[np.int32]
Levels = npt.NDArray[np.int16]
"""Of cells, as the ADC sees them."""

Room = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""What `add_tile` works in."""

LINE_BYTES = 64
"""Of the cache: where tables begin, so that no vector lies in two of them."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Types of integers: of the sums in a table and of some of them, of a channel's value, of its
    codes of all phases; and the type of floats that values are divided in."""

    table: type[np.integer]
    value: type[np.integer]
    codes: type[np.integer]
    quotient: type[np.floating]


WIDTHS = (
    Widths(np.int8, np.int16, np.int16, np.float32),
    Widths(np.int8, np.int16, np.int32, np.float32),
    Widths(np.int16, np.int32, np.int32, np.float64),
    Widths(np.int16, np.int64, np.int32, np.float64),
)
"""From fast to slow; each is compiled when a tile is the first to need it.  Codes wrap around as
accumulators do, whose 32 bits are therefore enough."""


@dataclass(frozen=True, slots=True)
class Adcs:
    """Of each channel: i64[channels] each."""

    lows: State
    highs: State
    steps: State

    @staticmethod
    def of(read: TileRead, tile: TileImage, target: Target, slices: State, channels: int) -> Adcs:
        """Of channels of these slices, filled up to a number of channels that show nothing."""
        ranges = [target.code_range(encoding_of(tile), bits) for bits in read.bits]
        lows, highs = np.asarray(ranges, np.int64).reshape(-1, 2)[slices].T
        steps = np.asarray(read.steps, np.int64)[slices]
        more = (0, channels - len(slices))
        return Adcs(np.pad(lows, more), np.pad(highs, more), np.pad(steps, more, constant_values=1))

    def narrowed(
        self, widths: Widths
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """As `add_tile` has them; no steps where all are 1."""
        limits = np.iinfo(widths.value)
        lows, highs = (
            codes.clip(limits.min, limits.max).astype(widths.value)
            for codes in (self.lows, self.highs)
        )
        steps = self.steps.astype(widths.quotient)
        return lows, highs, steps if (steps != 1).any() else steps[:0]


def widths_for(levels: Levels, adcs: Adcs, target: Target) -> Widths:
    """The narrowest types that lose nothing, whatever the inputs, of levels in blocks."""
    blocks, rows, _ = levels.shape
    below, above = (
        part.reshape(blocks, rows // GROUP, GROUP, COUNT).sum(axis=2, dtype=np.int16)
        for part in (np.minimum(levels, 0), np.maximum(levels, 0))
    )
    subsets = max(-int(below.min(initial=0)), int(above.max(initial=0)))
    lows, highs = (groups.sum(axis=1, dtype=np.int64).ravel() for groups in (below, above))
    values = np.maximum(-lows, highs) * target.crossbar.max_digit
    codes = np.minimum(values // adcs.steps + 1, np.maximum(-adcs.lows, adcs.highs))
    weight = sum(1 << (target.crossbar.dac_bits * phase) for phase in range(target.phases))
    needs = subsets, int(values.max(initial=0)), int(codes.max(initial=0)) * weight
    for widths in WIDTHS[:-1]:
        types = widths.table, widths.value, widths.codes
        if all(need <= np.iinfo(kind).max for need, kind in zip(needs, types, strict=True)):
            return widths
    return WIDTHS[-1]


@dataclass(frozen=True, slots=True)
class BlockedTile:
    """One tile's read.  Channels are those of the slices that are converted, all of a slice's
    outputs next to each other, and the unit column where there is one.

    `columns` are where outputs go; other arrays are those of `add_tile`.
    """

    rows: slice
    """Of the plan's inputs."""
    outputs: int
    columns: slice | State
    levels: npt.NDArray[np.signedinteger[Any]]
    """[blocks, rows, COUNT], filled up with zeros."""
    ends: State
    adcs: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
    runs: State
    digits: tuple[int, int]
    widths: Widths
    unit_factor: int
    """How often the sum that the unit column shows is added to all others; 0 without one."""
    direct: bool
    """Whether `runs` have the plan's columns, not places in `columns` and after."""

    @staticmethod
    def of(read: TileRead, tile: TileImage, target: Target, outputs: State) -> BlockedTile:
        slices = np.flatnonzero(read.converted)
        unit = offset_factor(tile, target) * unit_sign(tile)
        blocks = blocks_of(channels_of(tile, target, outputs, slices))
        of_channel = np.repeat(slices, len(outputs))
        if unit:
            of_channel = np.append(of_channel, 0)
        adcs = Adcs.of(read, tile, target, of_channel, len(blocks) * COUNT)
        widths = widths_for(blocks, adcs, target)
        levels = blocks.astype(widths.table)
        columns = columns_of(read.output0 + outputs)
        first = columns.start if isinstance(columns, slice) and not unit else None
        return BlockedTile(
            rows=slice(read.input0, read.input0 + tile.rows),
            outputs=len(outputs),
            columns=columns,
            levels=levels,
            ends=ends_of(levels, widths),
            adcs=adcs.narrowed(widths),
            runs=runs_of(read, target, len(outputs), first or 0, bool(unit)),
            digits=(target.phases, target.crossbar.dac_bits),
            widths=widths,
            unit_factor=unit,
            direct=first is not None,
        )

    def add(self, patterns: Bytes, room: Room, sums: Words) -> None:
        """sums[:, columns] += what this tile gives to inputs of these patterns."""
        if self.direct:
            self._add(patterns, room, sums)
            return
        part = np.zeros((len(sums), self.outputs + 1), np.int32)
        self._add(patterns, room, part)
        part[:, :-1] += part[:, -1:] * np.int32(self.unit_factor)
        sums[:, self.columns] += part[:, :-1]

    def _add(self, patterns: Bytes, room: Room, sums: Words) -> None:
        add_tile(
            patterns,
            self.levels,
            self.ends,
            self.adcs,
            self.runs,
            self.digits,
            room,
            sums,
        )


def channels_of(tile: TileImage, target: Target, outputs: State, slices: State) -> Levels:
    """[rows, channels]: some slices of some outputs, and the unit column where there is one."""
    seen = seen_levels(tile, target).astype(np.int16)[:, outputs][:, :, slices]
    channels = seen.transpose(0, 2, 1).reshape(tile.rows, -1)
    if not offset_factor(tile, target):
        return channels
    return np.pad(channels, ((0, 0), (0, 1)), constant_values=unit_sign(tile))


def columns_of(outputs: State) -> slice | State:
    """The same as a slice, if they follow each other: numpy is several times faster then."""
    first, after = int(outputs[0]), int(outputs[-1]) + 1
    return slice(first, after) if len(outputs) == after - first else outputs


def runs_of(read: TileRead, target: Target, outputs: int, column: int, unit: bool) -> State:
    """As `add_tile` has them, of outputs from `column`; the unit column's is the one after."""
    kept = [s for s, converted in enumerate(read.converted) if converted]
    factors = [read.steps[s] << target.crossbar.cell_bits * s for s in kept]
    wholes = [(i * outputs, column, outputs, factor) for i, factor in enumerate(factors)]
    if unit:
        wholes.append((len(kept) * outputs, column + outputs, 1, read.steps[0]))
    runs: list[tuple[int, ...]] = []
    for first, to, count, factor in wholes:
        cuts = range(first // COUNT * COUNT + COUNT, first + count, COUNT)
        for begin, end in pairwise([first, *cuts, first + count]):
            runs.append((*divmod(begin, COUNT), to + begin - first, end - begin, factor))
    return np.asarray(sorted(runs), np.int64).reshape(-1, 5)


def blocks_of(channels: Levels) -> Levels:
    """[blocks, rows, COUNT] of levels [rows, channels], rows and channels filled up with zeros."""
    rows, count = channels.shape
    full = np.zeros((filled(rows), -(-count // COUNT) * COUNT), channels.dtype)
    full[:rows, :count] = channels
    blocks = full.reshape(len(full), -1, COUNT).transpose(1, 0, 2)
    return np.ascontiguousarray(blocks)


def ends_of(levels: npt.NDArray[Any], widths: Widths) -> State:
    blocks, rows, _ = levels.shape
    ends = np.zeros((blocks, rows // GROUP), np.int64)
    limits = np.iinfo(widths.table)
    cut_groups(levels, limits.min, limits.max, np.zeros((2, COUNT), np.int32), ends)
    return ends


def rooms_for(parts: Sequence[BlockedTile]) -> dict[Widths, Room]:
    """What the largest tile of each of the widths needs."""
    groups: dict[Widths, int] = {}
    for part in parts:
        groups[part.widths] = max(groups.get(part.widths, 0), part.ends.shape[1])
    return {
        widths: (
            aligned(most * PATTERNS * COUNT, widths.table),
            np.empty(0, widths.value),
            aligned(COUNT, widths.codes),
        )
        for widths, most in groups.items()
    }


def aligned(count: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """An array without values that begins where a line of the cache does."""
    size = count * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE_BYTES, np.uint8)
    begin = -raw.ctypes.data % LINE_BYTES
    return raw[begin : begin + size].view(dtype)


def patterns_of(x: Bytes, spans: Sequence[slice]) -> Bytes:
    """u8[spans, lanes, bits of a byte, groups]: which rows of a group have a bit set.

    All spans of rows are filled up with zeros to the groups of the longest.
    """
    rows = filled(max((span.stop - span.start for span in spans), default=0))
    count, groups = len(spans) * len(x), rows // GROUP
    whole = np.zeros((len(spans), len(x), rows), np.uint8)
    for to, span in zip(whole, spans, strict=True):
        to[:, : span.stop - span.start] = x[:, span]
    words = whole.view("<u4").astype(np.uint32, copy=False)
    patterns = np.empty((count, 8, groups), np.uint8)
    note_patterns(words.reshape(count, groups), patterns)
    return patterns.reshape(len(spans), len(x), 8, groups)


def filled(rows: int) -> int:
    """Rows that fill whole turns of the innermost loop."""
    turn = GROUP * UNROLLED
    return -(-rows // turn) * turn

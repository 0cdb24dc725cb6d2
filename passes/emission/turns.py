"""A stage's firings as a few hardware loops: runs of firings that do the same."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Mapping, Stage
from nmc.ir.rows import Turns, emissions, turns

__all__ = ["Segment", "segments"]


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` equal firings from number `first` on.

    Per operand: rows to wait for, rows to release, padding rows below the data to fill and the
    number, within the ring's rows of one input, of the first of these.  Where an operand has
    padding above, the first firing is a segment by itself, which fills it.  `emits` rows go out in
    each firing, the first being firing number `emitted` among those that emit.  `variant` is the
    caller's own mark.
    """

    first: int
    count: int
    waits: tuple[int, ...]
    releases: tuple[int, ...]
    fills: tuple[int, ...]
    fill_rows: tuple[int, ...]
    emits: int
    emitted: int
    variant: Hashable = None


def segments(
    mapping: Mapping, stage: Stage, variants: Sequence[Hashable] | None = None
) -> list[Segment]:
    """The firings of a stage for one input, run-length encoded."""
    plans = [turns(mapping, stage, operand) for operand in stage.operands]
    emits = emissions(mapping, stage)
    waits = [np.diff(p.needed, prepend=0) for p in plans]
    releases = [np.diff(p.released, prepend=0) for p in plans]
    fills = [_fills(mapping, stage, i, p) for i, p in enumerate(plans)]
    emitted: Array = np.cumsum(emits > 0) - (emits > 0)
    opening = np.zeros(len(emits), np.int64)
    opening[0] = any(operand.top for operand in stage.operands)
    marks = [*waits, *releases, *(f for f, _ in fills), emits, opening]
    result: list[Segment] = []
    for first, count in _runs(marks, variants):
        result.append(
            Segment(
                first,
                count,
                tuple(int(w[first]) for w in waits),
                tuple(int(r[first]) for r in releases),
                tuple(int(f[first]) for f, _ in fills),
                tuple(int(row[first]) for _, row in fills),
                int(emits[first]),
                int(emitted[first]),
                variants[first] if variants is not None else None,
            )
        )
    return result


def _runs(marks: Sequence[Array], variants: Sequence[Hashable] | None) -> Iterator[tuple[int, int]]:
    """(first, count) of maximal runs of firings that are equal in everything."""
    columns = list(marks)
    if variants is not None:
        known: dict[Hashable, int] = {}
        columns.append(np.array([known.setdefault(v, len(known)) for v in variants]))
    table = np.stack(columns)
    changes = np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0)) + 1
    starts = [0, *changes.tolist(), table.shape[1]]
    return ((a, b - a) for a, b in itertools.pairwise(starts))


def _fills(mapping: Mapping, stage: Stage, number: int, plan: Turns) -> tuple[Array, Array]:
    """Padding rows below the data that become visible at each firing: how many, the first."""
    operand = stage.operands[number]
    count = np.zeros(len(plan.needed), np.int64)
    if not operand.bottom:
        return count, count
    below = operand.top + mapping.streams[operand.stream].rows
    windows = np.arange(len(count)) * stage.window.strides[0]
    ends = np.clip(windows + stage.window.span[0], below, below + operand.bottom)
    # A row that a stride leaps over is nobody's: it was released with the rows before it.
    starts = np.maximum(windows, np.concatenate([[below], ends[:-1]]))
    return np.maximum(ends - starts, 0), starts

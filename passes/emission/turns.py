"""A stage's firings as a few hardware loops: stretches of firings that do the same, or that repeat
a pattern of a few firings."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Kind, Mapping, Stage
from nmc.ir.rows import Feed, Makers, emissions, feed_of, first_rows, makers_of
from nmc.ir.shares import Run, runs_of

__all__ = [
    "NOWHERE",
    "SLOTS",
    "Loop",
    "Pattern",
    "Progress",
    "Schedule",
    "Segment",
    "patterns",
    "puts_at",
]

SLOTS = 2
"""Slots of a stage's output buffer: what a firing emits is sent while the next one works."""

LONGEST_PATTERN = 128
NOWHERE = -1
"""The position of what does not take place in a firing."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """`count` repetitions of firings first.. first + length - 1; `steps` says how far each position
    moves on from one repetition to the next."""

    first: int
    length: int
    count: int
    steps: Array


def patterns(marks: Array, positions: Array) -> list[Pattern]:
    """Loops that between them do all firings in order.

    `marks` (i64[firings, any]) must be equal for two firings to be the same; `positions` (i64
    [firings, any]) may move, by the same in each repetition, or be NOWHERE in all of them.  Greedy:
    at each point the loop that saves most, and of these the shortest.
    """
    result: list[Pattern] = []
    first, total = 0, len(marks)
    alike: dict[int, Array] = {}
    while first < total:
        best = Pattern(first, 1, 1, np.zeros(positions.shape[1], np.int64))
        for length in range(1, min(LONGEST_PATTERN, (total - first) // 2) + 1):
            if (best.count - 1) * best.length >= total - first - length:
                break
            if length not in alike:
                alike[length] = _alike(marks, positions, length)
            count, steps = _repetitions(positions, alike[length], first, length)
            if (count - 1) * length > (best.count - 1) * best.length:
                best = Pattern(first, length, count, steps)
        result.append(best)
        first += best.length * best.count
    return result


def _alike(marks: Array, positions: Array, length: int) -> Array:
    """Whether each firing and the one `length` later are the same but for positions."""
    here, there = positions[:-length] == NOWHERE, positions[length:] == NOWHERE
    alike = (marks[:-length] == marks[length:]).all(axis=1) & (here == there).all(axis=1)
    return np.asarray(alike)


def _repetitions(positions: Array, same: Array, first: int, length: int) -> tuple[int, Array]:
    """How often the pattern occurs from `first` on, and how far positions move each time."""
    stop = first + int(np.argmin(same[first:])) if not same[first:].all() else len(same)
    count = (stop - first) // length + 1
    moved = positions[first + length : first + count * length]
    moved = moved - positions[first : first + (count - 1) * length]
    there = positions[first : first + (count - 1) * length] != NOWHERE
    if count == 1:
        return 1, np.zeros(positions.shape[1], np.int64)
    begun = there[:length]
    which = np.argmax(begun, axis=0)
    steps = np.where(begun.any(axis=0), moved[which, np.arange(positions.shape[1])], 0)
    wrong = ((moved != steps) & there).any(axis=1)
    if wrong.any():
        count = int(np.argmax(wrong)) // length + 1
    return count, steps


@dataclass(frozen=True, slots=True)
class Progress:
    """Where something is at a firing of a segment, and how far it moves on with each turn."""

    first: int
    step: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One firing in the body of a loop: number `first` of the copy, `step` more in each turn.

    Per operand: rows to wait for in all (`came`) and from each source, rows that are done with
    (`freed`), slots to give back in all (`slots`) and to each source (`releases`), padding rows
    below the data to fill, and where among the ring's rows of one input these begin.  Where
    an operand has padding above, the first firing is a loop by itself, which fills it.  `runs` of
    pixels are worked on, which are number `run` and the following of the input.  Of `emits` rows,
    the stream's `row` and the following, what the firing makes goes out, the firing being number
    `emitted` among those that emit; before its output slot
    may be written again `takes` puts must have ended, and the stores of `stored` rows.  `puts`
    says, for each row of the firing, which outlets take it, and which of the ring's rows it becomes
    there.  `variant` is the caller's own mark.
    """

    first: int
    step: int
    came: tuple[int, ...]
    waits: tuple[tuple[int, ...], ...]
    freed: tuple[int, ...]
    slots: tuple[int, ...]
    releases: tuple[tuple[int, ...], ...]
    fills: tuple[int, ...]
    fill_rows: tuple[Progress, ...]
    runs: tuple[Run, ...]
    run: Progress
    emits: int
    row: Progress
    emitted: Progress
    takes: int
    stored: int
    puts: tuple[tuple[tuple[int, Progress], ...], ...]
    variant: Hashable = None


@dataclass(frozen=True, slots=True)
class Loop:
    """Firings that repeat `count` times."""

    count: int
    body: tuple[Segment, ...]


@dataclass(frozen=True)
class Schedule:
    """All that a copy's firings do, from which loops follow.

    `depths` are the slots of each operand's ring; `outlets` the feeds of the rings that take the
    stage's rows.
    """

    mapping: Mapping
    stage: Stage
    depths: Sequence[int]
    outlets: Sequence[Feed]
    variants: Sequence[Hashable] | None = None

    @cached_property
    def feeds(self) -> list[Feed]:
        return [feed_of(self.mapping, self.stage, operand) for operand in self.stage.operands]

    @cached_property
    def makers(self) -> list[Makers]:
        """Who makes the rows of each operand's feed."""
        return [
            makers_of(self.mapping, operand, feed)
            for operand, feed in zip(self.stage.operands, self.feeds, strict=True)
        ]

    @cached_property
    def emits(self) -> Array:
        return emissions(self.mapping, self.stage)

    @cached_property
    def first_rows(self) -> Array:
        """The first of the stream's rows that each firing emits: i64[firings]."""
        return first_rows(self.mapping, self.stage)

    @cached_property
    def runs(self) -> list[tuple[Run, ...]]:
        """The runs of pixels of a firing, by the rows that it emits; none of a firing of a kind
        that doesn't make each of its rows by itself."""
        most = int(self.emits.max(initial=0))
        if self.stage.kind is not Kind.MATRIX:
            return [()] * (most + 1)
        return [tuple(runs_of(self.mapping, self.stage, rows)) for rows in range(most + 1)]

    @cached_property
    def run_counts(self) -> Array:
        """Runs of pixels of each firing: i64[firings]."""
        counts = [sum(run.count for run in runs) for runs in self.runs]
        return np.array(counts, np.int64)[self.emits]

    @cached_property
    def emitting(self) -> Array:
        """The numbers of the firings that emit."""
        return np.flatnonzero(self.emits)

    @cached_property
    def waits(self) -> list[Array]:
        """Per operand, new rows that each firing waits for: i64[firings, sources]."""
        return [
            np.diff(makers.before(feed.needed), prepend=0, axis=0)
            for feed, makers in zip(self.feeds, self.makers, strict=True)
        ]

    @cached_property
    def came(self) -> list[Array]:
        """Per operand, new rows that each firing waits for, whoever makes them: i64[firings]."""
        return [np.diff(feed.needed, prepend=0) for feed in self.feeds]

    @cached_property
    def releases(self) -> list[Array]:
        """Per operand, slots that each firing frees for rows of each source: [firings, sources]."""
        return [
            np.diff(self._leave(number, self._free(number), makers), axis=0)
            for number, makers in enumerate(self.makers)
        ]

    @cached_property
    def slots(self) -> list[Array]:
        """Per operand, slots that each firing frees for one source of all rows: i64[firings]."""
        return [
            np.diff(self._leave(number, self._free(number), _sole(feed))[:, 0])
            for number, feed in enumerate(self.feeds)
        ]

    @cached_property
    def freed(self) -> list[Array]:
        """Per operand, rows without padding that are done with after each firing: i64[firings]."""
        return [
            np.diff(np.clip(feed.released - feed.top, 0, len(feed.rows)), prepend=0)
            for feed in self.feeds
        ]

    def slots_at_launch(self, number: int, *, sole: bool) -> Array:
        """Rows that each source, or the sole one, may put before anything is given back."""
        makers = _sole(self.feeds[number]) if sole else self.makers[number]
        return np.asarray(self._leave(number, np.array([self.depths[number]]), makers)[0])

    def _free(self, number: int) -> Array:
        """Rows that the ring has had room for before the first firing and after each."""
        return np.concatenate([[0], self.feeds[number].released]) + self.depths[number]

    def _leave(self, number: int, free: Array, makers: Makers) -> Array:
        """Rows of each source among the first `free` that the ring ever takes: [free, sources].

        Padding takes slots, but waits for no leave: the stage itself puts it there.
        """
        feed = self.feeds[number]
        whole, rest = np.divmod(free, feed.ring_rows)
        rows = makers.before(np.clip(rest - feed.top, 0, len(feed.rows)))
        return np.asarray(whole[:, None] * makers.before(np.array([len(feed.rows)])) + rows)

    @cached_property
    def fills(self) -> list[tuple[Array, Array]]:
        """Per operand, padding rows below the data that each firing is the first to see: how many,
        and where among the ring's rows of one input they begin."""
        return [_fills(feed) for feed in self.feeds]

    @cached_property
    def puts(self) -> Array:
        """The ring row that each emitted row becomes: [firings, outlets, rows], or NOWHERE."""
        most = int(self.emits.max(initial=1))
        there = np.arange(most) < self.emits[:, None]
        rows = np.where(there, self.first_rows[:, None] + np.arange(most), 0)
        result = np.full((len(rows), len(self.outlets), most), NOWHERE)
        for number, feed in enumerate(self.outlets):
            slots = np.full(self.mapping.streams[self.stage.output].rows, NOWHERE)
            slots[feed.rows] = feed.top + np.arange(len(feed.rows))
            result[:, number, :] = np.where(there, slots[rows], NOWHERE)
        return result

    @cached_property
    def put_counts(self) -> Array:
        """How many puts each emitting firing makes."""
        return np.asarray((self.puts[self.emitting] != NOWHERE).sum(axis=(1, 2)))

    def before(self, counts: Array) -> Array:
        """Per firing: what `counts`, of emitting firings, says of the one that wrote its slot last;
        an input's first firings follow the last ones of the input before."""
        result = np.zeros(len(self.emits), np.int64)
        result[self.emitting] = counts[(np.arange(len(counts)) - SLOTS) % len(counts)]
        return result

    def at_launch(self, counts: Array) -> int:
        """What the slots' first users wait for."""
        return int(counts[(np.arange(SLOTS) - SLOTS) % len(counts)].sum())

    # Loops

    def compute_loops(self, *, sole: bool) -> list[Loop]:
        """For who takes the first operand's rows in, from one source or from all; what goes out
        plays no part."""
        waits = self.came[0][:, None] if sole else self.waits[0]
        count, row = self.fills[0]
        marks = [waits, count[:, None], self.run_counts[:, None], self._opening]
        return self._loops(marks, [row[:, None]])

    def release_loops(self, *, sole: bool) -> list[Loop]:
        """For who gives the first operand's slots back, to one source or to all, elsewhere than at
        home."""
        slots = self.slots[0][:, None] if sole else self.releases[0]
        return self._loops([slots, self.freed[0][:, None], self.run_counts[:, None]], [])

    def home_release_loops(self, *, sole: bool) -> list[Loop]:
        """The same for all operands at home."""
        return self._loops(self._returned(sole), [])

    def finish_loops(self, *, sole: bool, returns: bool) -> list[Loop]:
        """For who does all at home but to take the first operand's rows in, and with `returns` to
        give slots back."""
        return self._sending_loops(
            [*self.waits[1:], *(self._returned(sole) if returns else [])], []
        )

    def _returned(self, sole: bool) -> list[Array]:
        slots = self.slots[0][:, None] if sole else self.releases[0]
        return [slots, *self.releases[1:], self.freed[0][:, None]]

    def loops(self) -> list[Loop]:
        """For who does everything."""
        marks = [*self.waits, *self.releases, *(count[:, None] for count, _ in self.fills)]
        marks.append(self._opening)
        return self._sending_loops(marks, [row[:, None] for _, row in self.fills])

    def _sending_loops(self, marks: Sequence[Array], positions: Sequence[Array]) -> list[Loop]:
        taken = [a[:, None] for a in (self.emits, *self._taken)]
        moving = [self._emitted[:, None], self.puts.reshape(len(self.emits), -1)]
        return self._loops([*marks, *taken], [*moving, *positions])

    @cached_property
    def _taken(self) -> tuple[Array, Array]:
        return self.before(self.put_counts), self.before(self.emits[self.emitting])

    @cached_property
    def _emitted(self) -> Array:
        return np.asarray(np.cumsum(self.emits > 0) - (self.emits > 0))

    @cached_property
    def _run(self) -> Array:
        """Runs of pixels before each firing."""
        return np.asarray(np.cumsum(self.run_counts) - self.run_counts)

    @cached_property
    def _opening(self) -> Array:
        """Marks the first firing, which fills in the padding above."""
        opening = np.zeros((len(self.emits), 1), np.int64)
        opening[0] = any(feed.top for feed in self.feeds)
        return opening

    def _loops(self, marks: Sequence[Array], positions: Sequence[Array]) -> list[Loop]:
        columns = list(marks)
        if self.variants is not None:
            known: dict[Hashable, int] = {}
            columns.append(np.array([[known.setdefault(v, len(known))] for v in self.variants]))
        moving = [np.zeros((len(self.emits), 0), np.int64), *positions]
        found = patterns(np.concatenate(columns, axis=1), np.concatenate(moving, axis=1))
        return [
            Loop(p.count, tuple(self._segment(p, p.first + i) for i in range(p.length)))
            for p in found
        ]

    def _segment(self, pattern: Pattern, firing: int) -> Segment:
        last = firing + pattern.length if pattern.count > 1 else firing
        takes, stored = self._taken

        def progress(values: Array) -> Progress:
            return Progress(int(values[firing]), int(values[last] - values[firing]))

        return Segment(
            first=firing,
            step=pattern.length,
            came=tuple(int(c[firing]) for c in self.came),
            waits=tuple(tuple(w[firing].tolist()) for w in self.waits),
            freed=tuple(int(f[firing]) for f in self.freed),
            slots=tuple(int(s[firing]) for s in self.slots),
            releases=tuple(tuple(r[firing].tolist()) for r in self.releases),
            fills=tuple(int(count[firing]) for count, _ in self.fills),
            fill_rows=tuple(progress(row) for _, row in self.fills),
            runs=self.runs[self.emits[firing]],
            run=progress(self._run),
            emits=int(self.emits[firing]),
            row=progress(self.first_rows),
            emitted=progress(self._emitted),
            takes=int(takes[firing]),
            stored=int(stored[firing]),
            puts=tuple(
                puts_at(self.puts[firing, :, row], self.puts[last, :, row])
                for row in range(self.emits[firing])
            ),
            variant=self.variants[firing] if self.variants is not None else None,
        )


def _sole(feed: Feed) -> Makers:
    """As if one source made all rows."""
    return Makers(np.zeros(1, np.int64), np.ones((len(feed.rows), 1), np.bool_))


def puts_at(places: Array, later: Array) -> tuple[tuple[int, Progress], ...]:
    """The outlets that take a row, where it goes, and how much further a turn later."""
    taking = np.flatnonzero(places != NOWHERE)
    first, step = places[taking].tolist(), (later - places)[taking].tolist()
    return tuple(zip(taking.tolist(), map(Progress, first, step), strict=True))


def _fills(feed: Feed) -> tuple[Array, Array]:
    """Padding rows below the data that become visible at each firing: how many, the first."""
    none = np.zeros(len(feed.needed), np.int64)
    if not feed.bottom:
        return none, none
    below = feed.top + len(feed.rows)
    windows = np.arange(len(none)) * feed.advance
    ends = np.clip(windows + feed.span, below, below + feed.bottom)
    # A row that a stride leaps over is nobody's: it was released with the rows before it.
    starts = np.maximum(windows, np.concatenate([[below], ends[:-1]]))
    count = np.maximum(ends - starts, 0)
    return count, np.where(count > 0, starts, NOWHERE)

"""Copies of layers, and the rings between them, in time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from nmc.ir import mapping as m
from nmc.ir.messages import flits
from nmc.ir.rows import Feed, firings, firings_of_rows, met_chans
from nmc.ir.shares import made_pixels, sharers
from nmc.ir.stage_time import StageTime
from nmc.ir.target import Target

__all__ = ["Copy", "Put", "Send", "TimedRing", "Waiter", "copies_of", "sends_of"]


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a layer: the stages that make its pieces, which go through rows side by side."""

    numbers: tuple[int, ...]
    stages: tuple[m.Stage, ...]
    times: tuple[StageTime, ...]

    @property
    def stage(self) -> m.Stage:
        """The first piece, which stands for all in what they have in common."""
        return self.stages[0]

    @property
    def phases(self) -> int:
        """In which each crossbar is read for an input."""
        time = self.times[0]
        return time.firings * (time.cores[0].phases if time.cores else 0)


def copies_of(mapping: m.Mapping, times: Mapping[int, StageTime]) -> Iterator[Copy]:
    """All copies of the layers whose stages have a time, stream by stream."""
    for stream in mapping.streams:
        if stream.producers and stream.producers[0] in times:
            pieces = mapping.stages[stream.producers[0]].pieces
            for first in range(0, len(stream.producers), pieces):
                numbers = stream.producers[first : first + pieces]
                yield Copy(
                    numbers,
                    tuple(mapping.stages[n] for n in numbers),
                    tuple(times[n] for n in numbers),
                )


class Waiter(Protocol):
    """Who waits for rows or for room."""

    def wake(self) -> None: ...


class Writer(Waiter, Protocol):
    """Who puts rows into rings."""

    def has_room(self, ring: TimedRing) -> bool:
        """Whether what it waits for, if that is room in this ring, is there now."""
        ...


@dataclass(slots=True, eq=False)
class TimedRing:
    """The rings of one operand of a copy, which fill and empty together; rows are numbered as the
    feed has them, from one input to the next without end.

    Producers put rows into `roots`, from where they are relayed to the others, to the last of them
    in `relay_cycles`.  `rows` are those of one input.  `here` has the cycle in which all rows up to
    a number have come, as far as that is known; `freed` those in which the copy's firings gave
    their slots back.
    """

    consumer: Copy
    operand: int
    feed: Feed
    depth: int
    roots: tuple[m.Ring, ...]
    relay_cycles: float = 0.0
    readers: list[Waiter] = field(default_factory=list[Waiter])
    writers: list[Writer] = field(default_factory=list["Writer"])
    here: list[float] = field(default_factory=list[float])
    freed: list[float] = field(default_factory=list[float])
    rows: int = field(init=False)
    shares: list[int] = field(default_factory=list[int])
    """Of each row of an input, how many copies make a part of it; empty where the host does."""
    _partly: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])
    _early: dict[int, float] = field(default_factory=dict[int, float])
    _needed: list[int] = field(init=False)
    _released: list[int] = field(init=False)
    _slots: int = field(init=False)

    def __post_init__(self) -> None:
        self._needed = self.feed.needed.tolist()
        self._released = self.feed.released.tolist()
        self.rows, self._slots = len(self.feed.rows), self.feed.ring_rows

    @property
    def core(self) -> int:
        return self.roots[0].core

    def ready(self, firing: int) -> float | None:
        """When all that the copy's firing needs has come; None if that isn't known yet."""
        round_, turn = divmod(firing, len(self._needed))
        count = round_ * self.rows + self._needed[turn]
        if count > len(self.here):
            return None
        return self.here[count - 1] if count else 0.0

    def room(self, row: int) -> float | None:
        """When the slot of a row is free, as the consumer's core knows; None if unknown."""
        round_, place = divmod(row, self.rows)
        slot = round_ * self._slots + self.feed.top + place
        wanted = slot + 1 - self.depth
        if wanted <= 0:
            return 0.0
        round_, wanted = divmod(wanted - 1, self._slots)
        firing = round_ * len(self._released) + bisect_left(self._released, wanted + 1)
        return self.freed[firing] if firing < len(self.freed) else None

    def arrive(self, row: int, cycle: float) -> None:
        """A row, or a copy's share of one: it is there when the last share is."""
        if self.shares and self.shares[row % self.rows] > 1:
            came, latest = self._partly.pop(row, (0, 0.0))
            came, cycle = came + 1, max(latest, cycle)
            if came < self.shares[row % self.rows]:
                self._partly[row] = came, cycle
                return
        self._early[row] = cycle
        known = len(self.here)
        while len(self.here) in self._early:
            cycle = self._early.pop(len(self.here))
            self.here.append(max(cycle, self.here[-1]) if self.here else cycle)
        if len(self.here) > known:
            for reader in self.readers:
                reader.wake()

    def release(self, cycle: float) -> None:
        """The copy's next firing has given back what it was the last to need."""
        self.freed.append(cycle)

    def call_writers(self) -> None:
        for writer in self.writers:
            if writer.has_room(self):
                writer.wake()


@dataclass(frozen=True, slots=True)
class Put:
    """What one piece sends of a row: so many messages, of so many flits in all, from its core."""

    core: int
    messages: int
    flits: int


@dataclass(frozen=True, slots=True)
class Send:
    """A row, or part of one, that a copy puts into a ring as number `place` of an input."""

    ring: TimedRing
    place: int
    puts: tuple[Put, ...]


def sends_of(
    mapping: m.Mapping, makers: Sequence[Copy], rings: Sequence[TimedRing], target: Target
) -> list[list[list[Send]]]:
    """What each firing of each copy of a layer sends into the rings of its stream, row by row."""
    listed: list[list[tuple[int, int, int, Send]]] = [[] for _ in makers]
    for number, ring in enumerate(rings):
        made = sharers(mapping, makers[0].stage, ring.feed.rows)
        ring.shares = made.sum(axis=1).tolist()
        for copy in np.flatnonzero(made.any(axis=0)).tolist():
            puts = tuple(_puts(mapping, makers[copy], ring, target))
            places = np.flatnonzero(made[:, copy])
            rows = ring.feed.rows[places]
            turns = firings_of_rows(mapping, makers[copy].stage, rows)
            for place, row, turn in zip(
                places.tolist(), rows.tolist(), turns.tolist(), strict=True
            ):
                listed[copy].append((turn, row, number, Send(ring, place, puts)))
    result: list[list[list[Send]]] = []
    for maker, items in zip(makers, listed, strict=True):
        sends: list[list[Send]] = [[] for _ in range(firings(mapping, maker.stage))]
        for turn, _, _, send in sorted(items, key=lambda item: item[:3]):
            sends[turn].append(send)
        result.append(sends)
    return result


def _puts(mapping: m.Mapping, maker: Copy, ring: TimedRing, target: Target) -> Iterator[Put]:
    """What the pieces of a copy put of a row into the roots of an operand's rings."""
    for piece in maker.stages:
        stream = mapping.streams[piece.output]
        sizes: list[int] = []
        for root in ring.roots:
            operand = mapping.stages[root.stage].operands[root.operand]
            chans = met_chans(mapping, piece, operand)[1]
            if chans:
                pixels = made_pixels(mapping, piece)
                sizes.append(flits(pixels * chans * stream.element_bytes, target))
        if sizes:
            yield Put(piece.home, len(sizes), sum(sizes))

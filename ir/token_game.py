"""The row-token game: how deep each ring must be so that no stage waits for ever.

Stages fire as soon as their rows are there and their consumers' rings have room; rings start at
the least depth with which their consumer works, and when nothing can fire any more the smallest
of the full rings whose consumer lacks rows elsewhere gets one slot more (after Parks, "Bounded
Scheduling of Process Networks", Berkeley 1995).  Played for two inputs, so that one input's end
meets the next one's beginning.  In the program a stage releases rows no later and asks for room
no earlier than here, and each semaphore has one waiter, so what can't deadlock here can't
deadlock there.

Each copy of a layer, and each piece of it, plays for itself: it puts its rows into those rings that
need them, each row in its own slot, however far the others have come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from nmc.ir.mapping import Mapping, Role, Stage, Stream
from nmc.ir.rows import Feed, Makers, feed_of, firings, firings_of_rows, makers_of

__all__ = ["ring_depths"]

ROUNDS = 2


@dataclass(slots=True, eq=False)
class _Ring:
    """A ring in play; `needed[turn]` says how many rows of each source a firing asks for."""

    feed: Feed
    makers: Makers
    needed: list[list[tuple[int, int]]]
    per_input: list[int]
    depth: int
    row_bytes: int
    arrived: list[int]
    consumer: int
    released: int = 0
    producers: list[int] = field(default_factory=list[int])

    def has_needed(self, round_: int, turn: int) -> bool:
        return all(
            self.arrived[source] >= round_ * self.per_input[source] + count
            for source, count in self.needed[turn]
        )

    def has_room(self, round_: int, slot: int) -> bool:
        """Room for what comes to a slot, counted from the start of an input."""
        return round_ * self.feed.ring_rows + slot < self.released + self.depth


@dataclass(slots=True, eq=False)
class _Player:
    """A copy of a stage, or the feeder of a ring; `sends[turn]` is what a firing puts where: (ring,
    source, rows, last slot).  `neighbours` are the players that may move once this one has."""

    inputs: list[_Ring]
    sends: list[list[tuple[_Ring, int, int, int]]]
    neighbours: list[int] = field(default_factory=list[int])
    fired: int = 0

    @property
    def done(self) -> bool:
        return self.fired == ROUNDS * len(self.sends)

    def lacks_rows(self) -> bool:
        if self.done:
            return False
        round_, turn = divmod(self.fired, len(self.sends))
        return not all(r.has_needed(round_, turn) for r in self.inputs)

    def waits_for_room(self) -> list[_Ring]:
        """Rings that are all that holds this stage up; empty if it can fire or lacks rows."""
        if self.done or self.lacks_rows():
            return []
        round_, turn = divmod(self.fired, len(self.sends))
        return [r for r, _, _, slot in self.sends[turn] if not r.has_room(round_, slot)]

    def fire(self) -> bool:
        if self.done or self.lacks_rows() or self.waits_for_room():
            return False
        round_, turn = divmod(self.fired, len(self.sends))
        for ring in self.inputs:
            ring.released = round_ * ring.feed.ring_rows + int(ring.feed.released[turn])
        for ring, source, rows, _ in self.sends[turn]:
            ring.arrived[source] += rows
        self.fired += 1
        return True


def ring_depths(mapping: Mapping) -> dict[tuple[int, int], int]:
    """Slots of the ring of each (stage, operand number), wherever stages lie."""
    stages = tuple(replace(stage, home=-1, cores=()) for stage in mapping.stages)
    return dict(_depths(mapping.streams, stages))


@lru_cache(maxsize=4)
def _depths(streams: tuple[Stream, ...], stages: tuple[Stage, ...]) -> dict[tuple[int, int], int]:
    """Several passes ask the same of one mapping."""
    mapping = Mapping("", (), streams, stages)
    rings = _rings(mapping)
    players = _players(mapping, rings)
    active = list(range(len(players)))
    while not _play(players, active):
        lacking = {id(r) for player in players if player.lacks_rows() for r in player.inputs}
        blocked = [ring for p in players for ring in p.waits_for_room() if id(ring) in lacking]
        ring = min(blocked, key=lambda ring: ring.row_bytes)
        ring.depth += 1
        active = ring.producers
    return {key: ring.depth + _slack(mapping, *key, ring.depth) for key, ring in rings.items()}


def _slack(mapping: Mapping, stage: int, operand: int, depth: int) -> int:
    """One slot more for a skip connection, so that its producer needn't stop at each row."""
    role = mapping.stages[stage].operands[operand].role
    return int(role is Role.ROW and depth > 2)


def _rings(mapping: Mapping) -> dict[tuple[int, int], _Ring]:
    rings: dict[tuple[int, int], _Ring] = {}
    for index, stage in enumerate(mapping.stages):
        for number, operand in enumerate(stage.operands):
            feed = feed_of(mapping, stage, operand)
            makers = makers_of(mapping, operand, feed)
            rings[index, number] = _Ring(
                feed,
                makers,
                _needed(feed, makers),
                makers.made.sum(axis=0).tolist(),
                feed.least_depth,
                mapping.streams[operand.stream].row_bytes,
                [0] * len(makers.sources),
                consumer=index,
            )
    return rings


def _needed(feed: Feed, makers: Makers) -> list[list[tuple[int, int]]]:
    """Per firing: of each source from which rows are new, how many must have come in all.

    What an earlier firing asked for is there.
    """
    came = makers.before(feed.needed)
    new = np.diff(came, prepend=0, axis=0) > 0
    return [
        [(source, int(came[turn, source])) for source in np.flatnonzero(new[turn]).tolist()]
        for turn in range(len(came))
    ]


def _players(mapping: Mapping, rings: dict[tuple[int, int], _Ring]) -> list[_Player]:
    """One player per stage, numbered alike, and then one per ring that is fed by the host."""
    players: list[_Player] = []
    for index, stage in enumerate(mapping.stages):
        inputs = [rings[index, n] for n in range(len(stage.operands))]
        players.append(_Player(inputs, [[] for _ in range(firings(mapping, stage))]))
    for (index, number), ring in rings.items():
        producers = mapping.streams[mapping.stages[index].operands[number].stream].producers
        if not producers:
            ring.producers = [len(players)]
            slots = range(ring.feed.top, ring.feed.top + len(ring.feed.rows))
            players.append(_Player([], [[(ring, 0, 1, slot)] for slot in slots]))
        for source, place in enumerate(ring.makers.sources.tolist() if producers else ()):
            producer = producers[place]
            ring.producers.append(producer)
            _add_sends(mapping, producer, players[producer], ring, source)
    for player in players:
        consumers = {ring.consumer for sends in player.sends for ring, _, _, _ in sends}
        makers_ = {number for ring in player.inputs for number in ring.producers}
        player.neighbours = sorted(consumers | makers_)
    return players


def _add_sends(mapping: Mapping, producer: int, player: _Player, ring: _Ring, source: int) -> None:
    """What a stage puts into a ring, firing by firing."""
    stage = mapping.stages[producer]
    mine = np.flatnonzero(ring.makers.made[:, source])
    rows = ring.feed.rows[mine]
    turn = firings_of_rows(mapping, stage, rows)
    firsts = np.flatnonzero(np.diff(turn, prepend=-1))
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(turn)], strict=True):
        send = (ring, source, stop - first, ring.feed.top + int(mine[stop - 1]))
        player.sends[int(turn[first])].append(send)


def _play(players: list[_Player], active: list[int]) -> bool:
    """Fire whatever can, beginning with the active; True once all are done, False when stuck."""
    queue = deque(active)
    queued = set(active)
    while queue:
        number = queue.popleft()
        queued.discard(number)
        player = players[number]
        moved = False
        while player.fire():
            moved = True
        if moved:
            queue.extend(n for n in player.neighbours if n not in queued)
            queued.update(player.neighbours)
    return all(player.done for player in players)

"""The row-token game: how deep each ring must be so that no stage waits for ever.

Stages fire as soon as their rows are there and their consumers' rings have room; rings start at
the least depth with which their consumer works, and when nothing can fire any more the smallest
of the full rings whose consumer lacks rows elsewhere gets one slot more (after Parks, "Bounded
Scheduling of Process Networks", Berkeley 1995).  Played for two inputs, so that one input's end
meets the next one's beginning.  In the program a stage releases rows no later and asks for room
no earlier than here, and each semaphore has one waiter, so what can't deadlock here can't
deadlock there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array
from nmc.ir.mapping import Mapping, Role
from nmc.ir.rows import Turns, emissions, firings, least_depth, turns

__all__ = ["ring_depths"]

ROUNDS = 2
MAX_STEPS = 10_000_000


@dataclass(slots=True)
class _Ring:
    turns: Turns
    rows: int
    top: int
    depth: int
    row_bytes: int
    arrived: int = 0
    released: int = 0

    def has_needed(self, round_: int, turn: int) -> bool:
        return self.arrived >= round_ * self.rows + int(self.turns.needed[turn])

    def has_room(self, rows: int) -> bool:
        """Room for the next `rows` data rows, with the padding that comes before them."""
        if rows == 0:
            return True
        round_, row = divmod(self.arrived + rows - 1, self.rows)
        taken = round_ * self.turns.padded_rows + self.top + row + 1
        return taken - self.released <= self.depth


@dataclass(slots=True)
class _Player:
    inputs: list[_Ring]
    outputs: list[_Ring]
    emitted: Array
    fired: int = 0

    @property
    def count(self) -> int:
        return len(self.emitted)

    def lacks_rows(self) -> bool:
        round_, turn = divmod(self.fired, self.count)
        return round_ < ROUNDS and not all(r.has_needed(round_, turn) for r in self.inputs)

    def waits_for_room(self) -> list[_Ring]:
        """Rings that are all that holds this stage up; empty if it can fire or lacks rows."""
        round_, turn = divmod(self.fired, self.count)
        if round_ == ROUNDS or self.lacks_rows():
            return []
        return [r for r in self.outputs if not r.has_room(int(self.emitted[turn]))]

    def fire(self) -> bool:
        round_, turn = divmod(self.fired, self.count)
        if round_ == ROUNDS or self.lacks_rows():
            return False
        rows = int(self.emitted[turn])
        if not all(r.has_room(rows) for r in self.outputs):
            return False
        for ring in self.inputs:
            ring.released = round_ * ring.turns.padded_rows + int(ring.turns.released[turn])
        for ring in self.outputs:
            ring.arrived += rows
        self.fired += 1
        return True


def ring_depths(mapping: Mapping) -> dict[tuple[int, int], int]:
    """Slots of the ring of each (stage, operand number)."""
    rings: dict[tuple[int, int], _Ring] = {}
    for index, stage in enumerate(mapping.stages):
        for number, operand in enumerate(stage.operands):
            stream = mapping.streams[operand.stream]
            rings[index, number] = _Ring(
                turns(mapping, stage, operand),
                stream.rows,
                operand.top,
                least_depth(mapping, stage, operand),
                stream.row_bytes,
            )
    players = _players(mapping, rings)
    for _ in range(MAX_STEPS):
        if _play(players):
            break
        lacking = {id(r) for player in players if player.lacks_rows() for r in player.inputs}
        blocked = [ring for p in players for ring in p.waits_for_room() if id(ring) in lacking]
        min(blocked, key=lambda ring: ring.row_bytes).depth += 1
    return {key: ring.depth + _slack(mapping, *key, ring.depth) for key, ring in rings.items()}


def _slack(mapping: Mapping, stage: int, operand: int, depth: int) -> int:
    """One slot more for a skip connection, so that its producer needn't stop at each row."""
    role = mapping.stages[stage].operands[operand].role
    return int(role is Role.ROW and depth > 2)


def _players(mapping: Mapping, rings: dict[tuple[int, int], _Ring]) -> list[_Player]:
    """One player per stage, and one per ring that is fed from global memory."""
    players: list[_Player] = []
    for index, stage in enumerate(mapping.stages):
        inputs = [rings[index, n] for n in range(len(stage.operands))]
        outputs = [rings[use] for use in mapping.consumers(stage.output)]
        players.append(_Player(inputs, outputs, emissions(mapping, stage)))
        assert len(players[-1].emitted) == firings(mapping, stage)
        for number, operand in enumerate(stage.operands):
            if mapping.streams[operand.stream].producer < 0:
                feed = np.ones(mapping.streams[operand.stream].rows, np.int64)
                players.append(_Player([], [rings[index, number]], feed))
    return players


def _play(players: list[_Player]) -> bool:
    """Fire whatever can; True once everyone has finished, False when stuck."""
    moved = True
    while moved:
        moved = False
        for player in players:
            while player.fire():
                moved = True
    return all(player.fired == ROUNDS * player.count for player in players)

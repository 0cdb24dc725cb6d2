"""Finds races: accesses of the same bytes that no chain of semaphores orders.

Every agent (a sequencer, or the reading or writing end of one of its paths through a unit) has a
clock that counts its accesses.  A vector of clocks says what is known to have happened before;
increments of semaphores carry vectors, and a wait that uses them up takes them over.  An access
is ordered after another if its vector has reached the other's clock.  (Mattern 1989; the shadow
memory is that of FastTrack, Flanagan and Freund 2009, with all readers kept.)

The units keep some orders by themselves, and so do the clocks of an agent: fills of one
sequencer, its mvms of one plan, its puts to one core, its loads, its stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.result import Race
from nmc.ir import program as p
from nmc.ir.program_text import instruction_text

if TYPE_CHECKING:
    from nmc.backends.simulator.memory import Access

__all__ = ["Shadow", "Stamp", "Trail", "Watch"]

Vector = npt.NDArray[np.int32]
Index = slice | npt.NDArray[np.int64]

LAUNCH = 0
"""The agent that filled memories before launch; it comes before everything."""

UNWRITTEN = -1
MAX_RACES = 100


@dataclass(frozen=True, slots=True)
class Stamp:
    """One access: who, its clock, and what is known to have come before it."""

    agent: int
    clock: int
    vector: Vector


@dataclass(slots=True)
class Agent:
    """`pcs[c - 1]` is the instruction of the access with clock c."""

    core: int
    sequencer: p.Sequencer
    pcs: list[int]

    def instruction(self, clock: int) -> str:
        pc = self.pcs[clock - 1]
        text = instruction_text(self.sequencer.instructions[pc])
        return f"core {self.core} {self.sequencer.label} pc {pc}: {text}"


class Watch:
    """All agents of a program, and the races found so far."""

    def __init__(self, program: p.Program) -> None:
        self.agents = [Agent(-1, p.Sequencer("launch", ()), [])]
        self.races: dict[tuple[str, str, str], Race] = {}
        self._paths: dict[tuple[int, int], dict[tuple[str, int | str], int]] = {}
        for core in program.cores:
            for index, sequencer in enumerate(core.sequencers):
                keys = dict.fromkeys(key for i in sequencer.instructions for key in paths(i))
                first = len(self.agents)
                self._paths[core.core, index] = {key: first + n for n, key in enumerate(keys)}
                self.agents += [Agent(core.core, sequencer, []) for _ in keys]

    @property
    def launch(self) -> Stamp:
        """What was there at launch knows of nothing that came after."""
        return Stamp(LAUNCH, 0, np.zeros(len(self.agents), np.int32))

    def trail(self, core: int, index: int) -> Trail:
        return Trail(self, self._paths[core, index])

    def access(self, agent: int, pc: int, vector: Vector) -> Stamp:
        pcs = self.agents[agent].pcs
        pcs.append(pc)
        vector[agent] = len(pcs)
        return Stamp(agent, len(pcs), vector)

    def report(
        self, kind: str, core: int | None, bad: npt.NDArray[np.int64], first: str, second: str
    ) -> None:
        key = (kind, first, second)
        if len(self.races) < MAX_RACES and key not in self.races:
            address = int(bad.min())
            self.races[key] = Race(kind, core, address, int(bad.max()) - address + 1, first, second)


def paths(instruction: p.Instruction) -> list[tuple[str, int | str]]:
    """The agents that an instruction needs: its sequencer, or the two ends of a path."""
    match instruction:
        case p.Mvm(plan=plan):
            return [("mvm", READING), ("mvm", plan)]
        case p.ProgramCells(tile=tile):
            return [("mvm", READING), ("mvm", f"cells {tile}")]
        case p.Put(core=core):
            return [("put", READING), ("put", core)]
        case p.Load():
            return [("load", READING), ("load", 0)]
        case p.Store():
            return [("store", READING), ("store", 0)]
        case _:
            return [OWN]


READING = "reading"
OWN: tuple[str, int | str] = ("vec", 0)


class Trail:
    """What one sequencer knows to have happened."""

    __slots__ = ("paths", "vector", "watch")

    def __init__(self, watch: Watch, paths: dict[tuple[str, int | str], int]) -> None:
        self.watch = watch
        self.paths = paths
        self.vector: Vector = np.zeros(len(watch.agents), np.int32)

    def step(self, pc: int) -> Stamp:
        """An access by the sequencer itself."""
        stamp = self.watch.access(self.paths[OWN], pc, self.vector)
        return Stamp(stamp.agent, stamp.clock, self.vector.copy())

    def fork(self, pc: int, unit: str, target: int | str) -> tuple[Stamp, Stamp]:
        """The reads and the writes of something that goes on by itself from here."""
        reading = self.watch.access(self.paths[unit, READING], pc, self.vector.copy())
        writing = self.watch.access(self.paths[unit, target], pc, reading.vector.copy())
        return reading, writing

    def release(self) -> Stamp:
        """What a signal carries: all that has happened so far."""
        return Stamp(LAUNCH, 0, self.vector.copy())

    def acquire(self, stamps: Sequence[Stamp]) -> None:
        for stamp in stamps:
            np.maximum(self.vector, stamp.vector, out=self.vector)


class Shadow:
    """Who last wrote and who has read each byte of one memory; `core` is None for global memory."""

    def __init__(self, watch: Watch, core: int | None, size: int) -> None:
        self.watch = watch
        self.core = core
        self.writers = np.full(size, UNWRITTEN, np.int32)
        self.written: Vector = np.zeros(size, np.int32)
        self.readers: list[int] = []
        self.seen: Vector = np.zeros((4, size), np.int32)
        """For each of the readers, the clock of its last read of each byte."""
        self._rows: dict[int, int] = {}

    def launched(self, start: int, stop: int) -> None:
        """These bytes were there at launch."""
        self.writers[start:stop] = LAUNCH

    def read(self, access: Access, start: int, stamp: Stamp) -> None:
        index = access.index(start)
        self._check_writers(index, stamp, "read-after-write")
        bad = self.writers[index] == UNWRITTEN
        if bad.any():
            where = addresses(index)[bad]
            self.watch.report("uninitialised", self.core, where, "", self._name(stamp))
        row = self._row(stamp.agent)  # first: it may replace `seen` by a larger array
        self.seen[row, index] = stamp.clock

    def write(self, access: Access, start: int, stamp: Stamp) -> None:
        index = access.index(start)
        self._check_writers(index, stamp, "write-after-write")
        self._check_readers(index, stamp)
        self.writers[index] = stamp.agent
        self.written[index] = stamp.clock

    def _check_writers(self, index: Index, stamp: Stamp, kind: str) -> None:
        writers, written = self.writers[index], self.written[index]
        bad = written > stamp.vector[writers]
        if bad.any():
            first = int(np.argmax(bad))
            name = self.watch.agents[int(writers[first])].instruction(int(written[first]))
            self.watch.report(kind, self.core, addresses(index)[bad], name, self._name(stamp))

    def _check_readers(self, index: Index, stamp: Stamp) -> None:
        seen = self.seen[: len(self.readers), index]
        bad = seen > stamp.vector[self.readers][:, None]
        if not bad.any():
            return
        for row in np.flatnonzero(bad.any(axis=1)):
            first = int(np.argmax(bad[row]))
            agent = self.watch.agents[self.readers[row]]
            name = agent.instruction(int(seen[row, first]))
            where = addresses(index)[bad[row]]
            self.watch.report("write-after-read", self.core, where, name, self._name(stamp))

    def _row(self, agent: int) -> int:
        row = self._rows.get(agent)
        if row is None:
            row = self._rows[agent] = len(self.readers)
            self.readers.append(agent)
            if row == len(self.seen):
                self.seen = np.concatenate([self.seen, np.zeros_like(self.seen)])
        return row

    def _name(self, stamp: Stamp) -> str:
        return self.watch.agents[stamp.agent].instruction(stamp.clock)


def addresses(index: Index) -> npt.NDArray[np.int64]:
    if isinstance(index, slice):
        return np.arange(index.start, index.stop, dtype=np.int64)
    return index

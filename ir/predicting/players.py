"""Who takes turns in the play: readers of crossbars, finishers of rows, feeders of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from nmc.ir.predicting.events import Events
from nmc.ir.predicting.rings import Copy, Send, TimedRing
from nmc.ir.predicting.sharing import Ask, Flow
from nmc.ir.predicting.wires import Wires

__all__ = ["Feeder", "Finisher", "Reader"]

SLOTS = 2
"""Rows of accumulators, and of results, that a stage has: one is made while one is sent."""

MOST_SLICES = 4
"""Pieces in which a firing's vector instructions are played: others' come between."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Reader:
    """All cores that read crossbars for a copy, at the pace of the slowest of them.

    `latency_cycles`: from the last read's start until all sums are at home.
    """

    events: Events
    compute_cycles: float
    latency_cycles: float
    ring: TimedRing
    total: int
    asks: tuple[Ask, ...]
    finisher: Finisher = field(init=False)
    done: list[float] = field(default_factory=list[float])
    """When the sums of a firing were there."""
    took: list[float] = field(default_factory=list[float])
    """How long a firing was read, with others on the same ADCs."""
    _begun: float = 0.0
    _started: int = 0
    _busy: bool = False
    _free: float = 0.0

    def wake(self) -> None:
        """Begin with the next firing, if it is known when that can begin."""
        if self._busy or self._started == self.total:
            return
        rows = self.ring.ready(self._started)
        slot = slot_before(self._started, self.finisher.combined, 0.0)
        if rows is None or slot is None:
            return
        self._busy = True
        self._started += 1
        flow = Flow(self._ended, self.compute_cycles, self.asks)
        self._begun = max(rows, slot, self._free)
        self.events.run(flow, self._begun)

    def _ended(self, cycle: float) -> None:
        self._busy, self._free = False, cycle
        self.took.append(cycle - self._begun)
        self.done.append(cycle + self.latency_cycles)
        self.finisher.wake()
        self.wake()


def slot_before(firing: int, ended: Sequence[T], free: T) -> T | None:
    """What is noted of the firing whose slot this one takes; None if that is still to come."""
    before = firing - SLOTS
    if before < 0:
        return free
    return ended[before] if before < len(ended) else None


@dataclass(slots=True, eq=False)
class Finisher:
    """The sequencers of a copy that finish its rows and send them, or do all its work.

    `waits_for`: rings, of which a matrix waits for the first through its reader; `given_back`: all
    its rings.  `emits[turn]`: rows that a firing emits, `sends[turn]` what it sends; each row also
    goes to `sinks` places in global memory.
    """

    events: Events
    wires: Wires
    copy: Copy
    reader: Reader | None
    waits_for: list[TimedRing]
    given_back: list[TimedRing]
    emits: list[int]
    sinks: int
    row_bytes: int
    inputs: int
    sends: list[list[Send]] = field(default_factory=list[list[Send]])
    combined: list[float] = field(default_factory=list[float])
    """When all that a firing works on had been used."""
    sent: list[float] = field(default_factory=list[float])
    """When the last row of each input had been sent."""
    stored: list[float] = field(default_factory=list[float])
    """When the last row of each input that is all there was in global memory."""
    took: list[float] = field(default_factory=list[float])
    """How long a firing was worked on, with others on the same vector unit."""
    _begun: float = 0.0
    _started: int = 0
    _busy: bool = False
    _sending: bool = False
    _free: float = 0.0
    _next: int = 0
    """Which of the last firing's sends is next."""
    _left: list[float] = field(default_factory=list[float])
    """When what a firing sent had left the core."""
    _leaving: list[int] = field(default_factory=list[int])
    """How much of it has not."""
    _lacks: tuple[TimedRing, int] | None = None
    """The row for which there is no room yet, and where."""
    _stored_rows: int = 0
    _issued: int = 0
    """Messages that took a place in the queue to the port."""
    _entered: list[float] = field(default_factory=list[float])
    """When they left the queue again, as far as that is known."""
    _slices: int = 0
    _slice: float = 0.0
    _share: float = 0.0
    _cycles: tuple[float, float] = (1.0, 1.0)
    """Of a firing that emits nothing, and of one that does."""

    def __post_init__(self) -> None:
        times = self.copy.times
        slowest = max(times, key=lambda time: time.finish_cycles)
        self._share = min(1.0, slowest.vector_cycles / max(slowest.finish_cycles, 1.0))
        self._cycles = (
            max(1.0, *(time.finish_after(False) for time in times)),
            max(1.0, *(time.finish_after(True) for time in times)),
        )

    @property
    def turns(self) -> int:
        return len(self.emits)

    @property
    def busy_cycles(self) -> float:
        """Of one of the later inputs: in which the copy read, or finished rows, with all that it
        shares; the longer of both."""
        reading = _later(self.reader.took, self.turns) if self.reader else 0.0
        return max(reading, _later(self.took, self.turns))

    def wake(self) -> None:
        """Go on: with sending, or with the next firing, if it is known when that can begin."""
        if self._sending:
            self._send()
        if self._busy or self._started == self.turns * self.inputs:
            return
        begin = self._begin()
        if begin is None:
            return
        self._busy = True
        cycles = self._cycles[bool(self.emits[self._started % self.turns])]
        self._started += 1
        self._slices = min(MOST_SLICES, max(1, round(self.copy.times[0].instructions)))
        self._slice = cycles / self._slices
        self._begun = begin
        self.events.at(begin, self._work)

    def _work(self, cycle: float) -> None:
        """Vector units serve one after the other, not for longer than an instruction takes."""
        if not self._slices:
            self._ended(cycle)
            return
        self._slices -= 1
        cycles = self._slice * self._share
        done = max(self.wires.serve("vector", s.home, cycle, cycles) for s in self.copy.stages)
        self.events.at(done + self._slice - cycles, self._work)

    def _begin(self) -> float | None:
        firing, begin = self._started, self._free
        if self.emits[firing % self.turns]:
            if slot_before(firing, self._leaving, 0):
                return None
            begin = max(begin, slot_before(firing, self._left, 0.0) or 0.0)
        if self.reader is not None:
            if firing >= len(self.reader.done):
                return None
            begin = max(begin, self.reader.done[firing])
        for ring in self.waits_for:
            ready = ring.ready(firing)
            if ready is None:
                return None
            begin = max(begin, ready)
        return begin

    def _ended(self, cycle: float) -> None:
        turn = (self._started - 1) % self.turns
        self._free = cycle
        self.took.append(cycle - self._begun)
        self.combined.append(cycle)
        self._left.append(cycle)
        self._leaving.append(len(self.sends[turn]) + self.emits[turn] * self.sinks)
        for ring in self.given_back:
            ring.release(cycle)
        self._next, self._sending = 0, True
        for ring in self.given_back:
            ring.call_writers()
        if self.reader is not None:
            self.reader.wake()
        self._send()

    def has_room(self, ring: TimedRing) -> bool:
        """Whether what it waits for, if that is room in this ring, is there now."""
        if self._lacks is None or self._lacks[0] is not ring:
            return False
        return ring.room(self._lacks[1]) is not None

    def _send(self) -> None:
        """Send the rows of the last firing, as far as there is room; then go on to the next."""
        if not self._sending:
            return
        firing = self._started - 1
        round_, turn = divmod(firing, self.turns)
        sends = self.sends[turn]
        while self._next < len(sends):
            send = sends[self._next]
            row = round_ * send.ring.rows + send.place
            room = send.ring.room(row)
            place = self._place()
            self._lacks = (send.ring, row) if room is None else None
            if room is None or place is None:
                return
            if room:
                room = self.wires.signal(send.ring.core, self.copy.stage.home, room)
            self._free = max(self._free + 1, room, place) + 1
            self._next += 1
            self._put(firing, send, row)
        for _ in range(self.emits[turn] * self.sinks):
            self._free += 1
            self._store(firing)
        if turn == self.turns - 1:
            self.sent.append(self._free)
        self._busy = self._sending = False
        self.wake()

    def _place(self) -> float | None:
        """When the queue to the port takes a message; None if that isn't known yet."""
        before = self._issued - self.wires.target.core.queue_depth
        if before < 0:
            return 0.0
        return self._entered[before] if before < len(self._entered) else None

    def _put(self, firing: int, send: Send, row: int) -> None:
        """All pieces' shares of a row, message by message; it is there when the last one is."""
        ready = self._free + 1
        messages = max(put.messages for put in send.puts)
        self._free += 2 * (messages - 1)
        self._issued += messages

        def enter(cycle: float) -> None:
            serve, core = self.wires.serve, send.ring.core
            ends = [serve("port", put.core, cycle, put.flits) for put in send.puts]
            end, flits = max((end, put.flits) for end, put in zip(ends, send.puts, strict=True))
            self._entered += [end - flits + flits * n / messages for n in range(messages)]
            way = max(self.wires.way(put.core, core) for put in send.puts)
            self._has_left(firing, end)
            send.ring.arrive(row, end + way + send.ring.relay_cycles)
            self._send()

        self.events.at(ready, enter)

    def _store(self, firing: int) -> None:
        def left(cycle: float) -> None:
            self._has_left(firing, cycle)

        for number, stage in enumerate(self.copy.stages):
            last = number == len(self.copy.stages) - 1
            free, there = (left, self._is_stored) if last else (ignore, ignore)
            self.wires.store(stage.home, self.row_bytes, self._free + 1, free, there)

    def _has_left(self, firing: int, cycle: float) -> None:
        self._left[firing] = max(self._left[firing], cycle)
        self._leaving[firing] -= 1
        if not self._leaving[firing]:
            self.wake()

    def _is_stored(self, cycle: float) -> None:
        """Stores of one core are served in order, so the last row of an input is its last."""
        self._stored_rows += 1
        if self._stored_rows % (sum(self.emits) * self.sinks) == 0:
            self.stored.append(cycle)


def _later(took: Sequence[float], turns: int) -> float:
    """Of an input in the mean of the later half of those that have ended, each so many turns."""
    ended = len(took) // turns
    first = ended // 2
    return sum(took[first * turns : ended * turns]) / max(1, ended - first)


def ignore(cycle: float) -> None:
    """For what nobody needs to know the time of."""


@dataclass(slots=True, eq=False)
class Feeder:
    """Brings the rows of an input from global memory into a ring."""

    wires: Wires
    ring: TimedRing
    row_bytes: int
    inputs: int
    _asked: int = 0
    _came: int = 0
    _free: float = 0.0

    def has_room(self, ring: TimedRing) -> bool:
        """Asking costs as little as waking."""
        return True

    def wake(self) -> None:
        while self._asked < self.ring.rows * self.inputs:
            room = self.ring.room(self._asked)
            if room is None:
                return
            self._free = max(self._free, room) + 2
            self._asked += 1
            self._load()

    def _load(self) -> None:
        """Into all rings that stand for one operand; they have their rows when the last one has."""
        for number, ring in enumerate(self.ring.roots):
            there = self._arrived if number == len(self.ring.roots) - 1 else ignore
            self.wires.load(ring.core, self.row_bytes, self._free, there)

    def _arrived(self, cycle: float) -> None:
        self._came += 1
        self.ring.arrive(self._came - 1, cycle + self.ring.relay_cycles)

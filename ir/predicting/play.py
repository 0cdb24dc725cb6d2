"""The rows of a few inputs, played through a placed mapping.

Stages fire when their rows have come and their consumers' rings have room, as in the row-token
game, but here that takes time: reads the time of `nmc.ir.stage_time`, shared by those who use the
same ADCs, rows the time of the vector unit, which all of a core share, and the ways between cores
theirs.  What the play leaves out is what happens within a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from nmc.ir import mapping as m
from nmc.ir.messages import flits
from nmc.ir.predicting.events import Events
from nmc.ir.predicting.players import Feeder, Finisher, Reader
from nmc.ir.predicting.rings import Copy, TimedRing, copies_of, sends_of
from nmc.ir.predicting.wires import Wires
from nmc.ir.rows import emissions, feed_of
from nmc.ir.shares import made_pixels
from nmc.ir.stage_time import CoreTime, StageTime
from nmc.ir.target import Target

__all__ = ["Played", "play"]

LOOK_EVERY = 512
"""Events between two looks at whether outputs have come to a steady pace."""

STEADY = 3
"""So many equal intervals, or patterns of intervals, are a steady pace."""

LONGEST_PATTERN = 4

TOLERANCE = 1e-3

FASTER = 0.05
"""A stage that is ahead of the outputs' pace by more still fills the rings after it; once these are
full, others have what it took of shared units."""

FED = 3
"""So many times the inputs that are waited for are fed, lest the chip empties meanwhile."""

RELAY_CYCLES = 4
"""From a row's arrival to its entering the port again: two waits, a signal and a put."""

MOST_SHARED = 8
"""Clusters that a copy is taken to share with others: its busiest ones, which hold it up."""

MOST_SHARED_FOR_LONG = 2
"""The same when a pace is sought: over many firings a copy makes up at one cluster for what others
cost it at another, so that all of them at once would be too hard."""

Cluster = tuple[int, int]
"""(core, cluster)."""


@dataclass(frozen=True, slots=True)
class Played:
    """`output_cycles`: when the last output of each input was there, of those that were played to
    their end.  `finish_cycles`: by stage, when it had sent the last row of each input.
    `busy_cycles`: by stage, how long of a later input it read or finished rows, among others.
    `shares`: whether any copies had ADCs in common."""

    output_cycles: tuple[float, ...]
    finish_cycles: Mapping[int, tuple[float, ...]]
    busy_cycles: Mapping[int, float] = field(default_factory=dict[int, float])
    shares: bool = False

    @property
    def intervals(self) -> tuple[float, ...]:
        return tuple(after - before for before, after in pairwise(self.output_cycles))

    @property
    def repeats(self) -> bool:
        """Whether outputs come at one pace, or in a pattern of a few that repeats."""
        return self._pattern() > 0

    @property
    def is_steady(self) -> bool:
        """Whether outputs repeat and no stage is faster than they are, which cannot last."""
        inputs = STEADY * self._pattern()
        if not inputs:
            return False
        least = (1 - FASTER) * (self.output_cycles[-1] - self.output_cycles[-1 - inputs])
        return all(
            len(ends) > inputs and ends[-1] - ends[-1 - inputs] >= least
            for ends in self.finish_cycles.values()
            if ends
        )

    def _pattern(self) -> int:
        """The length of the shortest pattern that the last intervals repeat; 0 if there is none."""
        for length in range(1, LONGEST_PATTERN + 1):
            last = self.intervals[-STEADY * length :]
            each = [sum(last[n : n + length]) for n in range(0, len(last), length)]
            if len(last) == STEADY * length and max(each) - min(each) <= TOLERANCE * max(each):
                return length
        return 0

    @property
    def interval_cycles(self) -> float | None:
        """The steady pace of outputs or, where they have none, their mean distance in the later
        half; None with one input."""
        if not self.intervals:
            return None
        half = self.intervals[len(self.intervals) // 2 :]
        last = self.intervals[-self._pattern() :] if self.repeats else half
        return sum(last) / len(last)


def play(
    mapping: m.Mapping,
    target: Target,
    times: Mapping[int, StageTime],
    inputs: int,
    *,
    until_steady: bool = False,
    sharing: bool = True,
) -> Played:
    """Play `inputs` inputs through the chip step whose stages, by their numbers, have `times`.

    `until_steady`: more follow, and the play ends soon after the last output of these, or as soon
    as outputs have come to a steady pace.  Without `sharing`, ADCs are taken to have time for all
    at once.
    """
    if until_steady:
        most = MOST_SHARED_FOR_LONG if sharing else 0
        return _Play(mapping, target, times, FED * inputs, most).run_all(inputs)
    return _Play(mapping, target, times, inputs, MOST_SHARED if sharing else 0).run_all()


class _Play:
    def __init__(
        self,
        mapping: m.Mapping,
        target: Target,
        times: Mapping[int, StageTime],
        inputs: int,
        most_shared: int,
    ) -> None:
        self.mapping, self.target, self.inputs = mapping, target, inputs
        self.most_shared = most_shared
        self.events = Events()
        self.wires = Wires(target, self.events)
        self.rings: dict[tuple[int, int], list[m.Ring]] = {}
        for ring in mapping.rings:
            self.rings.setdefault((ring.stage, ring.operand), []).append(ring)
        self.takers: dict[int, list[TimedRing]] = {}
        """Rings by the stream whose rows they take."""
        self.makers: dict[int, list[Finisher]] = {}
        """Finishers by the stream that they make, in order of copies."""
        self.feeders: list[Feeder] = []
        copies = list(copies_of(mapping, times))
        self.loads: dict[Cluster, float] = {}
        """Of clusters on which several copies convert: how long for an input, all together."""
        users: Counter[Cluster] = Counter()
        for copy in copies:
            for cluster, cycles in _clusters(copy).items():
                users[cluster] += 1
                self.loads[cluster] = self.loads.get(cluster, 0.0) + cycles * copy.phases
        self.loads = {c: n for c, n in self.loads.items() if most_shared and users[c] > 1}
        for copy in copies:
            self.add(copy)
        for stream, rings in self.takers.items():
            self.connect(stream, rings)

    def run_all(self, enough: int | None = None) -> Played:
        """All inputs or, where so many are `enough`, no more than make a steady pace."""
        for feeder in self.feeders:
            feeder.wake()
        for finisher in self.finishers():
            if finisher.reader is not None:
                finisher.reader.wake()
            finisher.wake()

        def is_enough(_: int) -> bool:
            if enough is None:
                return False
            outputs = self.outputs()
            if len(outputs) > enough:
                return True
            return Played(outputs, {}).repeats and self.played().is_steady

        self.events.go(LOOK_EVERY, is_enough)
        busy = {n: f.busy_cycles for f in self.finishers() for n in f.copy.numbers}
        return replace(self.played(), busy_cycles=busy, shares=bool(self.loads))

    def finishers(self) -> Iterator[Finisher]:
        for made in self.makers.values():
            yield from made

    def outputs(self) -> tuple[float, ...]:
        """When the last output of each input was there."""
        ends = [f.stored for f in self.finishers() if f.sinks and any(f.emits)]
        return tuple(max(cycles) for cycles in zip(*ends, strict=False))

    def played(self) -> Played:
        return Played(
            self.outputs(),
            {n: tuple(f.sent) for f in self.finishers() for n in f.copy.numbers},
        )

    def add(self, copy: Copy) -> None:
        """A copy's players and its rings."""
        mapping, stage = self.mapping, copy.stage
        stream = mapping.streams[stage.output]
        rings = [self.ring(copy, number) for number in range(len(stage.operands))]
        reader = self.reader(copy, rings[0]) if copy.times[0].cores else None
        finisher = Finisher(
            self.events,
            self.wires,
            copy,
            reader,
            rings[1:] if reader is not None else rings,
            rings,
            emissions(mapping, stage).tolist(),
            len(stream.sinks),
            made_pixels(mapping, stage) * mapping.made_chans(stage)[1] * stream.element_bytes,
            self.inputs,
        )
        finisher.sends = [[] for _ in finisher.emits]
        for ring in finisher.waits_for:
            ring.readers.append(finisher)
        if reader is not None:
            reader.finisher = finisher
        self.makers.setdefault(stage.output, []).append(finisher)

    def ring(self, copy: Copy, number: int) -> TimedRing:
        operand = copy.stage.operands[number]
        rings = [ring for stage in copy.numbers for ring in self.rings[stage, number]]
        timed = TimedRing(
            copy,
            number,
            feed_of(self.mapping, copy.stage, operand),
            min(ring.depth for ring in rings),
            tuple(ring for ring in rings if ring.parent < 0),
            max((self.relayed(ring) for ring in rings), default=0.0),
        )
        self.takers.setdefault(operand.stream, []).append(timed)
        return timed

    def relayed(self, ring: m.Ring) -> float:
        """Cycles in which a row comes from the root of a tree of rings to this one."""
        stream, cycles = self.mapping.streams, 0.0
        while ring.parent >= 0:
            parent = self.mapping.rings[ring.parent]
            operand = self.mapping.stages[ring.stage].operands[ring.operand]
            pixel = self.mapping.seen_chans(operand)[1] * stream[operand.stream].element_bytes
            size = flits(stream[operand.stream].cols * pixel, self.target)
            cycles += RELAY_CYCLES + size + self.wires.way(parent.core, ring.core)
            ring = parent
        return cycles

    def reader(self, copy: Copy, ring: TimedRing) -> Reader:
        cycles = max(time.compute_cycles for time in copy.times)
        latency = max(
            self.latency(core, stage.home)
            for stage, time in zip(copy.stages, copy.times, strict=True)
            for core in time.cores
        )
        total = copy.times[0].firings * self.inputs
        rate = copy.times[0].cores[0].phases / cycles
        shared = [
            (self.loads[c], c, cost) for c, cost in _clusters(copy).items() if c in self.loads
        ]
        asks = tuple(
            (c, rate, cost) for _, c, cost in sorted(shared, reverse=True)[: self.most_shared]
        )
        reader = Reader(self.events, cycles, latency, ring, total, asks)
        ring.readers.append(reader)
        return reader

    def latency(self, core: CoreTime, home: int) -> float:
        """From the end of a firing's reading until a core's sums are at home."""
        written = max(0, core.latency_cycles - core.read_cycles)
        if core.core == home:
            return written
        return written + 2 + flits(core.part_bytes, self.target) + self.wires.way(core.core, home)

    def connect(self, stream: int, rings: list[TimedRing]) -> None:
        """Give a stream's makers their sends, and rings those who write to them."""
        described = self.mapping.streams[stream]
        if not described.producers:
            for ring in rings:
                operand = ring.consumer.stage.operands[ring.operand]
                chans = self.mapping.seen_chans(operand)[1]
                nbytes = described.cols * chans * described.element_bytes
                feeder = Feeder(self.wires, ring, nbytes, self.inputs)
                ring.writers.append(feeder)
                self.feeders.append(feeder)
            return
        makers = self.makers[stream]
        copies = [finisher.copy for finisher in makers]
        every = sends_of(self.mapping, copies, rings, self.target)
        for finisher, sends in zip(makers, every, strict=True):
            finisher.sends = sends
            for ring in {id(s.ring): s.ring for turn in sends for s in turn}.values():
                ring.writers.append(finisher)


def _clusters(copy: Copy) -> dict[Cluster, float]:
    """Cycles a phase of the busiest ADC of each cluster that a copy converts on."""
    most: dict[Cluster, float] = {}
    for time in copy.times:
        for core in time.cores:
            for (number, cluster, _), cycles in core.adc_cycles.items():
                key = (number, cluster)
                most[key] = max(most.get(key, 0.0), cycles / core.phases)
    return most

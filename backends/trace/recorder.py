"""Watches the reference engine and keeps what happens within a window, up to a number of events."""

from __future__ import annotations

import re
from collections import Counter, deque
from itertools import groupby
from typing import NamedTuple

from nmc.backends.container.contents import Contents
from nmc.backends.energy.parts import COMPONENTS
from nmc.backends.program_places import ProgramPlaces
from nmc.backends.simulator.clock import Unit
from nmc.backends.simulator.core import Semaphore, Vector
from nmc.backends.simulator.crossbars import Adc, Crossbar, Mvms, WriteBack
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.mesh import Link, MemoryPort, Port
from nmc.backends.simulator.observer import Origin
from nmc.backends.simulator.sequencer import Sequencer
from nmc.backends.trace.energy import EnergyCurve
from nmc.backends.trace.records import Count, Flow, Label, Slice, Trace, Track
from nmc.ir.messages import nearest_port

__all__ = ["MAX_EVENTS", "Recorder"]

MAX_EVENTS = 1_000_000
"""Enough for an image of a ResNet; the viewer still opens it at once."""

MEMORY = "global memory"
MESH = "mesh"
CHIP = "chip"
PICOJOULE = "pJ"
ENERGY_SAMPLES = 500
ENERGY_SHARE = 8
"""At most so many values of each counter of energy; all of them take at most one in so many of
the events that are kept."""
KINDS: dict[type[Unit], str] = {
    Sequencer: "issue",
    Vector: "vector",
    Crossbar: "read",
    Adc: "convert",
    Mvms: "fill",
    WriteBack: "write-back",
    Port: "port",
    Link: "link",
    MemoryPort: "memory",
}


class Key(NamedTuple):
    """One instruction of a run as it was issued."""

    step: int
    core: int
    sequencer: int
    number: int


class Recorder:
    """An observer; `attach` makes it watch a machine, `trace` gives what it saw.

    Kept are slices that reach into the cycles `window` (first, end), in all `limit` events.
    """

    def __init__(
        self,
        contents: Contents,
        *,
        window: tuple[int, int] | None = None,
        limit: int = MAX_EVENTS,
    ) -> None:
        self.contents = contents
        self.first, self.end = window or (0, 1 << 62)
        self.curve = energy_curve(contents, limit)
        self.limit = limit - (self.curve.limit * len(self.curve.names) if self.curve else 0)
        self.left_out = 0
        self.complete_until: int | None = None
        self.offset = 0
        self.step = -1
        self.machine: Machine | None = None
        self.places: ProgramPlaces | None = None
        self.tracks: dict[Track, int] = {}
        self.labels: dict[tuple[int, int, int, int], int] = {}
        self.texts: list[Label] = []
        self.slices: list[Slice] = []
        self.changes: list[Count] = []
        """Of counters: how much each rises or falls."""
        self.before: Counter[int] = Counter()
        """The same before the window, by counter."""
        self.issued: dict[Key, int] = {}
        """The slice in which a sequencer issued an instruction."""
        self.tokens: dict[Semaphore, deque[tuple[int, Key | None]]] = {}
        self.sent: list[tuple[Key, Key]] = []
        self.depths: dict[int, int] = {}

    def attach(self, step: str, machine: Machine) -> None:
        """Watch the machine of one chip step from its launch on."""
        if self.machine is not None:
            self.offset += self.machine.clock.cycle + 1
        self.step += 1
        self.machine = machine
        self.places = ProgramPlaces.of(self.contents, step)
        self.units: dict[Unit, Track] = dict(known_units(machine))
        self.tokens = {
            semaphore: deque([(semaphore.value, None)] if semaphore.value else [])
            for core in machine.cores.values()
            for semaphore in core.semaphores
        }
        machine.clock.observer = self
        if self.curve is not None:
            self.curve.launch(machine, self.offset)

    # What the engine says

    def passed(self, cycle: int) -> None:
        if self.curve is not None:
            self.curve.passed(cycle)

    def served(self, unit: Unit, origin: Origin, cycle: int, cycles: int) -> None:
        kind = KINDS[type(unit)]
        index = self._slice(self._track(unit, origin), kind, origin, cycle, cycles)
        if isinstance(unit, Adc | Vector):
            self._change(self._waiting(unit), cycle, -1)
        if index is not None and isinstance(unit, Sequencer):
            self.issued[self._key(origin)] = index

    def stalled(self, origin: Origin, cause: str, since: int, until: int) -> None:
        track = self._sequencer(origin)
        self._slice(track, "stall", origin, since, until - since, name=cause)

    def queued(self, origin: Origin, unit: str, depth: int, cycle: int) -> None:
        track = self._sequencer(origin)
        counter = track._replace(name=f"{track.name}: {unit} queue", unit="instructions")
        index = self.tracks.setdefault(counter, len(self.tracks))
        change = depth - self.depths.get(index, 0)
        self.depths[index] = depth
        self._change(counter, cycle, change)

    def offered(self, unit: Unit, ready: int) -> None:
        if isinstance(unit, Adc | Vector):
            self._change(self._waiting(unit), ready, 1)

    def raised(self, semaphore: Semaphore, n: int, origin: Origin) -> None:
        self.tokens[semaphore].append((n, self._key(origin)))

    def taken(self, semaphore: Semaphore, n: int, origin: Origin) -> None:
        tokens, sink = self.tokens[semaphore], self._key(origin)
        while n:
            count, source = tokens.popleft()
            if count > n:
                tokens.appendleft((count - n, source))
            n -= min(count, n)
            if source is not None and source[:3] != sink[:3]:
                self._flow(source, sink)

    # Keeping it

    def _key(self, origin: Origin) -> Key:
        return Key(self.step, origin.core, origin.sequencer, origin.number)

    def _slice(
        self, track: Track, kind: str, origin: Origin, cycle: int, cycles: int, name: str = ""
    ) -> int | None:
        start = cycle + self.offset
        if start >= self.end or start + cycles <= self.first or not self._room(start + cycles):
            return None
        label = self._label(origin)
        text = self.texts[label]
        shown = name or (text.mnemonic if kind in ("issue", "vector") else text.layer)
        index = self.tracks.setdefault(track, len(self.tracks))
        self.slices.append(Slice(start, cycles, index, shown or text.mnemonic, kind, label))
        return len(self.slices) - 1

    def _change(self, track: Track, cycle: int, change: int) -> None:
        start = cycle + self.offset
        index = self.tracks.setdefault(track, len(self.tracks))
        if start < self.first:
            self.before[index] += change
        elif start < self.end and self._room(start):
            self.changes.append(Count(start, index, change))

    def _flow(self, source: Key, sink: Key) -> None:
        """Told before the wait's own slice; so whether both are kept is seen at the end."""
        if source in self.issued:
            self.sent.append((source, sink))

    def _room(self, end: int) -> bool:
        """Whether one more is kept: an event that ends in cycle `end`."""
        if len(self.slices) + len(self.changes) < self.limit:
            return True
        self.left_out += 1
        known = self.complete_until
        self.complete_until = end if known is None else min(known, end)
        return False

    def _label(self, origin: Origin) -> int:
        key = (self.step, origin.core, origin.sequencer, origin.pc)
        index = self.labels.get(key)
        if index is None:
            index = self.labels[key] = len(self.texts)
            self.texts.append(label_of(self._places, origin))
        return index

    @property
    def _places(self) -> ProgramPlaces:
        if self.places is None:
            raise RuntimeError("the recorder watches no machine")
        return self.places

    # Tracks

    def _track(self, unit: Unit, origin: Origin) -> Track:
        match unit:
            case Sequencer():
                return self._sequencer(origin)
            case Mvms() | WriteBack():
                track = self._sequencer(origin)
                what = "fills" if isinstance(unit, Mvms) else "write-backs"
                return track._replace(name=f"{track.name}: {what}")
            case Crossbar():
                return Track(f"core {origin.core}", "crossbars", f"crossbar {unit.index}")
            case Link():
                return Track(MESH, "links", f"link {unit.ends[0]} to {unit.ends[1]}")
            case MemoryPort():
                return Track(MEMORY, "ports", f"port at core {unit.core}")
            case _:
                return self.units.get(unit) or self._way_back(origin)

    def _sequencer(self, origin: Origin) -> Track:
        label = self._places.cores[origin.core].sequencers[origin.sequencer].label
        return Track(f"core {origin.core}", "sequencers", f"{origin.sequencer} {label}")

    def _way_back(self, origin: Origin) -> Track:
        """Where data from global memory enter the mesh."""
        port = nearest_port(origin.core, self.contents.target)
        return Track(MEMORY, "ports", f"port at core {port}: way back")

    def _waiting(self, unit: Adc | Vector) -> Track:
        track = self.units[unit]
        return track._replace(name=f"{track.name}: waiting", unit="in wait")

    # The result

    def trace(self) -> Trace:
        counts = [*self._counts(), *self._energy()]
        tracks = sorted(self.tracks, key=track_order)
        number = {self.tracks[track]: new for new, track in enumerate(tracks)}
        slices = [s._replace(track=number[s.track]) for s in self.slices]
        order = sorted(range(len(slices)), key=lambda i: (slices[i].start, slices[i].track))
        place = {old: new for new, old in enumerate(order)}
        flows = (
            Flow(place[self.issued[source]], place[self.issued[sink]])
            for source, sink in self.sent
            if sink in self.issued
        )
        return Trace(
            self.contents.manifest.model.name,
            self.contents.target.name,
            self.contents.target.clock_ghz,
            tuple(tracks),
            tuple(self.texts),
            tuple(slices[i] for i in order),
            tuple(sorted(c._replace(track=number[c.track]) for c in counts)),
            tuple(dict.fromkeys(flows)),
            self.left_out,
            self.complete_until,
        )

    def _energy(self) -> list[Count]:
        """What the energy has grown to, in pJ with three digits; where it changes."""
        if self.curve is None:
            return []
        self.curve.close()
        kept = [(cycle, row) for cycle, row in self.curve.samples if cycle < self.end]
        begun = [i for i, (cycle, _) in enumerate(kept) if cycle <= self.first]
        kept = kept[begun[-1] :] if begun else kept
        found: list[Count] = []
        for column, name in enumerate(self.curve.names):
            if kept and kept[-1][1][column]:
                index = self.tracks.setdefault(energy_track(name), len(self.tracks))
                values = [(max(at, self.first), round(float(row[column]), 3)) for at, row in kept]
                steps = zip([(0, -1.0), *values], values, strict=False)
                found += [Count(at, index, pj) for (_, before), (at, pj) in steps if pj != before]
        return found

    def _counts(self) -> list[Count]:
        at_first = [Count(self.first, track, n) for track, n in self.before.items() if n]
        return summed([*at_first, *self.changes])


def energy_curve(contents: Contents, limit: int) -> EnergyCurve | None:
    """None where few events are kept: a curve of a handful of points says nothing."""
    cores = sorted({core.core for program in contents.programs for core in program.cores})
    columns = 1 + len(COMPONENTS) + len(cores)
    samples = min(ENERGY_SAMPLES, limit // ENERGY_SHARE // columns // 2 * 2)
    return EnergyCurve(contents.target, tuple(cores), samples) if samples >= 8 else None


def known_units(machine: Machine) -> list[tuple[Unit, Track]]:
    """Those units of cores that a core or a machine has by name."""
    found: list[tuple[Unit, Track]] = [
        (adc, Track(f"core {core}", "ADCs", f"ADC {cluster}.{index}"))
        for (core, cluster, index), adc in machine.adcs.items()
    ]
    for core in machine.cores.values():
        found.append((core.vector, Track(f"core {core.index}", "units", "vector unit")))
        found.append((core.port, Track(f"core {core.index}", "units", "NoC port")))
    return found


def label_of(places: ProgramPlaces, origin: Origin) -> Label:
    place = places.at(origin.core, origin.sequencer, origin.pc)
    return Label(
        place.assembly.split(" ", 1)[0],
        place.assembly,
        place.name,
        place.layer,
        ", ".join(loc.node for loc in place.nodes),
        ", ".join(dict.fromkeys(loc.source for loc in place.nodes if loc.source)),
    )


def energy_track(name: str | int) -> Track:
    """Of a core, by its number, or of the chip: all of it or a component."""
    group, told = (CHIP, name) if isinstance(name, str) else (f"core {name}", "energy")
    return Track(group, "energy", told, PICOJOULE)


PARTS = ("sequencers", "units", "crossbars", "ADCs", "links", "ports", "energy")
GROUPS = (MESH, MEMORY, CHIP)


def track_order(track: Track) -> tuple[object, ...]:
    """Cores by number, then mesh, memory and chip; in each what issues before what works."""
    group = GROUPS.index(track.group) if track.group in GROUPS else -1
    return (group, natural(track.group), PARTS.index(track.part), natural(track.name))


def natural(text: str) -> tuple[object, ...]:
    """Orders texts by the numbers in them: `core 2` before `core 10`."""
    parts = re.split(r"(\d+)", text)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts))


def summed(changes: list[Count]) -> list[Count]:
    """Each counter's value from each cycle on in which it changes."""
    result = []
    by_track = sorted(changes, key=lambda c: (c.track, c.cycle))
    for track, of_track in groupby(by_track, key=lambda c: c.track):
        value: int | float = 0
        for cycle, together in groupby(of_track, key=lambda c: c.cycle):
            before, value = value, value + sum(c.value for c in together)
            if value != before:
                result.append(Count(cycle, track, value))
    return result

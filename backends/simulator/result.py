"""What a simulation gives back: outputs, cycles, where they went, and the events energy needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from nmc.ir.graph import Array

__all__ = ["AdcUse", "Events", "Race", "Result", "SequencerUse"]


@dataclass(slots=True)
class Events:
    """Counts of what costs energy, in one lane: for as many samples as were in flight.

    `dac_row_phases`: rows driven, summed over reads.  `cells_read`: cells that carry current,
    summed over reads.  `sample_holds`: columns sampled.  `conversions`: by resolution in bits.
    `vector_elements`: by operation.  `flit_hops`: flits times links crossed; `port_flits`: flits
    that entered the mesh, or the loop back to the own core.
    """

    dac_row_phases: int = 0
    cells_read: int = 0
    sample_holds: int = 0
    conversions: Counter[int] = field(default_factory=Counter[int])
    shift_adds: int = 0
    vector_elements: Counter[str] = field(default_factory=Counter[str])
    sram_bytes_read: int = 0
    sram_bytes_written: int = 0
    port_flits: int = 0
    flit_hops: int = 0
    global_bytes_read: int = 0
    global_bytes_written: int = 0
    cells_written: int = 0

    def add(self, other: Events) -> None:
        for item in fields(self):
            mine, more = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, Counter):
                mine.update(more)
            else:
                setattr(self, item.name, mine + more)

    @staticmethod
    def total(parts: Iterable[Events]) -> Events:
        whole = Events()
        for part in parts:
            whole.add(part)
        return whole


@dataclass(slots=True)
class SequencerUse:
    """How one sequencer spent its cycles, and the events that its instructions caused.

    Every cycle from launch to its halt, both included, is one of: an instruction issued, a vec
    executing, or stalled for one cause.  Causes: `wait sem N`, `queue-full UNIT` with UNIT one
    of mvm, noc, dma, and `vec-busy` (the vector unit serves another sequencer).
    """

    core: int
    index: int
    label: str
    issued: int = 0
    executing: int = 0
    stalls: Counter[str] = field(default_factory=Counter[str])
    halted: int = 0
    events: Events = field(default_factory=Events)

    @property
    def cycles(self) -> int:
        return self.issued + self.executing + sum(self.stalls.values())


@dataclass(slots=True)
class AdcUse:
    """Conversions that one ADC made, and the cycles in which it was converting."""

    conversions: int = 0
    busy: int = 0


@dataclass(frozen=True, slots=True)
class Race:
    """Two accesses of the same bytes that no chain of semaphores orders, or a read of bytes that
    nothing has written (`first` is then empty).

    `kind` is read-after-write, write-after-read, write-after-write or uninitialised: what the
    simulated order happened to be.  `core` is None for global memory.
    """

    kind: str
    core: int | None
    address: int
    nbytes: int
    first: str
    second: str

    @property
    def span(self) -> str:
        place = "global memory" if self.core is None else f"sram of core {self.core}"
        return f"bytes {self.address}..{self.address + self.nbytes - 1} of {place}"

    def __str__(self) -> str:
        return f"{self.kind}, {self.span}: {self.second}" + (
            f"; before: {self.first}" * bool(self.first)
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One simulation.  Cycles count from launch; a thing done in the first cycle has cycle 1.

    `cycles`: until the last output of the batch is stored.  `output_cycles`: the same for each
    input in flight.  `interval_cycles`: their mean distance, None with one input.  Instructions,
    stalls and events are those of one lane, which `len(output_cycles)` inputs pass through.
    """

    outputs: Mapping[str, Array]
    cycles: int
    output_cycles: tuple[int, ...]
    sequencers: tuple[SequencerUse, ...]
    adcs: Mapping[tuple[int, int, int], AdcUse]
    races: tuple[Race, ...] = ()

    @property
    def latency_cycles(self) -> int:
        return self.output_cycles[0]

    @property
    def interval_cycles(self) -> float | None:
        count = len(self.output_cycles)
        if count < 2:
            return None
        return (self.output_cycles[-1] - self.output_cycles[0]) / (count - 1)

    @property
    def instructions(self) -> int:
        return sum(use.issued for use in self.sequencers)

    @property
    def stalls(self) -> dict[tuple[int, int], Counter[str]]:
        """By (core, sequencer): cycles by cause."""
        return {(use.core, use.index): use.stalls for use in self.sequencers}

    @property
    def adc_busy(self) -> dict[tuple[int, int, int], tuple[int, int]]:
        """By (core, cluster, adc): conversions and busy cycles."""
        return {place: (use.conversions, use.busy) for place, use in self.adcs.items()}

    @property
    def events(self) -> Events:
        return Events.total(use.events for use in self.sequencers)

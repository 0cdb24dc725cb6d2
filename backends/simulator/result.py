"""What a simulation gives back: outputs, cycles, where they went, and the events energy needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from nmc.ir.graph import Array

__all__ = ["KINDS", "AdcUse", "Events", "Race", "Result", "SequencerUse", "UnitUse", "Who"]

Who = tuple[int, int]
"""A sequencer: (core, index)."""

KINDS = (
    "adc",
    "array",
    "stages",
    "latches",
    "fill",
    "write-back",
    "vector",
    "port",
    "link",
    "memory",
    "memory-out",
    "mvm-queue",
    "noc-queue",
    "dma-queue",
    "semaphore",
)
"""Of units; `UnitUse` says what they are."""


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
class UnitUse:
    """How one unit that several want was used in a run of `Result.span` cycles.

    `kind` and `place` name it; `places` is how many it serves at a time, so that `busy` and all
    of `idle` sum to places * span.  `served` counts what it has served.

    | kind | place | a served item has it |
    | --- | --- | --- |
    | `adc` | core, cluster, ADC | a burst, while it is converted |
    | `array` | core, crossbar | a phase, while it is read; a tile, while cells are written |
    | `stages` | core, crossbar | a phase, from its read's start to its last conversion's end |
    | `latches` | core, crossbar | a plan, from its fill's start to its last read's start; a tile,
    while cells are written |
    | `fill` | core, sequencer | the first of its queue of mvms: a plan, while its bytes are
    brought from SRAM; a tile, for one cycle |
    | `write-back` | core, sequencer | a plan, while its accumulators are written |
    | `vector` | core | a vec, until done |
    | `port` | core | a message, for as many cycles as it has flits |
    | `link` | from core, to core | the same |
    | `memory` | core at whose router it is | an access, without its latency |
    | `memory-out` | the same | a message back into the mesh |
    | `mvm-queue` `noc-queue` `dma-queue` | core, sequencer | an instruction, from the cycle after
    its issue until its unit takes it up |
    | `semaphore` | core, number | a wait that is met; it has no places, and is never busy |

    `waits`: (waiting sequencer, holder) to cycles in which something could have had the unit and
    did not: for each item, those from when it was ready until the unit took it up.  An mvm is
    ready for its fill as the first of its queue, for latches when the fill before is over.  Of
    queues and semaphores, waits are the stalls of the sequencer that waits.  The holder is the
    sequencer whose item the unit served last before; of stages, whose phase the
    crossbar has read before; of latches, who last had those of the plan's crossbar that came free
    last (the first of these, as the plan lists them); of a semaphore, who raised it last (of
    those that did in one cycle the first, by core and index); of a queue, its own sequencer.

    `idle`: cause to cycles.  An ADC is idle until the next sample is ready, an array until its
    next read begins.  What was done in that time for that sample or read: it waited for latches
    (`latches`), was brought there (`fill`), waited with full latches for a stage (`stages`), was
    being read or waited for the crossbar's read before (`read`).  All else, and all that other
    units have, is `nothing-to-do`.
    """

    kind: str
    place: tuple[int, ...]
    served: int
    busy: int
    idle: Mapping[str, int]
    waits: Mapping[tuple[Who, Who], int]
    places: int = 1

    @property
    def waited(self) -> int:
        return sum(self.waits.values())


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

    `span` lasts until all is over: outputs stored, sequencers halted, units free again.  `units`
    are the ADCs of all clusters that hold tiles, and of all other units those that served
    anything, in order of kind and place; none where the engine was not asked to account for them,
    or a program's sequencers can wait for each other in more than a million ways.
    """

    outputs: Mapping[str, Array]
    cycles: int
    output_cycles: tuple[int, ...]
    sequencers: tuple[SequencerUse, ...]
    adcs: Mapping[tuple[int, int, int], AdcUse]
    races: tuple[Race, ...] = ()
    span: int = 0
    units: tuple[UnitUse, ...] = ()

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

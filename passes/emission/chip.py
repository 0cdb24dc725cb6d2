"""The program of one chip step while it is being written: cores, semaphores, images, frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from nmc.ir.graph import DTYPES, Array, Graph, Node, Value
from nmc.ir.mapping import (
    Block,
    Buffer,
    Mapping,
    Operand,
    Ring,
    SequencerUse,
    Stage,
    Stream,
    StreamIo,
    Tile,
)
from nmc.ir.matrices import nodes_by_result
from nmc.ir.program import CoreProgram, Image, Io, Program, ReadPlan, Sequencer, TileImage
from nmc.ir.rows import Feed, feed_of
from nmc.ir.target import Target
from nmc.passes.emission.turns import SLOTS, Schedule
from nmc.passes.emission.writer import Writer

__all__ = ["ChipWriter", "CoreWriter", "Matrix"]

FRAME_ALIGNMENT_BYTES = 64


@dataclass(slots=True)
class CoreWriter:
    """What one core gets."""

    core: int
    sequencers: list[Sequencer] = field(default_factory=list[Sequencer])
    plans: list[ReadPlan] = field(default_factory=list[ReadPlan])
    images: list[Image] = field(default_factory=list[Image])
    semaphores: list[int] = field(default_factory=list[int])

    def semaphore(self, initial: int = 0) -> int:
        self.semaphores.append(initial)
        return len(self.semaphores) - 1

    def image(self, address: int, data: Array, label: str) -> None:
        raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self.images.append(Image(address, raw, label))

    def freeze(self) -> CoreProgram:
        return CoreProgram(
            self.core,
            tuple(self.sequencers),
            tuple(self.plans),
            tuple(self.images),
            tuple(self.semaphores),
        )


RingKey = tuple[int, int, int]
"""Stage, operand and core."""


@dataclass(frozen=True, slots=True)
class Relay:
    """What a ring has whose rows go on to others: `here` counts rows that its own stage may use,
    `sent` puts that have left, and `clear` the firings, of which the first SLOTS ask for none,
    whose rows have all been sent: padding may take their place."""

    here: int
    sent: int
    clear: int


@dataclass(slots=True)
class Matrix:
    """A block's weights, and the cells of those tiles that were cut from it: by first row, rows,
    first output, outputs."""

    weights: Array
    levels: dict[tuple[int, int, int, int], Array] = field(
        default_factory=dict[tuple[int, int, int, int], Array]
    )


@dataclass(slots=True)
class ChipWriter:
    """One step's program, and look-ups into the mapping that many writers need."""

    graph: Graph
    mapping: Mapping
    target: Target
    step: int
    nodes: dict[str, Node] = field(init=False)
    cores: dict[int, CoreWriter] = field(default_factory=dict[int, CoreWriter])
    tiles: list[TileImage] = field(default_factory=list[TileImage])
    inputs: list[Io] = field(default_factory=list[Io])
    outputs: list[Io] = field(default_factory=list[Io])
    frame_bytes: int = 0
    uses: list[SequencerUse] = field(default_factory=list[SequencerUse])
    rings: dict[RingKey, Ring] = field(init=False)
    relays: dict[RingKey, Relay] = field(default_factory=dict[RingKey, Relay])
    children: dict[RingKey, list[RingKey]] = field(init=False)
    takers: dict[tuple[int, int], list[RingKey]] = field(init=False)
    """Of each producer (stream, number), the keys of the rings into which its rows go."""
    matrices: dict[tuple[str, tuple[int, int], Block], Matrix] = field(
        default_factory=dict[tuple[str, tuple[int, int], Block], Matrix]
    )
    schedules: dict[int, Schedule] = field(default_factory=dict[int, Schedule])
    feeds: dict[tuple[int, int], Feed] = field(default_factory=dict[tuple[int, int], Feed])
    buffers: dict[tuple[int, int, str], Buffer] = field(init=False)
    tiles_by_stage: dict[int, list[Tile]] = field(init=False)
    values: dict[str, Value] = field(init=False)
    sinks: dict[str, Io] = field(default_factory=dict[str, Io])

    def __post_init__(self) -> None:
        self.nodes = nodes_by_result(self.graph)
        self.values = {v.name: v for v in self.graph.values()}
        self.rings = {(r.stage, r.operand, r.core): r for r in self.mapping.rings}
        self.takers = {}
        keys = list(self.rings)
        self.children = {}
        for key, ring in sorted(self.rings.items()):
            if ring.parent >= 0:
                self.children.setdefault(keys[ring.parent], []).append(key)
                continue
            stream = self.mapping.stages[ring.stage].operands[ring.operand].stream
            for source in ring.sources:
                self.takers.setdefault((stream, source.producer), []).append(key)
        self.buffers = {(b.stage, b.core, b.role): b for b in self.mapping.buffers}
        self.tiles_by_stage = {}
        for tile in self.mapping.tiles:
            self.tiles_by_stage.setdefault(tile.stage, []).append(tile)

    def core(self, number: int) -> CoreWriter:
        return self.cores.setdefault(number, CoreWriter(number))

    def address(self, stage: int, core: int, role: str) -> int:
        return self.buffers[stage, core, role].address

    def stream(self, index: int) -> Stream:
        return self.mapping.streams[index]

    def output(self, stage: Stage) -> Stream:
        return self.mapping.streams[stage.output]

    def outlets(self, stage: Stage) -> list[Ring]:
        """The rings into which a stage's rows go, in order of consumer, operand and core."""
        return [self.rings[key] for key in self.takers.get((stage.output, stage.producer), [])]

    def operand(self, ring: Ring) -> Operand:
        return self.mapping.stages[ring.stage].operands[ring.operand]

    def feed(self, ring: Ring) -> Feed:
        key = (ring.stage, ring.operand)
        if key not in self.feeds:
            stage = self.mapping.stages[ring.stage]
            self.feeds[key] = feed_of(self.mapping, stage, self.operand(ring))
        return self.feeds[key]

    def schedule(self, index: int) -> Schedule:
        """What a stage does firing by firing; of a variant of its own, see `Schedule.variants`."""
        if index not in self.schedules:
            stage = self.mapping.stages[index]
            depths = [
                self.rings[index, number, stage.home].depth for number in range(len(stage.operands))
            ]
            outlets = [self.feed(ring) for ring in self.outlets(stage)]
            self.schedules[index] = Schedule(self.mapping, stage, depths, outlets)
        return self.schedules[index]

    def assign_ring_semaphores(self) -> None:
        """For each source of a ring: a token semaphore where its rows arrive, a credit semaphore
        where they come from.  A ring whose rows go on to others has two more."""
        for key, ring in self.rings.items():
            if self.mapping.stages[ring.stage].step != self.step:
                continue
            schedule = self.schedule(ring.stage)
            free = schedule.slots_at_launch(ring.operand, sole=ring.parent >= 0).tolist()
            if key in self.children:
                core = self.core(ring.core)
                self.relays[key] = Relay(core.semaphore(), core.semaphore(), core.semaphore(SLOTS))
            sources = tuple(
                replace(
                    source,
                    token=self.core(ring.core).semaphore(),
                    credit=self.core(source.core).semaphore(slots),
                )
                for source, slots in zip(ring.sources, free, strict=True)
            )
            self.rings[key] = replace(ring, sources=sources)

    def reserve_outputs(self) -> None:
        """Lay out the frame before anything refers to its size."""
        for stream in self.mapping.streams:
            if stream.step == self.step:
                for io in stream.sinks:
                    self.sinks[io.value] = self.add_io(io, source=False)

    def add_io(self, io: StreamIo, *, source: bool) -> Io:
        """Room in the frame for a tensor that crosses between host and chip."""
        value = self.values[io.value]
        size = value.type.elements * DTYPES[value.type.dtype].itemsize
        made = Io(
            io.value,
            self.frame_bytes,
            value.type.dtype,
            io.shape,
            io.factors,
            io.perm,
            value.type.quant,
        )
        step = FRAME_ALIGNMENT_BYTES
        self.frame_bytes += -(-size // step) * step
        (self.inputs if source else self.outputs).append(made)
        return made

    def add_sequencer(self, writer: Writer, stage: int, role: str) -> None:
        core = self.core(writer.core)
        self.uses.append(SequencerUse(self.step, writer.core, len(core.sequencers), stage, role))
        core.sequencers.append(writer.finish())

    def freeze(self) -> Program:
        return Program(
            name=f"{self.mapping.name}.{self.mapping.steps[self.step].name}",
            cores=tuple(self.cores[c].freeze() for c in sorted(self.cores)),
            tiles=tuple(self.tiles),
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            frame_bytes=self.frame_bytes,
        )

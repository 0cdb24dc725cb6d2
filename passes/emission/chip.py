"""The program of one chip step while it is being written: cores, semaphores, images, frames."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nmc.ir.graph import DTYPES, Array, Graph, Node, Value
from nmc.ir.mapping import Buffer, Mapping, Ring, SequencerUse, Stage, Stream, StreamIo, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.program import CoreProgram, Image, Io, Program, ReadPlan, Sequencer, TileImage
from nmc.ir.target import Target
from nmc.passes.emission.writer import Writer

__all__ = ["ChipWriter", "CoreWriter"]

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
    tokens: dict[tuple[int, int, int], int] = field(default_factory=dict[tuple[int, int, int], int])
    credits: dict[tuple[int, int, int], int] = field(
        default_factory=dict[tuple[int, int, int], int]
    )
    rings: dict[tuple[int, int, int], Ring] = field(init=False)
    buffers: dict[tuple[int, int, str], Buffer] = field(init=False)
    tiles_by_stage: dict[int, list[Tile]] = field(init=False)
    values: dict[str, Value] = field(init=False)
    sinks: dict[str, Io] = field(default_factory=dict[str, Io])

    def __post_init__(self) -> None:
        self.nodes = nodes_by_result(self.graph)
        self.values = {v.name: v for v in self.graph.values()}
        self.rings = {(r.stage, r.operand, r.core): r for r in self.mapping.rings}
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

    def rings_of_stream(self, stream: int) -> list[Ring]:
        """All rings into which a stream's rows go, in order of consumer, operand and core."""
        uses = set(self.mapping.consumers(stream))
        return sorted(
            (r for r in self.mapping.rings if (r.stage, r.operand) in uses),
            key=lambda r: (r.stage, r.operand, r.core),
        )

    def assign_ring_semaphores(self) -> None:
        """A token semaphore where rows arrive, a credit semaphore where they come from."""
        for ring in self.mapping.rings:
            if self.mapping.stages[ring.stage].step != self.step:
                continue
            key = (ring.stage, ring.operand, ring.core)
            self.tokens[key] = self.core(ring.core).semaphore()
            self.credits[key] = self.core(ring.producer_core).semaphore(ring.depth)

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

"""The pass `buffers`: how deep each ring is, and where everything lies in each core's SRAM."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report, error
from nmc.ir.graph import Node
from nmc.ir.mapping import Buffer, Mapping, Ring, Stage
from nmc.ir.matrices import nodes_by_result
from nmc.ir.stage_memory import ring_operands, ring_row_bytes, stage_memory
from nmc.ir.token_game import ring_depths
from nmc.passes.base import Pass, mapping_of

__all__ = ["Buffers"]

ALIGNMENT_BYTES = 8


@dataclass(frozen=True)
class Buffers(Pass):
    """Give every ring its depth by playing the row tokens, and every buffer its address.

    A ring belongs to one operand of one stage on one core.  Steps of the chip follow each other,
    so each step starts with empty memories.
    """

    name = "buffers"
    needs = "scheduled"
    gives = "buffered"
    cite = "Parks, Bounded Scheduling of Process Networks, UC Berkeley 1995"

    def run(self, design: Design, report: Report) -> bool:
        mapping = mapping_of(design)
        layout = _Layout(mapping, nodes_by_result(design.graph), ring_depths(mapping))
        for index, stage in enumerate(mapping.stages):
            layout.add(index, stage)
        limit = design.target.core.sram_kib * 1024
        for (_, core), used in sorted(layout.used.items()):
            if used > limit:
                report.add(
                    error(
                        "sram-overflow",
                        f"core {core} needs {used} bytes of SRAM, it has {limit}",
                        remedy="raise core.sram_kib or use a larger mesh (--mesh WxH)",
                    )
                )
        design.mapping = replace(mapping, rings=tuple(layout.rings), buffers=tuple(layout.buffers))
        return True


@dataclass(slots=True)
class _Layout:
    mapping: Mapping
    nodes: dict[str, Node]
    depths: dict[tuple[int, int], int]
    rings: list[Ring] = field(default_factory=list[Ring])
    buffers: list[Buffer] = field(default_factory=list[Buffer])
    used: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])

    def add(self, index: int, stage: Stage) -> None:
        tiles = [t for _, t in self.mapping.tiles_of(index)]
        needs = stage_memory(self.mapping, stage, tiles, self.nodes)
        for core in stage.cores:
            for number in ring_operands(stage, core):
                self.rings.append(self.ring(index, stage, number, core))
            for role, size in needs[core]:
                address = self.take(stage.step, core, size)
                self.buffers.append(Buffer(index, core, role, address, size))

    def ring(self, index: int, stage: Stage, number: int, core: int) -> Ring:
        operand = stage.operands[number]
        row = ring_row_bytes(self.mapping, operand)
        depth = self.depths[index, number]
        producer = self.mapping.streams[operand.stream].producer
        feeder = core if producer < 0 else self.mapping.stages[producer].home
        address = self.take(stage.step, core, row * depth)
        return Ring(index, number, core, feeder, depth, row, address)

    def take(self, step: int, core: int, size: int) -> int:
        address = self.used.get((step, core), 0)
        self.used[step, core] = address + -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return address

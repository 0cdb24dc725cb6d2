"""The pass `buffers`: how deep each ring is, and where everything lies in each core's SRAM."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace

import numpy as np

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report, error
from nmc.ir.mapping import Buffer, Kind, Mapping, Ring, Source, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.pipelining import wanted_depths
from nmc.ir.rows import feed_of, makers_of
from nmc.ir.stage_memory import ring_operands, ring_row_bytes, stage_memory
from nmc.ir.target import Mesh, Target
from nmc.ir.token_game import ring_depths
from nmc.passes.base import Pass, mapping_of

__all__ = ["Buffers"]

ALIGNMENT_BYTES = 8

FAN_OUT = 2
"""Rings to which a ring's rows are sent on: more would make a core's port the bottleneck, fewer
would make rows late."""

NO_RANK = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Buffers(Pass):
    """Give every ring its depth, and every buffer its address.

    A ring has at least the slots with which nothing can wait for ever, found by playing the row
    tokens.  What is left of a core's SRAM goes to rings that want more to keep the pipeline's pace,
    those that want fewest bytes first.  A ring belongs to one operand of one stage on one core.
    Steps of the chip follow each other, so each step starts with empty memories.
    """

    name = "buffers"
    needs = "scheduled"
    gives = "buffered"
    cite = "Parks, Bounded Scheduling of Process Networks, UC Berkeley 1995"

    def run(self, design: Design, report: Report) -> bool:
        mapping = mapping_of(design)
        sram = _Sram(design, mapping)
        limit = design.target.core.sram_bytes
        for (_, core), used in sorted(sram.used.items()):
            if used > limit:
                report.add(
                    error(
                        "sram-overflow",
                        f"core {core} needs {used} bytes of SRAM, it has {limit}",
                        remedy="raise core.sram_kib or use a larger mesh (--mesh WxH)",
                    )
                )
        if not report.failed:
            sram.deepen(wanted_depths(mapping, sram.nodes, design.target), limit)
        design.mapping = sram.laid_out()
        return True


class _Sram:
    """What lies in the SRAM of each core in each step of the chip."""

    def __init__(self, design: Design, mapping: Mapping) -> None:
        self.mapping = mapping
        self.target = design.target
        self.nodes = nodes_by_result(design.graph)
        self.depths = ring_depths(mapping)
        self.used: dict[tuple[int, int], int] = {}
        tiles: dict[int, list[Tile]] = {}
        for tile in mapping.tiles:
            tiles.setdefault(tile.stage, []).append(tile)
        self.needs = [
            stage_memory(mapping, stage, tiles.get(index, []), self.nodes)
            for index, stage in enumerate(mapping.stages)
        ]
        for index, stage in enumerate(mapping.stages):
            for core, needs in self.needs[index].items():
                for _, size in needs:
                    self._take(stage.step, core, size)
            for core, number in self._rings(stage):
                self._take(stage.step, core, self._ring_bytes(index, number))

    def _rings(self, stage: Stage) -> list[tuple[int, int]]:
        """Core and operand number of each ring of a stage."""
        return [(core, n) for core in stage.cores for n in ring_operands(stage, core)]

    def _ring_bytes(self, index: int, number: int, depth: int = 0) -> int:
        row = ring_row_bytes(self.mapping, self.mapping.stages[index].operands[number])
        return row * (depth or self.depths[index, number])

    def _take(self, step: int, core: int, size: int) -> int:
        """The address of so many bytes more."""
        address = self.used.get((step, core), 0)
        self.used[step, core] = address + _aligned(size)
        return address

    def deepen(self, wanted: Dict[tuple[int, int], int], limit: int) -> None:
        """Give rings the slots that they want, as far as memory goes."""
        asking = [
            (self._ring_bytes(*key, depth - self.depths[key]), key, depth)
            for key, depth in wanted.items()
            if depth > self.depths[key]
        ]
        for _, key, depth in sorted(asking):
            stage = self.mapping.stages[key[0]]
            cores = [core for core, number in self._rings(stage) if number == key[1]]
            free = limit - max(self.used[stage.step, core] for core in cores)
            each = self._ring_bytes(*key, 1)
            more = min(depth - self.depths[key], max(0, free - ALIGNMENT_BYTES) // each)
            for core in cores:
                self.used[stage.step, core] += _aligned(more * each)
            self.depths[key] += more

    def laid_out(self) -> Mapping:
        """The mapping with rings and buffers side by side."""
        self.used.clear()
        rings: list[Ring] = []
        buffers: list[Buffer] = []
        for index, stage in enumerate(self.mapping.stages):
            for core in stage.cores:
                rings += [self._ring(index, n, core) for n in ring_operands(stage, core)]
                for role, size in self.needs[index][core]:
                    address = self._take(stage.step, core, size)
                    buffers.append(Buffer(index, core, role, address, size))
        rings = relayed(self.mapping, rings, self.target)
        return replace(self.mapping, rings=tuple(rings), buffers=tuple(buffers))

    def _ring(self, index: int, number: int, core: int) -> Ring:
        stage = self.mapping.stages[index]
        operand = stage.operands[number]
        producers = self.mapping.streams[operand.stream].producers
        makers = makers_of(self.mapping, operand, feed_of(self.mapping, stage, operand))
        sources = tuple(
            Source(place, self.mapping.stages[producers[place]].home if producers else core)
            for place in makers.sources.tolist()
        )
        address = self._take(stage.step, core, self._ring_bytes(index, number))
        depth, row = self.depths[index, number], ring_row_bytes(self.mapping, operand)
        return Ring(index, number, core, depth, row, address, sources)


def relayed(mapping: Mapping, rings: list[Ring], target: Target) -> list[Ring]:
    """The rings with those that take the same rows of an operand as trees: pieces of a copy of a
    matrix, and the cores of each."""
    groups: dict[tuple[int, int, int, tuple[int, int]], list[int]] = {}
    for number, ring in enumerate(rings):
        stage = mapping.stages[ring.stage]
        if stage.kind is Kind.MATRIX and ring.operand == 0 and ring.sources:
            operand = stage.operands[0]
            key = (stage.output, stage.copy, operand.stream, mapping.seen_chans(operand))
            groups.setdefault(key, []).append(number)
    result = list(rings)
    for root, *others in groups.values():
        others.sort(key=lambda n: (target.mesh.hops(rings[root].core, rings[n].core), n))
        members = [root, *others]
        for number, parent in zip(others, _parents(rings, members, target.mesh), strict=True):
            source = Source(0, rings[parent].core)
            result[number] = replace(rings[number], sources=(source,), parent=parent)
    return result


def _parents(rings: list[Ring], members: list[int], mesh: Mesh) -> Iterator[int]:
    """For each ring of a tree but its root, the nearest before it that has few children yet; of
    those as near that with the fewest, and of these the first."""
    numbers = np.array(members)
    cores = np.array([rings[n].core for n in members])
    x, y = cores % mesh.width, cores // mesh.width
    children = np.zeros(len(members), np.int64)
    for at in range(1, len(members)):
        hops = np.abs(x[:at] - x[at]) + np.abs(y[:at] - y[at])
        rank = (hops * FAN_OUT + children[:at]) * len(rings) + numbers[:at]
        parent = int(np.where(children[:at] < FAN_OUT, rank, NO_RANK).argmin())
        children[parent] += 1
        yield members[parent]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES

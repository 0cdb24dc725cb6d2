"""The pass `place`: give each tile a crossbar and each stage its cores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, sqrt

from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic, Report, error
from nmc.ir.graph import Node
from nmc.ir.mapping import Kind, Mapping, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.stage_memory import ring_operands, ring_row_bytes, stage_memory
from nmc.ir.target import Target
from nmc.ir.token_game import ring_depths
from nmc.passes.base import Pass, mapping_of

__all__ = ["Place"]

SEQUENCERS_AT_HOME = 2
SEQUENCERS_ELSEWHERE = 2


@dataclass(frozen=True)
class Place(Pass):
    """First fit, core by core, in order of the stages.

    A matrix whose tiles fit into what a core has left goes to the first such core; a larger one
    takes the free crossbars of the following cores in order, and its first core is its home.
    Vector stages run where their first operand is made, or on the first core that has room.
    Room is crossbars, sequencers and SRAM.
    """

    name = "place"
    needs = "tiled"
    gives = "placed"

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        if len(mapping.tiles) > target.crossbars:
            report.add(_too_many(mapping, target))
            return False
        state = _State(design, mapping, ring_depths(mapping))
        for index in range(len(mapping.stages)):
            if not state.place(index, report):
                return False
        design.mapping = replace(mapping, stages=tuple(state.stages), tiles=tuple(state.tiles))
        return True


@dataclass(slots=True)
class _Room:
    """What is left of a core; SRAM and sequencers serve one step at a time."""

    crossbars: int
    sram: dict[int, int] = field(default_factory=dict[int, int])
    sequencers: dict[int, int] = field(default_factory=dict[int, int])


class _State:
    def __init__(
        self, design: Design, mapping: Mapping, depths: dict[tuple[int, int], int]
    ) -> None:
        self.target = design.target
        self.mapping = mapping
        self.depths = depths
        self.nodes: dict[str, Node] = nodes_by_result(design.graph)
        self.stages = list(mapping.stages)
        self.tiles = list(mapping.tiles)
        self.mine: dict[int, list[int]] = {}
        for number, tile in enumerate(mapping.tiles):
            self.mine.setdefault(tile.stage, []).append(number)
        self.rooms = [_Room(self.target.core.crossbars) for _ in range(self.target.cores)]

    def place(self, index: int, report: Report) -> bool:
        stage = self.stages[index]
        for cores in self._candidates(index):
            placed, tiles = self._tentative(index, cores)
            if self._has_room(index, placed, tiles):
                self._take(index, placed, tiles)
                return True
        report.add(_no_room(stage, self.target))
        return False

    def _candidates(self, index: int) -> list[list[int]]:
        """Lists of cores to try, best first; one entry per tile, or one core for a vector stage."""
        stage = self.stages[index]
        every = range(self.target.cores)
        if stage.kind is not Kind.MATRIX:
            near = self._producer_core(stage)
            return [[core] for core in sorted(every, key=lambda c: (c != near, c))]
        count = len(self.mine[index])
        together = [[c] * count for c in every if self.rooms[c].crossbars >= count]
        spread = [self._run_from(first, count) for first in every]
        return together + [cores for cores in spread if cores]

    def _run_from(self, first: int, count: int) -> list[int]:
        """A core per tile: free crossbars of the cores from `first` on; empty if they run out."""
        cores: list[int] = []
        for core in range(first, self.target.cores):
            cores += [core] * min(self.rooms[core].crossbars, count - len(cores))
            if len(cores) == count:
                return cores
        return []

    def _producer_core(self, stage: Stage) -> int:
        producer = self.mapping.streams[stage.operands[0].stream].producer
        return max(0, self.stages[producer].home) if producer >= 0 else 0

    def _tentative(self, index: int, cores: list[int]) -> tuple[Stage, list[Tile]]:
        """The stage and its tiles as they would be on these cores."""
        numbers = self.mine.get(index, [])
        used: dict[int, int] = {}
        tiles: list[Tile] = []
        for number, core in zip(numbers, cores, strict=False):
            taken = self.target.core.crossbars - self.rooms[core].crossbars + used.get(core, 0)
            used[core] = used.get(core, 0) + 1
            tiles.append(replace(self.tiles[number], core=core, crossbar=taken))
        distinct = tuple(dict.fromkeys(cores))
        return replace(self.stages[index], home=distinct[0], cores=distinct), tiles

    def _bytes(self, index: int, stage: Stage, tiles: list[Tile], core: int) -> int:
        total = sum(
            _aligned(size) for _, size in stage_memory(self.mapping, stage, tiles, self.nodes, core)
        )
        for number in ring_operands(stage, core):
            row = ring_row_bytes(self.mapping, stage.operands[number])
            total += _aligned(row * self.depths[index, number])
        return total

    def _sequencers(self, stage: Stage, core: int) -> int:
        """Compute and post or send, and a feeder for each ring filled from global memory."""
        own = 1 if stage.kind is not Kind.MATRIX else SEQUENCERS_AT_HOME
        feeders = sum(
            self.mapping.streams[stage.operands[n].stream].producer < 0
            for n in ring_operands(stage, core)
        )
        return own + feeders

    def _has_room(self, index: int, stage: Stage, tiles: list[Tile]) -> bool:
        core_spec = self.target.core
        for core in stage.cores:
            room = self.rooms[core]
            sram = room.sram.get(stage.step, 0) + self._bytes(index, stage, tiles, core)
            busy = room.sequencers.get(stage.step, 0) + self._sequencers(stage, core)
            if sram > core_spec.sram_kib * 1024 or busy > core_spec.sequencers:
                return False
        return True

    def _take(self, index: int, stage: Stage, tiles: list[Tile]) -> None:
        for core in stage.cores:
            room = self.rooms[core]
            room.crossbars -= sum(tile.core == core for tile in tiles)
            used = self._bytes(index, stage, tiles, core)
            room.sram[stage.step] = room.sram.get(stage.step, 0) + used
            busy = self._sequencers(stage, core)
            room.sequencers[stage.step] = room.sequencers.get(stage.step, 0) + busy
        self.stages[index] = stage
        for number, tile in zip(self.mine.get(index, []), tiles, strict=True):
            self.tiles[number] = tile


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


def _too_many(mapping: Mapping, target: Target) -> Diagnostic:
    needed, there = len(mapping.tiles), target.crossbars
    biggest = sorted(
        ((sum(1 for _ in mapping.tiles_of(i)), s.name) for i, s in enumerate(mapping.stages)),
        reverse=True,
    )[:3]
    cores = -(-needed // target.core.crossbars)
    side = ceil(sqrt(cores))
    rows, cols = target.crossbar.rows, target.crossbar.cols
    return error(
        "too-many-tiles",
        f"the model needs {needed} crossbars of {rows}x{cols}, the chip has {there}",
        notes=[f"`{name}` needs {count}" for count, name in biggest],
        remedy=f"use a mesh of {side}x{side} cores or more, such as --mesh {side}x{side}, or "
        "larger crossbars (--set crossbar.rows=...), or cells of more bits",
    )


def _no_room(stage: Stage, target: Target) -> Diagnostic:
    core = target.core
    return error(
        "sram-overflow",
        f"no core has room for stage `{stage.name}`: its row buffers and tables, beside those of "
        f"the stages already there, exceed {core.sram_kib} KiB of SRAM, {core.sequencers} "
        f"sequencers or {core.crossbars} crossbars",
        remedy="raise core.sram_kib or core.sequencers, or use a larger mesh (--mesh WxH)",
    )

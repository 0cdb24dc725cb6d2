"""The pass `place`: give each tile a crossbar and each stage its cores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, sqrt
from typing import Literal

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

SEQUENCERS_OF_A_MATRIX = 2
"""On each of its cores: one computes, one finishes rows or sends partial ones."""


@dataclass(frozen=True)
class Place(Pass):
    """First fit, core by core, in order of the stages.

    A matrix whose tiles fit into what a core has left goes to the first such core; a larger one
    takes the free crossbars of the following cores in order, and its first core is its home.
    Vector stages run where their first operand is made, or on the first core that has room.
    Room is crossbars, sequencers and SRAM.

    Within a core, crossbars of a cluster share its ADCs.  `balanced` puts each tile into the
    cluster whose ADCs have least to convert so far, `first-fit` on the first free crossbar.
    """

    name = "place"
    needs = "tiled"
    gives = "placed"

    clusters: Literal["balanced", "first-fit"] = "balanced"

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        if len(mapping.tiles) > target.crossbars:
            report.add(_too_many(mapping, target))
            return False
        state = _State(design, mapping, ring_depths(mapping), self.clusters == "balanced")
        for index in range(len(mapping.stages)):
            if not state.place(index, report):
                return False
        design.mapping = replace(mapping, stages=tuple(state.stages), tiles=tuple(state.tiles))
        return True


@dataclass(slots=True)
class _Room:
    """What is left of a core; SRAM and sequencers serve one step at a time.

    `free` lists its crossbars without a tile, `conversions` what each cluster has to convert.
    """

    free: list[int]
    conversions: list[int]
    sram: dict[int, int] = field(default_factory=dict[int, int])
    sequencers: dict[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True)
class _Need:
    """What a stage takes of one core."""

    tiles: list[Tile]
    sram_bytes: int
    sequencers: int


@dataclass(frozen=True, slots=True)
class _Trial:
    """A stage as it would lie on some cores."""

    stage: Stage
    tiles: list[Tile]
    needs: dict[int, _Need]


class _State:
    def __init__(
        self,
        design: Design,
        mapping: Mapping,
        depths: dict[tuple[int, int], int],
        balanced: bool,
    ) -> None:
        self.balanced = balanced
        self.target = design.target
        self.mapping = mapping
        self.depths = depths
        self.nodes: dict[str, Node] = nodes_by_result(design.graph)
        self.stages = list(mapping.stages)
        self.tiles = list(mapping.tiles)
        self.mine: dict[int, list[int]] = {}
        for number, tile in enumerate(mapping.tiles):
            self.mine.setdefault(tile.stage, []).append(number)
        crossbars, clusters = self.target.core.crossbars, self.target.clusters_per_core
        self.rooms = [
            _Room(list(range(crossbars)), [0] * clusters) for _ in range(self.target.cores)
        ]

    def place(self, index: int, report: Report) -> bool:
        trial = self._together(index) or self._spread(index)
        if trial is None:
            report.add(self._no_room(index))
            return False
        self._take(index, trial)
        return True

    def _together(self, index: int) -> _Trial | None:
        """The whole stage on one core: where its first operand is made, or on the first core.

        What it needs there is the same on every core, so it is worked out once.
        """
        count = len(self.mine.get(index, []))
        if count > self.target.core.crossbars:
            return None
        trial = self._trial(index, [0] * max(count, 1))
        ((_, need),) = trial.needs.items()
        near = [self._producer_core(index)] if not count else []
        for core in (*near, *range(self.target.cores)):
            if len(self.rooms[core].free) >= count and self._fits(trial.stage.step, core, need):
                return self._trial(index, [core] * max(count, 1))
        return None

    def _spread(self, index: int) -> _Trial | None:
        """Free crossbars of cores in order; where a core lacks memory, from the next one on."""
        first = 0
        while cores := self._run_from(first, len(self.mine.get(index, []))):
            trial = self._trial(index, cores)
            step = trial.stage.step
            lacking = [c for c, need in trial.needs.items() if not self._fits(step, c, need)]
            if not lacking:
                return trial
            first = min(lacking) + 1
        return None

    def _run_from(self, first: int, count: int) -> list[int]:
        """A core per tile: free crossbars of the cores from `first` on; empty if they run out."""
        cores: list[int] = []
        for core in range(first, self.target.cores):
            cores += [core] * min(len(self.rooms[core].free), count - len(cores))
            if len(cores) == count:
                return cores
        return []

    def _producer_core(self, index: int) -> int:
        producer = self.mapping.streams[self.stages[index].operands[0].stream].producer
        return max(0, self.stages[producer].home) if producer >= 0 else 0

    def _trial(self, index: int, cores: list[int]) -> _Trial:
        """The stage and its tiles as they would be on these cores, and what each core gives."""
        mine: dict[int, list[Tile]] = {}
        for number, core in zip(self.mine.get(index, []), cores, strict=False):
            mine.setdefault(core, []).append(replace(self.tiles[number], core=core))
        mine = {core: self._on_crossbars(core, here) for core, here in mine.items()}
        tiles = [tile for here in mine.values() for tile in here]
        distinct = tuple(dict.fromkeys(cores))
        stage = replace(self.stages[index], home=distinct[0], cores=distinct)
        memory = stage_memory(self.mapping, stage, tiles, self.nodes)
        return _Trial(
            stage,
            tiles,
            {
                core: _Need(
                    mine.get(core, []),
                    sum(_aligned(size) for _, size in memory[core])
                    + self._ring_bytes(index, stage, core),
                    self._sequencers(stage, core),
                )
                for core in distinct
            },
        )

    def _on_crossbars(self, core: int, tiles: list[Tile]) -> list[Tile]:
        """The tiles on free crossbars of a core; a crossbar that isn't there if it has too few."""
        free, load = list(self.rooms[core].free), list(self.rooms[core].conversions)
        placed: list[Tile] = []
        for tile in tiles:
            crossbar = min(free, key=lambda x: (load[self._cluster(x)], x)) if free else -1
            if free and not self.balanced:
                crossbar = free[0]
            if free:
                free.remove(crossbar)
                load[self._cluster(crossbar)] += self._conversions(tile)
            placed.append(replace(tile, crossbar=crossbar))
        return placed

    def _cluster(self, crossbar: int) -> int:
        return crossbar // self.target.adc.crossbars_per_cluster

    def _conversions(self, tile: Tile) -> int:
        """Conversions of one phase and slice that a tile asks for, per input."""
        output = self.mapping.streams[self.stages[tile.stage].output]
        return tile.outputs * output.rows * output.cols

    def _ring_bytes(self, index: int, stage: Stage, core: int) -> int:
        return sum(
            _aligned(ring_row_bytes(self.mapping, stage.operands[n]) * self.depths[index, n])
            for n in ring_operands(stage, core)
        )

    def _sequencers(self, stage: Stage, core: int) -> int:
        """Compute and post or send, and a feeder for each ring filled from global memory."""
        own = 1 if stage.kind is not Kind.MATRIX else SEQUENCERS_OF_A_MATRIX
        feeders = sum(
            self.mapping.streams[stage.operands[n].stream].producer < 0
            for n in ring_operands(stage, core)
        )
        return own + feeders

    def _fits(self, step: int, core: int, need: _Need) -> bool:
        room = self.rooms[core]
        return (
            room.sram.get(step, 0) + need.sram_bytes <= self.target.core.sram_bytes
            and room.sequencers.get(step, 0) + need.sequencers <= self.target.core.sequencers
        )

    def _take(self, index: int, trial: _Trial) -> None:
        step = trial.stage.step
        for core, need in trial.needs.items():
            room = self.rooms[core]
            for tile in need.tiles:
                room.free.remove(tile.crossbar)
                room.conversions[self._cluster(tile.crossbar)] += self._conversions(tile)
            room.sram[step] = room.sram.get(step, 0) + need.sram_bytes
            room.sequencers[step] = room.sequencers.get(step, 0) + need.sequencers
        self.stages[index] = trial.stage
        for number, tile in zip(self.mine.get(index, []), trial.tiles, strict=True):
            self.tiles[number] = tile

    def _no_room(self, index: int) -> Diagnostic:
        """What an empty chip would have to give, against what a core has."""
        count = max(len(self.mine.get(index, [])), 1)
        each, core = self.target.core.crossbars, self.target.core
        cores = [min(number // each, self.target.cores - 1) for number in range(count)]
        trial = self._trial(index, cores)
        largest = max(need.sram_bytes for need in trial.needs.values())
        busiest = max(need.sequencers for need in trial.needs.values())
        if busiest > core.sequencers:
            return error(
                "too-many-sequencers",
                f"stage `{trial.stage.name}` needs {busiest} sequencers on a core, a core has "
                f"{core.sequencers}",
                remedy=f"--set core.sequencers={busiest} or more",
            )
        return error(
            "sram-overflow",
            f"no core has room for stage `{trial.stage.name}`: alone on a core it takes "
            f"{-(-largest // 1024)} KiB of SRAM for its rows and tables, a core has "
            f"{core.sram_kib} KiB, {core.sequencers} sequencers and {core.crossbars} crossbars "
            "for all of its stages",
            remedy="raise core.sram_kib or core.sequencers, or use a larger mesh (--mesh WxH)",
        )


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

"""The pass `replicate`: how many copies of each layer, and in how many pieces."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass
from math import ceil, gcd
from typing import Literal

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Node
from nmc.ir.mapping import Kind, Mapping, Role, Stage, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.rows import feed_of, firings
from nmc.ir.stage_memory import home_memory, ring_row_bytes
from nmc.ir.stage_time import StageTime, StageTimes
from nmc.ir.target import Target
from nmc.ir.token_game import ring_depths
from nmc.passes.base import Pass, mapping_of
from nmc.passes.replicating.choose import throughput
from nmc.passes.replicating.options import Budget, Option, Plan
from nmc.passes.tiling.dividing import COPIED_KINDS, cut, divided, most_copies, piece_cuts

__all__ = ["Replicate"]

LONGEST_PERIOD = 16
"""Rows after which the destinations of a vector stage repeat; its program names them all."""

MATRIX_SEQUENCERS = 3
"""On each of its cores: one computes, one finishes or sends sums, one sends rows on."""

MOST_SRAM = 0.4
"""Part of a core's SRAM that a vector stage may take before it is dealt out to several."""


@dataclass(frozen=True)
class Replicate(Pass):
    """Give the chip's free crossbars to copies of the slowest layers.

    A layer's time per input is what its slowest part takes for a firing (array reads, conversions
    on shared ADCs, vector unit, messages) times its firings, which copies share.  Chosen are the
    copies with the least interval between inputs that crossbars, SRAM, sequencers and ADCs allow,
    exactly, and of those the fewest.  `share` is the part of the chip that may be filled; the rest
    is room for `place`.  With the objective `crossbars` each layer has one copy.

    A matrix of more tiles than a core has crossbars is cut into pieces by outputs, so that few
    partial sums travel and no core finishes a large layer alone.  A stage of the vector unit whose
    rows take too much of a core's SRAM, such as a skip connection over half a network, has copies
    for that, each of which keeps its share.
    """

    name = "replicate"
    needs = "tiled"
    gives = "tiled"

    objective: Literal["throughput", "crossbars"] = "throughput"
    share: float = 0.95

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        nodes = nodes_by_result(design.graph)
        layers = _Layers(mapping, nodes, target)
        copies = layers.least_copies()
        if self.objective == "throughput":
            plan = throughput(layers.options(), layers.budget(self.share))
            copies = layers.copies(plan, copies) if plan is not None else copies
        design.mapping = divided(mapping, copies, layers.cuts, target)
        return any(n > 1 for n in copies.values()) or any(layers.cuts.values())


class _Layers:
    """What a copy of each layer takes of the chip."""

    def __init__(self, mapping: Mapping, nodes: Dict[str, Node], target: Target) -> None:
        self.mapping = mapping
        self.nodes = nodes
        self.target = target
        self.tiles: dict[int, list[Tile]] = {}
        for tile in mapping.tiles:
            self.tiles.setdefault(tile.stage, []).append(tile)
        self.cuts: dict[int, tuple[int, ...]] = {}
        self.times: list[StageTime] = []
        clock = StageTimes(target)
        for index, stage in enumerate(mapping.stages):
            mine = self.tiles.get(index, [])
            self.cuts[index] = piece_cuts(mapping, stage, mine, nodes, target)
            piece, its = cut(mapping, stage, mine, self.cuts[index], target)[0]
            self.times.append(clock.of(mapping, piece, its, nodes))

    def budget(self, share: float) -> Budget:
        target = self.target
        adcs = target.cores * target.clusters_per_core * target.adc.adcs_per_cluster
        held = (target.crossbars, target.cores * target.core.sram_bytes)
        sequencers = target.cores * target.core.sequencers
        return Budget(tuple(int(share * n) for n in (*held, sequencers)), (adcs, target.cores))

    def options(self) -> list[tuple[Option, ...]]:
        return [(self._option(i, stage),) for i, stage in enumerate(self.mapping.stages)]

    def _option(self, index: int, stage: Stage) -> Option:
        time = self.times[index]
        pieces = len(self.cuts[index]) + 1
        conversions = sum(sum(core.adc_cycles.values()) for core in time.cores)
        count = firings(self.mapping, stage)
        cores = max(1, len(time.cores))
        sequencers = pieces * (MATRIX_SEQUENCERS * cores if stage.kind is Kind.MATRIX else 2)
        return Option(
            firings=count,
            cycles=max(1, ceil(time.firing_cycles)),
            held=(len(self.tiles.get(index, [])), self._sram_bytes(index, stage), sequencers),
            work=(pieces * count * conversions, ceil(pieces * count * time.vector_cycles)),
            copies_most=most_copies(self.mapping, stage),
        )

    def _sram_bytes(self, index: int, stage: Stage) -> int:
        """Of one copy, roughly: its rings on each of its cores at their least depths, and its
        buffers at home."""
        cores = max(1, len(self.times[index].cores)) * (len(self.cuts[index]) + 1)
        total = sum(size for _, size in home_memory(self.mapping, stage, self.nodes))
        for number, operand in enumerate(stage.operands):
            depth = feed_of(self.mapping, stage, operand).least_depth
            rings = cores if number == 0 else len(self.cuts[index]) + 1
            total += rings * depth * ring_row_bytes(self.mapping, operand)
        return total

    def least_copies(self) -> dict[int, int]:
        """Of vector stages, as many as keep what each copy holds within a part of a core's SRAM."""
        depths = ring_depths(self.mapping)
        budget = int(MOST_SRAM * self.target.core.sram_bytes)
        copies: dict[int, int] = {}
        for index, stage in enumerate(self.mapping.stages):
            if stage.kind not in COPIED_KINDS or stage.kind is Kind.MATRIX:
                continue
            held = sum(size for _, size in home_memory(self.mapping, stage, dict(self.nodes)))
            rows = [
                (ring_row_bytes(self.mapping, operand), depths[index, number])
                for number, operand in enumerate(stage.operands)
            ]
            counts = range(1, most_copies(self.mapping, stage) + 1)
            fitting = (n for n in counts if held + _ring_bytes(rows, n) <= budget)
            copies[index] = next(fitting, counts[-1])
        return copies

    def copies(self, plan: Plan, least: Dict[int, int]) -> dict[int, int]:
        """Of each layer, those of the plan; of vector stages more where that shortens programs."""
        copies = {i: max(c.copies, least.get(i, 1)) for i, c in enumerate(plan.choices)}
        for index, stage in enumerate(self.mapping.stages):
            if stage.kind in COPIED_KINDS and stage.kind is not Kind.MATRIX:
                copies[index] = self._rounded(index, stage, copies)
        return copies

    def _rounded(self, index: int, stage: Stage, copies: Dict[int, int]) -> int:
        """The fewest copies, from the plan's on, whose rows go to copies of the next layer in a
        pattern that soon repeats."""
        periods = [
            copies[consumer] * self._rows_per_firing(consumer, operand)
            for consumer, operand in self.mapping.consumers(stage.output)
        ]
        most = most_copies(self.mapping, stage)
        for count in range(copies[index], min(most, 4 * copies[index] + LONGEST_PERIOD) + 1):
            if all(period // gcd(period, count) <= LONGEST_PERIOD for period in periods):
                return count
        return copies[index]

    def _rows_per_firing(self, consumer: int, operand: int) -> int:
        stage = self.mapping.stages[consumer]
        main = stage.operands[operand].role is Role.MAIN
        return stage.window.strides[0] if main else 1


def _ring_bytes(rows: list[tuple[int, int]], copies: int) -> int:
    """Of rings of (row bytes, slots in all), what one of so many copies keeps."""
    return sum(size * min(slots, -(-slots // copies) + 2) for size, slots in rows)

"""What a stage takes of each core that works for it: SRAM, sequencers, semaphores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from nmc.ir.graph import Array, Node
from nmc.ir.mapping import Kind, Mapping, Stage
from nmc.ir.rows import returns_apart
from nmc.ir.stage_memory import (
    accumulator_memory,
    core_outputs,
    home_memory,
    ring_operands,
    ring_row_bytes,
)
from nmc.passes.placing.asks import Link

__all__ = ["SEQUENCERS_OF_A_MATRIX", "Need", "Needs"]

SEQUENCERS_OF_A_MATRIX = 2
"""On each of its cores: one computes, one finishes rows or sends partial ones."""

SEMAPHORES_OF_A_SENDER = 2
"""At home: slots of finished rows that are sent, and stored."""

SEMAPHORES_OF_A_RELAY = 5
"""Where rows of a ring go on to others: three, and the credits of as many rings as it feeds."""

ALIGNMENT_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """Per core of a stage, home first: i64[cores] each.

    `sums` is how many accumulators its part gives for a read.
    """

    sram_bytes: Array
    sequencers: Array
    semaphores: Array
    sums: Array


class Needs:
    """Answers, for a stage whose tiles lie in runs of `counts` on so many cores, what that takes.

    Copies of a layer that are fed alike share their answers.
    """

    def __init__(
        self,
        mapping: Mapping,
        nodes: dict[str, Node],
        depths: dict[tuple[int, int], int],
        links: list[Link],
    ) -> None:
        self.mapping = mapping
        self.nodes = nodes
        self.depths = depths
        self.tiles: list[list[int]] = [[] for _ in mapping.stages]
        for number, tile in enumerate(mapping.tiles):
            self.tiles[tile.stage].append(number)
        self.sources = Counter((link.stage, link.operand) for link in links)
        self.fed = Counter(link.producer for link in links)
        self.feeders = Counter(link.stage for link in links if link.producer < 0)
        self.at_home: dict[tuple[int, int], int] = {}
        self.known: dict[tuple[object, ...], Need] = {}

    def of(self, index: int, counts: tuple[int, ...]) -> Need:
        stage = self.mapping.stages[index]
        operands = range(len(stage.operands))
        key = (
            stage.output,
            stage.piece,
            counts,
            self.fed[index],
            self.feeders[index],
            *((self.depths[index, n], self.sources[index, n]) for n in operands),
        )
        if key not in self.known:
            self.known[key] = self._count(index, stage, counts)
        return self.known[key]

    def _count(self, index: int, stage: Stage, counts: tuple[int, ...]) -> Need:
        cores = tuple(range(len(counts)))
        trial = replace(stage, home=0, cores=cores)
        owner = np.repeat(cores, counts).tolist()
        tiles = [
            replace(self.mapping.tiles[number], core=core)
            for number, core in zip(self.tiles[index], owner, strict=True)
        ]
        memory = accumulator_memory(trial, tiles)
        sram = [
            sum(_aligned(size) for _, size in memory[core]) + self._ring_bytes(index, trial, core)
            for core in cores
        ]
        sram[0] += self._home_bytes(stage)
        plans = core_outputs(trial, tiles)
        own = SEQUENCERS_OF_A_MATRIX if stage.kind is Kind.MATRIX else 1
        relays = int(len(cores) > 1 or stage.pieces > 1)
        sequencers = [own + relays] * len(cores)
        semaphores = [len(plans[core]) + 3 + relays * SEMAPHORES_OF_A_RELAY for core in cores]
        # At home also all sources of all rings, those who take its rows, and parts from elsewhere.
        sources = sum(self.sources[index, n] for n in range(len(stage.operands)))
        apart = int(stage.kind is Kind.MATRIX and returns_apart(sources, len(cores)))
        sequencers[0] += self.feeders[index] + apart
        semaphores[0] += sources + apart
        semaphores[0] += self.feeders[index] + self.fed[index] + len(cores) + SEMAPHORES_OF_A_SENDER
        sums = [sum(plan.outputs for plan in plans[core]) for core in cores]
        return Need(np.array(sram), np.array(sequencers), np.array(semaphores), np.array(sums))

    def _home_bytes(self, stage: Stage) -> int:
        """The same for all copies of a layer."""
        key = stage.output, stage.piece
        if key not in self.at_home:
            sizes = home_memory(self.mapping, stage, self.nodes)
            self.at_home[key] = sum(_aligned(size) for _, size in sizes)
        return self.at_home[key]

    def _ring_bytes(self, index: int, stage: Stage, core: int) -> int:
        return sum(
            _aligned(ring_row_bytes(self.mapping, stage.operands[n]) * self.depths[index, n])
            for n in ring_operands(stage, core)
        )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES

"""Copies of layers that are more than a plan's: for memory, and for short programs."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass
from math import gcd

from nmc.ir.graph import Node
from nmc.ir.mapping import Kind, Mapping, Role, Stage
from nmc.ir.stage_memory import ring_row_bytes
from nmc.ir.target import Target
from nmc.ir.token_game import ring_depths
from nmc.passes.replicating.dealing import deal_of
from nmc.passes.replicating.deciding import Wanted
from nmc.passes.replicating.options import Plan
from nmc.passes.replicating.shapes import memory_of
from nmc.passes.tiling.dividing import COPIED_KINDS, Copies, most_copies, parts_of_row

__all__ = ["Counting"]

LONGEST_PERIOD = 16
"""Rows after which the destinations of a vector stage repeat; its program names them all."""

MOST_SRAM = 0.4
"""Part of a core's SRAM that a vector stage may take before it is dealt out to several."""


@dataclass(slots=True)
class Counting:
    """How many copies the layers of a mapping get, in which each lies whole and once."""

    mapping: Mapping
    nodes: Dict[str, Node]
    target: Target
    wanted: Dict[int, Wanted]

    def copies(self, plan: Plan | None) -> dict[int, Copies]:
        """Of each layer those of the plan, or those that it can't do without."""
        decided = {i: w for i, w in self.wanted.items() if w.copies is not None}
        copies = {index: Copies(count) for index, count in self.least().items()}
        if plan is None:
            return copies | {i: self.dealt(i, w.copies or 1, w.share) for i, w in decided.items()}
        for index, choice in enumerate(plan.choices):
            least = copies.get(index, Copies())
            if index in decided or choice.copies >= least.count:
                copies[index] = Copies(choice.copies, choice.share)
        for index, stage in enumerate(self.mapping.stages):
            if _is_vector(stage) and index not in decided:
                copies[index] = Copies(self.rounded(index, stage, copies))
        return copies

    def dealt(self, index: int, copies: int, share: int) -> Copies:
        """So many copies of a layer, with what they share where that is left open."""
        stage = self.mapping.stages[index]
        parts = parts_of_row(self.mapping, stage)
        rows = most_copies(self.mapping, stage) // parts
        return Copies(copies, int(deal_of(rows, parts, 0, copies, share).share[0]))

    def least(self) -> dict[int, int]:
        """Of vector stages, as many as keep what each copy holds within a part of a core's SRAM, or
        bring that to the least there can be."""
        depths = ring_depths(self.mapping)
        budget = int(MOST_SRAM * self.target.core.sram_bytes)
        copies: dict[int, int] = {}
        for index, stage in enumerate(self.mapping.stages):
            if not _is_vector(stage):
                continue
            held = memory_of(self.mapping, stage, self.nodes)
            rows = [
                (ring_row_bytes(self.mapping, operand), depths[index, number])
                for number, operand in enumerate(stage.operands)
            ]
            counts = range(1, most_copies(self.mapping, stage) + 1)
            copies[index] = min(counts, key=lambda n: max(held + _ring_bytes(rows, n), budget))
        return copies

    def rounded(self, index: int, stage: Stage, copies: Dict[int, Copies]) -> int:
        """The fewest copies, from the given on, whose rows go to copies of the next layer in a
        pattern that soon repeats."""
        periods = [
            copies[consumer].shared * self.rows_per_turn(consumer, operand)
            for consumer, operand in self.mapping.consumers(stage.output)
        ]
        fewest, most = copies[index].count, most_copies(self.mapping, stage)
        for count in range(fewest, min(most, 4 * fewest + LONGEST_PERIOD) + 1):
            if all(period // gcd(period, count) <= LONGEST_PERIOD for period in periods):
                return count
        return fewest

    def rows_per_turn(self, consumer: int, operand: int) -> int:
        """Rows from one of a layer's turns to its next."""
        stage = self.mapping.stages[consumer]
        main = stage.operands[operand].role is Role.MAIN
        return stage.grid[0] * (stage.window.strides[0] if main else 1)


def _is_vector(stage: Stage) -> bool:
    return stage.kind in COPIED_KINDS and stage.kind is not Kind.MATRIX


def _ring_bytes(rows: list[tuple[int, int]], copies: int) -> int:
    """Of rings of (row bytes, slots in all), what one of so many copies keeps."""
    return sum(size * min(slots, -(-slots // copies) + 2) for size, slots in rows)

"""All layers of a mapping with what each may become, and a plan's choice among it."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
import numpy.typing as npt

from nmc.ir.adc_load import reads_per_input
from nmc.ir.depthwise import on_vector_unit
from nmc.ir.mapping import Kind, Mapping
from nmc.passes.replicating.deciding import Wanted
from nmc.passes.replicating.options import Budget, Choice, Option, Plan, deals_of
from nmc.passes.replicating.pricing import depthwise_fj, event_fj, gathered_bytes, lead_of
from nmc.passes.replicating.shapes import Shape, Shapes
from nmc.passes.tiling.laying import layer_of

__all__ = ["Layers"]

Ints = npt.NDArray[np.int64]

PLAIN_COST = 0.5
"""A layer may take so many more crossbars, of its own, to lie plainly: its program is smaller."""


@dataclass(slots=True)
class Layers:
    """Each layer's shapes, the one in which it lies first; `room` bounds what one copy of others
    may take in crossbars, 0 for none but the first.  Decisions leave fewer, or one.

    `parted` lets copies make parts of rows; those that were decided on do in any case."""

    shapes: Shapes
    wanted: Dict[int, Wanted]
    room: int
    parted: bool = True
    choices: list[list[Shape]] = field(init=False)
    plainly: list[tuple[Option, ...]] = field(init=False)

    def __post_init__(self) -> None:
        numbers = range(len(self.shapes.mapping.stages))
        spare = self.room - len(self.shapes.mapping.tiles)
        self.choices = [self._shapes(index, spare) for index in numbers]
        self.plainly = self._options()

    def of_whole_rows(self) -> Layers:
        """The same, but that no copy makes parts of rows."""
        layers = copy(self)
        layers.parted = False
        layers.plainly = layers._options()
        return layers

    def _options(self) -> list[tuple[Option, ...]]:
        return [
            tuple(self._option(index, shape) for shape in shapes)
            for index, shapes in enumerate(self.choices)
        ]

    def _shapes(self, index: int, spare: int) -> list[Shape]:
        wanted = self.wanted.get(index, Wanted())
        if wanted.shape is not None:
            return [wanted.shape]
        room = spare + len(self.shapes.tiles.get(index, []))
        if spare <= 0:
            return [self.shapes.as_laid(index, wanted.cuts)]
        shapes = self.shapes.all_of(index, room, wanted.cuts)
        return shapes if wanted.copies is None else self._of_copies(shapes, wanted)

    def _of_copies(self, shapes: list[Shape], wanted: Wanted) -> list[Shape]:
        """Those that can have so many, and deal out parts of rows if these are to share rows."""
        copies, parts = wanted.copies or 1, wanted.share not in (0, wanted.copies)
        options = [self.shapes.option(shape) for shape in shapes]
        return [
            s
            for s, o in zip(shapes, options, strict=True)
            if o.most >= copies and (s.stage.kind is Kind.MATRIX or not parts)
        ]

    def options(self, *, leads: bool = False, events: bool = False) -> list[tuple[Option, ...]]:
        """As solvers see them, with what the objectives `latency` and `energy` ask for."""
        mapping = self.shapes.mapping
        return [
            tuple(
                replace(
                    option,
                    lead=lead_of(mapping, index, shape.stage) if leads else 0,
                    energy_fj=self._event_fj(shape) if events else 0,
                )
                for shape, option in zip(shapes, self.plainly[index], strict=True)
            )
            for index, shapes in enumerate(self.choices)
        ]

    def _option(self, index: int, shape: Shape) -> Option:
        option = self.shapes.option(shape)
        wanted = self.wanted.get(index, Wanted())
        if wanted.copies is not None:
            return replace(option, fixed=(wanted.copies, wanted.share))
        return option if self.parted else replace(option, parts=1)

    def _event_fj(self, shape: Shape) -> int:
        mapping, stage = self.shapes.mapping, shape.stage
        is_matrix = stage.kind is Kind.MATRIX
        if not is_matrix and not on_vector_unit(stage, self.shapes.nodes):
            return 0
        layer = layer_of(mapping, stage, self.shapes.nodes)
        if not is_matrix:
            return depthwise_fj(self.shapes.target, mapping, stage, layer.outputs // layer.chans)
        seen = prod(layer.kernel) * layer.chans // layer.groups
        gathered = gathered_bytes(mapping, stage)
        reads = reads_per_input(mapping, stage)
        return event_fj(self.shapes.target, shape.tiles, reads, gathered, seen)

    def plainer(self, plan: Plan, budget: Budget) -> Plan:
        """The plan with layers in their first shape again where that keeps the interval and takes
        few more crossbars, the fewest first."""
        choices = list(plan.choices)
        taken = [
            costs(options[c.option], c.copies)
            for options, c in zip(self.plainly, choices, strict=True)
        ]
        left = budget.cap(plan.interval) - np.sum(taken, axis=0)
        swaps: list[tuple[int, int, Choice]] = []
        for index, choice in enumerate(plan.choices):
            first = self.plainly[index][0]
            plain = least_within(first, plan.interval)
            if choice.option and plain is not None:
                more = plain.copies * first.held[0] - int(taken[index][0])
                if more <= PLAIN_COST * taken[index][0]:
                    swaps.append((more, index, plain))
        for _, index, plain in sorted(swaps, key=lambda swap: swap[:2]):
            after = costs(self.plainly[index][0], plain.copies)
            if (after - taken[index] <= left).all():
                left = left - (after - taken[index])
                choices[index], taken[index] = plain, after
        held = np.sum(taken, axis=0)[: len(budget.held)]
        return replace(plan, choices=tuple(choices), held=tuple(held.tolist()))

    def busy(self, plan: Plan, budget: Budget) -> int:
        """Cycles that ADCs are busy with an input in the mean."""
        chosen = (o[c.option] for o, c in zip(self.plainly, plan.choices, strict=True))
        return sum(option.work[0] for option in chosen) // budget.servers[0]

    def chosen(self, plan: Plan | None) -> list[Shape]:
        """The shape of each layer by the plan, or the first."""
        if plan is None:
            return [shapes[0] for shapes in self.choices]
        return [s[c.option] for s, c in zip(self.choices, plan.choices, strict=True)]

    def laid(self, chosen: Sequence[Shape]) -> Mapping:
        """The mapping with these shapes, each layer once and whole."""
        tiles = tuple(tile for shape in chosen for tile in shape.tiles)
        stages = tuple(shape.stage for shape in chosen)
        return replace(self.shapes.mapping, stages=stages, tiles=tiles)


def costs(option: Option, copies: int) -> Ints:
    """What so many copies hold, and the work: i64[kinds]."""
    return np.array([*(copies * each for each in option.held), *option.work], np.int64)


def least_within(option: Option, interval: int) -> Choice | None:
    """The fewest copies of the first option that are done within an interval."""
    dealt = deals_of(option, option.most)
    within = np.flatnonzero(option.cycles_of(dealt.places, dealt.rows) <= interval)
    if not len(within):
        return None
    first = int(within[0])
    return Choice(0, int(dealt.copies[first]), int(dealt.share[first]))

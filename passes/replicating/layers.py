"""All layers of a mapping with what each may become, and a plan's choice among it."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from nmc.ir.mapping import Kind, Mapping
from nmc.ir.rows import firings
from nmc.passes.replicating.deciding import Wanted
from nmc.passes.replicating.options import Budget, Choice, Option, Plan
from nmc.passes.replicating.pricing import event_fj, gathered_bytes, lead_of
from nmc.passes.replicating.shapes import Shape, Shapes

__all__ = ["Layers"]

Ints = npt.NDArray[np.int64]

PLAIN_COST = 0.5
"""A layer may take so many more crossbars, of its own, to lie plainly: its program is smaller."""


@dataclass(slots=True)
class Layers:
    """Each layer's shapes, the one in which it lies first; `room` bounds what one copy of others
    may take in crossbars, 0 for none but the first.  Decisions leave fewer, or one."""

    shapes: Shapes
    wanted: Dict[int, Wanted]
    room: int
    choices: list[list[Shape]] = field(init=False)
    plainly: list[tuple[Option, ...]] = field(init=False)

    def __post_init__(self) -> None:
        numbers = range(len(self.shapes.mapping.stages))
        spare = self.room - len(self.shapes.mapping.tiles)
        self.choices = [self._shapes(index, spare) for index in numbers]
        self.plainly = [
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
        return shapes if wanted.copies is None else self._of_copies(shapes, wanted.copies)

    def _of_copies(self, shapes: list[Shape], copies: int) -> list[Shape]:
        """Those that can have so many."""
        options = [self.shapes.option(shape) for shape in shapes]
        return [s for s, o in zip(shapes, options, strict=True) if o.most >= copies]

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
        copies = self.wanted.get(index, Wanted()).copies
        if copies is None:
            return option
        return replace(option, copies_least=copies, copies_most=copies)

    def _event_fj(self, shape: Shape) -> int:
        mapping, stage = self.shapes.mapping, shape.stage
        if stage.kind is not Kind.MATRIX:
            return 0
        runs = mapping.streams[stage.output].cols // stage.pixels
        reads = firings(mapping, stage) * runs * stage.reads
        gathered = gathered_bytes(mapping, stage)
        return event_fj(self.shapes.target, shape.tiles, reads, gathered)

    def plainer(self, plan: Plan, budget: Budget) -> Plan:
        """The plan with layers in their first shape again where that keeps the interval and takes
        few more crossbars, the fewest first."""
        choices = list(plan.choices)
        taken = [
            costs(options[c.option], c.copies)
            for options, c in zip(self.plainly, choices, strict=True)
        ]
        left = budget.cap(plan.interval) - np.sum(taken, axis=0)
        swaps: list[tuple[int, int, int]] = []
        for index, choice in enumerate(plan.choices):
            first = self.plainly[index][0]
            copies = copies_within(first, plan.interval)
            if choice.option and copies:
                more = copies * first.held[0] - int(taken[index][0])
                if more <= PLAIN_COST * taken[index][0]:
                    swaps.append((more, index, copies))
        for _, index, copies in sorted(swaps):
            after = costs(self.plainly[index][0], copies)
            if (after - taken[index] <= left).all():
                left = left - (after - taken[index])
                choices[index], taken[index] = Choice(0, copies), after
        held = np.sum(taken, axis=0)[: len(budget.held)]
        return replace(plan, choices=tuple(choices), held=tuple(held.tolist()))

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


def copies_within(option: Option, interval: int) -> int:
    """The fewest copies that are done within an interval, 0 if none are."""
    turns = interval // option.cycles
    if not turns:
        return 0
    copies = max(option.copies_least, -(-option.firings // turns))
    return copies if copies <= option.most else 0

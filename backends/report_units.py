"""What a run says of units that several want: how busy they were, and who waited for whom."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nmc.backends.execute import Execution
from nmc.backends.simulator.result import KINDS, Result, UnitUse, Who

__all__ = ["Contention", "KindTotal", "UnitRow", "Wait", "contention"]


NO_LAYERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Wait:
    """Cycles in which work of the layer `waiter` waited for units of a kind, behind work of the
    layer `holder`.  `units` counts those units, `cores` are those that they belong to."""

    kind: str
    waiter: str
    holder: str
    cycles: int
    units: int
    cores: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit in one chip step of `span` cycles, as `UnitUse` has it; `waits` by layers."""

    step: str
    span: int
    use: UnitUse
    waits: tuple[Wait, ...]

    @property
    def available(self) -> int:
        return self.use.places * self.span

    @property
    def share(self) -> float:
        """Of its cycles those in which it was busy."""
        return self.use.busy / self.available if self.available else 0.0


@dataclass(frozen=True, slots=True)
class KindTotal:
    """All units of a kind, those that `Result.units` lists; `busiest` has the highest share."""

    kind: str
    units: int
    served: int
    available: int
    busy: int
    idle: Mapping[str, int]
    waited: int
    busiest: UnitRow

    @property
    def share(self) -> float:
        return self.busy / self.available if self.available else 0.0


@dataclass(frozen=True, slots=True)
class Contention:
    """A run of `span` cycles, all chip steps together.

    `units` and `waits` are those that were waited for the longest first.  Waits overlap: a sample
    that waits for an ADC keeps its stage, for which the next read waits, and so on up to the wait
    of a sequencer for a semaphore.  So they add up within a kind, not across kinds.
    """

    span: int
    units: tuple[UnitRow, ...]
    kinds: tuple[KindTotal, ...]
    waits: tuple[Wait, ...]


def contention(execution: Execution, layers: Mapping[str, str] = NO_LAYERS) -> Contention:
    """Of a run whose engine has accounted for units; without units of one that has not.

    `layers` has the layer of each stage by their names; stages that it lacks count as layers.
    """
    rows = [
        row
        for step in execution.steps
        if step.result is not None
        for row in unit_rows(step.name, step.result, layers)
    ]
    ranked = sorted(rows, key=lambda row: (-row.use.waited, -row.share, KINDS.index(row.use.kind)))
    return Contention(
        sum(result.span for result in execution.results),
        tuple(ranked),
        tuple(kind_totals(rows)),
        ranking(merged([wait for row in rows for wait in row.waits])),
    )


def unit_rows(step: str, result: Result, layers: Mapping[str, str]) -> Iterator[UnitRow]:
    served = {(use.core, use.index): layer_of(use.label, layers) for use in result.sequencers}
    for use in result.units:
        yield UnitRow(step, result.span, use, ranking(unit_waits(use, served)))


def layer_of(label: str, layers: Mapping[str, str]) -> str:
    """The layer that a sequencer serves; its own label if it serves none."""
    stage = label.rpartition(".")[0] or label
    return layers.get(stage, stage)


def unit_waits(use: UnitUse, layers: Mapping[Who, str]) -> list[Wait]:
    cycles: Counter[tuple[str, str]] = Counter()
    for (waiter, holder), waited in use.waits.items():
        cycles[layers[waiter], layers[holder]] += waited
    cores = use.place[:1]
    return [Wait(use.kind, *pair, waited, 1, cores) for pair, waited in cycles.items()]


def merged(waits: Sequence[Wait]) -> list[Wait]:
    """Of several units of a kind together."""
    held: defaultdict[tuple[str, str, str], list[Wait]] = defaultdict(list)
    for wait in waits:
        held[wait.kind, wait.waiter, wait.holder].append(wait)
    return [
        Wait(
            *key,
            sum(part.cycles for part in parts),
            len(parts),
            tuple(sorted({core for part in parts for core in part.cores})),
        )
        for key, parts in held.items()
    ]


def ranking(waits: Sequence[Wait]) -> tuple[Wait, ...]:
    order = sorted(waits, key=lambda w: (-w.cycles, KINDS.index(w.kind), w.waiter, w.holder))
    return tuple(order)


def kind_totals(rows: Sequence[UnitRow]) -> Iterator[KindTotal]:
    for kind in KINDS:
        of_kind = [row for row in rows if row.use.kind == kind]
        if of_kind:
            idle: Counter[str] = Counter()
            for row in of_kind:
                idle.update(row.use.idle)
            yield KindTotal(
                kind,
                len({row.use.place for row in of_kind}),
                sum(row.use.served for row in of_kind),
                sum(row.available for row in of_kind),
                sum(row.use.busy for row in of_kind),
                dict(sorted(idle.items())),
                sum(row.use.waited for row in of_kind),
                max(of_kind, key=lambda row: row.share),
            )

"""What keeps a mapping from being faster: the units and layers that have work all the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nmc.backends.report_records import LimitingLayer, LimitReport
from nmc.ir.layers import Layer, layers_of
from nmc.ir.mapping import Kind, Stage
from nmc.ir.mapping import Mapping as Layout
from nmc.ir.messages import nearest_port
from nmc.ir.predicting.loads import Unit
from nmc.ir.prediction import Prediction, StagePrediction, StepPrediction
from nmc.ir.stage_time import StageTime
from nmc.ir.target import Target

__all__ = ["at_most", "limit_reports", "part_of", "unit_text"]

ALWAYS = 0.97
"""What is busy for so much of an interval is busy all the time: the rest is rounding and play."""

ONE_COPY = (Kind.MEAN, Kind.CROP, Kind.UPSAMPLE, Kind.BLOCKS, Kind.RELAYOUT)
"""Kinds that go through their input row by row, so that no copies of them can take turns."""


def unit_text(unit: Unit) -> str:
    """``ADC 1 of cluster 0 of core 3``"""
    kind, place = unit
    match kind, place:
        case "adc", (core, cluster, adc):
            return f"ADC {adc} of cluster {cluster} of core {core}"
        case "array", (core, crossbar):
            return f"crossbar {crossbar} of core {core}"
        case "vector", (core,):
            return f"vector unit of core {core}"
        case "link", (source, core):
            return f"link from core {source} to {core}"
        case "port", (core,):
            return f"port of core {core}"
        case _:
            return f"memory port at core {place[0]}"


def limit_reports(layout: Layout, target: Target, prediction: Prediction) -> Iterator[LimitReport]:
    """Of each chip step in turn what sets its interval."""
    for step in prediction.steps:
        if step.stages:
            yield _Limits(layout, target, step).report()


@dataclass(frozen=True, slots=True)
class _Busiest:
    """The stage of a layer that is busy the longest, and whether more copies could take turns."""

    number: int
    name: str
    stage: StagePrediction
    at_most: bool

    @property
    def alone_cycles(self) -> float:
        return self.stage.time.input_cycles


class _Limits:
    def __init__(self, layout: Layout, target: Target, step: StepPrediction) -> None:
        self.layout, self.target, self.step = layout, target, step
        stages = {stage.stage: stage for stage in step.stages}
        self.busiest = {
            number: _busiest(layout, number, layer, stages)
            for number, layer in enumerate(layers_of(layout))
            if layer.first in stages
        }
        self.users = _users(layout, target, self.busiest, stages)

    def report(self) -> LimitReport:
        interval = self.step.interval_cycles
        enough = ALWAYS * interval
        unit, most = self.step.busiest if self.step.loads else (None, 0.0)
        kind = unit[0] if unit else ""
        full = [u for u, n in self.step.loads.items() if u[0] == kind and n >= enough]
        always = [b for b in self.busiest.values() if b.stage.busy_cycles >= enough]
        slowest = max(self.busiest.values(), key=lambda b: b.stage.busy_cycles)
        who = "units" if full else "layers" if always else "nothing"
        if full or (unit and not always and most >= slowest.stage.busy_cycles):
            busy = full or [*filter(None, [unit])]
            users = {number for each in busy for number in self.users.get(each, ())}
            always = [self.busiest[number] for number in sorted(users)]
        else:
            kind, always = part_of(slowest.stage.time), always or [slowest]
        floor = max(
            (b for b in self.busiest.values() if b.at_most),
            key=lambda b: b.alone_cycles,
            default=None,
        )
        return LimitReport(
            self.layout.steps[self.step.step].name,
            who,
            kind,
            round(interval),
            unit_text(unit) if unit else "",
            round(most),
            len(full),
            _number_of(kind, self.target) if full else 0,
            tuple(self.layer(each) for each in always),
            round(floor.alone_cycles) if floor else 0,
            floor.number if floor else -1,
        )

    def layer(self, found: _Busiest) -> LimitingLayer:
        stage = self.layout.stages[found.stage.stage]
        own = {unit for unit, users in self.users.items() if found.number in users}
        beside = {n for unit in own if unit[0] == "adc" for n in self.users[unit]}
        return LimitingLayer(
            found.number,
            found.name,
            part_of(found.stage.time),
            stage.copies,
            found.at_most,
            round(min(found.stage.busy_cycles, self.step.interval_cycles)),
            round(found.alone_cycles),
            tuple(sorted(beside - {found.number})),
        )


def _busiest(
    layout: Layout, number: int, layer: Layer, stages: Mapping[int, StagePrediction]
) -> _Busiest:
    found = max((stages[i] for i in layer.stages), key=lambda stage: stage.busy_cycles)
    first = layout.stages[layer.first]
    return _Busiest(number, layer.name, found, at_most(layout, first))


def at_most(layout: Layout, stage: Stage) -> bool:
    """Whether a copy makes no more than can be dealt out: a read of a matrix, a row of the rest."""
    stream = layout.streams[stage.output]
    if stage.kind in ONE_COPY:
        return True
    if stage.kind is not Kind.MATRIX:
        return stage.copies >= stream.rows
    down, right = stage.grid
    return stage.copies >= -(-stream.rows // down) * -(-stream.cols // right)


def part_of(time: StageTime) -> str:
    """What a stage with all units to itself spends its time with: `adc`, `reads`, `sums`, `vector`
    or `sequencer`."""
    whole = time.firing_cycles
    if time.cores and time.compute_cycles >= whole:
        converting = time.adc_cycles >= ALWAYS * time.firings * whole
        return "adc" if converting else "reads"
    if time.send_cycles >= whole:
        return "sums"
    return "vector" if time.vector_cycles >= whole / 2 else "sequencer"


def _users(
    layout: Layout,
    target: Target,
    busiest: Mapping[int, _Busiest],
    stages: Mapping[int, StagePrediction],
) -> Mapping[Unit, set[int]]:
    """The layers, by number, that work on a unit; of links and ports no one is named."""
    users: defaultdict[Unit, set[int]] = defaultdict(set)
    numbers = {i: n for n, layer in enumerate(layers_of(layout)) for i in layer.stages}
    for index, found in stages.items():
        for unit in _units(layout, target, index, found.time):
            users[unit].add(numbers[index])
    return users


def _units(layout: Layout, target: Target, index: int, time: StageTime) -> Iterable[Unit]:
    stage = layout.stages[index]
    yield "vector", (stage.home,)
    yield "port", (stage.home,)
    for core in time.cores:
        yield from (("adc", adc) for adc in core.adc_cycles)
        yield from (("array", (core.core, crossbar)) for crossbar in core.crossbars)
    reads = any(not layout.streams[operand.stream].producers for operand in stage.operands)
    if reads or layout.streams[stage.output].sinks:
        port = nearest_port(stage.home, target)
        yield "memory", (port,)
        yield "memory-out", (port,)


def _number_of(kind: str, target: Target) -> int:
    """How many units of a kind the chip has; 0 for links, which are not counted."""
    clusters = target.cores * target.clusters_per_core
    return {
        "adc": clusters * target.adc.adcs_per_cluster,
        "array": target.crossbars,
        "vector": target.cores,
        "port": target.cores,
        "memory": len(target.mesh.memory_ports),
        "memory-out": len(target.mesh.memory_ports),
    }.get(kind, 0)

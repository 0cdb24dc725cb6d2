"""How fast a placed mapping will be: interval, latency, what sets them, stage by stage.

The interval is that of many inputs in flight, the latency that of a lone one; `nmc.ir.predicting`
says how they come about.  Nothing is simulated: rows are played, not instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nmc.ir import mapping as m
from nmc.ir.graph import Graph
from nmc.ir.matrices import nodes_by_result
from nmc.ir.predicting.loads import Loads, Unit, unit_loads
from nmc.ir.predicting.passing import passing_times
from nmc.ir.predicting.play import play
from nmc.ir.rows import feed_of
from nmc.ir.stage_time import StageTime, StageTimes
from nmc.ir.target import Target

__all__ = ["Prediction", "StagePrediction", "StepPrediction", "predict", "stage_times"]

FEWEST_INPUTS, MOST_INPUTS = 4, 24
PLAYED_FIRINGS = 8_000
"""Inputs played to find the pace at which outputs come: so many that they fire that often."""

MOST_FIRINGS = 60_000
"""An input of more firings isn't played: stages then count as if nothing held them up."""


@dataclass(frozen=True, slots=True)
class StagePrediction:
    """One stage: `time` of one copy alone; `done_cycles`, when it has sent the last row of a lone
    input; `busy_cycles`, how long of an input it reads or finishes rows when many are in flight,
    with what others take of the same ADCs and vector units."""

    stage: int
    time: StageTime
    done_cycles: float
    busy_cycles: float


@dataclass(frozen=True, slots=True)
class StepPrediction:
    """One chip step.

    `interval_cycles`: from one output to the next with many inputs in flight; `latency_cycles`:
    until the last output of a lone input is there.  `loads`: busy cycles per input of every unit.
    """

    step: int
    interval_cycles: float
    latency_cycles: float
    loads: Loads
    stages: tuple[StagePrediction, ...]

    @property
    def busiest(self) -> tuple[Unit, float]:
        """The unit with most to do for an input, and how many cycles that takes."""
        return max(self.loads.items(), key=lambda item: (item[1], item[0]))

    @property
    def bound_cycles(self) -> float:
        """No schedule of the same tiles and places has a shorter interval."""
        return self.busiest[1]


@dataclass(frozen=True, slots=True)
class Prediction:
    """All chip steps, which follow each other; what the host takes is not in it."""

    steps: tuple[StepPrediction, ...]

    @property
    def interval_cycles(self) -> float:
        return sum(step.interval_cycles for step in self.steps)

    @property
    def latency_cycles(self) -> float:
        return sum(step.latency_cycles for step in self.steps)

    @property
    def stages(self) -> dict[int, StagePrediction]:
        """By their numbers."""
        return {stage.stage: stage for step in self.steps for stage in step.stages}


def predict(mapping: m.Mapping, graph: Graph, target: Target) -> Prediction:
    """What a mapping whose rings have depths will take on its target."""
    times = stage_times(mapping, graph, target)
    chip = [n for n, step in enumerate(mapping.steps) if step.kind is m.StepKind.CHIP]
    return Prediction(tuple(_step(mapping, target, times, step) for step in chip))


def stage_times(mapping: m.Mapping, graph: Graph, target: Target) -> dict[int, StageTime]:
    """Of all stages, by their numbers; a matrix without a place counts as alone on the chip."""
    tiles: dict[int, list[m.Tile]] = {}
    for tile in mapping.tiles:
        tiles.setdefault(tile.stage, []).append(tile)
    outlets = [float(len(stream.sinks)) for stream in mapping.streams]
    for ring in (r for r in mapping.rings if r.parent < 0):
        stage = mapping.stages[ring.stage]
        operand = stage.operands[ring.operand]
        taken = len(feed_of(mapping, stage, operand).rows)
        outlets[operand.stream] += taken / mapping.streams[operand.stream].rows
    nodes, model = nodes_by_result(graph), StageTimes(target)
    return {
        index: model.of(
            mapping,
            stage,
            tiles.get(index, []),
            nodes,
            outlets=outlets[stage.output],
        )
        for index, stage in enumerate(mapping.stages)
    }


def _step(
    mapping: m.Mapping, target: Target, every: Mapping[int, StageTime], step: int
) -> StepPrediction:
    times = {index: every[index] for index, _ in mapping.stages_of(step)}
    loads = unit_loads(mapping, target, times, step)
    if sum(time.firings for time in times.values()) > MOST_FIRINGS:
        done = passing_times(mapping, target, times)
        latency = max(done.values())
        busy: Mapping[int, float] = {index: t.input_cycles for index, t in times.items()}
        pace = max(busy.values())
    else:
        alone = play(mapping, target, times, 1)
        done = {index: max(ends) for index, ends in alone.finish_cycles.items()}
        latency = max(alone.output_cycles)
        pace, busy = _pace(mapping, target, times, max(loads.values()))
    return StepPrediction(
        step,
        max(pace, *loads.values()),
        latency,
        loads,
        tuple(
            StagePrediction(index, time, done[index], busy[index]) for index, time in times.items()
        ),
    )


def _pace(
    mapping: m.Mapping, target: Target, times: Mapping[int, StageTime], bound: float
) -> tuple[float, Mapping[int, float]]:
    """From output to output, of many inputs; and how long of it each stage is busy.

    Where the play comes to no steady pace, it is too hard on layers of many copies, which
    in truth fill each other's gaps; without contention, with `bound` alone as what units can do, it
    is too easy.  The mean is taken.
    """
    firings = sum(time.firings for n, time in times.items() if mapping.stages[n].piece == 0)
    inputs = min(MOST_INPUTS, max(FEWEST_INPUTS, PLAYED_FIRINGS // firings))
    many = play(mapping, target, times, inputs, until_steady=True)
    pace = many.interval_cycles or 0.0
    if many.repeats:
        return pace, many.busy_cycles
    if many.shares:
        calm = play(mapping, target, times, inputs, until_steady=True, sharing=False)
        pace = (pace + max(calm.interval_cycles or 0.0, bound)) / 2
    return pace, {n: min(busy, pace) for n, busy in many.busy_cycles.items()}

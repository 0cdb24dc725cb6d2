"""Predicted beside simulated: interval, latency, energy, and when each layer is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from nmc.backends.energy import energy_of
from nmc.backends.energy.runs import mac_count
from nmc.backends.report_prediction import predicted_energy
from nmc.backends.simulator.fast import run_timing
from nmc.backends.simulator.result import Result
from nmc.ir.layers import layers_of
from nmc.ir.mapping import Kind
from nmc.ir.prediction import Prediction, StepPrediction, predict

if TYPE_CHECKING:
    # Containers hold reports: they may not be loaded from here.
    from nmc.backends.container.contents import Contents

__all__ = ["Compared", "Comparison", "StageComparison", "compare", "steady_interval"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure, predicted and simulated."""

    predicted: float
    simulated: float

    @property
    def error(self) -> float:
        """How much the prediction is too high, as a share of what was simulated."""
        return self.predicted / self.simulated - 1 if self.simulated else 0.0


@dataclass(frozen=True, slots=True)
class StageComparison:
    """When a layer's last part has sent its last row of a lone input, in its chip step."""

    name: str
    step: int
    done_cycles: Compared


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of all chip steps together, in a run of `inputs` inputs in flight and one of a lone input.

    `interval_cycles`: the pace of outputs, without the first ones and the last ones.  `energy_j`:
    of an input of the longer run.  `busiest_share`: of that pace, how much the busiest ADC is busy.
    """

    inputs: int
    interval_cycles: Compared
    latency_cycles: Compared
    energy_j: Compared
    busiest_share: float
    stages: tuple[StageComparison, ...]


def compare(contents: Contents, inputs: int, *, prediction: Prediction | None = None) -> Comparison:
    """Simulate the time, without values, of a lone input and of `inputs` (3 or more) in flight."""
    target = contents.target
    prediction = prediction or predict(contents.mapping, contents.graph, target)
    alone = [run_timing(program, target, 1) for program in contents.programs]
    many = [run_timing(program, target, inputs) for program in contents.programs]
    took = [s.latency_cycles + (inputs - 1) * s.interval_cycles for s in prediction.steps]
    runs = list(zip(contents.programs, many, strict=True))
    interval = sum(steady_interval(run.output_cycles) for run in many)
    return Comparison(
        inputs,
        Compared(prediction.interval_cycles, interval),
        Compared(prediction.latency_cycles, sum(run.latency_cycles for run in alone)),
        Compared(
            predicted_energy(contents, took, inputs).energy_j,
            energy_of(runs, target, mac_count(contents.mapping)).energy_j,
        ),
        max((_busiest(run, inputs) for run in many), default=0.0),
        tuple(
            stage
            for step, run in zip(prediction.steps, alone, strict=True)
            for stage in _stages(contents, step, run)
        ),
    )


def steady_interval(output_cycles: Sequence[int]) -> float:
    """Mean distance of outputs in the middle third: the first fill the pipeline, and the last have
    more of the chip to themselves."""
    distances = [after - before for before, after in pairwise(output_cycles)]
    chosen = distances[len(distances) // 3 : 2 * len(distances) // 3 + 1]
    return sum(chosen) / len(chosen)


def _busiest(run: Result, inputs: int) -> float:
    busy = max((use.busy for use in run.adcs.values()), default=0) / inputs
    return busy / steady_interval(run.output_cycles)


def _stages(contents: Contents, step: StepPrediction, alone: Result) -> list[StageComparison]:
    mapping = contents.mapping
    halted = {(use.core, use.index): use.halted for use in alone.sequencers}
    ended: Mapping[int, int] = {
        use.stage: halted[use.core, use.sequencer]
        for use in mapping.sequencers
        if use.step == step.step
        and use.role == ("post" if mapping.stages[use.stage].kind is Kind.MATRIX else "rows")
    }
    expected = {stage.stage: stage.done_cycles for stage in step.stages}
    return [
        StageComparison(
            layer.name,
            step.step,
            Compared(
                max(expected[stage] for stage in layer.stages),
                max(ended[stage] for stage in layer.stages),
            ),
        )
        for layer in layers_of(mapping)
        if mapping.stages[layer.first].step == step.step
    ]

"""Runs a compiled model: host steps with onnxruntime, chip steps on the simulator, in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from nmc.backends.container.contents import Contents
from nmc.backends.host import OrtHost
from nmc.backends.program_places import ProgramPlaces, explained, race_diagnostics
from nmc.backends.simulator import MAX_CYCLES, Race, Result, simulate
from nmc.backends.simulator.machine import Machine, sram_sizes
from nmc.ir.border import is_recoding
from nmc.ir.diagnostics import Diagnostic, NmcError, error
from nmc.ir.graph import Array, Graph, Value
from nmc.ir.mapping import Step, StepKind
from nmc.ir.program import Program
from nmc.ir.target import Target

__all__ = ["Execution", "StepRun", "execute", "races_found", "validate_inputs"]

LANE_BYTES = 1 << 29
"""About how much simulated memory is held at once; more samples run in parts."""


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run; `result` has the timing of a chip step, and None for a host step.

    `recodes` says of a host step that it does nothing but recode what enters or leaves the chip.
    Timing does not depend on data, so all parts of a large batch have it in common.
    """

    name: str
    kind: StepKind
    wall_s: float
    result: Result | None = None
    recodes: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """A run of `samples` inputs, `inflight` of them on the chip at a time.

    `outputs` are [samples, *one sample] by name.  Cycles are the chip's; a model of several chip
    steps passes each batch from one to the next, so their cycles add up.  The host's time is not
    counted in cycles.
    """

    outputs: dict[str, Array]
    samples: int
    inflight: int
    steps: tuple[StepRun, ...]
    wall_s: float

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(step.result for step in self.steps if step.result is not None)

    @property
    def cycles(self) -> int:
        """Until the last output of the inputs in flight."""
        return sum(result.cycles for result in self.results)

    @property
    def latency_cycles(self) -> int:
        """Until the last byte of the first input's outputs."""
        if not self.results:
            return 0
        *before, last = self.results
        return sum(result.cycles for result in before) + last.latency_cycles

    @property
    def interval_cycles(self) -> float | None:
        """Between inputs in the steady state; None with one in flight."""
        intervals = [result.interval_cycles for result in self.results]
        known = [interval for interval in intervals if interval is not None]
        return sum(known) if known and len(known) == len(intervals) else None

    @property
    def instructions(self) -> int:
        return sum(result.instructions for result in self.results)

    @property
    def stalls(self) -> Counter[str]:
        """Cycles by cause, summed over sequencers; all semaphores count as `wait`."""
        total: Counter[str] = Counter()
        for result in self.results:
            for use in result.sequencers:
                for cause, cycles in use.stalls.items():
                    total["wait" if cause.startswith("wait") else cause] += cycles
        return total

    @property
    def adc_utilization(self) -> float:
        """Share of cycles in which an ADC converts, over those ADCs that have anything to do."""
        busy = available = 0
        for result in self.results:
            active = [use for use in result.adcs.values() if use.conversions]
            busy += sum(use.busy for use in active)
            available += len(active) * result.cycles
        return busy / available if available else 0.0

    @property
    def busiest_adc_utilization(self) -> float:
        """The same of the one ADC that has most to do."""
        busy: Counter[tuple[int, int, int]] = Counter()
        for result in self.results:
            busy.update({place: use.busy for place, use in result.adcs.items()})
        return max(busy.values(), default=0) / self.cycles if self.cycles else 0.0

    @property
    def races(self) -> tuple[Race, ...]:
        return tuple(race for result in self.results for race in result.races)


def execute(
    contents: Contents,
    inputs: Mapping[str, Array],
    *,
    inflight: int = 1,
    engine: str | None = None,
    max_cycles: int = MAX_CYCLES,
    detect_races: bool = False,
    lanes_limit: int | None = None,
    progress: Callable[[int], None] | None = None,
    attach: Callable[[str, Machine], None] | None = None,
) -> Execution:
    """Run all steps on all samples; `inputs` as `validate_inputs` takes them.

    `lanes_limit` bounds how many groups of `inflight` samples are simulated side by side (by
    default as many as fit into LANE_BYTES).  `progress` is called with the cycle now and then,
    `attach` with each chip step's name and the reference engine's machine, before it is launched
    with the first part of the samples.
    NmcError: what `validate_inputs`, the host and the simulator refuse.
    """
    start = time.perf_counter()
    arrays = validate_inputs(contents, inputs)
    samples = next((len(a) for a in arrays.values()), 1)
    env = {v.name: arrays[v.name].reshape(samples, *v.type.shape) for v in contents.graph.inputs}
    host, programs, runs = OrtHost(), contents.program_of, []
    for step in contents.mapping.steps:
        begun = time.perf_counter()
        result = None
        if step.kind is StepKind.HOST:
            env |= run_host(step, contents.host_models[step.name], env, samples, host)
        else:
            program = programs[step.name]
            lanes = lanes_limit or fitting_lanes(program, inflight)
            with explaining(contents, step):
                made, result = run_chip(
                    program,
                    contents.target,
                    {name: env[name] for name in step.inputs},
                    lanes * inflight,
                    inflight=inflight,
                    engine=engine,
                    max_cycles=max_cycles,
                    detect_races=detect_races,
                    progress=progress,
                    attach=partial(attach, step.name) if attach is not None else None,
                )
            env |= made
        wall_s = time.perf_counter() - begun
        runs.append(StepRun(step.name, step.kind, wall_s, result, only_recodes(contents, step)))
    outputs = {v.name: output(v, env, samples) for v in contents.graph.outputs}
    return Execution(outputs, samples, inflight, tuple(runs), time.perf_counter() - start)


@contextmanager
def explaining(contents: Contents, step: Step) -> Iterator[None]:
    """Problems of the program leave it with assembly line, layer and ONNX node."""
    try:
        yield
    except NmcError as problem:
        raise explained(problem, ProgramPlaces.of(contents, step.name)) from problem


def races_found(contents: Contents, execution: Execution) -> list[Diagnostic]:
    """The races of a run that looked for them, as errors with their places."""
    return [
        diagnostic
        for step in execution.steps
        if step.result is not None and step.result.races
        for diagnostic in race_diagnostics(step.result.races, ProgramPlaces.of(contents, step.name))
    ]


def output(value: Value, env: Mapping[str, Array], samples: int) -> Array:
    if value.data is not None:
        array = np.broadcast_to(value.data, (samples, *value.type.shape))
    else:
        array = env[value.name]
    return array.reshape(samples, *value.type.sample_shape)


# Steps


def run_host(
    step: Step, model: bytes, env: Mapping[str, Array], samples: int, host: OrtHost
) -> dict[str, Array]:
    """Sample by sample, as the model has them one at a time."""
    rows = [host.run(model, {name: env[name][i] for name in step.inputs}) for i in range(samples)]
    return {name: np.stack([row[name] for row in rows]) for name in step.outputs}


def only_recodes(contents: Contents, step: Step) -> bool:
    """Whether a step is the host's and computes nothing."""
    members = set(step.nodes)
    nodes = (node for node in contents.graph if node.outputs[0].name in members)
    return step.kind is StepKind.HOST and all(map(is_recoding, nodes))


def fitting_lanes(program: Program, inflight: int) -> int:
    """How many lanes fit into LANE_BYTES: the memory that the program touches, and as much again
    for bytes that are under way."""
    lane = sum(sram_sizes(program, inflight).values()) + inflight * program.frame_bytes
    return max(1, LANE_BYTES // max(2 * lane, 1))


def run_chip(
    program: Program,
    target: Target,
    inputs: Mapping[str, Array],
    part: int,
    *,
    inflight: int,
    engine: str | None,
    max_cycles: int,
    detect_races: bool,
    progress: Callable[[int], None] | None,
    attach: Callable[[Machine], None] | None,
) -> tuple[dict[str, Array], Result]:
    """Outputs of all samples, `part` of them at a time, and the timing that all parts have.

    Races depend on timing alone, so they are looked for once.
    """
    count = next((len(a) for a in inputs.values()), 1)
    first: Result | None = None
    pieces: list[Mapping[str, Array]] = []
    for begin in range(0, count, part):
        result = simulate(
            program,
            target,
            {name: array[begin : begin + part] for name, array in inputs.items()},
            inflight=inflight,
            engine=engine,
            max_cycles=max_cycles,
            progress=progress,
            detect_races=detect_races and first is None,
            attach=attach if first is None else None,
        )
        first = first or result
        if result.output_cycles != first.output_cycles:
            raise RuntimeError(f"timing depends on data: {result.cycles}, {first.cycles} cycles")
        pieces.append(result.outputs)
    if first is None:
        raise RuntimeError("there is no sample to run")
    names = pieces[0]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in names}, first


# Inputs


def validate_inputs(model: Contents | Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Each input as [samples, *one sample], in the graph's order.

    Takes one sample alone, [samples, *one sample], or that with the model's own leading 1.
    NmcError `bad-data-shape` with every input that is missing, unknown or of another type.
    """
    graph = model if isinstance(model, Graph) else model.graph
    known = {v.name for v in graph.inputs}
    problems = [
        error("bad-data-shape", f"the model has no input `{name}`; it has {spelled(known)}")
        for name in arrays
        if name not in known
    ]
    result = {}
    for value in graph.inputs:
        try:
            result[value.name] = validated(value, arrays)
        except NmcError as problem:
            problems += problem.diagnostics
    counts = {name: len(array) for name, array in result.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"`{name}` has {count}" for name, count in counts.items())
        problems.append(
            error("bad-data-shape", f"inputs differ in their number of samples: {said}")
        )
    if problems:
        raise NmcError(*problems)
    return result


def validated(value: Value, arrays: Mapping[str, Array]) -> Array:
    wanted, type_ = value.type.sample_shape, value.type
    expected = f"[samples{''.join(f', {n}' for n in wanted)}] of {type_.dtype}"
    if value.name not in arrays:
        message = f"input `{value.name}` is missing: {expected}; given are {spelled(arrays)}"
        raise NmcError(error("bad-data-shape", message))
    array = np.asarray(arrays[value.name])
    if array.shape == wanted:
        array = array[None]
    good = array.ndim and len(array) and array.shape[1:] in (wanted, type_.shape)
    if not good or array.dtype != type_.numpy:
        got = f"{list(np.shape(arrays[value.name]))} of {array.dtype}"
        message = f"input `{value.name}` must be {expected}; the data is {got}"
        raise NmcError(error("bad-data-shape", message))
    return array.reshape(len(array), *wanted)


def spelled(names: object) -> str:
    listed = sorted(str(name) for name in names) if isinstance(names, set | Mapping) else []
    return ", ".join(f"`{name}`" for name in listed) or "none"

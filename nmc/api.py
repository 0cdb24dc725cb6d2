"""The Python API: `compile`, `load`, `check`, and what they give back."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from threadpoolctl import threadpool_limits

import nmc
from nmc import data
from nmc.backends.container import Contents, ModelInfo, contents_of, read_container, write_container
from nmc.backends.container.contents import Option
from nmc.backends.energy import EnergyReport, energy_of_run
from nmc.backends.execute import Execution, execute
from nmc.backends.report_data import ReportData, report_data
from nmc.backends.report_units import Contention, contention
from nmc.backends.simulator import MAX_CYCLES
from nmc.backends.simulator.machine import Machine
from nmc.backends.trace import MAX_EVENTS, Recorder, Trace, check_ending, write_trace
from nmc.checking import Verdict, check_model
from nmc.compiling import Compilation, Wish, compile_design, rarely_collecting
from nmc.data import InputData
from nmc.frontend import Source
from nmc.frontend.kinds import foreign_kind
from nmc.frontend.wire import scan
from nmc.ir.design import Outlook
from nmc.ir.diagnostics import Diagnostic, NmcError, Report, error
from nmc.ir.graph import Array
from nmc.ir.layers import layer_names
from nmc.ir.target import Target
from nmc.output import atomic, check_writable
from nmc.pipeline import Observer
from nmc.plan import plan_source, read_plan
from nmc.verifying import Demands, Verification, verify

__all__ = ["Compiled", "Run", "check", "compile", "contents_from", "load"]

Shapes = Mapping[str, tuple[int, ...]]

HEAD_BYTES = 1 << 20
"""Of a file that is looked at to tell what it is."""


@dataclass(frozen=True, slots=True)
class Run:
    """One simulated run.  `outputs` are [samples, *one sample] by name.

    `cycles` last until the last of the inputs in flight is done, `latency_cycles` until the
    first; `interval_cycles` is their mean distance, None with one in flight.  The last inputs have
    the chip to themselves, so that with few in flight it is a little under the long run's.
    """

    outputs: dict[str, Array]
    samples: int
    execution: Execution
    contents: Contents = field(repr=False)
    _report: ReportData | None = field(default=None, init=False, repr=False)

    def __repr__(self) -> str:
        listed = ", ".join(f"{n} {a.dtype}{list(a.shape)}" for n, a in self.outputs.items())
        return f"<Run of {self.samples} samples, {self.cycles} cycles: {listed}>"

    @property
    def cycles(self) -> int:
        return self.execution.cycles

    @property
    def latency_cycles(self) -> int:
        return self.execution.latency_cycles

    @property
    def interval_cycles(self) -> float | None:
        return self.execution.interval_cycles

    @property
    def instructions(self) -> int:
        return self.execution.instructions

    @property
    def stalls(self) -> dict[str, int]:
        """Cycles by cause, summed over sequencers."""
        return dict(self.execution.stalls)

    @property
    def adc_utilization(self) -> float:
        return self.execution.adc_utilization

    @property
    def contention(self) -> Contention:
        """How busy each unit was, why it was idle, and which layer waited for which."""
        return contention(self.execution, layer_names(self.contents.mapping))

    @property
    def energy(self) -> EnergyReport:
        """What the inputs in flight cost: by component, layer and core, per MAC, beside GPUs."""
        return energy_of_run(self.contents, self.execution)

    @property
    def energy_j(self) -> float:
        """Of one input, on the chip."""
        return self.energy.energy_j

    @property
    def wall_s(self) -> float:
        return self.execution.wall_s


@dataclass(eq=False, slots=True)
class Compiled:
    """A mapping file in memory: what `compile` makes and `load` reads."""

    contents: Contents = field(repr=False)
    _report: ReportData | None = field(default=None, init=False, repr=False)

    def __repr__(self) -> str:
        manifest, mapping = self.contents.manifest, self.contents.mapping
        return (
            f"<Compiled {manifest.model.name} on {manifest.target}: "
            f"{len(mapping.stages)} stages, {len(mapping.tiles)} tiles>"
        )

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Warnings and notes of the compilation."""
        return self.contents.diagnostics

    @property
    def target(self) -> Target:
        return self.contents.target

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mapping file; whole, or not at all."""
        with rarely_collecting():
            write_container(Path(path), self.contents, self.report())

    def inputs(self, x: Any, *, samples: int = 1) -> InputData:
        """Data for the model's inputs: a text as on the command line (`X.npz:key`, `random:1`),
        several of them, an array, or a mapping of arrays by input name."""
        values = self.contents.graph.inputs
        if isinstance(x, InputData):
            return x
        if isinstance(x, str | os.PathLike):
            return data.read_inputs([os.fspath(x)], values, samples=samples)
        if isinstance(x, Sequence) and x and all(isinstance(each, str) for each in x):
            return data.read_inputs(list(x), values, samples=samples)
        return data.from_arrays(x, values)

    def run(
        self,
        x: Any,
        *,
        inflight: int = 1,
        engine: str | None = None,
        max_cycles: int = MAX_CYCLES,
        detect_races: bool = False,
        progress: Callable[[int], None] | None = None,
        attach: Callable[[str, Machine], None] | None = None,
    ) -> Run:
        """Simulate the program on inputs; `inflight` of them share the chip at a time.

        `engine` is `fast` or `reference`; both give the same, and `fast` is the default.  `attach`
        is that of a `nmc.backends.trace.Recorder` or a `nmc.backends.debugger.Debugger`, which
        watch the engine `reference`; it is then the one that runs.
        """
        check_count("inflight", inflight)
        check_count("max_cycles", max_cycles)
        given = self.inputs(x, samples=inflight)
        with threadpool_limits(1):
            done = execute(
                self.contents,
                given.arrays,
                inflight=inflight,
                engine=engine,
                max_cycles=max_cycles,
                detect_races=detect_races,
                progress=progress,
                attach=attach,
            )
        return Run(dict(done.outputs), given.samples, done, self.contents)

    def trace(
        self,
        path: str | os.PathLike[str],
        x: Any = "random",
        *,
        inflight: int = 1,
        window: tuple[int, int] | None = None,
        limit: int = MAX_EVENTS,
    ) -> Trace:
        """Simulate on inputs and write what every unit did: `.pftrace` or `.json`.

        `window` is the cycles (first, end) that are looked at, `limit` the most events kept.
        """
        place = Path(path)
        check_ending(place)
        check_writable(place)
        recorder = Recorder(self.contents, window=window, limit=limit)
        self.run(x, inflight=inflight, attach=recorder.attach)
        made = recorder.trace()
        with atomic(place) as stream:
            write_trace(made, stream, place.suffix)
        return made

    def verify(
        self,
        model: Source | None = None,
        x: Any = "random",
        *,
        labels: Any = None,
        samples: int | None = None,
        per_layer: bool = False,
        demands: Demands | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Verification:
        """Compare simulated outputs with the quantised graph's, and with the model's own."""
        if samples is not None:
            check_count("samples", samples)
        made = samples or DEFAULT_SAMPLES
        with threadpool_limits(1):
            return verify(
                self.contents,
                model,
                self.inputs(x, samples=made),
                labels=labels,
                samples=samples,
                per_layer=per_layer,
                demands=demands or Demands(),
                progress=progress,
            )

    def report(self) -> ReportData:
        """Which layer lies where, how full, how often each ADC converts, what the host does."""
        if self._report is None:
            self._report = report_data(self.contents)
        return self._report


DEFAULT_SAMPLES = 16


def compile(
    model: Source,
    target: str | Target = "spin-128",
    *,
    calib: Any = None,
    input_shapes: Shapes | None = None,
    set: str | Sequence[str] = (),
    mesh: str = "",
    seed: int = 0,
    host_ops: str = "allow",
    pipeline: str = "@default",
    objective: str = "",
    plan: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
) -> Compiled:
    """Compile an ONNX model (a path, bytes or a ModelProto) for a target.

    `calib` are inputs like those the model will see: a text as on the command line, an array, or
    a mapping of arrays by input name; a float model without them is calibrated on random inputs,
    with a Python warning beside that in `.diagnostics`.  `set` are `KEY=VALUE` texts, or one, that
    change the target.  `objective` is what ways and copies of layers are chosen for (`throughput`,
    `latency`, `energy`), `plan` a plan file that decides about some of them.  NmcError carries
    every problem that could be found.
    """
    check_model_kind(model)
    check_count("seed", seed, least=0)
    wish = Wish(
        model,
        target=target,
        calib=calib,
        input_shapes=dict(input_shapes or {}),
        overrides=overrides_of(set),
        mesh=mesh,
        seed=seed,
        host_ops=host_ops,
        pipeline=pipeline,
        objective=objective,
        plan=read_plan(Path(plan)) if plan else {},
        plan_source=plan_source(Path(plan)) if plan else "",
    )
    with threadpool_limits(1):
        compiled = Compiled(contents_from(compile_design(wish, Report(), observer=observer)))
    for each in compiled.diagnostics:
        if each.code == "random-calibration":
            warnings.warn(f"{each.message}; {each.remedy}", stacklevel=2)
    return compiled


def contents_from(done: Compilation) -> Contents:
    """The mapping file of a compilation that went all the way."""
    wish = done.wish
    shapes = (f"{name}={','.join(map(str, s))}" for name, s in sorted(wish.input_shapes.items()))
    return contents_of(
        done.design,
        model=ModelInfo(PurePath(done.model.file).name, done.model.sha256),
        pipeline=str(done.pipeline),
        tool_version=nmc.__version__,
        options={
            "host_ops": wish.host_ops,
            "input_shapes": tuple(shapes),
            "mesh": wish.mesh,
            "plan": wish.plan_source,
            "set": tuple(wish.overrides),
            **chosen(done.design.outlook),
        },
        diagnostics=done.report,
    )


def chosen(outlook: Outlook | None) -> dict[str, Option]:
    """What ways and copies were chosen for, and how near that came to the best; in fJ for energy,
    else in cycles.  Nothing where there was no choice."""
    if outlook is None:
        return {}
    return {
        "objective": outlook.objective,
        "objective_bound": outlook.bound,
        "objective_value": outlook.value,
    }


def overrides_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """`KEY=VALUE` texts from one or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def check_model_kind(model: object) -> None:
    """`bad-option` for what can't be a model."""
    if not isinstance(model, str | os.PathLike | bytes) and not hasattr(model, "opset_import"):
        kind = type(model).__name__
        message = f"a model is a path, bytes or an onnx.ModelProto, not {kind}"
        raise NmcError(error("bad-option", message))


def check_count(name: str, value: object, *, least: int = 1) -> None:
    """`bad-option` for what is no whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        message = f"`{name}` is {value!r:.40}; it must be a whole number, at least {least}"
        raise NmcError(error("bad-option", message))


def load(path: str | os.PathLike[str]) -> Compiled:
    """Read a mapping file.  NmcError says which member is wrong, and how."""
    try:
        return Compiled(read_container(Path(path)))
    except NmcError as failure:
        found = (
            replace(d, remedy=d.remedy or archive_help(Path(path), d)) for d in failure.diagnostics
        )
        raise NmcError(*found) from None


def archive_help(path: Path, problem: Diagnostic) -> str:
    """What a file that is no sound mapping file probably is."""
    if problem.code != "bad-archive" or problem.loc.member:
        return ""
    made = "a mapping file is what `nmc compile` writes"
    with suppress(OSError), path.open("rb") as stream:
        start = stream.read(HEAD_BYTES)
        if start.startswith(b"PK"):
            if zipfile.is_zipfile(path):
                return f"this is another zip archive; {made}"
            return "was it cut short? copy it again, or compile it again"
        if scan(start).looks_like_a_model:
            return f"this looks like an ONNX model; compile it first: nmc compile {path}"
        kind = foreign_kind(start)
        if kind is not None:
            return f"this is {kind.what}; {made}"
    return made


def check(
    model: Source,
    target: str | Target = "spin-128",
    *,
    input_shapes: Shapes | None = None,
    set: str | Sequence[str] = (),
    mesh: str = "",
    host_ops: str = "allow",
) -> Verdict:
    """Say whether a model compiles, what runs where, and what is in the way."""
    check_model_kind(model)
    wish = Wish(
        model,
        target=target,
        input_shapes=dict(input_shapes or {}),
        overrides=overrides_of(set),
        mesh=mesh,
        host_ops=host_ops,
    )
    with threadpool_limits(1):
        return check_model(wish)

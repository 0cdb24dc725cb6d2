"""The driver: from a model and a wish to a design that the passes have worked on."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from nmc import data, targets
from nmc.backends.host import OrtHost
from nmc.fitting import mesh_override, run_fitting
from nmc.frontend import ReadModel, Source, import_model, read_model
from nmc.ir import ops
from nmc.ir.abilities import is_mover, varying
from nmc.ir.costs import macs
from nmc.ir.design import Calibration, Decision, Design
from nmc.ir.diagnostics import Diagnostic, NmcError, Report, error, warning
from nmc.ir.graph import Graph, Value
from nmc.ir.target import Target
from nmc.options import OptionError, options_of
from nmc.passes.replicate import Replicate
from nmc.pipeline import Observer, Pipeline

__all__ = [
    "Compilation",
    "Wish",
    "calibrated",
    "compile_design",
    "host_allowed",
    "is_float",
    "rarely_collecting",
    "read_input_shapes",
    "target_of",
]

AUTO = "auto"
"""The wish for the smallest mesh that holds the model."""

LEAST_SAMPLES = 4
CALIBRATION_MACS = 16_000_000_000
"""Random inputs for calibration are so many that the network takes about this much for all."""

COLLECTING = (100_000, 20, 20)
"""Thresholds of the cycle collector: objects made, and how often the older ones are looked at."""

MATRICES = (ops.Conv, ops.ConvTranspose, ops.MatMul)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a compilation was asked for; the words of `nmc compile`.

    `plan_source` says where the plan is from, for the record.
    """

    model: Source
    target: str | Target = targets.DEFAULT
    calib: Any = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    overrides: Sequence[str] = ()
    mesh: str = ""
    seed: int = 0
    host_ops: str = "allow"
    pipeline: str = "@default"
    objective: str = ""
    plan: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    plan_source: str = ""


@dataclass(frozen=True, slots=True)
class Compilation:
    """What came of a wish: the design, and all that its record needs to say of how it came."""

    wish: Wish
    model: ReadModel
    design: Design
    pipeline: Pipeline
    report: Report


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """A compilation makes millions of small records, none of them in cycles: to look for cycles
    among them as often as Python usually does takes a tenth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(*COLLECTING)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@rarely_collecting()
def compile_design(
    wish: Wish,
    report: Report,
    *,
    observer: Observer | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> Compilation:
    """Import, calibrate, run the pipeline.  NmcError with every problem that could be found."""
    target = target_of(wish, report)
    pipeline = aimed(Pipeline.parse(wish.pipeline).resolved(wish.seed), wish)
    level = pipeline.check_levels()
    if level != "program":
        raise NmcError(incomplete(level))
    announce("import")
    model = read_model(wish.model)
    graph = import_model(model, input_shapes=wish.input_shapes, report=report)
    calibration = calibrated(wish.calib, graph, target, wish.seed, report)
    design = Design(
        graph,
        target,
        calibration,
        seed=wish.seed,
        host_ops=host_allowed(wish.host_ops),
        host=OrtHost(),
        decisions=dict(wish.plan),
    )
    pipeline = run_fitting(pipeline, design, report, auto=wish.mesh == AUTO, observer=observer)
    return Compilation(wish, model, design, pipeline, report)


def aimed(pipeline: Pipeline, wish: Wish) -> Pipeline:
    """The pipeline with the wish's objective; `bad-option` if no pass would heed that or a plan."""
    if not any(isinstance(step, Replicate) for step in pipeline.passes):
        for name, is_given in (("objective", wish.objective), ("plan", wish.plan)):
            if is_given:
                message = f"`{name}` is given, and the pipeline has no pass `replicate` to heed it"
                raise NmcError(error("bad-option", message))
    if not wish.objective:
        return pipeline
    (option,) = (each for each in options_of(Replicate) if each.name == "objective")
    try:
        objective = option.read([wish.objective])
    except OptionError as problem:
        raise NmcError(error("bad-option", f"objective {problem}")) from None
    steps = (
        replace(step, objective=objective) if isinstance(step, Replicate) else step
        for step in pipeline.passes
    )
    return Pipeline(tuple(steps))


def incomplete(level: str) -> Diagnostic:
    message = f"the pipeline ends at level `{level}`; a mapping file needs all, `codegen` the last"
    remedy = "`nmc opt` runs a part of the passes and prints what comes of them"
    return error("bad-pipeline", message, remedy=remedy)


def target_of(wish: Wish, report: Report) -> Target:
    """The target with `--set` and `--mesh` applied; `bad-option` for a mesh that is none."""
    given = wish.target
    if isinstance(given, Target):
        target = targets.override(given, wish.overrides, report) if wish.overrides else given
    else:
        target = targets.load(given, wish.overrides, report)
    if not wish.mesh or wish.mesh == AUTO:
        return target
    wanted = mesh_override(wish.mesh, target)
    try:
        return targets.override(target, wanted)
    except NmcError as failure:
        notes = [d.message for d in failure.diagnostics]
        message = f"`--mesh {wish.mesh}`: no chip can have this mesh"
        raise NmcError(error("bad-option", message, notes=notes)) from None


def host_allowed(text: str) -> bool:
    if text not in ("allow", "deny"):
        raise NmcError(error("bad-option", f"host_ops is `{text}`; it can be allow or deny"))
    return text == "allow"


def read_input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`name=1,3,224,224` by name; `bad-input-shape` for what isn't that."""
    shapes = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        numbers = [size.strip() for size in sizes.split(",")]
        if not equals or not name or not all(n.isdecimal() and len(n) < 12 for n in numbers):
            message = f"`--input-shape {text}` can't be read"
            remedy = "write NAME=SIZES, such as image=1,3,224,224"
            raise NmcError(error("bad-input-shape", message, remedy=remedy))
        shapes[name] = tuple(map(int, numbers))
    return shapes


# Calibration


def calibrated(
    given: Any, graph: Graph, target: Target, seed: int, report: Report
) -> Calibration | None:
    """Calibration inputs: from texts of the command line, or arrays.

    Where none are given, made-up ones with a warning, if anything depends on them: the scales of a
    float model, or the ranges of ADCs that can't convert every value.
    """
    if isinstance(given, Calibration):
        return given
    if isinstance(given, str):
        given = (given,)
    if given is None or (isinstance(given, Sequence) and not len(given)):
        return made_up(graph, target, seed, report)
    if isinstance(given, Sequence) and all(isinstance(each, str) for each in given):
        return data.calibration(given, graph.inputs, seed, report)
    arrays = data.from_arrays(given, graph.inputs)
    return Calibration(arrays.arrays, arrays.origin)


def made_up(graph: Graph, target: Target, seed: int, report: Report) -> Calibration | None:
    """Random calibration inputs, unless nothing would depend on them."""
    count = random_samples(graph)
    if is_float(graph):
        return data.calibration((), graph.inputs, seed, report, samples=count)
    if target.adc.range != "calibrated" or target.lossless(target.crossbar.rows):
        return None
    made = data.calibration((), graph.inputs, seed, Report(), samples=count)
    message = f"the ADCs' ranges are chosen on {made.samples} random inputs"
    remedy = "give inputs like those the model will see: --calib DATA.npz"
    report.add(warning("random-calibration", message, remedy=remedy))
    return made


def random_samples(graph: Graph) -> int:
    """As many as a calibration usually has; of a large network, for which they say as little and
    take long, fewer."""
    whole = max(1, sum(map(macs, graph)))
    return max(LEAST_SAMPLES, min(data.RANDOM_CALIBRATION_SAMPLES, CALIBRATION_MACS // whole))


def is_float(graph: Graph) -> bool:
    """Whether some matrix of the graph works on activations that no quantised value gives."""
    matrices = [n for n in graph if isinstance(n.op, MATRICES) and len(varying(n)) == 1]
    return not all(is_dequantized(varying(node)[0]) for node in matrices)


def is_dequantized(value: Value) -> bool:
    """Whether a value stands for integers, moved about perhaps."""
    producer = value.producer
    if producer is None:
        return False
    if isinstance(producer.op, ops.Dequantize | ops.DequantizeAxis):
        return True
    return is_mover(producer) and all(is_dequantized(v) for v in varying(producer))

"""`verify`: simulated outputs against the quantised graph's, and against the model's own.

Three computations on the same inputs: the simulator executes the program; the interpreter the
quantised graph, which on a machine of lossless reads must give the same bits; and onnxruntime,
with its default options, the model that it all came from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nmc import data
from nmc.backends.container import Contents
from nmc.backends.execute import execute
from nmc.backends.host import OrtHost
from nmc.comparing import Comparison, compare, winners
from nmc.compiling import read_input_shapes
from nmc.data import InputData, sample_shape
from nmc.frontend import ReadModel, Source, import_model, read_model
from nmc.ir import ops
from nmc.ir.diagnostics import Diagnostic, NmcError, Report, error, warning
from nmc.ir.graph import Array, Graph, Quant, Value
from nmc.ir.interpreter import run_graph_batch
from nmc.ir.mapping import Stage
from nmc.original import Original

__all__ = ["Demands", "LayerQuality", "Verification", "run_quantized", "verify"]

QUANTIZED = re.compile(r"\.q(\.\d+)?$")
"""What the pass `quantize` adds to the name of a value when it makes integers of it."""


@dataclass(frozen=True, slots=True)
class Demands:
    """Thresholds that decide between success and exit code 5."""

    exact: bool = False
    min_snr_db: float | None = None
    min_top1: float | None = None


@dataclass(frozen=True, slots=True)
class LayerQuality:
    """How well a stage's result in the quantised graph matches the float graph's."""

    stage: str
    value: str
    snr_db: float
    below: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, on how many samples, and how it came out.

    `exact`: the simulator's outputs equal the quantised graph's, bit for bit.  `outputs` compares
    with onnxruntime; it and what follows from it are empty or None without a model.
    """

    samples: int
    available: int
    exact: bool
    against_graph: tuple[Comparison, ...]
    outputs: tuple[Comparison, ...] = ()
    top1_agreement: float | None = None
    accuracy: float | None = None
    reference_accuracy: float | None = None
    cycles: int = 0
    wall_s: float = 0.0
    layers: tuple[LayerQuality, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def max_abs_error(self) -> float | None:
        return max((c.max_abs_error for c in self.outputs), default=None)

    @property
    def snr_db(self) -> float | None:
        """Of the worst output."""
        return min((c.snr_db for c in self.outputs), default=None)

    @property
    def max_quanta(self) -> int | None:
        return max((c.max_quanta for c in self.outputs if c.max_quanta is not None), default=None)

    @property
    def quanta_equal(self) -> float | None:
        shares = [c.quanta_equal for c in self.outputs if c.quanta_equal is not None]
        return min(shares, default=None)

    @property
    def passed(self) -> bool:
        return not any(d.exit for d in self.diagnostics)


def verify(
    contents: Contents,
    model: Source | None,
    given: InputData,
    *,
    labels: Any = None,
    samples: int | None = None,
    per_layer: bool = False,
    demands: Demands,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Runs all three and compares.  `samples` limits how many are used; None takes all."""
    used = given.first(samples) if samples else given
    classes = None if labels is None else read_classes(labels, used.samples)
    run = execute(contents, used.arrays, progress=progress)
    quantized = run_quantized(contents.graph, used.arrays)
    against = tuple(
        compare(name, np.asarray(run.outputs[name]), array) for name, array in quantized.items()
    )
    parts: dict[str, Any] = {}
    if model is not None:
        read = read_model(model)
        parts = against_model(contents, read, used.arrays, run.outputs, classes, per_layer, demands)
        parts["diagnostics"] = other_model(contents, read)
    elif classes is not None:
        parts["accuracy"] = accuracy(first_winners(contents.graph, run.outputs), classes)
    result = Verification(
        used.samples,
        given.samples,
        all(c.equal for c in against),
        against,
        cycles=run.cycles,
        wall_s=run.wall_s,
        **parts,
    )
    return judged(result, demands)


def read_classes(labels: Any, samples: int) -> Array:
    if isinstance(labels, str):
        return data.read_labels(labels, samples)
    classes = np.asarray(labels)
    if classes.ndim != 1 or len(classes) < samples:
        sizes = list(classes.shape)
        message = f"labels have shape {sizes}; {samples} are needed, one a sample"
        raise NmcError(error("bad-data-shape", message))
    return classes[:samples]


def other_model(contents: Contents, read: ReadModel) -> tuple[Diagnostic, ...]:
    compiled = contents.manifest.model
    if read.sha256 == compiled.sha256:
        return ()
    message = f"{read.file} is not the model that was compiled, which was {compiled.name}"
    notes = [f"compiled: sha256 {compiled.sha256[:16]}...", f"given: sha256 {read.sha256[:16]}..."]
    return (warning("hash-mismatch", message, notes=notes),)


# The quantised graph


def run_quantized(
    graph: Graph, arrays: Mapping[str, Array], keep: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Outputs, and values to keep, of a graph on [samples, *one sample], in that form again."""
    values = {v.name: v for v in (*graph.inputs, *graph.values())}
    count = min(len(a) for a in arrays.values())
    batched = {name: stacked(values[name], array) for name, array in arrays.items()}
    results = run_graph_batch(graph, batched, keep=keep, host=OrtHost())
    outputs = {v.name: v for v in graph.outputs}
    return {
        name: array.reshape(count, *sample_shape((outputs.get(name) or values[name]).type))
        for name, array in results.items()
    }


def stacked(value: Value, array: Array) -> Array:
    """Samples along the graph's own first axis, as the interpreter takes them."""
    shape = value.type.shape
    return array.reshape(-1, *shape[1:]) if shape else array


# The model


def against_model(
    contents: Contents,
    read: ReadModel,
    arrays: Mapping[str, Array],
    outputs: Mapping[str, Array],
    classes: Array | None,
    per_layer: bool,
    demands: Demands,
) -> dict[str, Any]:
    """The fields of a Verification that compare with the model."""
    graph = contents.graph
    theirs = Original(read).run(arrays, {v.name: sample_shape(v.type) for v in graph.outputs})
    compared = [
        compare(v.name, np.asarray(outputs[v.name]), theirs[v.name], quantum(v))
        for v in graph.outputs
    ]
    found: dict[str, Any] = {"outputs": tuple(compared)}
    mine, reference = first_winners(graph, outputs), first_winners(graph, theirs)
    if mine is not None and reference is not None:
        found["top1_agreement"] = float(np.mean(mine == reference))
        if classes is not None:
            found["accuracy"] = accuracy(mine, classes)
            found["reference_accuracy"] = accuracy(reference, classes)
    if per_layer:
        found["layers"] = layer_qualities(contents, read, arrays, demands.min_snr_db)
    return found


def quantum(value: Value) -> Quant | None:
    """What an output's integers mean; for a float that was integers last, their scale."""
    if value.type.quant or value.producer is None:
        return value.type.quant
    producer = value.producer
    if isinstance(producer.op, ops.Dequantize):
        return producer.x.type.quant
    return None


def first_winners(graph: Graph, outputs: Mapping[str, Array]) -> Array | None:
    """Classes by the first output that is a vector of scores."""
    found = (winners(np.asarray(outputs[v.name])) for v in graph.outputs)
    return next((w for w in found if w is not None), None)


def accuracy(found: Array | None, classes: Array) -> float | None:
    return None if found is None else float(np.mean(found == classes))


# Layer by layer


def layer_qualities(
    contents: Contents, read: ReadModel, arrays: Mapping[str, Array], min_snr_db: float | None
) -> tuple[LayerQuality, ...]:
    """Of each stage whose result the float graph has under the same name."""
    shapes = contents.manifest.options.get("input_shapes", ())
    texts = shapes if isinstance(shapes, tuple | list) else ()
    original = import_model(read, input_shapes=read_input_shapes(texts), report=Report())
    mine = {v.name: v for v in contents.graph.values()}
    theirs = {v.name: v for v in original.values()}
    pairs = {}
    for stage in contents.mapping.stages:
        found = twins(contents, stage, mine, theirs)
        if found:
            pairs[stage.name] = found
    ours = run_quantized(contents.graph, arrays, tuple({a for a, _ in pairs.values()}))
    floats = run_quantized(original, arrays, tuple({b for _, b in pairs.values()}))
    layers: list[LayerQuality] = []
    for stage_name, (a, b) in pairs.items():
        quants = mine[a].type.quant, theirs[b].type.quant
        snr = compare(a, ours[a], floats[b], *quants).snr_db
        below = min_snr_db is not None and snr < min_snr_db
        layers.append(LayerQuality(stage_name, a, snr, below))
    return tuple(layers)


def twins(
    contents: Contents, stage: Stage, mine: Mapping[str, Value], theirs: Mapping[str, Value]
) -> tuple[str, str] | None:
    """The last value of a stage that the float graph has too, and what it is called there."""
    results = (contents.mapping.streams[stage.output].value, *reversed(stage.nodes))
    for name in results:
        twin = name if name in theirs else QUANTIZED.sub("", name)
        alike = name in mine and twin in theirs
        if alike and theirs[twin].type.shape == mine[name].type.shape:
            return name, twin
    return None


# The verdict


@dataclass(slots=True)
class Judge:
    """Collects what was demanded and not reached."""

    failures: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def least(self, what: str, got: float | None, wanted: float | None, unit: str = "") -> None:
        if wanted is None:
            return
        if got is None:
            message = (
                f"{what} can't be measured on these outputs, at least {wanted:g} was asked for"
            )
            self.failures.append(error("threshold-failed", message))
        elif got < wanted:
            message = f"{what} is {got:.4g}{unit}, at least {wanted:g}{unit} was asked for"
            self.failures.append(error("threshold-failed", message))


def judged(result: Verification, demands: Demands) -> Verification:
    """The verification with a diagnostic for each demand that it failed."""
    judge = Judge()
    if demands.exact and not result.exact:
        judge.failures.append(inexact(result))
    judge.least("the SNR", result.snr_db, demands.min_snr_db, " dB")
    judge.least("the top-1 agreement", result.top1_agreement, demands.min_top1)
    return replace(result, diagnostics=(*result.diagnostics, *judge.failures))


def inexact(result: Verification) -> Diagnostic:
    differing = sum(c.differing for c in result.against_graph)
    elements = sum(c.elements for c in result.against_graph)
    most = max(c.max_abs_error for c in result.against_graph)
    message = (
        f"{differing} of {elements} output values differ from the quantised graph's, by up to "
        f"{most:.4g}"
    )
    remedy = "only targets whose reads are lossless give equal bits: -t exact-128"
    return error("not-exact", message, remedy=remedy)

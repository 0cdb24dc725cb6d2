"""`verify`: simulated outputs against the quantised graph's, and against the model's own.

Three computations on the same inputs: the simulator executes the program; the interpreter the
quantised graph, which on a machine of lossless reads must give the same bits; and onnxruntime,
with its default options, the model that it all came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nmc import data
from nmc.backends.container import Contents
from nmc.backends.execute import execute
from nmc.comparing import Comparison, compare, winners
from nmc.data import InputData
from nmc.frontend import ReadModel, Source, read_model
from nmc.ir import ops
from nmc.ir.diagnostics import Diagnostic, NmcError, error, warning
from nmc.ir.graph import Array, Graph, Quant, Value
from nmc.layers import LayerQuality, layer_qualities, run_quantized
from nmc.original import Original

__all__ = ["Demands", "Verification", "verify"]


@dataclass(frozen=True, slots=True)
class Demands:
    """Thresholds that decide between success and exit code 5."""

    exact: bool = False
    min_snr_db: float | None = None
    min_top1: float | None = None

    def __post_init__(self) -> None:
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 1:
            message = f"`min_top1` is {self.min_top1:g}; agreement is a share, from 0 to 1"
            raise NmcError(error("bad-option", message))


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, on how many samples, and how it came out.

    `exact`: the simulator's outputs equal the quantised graph's, bit for bit.  `outputs` compares
    with onnxruntime; it and what follows from it are empty or None without a model.  `lossless`
    says whether the target's reads are, so that `exact` can be expected; `quantized_source`
    whether the model came as integers; `data` where the inputs came from.
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
    lossless: bool = False
    quantized_source: bool = False
    data: str = ""

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
    if classes is not None:
        check_classes(classes, contents.graph)
    read = None if model is None else read_model(model)
    if read is not None:
        check_inputs(contents, read)
    run = execute(contents, used.arrays, progress=progress)
    quantized = run_quantized(contents.graph, used.arrays)
    against = tuple(
        compare(name, np.asarray(run.outputs[name]), array) for name, array in quantized.items()
    )
    parts: dict[str, Any] = {}
    if read is not None:
        parts = against_model(contents, read, used.arrays, run.outputs, classes, per_layer, demands)
        parts["diagnostics"] = other_model(contents, read)
        parts["quantized_source"] = is_quantized(read)
    elif classes is not None:
        parts["accuracy"] = accuracy(first_winners(contents.graph, run.outputs), classes)
    result = Verification(
        used.samples,
        given.samples,
        all(c.equal for c in against),
        against,
        cycles=run.cycles,
        wall_s=run.wall_s,
        lossless=contents.target.exact,
        data=given.origin,
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


def check_classes(classes: Array, graph: Graph) -> None:
    """`bad-data-file` for labels that no output could give."""
    sizes = ((v.name, [n for n in v.type.sample_shape if n > 1]) for v in graph.outputs)
    name, count = next(((n, s[0]) for n, s in sizes if len(s) == 1), ("", 0))
    if not count or not len(classes):
        return
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= count:
        message = (
            f"the labels go from {low} to {high}, but output `{name}` has {count} classes, "
            f"0 to {count - 1}"
        )
        remedy = "labels that count from 1 need 1 taken off" if (low, high) == (1, count) else ""
        raise NmcError(error("bad-data-file", message, remedy=remedy))


def check_inputs(contents: Contents, read: ReadModel) -> None:
    """`bad-option` for another model than the compiled one that can't take the same inputs."""
    if read.sha256 == contents.manifest.model.sha256:
        return
    proto = read.proto.graph
    weights = {tensor.name for tensor in proto.initializer}
    theirs = {v.name: rank_and_sizes(v) for v in proto.input if v.name not in weights}
    ours = {v.name: v.type.shape for v in contents.graph.inputs}
    if set(theirs) == set(ours) and all(fits(ours[n], theirs[n]) for n in ours):
        return
    wants = ", ".join(f"{name} {list(shape)}" for name, shape in theirs.items())
    has = ", ".join(f"{name} {list(shape)}" for name, shape in ours.items())
    message = (
        f"{read.file} is another model than the compiled one ({contents.manifest.model.name}): "
        f"it takes {wants}, the compiled one {has}"
    )
    remedy = "give the model that the mapping file was compiled from"
    raise NmcError(error("bad-option", message, notes=hashes(contents, read), remedy=remedy))


def rank_and_sizes(value: Any) -> tuple[int | str, ...]:
    """The sizes of an ONNX input; open ones by name."""
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims)


def fits(ours: tuple[int, ...], theirs: tuple[int | str, ...]) -> bool:
    if len(ours) != len(theirs):
        return False
    return all(isinstance(b, str) or a == b for a, b in zip(ours, theirs, strict=True))


def is_quantized(read: ReadModel) -> bool:
    """Whether the source model computes with integers already."""
    return any("Quantize" in n.op_type or "QLinear" in n.op_type for n in read.proto.graph.node)


def hashes(contents: Contents, read: ReadModel) -> list[str]:
    compiled = contents.manifest.model.sha256
    return [f"compiled: sha256 {compiled[:16]}...", f"given: sha256 {read.sha256[:16]}..."]


def other_model(contents: Contents, read: ReadModel) -> tuple[Diagnostic, ...]:
    compiled = contents.manifest.model
    if read.sha256 == compiled.sha256:
        return ()
    message = f"{read.file} is not the model that was compiled, which was {compiled.name}"
    return (warning("hash-mismatch", message, notes=hashes(contents, read)),)


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
    theirs = Original(read).run(arrays, {v.name: v.type.sample_shape for v in graph.outputs})
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

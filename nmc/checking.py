"""`check`: what of a model runs where on a target, whether it fits, all problems, a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nmc import data
from nmc.backends.host import OrtHost
from nmc.compiling import Wish, host_allowed, target_of
from nmc.frontend import ReadModel, import_model, read_model
from nmc.ir.costs import macs
from nmc.ir.design import Calibration, Design
from nmc.ir.diagnostics import Diagnostic, Exit, NmcError, Report
from nmc.ir.graph import Graph, Node, Unit
from nmc.ir.target import Target
from nmc.passes.replicate import Replicate
from nmc.pipeline import Pipeline

__all__ = ["Answer", "HostOp", "Verdict", "check_model"]


class Answer(StrEnum):
    YES = "yes"
    WITH_HOST = "yes, with host operations"
    NO = "no"
    UNREAD = "not checked"


@dataclass(frozen=True, slots=True)
class HostOp:
    """One reason to run nodes on the host: their operator, how many, the names of the first."""

    op: str
    why: str
    count: int
    nodes: tuple[str, ...]
    macs: int


@dataclass(slots=True)
class Verdict:
    """What `nmc check` found.  Counts are None as far as a problem kept them from being found.

    `nodes` counts operations of the graph that nmc computes with, not nodes of the ONNX file.
    """

    model: str
    target: str
    answer: Answer = Answer.NO
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    nodes: int | None = None
    host_nodes: int | None = None
    units: dict[str, int] = field(default_factory=dict[str, int])
    macs: int | None = None
    macs_on_crossbars: int | None = None
    crossbars_needed: int | None = None
    crossbars_available: int | None = None
    host: tuple[HostOp, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def exit(self) -> Exit:
        """Of the first error; OK where there is none."""
        return next((d.exit for d in self.diagnostics if d.exit), Exit.OK)


def check_model(wish: Wish) -> Verdict:
    """The verdict; problems of the model and whether it fits are in it, not raised.

    NmcError for a target or an option that can't be read.
    """
    report = Report()
    target = target_of(wish, report)
    allowed = host_allowed(wish.host_ops)
    verdict = Verdict(str(wish.model) if isinstance(wish.model, str) else "", target.name)
    verdict.crossbars_available = target.crossbars
    problems: list[Diagnostic] = []
    model: ReadModel | None = None
    try:
        model = read_model(wish.model)
        explore(wish, model, target, allowed, verdict, report)
    except NmcError as failure:
        problems += [d for d in failure.diagnostics if d not in report.diagnostics]
    verdict.diagnostics = (*problems, *report)
    if model is None:
        verdict.answer = Answer.UNREAD
    elif verdict.exit:
        verdict.answer = Answer.NO
    else:
        verdict.answer = Answer.WITH_HOST if verdict.host_nodes else Answer.YES
    return verdict


def explore(
    wish: Wish,
    model: ReadModel,
    target: Target,
    allowed: bool,
    verdict: Verdict,
    report: Report,
) -> None:
    """Takes the model as far through the pipeline as it will go, and notes what is learnt."""
    graph = import_model(model, input_shapes=wish.input_shapes, report=report)
    verdict.inputs = {v.name: str(v.type) for v in graph.inputs}
    verdict.outputs = {v.name: str(v.type) for v in graph.outputs}
    design = Design(graph, target, one_random(graph, wish.seed), seed=wish.seed, host_ops=allowed)
    design.host = OrtHost()
    front, quantize, back = parts(Pipeline.parse(wish.pipeline).resolved(wish.seed))
    try:
        front.run(design, report)
    finally:
        count(design.graph, verdict)
    if not quantized(quantize, design, report):
        return
    try:
        back.run(design, report, start="quantized")
    finally:
        verdict.crossbars_needed = len(design.mapping.tiles) if design.mapping else None


def parts(pipeline: Pipeline) -> tuple[Pipeline, Pipeline, Pipeline]:
    """What comes before `quantize`, it, and what follows; all but writing programs, and with one
    copy of each layer: what the model needs, not what the chip has room for."""
    levels = [step.gives for step in pipeline.passes]
    before = levels.index("partitioned") + 1 if "partitioned" in levels else 0
    after = levels.index("quantized") + 1 if "quantized" in levels else before
    steps = tuple(
        replace(step, objective="crossbars") if isinstance(step, Replicate) else step
        for step in pipeline.passes
    )
    end = levels.index("program") if "program" in levels else len(steps)
    return Pipeline(steps[:before]), Pipeline(steps[before:after]), Pipeline(steps[after:end])


def one_random(graph: Graph, seed: int) -> Calibration:
    """One random sample: places and sizes don't depend on values."""
    arrays = data.random_inputs(graph.inputs, seed, 1)
    return Calibration(arrays, "one random input", random=True)


def quantized(quantize: Pipeline, design: Design, report: Report) -> bool:
    """Whether the model could be quantised on random inputs.

    If they lead to NaN, as they may, nothing is wrong with the model: what follows stays unknown.
    """
    try:
        quantize.run(design, report, start="partitioned")
    except NmcError as failure:
        if {d.code for d in failure.diagnostics} != {"calibration-needed"}:
            raise
        report.diagnostics[:] = [d for d in report if d.code != "calibration-needed"]
        return False
    return bool(quantize.passes)


def count(graph: Graph, verdict: Verdict) -> None:
    if not any(node.unit for node in graph):
        return
    verdict.nodes = len(graph)
    verdict.units = dict(Counter(node.unit for node in graph))
    verdict.host_nodes = verdict.units.get(Unit.HOST, 0)
    verdict.macs = sum(map(macs, graph))
    verdict.macs_on_crossbars = sum(macs(n) for n in graph if n.unit == Unit.CROSSBAR)
    verdict.host = tuple(host_ops([n for n in graph if n.unit == Unit.HOST]))


def host_ops(nodes: Sequence[Node]) -> list[HostOp]:
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        groups.setdefault((node.loc.op or node.op.name, node.why), []).append(node)
    return [
        HostOp(op, why, len(each), tuple(n.loc.node for n in each[:5]), sum(map(macs, each)))
        for (op, why), each in groups.items()
    ]
